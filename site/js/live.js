// Live page: make requests with fetch() and show what comes back.
"use strict";

const FIELDS = [
  "Server", "Date", "ETag", "Last-Modified", "Content-Type", "Content-Length",
  "Content-Range", "Accept-Ranges", "Cache-Control", "Location", "Vary",
];
const KEPT = 40; // round trips in the chart

const $ = (id) => document.getElementById(id);
const trips = [];
let validator = null; // what the last 200 gave us: an entity tag, else a date
let timer = null;

function element(name, text, className) {
  const e = document.createElement(name);
  if (text !== undefined) e.textContent = text;
  if (className) e.className = className;
  return e;
}

function row(list, term, value, className) {
  const div = element("div");
  div.append(element("dt", term), element("dd", value, className));
  list.append(div);
}

function showFields(headers) {
  const list = $("fields");
  list.replaceChildren();
  for (const name of FIELDS) {
    const value = headers.get(name);
    const always = FIELDS.indexOf(name) < 6;
    if (value !== null) row(list, name, value);
    else if (always) row(list, name, "not sent", "absent");
  }
}

function showTrips() {
  const top = Math.max(...trips, 1);
  const wide = 400 / KEPT;
  const bars = trips.map((ms, i) => {
    const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    const high = Math.max(2, (ms / top) * 54);
    bar.setAttribute("x", i * wide + 1);
    bar.setAttribute("y", 60 - high);
    bar.setAttribute("width", wide - 2);
    bar.setAttribute("height", high);
    return bar;
  });
  $("spark").replaceChildren(...bars);
  const sorted = [...trips].sort((a, b) => a - b);
  $("median").textContent = `${sorted[sorted.length >> 1].toFixed(1)} ms`;
}

const REQUESTS = {
  get: () => ({ path: "data/site.json", method: "GET", headers: {} }),
  head: () => ({ path: "data/site.json", method: "HEAD", headers: {} }),
  conditional: () => ({
    path: "data/site.json",
    method: "GET",
    headers: validator ? { [validator.name]: validator.value } : {},
  }),
  range: () => ({ path: "files/pi.txt", method: "GET", headers: { Range: "bytes=763-768" } }),
  missing: () => ({ path: "no-such-page.html", method: "GET", headers: {} }),
};

async function send(kind) {
  const { path, method, headers } = REQUESTS[kind]();
  const url = new URL(path, document.baseURI);
  const lines = [`${method} ${url.pathname}`];
  for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
  $("request").textContent = lines.join("\n");

  const abort = new AbortController();
  const start = performance.now();
  let response;
  try {
    response = await fetch(url, { method, headers, cache: "no-store", signal: abort.signal });
  } catch (error) {
    $("status").textContent = "no answer";
    $("body").textContent = String(error);
    stop();
    return;
  }
  const ms = performance.now() - start;

  $("status").textContent = `${response.status} ${response.statusText}`.trim();
  $("rtt").textContent = `${ms.toFixed(1)} ms`;
  trips.push(ms);
  if (trips.length > KEPT) trips.shift();
  showTrips();
  showFields(response.headers);

  if (response.status === 200 && path === "data/site.json") {
    const tag = response.headers.get("ETag");
    const date = response.headers.get("Last-Modified");
    if (tag) validator = { name: "If-None-Match", value: tag };
    else if (date) validator = { name: "If-Modified-Since", value: date };
  }

  if (kind === "range" && response.status === 200) {
    abort.abort(); // the whole file was sent: no need for a megabyte
    $("body").textContent = "The server sent the whole file instead of the range.";
    return;
  }
  const text = await response.text();
  if (response.status === 304) $("body").textContent = "Not modified: no body was sent.";
  else if (method === "HEAD") $("body").textContent = "HEAD: no body, by definition.";
  else $("body").textContent = text.length > 1200 ? `${text.slice(0, 1200)}…` : text || "(empty)";
  if (kind === "get" && response.ok) showFacts(JSON.parse(text));
}

function showFacts(facts) {
  const list = $("facts");
  list.replaceChildren();
  for (const [term, value] of Object.entries(facts)) {
    row(list, term, Array.isArray(value) ? value.join(", ") : value);
  }
}

function stop() {
  clearInterval(timer);
  timer = null;
  $("repeat").setAttribute("aria-pressed", "false");
  $("repeat").textContent = "Repeat every second";
}

$("buttons").addEventListener("click", (event) => {
  const kind = event.target.dataset.request;
  if (kind) send(kind);
});

$("repeat").addEventListener("click", () => {
  if (timer) { stop(); return; }
  timer = setInterval(() => send("get"), 1000);
  $("repeat").setAttribute("aria-pressed", "true");
  $("repeat").textContent = "Stop repeating";
  send("get");
});

$("live").hidden = false;
send("get");
