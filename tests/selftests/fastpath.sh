#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Answers in softirq: they are those of the workers, octet for octet, and what is
# kept for them is given back.

. "$(dirname "$0")/lib.sh"

# Whole responses are kept ready only for file systems that are not in memory.
scratch_docroot
echo index >"$docroot/index.html"
head -c 30000 /dev/urandom >"$docroot/30000"
sync

cat >"$tmp/fastpath.py" <<'END_OF_PYTHON'
from http_client import *

TCP_CLOSE = 7
cpus = sorted(os.sched_getaffinity(0))
CLIENT = cpus[0]

def stay_on(cpu):
    """What is sent from here is received on that processor."""
    os.sched_setaffinity(0, [cpu])

def grown(name, before):
    return stat()[name] - before[name]

def warm(*targets):
    """Has documents on the shelf of this processor: asked for twice by workers, and once more."""
    with Connection() as c:
        for target in targets:
            for _ in range(4):
                c.send(request(target))
                c.response()

def segments_received(c):
    """Segments with octets, of TCP_INFO."""
    return int.from_bytes(c.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)[152:156], "little")

def restart():
    """A server that has nothing."""
    sysctl("stop", "1")
    sysctl("start", "1")
END_OF_PYTHON

# As little as there can be on its way to a client that reads nothing.
wmem=$(cat /proc/sys/net/ipv4/tcp_wmem)
at_exit bash -c "echo '$wmem' >/proc/sys/net/ipv4/tcp_wmem"
echo 4608 4608 4608 >/proc/sys/net/ipv4/tcp_wmem
load
{
	cat "$tmp/fastpath.py"
	cat <<'END_OF_PYTHON'
stay_on(CLIENT)
content = open(os.path.join(docroot, b"30000"), "rb").read()

def begun(requests, pause=0.0):
    """A connection that reads nothing, and whose first response has begun in softirq."""
    warm("/30000")
    for _ in range(30):
        before = stat()
        # A worker that has just been busy looks at a new connection within a tick.
        ask("/missing")
        c = Connection(receive_buffer=4096)
        time.sleep(pause)
        try:
            c.send(request("/30000") * requests)
        except OSError:
            # It was late.
            pass
        if wait_until(lambda: grown("fastpath_answered", before) == 1, 0.5):
            return c
        c.close()
    raise Malformed("nothing is answered in softirq")

# ---- the first look of a worker comes after the first answer

sysctl("header_timeout", "1")
sysctl("send_timeout", "20")
def begins_in_time():
    """The responses, and how often a head took too long."""
    before = stat()
    with begun(2) as c:
        time.sleep(4)
        return [c.response().body == content for _ in range(2)], grown("timeout_header", before)
got = undisturbed(begins_in_time, lambda got: got == ([True, True], 0))
is_("the time for a head is over when that has come, and is not counted as too long", got, ([True, True], 0))

# ---- a deadline that comes earlier than the one before

sysctl("header_timeout", "40")
sysctl("keepalive_timeout", "40")
sysctl("send_timeout", "1")
before = stat()
with begun(2, pause=0.5) as c:
    def is_reset():
        return c.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == TCP_CLOSE
    gone = wait_until(is_reset, 20) and grown("timeout_send", before) >= 1
    true("who takes nothing of what was begun in softirq is given up in time", gone, stat())
for name, value in ("header_timeout", 10), ("keepalive_timeout", 15), ("send_timeout", 30):
    sysctl(name, str(value))

# ---- what slow readers hold, others need

def others_beside():
    """How many slow readers there are, and how many are answered in softirq beside them."""
    with begun(1) as c, Connection() as other:
        return beside(other)
def beside(other):
    other.send(request("/"))
    other.response()
    other.send(request("/"))
    other.response()
    others = []
    for number in range(5):
        before = stat()
        slow = Connection(receive_buffer=4096)
        slow.send(request("/30000"))
        others.append(slow)
        wait_until(lambda: grown("requests", before) == 1, 20)
        before = stat()
        for part in range(4):
            other.send(request("/", "X: %d %d" % (number, part)))
            other.response()
        answered = grown("fastpath_answered", before)
        # Sometimes a worker is at the shelf.
        if answered < 2:
            break
    for slow in others:
        slow.close()
    return number, answered
number, answered = undisturbed(others_beside, lambda got: got[0] == 4 and got[1] >= 2)
true("beside slow readers others are answered in softirq", number == 4 and answered >= 2, number, answered)
END_OF_PYTHON
} >"$tmp/slow.py"
python_checks <"$tmp/slow.py"
unload
echo "$wmem" >/proc/sys/net/ipv4/tcp_wmem

# Where ext4 can have encrypted files, its root has a flag that nothing else has.
load "docroot=$tmp/disk"
{
	cat "$tmp/fastpath.py"
	cat <<'END_OF_PYTHON'
stay_on(CLIENT)
for _ in range(10):
    warm("/site/")
true("below the root of a file system documents are kept, too", stat()["fastpath_answered"] > 0, stat())
END_OF_PYTHON
} >"$tmp/root.py"
python_checks <"$tmp/root.py"
unload

load threads=2
{
	cat "$tmp/fastpath.py"
	cat <<'END_OF_PYTHON'
stay_on(CLIENT)

# ---- the last response of one connection is not the answer for another

warm("/")
sysctl("keepalive_requests", "2")
time.sleep(0.1)
pairs = set()
# The first to be asked for twice in a second is kept ready, here and one later.
for others in range(2):
    for _ in range(others):
        ask("/", "X: another")
    for _ in range(10):
        with Connection() as c:
            pair = []
            for _ in range(2):
                c.send(request("/", "X: %d" % others))
                response = c.response()
                pair.append(response and response.get("Connection"))
            pairs.add(tuple(pair))
is_("the first of two responses says nothing of the end, the second does", pairs, {(None, "close")})
sysctl("keepalive_requests", "0")

# ---- what is pipelined is answered together

def pipelined(requests, methods=None, tries=20):
    """The responses to what is sent at once, when all has been asked for in this second before, or
    after some tries; how many segments they came in, and how many softirq answered."""
    for _ in range(tries):
        while time.time() % 1 > 0.6:
            time.sleep(0.05)
        for _ in range(4):
            before = stat()
            with Connection() as c:
                time.sleep(0.05)
                c.send(b"".join(requests))
                responses = [c.response(method) for method in methods or ["GET"] * len(requests)]
                if None not in responses and responses[-1].get("Connection") != "close":
                    true("no octet comes behind them", c.is_open())
                segments = segments_received(c)
        if grown("fastpath_answered", before) == len(requests) and segments <= 3:
            break
    return responses, segments, grown("fastpath_answered", before)

put("other.html", b"other")
put("empty", b"")
warm("/", "/other.html", "/empty", "/30000")
once = [r.body for r in (ask("/"), ask("/other.html"))]
responses, segments, at_once = pipelined([request("/")] * 12)
is_("twelve of a kind", [r.body for r in responses], once[:1] * 12)
is_("in softirq", at_once, 12)
true("in three segments at the most", segments <= 3, segments)
requests = [request("/", "X: %d" % (n % 3)) if n % 2 else request("/other.html") for n in range(12)]
responses, segments, at_once = pipelined(requests)
is_("twelve of two kinds", [r.body for r in responses], once[::-1] * 6)
is_("of two kinds, in softirq", at_once, 12)
true("of two kinds, in three segments at the most", segments <= 3, segments)
tag = ask("/").get("ETag")
requests = [request("/"), request("/", "If-None-Match: " + tag), request("/", method="HEAD"), request("/empty"), request("/30000"), request("/other.html")] * 2
responses, segments, at_once = pipelined(requests, ["GET", "GET", "HEAD", "GET", "GET", "GET"] * 2, tries=1)
is_("of all kinds", [(r.status, len(r.body)) for r in responses], [(200, 6), (304, 0), (200, 0), (200, 0), (200, 30000), (200, 5)] * 2)
responses, _, _ = pipelined([request("/")] * 40, tries=1)
is_("more than are answered at a time", [r.body for r in responses], once[:1] * 40)
requests = [request("/")] * 5 + [request("/missing")] + [request("/")] * 5 + [b"GET / HTTP/1.1\r\nHost :x\r\n\r\n"] + [request("/")]
for _ in range(8):
    with Connection() as c:
        c.send(b"".join(requests))
        statuses = [c.response().status for _ in range(12)]
        end = c.end()
is_("up to what is malformed, and nothing behind it", (statuses, end), ([200] * 5 + [404] + [200] * 5 + [400], "closed"))
for _ in range(8):
    with Connection() as c:
        c.send(request("/") * 6 + request("/", "Connection: close") + request("/"))
        closes = [c.response().get("Connection") for _ in range(7)]
        end = c.end()
is_("up to the one that closes", (closes, end), ([None] * 6 + ["close"], "closed"))
sysctl("keepalive_requests", "5")
time.sleep(0.1)
for _ in range(8):
    with Connection() as c:
        c.send(request("/") * 8)
        closes = [c.response().get("Connection") for _ in range(5)]
        end = c.end()
is_("up to the last that a connection may have", (closes, end), ([None] * 4 + ["close"], "closed"))
sysctl("keepalive_requests", "0")
for cut in range(1, len(request("/")), 7):
    with Connection() as c:
        c.send(request("/") * 3 + request("/")[:cut])
        bodies = [c.response().body for _ in range(3)]
        c.send(request("/")[cut:] + request("/"))
        bodies += [c.response().body for _ in range(2)]
    if bodies != once[:1] * 5:
        break
is_("and one that is cut", (cut, bodies), (cut, once[:1] * 5))

# ---- what was deleted is given back, whoever has it

def free():
    os.sync()
    return os.statvfs(docroot).f_bfree * os.statvfs(docroot).f_bsize

SIZE = 32 << 20
for accepted_on in cpus[:2]:
    for asked_on in cpus[:2]:
        path = put("deleted", bytes(SIZE))
        os.sync()
        restart()
        time.sleep(0.5)
        stay_on(accepted_on)
        with Connection() as c:
            time.sleep(0.1)
            stay_on(asked_on)
            for _ in range(6):
                c.send(request("/deleted", "Range: bytes=0-9"))
                c.response()
        full = free()
        os.unlink(path)
        is_free = wait_until(lambda: free() > full + SIZE // 2)
        true("a deleted file's space is given back: accepted on CPU %d, asked for on %d" % (accepted_on, asked_on), is_free, stat())
stay_on(CLIENT)

# ---- no more is kept than may be

restart()
for number in range(9):
    put("kept%d" % number, b"%d" % number)
time.sleep(0.1)

def misses(*numbers):
    """How many of them are not cached."""
    before = stat()
    with Connection() as c:
        for number in numbers:
            c.send(request("/kept%d" % number))
            c.response()
    return grown("cache_misses", before)

sysctl("max_cached_documents", "1")
warm("/kept0")
def is_given():
    before = stat()
    misses(0)
    return grown("fastpath_answered", before) == 1
true("one document is kept where one may be", wait_until(is_given))
misses(1, 1)
time.sleep(2.5)
before = stat()
is_("what made room for another is not on a shelf", (misses(0), grown("fastpath_answered", before)), (1, 0))
sysctl("max_cached_documents", "0")
before = stat()
misses(0, 0, 0, 0)
time.sleep(0.1)
is_("where none may be kept, nothing is answered in softirq", grown("fastpath_answered", before), 0)

sysctl("max_cached_documents", "8")
for fastpath in "0", "1":
    sysctl("fastpath", fastpath)
    restart()
    misses(*range(8))
    misses(*range(8))
    time.sleep(1.1)
    for _ in range(4):
        misses(*range(1, 8))
    time.sleep(1.1)
    misses(8)
    is_("what was not used for the longest time makes room, fastpath=%s" % fastpath, misses(*range(1, 9)), 0)
sysctl("max_cached_documents", "65536")

# ---- different names are different

PAIRS = [(b"name000%c" % (48 ^ 0), b"name000%c" % (48 ^ bit)) for bit in (64, 1, 2, 4, 8)]
for pair in PAIRS:
    for name in pair:
        put(name, name)
sysctl("fastpath", "0")
misses = []
for _ in range(6):
    restart()
    with Connection() as c:
        def round():
            for pair in PAIRS:
                for name in pair * 2:
                    c.send(request(b"/" + name))
                    if c.response().body != name:
                        not_ok("the content of %r" % name)
        round()
        before = stat()
        round()
        misses.append(grown("cache_misses", before))
is_("names that differ in a bit don't take each other's place", misses, [0] * 6)
sysctl("fastpath", "1")
END_OF_PYTHON
} >"$tmp/kept.py"
python_checks <"$tmp/kept.py"
unload

load
{
	cat "$tmp/fastpath.py"
	cat <<'END_OF_PYTHON'
import ctypes, itertools, mmap, random, re

stay_on(CLIENT)
put("page.html", b"<p>page</p>" * 300)
put("page.html.gz", b"not really gzip" * 9)
put("sub/index.html", b"an index")
put("sub/a b.txt", b"with a space")
put("empty.txt", b"")
put("one.txt", b"1")
put("secret.txt", b"secret", mode=0o600)
put("32768", bytes(32768))
put("32769", bytes(32769))
put("16000.css", b"x" * 16000)
put("missing.html", b"nothing here")
# A date is a strong validator a second later.
for name in os.listdir(docroot):
    os.utime(os.path.join(docroot, name), (1e9, 1e9))
sysctl("extra_header", "X-Extra: here")

def all_of(octets, cuts=()):
    """All that comes for these octets until the server closes, or all is answered."""
    with Connection() as c:
        c.send_in_pieces(octets, *cuts, pause=0)
        c.half_close()
        got = bytearray()
        while piece := c.socket.recv(1 << 16):
            got += piece
    # The same length whatever the time is.
    return re.sub(rb"\r\n(Date|Expires): [^\r]*", rb"\r\n\1:", bytes(got))

def until_last(octets, cuts=(), pause=0):
    """The same without a half-close, which is not for softirq: a last request ends it."""
    with Connection() as c:
        c.send_in_pieces(octets, *cuts, pause=pause)
        got = bytearray()
        try:
            while piece := c.socket.recv(1 << 16):
                got += piece
        except ConnectionResetError:
            got += b"RESET"
    return re.sub(rb"\r\n(Date|Expires): [^\r]*", rb"\r\n\1:", bytes(got))

tag = ask("/page.html").get("ETag")
modified = ask("/page.html").get("Last-Modified")
LAST = request("/one.txt", "Connection: close")
targets = ["/page.html", "/", "/sub/", "/sub", "/sub/index.html", "/empty.txt", "/one.txt", "/one.txt/", "/32768",
    "/32769", "/16000.css", "/30000", "/secret.txt", "/none", "/page.html?query", "/?", "//page.html", "/./page.html",
    "/sub/../page.html", "/../page.html", "/%70age.html", "/sub/a%20b.txt", "/page.html%00", "/page%2ehtml", "/sub%2findex.html",
    "/page.html.gz", "http://localhost/page.html", "http://other.example/page.html", "http://localhost", "http://localhost?x",
    "HTTP://LOCALHOST:8080/", "*", "page.html", "/page.html#x", "/%", "/%zz"]
fields = [
    ["Range: bytes=0-9"], ["Range: bytes=10-"], ["Range: bytes=-5"], ["Range: bytes=0-0,2-3"], ["Range: bytes=99999-"],
    ["Range: bytes=5-4"], ["Range: octets=0-9"], ["Range: bytes=0-9", "If-Range: " + tag], ["Range: bytes=0-9", 'If-Range: "x"'],
    ["Range: bytes=0-9", "If-Range: " + modified], ["Range: bytes=0-9", "Range: bytes=1-2"], ["Range: bytes=0-99999"],
    ["If-None-Match: " + tag], ["If-None-Match: *"], ["If-None-Match: W/" + tag], ["If-Match: " + tag], ['If-Match: "x"'],
    ["If-Modified-Since: " + modified], ["If-Unmodified-Since: " + modified], ["If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT"],
    ["If-None-Match: " + tag, "Range: bytes=0-9"],
    ["Accept-Encoding: gzip"], ["Accept-Encoding: br, gzip;q=0.5"], ["Accept-Encoding: gzip;q=0"], ["Accept-Encoding: *"],
    ["Accept-Encoding: identity;q=0"], ["Accept-Encoding: gzip", "Range: bytes=0-9"], ["Accept-Encoding: gzip", "If-None-Match: " + tag],
    ["Connection: close"], ["Connection: keep-alive"], ["Connection: foo, Close"], ["Keep-Alive: 5"], ["Expect: 100-continue"],
    ["Expect: x"], ["Content-Length: 0"], ["Content-Length: 4"], ["Transfer-Encoding: chunked"], ["Upgrade: h2c", "Connection: upgrade"],
    ["Host: other"], ["X: " + "y" * 900], ["X: " + "y" * 1100], ["Bad Field: x"], [" folded"], ["TE: trailers"], ["Max-Forwards: 0"],
]
octets_of = [request(t) for t in targets]
octets_of += [request(t, method=m) for t in ("/page.html", "/sub", "/none") for m in ("HEAD", "OPTIONS", "POST", "TRACE", "BREW", "get")]
octets_of += [request("/page.html", *f) for f in fields] + [request("/page.html", *f, method="HEAD") for f in fields]
octets_of += [request("/page.html", *f, version="HTTP/1.0") for f in ([], ["Connection: keep-alive"], ["Connection: close"])]
octets_of += [request("/page.html", host=h) for h in (None, "", "a.b:80", "a b", "[::1]:8080", "localhost:x")]
octets_of += [request("/page.html", version=v) for v in ("HTTP/1.2", "HTTP/2.0", "HTTP/0.9", "http/1.1", "")]
octets_of += [b"\r\n" + request("/page.html"), b"\r\n\r\n\r\n\r\n" + request("/page.html"), b"GET /page.html\r\n\r\n",
    b"GET /page.html HTTP/1.1\nHost: localhost\n\n", request("/page.html", "Content-Length: 4") + b"body",
    request("/page.html", "Transfer-Encoding: chunked") + b"4\r\nbody\r\n0\r\n\r\n", b"\x16\x03\x01", b"X" * 3000]
groups = [b"".join(group) for group in (
    [request("/page.html")] * 40, [request("/one.txt"), request("/none"), request("/one.txt")] * 4,
    [request("/one.txt", "Connection: close"), request("/page.html")], [request("/32769"), request("/one.txt")] * 3,
    [request("/30000")] * 8, [request("/one.txt", method="HEAD"), request("/one.txt")] * 9,
    [request("/page.html", "Accept-Encoding: gzip"), request("/page.html")] * 5,
    [request("/page.html", "If-None-Match: " + tag), request("/page.html", "Range: bytes=1-2")] * 5,
    [request("/one.txt"), request("/one.txt", "Content-Length: 3"), b"abc", request("/one.txt")] * 3,
    [request("/one.txt"), b"BAD\r\n\r\n", request("/one.txt")], [request("/sub"), request("/sub/")] * 4)]
octets_of += groups

def differences(name, ask_for, cases, are_given=True, all_given=0):
    """Asks for the same of workers, and then again and again of softirq, where some `are_given`, or so
    many of each."""
    sysctl("fastpath", "0")
    before = stat()
    answers = [ask_for(*case) for case in cases]
    is_("with fastpath=0 nothing is answered in softirq: " + name, grown("fastpath_answered", before), 0)
    requests = grown("requests", before)
    sysctl("fastpath", "1")
    wrong = []
    given = [0] * len(cases)
    for time_ in range(3):
        before = stat()
        for number, (case, wanted) in enumerate(zip(cases, answers)):
            given_before = stat()
            got = ask_for(*case)
            given[number] = max(given[number], grown("fastpath_answered", given_before))
            if got != wanted and len(wrong) < 4:
                wrong.append((time_, case[0][:300], got[:600], wanted[:600]))
        if not wait_until(lambda: grown("requests", before) == requests, 20):
            wrong.append(("requests", time_, grown("requests", before), requests))
    true("the same answers in softirq: " + name, not wrong and wanted, *wrong)
    # Sometimes a worker is at the shelf, or has the connection.
    for _ in range(all_given and 20):
        for number, case in enumerate(cases):
            if given[number] < all_given:
                given_before = stat()
                ask_for(*case)
                given[number] = max(given[number], grown("fastpath_answered", given_before))
    answered = sum(given)
    if are_given:
        true("of which some are given there: " + name, answered > 0, answered)
    return answered

differences("each request and its end", until_last, [(octets + LAST,) for octets in octets_of])
answered = differences("two small requests", until_last, [(request(t) + LAST,) for t in ("/page.html", "/", "/sub/", "/empty.txt", "/32768", "/page.html?query", "/%70age.html")] * 5, all_given=2)
is_("all that can be answered there is", answered, 70)
answered = differences("a range, a 304, a HEAD, a coding", until_last, [(request("/page.html", *f, method=m) + LAST,) for f in (["Range: bytes=0-9"], ["If-None-Match: " + tag], ["Accept-Encoding: gzip"]) for m in ("GET", "HEAD")] * 5, all_given=2)
is_("all of these are", answered, 60)
# What is ready for a document is so in each form that it can have.
forms = [request("/page.html", *f, method=m, version=v) for m in ("GET", "HEAD") for v in ("HTTP/1.1", "HTTP/1.0")
    for f in (["Connection: keep-alive"], ["Connection: keep-alive", "If-None-Match: " + tag])]
forms += [request("/page.html", "Accept-Encoding: gzip"), request("/page.html", "Range: bytes=0-9"), request("/one.txt")]
order = random.Random(1)
shuffled = [b"".join(form for form in order.choices(forms, k=6) for _ in range(2)) for _ in range(40)]
differences("forms in turn", until_last, [(octets + LAST,) for octets in shuffled])
# A long one is begun in softirq, and a worker sends the rest. Its head is ready the third time.
for length in 131072, 131073, 1500000:
    put(str(length), random.Random(length).randbytes(length))
long = [request(f"/{length}", *f) + LAST for length in (131072, 131073, 1500000)
    for f in ([], ["Range: bytes=1-"], ["Range: bytes=4097-131000"], ["Range: bytes=-131073"])]
answered = differences("long responses", until_last, [(octets,) for octets in long], all_given=1)
true("each of these is begun there", answered >= len(long), answered)
differences("half-closed at once", all_of, [(octets,) for octets in octets_of[:60]])
two = request("/page.html", "Accept-Encoding: gzip") + request("/sub/", "Connection: close")
differences("cut at each octet", until_last, [(two, (cut,), 0.001) for cut in range(1, len(two))])
# A head that comes in pieces is for a worker, which doesn't read it anew with each of them.
differences("octet by octet", until_last, [(two, tuple(range(1, len(two))), 0)], are_given=False)

# ---- what is changed at once

def asked(c, *fields, target="/page.html"):
    c.send(request(target, *fields))
    return c.response()

seen = []
before = stat()
with Connection() as c:
    for octet in b"abcd":
        put("long", bytes([octet]) * 300000)
        seen += [(len(r.body), set(r.body)) for r in [asked(c, target="/long") for _ in range(5)]]
is_("a long file that was written anew", seen, [(300000, {octet}) for octet in b"abcd" for _ in range(5)])
true("and is begun in softirq", grown("fastpath_answered", before) >= 4, grown("fastpath_answered", before))

def changes(name, change, undo, get, wanted):
    """On a connection that is answered in softirq, the next answer is another."""
    seen = []
    for _ in range(10):
        with Connection() as c:
            for _ in range(3):
                old = get(asked(c))
            change()
            seen.append(get(asked(c)))
            undo()
            seen.append(get(asked(c)))
            if seen[-2:] != [wanted, old]:
                break
    is_("changed between two requests: " + name, seen[-2:], [wanted, old])

def knob(name, value):
    before = sysctl(name)
    return lambda: sysctl(name, value), lambda: sysctl(name, before or "\n")

types = os.path.join(os.environ["tmp"], "types")
with open(types, "w") as file:
    file.write("text/other html\n")

for name, value, get, wanted in (
        ("extra_header", "X-Extra: there", lambda r: r.get("X-Extra"), "there"),
        ("charset", "utf-16", lambda r: r.get("Content-Type"), "text/html; charset=utf-16"),
        ("mime_types", types, lambda r: r.get("Content-Type").split(";")[0], "text/other"),
        ("generate_etags", "0", lambda r: r.get("ETag"), None),
        ("fastpath", "0", lambda r: r.status, 200)):
    changes(name, *knob(name, value), get, wanted)

change, undo = knob("compression", "0")
seen = []
with Connection() as c:
    for _ in range(20):
        for _ in range(3):
            old = asked(c, "Accept-Encoding: gzip").get("Content-Encoding")
        change()
        seen.append((old, asked(c, "Accept-Encoding: gzip").get("Content-Encoding")))
        undo()
is_("changed between two requests: compression", set(seen), {("gzip", None)})

elsewhere = os.path.join(os.environb[b"tmp"], b"elsewhere")
os.makedirs(elsewhere)
os.chmod(os.environb[b"tmp"], 0o755)
with open(os.path.join(elsewhere, b"page.html"), "wb") as file:
    file.write(b"elsewhere")
os.chmod(elsewhere, 0o755)
change, undo = knob("documentroot", elsewhere)
changes("documentroot", change, undo, lambda r: r.body, b"elsewhere")

# ---- each switch leaves the answers as they are

put("1", b"1")
put("20000", os.urandom(20000))
put("1000000", os.urandom(1000000))
FORMS = [(b"/" + name, fields) for name in (b"1", b"page.html", b"20000", b"1000000", b"missing") for fields in ((), ("Range: bytes=0-0",))]

def answers():
    """All that is answered, on connections of one request and of many, alone and pipelined."""
    while time.time() % 1 > 0.5:
        time.sleep(0.05)
    seen = []
    for closes in (), ("Connection: close",):
        for target, fields in FORMS:
            # What is sent the third time was made ready the second time.
            for _ in range(3 if not closes else 1):
                response = ask(target, *fields, *closes)
                seen.append((response.status, response.names(), response.body))
    with Connection() as c:
        for _ in range(3):
            c.send(b"".join(request(target, *fields) for target, fields in FORMS))
            for _ in FORMS:
                response = c.response()
                seen.append((response.status, response.names(), response.body))
    return seen

usual = answers()
for name, values in ("ready_responses", "01"), ("zerocopy_sendfile", "01"), ("push_all", "1"), ("fast_accept", "0"), ("ack_pingpong", "0"):
    default = sysctl(name)
    for value in values:
        sysctl(name, value)
        for fastpath in "01":
            sysctl("fastpath", fastpath)
            true("%s=%s, fastpath=%s" % (name, value, fastpath), answers() == usual)
    sysctl(name, default)

def segments_of(octets, count, **settings):
    """The least number of segments in which the responses come to what is sent at once."""
    before = {name: sysctl(name) for name in settings}
    for name, value in settings.items():
        sysctl(name, value)
    least = 1000
    for _ in range(20):
        with Connection() as c:
            time.sleep(0.02)
            c.send(octets)
            while c.unread.count(b"HTTP/1.1 200") < count and c.more():
                pass
            least = min(least, segments_received(c))
    for name, value in before.items():
        sysctl(name, value)
    return least

pipeline = request("/1") * 12
# The stack itself puts some together, if the device is slow.
autocorking = sysctl("../ipv4/tcp_autocorking")
sysctl("../ipv4/tcp_autocorking", "0")
least = segments_of(pipeline, 12, push_all="1")
true("responses have segments of their own with push_all", least >= 8, least)
least = segments_of(pipeline, 12)
true("and not without", least <= 3, least)
least = segments_of(pipeline, 12, ready_responses="0")
true("but if none is ready", least >= 8, least)
sysctl("../ipv4/tcp_autocorking", autocorking)

# ---- a request that somebody writes while it is read

# A local client that splices can do that. If the octets were read twice, a response might be kept
# for a request that it doesn't answer, and be given to others.
for name in "ab":
    put(name, name * 100)
page = os.path.join(os.environb[b"tmp"], b"page")
octets = request("/a")
with open(page, "wb") as file:
    file.write(octets.ljust(4096, b"\0"))
with open(page, "r+b") as file:
    there = mmap.mmap(file.fileno(), 4096)
writer = os.fork()
if writer == 0:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    stay_on(cpus[-1])
    # What Python does takes longer than to read a request. again: movb $'a', (%rdi); movb $'b',
    # (%rdi); jmp again
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(b"\xc6\x07a\xc6\x07b\xeb\xf8")
    address = lambda memory: ctypes.addressof(ctypes.c_char.from_buffer(memory))
    ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address(code))(address(there) + octets.index(b"a"))
before = stat()
got, others = set(), set()
with open(page, "rb") as file:
    for _ in range(100):
        for _ in range(5):
            with Connection() as c:
                os.sendfile(c.socket.fileno(), file.fileno(), 0, len(octets))
                r = c.response()
                got.add((r.status, r.body))
        for name in "ab":
            with Connection() as c:
                c.send(request("/" + name))
                r = c.response()
                others.add((name, r.status, r.body))
os.kill(writer, signal.SIGKILL)
os.waitpid(writer, 0)
is_("a request that changes while it is read is one or the other", got, {(200, b"a" * 100), (200, b"b" * 100)})
is_("others get what they ask for", others, {("a", 200, b"a" * 100), ("b", 200, b"b" * 100)})
true("and most is answered in softirq", grown("fastpath_answered", before) > 350, grown("fastpath_answered", before))

# ---- a file system whose document root was left

change()
with Connection() as c:
    asked(c)
disk = os.path.dirname(docroot)
gone = wait_until(lambda: os.system(b"umount %s 2>/dev/null" % disk) == 0, 10)
true("a file system is not busy when its document root is another", gone)

# ---- it adds up

s = stat()
is_("each request is answered, or the connection was lost", sum(n for name, n in s.items() if name.startswith("responses_") and name != "responses_100"), s["requests"])
true("softirq or a worker answers", s["fastpath_answered"] + s["cache_hits"] + s["cache_misses"] >= s["responses_200"], s)
END_OF_PYTHON
} >"$tmp/same.py"
python_checks <"$tmp/same.py"

done_testing
