#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Ranges: which octets of a file are sent for a Range, as one part or several,
# and when it is not heeded.

. "$(dirname "$0")/lib.sh"

load

cat >"$tmp/ranges.py" <<'END_OF_PYTHON'
import email
import random
import re
from http_client import *


def octets_of(name, size):
    """A file of so many octets that no two places of look alike."""
    content = random.Random(name).randbytes(size)
    put(name, content)
    return content


def parts_of(response):
    """The parts of a multipart: pairs of Content-Range and octets, read by two readers."""
    media_type, _, boundary = response.get("Content-Type").partition("; boundary=")
    if media_type != "multipart/byteranges" or not re.fullmatch("[0-9A-Za-z'()+_,./:=?-]{1,70}", boundary):
        raise Malformed(response)
    delimiter = b"--" + boundary.encode() + b"\r\n"
    end = b"\r\n--" + boundary.encode() + b"--\r\n"
    if not response.body.startswith(delimiter) or not response.body.endswith(end):
        raise Malformed(response.body[:300], response.body[-100:])
    found = []
    for part in response.body[len(delimiter):-len(end)].split(b"\r\n" + delimiter):
        head, separator, content = part.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        if not separator or sorted(fields) != ["Content-Range", "Content-Type"]:
            raise Malformed(part[:300])
        found.append((fields["Content-Range"], content))
    message = email.message_from_bytes(b"Content-Type: %s\r\n\r\n" % response.get("Content-Type").encode() + response.body)
    again = [(part["Content-Range"], part.get_payload(decode=True)) for part in message.get_payload()]
    if again != found or message.defects or message.preamble or message.epilogue:
        raise Malformed("two readers see different parts", again, found)
    return found


def sent(response):
    """What was sent: pairs of Content-Range and octets; the status, if it is no 206."""
    if response.status != 206:
        return response.status
    if response.get("Content-Range"):
        return [(response.get("Content-Range"), response.body)]
    return parts_of(response)


def wanted(content, *places):
    """The same as it should be: of these places, pairs of the first and the last octet."""
    return [("bytes %d-%d/%d" % (first, last, len(content)), content[first:last + 1]) for first, last in places]
END_OF_PYTHON

# with_ranges: as python_checks, with ranges.py.
with_ranges() {
	python_checks < <(
		echo 'import os, sys; sys.path.insert(0, os.environ["tmp"])'
		echo 'from ranges import *'
		cat
	)
}

with_ranges <<'END_OF_PYTHON'
SIZE = 300000
a = octets_of("a.bin", SIZE)
small = octets_of("small.txt", 10)
medium = octets_of("medium.txt", 200)
one = octets_of("one.bin", 1)
put("empty.bin", "")
os.utime(os.path.join(docroot, b"a.bin"), (1583019296, 1583019296))
LAST = SIZE - 1

def ranges(value, *fields, target="/a.bin", **more):
    return ask(target, "Range: " + value, *fields, **more)

# ---- one

whole = ask("/a.bin")
is_("without Range", (whole.status, whole.get("Accept-Ranges"), whole.get("Content-Range"), whole.body == a), (200, "bytes", None, True))
for value, first, last in (
        ("bytes=0-0", 0, 0), ("bytes=0-9", 0, 9), ("bytes=4095-4096", 4095, 4096), ("bytes=131071-262145", 131071, 262145),
        ("bytes=0-299999", 0, LAST), ("bytes=0-", 0, LAST), ("bytes=1-", 1, LAST), ("bytes=299999-", LAST, LAST), ("bytes=299999-299999", LAST, LAST),
        ("bytes=299990-300000", 299990, LAST), ("bytes=5-18446744073709551615", 5, LAST), ("bytes=5-99999999999999999999999", 5, LAST),
        ("bytes=-1", LAST, LAST), ("bytes=-5000", SIZE - 5000, LAST), ("bytes=-300000", 0, LAST), ("bytes=-300001", 0, LAST),
        ("bytes=-18446744073709551616", 0, LAST), ("bytes=00000000000000000000000001-2", 1, 2), ("BYTES=1-2", 1, 2), ("bytes= 1-2", 1, 2),
        ("bytes=,1-2,", 1, 2), ("bytes=1-2 , 400000-", 1, 2), ("bytes=300000-,-1", LAST, LAST)):
    is_("one: " + value, sent(ranges(value)), wanted(a, (first, last)))
r = ranges("bytes=10-19")
is_("206 has the fields of the 200, and its own length", [r.get(name) for name in ("Content-Type", "ETag", "Last-Modified", "Vary", "Accept-Ranges", "Content-Length")],
    [whole.get(name) for name in ("Content-Type", "ETag", "Last-Modified", "Vary", "Accept-Ranges")] + ["10"])
is_("a file of one octet", [sent(ranges(v, target="/one.bin")) for v in ("bytes=0-0", "bytes=-1", "bytes=0-", "bytes=1-")], [wanted(one, (0, 0))] * 3 + [416])

# ---- several

for value, places in (
        ("bytes=0-0,1000-1000", ((0, 0), (1000, 1000))),
        ("bytes=0-99, 5000-5099, -100", ((0, 99), (5000, 5099), (SIZE - 100, LAST))),
        ("bytes=-100,0-99", ((SIZE - 100, LAST), (0, 99))),
        ("bytes=4000-4200,140000-290000,130000-131100", ((4000, 4200), (140000, 290000), (130000, 131100))),
        ("bytes=1-2,300000-,2000-2001,999999999-", ((1, 2), (2000, 2001))),
        # What overlaps, touches, or is near is one part, in the place of the first.
        ("bytes=0-99,50-149,1000-1099", ((0, 149), (1000, 1099))),
        ("bytes=0-99,100-199,1000-1099", ((0, 199), (1000, 1099))),
        ("bytes=0-99,179-199,1000-1099", ((0, 199), (1000, 1099))),
        ("bytes=0-99,180-199,1000-1099", ((0, 99), (180, 199), (1000, 1099))),
        ("bytes=5000-5001,0-1,9000-9001,2-4999", ((0, 5001), (9000, 9001))),
        ("bytes=0-99,50-149", ((0, 149),)),
        ("bytes=0-,5-,-1", ((0, LAST),)),
        ("bytes=7-7,7-7,7-7", ((7, 7),)),
        ("bytes=" + ",".join("%d-%d" % (i * 10000, i * 10000 + i) for i in range(16)), [(i * 10000, i * 10000 + i) for i in range(16)]),
        ("bytes=" + ",".join("%d-%d" % (i * 18000, i * 18000 + 17000) for i in reversed(range(16))), [(i * 18000, i * 18000 + 17000) for i in reversed(range(16))]),
        ("bytes=" + ",".join("%d-%d" % (i, i) for i in range(64)), ((0, 63),))):
    is_("several: " + value[:60], sent(ranges(value)), wanted(a, *places))
r = ranges("bytes=0-0,1000-1000")
is_("several: no Content-Range in the head", (r.get("Content-Range"), r.get("ETag"), r.get("Accept-Ranges")), (None, whole.get("ETag"), "bytes"))
is_("several: the type of the parts", re.findall(rb"Content-Type: ([^\r]*)", ranges("bytes=0-0,1000-1000").body), [b"application/octet-stream"] * 2)
boundaries = {ranges("bytes=0-0,1000-1000").get("Content-Type") for _ in range(20)}
is_("several: another boundary each time", len(boundaries), 20)
text = octets_of("text.txt", 5000)
r = ranges("bytes=0-9,4000-4009", target="/text.txt")
is_("several: of text", (sent(r), re.findall(rb"Content-Type: ([^\r]*)", r.body)), (wanted(text, (0, 9), (4000, 4009)), [b"text/plain; charset=utf-8"] * 2))
lines = (b"\r\n--\r\n\r\n\n\r" * 2000)[:20000]
put("lines.txt", lines)
is_("several: content that looks like delimiters", sent(ranges("bytes=0-99,1001-1101,5003-5007,-3", target="/lines.txt")),
    wanted(lines, (0, 99), (1001, 1101), (5003, 5007), (19997, 19999)))
is_("several: that make all of a small file", sent(ranges("bytes=0-0,-1", target="/small.txt")), wanted(small, (0, 9)))
is_("several: not when the whole is shorter", (lambda r: (r.status, r.body))(ranges("bytes=0-0,-1", target="/medium.txt")), (200, medium))

# ---- none

for value in ("bytes=300000-", "bytes=300000-300001", "bytes=-0", "bytes=300000-,999999-9999999", "bytes=18446744073709551616-", "bytes=99999999999999999999999-"):
    r = ranges(value)
    is_("416: " + value, (r.status, r.get("Content-Range"), r.get("ETag"), r.get("Accept-Ranges")), (416, "bytes */300000", None, None))
for value in ("bytes=", "bytes", "bytes=-", "bytes=a-b", "bytes=5-4", "bytes=0-1,5-4", "bytes=0-1,x", "bytes=1", "bytes=--1", "bytes=1--2", "bytes=1-2-3", "bytes=+1-2",
              "bytes=0x1-2", "bytes=1 -2", "bytes=1- 2", "bytes:0-1", "bytes 0-1", "bytes =0-1", "octets=0-1", "items=0-1", "none", "", "=0-1", "bytes=,", "bytes=1-2;3-4",
              "bytes=99999999999999999999-99999999999999999998"):
    r = ranges(value)
    is_("200: %r" % value, (r.status, r.get("Content-Range"), r.body == a), (200, None, True))
r = ask("/a.bin", "Range: bytes=0-1", "Range: bytes=5-6")
true("two Range fields", (r.status, r.body == a) == (200, True) or r.status == 400, r)
for value in "bytes=0-", "bytes=-1", "bytes=0-0", "bytes=5-":
    r = ranges(value, target="/empty.bin")
    is_("an empty file: " + value, (r.status, r.body, r.get("Content-Range")), (200, b"", None))
h = ranges("bytes=0-9", method="HEAD")
is_("HEAD is that of the whole", (h.status, h.get("Content-Length"), h.get("Content-Range"), h.get("Accept-Ranges")), (200, str(SIZE), None, "bytes"))
is_("HEAD, unsatisfiable", ranges("bytes=400000-", method="HEAD").status, 200)
is_("other methods", (ranges("bytes=0-9", method="OPTIONS").status, ranges("bytes=0-9", method="POST").status), (204, 405))
is_("nothing there", ranges("bytes=0-9", target="/nothing").status, 404)
is_("HTTP/1.0", sent(ranges("bytes=1-2", version="HTTP/1.0")), wanted(a, (1, 2)))

# ---- preconditions

tag, date = whole.get("ETag"), whole.get("Last-Modified")
for fields, status in (
        (["If-Range: " + tag], 206), (["If-Range: W/" + tag], 200), (['If-Range: "other"'], 200), (["If-Range: " + date], 206),
        (["If-Range: Sat, 29 Feb 2020 23:34:55 GMT"], 200), (["If-Range: Sat, 29 Feb 2020 23:34:57 GMT"], 200), (["If-Range: nonsense"], 200),
        (["If-Range: *"], 200), (["If-Range: %s, %s" % (tag, tag)], 200), (["If-Range:"], 200),
        (["If-Match: " + tag], 206), (['If-Match: "other"'], 412), (["If-None-Match: " + tag], 304), (['If-None-Match: "other"'], 206),
        (["If-Modified-Since: " + date], 304), (["If-Unmodified-Since: " + date], 206), (["If-Unmodified-Since: Sat, 29 Feb 2020 23:34:55 GMT"], 412),
        (["If-None-Match: " + tag, "If-Range: " + tag], 304), (["If-None-Match: \"other\"", "If-Range: \"other\""], 200),
        (["If-Match: " + tag, "If-Range: \"other\""], 200), (["If-Match: \"other\"", "If-Range: " + tag], 412)):
    r = ranges("bytes=10-19", *fields)
    is_("%d: %s" % (status, ", ".join(fields).replace(tag, "TAG")), (r.status, r.body if status in (200, 206) else b""),
        (status, {200: a, 206: a[10:20]}.get(status, b"")))
r = ranges("bytes=10-19", "If-Range: " + tag)
is_("206 to If-Range says no more than is needed", (r.get("ETag"), r.get("Last-Modified")), (tag, None))
is_("416 counts less than a precondition", [ranges("bytes=400000-", f).status for f in ("If-None-Match: " + tag, 'If-Match: "x"', 'If-Range: "x"', "If-Range: " + tag)], [304, 412, 200, 416])
is_("If-Range without Range", ask("/a.bin", "If-Range: " + tag).status, 200)
several = "bytes=0-9,1000-1009"
is_("several with If-Range", (sent(ranges(several, "If-Range: " + tag)), ranges(several, 'If-Range: "x"').status), (wanted(a, (0, 9), (1000, 1009)), 200))
os.utime(os.path.join(docroot, b"text.txt"), (4102444800, 4102444800))
is_("a date that is not over may be that of two files", ranges("bytes=0-1", "If-Range: Fri, 01 Jan 2100 00:00:00 GMT", target="/text.txt").status, 200)
old = a
a = octets_of("a.bin2", SIZE)
os.rename(os.path.join(docroot, b"a.bin2"), os.path.join(docroot, b"a.bin"))
os.utime(os.path.join(docroot, b"a.bin"), (1583019296, 1583019296))
r = ranges("bytes=10-19", "If-Range: " + tag)
is_("If-Range of a file that was replaced by one of the same size and date", (r.status, r.body == a), (200, True))

# ---- files that change

os.truncate(os.path.join(docroot, b"a.bin"), 1000)
is_("a file that became shorter: 416", (lambda r: (r.status, r.get("Content-Range")))(ranges("bytes=5000-5001")), (416, "bytes */1000"))
is_("a file that became shorter: 206", sent(ranges("bytes=990-5001")), wanted(a[:1000], (990, 999)))
big = octets_of("big.bin", 64 << 20)
for name, value in ("one", "bytes=1000-"), ("several", "bytes=0-0,1000-"):
    before = stat()["files_truncated"]
    octets_of("shrinks.bin", 64 << 20)
    with Connection(receive_buffer=8192) as c:
        c.send(request("/shrinks.bin", "Range: " + value))
        while len(c.unread) < 4096:
            c.more()
        os.truncate(os.path.join(docroot, b"shrinks.bin"), 8192)
        try:
            c.response()
            not_ok("%s, of a file that becomes shorter meanwhile: cut off" % name)
        except (Cut, ConnectionResetError):
            ok("%s, of a file that becomes shorter meanwhile: cut off" % name)
    true("%s, of a file that becomes shorter meanwhile: counted" % name, wait_until(lambda: stat()["files_truncated"] == before + 1, 10), stat()["files_truncated"])
os.unlink(os.path.join(docroot, b"shrinks.bin"))

# ---- on one connection

a = octets_of("a.bin", SIZE)
asked = []
for i in range(60):
    first, last = sorted(random.Random(i).randrange(SIZE) for _ in range(2))
    asked.append(((first, last),) if i % 3 else ((i, i + 40000), (100000, 100000 + i), (299000, 299000)))
with Connection() as c:
    c.send(b"".join(request("/a.bin", "Range: bytes=" + ",".join("%d-%d" % place for place in places)) for places in asked))
    wrong = [places for places in asked if sent(c.response()) != wanted(a, *places)]
    is_("sixty pipelined", wrong, [])
    c.send(request("/a.bin", "Range: bytes=400000-") + request("/a.bin", "Range: bytes=0-5", method="HEAD") + request("/a.bin", "Range: bytes=1-1"))
    is_("and others behind", (c.response().status, c.response("HEAD").status, sent(c.response())), (416, 200, wanted(a, (1, 1))))
    c.send(request("/a.bin", "Range: bytes=0-99999,200000-299999", "Connection: close"))
    r = c.response()
    is_("several, and Connection: close", (sent(r), r.get("Connection"), c.end()), (wanted(a, (0, 99999), (200000, LAST)), "close", "closed"))
with Connection(receive_buffer=4096) as c:
    c.send(request("/big.bin", "Range: bytes=3-20000003,30000000-50000000,60000001-"))
    got = sent(c.response())
    true("several large ones, by a reader with a small window", got == wanted(big, (3, 20000003), (30000000, 50000000), (60000001, len(big) - 1)))
os.unlink(os.path.join(docroot, b"big.bin"))

# ---- what costs more than it should

def cost(specs):
    r = ranges("bytes=" + ",".join(specs))
    return r.status, len(r.body)
for name, specs, wants in (
        ("64 apart", ["%d-%d" % (i * 2000, i * 2000) for i in range(64)], 200),
        ("17 apart", ["%d-%d" % (i * 2000, i * 2000) for i in range(17)], 200),
        ("64 times all", ["0-"] * 64, 206), ("65 times all", ["0-"] * 65, 200), ("1000 times all", ["0-"] * 1000, 200), ("1000 suffixes", ["-1"] * 1000, 200),
        ("64 of nothing", ["999999-"] * 64, 416), ("65 of nothing", ["999999-"] * 65, 200), ("2000 empty ones and one", [""] * 2000 + ["0-"], 206),
        ("all but an octet, from each end", ["0-299998", "1-299999"] * 30, 206), ("that overlap, backwards", ["%d-" % i for i in range(63, -1, -1)], 206)):
    status, length = cost(specs)
    true("%s: %d" % (name, wants), status == wants and length <= SIZE, status, length)

# ---- more than 4 GiB

huge = (1 << 32) + (1 << 31) + 77
marks = {}
path = put("huge.bin", "")
with open(path, "r+b") as file:
    file.truncate(huge)
    for place in 0, (1 << 31) - 50, (1 << 32) - 50, huge - 100:
        marks[place] = random.Random(place).randbytes(100)
        file.seek(place)
        file.write(marks[place])
def there(first, last):
    with open(path, "rb") as file:
        file.seek(first)
        return ("bytes %d-%d/%d" % (first, last, huge), file.read(last - first + 1))
def is_there(name, value, *places):
    is_("%d octets, %s" % (huge, name), sent(ranges(value, target="/huge.bin")), [there(*place) for place in places])
for first, last in (((1 << 31) - 1, 1 << 31), ((1 << 31) - 70, (1 << 31) + 70), ((1 << 32) - 1, 1 << 32), ((1 << 32) - 4097, (1 << 32) + 300000), (huge - 1, huge - 1),
                    (1 << 32, 1 << 32), ((1 << 32) + (1 << 31) - 9, huge - 1)):
    is_there("%d-%d" % (first, last), "bytes=%d-%d" % (first, last), (first, last))
is_there("the last octet", "bytes=-1", (huge - 1, huge - 1))
is_there("an open end", "bytes=%d-" % (huge - 500), (huge - 500, huge - 1))
is_there("several", "bytes=%d-%d,%d-%d,0-5,-7" % ((1 << 32) - 9, (1 << 32) + 9, (1 << 31) - 5, (1 << 31) + 8192),
         ((1 << 32) - 9, (1 << 32) + 9), ((1 << 31) - 5, (1 << 31) + 8192), (0, 5), (huge - 7, huge - 1))
r = ranges("bytes=%d-" % huge, target="/huge.bin")
is_("%d octets, beyond the end" % huge, (r.status, r.get("Content-Range")), (416, "bytes */%d" % huge))
with Connection() as c:
    c.send(request("/huge.bin", "Range: bytes=1-"))
    while b"\r\n\r\n" not in c.unread:
        c.more()
    true("%d octets, all but one" % huge, b"Content-Length: %d\r\n" % (huge - 1) in c.unread and b"Content-Range: bytes 1-%d/%d\r\n" % (huge - 1, huge) in c.unread, c.unread[:300])
os.unlink(path)

# ---- representations with a coding

import gzip
plain = b"".join(b"%d lines\n" % i for i in range(5000))
put("coded.txt", plain)
coded = gzip.compress(plain)
put("coded.txt.gz", coded)
gz = "Accept-Encoding: gzip"
whole = ask("/coded.txt", gz)
is_("the coded one", (whole.status, whole.get("Content-Encoding"), whole.body), (200, "gzip", coded))
r = ranges("bytes=5-1004", gz, target="/coded.txt")
is_("a range is one of the coded octets", (sent(r), r.get("Content-Encoding"), r.get("ETag"), r.get("Vary")),
    (wanted(coded, (5, 1004)), "gzip", whole.get("ETag"), "Accept-Encoding"))
r = ranges("bytes=5-1004", target="/coded.txt")
is_("or of those without coding", (sent(r), r.get("Content-Encoding")), (wanted(plain, (5, 1004)), None))
r = ranges("bytes=0-9,1000-1009", gz, target="/coded.txt")
is_("several of the coded ones are all", (r.status, r.get("Content-Encoding"), r.body), (200, "gzip", coded))
r = ranges("bytes=%d-" % len(coded), gz, target="/coded.txt")
is_("416 has the length of the coded one", (r.status, r.get("Content-Range")), (416, "bytes */%d" % len(coded)))
got, tag = b"", whole.get("ETag")
while len(got) < len(coded):
    r = ranges("bytes=%d-%d" % (len(got), len(got) + 2999), gz, "If-Range: " + tag, target="/coded.txt")
    got += r.body if r.status == 206 else b"wrong"
is_("taken in pieces it is decoded", gzip.decompress(got), plain)
is_("If-Range with the tag of the other", ranges("bytes=0-9", "If-Range: " + tag, target="/coded.txt").status, 200)
END_OF_PYTHON

# ---- other file systems, cold

# file_system NAME: ranges of a file in $docroot/NAME, cold and warm.
file_system() {
	name=$1 with_ranges <<'END_OF_PYTHON'
name = os.environ["name"]
content = octets_of(name + "/file.bin", 3000001)
asked = [((0, 0),), ((4095, 4096),), ((1000000, 2999999),), ((3000000, 3000000),), ((0, 3000000),), ((2000000, 2000009), (10, 20), (1048575, 1500000)),
         [(i * 100000 + 4000, i * 100000 + 4200) for i in range(16)]]
for state in "cold", "warm":
    wrong = []
    for places in asked:
        if state == "cold":
            os.sync()
            with open("/proc/sys/vm/drop_caches", "w") as file:
                file.write("3")
        r = ask("/%s/file.bin" % name, "Range: bytes=" + ",".join("%d-%d" % place for place in places))
        if sent(r) != wanted(content, *places):
            wrong.append((places, r))
    is_("%s, %s" % (name, state), wrong, [])
with Connection() as c:
    c.send(b"".join(request("/%s/file.bin" % name, "Range: bytes=" + ",".join("%d-%d" % place for place in places)) for places in asked))
    is_("%s, pipelined" % name, [places for places in asked if sent(c.response()) != wanted(content, *places)], [])
END_OF_PYTHON
}

modprobe loop 2>/dev/null
mkdir "$docroot/ext4" "$docroot/overlay" "$tmp/lower" "$tmp/upper" "$tmp/work"
chmod 755 "$tmp/upper" "$tmp/lower"
truncate -s 64M "$tmp/image"
if mkfs.ext4 -q -F "$tmp/image" && mount -o loop "$tmp/image" "$docroot/ext4"; then
	at_exit umount -l "$docroot/ext4"
	chmod 755 "$docroot/ext4"
	before=$(sed -n 's/^deferred_read //p' /proc/net/http/stat)
	file_system ext4
	[ "$(sed -n 's/^deferred_read //p' /proc/net/http/stat)" -gt "$before" ] && ok "some of it was read" || not_ok "some of it was read"
	check "ext4 can be unmounted" wait_for 10 umount "$docroot/ext4"
else
	skip ext4 "no loop device"
fi
if mount -t overlay -o "lowerdir=$tmp/lower,upperdir=$tmp/upper,workdir=$tmp/work" overlay "$docroot/overlay" 2>"$tmp/mount"; then
	at_exit umount "$docroot/overlay"
	file_system overlay
else
	skip overlay "$(tail -n 1 "$tmp/mount")"
fi

done_testing
