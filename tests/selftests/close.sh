#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Ends of connections: no client loses its answer to a RST, and whatever a client
# or the administrator closes, and when, the server goes on.

. "$(dirname "$0")/lib.sh"

echo index >"$docroot/index.html"
head -c 3000000 /dev/urandom >"$docroot/large"
load

python_checks <<'END_OF_PYTHON'
from http_client import *
import struct
import subprocess

large = open(os.path.join(docroot, b"large"), "rb").read()

def all_closed(name):
    gone = wait_until(lambda: stat()["connections_open"] == 0)
    true(name + ": no connection is left", gone, stat())
    is_(name + ": the server serves", ask("/").body, b"index\n")

# ---- whoever sends all before reading gets the answer

def sends_first(name, head, body, statuses):
    with Connection() as c:
        try:
            c.send(head)
            for at in range(0, len(body), 1 << 16):
                c.send(body[at:at + (1 << 16)])
        except OSError as error:
            return not_ok(name, "sending: %s" % error)
        try:
            got = [c.response().status for _ in statuses]
        except OSError as error:
            return not_ok(name, "reading: %s" % error)
        c.half_close()
        is_(name, (got, c.end()), (statuses, "closed"))

mib = b"x" * (1 << 20)
junk = mib * 6
sends_first("a refused POST of 6 MiB is answered", request("/", "Content-Length: %d" % len(junk), method="POST"), junk, [405])
sends_first("a GET with 6 MiB is answered", request("/", "Content-Length: %d" % len(junk)), junk, [413])
sends_first("a method that nobody knows, with 6 MiB, is answered", request("/", "Content-Length: %d" % len(junk), method="BREW"), junk, [501])
sends_first("a chunked POST of 6 MiB is answered", request("/", "Transfer-Encoding: chunked", method="POST"), chunked(*[mib] * 6), [405])
sends_first("a chunked GET of 6 MiB is answered", request("/", "Transfer-Encoding: chunked"), chunked(*[mib] * 6), [200])
sends_first("a bad request before 6 MiB is answered", request("/", host=None), junk, [400])
sends_first("6 MiB of noise are answered", b"", b"\xff" * 6000000, [400])
sends_first("a head of 6 MiB is answered", b"GET / HTTP/1.1\r\nX: ", junk, [431])
sends_first("a target of 6 MiB is answered", b"GET /", junk, [414])
sends_first("6 MiB behind the last request are no matter", request("/", "Connection: close"), junk, [200])
sends_first("a POST of 1 MiB is passed over", request("/", "Content-Length: %d" % len(mib), method="POST"), mib + request("/"), [405, 200])
all_closed("after large bodies")

# A body that never comes: the response is there, and no RST behind it.
sysctl("header_timeout", "1")
def without_its_body():
    with Connection() as c:
        c.send(request("/", "Content-Length: 10"))
        time.sleep(4)
        return c.response().status, c.end()
answered = (200, "closed")
is_("the answer to a request without its body is not lost", undisturbed(without_its_body, lambda got: got == answered), answered)
sysctl("header_timeout", "10")

# ---- the FIN comes with the last octets

ETH_P_ALL, SO_RCVBUFFORCE, SYN, FIN = 3, 33, 2, 1

def segments(target):
    """The segments of the server, in a connection of one request: (octets, whether with a FIN)."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as wire:
        wire.bind(("lo", 0))
        wire.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        with Connection() as c:
            ours = c.socket.getsockname()[1]
            c.send(request(target, "Connection: close"))
            c.response()
            c.end()
        wire.settimeout(0.3)
        seen = []
        try:
            while True:
                frame, address = wire.recvfrom(1 << 17)
                packet = frame[14:]
                if address[2] != socket.PACKET_OUTGOING and packet[0] >> 4 == 4 and packet[9] == socket.IPPROTO_TCP:
                    tcp = packet[4 * (packet[0] & 15):struct.unpack("!H", packet[2:4])[0]]
                    source, to = struct.unpack("!HH", tcp[:4])
                    if (source, to) == (port, ours) and not tcp[13] & SYN:
                        seen.append((len(tcp) - 4 * (tcp[12] >> 4), tcp[13] & FIN != 0))
        except TimeoutError:
            return seen

for name, target in ("small", "/"), ("large", "/large"):
    seen = segments(target)
    last = [(octets > 0, fin) for octets, fin in seen if octets or fin][-1:]
    is_("the FIN comes with the last octets: %s" % name, last, [(True, True)])

# ---- half-closed clients

for name, target, wanted in ("small", "/", b"index\n"), ("large", "/large", large):
    with Connection() as c:
        c.send(request(target))
        c.half_close()
        r = c.response()
        true("half-closed after a request: %s" % name, r.body == wanted, r)
        is_("and closed: %s" % name, c.end(), "closed")
with Connection() as c:
    c.send(request("/") * 20)
    c.half_close()
    is_("half-closed after 20 requests", ([c.response().body for _ in range(20)], c.end()), ([b"index\n"] * 20, "closed"))
with Connection() as c:
    c.send(request("/", "Connection: close"))
    c.half_close()
    is_("half-closed after the last request", (c.response().body, c.end()), (b"index\n", "closed"))
with Connection() as c:
    c.half_close()
    is_("half-closed without a request", c.end(), "closed")
with Connection() as c:
    c.send(b"GET / HTTP/1.1\r\nHost: a\r\n")
    c.half_close()
    is_("half-closed amid a head: no request is made up", c.end(), "closed")
bad = b"GET / HTTP/1ost: a"
for cut in len(bad), 4, 12, 13:
    with Connection() as c:
        c.send_in_pieces(bad, cut, pause=0.2)
        c.half_close()
        is_("half-closed amid a malformed head, cut at %d" % cut, (c.response().status, c.end()), (400, "closed"))
with Connection() as c:
    c.send(request("/large") * 3)
    c.half_close()
    time.sleep(1)
    true("half-closed, and slow to read", [c.response().body == large for _ in range(3)] == [True] * 3)
    is_("half-closed, slow: closed", c.end(), "closed")
all_closed("after half-closed clients")

# ---- clients that leave, at each stage

whole = request("/")
stages = (
    ("before a request", b"", 0),
    ("amid a head", whole[:20], 0),
    ("after a request", whole, 0),
    ("with the response unread", whole, 0.01),
    ("after 50 requests", whole * 50, 0.01),
    ("with a large response unread", request("/large"), 0.02),
    ("amid a body", request("/", "Content-Length: 100", body=b"x"), 0.01),
    ("amid a chunked body", request("/", "Transfer-Encoding: chunked", body=b"9\r\nx"), 0.01),
    ("after a refusal", request("/", host=None) + b"x" * 5000, 0.01),
    ("after the last request", request("/", "Connection: close"), 0.01),
)
for name, sent, pause in stages:
    for how in Connection.close, Connection.reset:
        for _ in range(5):
            with Connection() as c:
                c.send(sent)
                time.sleep(pause)
                how(c)
    all_closed("clients that leave %s" % name)
for how in Connection.close, Connection.reset:
    for octets_read in 1, 100000, 1000000:
        with Connection() as c:
            c.send(request("/large") * 2)
            while len(c.unread) < octets_read and c.more():
                pass
            how(c)
all_closed("clients that leave amid a large response")

# ---- and at each octet, of requests and of responses

first = request("/", "Content-Length: 3")
exchange = first + b"abc" + whole
wrong = []
for cut in range(len(exchange) + 1):
    for how in Connection.half_close, Connection.close, Connection.reset:
        with Connection() as c:
            c.send(exchange[:cut])
            how(c)
            if how is Connection.half_close:
                wanted = [200] * ((cut >= len(first)) + (cut == len(exchange)))
                got = [r.status for r in iter(c.response, None)]
                if (got, c.end()) != (wanted, "closed"):
                    wrong.append((cut, got))
is_("half-closed at each of %d octets of requests: what is whole is answered" % len(exchange), wrong, [])
all_closed("clients that leave at each octet of requests")
with Connection() as c:
    c.send(exchange)
    c.half_close()
    while c.more():
        pass
answer = len(c.unread)
for cut in range(1, answer + 1):
    # Who closes with octets unread sends a RST.
    with Connection() as c:
        c.send(exchange)
        while len(c.unread) < cut:
            c.unread += c.socket.recv(cut - len(c.unread))
print("# %d octets of responses" % answer)
all_closed("clients that leave at each octet of responses")

crowd = [Connection() for _ in range(100)]
for n, c in enumerate(crowd):
    c.send(request("/large" if n % 2 else "/"))
for n, c in enumerate(crowd):
    (c.reset if n % 3 else c.close)()
all_closed("a crowd that leaves")

# ---- urgent data

for name, parts in (
    ("before a request", [(b"!", True), (whole, False)]),
    ("amid a request", [(whole[:9], False), (b"!", True), (whole[9:], False)]),
    ("after a request", [(whole, False), (b"!", True), (whole, False)]),
    ("only", [(b"!", True)]),
    ("a request", [(whole, True)]),
    ("twice", [(b"!", True), (b"!", True), (whole, False)]),
):
    with Connection() as c:
        for part, urgent in parts:
            c.socket.send(part, socket.MSG_OOB if urgent else 0)
            time.sleep(0.01)
        c.half_close()
        got = []
        try:
            while True:
                r = c.response()
                if r is None:
                    break
                got.append(r.status)
            true("urgent data %s: answered or refused: %s" % (name, got), set(got) <= {200, 400, 501})
        except OSError as error:
            not_ok("urgent data %s" % name, error)
all_closed("after urgent data")

# ---- the administrator closes sockets under the server

def kill(*what):
    subprocess.run(("ss", "-K", "-n") + what, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

def answers():
    try:
        return ask("/").status == 200
    except (OSError, Malformed):
        return False

# However long all this takes.
sysctl("keepalive_timeout", "3600")
sysctl("header_timeout", "3600")
idle = Connection()
idle.send(request("/"))
idle.response()
kill("-l", "-t", "sport", "=", ":%d" % port)
if not wait_until(lambda: stat()["listener_repairs"] >= 1, 20):
    not_ok("a listener that was killed is opened again", stat())
else:
    for n in range(2, 6):
        true("listener killed, %d: the server serves again" % n, wait_until(answers, 20), stat())
        kill("-l", "-t", "sport", "=", ":%d" % port)
        true("listener killed, %d: it is counted" % n, wait_until(lambda: stat()["listener_repairs"] == n, 20), stat())
    true("listener killed: the server serves again", wait_until(answers, 20))
    is_("a connection outlives its listener", (idle.send(request("/")), idle.response().body)[1], b"index\n")
    is_("no repair has failed", stat()["listener_repairs_failed"], 0)
    # A setting that waits for the next start doesn't come into force by a repair.
    with open("/proc/sys/net/http/serverport", "w") as knob:
        knob.write("%d" % (port + 1))
    kill("-l", "-t", "sport", "=", ":%d" % port)
    true("listener killed: it is opened where it was", wait_until(lambda: stat()["listener_repairs"] == 6, 20))
    true("listener killed: it answers where it was", wait_until(answers, 20))
    with open("/proc/sys/net/http/serverport", "w") as knob:
        knob.write("%d" % port)

victims = [Connection() for _ in range(9)]
for n, c in enumerate(victims):
    c.send([b"", request("/large"), whole[:10]][n % 3])
time.sleep(0.2)
kill("-t", "state", "established", "sport", "=", ":%d" % port)
def ended(c):
    try:
        while c.more():
            pass
        return False
    except ConnectionResetError:
        return True
is_("connections that were killed are reset", [ended(c) for c in victims + [idle]], [True] * 10)
for c in victims + [idle]:
    c.close()
all_closed("connections killed")
END_OF_PYTHON

# To listen there takes a capability, which the workers don't have when they serve.
unload
load port=80
ss -K -n -l -t sport = :80 >/dev/null 2>&1
repaired() {
	[ "$(sed -n 's/^listener_repairs //p' /proc/net/http/stat)" = 1 ]
}
check "listener killed on port 80: it is opened again" wait_for 20 repaired
check "listener killed on port 80: it answers" wait_for 20 reachable 127.0.0.1 80

done_testing
