#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Allocations fail: each one of loading, starting, stopping and configuring in
# its turn, and some at random while clients ask. What fails says so and leaves
# nothing behind; nobody gets other octets than those of the file; when there is
# memory again, all is served.

. "$(dirname "$0")/lib.sh"

prepare_faults || skip_all "no fault injection in this kernel"

cat >"$tmp/faults.py" <<'END'
"""Allocations that fail one by one (/proc/thread-self/fail-nth)."""
import ctypes
import errno
import os

libc = ctypes.CDLL(None, use_errno=True)
FINIT_MODULE, DELETE_MODULE = 313, 176
module = os.environ["module"]

def system_call(*arguments):
    """The number of its error, or 0."""
    return ctypes.get_errno() if libc.syscall(*arguments) < 0 else 0

def insert():
    with open(module, "rb") as file:
        return system_call(FINIT_MODULE, file.fileno(), os.environ["parameters"].encode(), 0)

def remove():
    return system_call(DELETE_MODULE, b"rust_tux", os.O_NONBLOCK)

def names(errors):
    return sorted({str(errno.errorcode.get(error, error)) for error in errors if error})

# What the kernel says if there is no memory: for a socket, its sock, and the
# note of its port.
SHORT = ["ENOMEM", "ENFILE", "ENOBUFS", "EADDRINUSE"]

nth = os.open("/proc/thread-self/fail-nth", os.O_RDWR)

def failing(n, action):
    """The result of action() with its n-th allocation failing, and whether it had so many."""
    os.pwrite(nth, b"%d" % n, 0)
    result = action()
    left = int(os.pread(nth, 20, 0))
    os.pwrite(nth, b"0", 0)
    return result, left == 0

def sweep(action, after, limit=1000):
    """action() with each of its allocations failing in its turn; after(error) puts things right.
    The errors, one for each allocation."""
    errors = []
    for n in range(1, limit):
        error, failed = failing(n, action)
        after(error)
        if not failed:
            return errors if error == 0 else errors + ["without a failure: %d" % error]
        errors.append(error)
    return errors + ["no end"]
END
export module parameters="docroot=$docroot port=$port"
cp "$selftests/http_client.py" "$tmp/"

echo index >"$docroot/index.html"

# ---- loading

python_checks <<'END'
import sys, os
sys.path.insert(0, os.environ["tmp"])
from faults import *
from http_client import *

def traces():
    return [path for path in ("/sys/module/rust_tux", "/proc/net/http", "/proc/sys/net/http") if os.path.exists(path)]

left = []
def after(error):
    if error == 0:
        if ask("/").body != b"index\n":
            left.append("not served")
        error = remove()
        if error:
            left.append("removal: %d" % error)
    left.extend(traces())

errors = sweep(insert, after)
print("# loading: %d allocations failed, %d times it was loaded all the same" % (len(errors), errors.count(0)))
true("loading has allocations", len(errors) > 20, errors)
is_("loading with any one of its allocations failing", [e for e in names(errors) if e not in SHORT], [])
is_("nothing is left of it", left, [])
END

# ---- starting, stopping, configuring, reading

mkdir -m 755 "$tmp/other"
echo index >"$tmp/other/index.html"
load
other=$tmp/other python_checks <<'END'
import sys, os
sys.path.insert(0, os.environ["tmp"])
from faults import *
from http_client import *

def served(target="/"):
    return ask(target).body == b"index\n"

wrong = []
def started(error):
    state = sysctl("state")
    if state != ("running\n" if error == 0 else "stopped\n"):
        wrong.append("%d %r" % (error, state))
    if error == 0 and not served():
        wrong.append("not served")
    sysctl("stop", "1")

sysctl("stop", "1")
errors = sweep(lambda: sysctl("start", "1"), started)
print("# start: %d allocations failed, %d times it started all the same" % (len(errors), errors.count(0)))
true("starting has allocations", len(errors) > 10, errors)
is_("starting with any one of its allocations failing", [e for e in names(errors) if e not in SHORT], [])
is_("it is stopped or serves afterwards", wrong, [])

wrong = []
def stopped(error):
    if error or sysctl("state") != "stopped\n":
        wrong.append(error)
    if sysctl("start", "1"):
        wrong.append("no start")

sysctl("start", "1")
sweep(lambda: sysctl("stop", "1"), stopped)
is_("stopping needs no memory", wrong, [])

for name, old, new in [("documentroot", docroot, os.environ["other"]), ("max_connect", "100", "200"),
                       ("keepalive_timeout", "5", "6"), ("max_header_len", "8192", "9000"),
                       ("stop", "0", "1"), # What follows takes effect with a start.
                       ("address", "*", "127.0.0.1"), ("serverport", "8081", "8082"), ("threads", "1", "3")]:
    if name == "stop":
        sysctl("stop", "1")
        continue
    wrong = []
    sysctl(name, old)
    before = sysctl(name)
    def written(error):
        now = sysctl(name)
        if (error != 0) != (now == before):
            wrong.append("%d %r" % (error, now))
        if name in ("documentroot", "max_header_len") and not served():
            wrong.append("not served")
        sysctl(name, old)
    errors = sweep(lambda: sysctl(name, new), written)
    print("# %s: %d allocations failed" % (name, len(errors)))
    is_("%s with any one of its allocations failing" % name, [e for e in names(errors) if e != "ENOMEM"], [])
    is_("%s is the old one or the new one" % name, wrong, [])
    sysctl(name, old)

def read(path):
    def action():
        try:
            with open(path) as file:
                file.read()
            return 0
        except OSError as error:
            return error.errno
    return action
for name in ["net/http/stat", "sys/net/http/documentroot", "sys/net/http/pending"]:
    errors = sweep(read("/proc/" + name), lambda error: None)
    is_("%s is read or fails" % name, [e for e in names(errors) if e != "ENOMEM"], [])
END
unload

# ---- while clients ask

cat >"$tmp/clients.py" <<'END'
"""Clients that ask at random while allocations fail."""
import random
import threading
import time
from http_client import *

files = {"/": 6, "/1.bin": 1, "/4k.bin": 4096, "/70k.bin": 70000, "/1m.bin": 1 << 20, "/disk/300k.bin": 300000}
contents = {}
for target in files:
    with open(docroot.decode() + (target if target != "/" else "/index.html"), "rb") as file:
        contents[target] = file.read()
# What else there is, and what is said of it.
others = {"/none": 404, "/directory": 301, "/../": 400, "/directory/": 403}

def one(chance, tally):
    """One connection, with some requests in one piece."""
    asked = [chance.choice(list(contents) + list(others)) for _ in range(chance.randrange(1, 5))]
    try:
        with Connection() as c:
            c.send(b"".join(request(target) for target in asked))
            for target in asked:
                response = c.response()
                if response is None:
                    return tally.append("closed")
                if response.status == 503:
                    tally.append("busy")
                elif target in contents and response.status == 200 and response.body == contents[target]:
                    tally.append("served")
                elif target in others and response.status == others[target]:
                    tally.append("served")
                else:
                    return tally.append("wrong: %s %r" % (target, response))
                if response.get("Connection") == "close":
                    return
    except Malformed as error:
        # The head is whole; the content ended early, by a close.
        tally.append("cut" if str(error).startswith("body of ") else "wrong: %s" % error)
    except (ConnectionResetError, BrokenPipeError):
        tally.append("reset")
    except TimeoutError:
        tally.append("hangs: %s" % asked)

def lost_resets():
    """RSTs that there was no memory for. The kernel doesn't try again: the peer is not told."""
    with open("/proc/net/netstat") as lines:
        names, numbers = [line.split() for line in lines if line.startswith("TcpExt:")]
    return int(numbers[names.index("TCPAbortFailed")])

def storm(seconds, meanwhile=lambda: time.sleep(0.1), refused=False):
    """How often what happened."""
    tallies, lost = [], lost_resets()
    end = time.monotonic() + seconds
    def goes_on():
        """Until then, or, on a slow machine, until some are served."""
        now = time.monotonic()
        return now < end or now < end + 60 and not any("served" in tally for tally in tallies)
    def client(number):
        chance, tally = random.Random(number), []
        tallies.append(tally)
        while goes_on():
            try:
                one(chance, tally)
            except ConnectionRefusedError:
                tally.append("refused" if refused else "wrong: refused")
                time.sleep(0.1)
    threads = [threading.Thread(target=client, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    while goes_on():
        meanwhile()
    for thread in threads:
        thread.join()
    all = sum(tallies, [])
    return {kind: all.count(kind) for kind in sorted(set(all))} | {"lost resets": lost_resets() - lost}

def bad(tally):
    """What must not happen. Who waits for a RST that was lost waits for ever."""
    hanging = [kind for kind in tally if kind.startswith("hangs")]
    is_told = sum(tally[kind] for kind in hanging) <= tally["lost resets"]
    return [kind for kind in tally if kind.startswith("wrong")] + ([] if is_told else hanging)

def fault(kind, probability):
    with open("/sys/kernel/debug/%s/probability" % kind, "w") as file:
        file.write(str(probability))

def serves_again(name):
    """All is served as before, at once."""
    wrong = []
    for target, wanted in list(contents.items()) * 2:
        response = ask(target)
        if (response.status, response.body) != (200, wanted):
            wrong.append("%s: %r" % (target, response))
    for target, wanted in others.items():
        if ask(target).status != wanted:
            wrong.append(target)
    is_("%s: all is served when there is memory" % name, wrong, [])

def judge(name, tally):
    print("# %s: %s" % (name, tally))
    is_("%s: no wrong answer, nobody hangs" % name, bad(tally), [])
    true("%s: some are served" % name, tally.get("served", 0) > 0)
END

mkdir -m 755 "$docroot/directory" "$docroot/disk"
if [ -b "${RUST_TUX_SCRATCH:-}" ]; then
	mkfs.ext4 -q -F "$RUST_TUX_SCRATCH" && mount "$RUST_TUX_SCRATCH" "$docroot/disk" || bail_out "mounting the scratch disk"
	at_exit umount -l "$docroot/disk"
	chmod 755 "$docroot/disk"
fi
for size in 1 4k 70k 1m disk/300k; do
	octets=${size##*/}
	case $octets in
	1) octets=1 ;;
	4k) octets=4096 ;;
	70k) octets=70000 ;;
	1m) octets=1048576 ;;
	300k) octets=300000 ;;
	esac
	head -c "$octets" /dev/urandom >"$docroot/$size.bin"
	chmod 644 "$docroot/$size.bin"
done
sync
load
sysctl_set send_timeout 120
python_checks <<'END'
import sys, os
sys.path.insert(0, os.environ["tmp"])
from clients import *
from faults import SHORT
import errno
import select

before = stat()
judge("no faults", storm(3))
serves_again("no faults")

def cold():
    with open("/proc/sys/vm/drop_caches", "w") as file:
        file.write("3")
    time.sleep(0.3)

for name, faults, meanwhile in [("objects", {"failslab": 10}, lambda: time.sleep(0.1)),
                                ("pages", {"fail_page_alloc": 20}, cold),
                                ("both", {"failslab": 5, "fail_page_alloc": 5}, cold)]:
    for kind, probability in faults.items():
        fault(kind, probability)
    tally = storm(12, meanwhile)
    for kind in faults:
        fault(kind, 0)
    judge(name, tally)
    serves_again(name)
after = stat()
print("# counters:", {name: after[name] - before[name] for name in after if after[name] != before[name]})

# Started, stopped and configured by somebody who does not give up.
refused = [0]
def control():
    for name, value in [("stop", "1"), ("start", "1"), ("max_header_len", "9000"), ("max_header_len", "8192"), ("keepalive_timeout", "7")]:
        error = sysctl(name, value)
        if error:
            refused[0] += 1
            if errno.errorcode[error] not in SHORT:
                not_ok("%s: %s" % (name, errno.errorcode[error]))
    time.sleep(0.2)
fault("failslab", 1)
tally = storm(10, control, refused=True)
fault("failslab", 0)
print("# %d writes failed" % refused[0])
sysctl("start", "1")
judge("stopped and started", tally)
serves_again("stopped and started")
is_("all connections have ended", wait_until(lambda: stat()["connections_accepted"] == stat()["connections_closed"]), True)

# Idle connections end with the server. There may be no memory for a FIN, nor for the RST in its place.
idle, lost = [Connection() for _ in range(100)], lost_resets()
for c in idle:
    c.send(request("/"))
    if c.response().status != 200:
        not_ok("an idle connection is served")
fault("failslab", 30)
error = sysctl("stop", "1")
fault("failslab", 0)
lost = lost_resets() - lost
def are_told():
    return [c for c in idle if select.select([c.socket], [], [], 0)[0]]
wait_until(lambda: len(are_told()) >= len(idle) - lost, 30)
ends = [c.end() if c in are_told() else "open" for c in idle]
ends = {end: ends.count(end) for end in sorted(set(ends))}
print("# idle ones, when it stops: %s, %d lost resets" % (ends, lost))
true("stopped: idle connections are told", ends.get("open", 0) <= lost, ends)
true("stopped: there is no memory for some FINs", ends.get("reset", 0) > 0, ends)
is_("it is stopped while allocations fail", error, 0)
for c in idle:
    c.close()
sysctl("start", "1")
serves_again("after that")

# A removal, and the end of what it waits for.
fault("failslab", 20)
fault("fail_page_alloc", 20)
tally = storm(2)
is_("before it is unloaded: no wrong answer, nobody hangs", bad(tally), [])
END
check "it is unloaded while allocations fail" timeout 60 rmmod rust_tux
no_faults
# Sockets whose last segment was lost would stay for minutes, and be in the way of
# tests that count them.
ss -K "sport = :$port" >/dev/null 2>&1
ss -K "dport = :$port" >/dev/null 2>&1
done_testing
