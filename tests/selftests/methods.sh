#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Methods: which are served, which refused, and that HEAD is GET without content.

. "$(dirname "$0")/lib.sh"

echo index >"$docroot/index.html"
echo hello >"$docroot/a.txt"
: >"$docroot/empty.bin"
mkdir "$docroot/dir"
echo secret >"$docroot/secret.txt"
chmod 600 "$docroot/secret.txt"
truncate -s 3M "$docroot/large"
load

python_checks <<'END_OF_PYTHON'
from http_client import *

allow = "GET, HEAD, OPTIONS"

# ---- HEAD

for target, fields, status in (
    ("/", [], 200), ("/a.txt", [], 200), ("/empty.bin", [], 200), ("/large", [], 200),
    ("/dir", [], 301), ("/dir/", [], 403), ("/secret.txt", [], 403), ("/nothing", [], 404),
    ("/%zz", [], 400), ("/%2f", [], 404), ("/a.txt", ["If-None-Match: *"], 304),
    ("/a.txt", ["If-Match: \"x\""], 412), ("/a.txt", ["Expect: x"], 417),
):
    with Connection() as c:
        c.send(request(target, *fields))
        get = c.response()
        c.send(request(target, *fields, method="HEAD") + request("/a.txt", "X: y"))
        head = c.response("HEAD")
        behind = c.response()
        get.fields = [(n, "" if n == "Date" else v) for n, v in get.fields]
        head.fields = [(n, "" if n == "Date" else v) for n, v in head.fields]
        is_("HEAD %s %s: status" % (target, fields), (get.status, head.status), (status, status))
        is_("HEAD %s %s: the fields of GET" % (target, fields), head.fields, get.fields)
        is_("HEAD %s %s: no content" % (target, fields), behind.body, b"hello\n")

# What is refused unread is no GET either.
for name, octets_, status in (
    ("a field line without a colon", request("/a.txt", "nonsense", method="HEAD"), 400),
    ("no Host", request("/a.txt", method="HEAD", host=None), 400),
    ("empty lines before", b"\r\n\r\n" + request("/a.txt", "Content-Length: x", method="HEAD"), 400),
    ("another version", request("/a.txt", method="HEAD", version="HTTP/2.0"), 505),
    ("a target that is too long", request("/" + "a" * 5000, method="HEAD"), 414),
    ("a head that is too long", request("/a.txt", "X: " + "a" * 9000, method="HEAD"), 431),
    ("an unknown transfer coding", request("/a.txt", "Transfer-Encoding: x, chunked", method="HEAD"), 501),
    ("a Content-Length that is too large", request("/a.txt", "Content-Length: 1048577", method="HEAD"), 413),
    ("a Location that is too long", request("/dir?" + "\"" * 2000, method="HEAD"), 414),
    ("a chunked body that is wrong", request("/a.txt", "Transfer-Encoding: chunked", method="HEAD", body=b"x\r\n"), 400),
):
    with Connection() as c:
        c.send(octets_)
        r = c.response("HEAD")
        true("HEAD, %s: the fields of content" % name, r.status == status and int(r.get("Content-Length")) > 0, r)
        is_("HEAD, %s: no content" % name, c.end(), "closed")

# ---- OPTIONS

for target in "/a.txt", "/", "/nothing", "*", "/dir":
    with Connection() as c:
        c.send(request(target, method="OPTIONS") + request("/a.txt"))
        r = c.response()
        is_("OPTIONS %s" % target, (r.status, r.get("Allow"), r.get("Content-Length")), (204, allow, None))
        is_("OPTIONS %s: the connection stays" % target, c.response().status, 200)

# ---- others

for method in "POST", "PUT", "DELETE", "PATCH", "TRACE":
    for target in "/a.txt", "/nothing":
        with Connection() as c:
            c.send(request(target, "X-Canary: tweet", method=method) + request("/a.txt"))
            r = c.response()
            is_("%s %s: 405 with Allow" % (method, target), (r.status, r.get("Allow")), (405, allow))
            true("%s %s: nothing is reflected" % (method, target), b"tweet" not in r.body)
            is_("%s %s: the connection stays" % (method, target), c.response().body, b"hello\n")

with Connection() as c:
    c.send(request("localhost:80", method="CONNECT") + request("/a.txt"))
    r = c.response()
    is_("CONNECT: 405 with Allow", (r.status, r.get("Allow")), (405, allow))
    is_("CONNECT: what follows is not read as a request", c.end(), "closed")

for method in "BREW", "get", "Get", "PROPFIND", "GETGET", "A" * 32, "!#$%&'*+-.^_`|~":
    with Connection() as c:
        c.send(request("/a.txt", method=method) + request("/a.txt"))
        r = c.response()
        is_("%s: 501" % method, r.status, 501)
        is_("%s: the connection stays" % method, c.response().body, b"hello\n")

r = ask("*", method="GET")
is_("an asterisk is for OPTIONS only", r.status, 400)

# ---- a HEAD that isn't whole in time

sysctl("header_timeout", "1")
def too_late(method):
    with Connection() as c:
        c.send(method + b" /a.txt HTTP/1.1\r\n")
        r = c.response(method.decode())
        return r.status, b"408" in r.body, c.end()
for method, wanted in (b"HEAD", (408, False, "closed")), (b"GET", (408, True, "closed")):
    is_("%s: a time-out has content unless it is of a HEAD" % method.decode(), undisturbed(lambda: too_late(method), lambda got: got == wanted), wanted)
END_OF_PYTHON

done_testing
