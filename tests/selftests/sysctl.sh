#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The sysctls: values, ranges, what is refused, and that each does what it says.

. "$(dirname "$0")/lib.sh"

echo index >"$docroot/index.html"
truncate -s 16M "$docroot/large"
mkdir "$tmp/other" "$tmp/name with space"
echo other >"$tmp/other/index.html"
echo spaced >"$tmp/name with space/index.html"
: >"$tmp/file"
mkdir "$tmp/mount"
mount -t tmpfs none "$tmp/mount"
at_exit umount -l "$tmp/mount"
chmod 755 "$tmp/mount"
echo mounted >"$tmp/mount/index.html"
load

cd /proc/sys/net/http || bail_out "no sysctls"
is "names and modes" "$(stat -c '%n %a %U' ./* | sed 's,^./,,' | sort)" "$(sort <<'EOF'
address 644 root
clientport 644 root
documentroot 644 root
header_timeout 644 root
keepalive_timeout 644 root
linger_limit 644 root
linger_timeout 644 root
max_backlog 644 root
max_connect 644 root
max_header_len 644 root
maxconnect 644 root
pending 444 root
redirect_port 644 root
send_timeout 644 root
serverport 644 root
start 644 root
state 444 root
stop 644 root
threads 644 root
EOF
)"
cd / || exit
sysctl -qw net.http.keepalive_timeout=20
is "sysctl(8) works" "$(sysctl -n net.http.keepalive_timeout)" 20
if setpriv --reuid 65534 --regid 65534 --clear-groups sh -c 'echo 1 >/proc/sys/net/http/stop' 2>/dev/null; then
	not_ok "others can't write"
else
	ok "others can't write"
fi
check "others can read" setpriv --reuid 65534 --regid 65534 --clear-groups cat /proc/sys/net/http/serverport
sysctl_set keepalive_timeout 15

python_checks <<'END_OF_PYTHON'
from http_client import *
import errno
import subprocess
import threading

tmp = os.environ["tmp"]
root = docroot.decode()

def answer(target="/", **more):
    with Connection(**more) as c:
        c.send(request(target, "Connection: close"))
        return c.response().body.decode().strip()

# ---- numbers

numbers = (
    # names, default, least, most, at once
    (["serverport"], port, 1, 65535, False),
    (["clientport", "redirect_port"], 8080, 0, 65535, True),
    (["threads"], 0, 0, 1024, False),
    (["max_connect", "maxconnect"], 10000, 1, 4194304, True),
    (["max_backlog"], 2048, 1, 65535, False),
    (["keepalive_timeout"], 15, 0, 86400, True),
    (["header_timeout"], 10, 1, 3600, True),
    (["send_timeout"], 30, 1, 3600, True),
    (["linger_timeout"], 5, 1, 3600, True),
    (["linger_limit"], 16777216, 0, 1073741824, True),
    (["max_header_len"], 8192, 256, 65536, True),
)
garbage = ("", "\n", " ", "x", "-1", "+1", "1.0", "1e3", "0x10", "010", "00", "80abc", "80 ", " 80", "80\n\n", "8\n0", "80\t", "80,81",
           "4294967296", "4294967297", "18446744073709551617", "9" * 5000, "1" * 4097, "8\x000", "80\x00", "\u0668\u0660", "true", "1\r")
for names, default, least, most, now in numbers:
    name = names[0]
    is_("%s: default" % name, [sysctl(n) for n in names], ["%d\n" % default] * len(names))
    wrong = []
    for value in garbage + (str(most + 1), str(least - 1)):
        # An empty write never gets to the sysctl.
        if value and sysctl(name, value) != errno.EINVAL or sysctl(name) != "%d\n" % default or sysctl("pending") != "":
            wrong.append((value[:30], sysctl(name), sysctl("pending")))
    is_("%s: garbage is refused, and changes nothing" % name, wrong, [])
    with open("/proc/sys/net/http/" + name, "wb", buffering=0) as file:
        try:
            os.pwrite(file.fileno(), b"1", 1)
            not_ok("%s: a part of a value is refused" % name)
        except OSError as error:
            is_("%s: a part of a value is refused" % name, error.errno, errno.EINVAL)
    wrong = []
    for value in least, most, least + 1, default:
        for n in names:
            if sysctl(n, str(value)) != 0 or sysctl(n, "%d\n" % value) != 0:
                wrong.append((n, value))
            for m in names:
                if sysctl(m) != "%d\n" % (value if now else default):
                    wrong.append((m, value, sysctl(m)))
            waits = "" if now or value == default else "%s %d\n" % (name, value)
            if sysctl("pending") != waits:
                wrong.append((n, value, sysctl("pending")))
    is_("%s: the least, the most and others" % name, wrong, [])
is_("a write that succeeds takes all", os.write(os.open("/proc/sys/net/http/threads", os.O_WRONLY), b"0\n"), 2)
for name in "state", "pending":
    isnt("%s can't be written" % name, sysctl(name, "1"), 0)

# ---- documentroot

with Connection() as c:
    def again():
        c.send(request("/"))
        return c.response().body.decode().strip()
    is_("documentroot", (sysctl("documentroot"), again()), (root + "\n", "index"))
    for value, error in (("/nonexistent", errno.ENOENT), (tmp + "/file", errno.ENOTDIR), (tmp + "/file/x", errno.ENOTDIR), ("relative", errno.EINVAL),
                         ("\n", errno.EINVAL), (tmp + "/other\0", errno.EINVAL), ("/" + "a" * 255 + "/b", errno.ENOENT), ("/" + "a" * 256, errno.ENAMETOOLONG)):
        is_("documentroot %r is refused" % value[:40], sysctl("documentroot", value), error)
    isnt("a documentroot of 5000 octets is refused", sysctl("documentroot", "/." * 2500), 0)
    is_("and nothing has changed", (sysctl("documentroot"), again()), (root + "\n", "index"))
    for place, wanted in ("other", "other"), ("name with space", "spaced"), ("mount", "mounted"):
        is_("documentroot to %r" % place, sysctl("documentroot", "%s/%s\n" % (tmp, place)), 0)
        is_("at once, on a connection that is there", again(), wanted)
        is_("and reads back", sysctl("documentroot"), "%s/%s\n" % (tmp, place))
    is_("a name of 4095 octets", sysctl("documentroot", (tmp + "/other" + "/." * 2100)[:4095].rstrip("/") + "\n"), 0)
    is_("is followed", again(), "other")

def unmounted():
    return subprocess.run(["umount", tmp + "/mount"], stderr=subprocess.DEVNULL).returncode == 0

sysctl("documentroot", tmp + "/mount")
is_("another file system is served", answer(), "mounted")
wait_until(lambda: stat()["connections_open"] == 0)
time.sleep(2)
is_("it can't be unmounted then", unmounted(), False)
sysctl("documentroot", root)
true("it can be when it is served no more, though nobody asks for anything", wait_until(unmounted, 10))
is_("and the old one is back", answer(), "index")
with Connection() as c:
    c.send(request("/large"))
    c.more()
    sysctl("documentroot", tmp + "/other")
    is_("a response that has begun is not changed", len(c.response().body), 16 << 20)
    c.send(request("/"))
    is_("and the next one is of the new", c.response().body, b"other\n")
sysctl("documentroot", root)

# ---- start, stop, state

def state():
    return sysctl("state"), sysctl("start"), sysctl("stop")

running, stopped = ("running\n", "1\n", "0\n"), ("stopped\n", "0\n", "1\n")

def reachable(port=port, address="127.0.0.1"):
    try:
        return answer(port=port, address=address) == "index"
    except ConnectionRefusedError:
        return False

is_("it runs", state(), running)
for name in "start", "stop":
    is_("%s: garbage is refused" % name, [sysctl(name, v) for v in ("2", "x", "-1", "yes", "11", "1 ")], [errno.EINVAL] * 6)
is_("start and start again", [sysctl("start", "1"), sysctl("start", "1"), sysctl("start", "0"), state(), reachable()], [0, 0, 0, running, True])
is_("stop 0 does nothing", [sysctl("stop", "0"), state()], [0, running])
with Connection() as c:
    c.send(request("/"))
    c.response()
    is_("stop", [sysctl("stop", "1"), state(), reachable()], [0, stopped, False])
    is_("stop closes connections", c.end(), "closed")
is_("stop and stop again", [sysctl("stop", "1"), sysctl("stop", "0"), sysctl("start", "0"), state()], [0, 0, 0, stopped])
is_("start again", [sysctl("start", "1"), state(), reachable()], [0, running, True])

# ---- what waits for a start

sysctl("serverport", str(port + 1))
sysctl("threads", "3")
sysctl("address", "127.0.0.1")
is_("what waits is pending", sorted(sysctl("pending").splitlines()), ["address 127.0.0.1", "serverport %d" % (port + 1), "threads 3"])
is_("and not in force", [sysctl("serverport"), sysctl("threads"), sysctl("address"), reachable(), reachable(port + 1), reachable(address="::1")],
    ["%d\n" % port, "0\n", "*\n", True, False, True])
sysctl("start", "1")
is_("a start that starts nothing changes nothing", reachable(), True)
sysctl("stop", "1")
is_("while it is stopped nothing is pending", [sysctl("pending"), sysctl("serverport"), sysctl("threads"), sysctl("address")],
    ["", "%d\n" % (port + 1), "3\n", "127.0.0.1\n"])
sysctl("start", "1")
is_("it is in force then", [sysctl("pending"), reachable(), reachable(port + 1), sysctl("serverport")], ["", False, True, "%d\n" % (port + 1)])
with socket.socket(socket.AF_INET6) as s:
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("::1", port))
    s.listen()
    sysctl("serverport", str(port))
    sysctl("address", "*")
    sysctl("stop", "1")
    is_("a start at a port that is taken fails", [sysctl("start", "1"), state()], [errno.EADDRINUSE, stopped])
    sysctl("address", "192.0.2.77")
    is_("a start at an address that is nowhere fails", [sysctl("start", "1"), state()], [errno.EADDRNOTAVAIL, stopped])
    is_("an address that is none is refused", [sysctl("address", v) for v in ("localhost", "1.2.3", "::1%lo", "1.2.3.4:80")], [errno.EINVAL] * 4)
for value in "any", "*":
    is_("address %s" % value, [sysctl("address", value), sysctl("address")], [0, "*\n"])
sysctl("threads", "0")
is_("and succeeds when it is free", [sysctl("start", "1"), state(), reachable(), reachable(address="::1")], [0, running, True, True])

# ---- max_connect

def opened(count):
    connections = [Connection() for _ in range(count)]
    for c in connections:
        c.send(request("/"))
        c.response()
    return connections

def served(c, seconds=20):
    c.socket.settimeout(seconds)
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
    t.join(60)
is_("max_connect 3: forty at a time are all served", got, ["index"] * 40)
sysctl("max_connect", "10000")

# ---- timeouts

def counted(name, claim):
    """Whether claim() is true, and one of these was counted meanwhile."""
    before = stat()[name]
    return claim() and wait_until(lambda: stat()[name] == before + 1, 10)

sysctl("keepalive_timeout", "1")
with Connection() as c:
    for _ in range(3):
        c.send(request("/"))
        c.response()
        time.sleep(0.2)
    true("keepalive_timeout: an idle connection is closed", counted("timeout_keepalive", lambda: c.end() == "closed"))
sysctl("keepalive_timeout", "0")
with Connection() as c:
    c.send(request("/"))
    c.response()
    true("keepalive_timeout 0: it is not", c.is_open(3))
sysctl("keepalive_timeout", "15")

sysctl("header_timeout", "1")
with Connection() as c:
    true("header_timeout: silence is answered by it", counted("timeout_header", lambda: c.end() == "closed"))
with Connection() as c:
    c.send(b"GET / HTTP/1.1\r\nHost: a\r\n")
    r = c.response()
    is_("header_timeout: half a head is answered 408", (r.status, r.get("Connection"), c.end()), (408, "close", "closed"))
with Connection() as c:
    c.send(request("/"))
    c.response()
    c.send(b"G")
    is_("header_timeout: it holds for the second request too", (c.response().status, c.end()), (408, "closed"))
with Connection() as c:
    began = time.monotonic()
    try:
        for octet in b"GET / HTTP/1.1\r\nX: " + b"a" * 300:
            c.send(bytes([octet]))
            if not c.is_open(0.1):
                break
    except OSError:
        pass
    is_("header_timeout: an octet now and then does not stretch it", (c.response().status, time.monotonic() - began < 15), (408, True))
with Connection() as c:
    c.send(request("/"))
    c.response()
    true("header_timeout: an idle connection has keepalive_timeout instead", c.is_open(3))
sysctl("header_timeout", "10")

sysctl("send_timeout", "1")
with Connection(receive_buffer=4096) as c:
    c.send(request("/large"))
    true("send_timeout: who takes nothing is cut off", wait_until(lambda: stat()["connections_open"] == 0, 20), stat())
    try:
        c.response()
        not_ok("send_timeout: by a reset")
    except ConnectionResetError:
        ok("send_timeout: by a reset")
is_("send_timeout: it is counted", stat()["timeout_send"], 1)
with Connection(receive_buffer=65536) as c:
    c.send(request("/large"))
    got = 0
    for _ in range(30):
        got += len(c.socket.recv(1 << 20))
        time.sleep(0.1)
    true("send_timeout: who takes a little is not", stat()["timeout_send"] == 1 and got > 0)
sysctl("send_timeout", "30")

sysctl("linger_timeout", "1")
with Connection() as c:
    c.send(request("/", "Connection: close"))
    true("linger_timeout: who does not close is closed", counted("timeout_linger", lambda: True))
    is_("linger_timeout: with nothing lost", (c.response().body, c.end()), (b"index\n", "closed"))
with Connection() as c:
    c.send(request("/", "Connection: close"))
    began = time.monotonic()
    try:
        while time.monotonic() - began < 60:
            c.send(b"x")
            time.sleep(0.2)
    except OSError:
        pass
    true("linger_timeout: octets don't stretch it for ever", 3 < time.monotonic() - began < 50)
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

# ---- many writers at a time

def write(n):
    for i in range(60):
        sysctl("keepalive_timeout", str(100 + n))
        sysctl("maxconnect", str(1000 + n))
        sysctl("documentroot", root + "/" * n)
        sysctl("serverport", str(port))
        sysctl(("start", "stop")[(i + n) % 2], "1")
        sysctl("pending")
        sysctl("state")
writers = [os.fork() for _ in range(4)]
if 0 in writers:
    write(writers.index(0) + 1)
    os._exit(0)
is_("four writers end", [os.waitpid(pid, 0)[1] for pid in writers], [0] * 4)
sysctl("start", "1")
is_("each value is one that was written", [int(sysctl("keepalive_timeout")) in range(101, 105), int(sysctl("max_connect")) in range(1001, 1005),
    sysctl("documentroot").strip().rstrip("/"), reachable()], [True, True, root, True])
sysctl("documentroot", root)
END_OF_PYTHON

# Stopped and started again, while requests come.
ab -r -q -k -c 10 -t 60 -n 10000000 "$url/" >"$tmp/ab" 2>&1 &
ab=$!
at_exit kill $ab
wait_for 30 test "$(awk '$1 == "requests" { print $2 }' /proc/net/http/stat)" -gt 0
for round in 1 2 3 4 5 6 7 8 9 10; do
	sysctl_set stop 1 || not_ok "stop under load, round $round"
	sysctl_set start 1 || not_ok "start under load, round $round"
	sleep 0.2
done
ok "stopped and started ten times under load"
kill $ab
wait $ab 2>/dev/null
is "it serves after that" "$(get /)" index
sysctl_set stop 1
is "no connection is left" "$(awk '$1 == "connections_open" { print $2 }' /proc/net/http/stat)" 0

done_testing
