#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# How requests lie in the stream: persistence, pipelining, pieces, bodies, and
# what is refused because it can't be told where a request ends.

. "$(dirname "$0")/lib.sh"

echo index >"$docroot/index.html"
for n in 1 2 3 4 5 6 7 8; do
	echo "this is file $n" >"$docroot/$n.txt"
done
echo EVIL >"$docroot/evil.txt"
load

python_checks <<'END_OF_PYTHON'
from http_client import *

def text(n):
    return b"this is file %d\n" % n

# ---- persistence

with Connection() as c:
    c.send(request("/1.txt"))
    r = c.response()
    is_("HTTP/1.1: the first request is answered", (r.status, r.body), (200, text(1)))
    is_("HTTP/1.1 persists without a Connection field", r.get("Connection"), None)
    c.send(request("/2.txt"))
    is_("HTTP/1.1: a second request is answered", c.response().body, text(2))
    c.send(request("/3.txt", "Connection: close"))
    r = c.response()
    is_("Connection: close is answered by the same", (r.body, r.get("Connection")), (text(3), "close"))
    is_("Connection: close: the connection is closed", c.end(), "closed")

for value in ("Close", "foo, close", "keep-alive,close ,", "close\r\nConnection: keep-alive"):
    with Connection() as c:
        c.send(request("/1.txt", "Connection: " + value) + request("/2.txt"))
        r = c.response()
        is_("Connection: %r closes" % value, (r.body, r.get("Connection"), c.end()), (text(1), "close", "closed"))

with Connection() as c:
    c.send(request("/1.txt", version="HTTP/1.0", host=None))
    r = c.response()
    is_("HTTP/1.0 is answered without Host", r.body, text(1))
    is_("HTTP/1.0 does not persist", (r.get("Connection"), c.end()), ("close", "closed"))

with Connection() as c:
    for n in 1, 2, 3:
        c.send(request("/%d.txt" % n, "Connection: keep-alive", version="HTTP/1.0"))
        r = c.response()
        is_("HTTP/1.0 with keep-alive persists, request %d" % n, (r.body, r.get("Connection")), (text(n), "keep-alive"))

with Connection() as c:
    c.send(request("/1.txt", version="HTTP/1.7") * 2)
    is_("a later minor version is served as 1.1", [c.response().body, c.response().body], [text(1)] * 2)

# ---- pipelining

with Connection() as c:
    c.send(b"".join(request("/%d.txt" % n) for n in range(1, 9)))
    is_("8 requests in one segment are answered in order", [c.response().body for _ in range(8)], [text(n) for n in range(1, 9)])
    true("and the connection stays", c.is_open())

with Connection() as c:
    c.send(b"".join(request("/%d.txt" % (n % 8 + 1)) for n in range(200)))
    got = [c.response().body for _ in range(200)]
    is_("200 requests at once are answered in order", got, [text(n % 8 + 1) for n in range(200)])

with Connection() as c:
    c.send(request("/1.txt") + request("/nothing") + request("/2.txt", method="HEAD") + request("/", method="POST")
           + request("/3.txt", method="OPTIONS") + request("/%zz") + request("/4.txt"))
    got = [c.response("HEAD" if n == 2 else "GET").status for n in range(7)]
    is_("good and bad ones in one segment are all answered", got, [200, 404, 200, 405, 204, 400, 200])

# ---- pieces

whole = request("/5.txt", "Accept: */*", "X-Empty:", "User-Agent: test")
with Connection() as c:
    c.send_in_pieces(whole, *range(1, len(whole)))
    is_("a request that comes octet by octet is answered", c.response().body, text(5))

bodies = (
    ("a request", request("/5.txt", "X: y")),
    ("a request after empty lines", b"\r\n\r\n" + request("/5.txt")),
    ("a request with a body", request("/5.txt", "Content-Length: 9", body=b"GET / HTT")),
    ("a request with a chunked body", request("/5.txt", "Transfer-Encoding: chunked",
        body=b"5;a=\"b\"\r\nGET /\r\n0\r\nX: y\r\n\r\n")),
)
for name, whole in bodies:
    wrong = []
    with Connection() as c:
        for cut in range(1, len(whole)):
            c.send_in_pieces(whole, cut)
            r = c.response()
            if (r.status, r.body) != (200, text(5)):
                wrong.append((cut, r))
                break
        c.send(request("/6.txt"))
        if not wrong and c.response().body != text(6):
            wrong = "the request behind"
    is_("%s may be cut at any octet" % name, wrong, [])

both = request("/7.txt") + request("/8.txt")
wrong = []
with Connection() as c:
    for cut in range(1, len(both)):
        c.send_in_pieces(both, cut)
        if (c.response().body, c.response().body) != (text(7), text(8)):
            wrong.append(cut)
            break
is_("two requests may be cut at any octet", wrong, [])

for n in range(5):
    with Connection() as c:
        c.send(b"\r\n" * n + request("/1.txt"))
        is_("%d empty lines before a request are ignored" % n, c.response().body, text(1))
with Connection() as c:
    c.send(b"\r\n" * 5 + request("/1.txt"))
    is_("more empty lines are not", (c.response().status, c.end()), (400, "closed"))

# ---- bodies

evil = request("/evil.txt")
for name, fields, body in (
    ("Content-Length", ["Content-Length: %d" % len(evil)], evil),
    ("Content-Length of 0", ["Content-Length: 0"], b""),
    ("Content-Length, 900 KB", ["Content-Length: 900000"], (evil * 40000)[:900000]),
    ("chunked", ["Transfer-Encoding: chunked"], chunked(evil)),
    ("chunked, no chunks", ["Transfer-Encoding: chunked"], chunked()),
    ("Chunked, many chunks", ["transfer-encoding: Chunked"], chunked(*[evil] * 500)),
    ("chunked, extensions and trailers", ["Transfer-Encoding: chunked"],
        b"3;a;b=c;d=\"e\\\"f\"\r\nGET\r\n000\r\nX-Trailer: y\r\nContent-Length: 99\r\n\r\n"),
):
    for method, status in (("GET", 200), ("POST", 405), ("GET", 404), ("GET", 304)):
        target = "/nothing" if status == 404 else "/1.txt"
        with Connection() as c:
            condition = ["If-None-Match: *"] if status == 304 else []
            c.send(request(target, *fields, *condition, method=method, body=body))
            c.send(request("/2.txt"))
            first, second = c.response(), c.response()
            is_("%s %d with a body (%s): the next request is answered right" % (method, status, name),
                (first.status, second.status, second.body), (status, 200, text(2)))
            if not c.is_open(0.05):
                not_ok("and nothing else", c.end())

with Connection() as c:
    c.send(request("/1.txt", "Content-Length: 10"))
    is_("the response does not wait for the body", c.response().body, text(1))
    time.sleep(0.1)
    c.send(b"0123456789" + request("/2.txt"))
    is_("the body may come later", c.response().body, text(2))

with Connection() as c:
    c.send(request("/1.txt", "Content-Length: 10", body=b"012"))
    c.half_close()
    is_("a body that breaks off ends the connection", (c.response().body, c.end()), (text(1), "closed"))

with Connection() as c:
    c.send(request("/1.txt", "Content-Length: 4", "Connection: close", body=b"body") + evil)
    is_("a body on the last request is not read as a request", (c.response().body, c.end()), (text(1), "closed"))

# ---- what is refused, after which the connection ends

def refused(name, octets, status, statuses_before=()):
    with Connection() as c:
        c.send(octets + evil)
        got = []
        for _ in statuses_before:
            got.append(c.response().status)
        r = c.response()
        end = c.end()
        is_("%s: %d" % (name, status), (tuple(got), r and r.status, end), (tuple(statuses_before), status, "closed"))
        if r:
            wrong = []
            if r.get("Connection") != "close":
                wrong.append("no Connection: close")
            if r.get("Content-Type") != "text/html; charset=utf-8" or b"<h1>%d " % status not in r.body:
                wrong.append("no HTML")
            if r.get("Date") is None or r.get("Server") is None:
                wrong.append("no Date or Server")
            if wrong:
                not_ok("%s: the response is whole" % name, wrong, r)

def field(line, body=b""):
    return request("/1.txt", line, body=body)

for value in ("-1", "+5", "0x5", "1e3", "", "5 5", "5, 5", "5,", "5;", "\"5\"", "5.0", "\u0665"):
    refused("Content-Length: %s" % ascii(value), field("Content-Length: " + value), 400)
refused("two Content-Lengths", field("Content-Length: 5\r\nContent-Length: 5"), 400)
refused("Content-Length and Transfer-Encoding", field("Content-Length: 5\r\nTransfer-Encoding: chunked"), 400)
refused("Transfer-Encoding and Content-Length", field("Transfer-Encoding: chunked\r\nContent-Length: 5"), 400)
refused("Content-Length beyond 64 bits", field("Content-Length: 18446744073709551616"), 413)
refused("Content-Length, the longest", field("Content-Length: 18446744073709551615"), 413)
refused("Content-Length of 1 MiB and 1", field("Content-Length: 1048577"), 413)
for value, status in (("gzip", 400), ("identity", 400), ("chunked, gzip", 400), ("chunked, chunked", 400), ("chunked;q=1", 400),
                      ("", 400), ("xchunked", 400), ("chunked\x0b", 400), ("gzip, chunked", 501), ("x\r\nTransfer-Encoding: chunked", 501)):
    refused("Transfer-Encoding: %r" % value, field("Transfer-Encoding: " + value), status)
refused("Transfer-Encoding in HTTP/1.0", request("/1.txt", "Transfer-Encoding: chunked", version="HTTP/1.0"), 400)
refused("white space before the colon", field("Content-Length : 5"), 400)
refused("a folded line", field("X: a\r\n b"), 400)
refused("white space before the first field", b"GET /1.txt HTTP/1.1\r\n X: y\r\nHost: a\r\n\r\n", 400)
refused("a field line without a colon", field("nonsense"), 400)
refused("a field line without a name", field(": x"), 400)
refused("a field name with an octet of none", field("a(b: x"), 400)
refused("NUL in a field value", field("X: a\0b"), 400)
refused("a control octet in a field value", field("X: a\x07b"), 400)
refused("CR in a field value", field("X: a\rb"), 400)
refused("lines that end in LF", b"GET /1.txt HTTP/1.1\nHost: a\n\n", 400)
refused("an empty line that is LF", b"GET /1.txt HTTP/1.1\r\nHost: a\r\n\n", 400)
refused("no Host", request("/1.txt", host=None), 400)
refused("two Hosts", field("Host: localhost"), 400)
refused("an invalid Host", request("/1.txt", host="a b"), 400)
refused("a Host with user information", request("/1.txt", host="a@b"), 400)
refused("HTTP/0.9", b"GET /1.txt\r\n", 400)
for version, status in (("HTTP/2.0", 505), ("HTTP/0.9", 505), ("HTTP/9.9", 505), ("http/1.1", 400), ("HTTP/1.10", 400), ("HTTP/1", 400),
                        ("HTTP/1,1", 400), ("HTTPS/1.1", 400), ("HTTP/1.1 ", 400), (" HTTP/1.1", 400)):
    refused("version %r" % version, request("/1.txt", version=version), status)
refused("two spaces before the target", request(" /1.txt"), 400)
refused("a space before the method", b" " + request("/1.txt"), 400)
refused("a fragment", request("/1.txt#a"), 400)
refused("an octet in the target that is not ASCII", request("/\u00e9.txt"), 400)
refused("a control octet in the target", request("/1\t.txt"), 400)
refused("a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(32)), 400)
refused("noise", bytes(range(128, 256)) * 4, 400)
refused("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505)
refused("a target of 5000 octets", request("/" + "a" * 5000), 414)
refused("a target without an end", b"GET /" + b"a" * 9000, 414)
refused("a field line of 9000 octets", field("X: " + "a" * 9000), 431)
refused("101 field lines", request("/1.txt", *["X: y"] * 100), 431)
refused("a method of 33 octets", request("/1.txt", method="A" * 33), 501)
refused("another expectation with a body", field("Expect: nonsense\r\nContent-Length: 3", b"abc"), 417)

with Connection() as c:
    c.send(request("/1.txt", *["X: y"] * 99))
    is_("100 field lines are served", c.response().status, 200)
    c.send(request("/1.txt", "X: " + "a" * (8192 - len(request("/1.txt", "X: ")))))
    is_("a head of 8192 octets is served", c.response().status, 200)
    c.send(request("/1.txt", "X: " + "a" * (8193 - len(request("/1.txt", "X: ")))))
    is_("one of 8193 octets is not", (c.response().status, c.end()), (431, "closed"))

with Connection() as c:
    c.send(request("/1.txt", "Expect: nonsense"))
    is_("another expectation without a body: 417", c.response().status, 417)
    c.send(request("/1.txt"))
    is_("and the connection stays", c.response().status, 200)

with Connection() as c:
    c.send(request("/1.txt", "Expect: 100-continue", "Content-Length: 5"))
    r = c.response()
    is_("Expect: 100-continue: the final response comes at once", (r.status, r.get("Connection"), c.end()), (200, "close", "closed"))

# A chunked body that is wrong: whatever follows is not a request. It is refused if it came with its
# head; else the request may have been answered before.
for name, body in (
    ("a size that is none", b"x\r\n"), ("no size", b"\r\n"), ("a size with a sign", b"-1\r\n"), ("a size in 0x", b"0x5\r\nhello\r\n0\r\n\r\n"),
    ("a size beyond 64 bits", b"10000000000000000\r\n"), ("LF after the size", b"5\nhello\r\n0\r\n\r\n"),
    ("data that is too long", b"3\r\nhello\r\n0\r\n\r\n"), ("LF after the data", b"5\r\nhello\n0\r\n\r\n"),
    ("LF at the end", b"0\r\n\n"), ("a trailer without a colon", b"0\r\nX\r\n\r\n"), ("a folded trailer", b"0\r\nX: y\r\n z\r\n\r\n"),
    ("a chunk line of 2000 octets", b"5;" + b"a" * 2000 + b"\r\nhello\r\n0\r\n\r\n"),
):
    status = 413 if "64 bits" in name else 400
    refused("a chunked body with %s" % name, request("/1.txt", "Transfer-Encoding: chunked", body=body), status)
    with Connection() as c:
        c.send(request("/1.txt", "Transfer-Encoding: chunked"))
        is_("%s, later: the request is answered" % name, c.response().body, text(1))
        c.send(body + evil)
        is_("%s, later: the connection ends" % name, c.end(), "closed")
END_OF_PYTHON

done_testing
