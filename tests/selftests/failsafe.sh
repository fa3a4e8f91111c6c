#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# While a worker is stalled, or memory is short, those who come are answered by the
# backing server; afterwards by this one again.

. "$(dirname "$0")/lib.sh"

[ "$(nproc)" -ge 2 ] || skip_all "one processor"
command -v chrt taskset >/dev/null || skip_all "no chrt"
echo index >"$docroot/index.html"
for i in {1..400}; do
	echo "file $i" >"$docroot/$i.txt"
done
modprobe debugfs 2>/dev/null
mountpoint -q /sys/kernel/debug || mount -t debugfs none /sys/kernel/debug 2>/dev/null

# What comes in is the first processor's; so the worker there gets it. That one has
# something else to do, and the kernel doesn't see to it that others have their share.
set_for_now /sys/class/net/lo/queues/rx-0/rps_cpus 1 || skip_all "no steering of packets"
set_for_now /proc/sys/kernel/sched_rt_runtime_us -1
set_for_now /sys/kernel/debug/sched/fair_server/cpu0/runtime 0 ||
	echo "# no fair server, or none that can be told"
set_for_now /proc/sys/kernel/watchdog 0
set_for_now /sys/module/workqueue/parameters/watchdog_thresh 0
set_for_now /proc/sys/net/ipv4/tcp_mem "$(cat /proc/sys/net/ipv4/tcp_mem)"
taskset -pc 1 $$ >/dev/null
head -c 300000 /dev/urandom >"$docroot/300k"
faults=0
if [ "${RUST_TUX_KERNEL:-stock}" != stock ]; then
	prepare_faults && faults=1
fi
cat >"$tmp/failsafe.py" <<'END_OF_PYTHON'
import subprocess
from http_client import *

class Hog:
    """Who doesn't give a processor away, but for those of a higher priority; and not for ever."""

    def __init__(self, processor=0):
        self.processor = str(processor)

    def __enter__(self):
        there = os.environ["tmp"] + "/hog"
        loop = "echo >%s; while [ $SECONDS -lt 200 ]; do :; done" % there
        self.process = subprocess.Popen(["taskset", "-c", self.processor, "chrt", "-f", "50", "bash", "-c", loop])
        assert wait_until(lambda: os.path.exists(there))
        os.unlink(there)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

def who(response):
    if response is None:
        return "nobody"
    return "backing" if response.get("Server") == "backing" else response.status

def once(target="/index.html", address="127.0.0.1", seconds=patience):
    with Connection(address) as c:
        c.send(request(target))
        c.socket.settimeout(seconds)
        try:
            return who(c.response())
        except socket.timeout:
            return "silence"

def soon(target, address="127.0.0.1"):
    """The same, of who doesn't wait for long."""
    return once(target, address, quiet)

# However slow this machine is.
sysctl("header_timeout", "3600")
sysctl("keepalive_timeout", "3600")
quiet = 5 if os.environ.get("RUST_TUX_KERNEL", "stock") != "stock" else 2  # seconds
number = 0
def cold():
    """A file that nobody has asked for yet: only a worker can answer."""
    global number
    number += 1
    return "/%d.txt" % number

def trouble():
    return stat()["failsafe"]
END_OF_PYTHON
load threads=2

python_checks "$faults" <<'END_OF_PYTHON'
import os
import sys
sys.path.insert(0, os.environ["tmp"])
from failsafe import *

is_("the limit", sysctl("failsafe_timeout"), "5\n")
sysctl("failsafe_timeout", "1")
sysctl("clientport", "8081")
for _ in range(5):
    once()
is_("before: this server answers", (once(), once(cold()), trouble()), (200, 200, 0))

# ---- a worker is stalled

def first_who_comes():
    """What the first one gets; None if this machine has taken longer than it takes to notice."""
    begin = time.monotonic()
    waiting.send(request(cold()))
    with Connection() as c:
        c.send(request(cold()))
        sent = time.monotonic() - begin
        c.socket.settimeout(quiet)
        try:
            got = who(c.response())
        except socket.timeout:
            got = "silence"
    return got if sent < 0.9 or got == "silence" else None

with Backing("--epoll"):
    for _ in range(10):
        with Connection() as before, Connection() as waiting:
            before.send(request("/index.html"))
            before.response()
            with Hog():
                time.sleep(0.5)
                counted = stat()
                begin = time.monotonic()
                first = first_who_comes()
                wait_until(lambda: soon(cold()) != "silence")
                seconds = time.monotonic() - begin
                answers = [once(cold()) for _ in range(5)] + [once() for _ in range(5)]
                now = stat()
                before.send(request("/index.html"))
                hot = who(before.response())
            after = who(waiting.response())
        over = wait_until(lambda: trouble() == 0, 20)
        if first is not None:
            break
        print("# once more: the first one came after a second")
    is_("the first who comes waits", first, "silence")
    is_("others are answered by the backing server", answers, ["backing"] * 10)
    true("after the limit, and not long after", 1 < seconds < 60, seconds)
    is_("that can be seen", (now["failsafe"], now["failsafe_stalled_worker"] - counted["failsafe_stalled_worker"]), (1, 1))
    true("and is counted", now["handoff_failsafe"] - counted["handoff_failsafe"] >= 10, now["handoff_failsafe"])
    is_("who was there before has what needs no worker", hot, 200)
    is_("who had to wait is answered, when it is over", after in ("backing", 200), True)
    true("it is over", over)
    is_("this server answers again", [once(cold()), once(), once()], [200] * 3)

    # ---- off

    sysctl("failsafe_timeout", "0")
    with Hog():
        time.sleep(0.5)
        is_("switched off, all wait", [soon(cold()), soon(cold()), soon(cold())], ["silence"] * 3)
        is_("and nothing says otherwise", trouble(), 0)
    true("it goes on", wait_until(lambda: soon(cold()) == 200))
    sysctl("failsafe_timeout", "1")

# ---- nobody is there who would help

with Hog():
    time.sleep(0.5)
    wait_until(lambda: soon(cold()) == 200)
    is_("without the backing server, another worker answers", [once(cold()), once()], [200, 200])
true("it is over", wait_until(lambda: trouble() == 0, 20))
sysctl("clientport", "0")
with Hog():
    time.sleep(0.5)
    is_("without a backing server nothing is switched over", ([soon(cold()), soon(cold()), soon(cold())], trouble()), (["silence"] * 3, 0))
sysctl("clientport", "8081")
time.sleep(1)

# ---- memory of TCP

def tcp_mem(limits):
    with open("/proc/sys/net/ipv4/tcp_mem", "w") as file:
        file.write(limits)

def pages():
    """What TCP has, as it counts."""
    with open("/proc/net/sockstat") as lines:
        return next(int(line.split()[-1]) for line in lines if line.startswith("TCP:"))

class Unread:
    """Connections of others, whose octets nobody reads: TCP's counters of each processor are in
    the sum when they come to a MiB."""

    def __enter__(self):
        listener = socket.create_server(("127.0.0.1", 0))
        self.sockets = [listener]
        while pages() < 2048:
            one = socket.create_connection(listener.getsockname())
            self.sockets += [one, listener.accept()[0]]
            one.setblocking(False)
            try:
                while one.send(b"x" * 65536):
                    pass
            except BlockingIOError:
                pass
        return self

    def __exit__(self, *_):
        for s in self.sockets:
            s.close()

def in_pieces(c):
    """A head that comes in three segments."""
    c.send_in_pieces(request("/index.html", "Field: " + "a" * 3000), 40, 1500, pause=0.1)

limits = open("/proc/sys/net/ipv4/tcp_mem").read()
with Backing("--epoll"), Unread():
    large = open(docroot + b"/300k", "rb").read()
    with Connection() as before, Connection() as stays:
        before.send(request("/index.html"))
        before.response()
        counted = stat()
        tcp_mem("8 16 32")
        answers = []
        for _ in range(5):
            with Connection() as c:
                c.send(request("/index.html") + request("/300k") + request(cold()))
                answers.append([c.response().body for _ in range(3)])
        is_("TCP is over its limit: this server answers all the same", [(a[0], a[1] == large, a[2][:4]) for a in answers], [(b"index\n", True, b"file")] * 5)
        is_("nothing lacks for it", (trouble(), stat()["failsafe_out_of_memory"]), (0, counted["failsafe_out_of_memory"]))
        in_pieces(stays)
        is_("a head of which the rest can't come here is the backing server's", who(stays.response()), "backing")
        in_pieces(before)
        is_("that of a later request, too", who(before.response()), "backing")
        is_("they are counted", stat()["handoff_failsafe"] - counted["handoff_failsafe"], 2)
        is_("others stay here", (once(), once(cold()), trouble()), (200, 200, 0))
        tcp_mem(limits)
    with Connection() as c:
        in_pieces(c)
        is_("when there is memory, such a head is read here", who(c.response()), 200)
    sysctl("failsafe_timeout", "0")
    with Connection() as c:
        tcp_mem("8 16 32")
        in_pieces(c)
        is_("switched off, it waits", c.is_open(1), True)
        tcp_mem(limits)
        is_("until there is memory", who(c.response()), 200)
    sysctl("failsafe_timeout", "1")
with Unread(), Connection() as c:
    tcp_mem("8 16 32")
    in_pieces(c)
    is_("without the backing server it waits", c.is_open(1), True)
    tcp_mem(limits)
    is_("and is answered here", who(c.response()), 200)

# ---- memory

def fail(percent):
    for kind in "failslab", "fail_page_alloc":
        with open("/sys/kernel/debug/%s/probability" % kind, "w") as file:
            file.write(str(percent))

def fail_slab(name):
    """Whether only objects of that slab cache fail, if any do."""
    try:
        with open("/sys/kernel/slab/%s/failslab" % name, "w") as file:
            file.write("1")
        with open("/sys/kernel/debug/failslab/cache-filter", "w") as file:
            file.write("Y")
        return True
    except OSError as error:
        print("#  ", error)
        return False

if sys.argv[1] == "1" and fail_slab("skbuff_fclone_cache"):
    with Backing("--epoll"), Connection() as waits:
        counted = stat()
        fail(100)
        waits.send(request("/1.txt"))
        true("TCP gets no memory for a response: that is seen", wait_until(trouble, 30))
        is_("and the backing server answers", [once("/1.txt") for _ in range(3)], ["backing"] * 3)
        fail(0)
        is_("the response is sent when there is", who(waits.response()), 200)
        is_("it is counted as such", stat()["failsafe_out_of_memory"] - counted["failsafe_out_of_memory"], 1)
        true("it is over after that", wait_until(lambda: trouble() == 0, 20))
    with open("/sys/kernel/debug/failslab/cache-filter", "w") as file:
        file.write("N")
if sys.argv[1] == "1":
    with Backing("--epoll"):
        sysctl("max_cached_documents", "0")
        is_("before: this server answers", who(ask("/1.txt")), 200)
        counted = stat()
        fail(60)
        for _ in range(200):
            try:
                once("/1.txt")
            except (OSError, Malformed):
                pass
            if trouble():
                break
        fail(0)
        is_("memory is short", trouble(), 1)
        is_("the backing server answers", [once("/1.txt") for _ in range(3)], ["backing"] * 3)
        is_("it is counted", stat()["failsafe_out_of_memory"] - counted["failsafe_out_of_memory"] > 0, True)
        true("it is over", wait_until(lambda: trouble() == 0, 20))
        is_("this server answers again", once("/1.txt"), 200)
else:
    print("# no allocations fail here")
END_OF_PYTHON

# ---- all workers are stalled

unload
load threads=1
python_checks <<'END_OF_PYTHON'
import os
import sys
sys.path.insert(0, os.environ["tmp"])
from failsafe import *

sysctl("failsafe_timeout", "1")
sysctl("clientport", "8081")
for options in (), ("--address", "::"), ("--epoll", "--reuseport", "2"), ("--address", "::", "--only-ipv6"):
    label = " ".join(options) or "as ever"
    address = "::1" if "--only-ipv6" in options else "127.0.0.1"
    is_("%s: before" % label, [once(target, address) for target in ["/index.html"] * 5 + [cold()]], [200] * 6)
    with Backing(*options) as backing:
        with Hog() as hog:
            with Connection(address) as waiting:
                waiting.send(request(cold()))
                true("%s: the only worker is stalled, which is noticed" % label, wait_until(lambda: soon(cold(), address) == "backing"))
                counted = stat()
                answers = [once(target, address) for _ in range(5) for target in ("/index.html", cold())]
                is_("%s: the backing server answers" % label, answers, ["backing"] * 10)
                with Connection(address) as c:
                    in_pieces = request("/x", "Content-Length: 7", method="POST", body=b"content")
                    c.send_in_pieces(in_pieces, 10, len(in_pieces) - 3, pause=0.05)
                    response = c.response()
                    is_("%s: octets that come later, too" % label, (who(response), b"content=7\n" in response.body), ("backing", True))
                    c.send(request("/y"))
                    is_("%s: and more requests" % label, who(c.response()), "backing")
                now = stat()
                grown = [now[name] - counted[name] for name in ("connections_accepted", "connections_closed", "connections_open", "handoffs", "handoff_failsafe")]
                is_("%s: they are counted" % label, grown, [11, 11, 0, 11, 11])
                backing.kill()
                # A process of a group that has not ended yet takes connections with it.
                wait_until(lambda: not subprocess.run(["ss", "-Htln", "sport", "=", ":8081"], stdout=subprocess.PIPE).stdout)
                with Connection(address) as late, Connection(address) as hot:
                    late.send(request(cold()))
                    is_("%s: without it they wait" % label, late.is_open(0.5), True)
                    hot.send(request("/index.html"))
                    is_("%s: but for what needs no worker" % label, who(hot.response()), 200)
                    hog.__exit__()
                    is_("%s: all who wait are answered, when it is over" % label, [who(c.response()) for c in (waiting, late)], [200] * 2)
    true("%s: it is over" % label, wait_until(lambda: trouble() == 0, 20))
    is_("%s: this server answers again" % label, (once(address=address), once(cold(), address)), (200, 200))
END_OF_PYTHON

# Sixteen of them, of which connections come for half. Client and backing server have a higher
# priority than what stalls the workers.
unload
load threads=16
python_checks <<'END_OF_PYTHON'
import os
import sys
sys.path.insert(0, os.environ["tmp"])
from failsafe import *

sysctl("failsafe_timeout", "1")
sysctl("clientport", "8081")
is_("all of sixteen: before", once(cold()), 200)
with Backing("--epoll") as backing:
    for process in 0, backing.process.pid:
        os.sched_setscheduler(process, os.SCHED_FIFO, os.sched_param(60))
    with Hog(0), Hog(1):
        # Not one by one: each takes a second.
        vain = 0
        while vain < 10 and [once(cold(), seconds=2) for _ in range(3)] != ["backing"] * 3:
            vain += 1
        true("all of sixteen are stalled, which is noticed", vain < 10)
        is_("all of sixteen: the backing server answers", [once(target) for _ in range(5) for target in ("/index.html", cold())], ["backing"] * 10)
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
true("all of sixteen: it is over", wait_until(lambda: trouble() == 0, 20))
is_("all of sixteen: this server answers again", (once(), once(cold())), (200, 200))
END_OF_PYTHON
done_testing
