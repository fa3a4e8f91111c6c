#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# While a worker is stalled, or memory is short, those who come are answered by the
# backing server; afterwards by this one again.

. "$(dirname "$0")/lib.sh"

[ "$(nproc)" -ge 2 ] || skip_all "one processor"
command -v chrt taskset >/dev/null || skip_all "no chrt"
echo index >"$docroot/index.html"
for i in {1..60}; do
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
taskset -pc 1 $$ >/dev/null
faults=0
if [ "${RUST_TUX_KERNEL:-stock}" != stock ]; then
	prepare_faults && faults=1
fi
load threads=2

python_checks "$faults" <<'END_OF_PYTHON'
import signal
import subprocess
import sys
from http_client import *

class Hog:
    """Who doesn't give the first processor away."""

    def __enter__(self):
        there = os.environ["tmp"] + "/hog"
        self.process = subprocess.Popen(["taskset", "-c", "0", "chrt", "-f", "50", "sh", "-c", "echo >%s; while :; do :; done" % there])
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

def once(target="/index.html"):
    with Connection() as c:
        c.send(request(target))
        c.socket.settimeout(quiet)
        try:
            return who(c.response())
        except socket.timeout:
            return "silence"

quiet = 5 if os.environ.get("RUST_TUX_KERNEL", "stock") != "stock" else 2  # seconds
number = 0
def cold():
    """A file that nobody has asked for yet: only a worker can answer."""
    global number
    number += 1
    return "/%d.txt" % number

def trouble():
    return stat()["failsafe"]

is_("the limit", sysctl("failsafe_timeout"), "5\n")
sysctl("failsafe_timeout", "1")
sysctl("clientport", "8081")
for _ in range(5):
    once()
is_("before: this server answers", (once(), once(cold()), trouble()), (200, 200, 0))

# ---- a worker is stalled

with Backing("--epoll"):
    with Connection() as before, Connection() as waiting:
        before.send(request("/index.html"))
        before.response()
        with Hog():
            time.sleep(0.5)
            waiting.send(request(cold()))
            counted = stat()
            begin = time.monotonic()
            is_("the first who comes waits", once(cold()), "silence")
            wait_until(lambda: once(cold()) != "silence", 30)
            seconds = time.monotonic() - begin
            answers = [once(cold()) for _ in range(5)] + [once() for _ in range(5)]
            is_("others are answered by the backing server", answers, ["backing"] * 10)
            is_("after the limit, and not long after", 1 < seconds < 30, True)
            now = stat()
            is_("that can be seen", (now["failsafe"], now["failsafe_stalled_worker"] - counted["failsafe_stalled_worker"]), (1, 1))
            true("and is counted", now["handoff_failsafe"] - counted["handoff_failsafe"] >= 10, now["handoff_failsafe"])
            before.send(request("/index.html"))
            is_("who was there before has what needs no worker", who(before.response()), 200)
        is_("who had to wait is answered, when it is over", who(waiting.response()) in ("backing", 200), True)
    true("it is over", wait_until(lambda: trouble() == 0, 10))
    is_("this server answers again", [once(cold()), once(), once()], [200] * 3)

    # ---- off

    sysctl("failsafe_timeout", "0")
    with Hog():
        time.sleep(0.5)
        is_("switched off, all wait", [once(cold()), once(cold()), once(cold())], ["silence"] * 3)
        is_("and nothing says otherwise", trouble(), 0)
    true("it goes on", wait_until(lambda: once(cold()) == 200, 20))
    sysctl("failsafe_timeout", "1")

# ---- nobody is there who would help

with Hog():
    time.sleep(0.5)
    once(cold())
    once(cold())
    is_("without the backing server, another worker answers", [once(cold()), once()], [200, 200])
true("it is over", wait_until(lambda: trouble() == 0, 10))
sysctl("clientport", "0")
with Hog():
    time.sleep(0.5)
    is_("without a backing server nothing is switched over", ([once(cold()), once(cold()), once(cold())], trouble()), (["silence"] * 3, 0))
sysctl("clientport", "8081")
time.sleep(1)

# ---- memory

def fail(percent):
    for kind in "failslab", "fail_page_alloc":
        with open("/sys/kernel/debug/%s/probability" % kind, "w") as file:
            file.write(str(percent))

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
done_testing
