#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Limits hold, and can be changed while the server runs: connections, times, the
# length of a head.

. "$(dirname "$0")/lib.sh"

echo index >"$docroot/index.html"
truncate -s 16M "$docroot/large"
truncate -s 300K "$docroot/medium"
load

python_checks <<'END_OF_PYTHON'
from http_client import *
import threading

def answer(target="/", **more):
    with Connection(**more) as c:
        c.send(request(target, "Connection: close"))
        return c.response().body.decode().strip()

# ---- max_connect

# Whoever is in stays, however slow this machine is.
sysctl("keepalive_timeout", "3600")

def opened(count):
    connections = [Connection() for _ in range(count)]
    for c in connections:
        c.send(request("/"))
        c.response()
    return connections

def served(c):
    try:
        return c.response().status == 200
    except (OSError, AttributeError):
        return False

for limit in 1, 3:
    sysctl("max_connect", str(limit))
    inside = opened(limit)
    waiting = Connection()
    waiting.send(request("/"))
    true("max_connect %d: one more waits" % limit, waiting.is_open(0.7))
    for leave in Connection.close, Connection.reset, Connection.half_close:
        leave(inside.pop())
        true("max_connect %d: it is served when one leaves by %s" % (limit, leave.__name__), served(waiting))
        inside.append(waiting)
        waiting = Connection()
        waiting.send(request("/"))
        true("max_connect %d: and the next waits" % limit, waiting.is_open(0.3))
    inside[0].send(request("/", "Connection: close"))
    inside[0].response()
    inside.pop(0).close()
    true("max_connect %d: it is served when the server closes one" % limit, served(waiting))
    for c in inside + [waiting]:
        c.close()

sysctl("max_connect", "2")
inside = opened(2)
waiting = [Connection() for _ in range(4)]
for c in waiting:
    c.send(request("/"))
true("max_connect 2: four wait", not any(not c.is_open(0.2) for c in waiting))
sysctl("max_connect", "6")
true("max_connect raised: they are served", all([served(c) for c in waiting]))
sysctl("max_connect", "1")
is_("max_connect lowered: nobody is turned out", [c.send(request("/")) or served(c) for c in inside + waiting], [True] * 6)
late = Connection()
late.send(request("/"))
for c in waiting + inside[1:]:
    c.close()
true("max_connect lowered: one more waits", late.is_open(0.7))
inside[0].close()
true("max_connect lowered: until it is the only one", served(late))
late.close()
sysctl("max_connect", "3")
got = []
def one():
    got.append(answer())
crowd = [threading.Thread(target=one) for _ in range(40)]
for t in crowd:
    t.start()
for t in crowd:
    t.join()
is_("max_connect 3: forty at a time are all served", got, ["index"] * 40)
sysctl("max_connect", "10000")

# ---- timeouts

def counted(name, claim):
    """Whether claim() is true, and one of these was counted meanwhile."""
    before = stat()[name]
    return claim() and wait_until(lambda: stat()[name] == before + 1)

sysctl("keepalive_timeout", "1")
def idle_after_three():
    with Connection() as c:
        for _ in range(3):
            c.send(request("/"))
            c.response().body
            time.sleep(0.2)
        return counted("timeout_keepalive", lambda: c.end() == "closed")
is_("keepalive_timeout: an idle connection is closed", undisturbed(idle_after_three), True)
# The whole response is in the send buffer, and a slow client reads it.
with Connection(receive_buffer=8192) as c:
    c.send(request("/medium"))
    end = time.monotonic() + 3.5
    while time.monotonic() < end:
        c.unread += c.socket.recv(4000)
        time.sleep(0.1)
    c.send(request("/"))
    try:
        is_("keepalive_timeout: a response on its way is not idle time",
            (len(c.response().body), c.response().body), (300 << 10, b"index\n"))
    except (OSError, AttributeError) as error:
        not_ok("keepalive_timeout: a response on its way is not idle time", error)
sysctl("keepalive_timeout", "0")
with Connection() as c:
    c.send(request("/"))
    c.response()
    true("keepalive_timeout 0: it is not", c.is_open(2.5))
sysctl("keepalive_timeout", "15")

sysctl("header_timeout", "1")
with Connection() as c:
    true("header_timeout: silence is answered by it", counted("timeout_header", lambda: c.end() == "closed"))
def half_a_head(*before):
    with Connection() as c:
        for sent in before:
            c.send(sent)
            c.response().body
        c.send(b"GET / HTTP/1.1\r\nHost: a\r\n")
        r = c.response()
        return r.status, r.get("Connection"), c.end()
def is_timed_out(got):
    return got == (408, "close", "closed")
is_("header_timeout: half a head is answered 408", undisturbed(half_a_head, is_timed_out), (408, "close", "closed"))
is_("header_timeout: it holds for the second request too", undisturbed(lambda: half_a_head(request("/")), is_timed_out), (408, "close", "closed"))
def octet_by_octet():
    """The answer, and whether it came before all was sent, which takes more than a minute."""
    with Connection() as c:
        is_early = False
        try:
            for octet in b"GET / HTTP/1.1\r\nX: " + b"a" * 600:
                c.send(bytes([octet]))
                if not c.is_open(0.1):
                    is_early = True
                    break
        except OSError:
            is_early = True
        return c.response().status, is_early
is_("header_timeout: an octet now and then does not stretch it", undisturbed(octet_by_octet, lambda got: got == (408, True)), (408, True))
def idle():
    with Connection() as c:
        c.send(request("/"))
        c.response().body
        return c.is_open(2.5)
is_("header_timeout: an idle connection has keepalive_timeout instead", undisturbed(idle), True)
sysctl("header_timeout", "10")

sysctl("send_timeout", "1")
with Connection(receive_buffer=4096) as c:
    c.send(request("/large"))
    true("send_timeout: who takes nothing is cut off", wait_until(lambda: stat()["connections_open"] == 0, 25), stat())
    try:
        c.response()
        not_ok("send_timeout: by a reset")
    except ConnectionResetError:
        ok("send_timeout: by a reset")
is_("send_timeout: it is counted", stat()["timeout_send"], 1)
def takes_a_little():
    before = stat()["timeout_send"]
    with Connection(receive_buffer=65536) as c:
        c.send(request("/large"))
        got = 0
        for _ in range(40):
            got += len(c.socket.recv(1 << 15))
            time.sleep(0.1)
        return stat()["timeout_send"] == before and got > 0
is_("send_timeout: who takes a little is not", undisturbed(takes_a_little), True)
sysctl("send_timeout", "30")

sysctl("linger_timeout", "1")
with Connection() as c:
    c.send(request("/", "Connection: close"))
    true("linger_timeout: who does not close is closed", counted("timeout_linger", lambda: True))
    is_("linger_timeout: with nothing lost", (c.response().body, c.end()), (b"index\n", "closed"))
def lingers():
    """How long it does, while it gets octets."""
    with Connection() as c:
        c.send(request("/", "Connection: close"))
        began = time.monotonic()
        try:
            while time.monotonic() - began < 60:
                c.send(b"x")
                time.sleep(0.2)
        except OSError:
            pass
        return time.monotonic() - began
seconds = undisturbed(lingers, lambda seconds: 3 < seconds < 50)
true("linger_timeout: octets don't stretch it for ever", 3 < seconds < 50, seconds)
sysctl("linger_timeout", "5")
sysctl("linger_limit", "1000")
with Connection() as c:
    def send_much():
        c.send(request("/", "Connection: close"))
        c.response()
        c.send(b"x" * 2000)
        return True
    true("linger_limit: who sends too much is closed", counted("limit_linger", send_much))
sysctl("linger_limit", "16777216")

sysctl("max_header_len", "256")
def long(length):
    return request("/", "X: " + "a" * (length - len(request("/", "X: "))))
with Connection() as c:
    c.send(long(256))
    is_("max_header_len 256: 256 octets", c.response().status, 200)
    c.send(long(257))
    is_("max_header_len 256: 257 octets", (c.response().status, c.end()), (431, "closed"))
sysctl("max_header_len", "65536")
with Connection() as c:
    for length in 257, 8193, 60000, 65536:
        c.send_in_pieces(long(length), 1000)
        is_("max_header_len 65536: %d octets" % length, c.response().status, 200)
    c.send(long(65537))
    is_("max_header_len 65536: 65537 octets", (c.response().status, c.end()), (431, "closed"))
sysctl("max_header_len", "8192")
END_OF_PYTHON

done_testing
