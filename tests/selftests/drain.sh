#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A server that is stopped, or unloaded, lets what is under way come to its end.

. "$(dirname "$0")/lib.sh"

client_network || skip_all "no network for a client"
has_netem=0
if in_client tc qdisc add dev client root netem delay 1ms 2>/dev/null; then
	has_netem=1
	in_client tc qdisc del dev client root
fi
echo index >"$docroot/index.html"
echo hello >"$docroot/a.txt"
head -c 6000000 /dev/urandom >"$docroot/6m"
mkdir "$docroot/slow"
"$selftests/fuse.py" "$docroot/slow" "$tmp/hang" &
at_exit umount -l "$docroot/slow"
at_exit rm -f "$tmp/hang"
wait_for 30 mountpoint -q "$docroot/slow" || bail_out "no FUSE"
storage_may_hang
load

python_checks "$has_netem" <<'END_OF_PYTHON'
import signal
import subprocess
import sys
import threading
from http_client import *

tmp = os.environ["tmp"]
has_netem = sys.argv[1] == "1"
large = open(docroot.decode() + "/6m", "rb").read()

class Stop:
    """A stop that is under way, by a thread."""

    def __init__(self):
        self.began = time.monotonic()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        wait_until(lambda: sysctl("state") != "running\n")

    def run(self):
        self.error = sysctl("stop", "1")
        self.seconds = time.monotonic() - self.began

    def is_over(self):
        return not self.thread.is_alive()

    def join(self):
        self.thread.join()
        return self.seconds

def seen():
    try:
        with open(tmp + "/hang.seen") as file:
            return file.read()
    except FileNotFoundError:
        return None

def hang(kinds=None):
    if kinds:
        with open(tmp + "/hang", "w") as file:
            file.write(kinds)
        wait_until(lambda: seen() == kinds)
    else:
        os.unlink(tmp + "/hang")

def told(response):
    """What a response says of its connection, besides what it is."""
    return response and (response.status, response.get("Connection"))

def grown(before, *names):
    now = stat()
    return [now[name] - before[name] for name in names]

counters = "connections_drained", "connections_cut_off"
is_("the limit", sysctl("drain_timeout"), "5\n")

# ---- nobody is there

sysctl("drain_timeout", "300")
is_("without connections, a stop doesn't wait", Stop().join() < 100, True)
is_("and says that it is one", sysctl("state"), "stopped\n")
sysctl("start", "1")

# ---- what is under way

sysctl("send_timeout", "3600")
sysctl("header_timeout", "3600")
sysctl("keepalive_timeout", "3600")
before = stat()
idle, sending, partial, new, storage, pipelined, ended = (Connection(receive_buffer=32768) for _ in range(7))
idle.send(request("/a.txt"))
idle.response()
sending.send(request("/6m"))
sending.more()
partial.send(b"GET /a.txt HT")
hang("lookup")
storage.send(request("/slow/17.txt"))
pipelined.send(request("/6m") + request("/a.txt") + request("/"))
pipelined.more()
ended.send(request("/a.txt", "Connection: close"))
is_("one that is over waits for its client", told(ended.response()), (200, "close"))
time.sleep(1)
stop = Stop()
is_("an idle connection is closed", idle.end(), "closed")
is_("the server says what it does", (sysctl("state"), sysctl("stop"), sysctl("start")), ("draining\n", "1\n", "0\n"))
try:
    Connection().close()
    not_ok("nobody can connect any more")
except ConnectionRefusedError:
    ok("nobody can connect any more")
time.sleep(0.5)
is_("it waits", stop.is_over(), False)
new.send(request("/a.txt"))
is_("a connection without a request may have one", (told(new.response()), new.end()), ((200, "close"), "closed"))
partial.send(b"TP/1.1\r\nHost: a\r\n\r\n")
is_("a request that has begun is answered", (told(partial.response()), partial.end()), ((200, "close"), "closed"))
hang()
is_("one that waits for storage is", (told(storage.response()), storage.end()), ((200, "close"), "closed"))
response = sending.response()
is_("a long response comes to its end", (response.body == large, sending.end()), (True, "closed"))
response = pipelined.response()
is_("a long one with others behind it, too", response.body == large, True)
is_("one of which is the last", (told(pipelined.response()), pipelined.end() in ("closed", "reset")), ((200, "close"), True))
for c in (idle, sending, partial, new, storage, pipelined, ended):
    c.close()
seconds = stop.join()
is_("it ends with them, not with the limit", (stop.error, seconds < 250), (0, True))
is_("they are counted", grown(before, *counters), [7, 0])
is_("it is stopped", (sysctl("state"), stat()["connections_open"]), ("stopped\n", 0))
sysctl("start", "1")

# ---- in softirq nothing is kept open

sysctl("drain_timeout", "300")
with Connection(receive_buffer=32768) as slow:
    slow.send(request("/6m"))
    slow.more()
    hot = [Connection() for _ in range(10)]
    for _ in range(3):
        for c in hot:
            c.send(request("/a.txt"))
        for c in hot:
            c.response()
    stop = Stop()
    is_("connections that were served in softirq are closed", {c.end() for c in hot}, {"closed"})
    for c in hot:
        c.close()
    slow.response()
stop.join()
sysctl("start", "1")

# ---- the limit

def limited(seconds):
    """A stop with that limit: how long it takes, what it counts, how a connection without a request ends."""
    sysctl("drain_timeout", str(seconds))
    before = stat()
    with Connection(receive_buffer=32768) as slow, Connection() as partial, Connection() as new:
        slow.send(request("/6m"))
        slow.more()
        partial.send(b"GET /a.txt HT")
        time.sleep(0.3)
        took = Stop().join()
        got = took, grown(before, *counters), new.end()
    sysctl("start", "1")
    return got
# A worker that stands still has not seen what was sent to it.
took, counted, end = undisturbed(lambda: limited(1), lambda got: 0.9 < got[0] < 100 and got[1:] == ([0, 2], "closed"))
true("the limit holds", 0.9 < took < 100, took)
is_("what is cut off is counted", counted, [0, 2])
is_("a connection without a request ends", end, "closed")
sysctl("drain_timeout", "0")
before = stat()
with Connection(receive_buffer=32768) as slow:
    slow.send(request("/6m"))
    slow.more()
    is_("without a time for it, a stop waits for nothing", Stop().join() < 100, True)
    is_("and cuts off", grown(before, *counters), [0, 1])
sysctl("start", "1")

# ---- who doesn't want to wait

sysctl("drain_timeout", "600")
def stuck():
    c = Connection(receive_buffer=32768)
    c.send(request("/6m"))
    c.more()
    return c
for name, value in (("stop", "1"), ("start", "1")):
    with stuck():
        stop = Stop()
        time.sleep(0.5)
        is_("%s: it waits" % name, stop.is_over(), False)
        begin = time.monotonic()
        is_("%s: who writes it ends the wait" % name, (sysctl(name, value), time.monotonic() - begin < 100), (0, True))
        is_("%s: the first one is over" % name, stop.join() < 200, True)
        is_("%s: what comes of it" % name, sysctl("state"), "running\n" if name == "start" else "stopped\n")
    sysctl("start", "1")
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
    with stuck():
        writer = subprocess.Popen(["sh", "-c", "exec 3>/proc/sys/net/http/stop; exec dd bs=1 count=1 status=none >&3"], stdin=subprocess.PIPE)
        writer.stdin.write(b"1")
        writer.stdin.close()
        wait_until(lambda: sysctl("state") == "draining\n")
        is_("%s: it waits" % number.name, (sysctl("state"), writer.poll()), ("draining\n", None))
        begin = time.monotonic()
        writer.send_signal(number)
        writer.wait()
        is_("%s: a signal ends the wait" % number.name, (sysctl("state"), time.monotonic() - begin < 100), ("stopped\n", True))
    sysctl("start", "1")

# ---- nobody who has connected is forgotten

sysctl("drain_timeout", "300")
sysctl("max_connect", "2")
with stuck() as first, stuck() as second:
    waiting = [Connection() for _ in range(6)]
    for c in waiting:
        c.send(request("/a.txt"))
    time.sleep(0.5)
    stop = Stop()
    is_("those who wait to be accepted still do", not any(not c.is_open(0.02) for c in waiting), True)
    first.response()
    second.response()
    first.close()
    second.close()
    answers = []
    for c in waiting:
        answers.append((told(c.response()), c.end()))
        c.close()
    is_("they are answered", answers, [((200, "close"), "closed")] * 6)
    stop.join()
sysctl("max_connect", "10000")
sysctl("start", "1")

def know(address, *namespace):
    """Has an address known for good, so that no ARP is needed, which gives up after three seconds."""
    known = subprocess.run(["ip", *namespace, "neigh", "show", address], stdout=subprocess.PIPE).stdout.decode().split()
    subprocess.run(["ip", *namespace, "neigh", "replace", *known[:known.index("lladdr") + 2], "nud", "permanent"], check=True)

if has_netem:
    subprocess.run(["ip", "netns", "exec", "client", "curl", "-sS", "-o", "/dev/null", "http://192.0.2.1:%d/a.txt" % port], check=True)
    know("192.0.2.1", "-n", "client")
    know("192.0.2.2")
    # The SYN is there when the server is stopped, the last ACK is not: for less than the ten seconds
    # that it waits for, and longer than it takes a slow machine to look.
    subprocess.run(["ip", "netns", "exec", "client", "tc", "qdisc", "add", "dev", "client", "root", "netem", "delay", "6s"], check=True)
    def half_open():
        return b"SYN-RECV" in subprocess.run(["ss", "-Htn", "state", "syn-recv", "sport", "=", ":%d" % port], stdout=subprocess.PIPE).stdout.replace(b"192.0.2.2", b"SYN-RECV")
    def stopped_meanwhile():
        """Whether a handshake was under way, and still was when the server was stopped, what the client got, and
        whether the stop has ended; None if the machine took longer than the handshake."""
        client = subprocess.Popen(["ip", "netns", "exec", "client", "curl", "-sS", "--max-time", "200", "http://192.0.2.1:%d/a.txt" % port], stdout=subprocess.PIPE)
        seen = False
        for _ in range(1000):
            looked = time.monotonic()
            if seen := half_open():
                break
        stop = Stop()
        got = seen, half_open(), sysctl("state")
        took = time.monotonic() - looked
        got += client.communicate()[0], stop.join() < 250
        sysctl("start", "1")
        return got if took < 5.5 else None
    for _ in range(10):
        if got := stopped_meanwhile():
            break
        print("# once more: that took longer than the handshake")
    what = "a handshake that is under way when the server is stopped comes to its end, and is answered"
    if got:
        is_(what, got, (True, True, "draining\n", b"hello\n", True))
    else:
        ok(what + " # SKIP this machine takes longer than it")
    subprocess.run(["ip", "netns", "exec", "client", "tc", "qdisc", "del", "dev", "client", "root"], check=True)

# ---- a flood of SYNs

flood = """
import socket, struct, sys
def checksum(octets):
    total = sum(struct.unpack("!%dH" % (len(octets) // 2), octets))
    total = (total >> 16) + (total & 65535)
    return ~(total + (total >> 16)) & 65535
to = socket.inet_aton("192.0.2.1")
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
for n in range(100):
    source = socket.inet_aton("192.0.2.%d" % (100 + n))
    def segment(sum):
        return struct.pack("!HHLLBBHHH", 2000 + n, int(sys.argv[1]), n, 0, 0x50, 2, 65535, sum, 0)
    tcp = segment(checksum(source + to + struct.pack("!HH", 6, 20) + segment(0)))
    raw.sendto(struct.pack("!BBHHHBBH", 0x45, 0, 40, n, 0, 64, 6, 0) + source + to + tcp, ("192.0.2.1", 0))
"""
def half_open():
    ss = ["ss", "-Htn", "state", "syn-recv", "sport", "=", ":%d" % port]
    return len(subprocess.run(ss, stdout=subprocess.PIPE).stdout.splitlines())
# Somebody else is there, so that no failure to find them ends the handshakes.
neighbours = "".join("neigh replace 192.0.2.%d lladdr 02:00:00:00:00:01 dev server\n" % (100 + n) for n in range(100))
subprocess.run(["ip", "-batch", "-"], input=neighbours.encode(), check=True)
for _ in range(10):
    subprocess.run(["ip", "netns", "exec", "client", "python3", "-c", flood, str(port)], check=True)
    begun = wait_until(lambda: half_open() > 50, 10)
    with Connection(receive_buffer=32768) as slow:
        slow.send(request("/6m"))
        slow.more()
        stop = Stop()
        time.sleep(4)
        still = half_open() > 50, stop.is_over()
        took = time.monotonic() - stop.began
        gone = wait_until(lambda: half_open() == 0, 30)
        waited, whole = stop.is_over(), slow.response().body == large
    seconds = stop.join()
    sysctl("start", "1")
    # The ten seconds for which they are waited for.
    if took < 9 or still == (True, False):
        break
    print("# once more: it took %.1f s to look" % took)
what = "handshakes that nobody ends are under way, and are waited for"
if took < 9 or still == (True, False):
    is_(what, (begun, still), (True, (True, False)))
else:
    ok(what + " # SKIP this machine takes longer to look")
true("for some seconds", gone, half_open())
is_("but a response is waited for still", (waited, whole), (False, True))
true("the stop ends with that", 9 < seconds < 250, seconds)

# ---- beside a backing server

def who(response):
    if response is None:
        return "nobody"
    return "backing" if response.get("Server") == "backing" else told(response)

sysctl("clientport", "8081")
sysctl("handoff_timeout", "3")
with Backing("--epoll"):
    before = stat()
    idle, partial, new, pipelined = (Connection(receive_buffer=32768) for _ in range(4))
    idle.send(request("/a.txt"))
    idle.response()
    partial.send(b"GET /a.txt HT")
    pipelined.send(request("/6m") + request("/a.txt") + request("/a.txt"))
    pipelined.more()
    time.sleep(0.3)
    stop = Stop()
    time.sleep(0.3)
    idle.send(request("/a.txt"))
    partial.send(b"TP/1.1\r\nHost: a\r\n\r\n")
    new.send(request("/a.txt"))
    is_("idle, in the middle of a request, and new: handed over", [who(c.response()) for c in (idle, partial, new)], ["backing"] * 3)
    response = pipelined.response()
    is_("a long response is ours to the end", (response.body == large, told(response)), (True, (200, None)))
    is_("what is behind it is handed over", [who(pipelined.response()) for _ in range(2)], ["backing"] * 2)
    stop.join()
    is_("they are counted", grown(before, *counters, "handoff_idle"), [4, 0, 4])
    for c in (idle, partial, new, pipelined):
        c.close()
sysctl("start", "1")
before = stat()
idle, partial, new = (Connection() for _ in range(3))
idle.send(request("/a.txt"))
idle.response()
partial.send(b"GET /a.txt HT")
time.sleep(0.3)
stop = Stop()
is_("the backing server is down: an idle connection is closed", idle.end(), "closed")
partial.send(b"TP/1.1\r\nHost: a\r\n\r\n")
new.send(request("/a.txt"))
is_("the others are answered here", [(who(c.response()), c.end()) for c in (partial, new)], [((200, "close"), "closed")] * 2)
for c in (idle, partial, new):
    c.close()
stop.join()
is_("and counted", grown(before, *counters), [3, 0])
sysctl("start", "1")
END_OF_PYTHON

# ---- unloaded

python_checks <<'END_OF_PYTHON'
import signal
import subprocess
import threading
from http_client import *

large = open(docroot.decode() + "/6m", "rb").read()
sysctl("clientport", "0")
sysctl("drain_timeout", "300")
sysctl("send_timeout", "3600")
with Connection(receive_buffer=32768) as c:
    c.send(request("/6m"))
    c.more()
    rmmod = subprocess.Popen(["rmmod", "rust_tux"])
    true("its state can be read while it waits", wait_until(lambda: sysctl("state") == "draining\n"), sysctl("state"))
    is_("and its counters", stat()["connections_open"], 1)
    time.sleep(0.5)
    is_("it waits", rmmod.poll(), None)
    is_("a response comes to its end", (c.response().body == large, c.end()), (True, "closed"))
is_("and then the module goes", (rmmod.wait(100), os.path.exists("/sys/module/rust_tux")), (0, False))
END_OF_PYTHON
load
python_checks <<'END_OF_PYTHON'
import signal
import subprocess
from http_client import *

sysctl("drain_timeout", "600")
sysctl("send_timeout", "3600")
with Connection(receive_buffer=32768) as c:
    c.send(request("/6m"))
    c.more()
    rmmod = subprocess.Popen(["rmmod", "rust_tux"])
    true("rmmod waits", wait_until(lambda: sysctl("state") == "draining\n"), sysctl("state"))
    rmmod.send_signal(signal.SIGINT)
    rmmod.wait(100)
    is_("a signal ends the wait: the module goes", os.path.exists("/sys/module/rust_tux"), False)
END_OF_PYTHON
like "the log says how many" "$(kernel_log_since "$$" rust_tux)" 'stopped: 7 connections drained, 0 cut off$'
load
done_testing
