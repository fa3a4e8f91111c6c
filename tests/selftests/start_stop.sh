#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The server is stopped, started and configured without unloading: by one, by
# several at a time, and under load.

. "$(dirname "$0")/lib.sh"

echo index >"$docroot/index.html"
load

python_checks <<'END_OF_PYTHON'
from http_client import *
import errno

root = docroot.decode()

def answer(target="/", **more):
    with Connection(**more) as c:
        c.send(request(target, "Connection: close"))
        return c.response().body.decode().strip()

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

# ---- many writers at a time

def write(n):
    for i in range(40):
        sysctl("keepalive_timeout", str(100 + n))
        sysctl("maxconnect", str(1000 + n))
        sysctl("documentroot", root + "/" * n)
        sysctl("serverport", str(port))
        sysctl(("start", "stop")[(i + n) % 2], "1")
        sysctl("pending")
        sysctl("state")

writers = []
for n in range(1, 5):
    pid = os.fork()
    if pid == 0:
        write(n)
        os._exit(0)
    writers.append(pid)
is_("four writers end", [os.waitpid(pid, 0)[1] for pid in writers], [0] * 4)
sysctl("start", "1")
is_("each value is one that was written", [int(sysctl("keepalive_timeout")) in range(101, 105), int(sysctl("max_connect")) in range(1001, 1005),
    sysctl("documentroot").strip().rstrip("/"), reachable()], [True, True, root, True])
sysctl("documentroot", root)
END_OF_PYTHON

# Stopped and started again, while requests come.
requests() {
	awk '$1 == "requests" { print $2 }' /proc/net/http/stat
}
more_requests() {
	[ "$(requests)" -gt "$before" ]
}
# ab gives up after some connections that were refused.
touch "$tmp/load"
while [ -e "$tmp/load" ]; do
	ab -r -q -k -c 10 -n 1000 "$url/" >/dev/null 2>&1
done &
for round in 1 2 3 4 5 6 7 8 9 10; do
	before=$(requests)
	wait_for 30 more_requests || not_ok "there is load, round $round"
	sysctl_set stop 1 || not_ok "stop under load, round $round"
	sysctl_set start 1 || not_ok "start under load, round $round"
done
ok "stopped and started ten times under load"
rm "$tmp/load"
wait
is "it serves after that" "$(get /)" index
sysctl_set stop 1
is "no connection is left" "$(awk '$1 == "connections_open" { print $2 }' /proc/net/http/stat)" 0

done_testing
