// Home page: ask for this page's head again and show who answered.
"use strict";

const out = document.getElementById("answer");

async function ask() {
  const response = await fetch(location.pathname, { method: "HEAD", cache: "no-store" });
  const server = response.headers.get("Server");
  const date = response.headers.get("Date");
  out.textContent = [
    server ? `Server: ${server}` : "no Server field",
    date ? `Date: ${date}` : "no Date field",
  ].join("  ·  ");
}

ask().catch(() => { out.textContent = "no answer: is the server still there?"; });
