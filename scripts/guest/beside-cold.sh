#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# usage: scripts/guest/beside-cold.sh [ROUNDS]
#
# Runs in the virtual machine:
#
#	scripts/vm.sh --counted --cpus 1 -- scripts/guest/beside-cold.sh
#
# With --counted nothing that the host does is in the figures. Then there has to be one
# processor: two would take turns of milliseconds.
#
# How long requests for a document that is kept (1 KiB on ext4, answered in softirq) take
# while 100 connections ask for files of a file system that answers slowly, none of which
# is cached, against how long they take alone: by turns, ROUNDS (20) times each, so that
# whatever else the host does meets both. Prints the 50th and 99th percentile of each, and
# their ratios. Then what 100 connections that ask at once for the same file cost, of
# which nothing is in memory: look-ups and reads that waited, and reads of the disk.

set -eu
rounds=${1:-20}
here=$(cd "$(dirname "$0")/../.." && pwd)
selftests=$here/tests/selftests
work=$(mktemp -d)
chmod 755 "$work"
trap 'rmmod rust_tux 2>/dev/null; umount -l "$work/site/slow" "$work/site" 2>/dev/null; rm -rf "$work"' EXIT
mkdir "$work/site"
mkfs.ext4 -q -F /dev/vdc
mount /dev/vdc "$work/site"
mkdir "$work/site/slow"
chmod 755 "$work/site" "$work/site/slow"
head -c 1024 /dev/urandom >"$work/site/hot.bin"
for ((i = 0; i < 5; i++)); do
	head -c 20000 /dev/urandom >"$work/site/burst$i.bin"
done
sync
"$selftests/fuse.py" "$work/site/slow" "$work/hold" &
until mountpoint -q "$work/site/slow"; do sleep 0.1; done
modprobe veth
ip netns add clients
ip link add s0 type veth peer name c0 netns clients
ip address add 192.0.2.1/24 dev s0
ip link set s0 up
ip -n clients address add 192.0.2.2/24 dev c0
ip -n clients link set c0 up
insmod "$here/rust-tux.ko" "docroot=$work/site" port=8080 threads=1
PYTHONPATH=$selftests ip netns exec clients python3 - "$work" "$rounds" <<'END_OF_PYTHON'
import ctypes, os, random, signal, sys, time
from http_client import *

work, rounds = sys.argv[1], int(sys.argv[2])
hold = work + "/hold"
REQUESTS = 400
# Nanoseconds between two of them, at least and at most.
PERIOD = 300000, 1000000

class Timespec(ctypes.Structure):
    _fields_ = ("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long)

clock_nanosleep = ctypes.CDLL(None).clock_nanosleep
TIMER_ABSTIME = 1

def sleep_until(when):
    """Until that time of CLOCK_MONOTONIC, in nanoseconds."""
    until = Timespec(*divmod(when, 10**9))
    clock_nanosleep(time.CLOCK_MONOTONIC, TIMER_ABSTIME, ctypes.byref(until), None)

def connect():
    return Connection("192.0.2.1")

def stat():
    """The counters, which are those of the server's network namespace."""
    with open("/proc/1/net/http/stat") as lines:
        return {name: int(number) for name, number in map(str.split, lines)}

def wait(held):
    """The file system answers nothing, or goes on."""
    if held:
        with open(hold, "w") as file:
            file.write("all")
    elif os.path.exists(hold):
        os.unlink(hold)

def flood():
    """Asks for files that nobody has asked for, over 100 connections."""
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    connections = [connect() for _ in range(100)]
    number = 0
    while True:
        wait(True)
        for c in connections:
            number += 1
            c.send(request("/slow/%d.txt" % number))
        time.sleep(0.05)
        wait(False)
        for c in connections:
            c.response()

def hot(connection):
    """How long each of some requests takes, in nanoseconds, since it was due: what the processor
    doesn't let itself be interrupted in is in it, as it would be for a client of another machine."""
    asked = request("/hot.bin")
    taken = []
    begin = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    for _ in range(REQUESTS):
        begin += random.randrange(*PERIOD)
        sleep_until(begin)
        connection.socket.sendall(asked)
        got = connection.socket.recv(4096)
        taken.append(time.clock_gettime_ns(time.CLOCK_MONOTONIC) - begin)
        assert got.startswith(b"HTTP/1.1 200 ") and len(got) > 1024
    return taken

def percentile(taken, percent):
    return sorted(taken)[len(taken) * percent // 100] / 1000

# It waits for no other client.
os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
connection = connect()
hot(connection)
idle, beside, ratios = [], [], []
before = stat()
for _ in range(rounds):
    alone = hot(connection)
    pid = os.fork()
    if pid == 0:
        try:
            flood()
        finally:
            os._exit(1)
    time.sleep(0.3)
    together = hot(connection)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    wait(False)
    wait_until(lambda: stat()["connections_open"] == 1, 20)
    idle += alone
    beside += together
    ratios.append(percentile(together, 99) / percentile(alone, 99))
after = stat()
answered = after["fastpath_answered"] - before["fastpath_answered"]
print("%d hot requests, %d in softirq, %d cold ones" % (2 * rounds * REQUESTS, answered, after["deferred_lookup"] - before["deferred_lookup"]))
for percent in 50, 99:
    alone, together = percentile(idle, percent), percentile(beside, percent)
    print("%dth percentile: %.0f us alone, %.0f us beside the flood, ratio %.2f" % (percent, alone, together, together / alone))
print("ratio of the 99th percentiles by round: %s" % " ".join("%.2f" % ratio for ratio in sorted(ratios)))

def disk():
    with open("/sys/block/vdc/stat") as file:
        return int(file.read().split()[0])

for burst in range(5):
    with open("/proc/sys/vm/drop_caches", "w") as file:
        file.write("3")
    connections = [connect() for _ in range(100)]
    time.sleep(0.2)
    before, reads = stat(), disk()
    for c in connections:
        c.send(request("/burst%d.bin" % burst))
    for c in connections:
        assert c.response().status == 200
    after = stat()
    print("100 at once, cold: %d look-ups and %d reads waited, %d reads of the disk" % (
        after["deferred_lookup"] - before["deferred_lookup"],
        after["deferred_read"] - before["deferred_read"], disk() - reads))
    for c in connections:
        c.close()
END_OF_PYTHON
