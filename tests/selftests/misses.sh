#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What many ask for at once that is not in memory is looked up once and read once:
# who comes second waits for the first, and is neither forgotten nor held up for
# longer than that.

. "$(dirname "$0")/lib.sh"
storage_may_hang

[ -b "${RUST_TUX_SCRATCH:-}" ] || skip_all "no scratch disk"

# disk NAME FIRST: a disk at $docroot/NAME, on the scratch disk from that sector on,
# that can be stopped.
disk() {
	mapped "$1" "0 $((1 << 20)) linear $RUST_TUX_SCRATCH $2" ||
		skip_all "no device mapper: $(tail -n 1 "$tmp/dm")"
	mkfs.ext4 -q -F "$device"
	mkdir "$docroot/$1"
	mount "$device" "$docroot/$1" || bail_out "mounting the device"
	at_exit umount -l "$docroot/$1"
}
disk one 0
disk other $((1 << 20))

mkdir "$docroot/one/many" "$docroot/one/list" "$docroot/one/lower" "$tmp/upper" "$tmp/work" "$docroot/overlay"
for i in {1..300}; do
	echo "file $i" >"$docroot/one/many/$i.txt"
	echo "other $i" >"$docroot/other/$i.txt"
done
for i in {1..20}; do
	head -c $((20000 + i)) /dev/urandom >"$docroot/one/$i.bin"
	echo "listed $i" >"$docroot/one/list/$i.txt"
done
head -c 6000001 /dev/urandom >"$docroot/one/large.bin"
echo "below" >"$docroot/one/lower/file.txt"
cp "$docroot"/one/*.bin "$tmp"
modprobe overlay 2>/dev/null
mount -t overlay overlay -o "lowerdir=$docroot/one/lower,upperdir=$tmp/upper,workdir=$tmp/work" \
	"$docroot/overlay" 2>/dev/null && at_exit umount -l "$docroot/overlay"
chmod -R a+rX "$docroot/one" "$docroot/other"
# What the journal holds on to stays in memory.
for disk in one other; do
	mount -o remount,ro "$docroot/$disk" || bail_out "no more writing to $disk"
done

load
# Else that is looked up for each 404.
sysctl_set error_pages ""
# A slow machine may need long to ask, and be answered, so often.
sysctl_set header_timeout 3600
sysctl_set send_timeout 3600

mkdir "$tmp/library"
cat >"$tmp/library/crowd.py" <<'END'
from http_client import *

tmp = os.environ["tmp"]
# Clients that ask at the same time: on a slow kernel so few that they can.
MANY = 100 if os.environ.get("RUST_TUX_KERNEL", "stock") == "stock" else 30

def dmsetup(action, disk):
    options = ["--nolockfs", "--noflush"] if action == "suspend" else []
    subprocess.run(["dmsetup", action, "--noudevsync", *options, disk], check=True)

def drop_caches():
    os.sync()
    with open("/proc/sys/vm/drop_caches", "w") as file:
        file.write("3")

class Stopped:
    """A disk that doesn't answer, and of which nothing is in memory."""
    def __init__(self, disk="one"):
        self.disk = disk
    def __enter__(self):
        # Who waited for a flight in vain goes alone for two seconds.
        time.sleep(3)
        drop_caches()
        dmsetup("suspend", self.disk)
        self.before = stat()
        self.begin = time.monotonic()
        return self
    def __exit__(self, *_):
        self.back = time.monotonic()
        dmsetup("resume", self.disk)
    def grown(self, *names):
        now = stat()
        return tuple(now[name] - self.before[name] for name in names)
    def asked(self):
        """Who has begun a look-up, and who waits for that of another."""
        return self.grown("cache_misses_primary", "cache_misses_secondary")
    def read(self):
        return self.grown("deferred_read", "deferred_read_shared")
    def is_asked(self, firsts, others):
        """Whether so many have begun a look-up, and so many wait; or, on a slow machine, more of the
        former: a flight is joined for two seconds at least, and then the next one begins."""
        came = wait_until(lambda: sum(self.asked()) >= firsts + others)
        flights = 1 + int((time.monotonic() - self.begin) / 2)
        asked = self.asked()
        return came and sum(asked) == firsts + others and firsts <= asked[0] <= firsts * flights
    def is_read(self, others):
        """The same of one who reads."""
        came = wait_until(lambda: sum(self.read()) >= 1 + others)
        flights = 1 + int((time.monotonic() - self.begin) / 2)
        read = self.read()
        return came and sum(read) == 1 + others and 1 <= read[0] <= flights
    def is_read_once(self):
        """The same of a file that was read when the disk had come back. Who has looked in vain just
        before it was there begins one more, which asks no disk: each worker may be that far."""
        flights = 1 + int((time.monotonic() - self.back) / 2)
        return 1 <= self.read()[0] <= flights + os.cpu_count()
    def more_lookups(self):
        """Look-ups of those who were not the first."""
        lookups, firsts = self.grown("deferred_lookup", "cache_misses_primary")
        return lookups - firsts

def crowd(number, path, *fields):
    """So many clients that ask at the same time."""
    clients = [Connection() for _ in range(number)]
    for i, c in enumerate(clients):
        c.send(request(path(i) if callable(path) else path, *fields))
    return clients

def ends(clients):
    """What each of them gets: status and content, or how it ends."""
    got = []
    for c in clients:
        try:
            response = c.response()
            got.append((response.status, response.body) if response else "closed")
        except ConnectionResetError:
            got.append("reset")
        except (socket.timeout, Malformed) as error:
            got.append(repr(error))
        c.close()
    return got

def content(name):
    with open(tmp + "/" + name, "rb") as file:
        return file.read()

def alike(name, got, *wanted):
    """Checks that all that was got is one of what is wanted."""
    wrong = [one for one in got if one not in wanted]
    true(name, not wrong, "%d of %d are wrong" % (len(wrong), len(got)), repr(wrong[:1])[:300])

def nothing_left(name):
    def numbers():
        now = stat()
        return [now[name] for name in ("connections_open", "storage_running", "storage_waiting", "storage_abandoned")]
    true(name, wait_until(lambda: numbers() == [0] * 4), numbers())
END
checks() {
	{
		echo "import sys; sys.path.insert(0, '$tmp/library')"
		echo "from crowd import *"
		cat
	} >"$tmp/program.py"
	python_checks <"$tmp/program.py"
}

# ---- one file, many files ---------------------------------------------------------

checks <<'END'
with Stopped() as disk:
    clients = crowd(MANY, "/one/1.bin")
    true("of many who ask for a file one asks the disk", disk.is_asked(1, MANY - 1), disk.asked())
    is_("which is one miss each", disk.grown("cache_misses", "cache_hits"), (MANY, 0))
alike("and all get it, octet for octet", ends(clients), (200, content("1.bin")))
is_("without another look-up", (disk.more_lookups(), disk.grown("cache_misses", "cache_hits")), (0, (MANY, 0)))
true("and it was read once", disk.is_read_once(), disk.read())
before = disk.grown("deferred_lookup", "deferred_read")
is_("and is kept", (ask("/one/1.bin").status, disk.grown("deferred_lookup", "deferred_read")), (200, before))

sysctl("single_flight", "0")
with Stopped() as disk:
    clients = crowd(20, "/one/1.bin")
    true("without single flights each asks for itself", disk.is_asked(20, 0), disk.asked())
alike("and gets the same", ends(clients), (200, content("1.bin")))
is_("nor is a read waited for", disk.read()[1], 0)
sysctl("single_flight", "1")

with Stopped() as disk:
    clients = crowd(60, "/one/large.bin")
    true("of those who ask for a large one, too", disk.is_asked(1, 59), disk.asked())
alike("all get it, octet for octet", ends(clients), (200, content("large.bin")))
is_("without another look-up", disk.more_lookups(), 0)
reads, shared = disk.read()
print("# %d reads, %d waited for those of others" % (reads, shared))
# 6,000,001 octets are 46 times as much as is read at a time. They drift apart.
true("and read by few", reads < 60 * 46 / 4, reads, shared)

with Stopped() as disk:
    clients = crowd(60, lambda i: "/one/many/%d.txt" % (i // 3 + 1))
    true("each of 20 files is looked up by one of three", disk.is_asked(20, 40), disk.asked())
    began = time.monotonic()
    got = ends(crowd(20, lambda i: "/other/%d.txt" % (i + 1)))
    is_("nobody else waits for them", got, [(200, b"other %d\n" % (i + 1)) for i in range(20)])
    true("not even for a moment", time.monotonic() - began < 30, time.monotonic() - began)
is_("all of them are right", ends(clients), [(200, b"file %d\n" % (i // 3 + 1)) for i in range(60)])
is_("without another look-up", disk.more_lookups(), 0)

# What makes a difference, and what doesn't.
with Stopped() as disk:
    clients = [Connection() for _ in range(6)]
    for c, method, fields in zip(clients, ("GET", "HEAD", "GET", "GET", "GET", "GET"), (
            (), (), ("Range: bytes=5-6",), ("Accept-Encoding: gzip",), ("Accept-Encoding: gzip",), ("Cookie: a",))):
        c.send(request("/one/many/7.txt", *fields, method=method))
    true("each set of codings is a look-up of its own", disk.is_asked(2, 4), disk.asked())
got = [c.response(method) for c, method in zip(clients, ("GET", "HEAD", "GET", "GET", "GET", "GET"))]
is_("all get what they want", [(r.status, r.body) for r in got],
    [(200, b"file 7\n"), (200, b""), (206, b"7\n"), (200, b"file 7\n"), (200, b"file 7\n"), (200, b"file 7\n")])
for c in clients:
    c.close()

# The content alone is missing.
with Stopped() as disk:
    dmsetup("resume", "one")
    os.stat(docroot + b"/one/2.bin")
    dmsetup("suspend", "one")
    clients = crowd(50, "/one/2.bin")
    true("who reads what another one reads waits for that", disk.is_read(49), disk.read())
    is_("which is a miss each", disk.grown("cache_misses_content", "deferred_lookup"), (50, 0))
alike("all get that", ends(clients), (200, content("2.bin")))
is_("nobody has read it once more", (sum(disk.read()), disk.grown("cache_misses_content")), (50, (50,)))
nothing_left("nothing is left")
END

# ---- what isn't kept ------------------------------------------------------------------

checks <<'END'
with Stopped() as disk:
    clients = crowd(MANY, "/one/many/absent.txt")
    true("of many who ask for what there isn't one asks", disk.is_asked(1, MANY - 1), disk.asked())
alike("all are told", [one[0] for one in ends(clients)], 404)
is_("without another look-up", disk.more_lookups(), 0)

# A listing isn't kept: all who have waited for one go alone, at once, and for a moment those who
# come then.
sysctl("http_dir_indexing", "1")
for many in 50, 10, 3:
    with Stopped() as disk:
        clients = crowd(many, "/one/list/")
        true("of %d who ask for a list one asks" % many, disk.is_asked(1, many - 1), disk.asked())
        began = time.monotonic()
    got = ends(clients)
    alike("all get it", got, got[0])
    is_("which has all", (got[0][0], got[0][1].count(b".txt\"")), (200, 20))
    is_("each by a look-up of its own", disk.grown("deferred_lookup")[0], many)
    before = disk.grown("cache_misses_secondary")
    got = ends(crowd(many, "/one/list/"))
    # A slow machine takes longer than that moment for so many.
    if time.monotonic() - began < 2:
        break
alike("more who ask then get it, too", [one[0] for one in got], 200)
if time.monotonic() - began < 2:
    is_("and wait for nobody", disk.grown("cache_misses_secondary"), before)
else:
    true("and may wait", 0 <= disk.grown("cache_misses_secondary")[0] - before[0] < many)
sysctl("http_dir_indexing", "0")

if os.path.ismount(docroot + b"/overlay"):
    with Stopped() as disk:
        clients = crowd(30, "/overlay/file.txt")
        true("what will not be in memory is asked for by each", disk.is_asked(30, 0), disk.asked())
    alike("and each gets it", ends(clients), (200, b"below\n"))
nothing_left("nothing is left of those")
END

# ---- who goes, and a disk that stays away -----------------------------------------

checks <<'END'
with Stopped() as disk:
    first = Connection()
    first.send(request("/one/3.bin"))
    true("the first one has begun", disk.is_asked(1, 0), disk.asked())
    clients = crowd(99, "/one/3.bin")
    true("99 wait", disk.is_asked(1, 99), disk.asked())
    first.reset()
    true("the first one goes", wait_until(lambda: stat()["storage_abandoned"] >= 1), stat())
    for c in clients[:30]:
        c.reset()
    true("and 30 others", wait_until(lambda: stat()["connections_open"] == 69), stat())
alike("the others get it", ends(clients[30:]), (200, content("3.bin")))
is_("without another look-up", disk.more_lookups(), 0)
nothing_left("nothing is left of those who went")

# One who goes before its turn has come.
with Stopped() as disk:
    before = crowd(256, lambda i: "/one/many/%d.txt" % (i + 1))
    true("all places are taken", wait_until(lambda: stat()["storage_running"] == 256), stat())
    first = Connection()
    first.send(request("/one/4.bin"))
    true("the next one waits for one", wait_until(lambda: stat()["storage_waiting"] == 1 or disk.grown("storage_refused") != (0,)), stat())
    clients = crowd(20, "/one/4.bin")
    wait_until(lambda: disk.asked()[1] + disk.grown("storage_refused")[0] >= 20, 20)
    first.reset()
    time.sleep(0.5)
# On a slow machine the disk may be silent for too long meanwhile.
got = ends(clients)
alike("others are answered when it goes", [one[0] for one in got], 200, 503)
alike("and get it", [one for one in got if one[0] == 200], (200, content("4.bin")))
is_("and so are all before", ends(before), [(200, b"file %d\n" % (i + 1)) for i in range(256)])
nothing_left("nothing is left of that")

# A disk that stays away. Who comes later than two seconds begins anew.
sysctl("send_timeout", "6")
with Stopped() as disk:
    clients = crowd(MANY, "/one/5.bin")
    true("many wait for one file", disk.is_asked(1, MANY - 1), disk.asked())
    time.sleep(4)
    later = crowd(20, "/one/5.bin")
    true("20 who come later wait for a look-up of their own", disk.is_asked(2, MANY + 18), disk.asked())
    is_("with a work item each", stat()["storage_running"], disk.asked()[0])
    alike("all who came first are closed when their time is over", ends(clients), "reset")
    counted = disk.grown("timeout_send")[0]
    alike("and so are the others", ends(later), "reset")
    # On a slow machine the time of the others is over, too, when that is looked at.
    true("which is counted", MANY <= counted <= MANY + 20, counted)
    is_("once each", disk.grown("timeout_send"), (MANY + 20,))
    true("nobody is left", wait_until(lambda: stat()["connections_open"] == 0), stat())
    is_("but what the disk has", stat()["storage_abandoned"], disk.asked()[0])
    sysctl("max_connect", "20")
    time.sleep(3)
    # These are answered.
    sysctl("send_timeout", "3600")
    third = crowd(20, "/one/5.bin")
    true("half of those who may come may wait for it",
         wait_until(lambda: (disk.grown("storage_refused")[0], sum(disk.asked())) == (10, MANY + 20 + 10)), disk.asked(), stat())
sysctl("max_connect", "10000")
got = ends(third)
is_("the rest is told", (got.count((200, content("5.bin"))), [one[0] for one in got].count(503)), (10, 10))
nothing_left("nothing is left when it is back")
is_("which then is as before", ask("/one/5.bin").body == content("5.bin"), True)
END

# ---- a stop ------------------------------------------------------------------------------

checks <<'END'
with Stopped() as disk:
    clients = crowd(50, "/one/6.bin")
    true("50 wait when the server is stopped", disk.is_asked(1, 49), disk.asked())
    sysctl("drain_timeout", "1")
    is_("it stops", (sysctl("stop", "1"), sysctl("state")), (0, "stopped\n"))
    alike("which ends them", ends(clients), "closed", "reset")
    is_("the disk still has the request", stat()["storage_abandoned"], 1)
    sysctl("start", "1")
    clients = crowd(10, "/one/6.bin")
    true("one asks anew in the next server", disk.is_asked(2, 49 + 9), disk.asked())
alike("which answers", ends(clients), (200, content("6.bin")))
nothing_left("nothing is left of the stop")
END
done_testing
