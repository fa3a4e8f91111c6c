#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What brought down, or made lie, the servers before this one: each attack or mistake once, by its
# name, against this server. Documentation/security.rst has the list.

. "$(dirname "$0")/lib.sh"

echo index >"$docroot/index.html"
seq 3000 >"$docroot/numbers.txt"
load

python_checks <<'END_OF_PYTHON'
from http_client import *
import errno
import json
import os
import random

numbers = open(os.path.join(docroot, b"numbers.txt"), "rb").read()
index = b"index\n"

def served(name):
    r = ask("/")
    is_(name + ": the server goes on", (r.status, r.body), (200, index))

def refused(name, octets, status, reason):
    """It is refused with this status, for this reason alone, and nothing behind it is answered."""
    before = stat()
    with Connection() as c:
        c.send(octets)
        c.send(request("/numbers.txt"))
        r = c.response()
        got = r and r.status, c.end()
    after = stat()
    reasons = {k[len("bad_request_"):]: after[k] - before[k] for k in after if k.startswith("bad_request_") and after[k] != before[k]}
    is_(name, (got, reasons), ((status, "closed"), {reason: 1}))

# ---- octets that did not fit

# CVE-2001-0852: TUX 2.1.0 copied Host into a buffer on the stack.
for length in 255, 256, 1000, 4096, 7000:
    r = ask("/", host="a" * length)
    true("Host of %d octets" % length, r.status in (200, 400) and r.body != b"", r)
for length in 10000, 100000:
    refused("Host of %d octets" % length, request("/", host="a" * length), 431, "head_too_long")

# khttpd of sysprog21: strncat() of each piece of the target into 128 octets.
for length in 126, 127, 128, 129, 255, 256, 257, 4000:
    with Connection() as c:
        octets = request("/" + "a" * length)
        c.send_in_pieces(octets, *range(7, len(octets), max(7, len(octets) // 20)))
        # A name of more than 255 octets is no file of any file system.
        is_("a target of %d octets in pieces" % length, c.response().status, 404)
refused("a target of 5000 octets", request("/" + "a" * 5000), 414, "target_too_long")

# CVE-2026-47291: HTTP.sys counted the octets of a head in 16 bits.
old = sysctl("max_header_len").split()[0]
is_("max_header_len of 65536", sysctl("max_header_len", "65536"), 0)
frame = len(request("/", "X: "))
for length in 65534, 65535, 65536:
    r = ask("/", *["X: " + "a" * (length - frame - len("Connection: close\r\n"))])
    is_("a head of %d octets" % length, (r.status, r.body), (200, index))
for length in 65537, 65538, 65536 + 300, 131072, 131073:
    refused("a head of %d octets" % length, request("/", "X: " + "a" * (length - frame)), 431, "head_too_long")
refused("65,535 fields", b"GET / HTTP/1.1\r\nHost: a\r\n" + b"a:\r\n" * 65535 + b"\r\n", 431, "too_many_fields")
sysctl("max_header_len", old)

# TUX 3 wrote a NUL behind what was written to its files in /proc, and had room for 256 extensions.
for knob in "documentroot", "extra_header", "mime_types", "404_page", "cache_control", "charset", "error_pages":
    for length in 255, 256, 4095, 4096, 4097, 65536:
        got = sysctl(knob, "a" * length)
        # 404_page names a file, which need not be there.
        true("%d octets for %s" % (length, knob), got in (errno.EINVAL, errno.ENOENT, errno.ENAMETOOLONG)
             or got == 0 and knob == "404_page" and sysctl(knob) == "/" + "a" * length + "\n", got)
sysctl("404_page", "/404.html")
before = sysctl("documentroot")
is_("a NUL in a sysctl", sysctl("documentroot", b"/\0tmp") != 0 or sysctl("documentroot") == before, True)
served("settings that are no settings")

# ---- numbers that went around

# CVE-2015-1635 (MS15-034): the end of a range plus one was 0.
size = len(numbers)
for value, status, octets in (
    ("bytes=0-18446744073709551615", 206, numbers),
    ("bytes=18-18446744073709551615", 206, numbers[18:]),
    ("bytes=%d-18446744073709551615" % (size - 1), 206, numbers[-1:]),
    ("bytes=%d-18446744073709551615" % size, 416, None),
    ("bytes=18446744073709551615-18446744073709551615", 416, None),
    ("bytes=-18446744073709551615", 206, numbers),
    ("bytes=0-18446744073709551616", 206, numbers),
    ("bytes=0-" + "9" * 200, 206, numbers),
    ("bytes=9223372036854775807-9223372036854775808", 416, None),
):
    r = ask("/numbers.txt", "Range: " + value)
    # A position that no file can have may also void the whole field.
    true("Range: %s" % value[:60], (r.status, r.body) == (status, octets) if octets else r.status in (416, 200) and (r.status == 416 or r.body == numbers), r)
# CVE-2011-3192: many ranges that overlap, of a file in memory.
r = ask("/numbers.txt", "Range: bytes=0-," + ",".join("5-%d" % i for i in range(5, 1000)))
true("a thousand ranges that overlap are not a thousand files", len(r.body) <= 2 * size, len(r.body))
# CVE-2013-2028: nginx took the size of a chunk for a signed number.
for size_line in b"ffffffffffffffff", b"fffffffffffffffe", b"8000000000000000", b"10000000000000000", b"-1", b"0x5", b"f" * 100:
    with Connection() as c:
        c.send(request("/", "Transfer-Encoding: chunked", method="GET") + size_line + b"\r\n" + b"GET /numbers.txt HTTP/1.1\r\nHost: a\r\n\r\n")
        c.half_close()
        r = c.response()
        true("a chunk of %r: nothing behind it is a request" % size_line[:20], r is None or r.body != numbers and numbers not in bytes(c.unread), r)
for value in "18446744073709551616", "9" * 100:
    refused("Content-Length: %s" % value[:30], request("/", "Content-Length: " + value), 413, "content_length_too_large")
for value in "-1", "+5", "0x10", "5, 6", "1e3":
    refused("Content-Length: %s" % value[:30], request("/", "Content-Length: " + value), 400, "invalid_content_length")
served("numbers")

# ---- lists that were freed twice, fields that were not set

# CVE-2021-31166 and CVE-2022-21907: Accept-Encoding with an empty element after an unknown one.
for value in "doar-e, ftw, imo, ,", "AAAA, *, ,", ", ,,", "," * 4000, "a" * 4000, ";q=1, ;;", "gzip;q=0.5;q=0.6, " * 200:
    r = ask("/", "Accept-Encoding: " + value)
    is_("Accept-Encoding: %s" % value[:30], (r.status, r.body), (200, index))
with Connection() as c:
    c.send(request("/", "Transfer-Encoding: chunked", "Trailer: X", "Accept-Encoding: a, ,",
                   body=chunked(b"abc", trailers=b"".join(b"X%d: %s\r\n" % (i, b"y" * 50) for i in range(50)))) + request("/numbers.txt"))
    r = c.response()
    is_("trailers", (r.status, r.body, c.response().body), (200, index, numbers))

# ---- what a request is

# TUX 3 left the content of a GET in the stream, did not know Transfer-Encoding, and took the names of fields for case-sensitive.
smuggled = b"GET /numbers.txt HTTP/1.1\r\nHost: a\r\n\r\n"
for name, fields, body in (
    ("content of a GET", ("Content-Length: %d" % len(smuggled),), smuggled),
    ("content of a GET, in capitals", ("CONTENT-LENGTH: %d" % len(smuggled),), smuggled),
    ("chunks of a GET", ("tRANSFER-eNCODING: Chunked",), chunked(smuggled)),
):
    with Connection() as c:
        c.send(request("/", *fields, body=body) + request("/nothing", "Connection: close"))
        is_(name, [c.response().status, c.response().status, c.end()], [200, 404, "closed"])
refused("both lengths", request("/", "Content-Length: 5", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"), 400, "two_lengths")

# TUX 3 sent content with the errors of HEAD, Connection: Keep-Alive whatever was asked, and one ETag for all codings, without Vary.
with Connection() as c:
    c.send(request("/nothing", method="HEAD") + request("/%zz", method="HEAD") + request("/"))
    is_("HEAD and errors", [c.response("HEAD").status, c.response("HEAD").status, c.response().body], [404, 400, index])
r = ask("/")
is_("Connection", r.get("Connection"), "close")
put("b.txt", b"plain")
put("b.txt.gz", b"packed")
os.utime(os.path.join(docroot, b"b.txt.gz"))
pair = [ask("/b.txt", "Accept-Encoding: " + a) for a in ("identity", "gzip")]
true("codings have ETags of their own", pair[0].get("ETag") != pair[1].get("ETag"), pair)
is_("and Vary", [r.get("Vary") for r in pair], ["Accept-Encoding"] * 2)

# Servers with a cache of open files sent one coding for the other every other time.
with Connection() as c:
    c.send(b"".join(request("/b.txt", "Accept-Encoding: " + a) for a in ("gzip", "identity") * 20))
    is_("codings in turns", [c.response().body for _ in range(40)], [b"packed", b"plain"] * 20)

# A sibling older than the file was sent for it for ever.
os.utime(os.path.join(docroot, b"b.txt.gz"), (1, 1))
is_("a stale sibling", ask("/b.txt", "Accept-Encoding: gzip").body, b"plain")

# ETags of time and size: a store in which all is of the same second and length.
path = put("same.txt", b"old")
os.utime(path, (1, 1))
old = ask("/same.txt").get("ETag")
put("same.txt", b"new")
os.utime(path, (1, 1))
r = ask("/same.txt", "If-None-Match: " + old)
is_("the same second, the same size", (r.status, r.body), (200, b"new"))

# ---- names

# kHTTPd read past a percent sign at the end, ended names at %00, and opened a file before it looked for "..".
for target, status in (("/%", 400), ("/%4", 400), ("/index.html%", 400), ("/index.html%00", 400), ("/index.html%00.txt", 400),
                       ("/..", 400), ("/../etc/passwd", 400), ("/%2e%2e/etc/passwd", 400), ("/..%2fetc/passwd", None), ("/.%00./etc/passwd", 400),
                       ("/a/../../etc/passwd", 400), ("//etc/passwd", 404), ("/%c0%ae%c0%ae/etc/passwd", 404), ("/..\\..\\etc\\passwd", 404)):
    r = ask(target)
    true("the target %s" % target, r.status == status if status else r.status in (400, 404), r)
    true("and nobody's password", b"root:" not in r.body, r)
served("names")

# TUX 3 wrote names of files into listings as they are.
sysctl("http_dir_indexing", "1")
evil = "<img src=x onerror=alert(1)>\"'&.txt"
put("listed/" + evil, b"x")
put("listed/javascript:alert(1)", b"x")
html = ask("/listed/", "Accept: text/html").body
true("a name is no markup", b"<img" not in html and b'"\'&' not in html, html)
true("nor a scheme", b'href="javascript:' not in html and b"href='javascript:" not in html, html)
r = ask("/listed/", "Accept: application/json")
true("and is whole in JSON", evil in json.dumps(json.loads(r.body), ensure_ascii=False).replace('\\"', '"'), r.body)
sysctl("http_dir_indexing", "0")

# ---- service

# kHTTPd answered everything with 403, and did not say why: each refusal is counted under a name of its own.
for octets in (b"GET / HTTP/1.1\r\n\r\n", b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
               b"GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n",
               b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/1.1\nHost: a\n\n", b"get / http/1.1\r\nHost: a\r\n\r\n"):
    before = stat()
    with Connection() as c:
        c.send(octets)
        r = c.response()
    after = stat()
    grown = [k for k in after if k.startswith("bad_request_") and after[k] > before[k]]
    true("%r is refused for a reason" % octets[:40], r is not None and r.status >= 400 and (len(grown) == 1 or r.status == 501), r, grown)

# A reload that fails left Tempesta without a listener: a setting that is refused changes nothing.
for knob, value in (("documentroot", "/nowhere"), ("documentroot", "relative"), ("serverport", "0"), ("serverport", "70000"), ("address", "nobody")):
    got = sysctl(knob, value)
    true("%s=%s is refused" % (knob, value), got in (errno.EINVAL, errno.ENOENT, errno.ERANGE), got)
served("settings that are refused")

# A mass of requests in one segment, with one that is wrong in the middle (Tempesta's parser had BUG_ON()).
rng = random.Random(1)
for round in range(50):
    octets = bytearray(request("/") * 8)
    for _ in range(rng.randrange(1, 6)):
        octets[rng.randrange(len(octets))] = rng.randrange(256)
    with Connection() as c:
        c.send(octets)
        c.half_close()
        while c.more():
            pass
served("requests with octets changed by chance")
END_OF_PYTHON

# HP's server could not be removed while it was busy, Solaris wanted a reboot for a setting.
exec 5<>"/dev/tcp/127.0.0.1/$port"
printf 'GET / HTTP/1.1\r\nHost: a\r\n' >&5
unload
exec 5<&-

done_testing
