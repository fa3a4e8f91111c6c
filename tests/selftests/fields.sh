#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The settings of what responses have: fields, media types, error pages; and of
# what a connection may take: requests, and times and rates of bodies.

. "$(dirname "$0")/lib.sh"

load

python_checks <<'END_OF_PYTHON'
from http_client import *
from email.utils import parsedate_to_datetime
from urllib.parse import quote
import errno

put("index.html", "index")
put("a.txt", "0123456789" * 1000)
put("b.css", "css")
put("c.js", "js")
put("d.json", "{}")
put("e.xml", "<e/>")
put("f.png", "png")
put("g.html", "html")
put("h.weird", "weird")
put("secret.txt", "x", 0o600)
os.mkdir(os.path.join(docroot, b"dir"))

def setting(name, value, wanted=0):
    is_("%s is set to %r" % (name, value) if wanted == 0 else "%s refuses %r" % (name, value), sysctl(name, value), wanted)

def value(name):
    return sysctl(name).rstrip("\n")

def content_type(target):
    return ask(target).get("Content-Type")

def malformed(octets_="GET / HTTP/1.1\r\n\r\n"):
    """The response to a request that is none, which ends the connection."""
    with Connection() as c:
        c.send(octets(octets_))
        r = c.response()
        if c.end() != "closed":
            raise Malformed(r)
        return r

# ---- charset

texts = ("/a.txt", "/b.css", "/c.js", "/g.html")
others = {target: content_type(target) for target in ("/d.json", "/e.xml", "/f.png", "/h.weird")}
types = ["text/plain", "text/css", "text/javascript", "text/html"]
is_("the charset is utf-8", (value("charset"), [content_type(t) for t in texts]), ("utf-8", [t + "; charset=utf-8" for t in types]))
for name in "iso-8859-1", "windows-1252":
    setting("charset", name)
    is_("it is " + name, (value("charset"), [content_type(t) for t in texts]), (name, [t + "; charset=" + name for t in types]))
is_("with parts, too", ask("/a.txt", "Range: bytes=0-0,2000-2000").body.count(b"Content-Type: text/plain; charset=windows-1252\r\n"), 2)
for off in "off", "\n":
    setting("charset", off)
    is_("it is off by %r" % off, (value("charset"), [content_type(t) for t in texts]), ("off", types))
for bad in "a b", "a\x01", "x;y", "\"utf-8\"", "a" * 41:
    setting("charset", bad, errno.EINVAL)
is_("what is refused changes nothing", (value("charset"), content_type("/a.txt")), ("off", "text/plain"))
setting("charset", "utf-8")
is_("what is no text has none, or its own", {t: content_type(t) for t in others}, others)

# ---- mime_types

table = os.path.join(os.environ["tmp"], "types")
def load_table(text):
    with open(table, "wb") as file:
        file.write(octets(text))
    return sysctl("mime_types", table)
is_("no table is loaded", value("mime_types"), "")
is_("a table is loaded", load_table("# a comment\n\ntext/x-weird weird WEIRDER # more\napplication/x-text\ttxt\nimage/x-new\n text/html;level=1 lvl\r\n"), 0)
is_("its name is shown", value("mime_types"), table)
put("k.WeirdER", "x")
put("l.lvl", "x")
put("m.txt.weird", "x")
for target, wanted in (("/h.weird", "text/x-weird; charset=utf-8"), ("/k.WeirdER", "text/x-weird; charset=utf-8"), ("/a.txt", "application/x-text"), ("/l.lvl", "text/html;level=1"),
                       ("/m.txt.weird", "text/x-weird; charset=utf-8"), ("/g.html", "text/html; charset=utf-8"), ("/f.png", "image/png"), ("/", "text/html; charset=utf-8")):
    is_("with it, " + target, content_type(target), wanted)
is_("nosniff goes with what isn't known", [ask(t).get("X-Content-Type-Options") for t in ("/h.weird", "/a.txt")], [None, None])
for name, text, wanted in (("a media type without a slash", "text/x-ok ok\nnonsense weird\n", errno.EINVAL), ("an extension with a slash", "text/plain a/b\n", errno.EINVAL),
                           ("a control octet", "text/plain a\x01b\n", errno.EINVAL), ("a NUL", "text/plain \0\n", errno.EINVAL), ("a long extension", "text/plain " + "a" * 65, errno.EINVAL),
                           ("more than 1 MiB", "# " + "x" * (1 << 20), errno.EFBIG)):
    is_("a table with %s is refused" % name, load_table(text), wanted)
for name, wanted in (("/nowhere/types", errno.ENOENT), ("types", errno.EINVAL), (os.environ["tmp"], errno.EINVAL)):
    is_("%s is no table" % name, sysctl("mime_types", name), wanted)
os.mkfifo(table + ".fifo")
is_("a FIFO is none, and isn't waited for", sysctl("mime_types", table + ".fifo"), errno.EINVAL)
is_("what is refused changes nothing", (value("mime_types"), [content_type(t) for t in ("/h.weird", "/a.txt")]), (table, ["text/x-weird; charset=utf-8", "application/x-text"]))
is_("of two for an extension the last counts", (load_table("text/x-one weird\ntext/x-two weird\n"), content_type("/h.weird")), (0, "text/x-two; charset=utf-8"))
is_("of what isn't in the new one", content_type("/a.txt"), "text/plain; charset=utf-8")
is_("many", (load_table("".join("application/x-%d ext%d\n" % (i, i) for i in range(20000))), [(put("n.ext%d" % i, "x"), content_type("/n.ext%d" % i))[1] for i in (0, 9999, 19999)]),
    (0, ["application/x-%d" % i for i in (0, 9999, 19999)]))
def typed(extension):
    """The media type of a file with this extension."""
    put(b"n." + octets(extension), "x")
    return content_type("/n." + quote(octets(extension), safe=""))
# Those that are first or last in order, or between others; and those that are none of them.
ordered = ["0", "ab", "abc", "abcd", "b", "c-1", "c0", "{", "~", "~~", "\u00e9".encode(), b"\xff", "z" * 64]
is_("in any order", load_table(b"".join(b"application/x-%d %s\n" % (len(ordered) - i, octets(word)) for i, word in reversed(list(enumerate(ordered))))), 0)
for i, word in enumerate(ordered):
    is_("extension %r" % word, typed(word), "application/x-%d" % (len(ordered) - i))
for word in "00", "a", "aa", "abb", "abcc", "abce", "c", "c-", "c-0", "d", "z" * 63, "z" * 65, "}", "~}", "~~~", b"\xfe", b"\xff\xff":
    true("not extension %r" % word, not typed(word).startswith("application/x-"))
setting("mime_types", "\n")
is_("and none", (value("mime_types"), [content_type(t) for t in ("/h.weird", "/a.txt")], ask("/h.weird").get("X-Content-Type-Options")),
    ("", ["application/octet-stream", "text/plain; charset=utf-8"], "nosniff"))

# ---- cache_control

def cache(target, *fields, **more):
    r = ask(target, *fields, **more)
    control, expires = r.get("Cache-Control"), r.get("Expires")
    if expires is None:
        return r.status, control, None
    return r.status, control, int((parsedate_to_datetime(expires) - parsedate_to_datetime(r.get("Date"))).total_seconds())
is_("nothing is said of caches", (value("cache_control"), cache("/a.txt")), ("", (200, None, None)))
setting("cache_control", "text/html=0, image/*=604800 text/css=99999999999 */*=3600")
for target, wanted in (("/a.txt", ("max-age=3600", 3600)), ("/g.html", ("no-cache", 0)), ("/", ("no-cache", 0)), ("/f.png", ("max-age=604800", 604800)), ("/b.css", ("max-age=2147483648", 2147483648)),
                       ("/h.weird", ("max-age=3600", 3600))):
    tag = ask(target).get("ETag")
    is_("freshness of " + target, [cache(target), cache(target, method="HEAD"), cache(target, "If-None-Match: " + tag)], [(s, *wanted) for s in (200, 200, 304)])
is_("of ranges", [cache("/a.txt", "Range: " + v) for v in ("bytes=1-2", "bytes=1-2,5000-5001")], [(206, "max-age=3600", 3600)] * 2)
put("404.html", "page")
is_("not of errors", [cache(t, *f, **m) for t, f, m in (("/nothing", (), {}), ("/secret.txt", (), {}), ("/dir", (), {}), ("/a.txt", ["Range: bytes=99999-"], {}), ("/a.txt", ['If-Match: "x"'], {}),
    ("/a.txt", (), {"method": "POST"}), ("/a.txt", (), {"method": "OPTIONS"}))], [(s, None, None) for s in (404, 403, 301, 416, 412, 405, 204)])
setting("generate_cache_control", "0")
is_("generate_cache_control 0", cache("/a.txt"), (200, None, None))
setting("generate_cache_control", "1")
setting("cache_control", "image/*=5")
is_("of what no range matches nothing is said", [cache("/a.txt"), cache("/f.png")], [(200, None, None), (200, "max-age=5", 5)])
for bad in "text/html", "text/html=", "text/html=x", "text=1", "*/html=1", "a/b=1,a/b=2", "a/b=-1":
    setting("cache_control", bad, errno.EINVAL)
is_("what is refused changes nothing", value("cache_control"), "image/*=5")
setting("cache_control", "\n")

# ---- validators

r = ask("/a.txt")
tag, date = r.get("ETag"), r.get("Last-Modified")
def statuses(*fields):
    """Of both methods; they must agree."""
    got = {ask("/a.txt", *fields, method=method).status for method in ("GET", "HEAD")}
    return got.pop() if len(got) == 1 else got

def validated(what, table):
    for fields, wanted in table:
        is_("%s, %s" % (what, ", ".join(fields)), statuses(*fields), wanted)

setting("generate_etags", "0")
answers = [ask("/a.txt"), ask("/a.txt", "Range: bytes=0-0"), ask("/a.txt", "If-None-Match: *")]
is_("generate_etags 0", [(r.status, r.get("ETag"), r.get("Last-Modified")) for r in answers], [(200, None, date), (206, None, date), (304, None, None)])
date_is = ("If-Modified-Since: " + date, "If-Unmodified-Since: " + date)
old_date = "Sun, 06 Nov 1994 08:49:37 GMT"
validated("generate_etags 0", (
    (("If-None-Match: " + tag,), 200), (("If-None-Match: W/" + tag,), 200), (('If-None-Match: "x", ' + tag,), 200), (('If-None-Match: ""',), 200), (("If-None-Match: *",), 304),
    (("If-Match: " + tag,), 412), (('If-Match: ""',), 412), (("If-Match: *",), 200), (("If-Match: *", "If-None-Match: " + tag), 200),
    ((date_is[0],), 304), ((date_is[1],), 200), (("If-Unmodified-Since: " + old_date,), 412), (("If-None-Match: " + tag, date_is[0]), 200)))
def ranged(*fields):
    return ask("/a.txt", "Range: bytes=0-0", *fields).status
is_("generate_etags 0, If-Range", [ranged("If-Range: " + v) for v in (tag, "W/" + tag, '""')], [200] * 3)
os.utime(os.path.join(docroot, b"a.txt"), (784111777, 784111777))
is_("generate_etags 0, a date in If-Range", [ranged("If-Range: " + v) for v in (old_date, date)], [206, 200])
setting("generate_last_mod", "0")
is_("generate_last_mod 0", [(r.status, r.get("ETag"), r.get("Last-Modified")) for r in (ask("/a.txt"), ask("/a.txt", "Range: bytes=0-0"))], [(200, None, None), (206, None, None)])
validated("no validators", (
    (("If-Modified-Since: " + old_date,), 200), (("If-Unmodified-Since: Sun, 06 Nov 1984 08:49:37 GMT",), 200), (("If-None-Match: *",), 304), (("If-Match: *",), 200), (("If-Match: " + tag,), 412)))
is_("no validators, If-Range", [ranged("If-Range: " + v) for v in (old_date, tag)], [200, 200])
setting("generate_etags", "1")
tag = ask("/a.txt").get("ETag")
is_("generate_etags 1", [(r.status, r.get("ETag"), r.get("Last-Modified")) for r in (ask("/a.txt"), ask("/a.txt", "If-None-Match: " + tag))], [(200, tag, None), (304, tag, None)])
is_("generate_last_mod 0, a tag in If-Range", ranged("If-Range: " + tag), 206)
setting("generate_last_mod", "1")

# ---- extra_header

def everything():
    """Responses of all kinds."""
    return {
        200: ask("/a.txt"), 206: ask("/a.txt", "Range: bytes=0-0"), "multipart": ask("/a.txt", "Range: bytes=0-0,5000-5000"), 304: ask("/a.txt", "If-None-Match: *"), 301: ask("/dir?x=y"),
        404: ask("/nothing"), 403: ask("/secret.txt"), 405: ask("/a.txt", method="DELETE"), 416: ask("/a.txt", "Range: bytes=99999-"), 412: ask("/a.txt", 'If-Match: "x"'),
        204: ask("*", method="OPTIONS"), 400: malformed(), "path": ask("/%zz"), 501: ask("/", method="BREW"), "HEAD": ask("/a.txt", method="HEAD"), "page": ask("/nothing", method="HEAD"),
        431: malformed("GET / HTTP/1.1\r\nHost: a\r\nX: " + "x" * 9000),
    }
before = {key: (r.status, [pair for pair in r.fields if pair[0] != "Date" and "range-" not in pair[1]]) for key, r in everything().items()}
setting("extra_header", "X-One: 1\nContent-Security-Policy: default-src 'self'; x=\"y\"\n")
is_("it is read as it was written", sysctl("extra_header").strip("\n"), "X-One: 1\nContent-Security-Policy: default-src 'self'; x=\"y\"")
extra = [("X-One", "1"), ("Content-Security-Policy", "default-src 'self'; x=\"y\"")]
wrong = {}
for key, r in everything().items():
    fields = [pair for pair in r.fields if pair[0] != "Date" and "range-" not in pair[1]]
    if r.status != before[key][0] or [p for p in fields if p not in extra] != before[key][1] or [p for p in fields if p in extra] != extra:
        wrong[key] = (r, before[key])
is_("the fields are on every response, once, and nothing else has changed", wrong, {})
for bad in "Content-Length: 5", "connection: close", "X One: 1", "X-One : 1", ": 1", "nonsense", "X: a\x01b", "X: a\x7f", "X-Fine: 1\nDate: x", "X: " + "a" * 2048:
    setting("extra_header", bad, errno.EINVAL)
is_("what is refused changes nothing", ask("/a.txt").get("X-One"), "1")
long = "X-Long: " + "a" * (2046 - len("X-Long: "))
setting("extra_header", long)
is_("the longest is on every response", [key for key, r in everything().items() if r.status != before[key][0] or r.get("X-Long") != long[8:]], [])
deep = "/".join(["d" * 250] * 3)
os.makedirs(os.path.join(docroot, deep.encode()))
r = ask("/" + deep)
is_("with a Location of 750 octets", (r.status, r.get("Location")), (301, "/" + deep + "/"))
setting("extra_header", "\n")
is_("none", (sysctl("extra_header").strip("\n"), ask("/a.txt").get("X-Long")), ("", None))

# ---- error_pages

is_("there may be a page of 404", value("error_pages"), "404=/404.html")
put("404.html", "<p>Nothing.</p>")
r = ask("/nothing")
is_("it is served", (r.status, r.get("Content-Type"), r.body), (404, "text/html; charset=utf-8", b"<p>Nothing.</p>"))
is_("without what is true of a file only", [r.get(n) for n in ("ETag", "Last-Modified", "Accept-Ranges", "Vary", "Content-Encoding", "Cache-Control")], [None] * 6)
put("404.html.gz", "x")
is_("its sibling is not", ask("/nothing", "Accept-Encoding: gzip").body, r.body)
h = ask("/nothing", method="HEAD")
is_("HEAD", (h.status, [p for p in h.fields if p[0] != "Date"], h.body), (404, [p for p in r.fields if p[0] != "Date"], b""))
is_("a range of it is not served, and no precondition counts", [ask("/nothing", f).status for f in ("Range: bytes=0-1", "If-None-Match: *", "If-Match: *", 'If-Match: "x"')], [404] * 4)
is_("the page itself is a file", (lambda r: (r.status, r.get("ETag") is not None))(ask("/404.html")), (200, True))
os.unlink(os.path.join(docroot, b"404.html"))
r = ask("/nothing")
true("without it there is the built-in one", r.status == 404 and b"<" in r.body and b"There is nothing here" in r.body, r)

pages = {400: "/err/400.html", 403: "/err/403.txt", 404: "/err/404.html", 405: "/err/405.json", 408: "/err/408.html", 412: "/err/412.html", 413: "/err/413.html", 414: "/err/414.html", 416: "/err/416.html",
         417: "/err/417.html", 431: "/err/431.html", 501: "/err/501.html", 505: "/err/505.html"}
for code, path in pages.items():
    put(path[1:], b"page of %d" % code)
listed = " ".join("%d=%s" % page for page in pages.items())
setting("error_pages", listed.replace(" ", ", "))
is_("they are shown in order", value("error_pages"), listed)
def failing(code):
    return {
        400: lambda: malformed(), 403: lambda: ask("/secret.txt"), 404: lambda: ask("/nothing"), 405: lambda: ask("/", method="DELETE"), 412: lambda: ask("/a.txt", 'If-Match: "x"'),
        413: lambda: ask("/", "Content-Length: 2000000"), 414: lambda: malformed("GET /" + "a" * 5000 + " HTTP/1.1\r\nHost: a\r\n\r\n"), 416: lambda: ask("/a.txt", "Range: bytes=99999-"),
        417: lambda: ask("/", "Expect: miracles"), 431: lambda: malformed("GET / HTTP/1.1\r\nHost: a\r\nX: " + "x" * 9000), 501: lambda: ask("/", method="BREW"),
        505: lambda: malformed("GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
    }[code]()
for code in pages:
    if code != 408:
        r = failing(code)
        is_("page of %d" % code, (r.status, r.body), (code, b"page of %d" % code))
# A Location may be as long as a target: "/dir/?" and the query, of which quotes become three octets.
def redirected(query, **more):
    r = ask("/dir?" + query, **more)
    return r.status, len(r.get("Location") or ""), r.body == b"page of 414"
is_("a Location as long as a target may be", [redirected("q" * 4090), redirected('"' * 1363 + "q")], [(301, 4096, False)] * 2)
is_("page of 414, of a Location that is longer", [redirected("q" * 4091), redirected('"' * 1363 + "qq"), redirected('"' * 4000)], [(414, 0, True)] * 3)
is_("HEAD of it", redirected("q" * 4091, method="HEAD"), (414, 0, False))
setting("max_header_len", "300")
is_("a target may be shorter", [redirected("q" * 200), redirected('"' * 98), redirected('"' * 99)], [(301, 206, False), (301, 300, False), (414, 0, True)])
setting("max_header_len", "8192")
setting("extra_header", long)
is_("with all the fields that can be added", redirected('"' * 1363 + "q"), (301, 4096, False))
setting("extra_header", "\n")
is_("their media types", [failing(code).get("Content-Type") for code in (400, 403, 405)], ["text/html; charset=utf-8", "text/plain; charset=utf-8", "application/json"])
is_("405 has its Allow", failing(405).get("Allow"), "GET, HEAD, OPTIONS")
is_("416 has its Content-Range", failing(416).get("Content-Range"), "bytes */10000")
is_("a path that can't be decoded", (lambda r: (r.status, r.body))(ask("/%zz")), (400, b"page of 400"))
sysctl("header_timeout", "1")
def too_late():
    with Connection() as c:
        c.send(b"GET / HTTP/1.1\r\n")
        r = c.response()
        return r.status, r.body, c.end()
is_("page of 408", undisturbed(too_late, lambda got: got[0] == 408), (408, b"page of 408", "closed"))
sysctl("header_timeout", "10")
with Connection() as c:
    for _ in range(10):
        c.send(request("/nothing") + request("/a.txt") + request("/secret.txt", method="HEAD") + request("/", "Content-Length: 5", method="POST", body=b"hello") + request("/dir/"))
    got = [(c.response(m).status) for _ in range(10) for m in ("GET", "GET", "HEAD", "POST", "GET")]
    is_("fifty pipelined", got, [404, 200, 403, 405, 403] * 10)
put("err/404.html", os.urandom(1 << 20))
with open(os.path.join(docroot, b"err/404.html"), "rb") as file:
    true("a long page", ask("/nothing").body == file.read())
put("err/404.html", "")
is_("an empty one", (lambda r: (r.status, r.get("Content-Length"), r.body))(ask("/nothing")), (404, "0", b""))

def builtin(r):
    return r.status, r.body.startswith(b"<!DOCTYPE html>")
page = os.path.join(docroot, b"err/404.html")
for name, make in (("missing", lambda: None), ("a directory", lambda: os.mkdir(page)), ("a FIFO", lambda: os.mkfifo(page, 0o644)), ("unreadable", lambda: os.chmod(put("err/404.html", "x"), 0o600)),
                   ("a link out of the document root", lambda: os.symlink("/etc/passwd", page)), ("a link to itself", lambda: os.symlink("404.html", page))):
    os.rmdir(page) if os.path.isdir(page) and not os.path.islink(page) else os.path.lexists(page) and os.unlink(page)
    make()
    is_("a page that is %s" % name, [builtin(ask("/nothing")), ask("/nothing", method="HEAD").status], [(404, True), 404])
os.unlink(page)
for bad in "200=/x", "404=x", "404", "404=", "404=/dir/", "404=/a?b", "404=/../..", "404=/a 404=/b", "4040=/x", "999=/x", "404=/%zz":
    setting("error_pages", bad, errno.EINVAL)
is_("what is refused changes nothing", value("error_pages"), listed)
setting("404_page", "other.html")
put("other.html", "other")
is_("404_page is that of 404", (value("404_page"), ask("/nothing").body, failing(403).body), ("/other.html", b"other", b"page of 403"))
is_("with the others", value("error_pages"), listed.replace("/err/404.html", "/other.html"))
setting("404_page", "\n")
is_("and none", (value("404_page"), builtin(ask("/nothing")), failing(403).body), ("", (404, True), b"page of 403"))
put("page", "x")
setting("error_pages", "404=/page")
r = ask("/nothing")
is_("a page of an unknown type", (r.status, r.get("Content-Type"), r.get("X-Content-Type-Options")), (404, "application/octet-stream", "nosniff"))
setting("error_pages", "\n")
is_("no pages", (value("error_pages"), builtin(failing(403)), builtin(failing(416))), ("", (403, True), (416, True)))
setting("error_pages", "404=/404.html")

# ---- keepalive_requests

for limit in 1, 3:
    setting("keepalive_requests", str(limit))
    with Connection() as c:
        got = []
        for _ in range(limit):
            c.send(request("/"))
            got.append(c.response().get("Connection"))
        is_("keepalive_requests %d" % limit, (got, c.end()), ([None] * (limit - 1) + ["close"], "closed"))
    with Connection() as c:
        c.send(request("/a.txt") * (limit + 20))
        got = [c.response().get("Connection") for _ in range(limit)]
        is_("keepalive_requests %d, pipelined" % limit, (got, c.end()), ([None] * (limit - 1) + ["close"], "closed"))
with Connection() as c:
    c.send(request("/nothing") + request("/", "Connection: keep-alive", version="HTTP/1.0") + request("/", "Content-Length: 5", body=b"12345"))
    r = [c.response() for _ in range(3)]
    is_("of all kinds", ([(x.status, x.get("Connection")) for x in r], c.end()), ([(404, None), (200, "keep-alive"), (200, "close")], "closed"))
setting("keepalive_requests", "0")
with Connection() as c:
    c.send(request("/") * 300)
    is_("keepalive_requests 0", {c.response().get("Connection") for _ in range(300)}, {None})

# ---- body_timeout, min_receive_rate

def body(rate, seconds):
    """Sends a whole body at that rate, then a request; the status of its response, or how the connection ended."""
    with Connection() as c:
        total = int(rate * seconds)
        c.send(request("/", "Content-Length: %d" % total))
        c.response()
        began, sent = time.monotonic(), 0
        while sent < total:
            if not c.is_open(0.1):
                return time.monotonic() - began, c.end()
            due = min(total, int(rate * (time.monotonic() - began))) - sent
            c.send(b"x" * due)
            sent += due
        c.send(request("/"))
        r = c.response()
        return time.monotonic() - began, r.status if r else "closed"

def is_cut_off(got):
    """Long before all is sent; and it is counted, once."""
    seconds, end, counted = got
    return end == "closed" and 1 <= seconds < 30 and counted == 1

def is_taken(got):
    seconds, end, counted = got
    return end == 200 and seconds >= 6 and counted == 0

def bodies(rate, seconds):
    before = stat()["timeout_body"]
    return *body(rate, seconds), stat()["timeout_body"] - before

setting("body_timeout", "1")
setting("min_receive_rate", "1000")
got = bodies(100, 60)
true("a body at a tenth of the rate is cut off, and counted", is_cut_off(got), got)
got = undisturbed(lambda: bodies(4000, 7), is_taken)
true("one at four times the rate is not", is_taken(got), got)
def without_body():
    with Connection() as c:
        began = time.monotonic()
        c.send(request("/", "Content-Length: 5"))
        return c.response().status, c.end(), 1 <= time.monotonic() - began < 30
is_("a body that doesn't come, in time", without_body(), (200, "closed", True))
setting("min_receive_rate", "0")
got = undisturbed(lambda: bodies(20, 7), is_taken)
true("min_receive_rate 0: an octet now and then is enough", is_taken(got), got)
is_("min_receive_rate 0: nothing is not", without_body(), (200, "closed", True))
setting("min_receive_rate", "240")
setting("body_timeout", "10")

# ---- min_send_rate

os.truncate(put("large", ""), 64 << 20)
def download(rate, seconds):
    """Reads a response at so many octets a second, for so long, and until it has half of them; whether it
    was cut off, and when, or how many it has; and how often that is counted."""
    before = stat()["timeout_send"]
    end, number = reads(rate, seconds)
    return end, number, stat()["timeout_send"] - before
def reads(rate, seconds):
    # A large buffer would be acknowledged at once, and then nothing for long.
    with Connection(receive_buffer=4096) as c:
        c.send(request("/large"))
        began, got = time.monotonic(), 0
        while time.monotonic() - began < seconds or got < rate * seconds // 2:
            due = int(rate * (time.monotonic() - began)) - got
            try:
                if due > 0:
                    octets_ = c.socket.recv(due)
                    if not octets_:
                        return "closed", time.monotonic() - began
                    got += len(octets_)
                else:
                    time.sleep(0.05)
            except ConnectionResetError:
                return "reset", time.monotonic() - began
        return "open", got
setting("send_timeout", "2")
setting("min_send_rate", "50000")
def is_reset(got):
    return got[0] == "reset" and got[1] >= 1 and got[2] == 1
def goes_on(got):
    return got[0] == "open" and got[1] >= 600000 and got[2] == 0
got = download(10000, 40)
true("a reader at a fifth of the rate is cut off, and counted", is_reset(got), got)
got = undisturbed(lambda: download(200000, 6), goes_on)
true("one at four times the rate is not", goes_on(got), got)
# With a small send buffer each bit that is read makes room for more, long before the time is over.
with open("/proc/sys/net/ipv4/tcp_wmem") as file:
    wmem = file.read()
with open("/proc/sys/net/ipv4/tcp_wmem", "w") as file:
    file.write("4096 16384 32768")
got = download(25000, 40)
true("nor does a small send buffer help a slow one", is_reset(got), got)
got = undisturbed(lambda: download(200000, 6), goes_on)
true("or harm a fast one", goes_on(got), got)
with open("/proc/sys/net/ipv4/tcp_wmem", "w") as file:
    file.write(wmem)
# Responses that are in the send buffer as a whole, and a connection that is idle, but for them.
setting("keepalive_timeout", "0")
before = stat()["timeout_send"]
with Connection(receive_buffer=4096) as c:
    began = time.monotonic()
    c.send(request("/a.txt") * 30)
    true("who takes no octet of what is sent already is cut off", wait_until(lambda: stat()["timeout_send"] == before + 1, 25), stat())
    true("not before the time", time.monotonic() - began >= 1.9)
def takes_little():
    """The lengths of what was sent now and then, and whether the connection may be idle after that."""
    with Connection(receive_buffer=4096) as c:
        lengths = []
        for _ in range(12):
            c.send(request("/a.txt"))
            lengths.append(len(c.response().body))
            time.sleep(0.5)
        return lengths, c.is_open(5)
taken = ([10000] * 12, True)
is_("who is sent little, and takes it, is not, nor who is idle", undisturbed(takes_little, lambda got: got == taken), taken)
setting("keepalive_timeout", "15")
setting("min_send_rate", "0")
got = undisturbed(lambda: download(10000, 6), lambda got: got[0] == "open" and got[2] == 0)
true("min_send_rate 0: the slow one is not", got[0] == "open" and got[2] == 0, got)
setting("min_send_rate", "240")
setting("send_timeout", "30")
END_OF_PYTHON

# Lines that are written one by one, as some shells do.
printf 'X-A: 1\nX-B: 2\n' >/proc/sys/net/http/extra_header
is "two lines in one write" "$(headers / | grep '^X-')" $'X-A: 1\nX-B: 2'
{ echo "X-C: 3"; echo "X-D: 4"; } >/proc/sys/net/http/extra_header
is "two writes to one open file" "$(headers / | grep '^X-')" $'X-C: 3\nX-D: 4'
echo >/proc/sys/net/http/extra_header
is "none" "$(headers / | grep '^X-')" ""

# ---- an error page that is not in memory

modprobe loop 2>/dev/null
truncate -s 32M "$tmp/image"
mkdir "$docroot/disk"
if mkfs.ext4 -q -F "$tmp/image" && mount -o loop "$tmp/image" "$docroot/disk"; then
	at_exit umount -l "$docroot/disk"
	chmod 755 "$docroot/disk"
	head -c 300000 /dev/urandom >"$docroot/disk/404.html"
	chmod 644 "$docroot/disk/404.html"
	sysctl_set error_pages "404=/disk/404.html 400=/disk/404.html"
	for state in cold warm; do
		[ $state = warm ] || { sync && echo 3 >/proc/sys/vm/drop_caches; }
		is "$state: the page of 404" "$(get /nothing | cksum)" "$(cksum <"$docroot/disk/404.html")"
	done
	sync && echo 3 >/proc/sys/vm/drop_caches
	sysctl_set error_pages "400=/disk/404.html 404=/disk/404.html 408=/disk/404.html 414=/disk/404.html 431=/disk/404.html 505=/disk/404.html"
	python_checks <<'END_OF_PYTHON'
import subprocess
from http_client import *

with open(os.path.join(docroot, b"disk/404.html"), "rb") as file:
    page = file.read()
# Time for whatever else.
sysctl("header_timeout", "100")

def cold(what, sent, code, method="GET", junk=b""):
    """What is no request is answered with a page that isn't in memory, once, and then the connection ends."""
    wanted = [code, True, str(len(page)), "closed"] + [1 if code != 408 else 0, 1]
    got = undisturbed(lambda: ask_cold(sent, code, method, junk), lambda got: got[:6] == wanted)
    is_("cold: %s, counted once" % what, got[:6] if isinstance(got, list) else got, wanted)
    true("cold: %s, by a work item" % what, isinstance(got, list) and got[6] > 0, got)

def ask_cold(sent, code, method, junk):
    subprocess.run("sync && echo 3 >/proc/sys/vm/drop_caches", shell=True, check=True)
    before = stat()
    with Connection() as c:
        c.send(sent)
        if junk:
            time.sleep(0.01)
            c.send(junk)
        r = c.response(method)
        got = [r.status, r.body == (b"" if method == "HEAD" else page), r.get("Content-Length"), c.end()]
    after = stat()
    return got + [after[n] - before[n] for n in ("requests", "responses_%d" % code, "deferred_lookup")]

cold("a malformed request", b"GET / HTTP/1.1\r\n\r\n", 400)
cold("a malformed request with more behind", b"GET / HTTP/1.1\r\n\r\n" + request("/a.txt") * 20, 400)
cold("a malformed request with more to come", b"GET / HTTP/1.1\r\n\r\n", 400, junk=request("/a.txt") * 20)
cold("a malformed HEAD", b"HEAD / HTTP/1.1\r\n\r\n", 400, "HEAD")
cold("a malformed chunk", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", 400)
sysctl("header_timeout", "1")
cold("a request that takes too long", b"GET / HTTP/1.1\r\n", 408)
cold("a HEAD that takes too long", b"HEAD / HTTP/1.1\r\n", 408, "HEAD")
sysctl("header_timeout", "100")
cold("a target that is too long", b"GET /" + b"a" * 5000, 414)
cold("a head that is too long", b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 9000, 431)
cold("another version", b"GET / HTTP/2.0\r\n\r\n", 505)
sysctl("header_timeout", "10")
for _ in range(20):
    with Connection() as c:
        c.send(b"GET / HTTP/1.1\r\n\r\n")
        c.reset()
true("who doesn't wait for the page is forgotten", wait_until(lambda: stat()["connections_open"] == 0), stat())
END_OF_PYTHON
	sync && echo 3 >/proc/sys/vm/drop_caches
	is "cold: HEAD" "$(status /nothing --head)" 404
	sysctl_set error_pages 404=/404.html
	check "it can be unmounted" wait_for 10 umount "$docroot/disk"
else
	skip "a cold error page" "no loop device"
fi

# ---- a table of media types that is named when the module is loaded

unload
echo 'text/x-loaded weird' >"$tmp/types"
load "mime_types=$tmp/types"
like "mime_types=" "$(headers /h.weird)" "^Content-Type: text/x-loaded; charset=utf-8$"
is "its name is shown" "$(sysctl_get mime_types)" "$tmp/types"
unload
echo 'nonsense weird' >"$tmp/types"
if try_load "mime_types=$tmp/types"; then
	not_ok "a bad table is refused"
else
	ok "a bad table is refused"
	like "the log says why" "$(dmesg | tail -n 5)" "mime_types=$tmp/types: line 1: not a media type"
fi

done_testing
