#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Answers in softirq: they are those of the workers, octet for octet, and what is
# kept for them is given back.

. "$(dirname "$0")/lib.sh"

[ -b "${RUST_TUX_SCRATCH:-}" ] || skip_all "no scratch disk"

# Whole responses are kept ready only for file systems that are not in memory.
mkdir "$tmp/disk"
mkfs.ext4 -q -F "$RUST_TUX_SCRATCH" && mount "$RUST_TUX_SCRATCH" "$tmp/disk" ||
	bail_out "mounting the scratch disk"
at_exit umount "$tmp/disk"
docroot=$tmp/disk/site
mkdir "$docroot"
chmod 755 "$tmp/disk" "$docroot"
echo index >"$docroot/index.html"
head -c 30000 /dev/urandom >"$docroot/30000"
sync

cat >"$tmp/fastpath.py" <<'END_OF_PYTHON'
from http_client import *

cpus = sorted(os.sched_getaffinity(0))
CLIENT = cpus[0]

def stay_on(cpu):
    """What is sent from here is received on that processor."""
    os.sched_setaffinity(0, [cpu])

def grown(name, before):
    return stat()[name] - before[name]

def warm(*targets):
    """Has documents on the shelf of this processor: asked for twice by workers, and once more."""
    with Connection() as c:
        for target in targets:
            for _ in range(4):
                c.send(request(target))
                c.response()

def restart():
    """A server that has nothing."""
    sysctl("stop", "1")
    sysctl("start", "1")
END_OF_PYTHON

# As little as there can be on its way to a client that reads nothing.
wmem=$(cat /proc/sys/net/ipv4/tcp_wmem)
at_exit bash -c "echo '$wmem' >/proc/sys/net/ipv4/tcp_wmem"
echo 4608 4608 4608 >/proc/sys/net/ipv4/tcp_wmem
load
{
	cat "$tmp/fastpath.py"
	cat <<'END_OF_PYTHON'
stay_on(CLIENT)
content = open(os.path.join(docroot, b"30000"), "rb").read()

def begun(requests, pause=0.0):
    """A connection that reads nothing, and whose first response has begun in softirq."""
    warm("/30000")
    for _ in range(10):
        before = stat()
        # A worker that has just been busy looks at a new connection within a tick.
        ask("/missing")
        c = Connection(receive_buffer=4096)
        time.sleep(pause)
        c.send(request("/30000") * requests)
        if wait_until(lambda: grown("fastpath_answered", before) == 1, 0.5):
            return c
        c.close()
    raise Malformed("nothing is answered in softirq")

# ---- the first look of a worker comes after the first answer

sysctl("header_timeout", "1")
sysctl("send_timeout", "20")
before = stat()
with begun(2) as c:
    time.sleep(4)
    bodies = [c.response().body == content for _ in range(2)]
    is_("the time for a head is over when that has come", bodies, [True, True])
is_("and is not counted as too long", grown("timeout_header", before), 0)

# ---- a deadline that comes earlier than the one before

sysctl("header_timeout", "40")
sysctl("keepalive_timeout", "40")
sysctl("send_timeout", "1")
before = stat()
with begun(2, pause=0.5) as c:
    gone = wait_until(lambda: grown("timeout_send", before) == 1, 10)
    true("who takes nothing of what was begun in softirq is given up in time", gone, stat())
for name, value in ("header_timeout", 10), ("keepalive_timeout", 15), ("send_timeout", 30):
    sysctl(name, str(value))

# ---- what slow readers hold, others need

with begun(1) as c, Connection() as other:
    other.send(request("/"))
    other.response()
    other.send(request("/"))
    other.response()
    others = []
    for number in range(5):
        before = stat()
        slow = Connection(receive_buffer=4096)
        slow.send(request("/30000"))
        others.append(slow)
        wait_until(lambda: grown("requests", before) == 1, 5)
        before = stat()
        for part in range(4):
            other.send(request("/", "X: %d %d" % (number, part)))
            other.response()
        answered = grown("fastpath_answered", before)
        if answered != 4:
            break
    is_("beside slow readers others are answered in softirq", (number, answered), (4, 4))
    for slow in others:
        slow.close()
END_OF_PYTHON
} >"$tmp/slow.py"
python_checks <"$tmp/slow.py"
unload
echo "$wmem" >/proc/sys/net/ipv4/tcp_wmem

load threads=2
{
	cat "$tmp/fastpath.py"
	cat <<'END_OF_PYTHON'
stay_on(CLIENT)

# ---- the last response of one connection is not the answer for another

warm("/")
sysctl("keepalive_requests", "2")
time.sleep(0.1)
pairs = set()
# The first to be asked for twice in a second is kept ready, here and one later.
for others in range(2):
    for _ in range(others):
        ask("/", "X: another")
    for _ in range(10):
        with Connection() as c:
            pair = []
            for _ in range(2):
                c.send(request("/", "X: %d" % others))
                response = c.response()
                pair.append(response and response.get("Connection"))
            pairs.add(tuple(pair))
is_("the first of two responses says nothing of the end, the second does", pairs, {(None, "close")})
sysctl("keepalive_requests", "0")

# ---- what was deleted is given back, whoever has it

def free():
    os.sync()
    return os.statvfs(docroot).f_bfree * os.statvfs(docroot).f_bsize

SIZE = 32 << 20
for accepted_on in cpus[:2]:
    for asked_on in cpus[:2]:
        path = put("deleted", bytes(SIZE))
        os.sync()
        restart()
        time.sleep(1.5)
        stay_on(accepted_on)
        with Connection() as c:
            time.sleep(0.1)
            stay_on(asked_on)
            for _ in range(6):
                c.send(request("/deleted", "Range: bytes=0-9"))
                c.response()
        full = free()
        os.unlink(path)
        is_free = wait_until(lambda: free() > full + SIZE // 2, 8)
        true("a deleted file's space is given back: accepted on CPU %d, asked for on %d" % (accepted_on, asked_on), is_free, stat())
stay_on(CLIENT)

# ---- no more is kept than may be

restart()
for number in range(9):
    put("kept%d" % number, b"%d" % number)
time.sleep(0.1)

def misses(*numbers):
    """How many of them are not cached."""
    before = stat()
    with Connection() as c:
        for number in numbers:
            c.send(request("/kept%d" % number))
            c.response()
    return grown("cache_misses", before)

sysctl("max_cached_documents", "1")
warm("/kept0")
before = stat()
misses(0)
is_("one document is kept where one may be", grown("fastpath_answered", before), 1)
misses(1, 1)
time.sleep(2.5)
before = stat()
is_("what made room for another is not on a shelf", (misses(0), grown("fastpath_answered", before)), (1, 0))
sysctl("max_cached_documents", "0")
before = stat()
misses(0, 0, 0, 0)
time.sleep(0.1)
is_("where none may be kept, nothing is answered in softirq", grown("fastpath_answered", before), 0)

sysctl("max_cached_documents", "8")
for fastpath in "0", "1":
    sysctl("fastpath", fastpath)
    restart()
    misses(*range(8))
    misses(*range(8))
    time.sleep(1.1)
    for _ in range(4):
        misses(*range(1, 8))
    time.sleep(1.1)
    misses(8)
    is_("what was not used for the longest time makes room, fastpath=%s" % fastpath, misses(*range(1, 9)), 0)
sysctl("max_cached_documents", "65536")

# ---- different names are different

PAIRS = [(b"name000%c" % (48 ^ 0), b"name000%c" % (48 ^ bit)) for bit in (64, 1, 2, 4, 8)]
for pair in PAIRS:
    for name in pair:
        put(name, name)
sysctl("fastpath", "0")
misses = []
for _ in range(6):
    restart()
    with Connection() as c:
        def round():
            for pair in PAIRS:
                for name in pair * 2:
                    c.send(request(b"/" + name))
                    if c.response().body != name:
                        not_ok("the content of %r" % name)
        round()
        before = stat()
        round()
        misses.append(grown("cache_misses", before))
is_("names that differ in a bit don't take each other's place", misses, [0] * 6)
sysctl("fastpath", "1")
END_OF_PYTHON
} >"$tmp/kept.py"
python_checks <"$tmp/kept.py"

done_testing
