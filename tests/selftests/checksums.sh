#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Checksums for a device that makes none: whatever path a segment takes, the peer
# finds each right, and each octet of the content; no sum is kept for long that is
# not true any more.

. "$(dirname "$0")/lib.sh"

client_network || skip_all "no network namespace"
ethtool -K server tx off >"$tmp/ethtool" 2>&1 || skip_all "the device always makes checksums"
ethtool -k server | grep -q '^scatter-gather: on' || skip_all "the device takes no fragments"

# Whole responses are kept ready only for file systems that are not in memory.
scratch_docroot
mkdir "$tmp/loop"
for size in 1024 10240 102400; do
	head -c $size /dev/urandom >"$docroot/$size"
done
sync
load

debug=0
[ "${RUST_TUX_KERNEL:-stock}" = stock ] || debug=1
cat >"$tmp/far.py" <<END
debug = $debug
END
cat >>"$tmp/far.py" <<'END'
import random, subprocess, sys, threading
from http_client import *

here = os.open("/proc/self/ns/net", os.O_RDONLY)
there = os.open("/run/netns/client", os.O_RDONLY)
switching = threading.Lock()
addresses = ("192.0.2.1", "2001:db8::1")
sizes = (1024, 10240, 102400)
contents = {size: open(os.path.join(docroot, b"%d" % size), "rb").read() for size in sizes}
# What is sent from there is answered, as a rule, by the shelf of this processor.
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])

class Far(Connection):
    """A connection of the client behind the device."""
    def __init__(self, *arguments, **more):
        with switching:
            os.setns(there, os.CLONE_NEWNET)
            try:
                super().__init__(*arguments, **more)
            finally:
                os.setns(here, os.CLONE_NEWNET)

def in_client(*command):
    return subprocess.run(("ip", "netns", "exec", "client") + command, check=True, capture_output=True, text=True).stdout

def wrong_sums():
    """Segments with a wrong checksum that the client has received."""
    lines = [line.split() for line in in_client("cat", "/proc/net/snmp").splitlines() if line.startswith("Tcp:")]
    return int(dict(zip(*lines))["InCsumErrors"])

def sums():
    now = stat()
    return [now["checksums_" + name] for name in ("kept", "copied", "left")]

def grown(before):
    return [now - then for now, then in zip(sums(), before)]

def plan(seed, rounds, times=6):
    """Requests, and what answers each: those that are asked for often are kept ready."""
    chance = random.Random(seed)
    for size in sizes:
        whole = contents[size]
        for _ in range(rounds):
            for _ in range(times):
                yield request("/%d" % size), whole
            first = chance.randrange(size)
            last = chance.randrange(first, size)
            for _ in range(times):
                yield request("/%d" % size, "Range: bytes=%d-%d" % (first, last)), whole[first:last + 1]

def exchange(address, seed, rounds, at_once):
    """Does so, that many requests before the responses are read, and as many at once in the end;
    returns whether each octet is right."""
    asked = list(plan(seed, rounds))
    with Far(address) as c:
        for begin in range(0, len(asked), at_once):
            some = asked[begin:begin + at_once]
            for octets, _ in some:
                c.send(octets)
            for _, content in some:
                if c.response().body != content:
                    return False
        some = asked[::7]
        for octets, content in some:
            c.send(octets * at_once)
            for _ in range(at_once):
                if c.response().body != content:
                    return False
    return True
END

# ---- each path of a segment -----------------------------------------------------

cat >"$tmp/path.py" <<'END'
name, rounds, ways = sys.argv[1], int(sys.argv[2]), (1, 2, 5)[:int(sys.argv[3])]
for address in addresses:
    before, wrong = sums(), wrong_sums()
    for at_once in ways:
        true("%s, %s, %d at once: each octet is right" % (name, address, at_once), exchange(address, at_once, rounds, at_once))
    # Where nothing is asked for twice in a second, nothing is kept ready.
    for more in range(10):
        if grown(before)[0] > 0:
            break
        print("# %s, %s: once more" % (name, address))
        true("%s, %s, once more: each octet is right" % (name, address), exchange(address, 10 + more, rounds, 1))
    is_("%s, %s: no checksum is wrong" % (name, address), wrong_sums() - wrong, 0)
    kept, copied, left = grown(before)
    true("%s, %s: sums are kept" % (name, address), kept > 0, (kept, copied, left))
    print("# %s, %s: kept, copied, left" % (name, address), kept, copied, left)
END
path() {
	python_checks "$@" < <(cat "$tmp/far.py" "$tmp/path.py")
}

rounds=4 ways=3
[ $debug = 0 ] || rounds=1 ways=2
sysctl_set checksums 1
path "without a queue" $rounds $ways
ip link set server mtu 1399
path "odd segments" $rounds $ways
ip link set server mtu 1500
check "a queue" tc qdisc replace dev server root fq
path "fair queueing" $rounds $ways
ip link set server gso_max_segs 1
path "one segment at a time" $rounds $ways
ip link set server gso_max_segs 65535
lossy() {
	in_client nft -f - <<END
table inet lossy {
	chain input {
		type filter hook prerouting priority -300;
		tcp sport $port numgen random mod 100 < 20 drop
	}
}
END
}
if lossy 2>"$tmp/nft"; then
	path "fair queueing and loss" 1 1
	tc qdisc del dev server root
	path "loss without a queue" 1 1
	in_client nft delete table inet lossy
elif tc qdisc replace dev server root netem loss 20% 2>"$tmp/netem"; then
	path "loss in a queue" 1 1
	tc qdisc del dev server root
else
	skip "loss" "neither numgen nor netem"
	tc qdisc del dev server root
fi
if tc qdisc replace dev server root netem delay 3ms 2ms reorder 20% duplicate 10% 2>"$tmp/netem"; then
	path "delayed, in another order, and twice" 1 2
	tc qdisc del dev server root
else
	skip "delayed, in another order, and twice" "no netem"
fi

# ---- where there is nothing to do -----------------------------------------------

python_checks < <(
	cat "$tmp/far.py"
	cat <<'END'
def ask_all(connection):
    with connection as c:
        for octets, content in plan(0, 3):
            c.send(octets)
            if c.response().body != content:
                return False
    return True

before = sums()
true("loopback: each octet is right", ask_all(Connection()))
is_("loopback: nothing is summed", grown(before), [0, 0, 0])
c = Far(addresses[0])
c.send(request("/10240"))
c.response()
sysctl("checksums", "0")
before = sums()
c.send(request("/10240"))
is_("checksums=0: a connection from before gets the right octets", c.response().body, contents[10240])
true("checksums=0: each octet is right", ask_all(Far(addresses[0])))
is_("checksums=0: nothing is summed", grown(before), [0, 0, 0])
sysctl("checksums", "1")
subprocess.run(("ethtool", "-K", "server", "tx", "on"), check=True, capture_output=True)
before = sums()
true("a device that sums: each octet is right", ask_all(Far(addresses[0])))
is_("a device that sums: nothing is summed", grown(before), [0, 0, 0])
subprocess.run(("ethtool", "-K", "server", "tx", "off"), check=True, capture_output=True)
# What was made ready in this second has no sums.
time.sleep(1)
before = sums()
true("not any more: each octet is right", ask_all(Far(addresses[0])))
true("not any more: sums are kept", grown(before)[0] > 0)
END
)

# ---- the switch and the device change under load ----------------------------------

python_checks < <(
	cat "$tmp/far.py"
	cat <<'END'
# The longest ones that are kept ready, and some that workers send.
for size in 16001, 700000:
    contents[size] = random.randbytes(size)
    with open(os.path.join(docroot, b"%d" % size), "wb") as file:
        file.write(contents[size])
seconds = 40 if debug else 10
# On a slow machine longer, until enough has happened.
begin = time.monotonic()
wanted = 4 if debug else 20
is_over = threading.Event()
features = [(tx, sg) for tx in ("on", "off", "off") for sg in ("on", "on", "off")]

class Load(threading.Thread):
    """Asks for all, several requests at once, until it is over."""
    def __init__(self, address, seed):
        super().__init__()
        self.address, self.chance, self.answered, self.strange = address, random.Random(seed), 0, 0

    def run(self):
        with Far(self.address) as c:
            while not is_over.is_set():
                some = self.chance.choices(list(contents), weights=(6, 6, 2, 6, 1), k=self.chance.randrange(1, 5))
                for size in some:
                    c.send(request("/%d" % size))
                for size in some:
                    self.strange += c.response().body != contents[size]
                    self.answered += 1

before, wrong = sums(), wrong_sums()
loads = [Load(address, seed) for address in addresses for seed in (1, 2)]
for load in loads:
    load.start()
chance, changes = random.Random(3), 0
def is_enough():
    """Whether all are answered, and there were segments of each kind."""
    kept, copied, left = grown(before)
    # Nothing is kept ready where nothing is asked for twice in a second.
    return min(load.answered for load in loads) > wanted and copied > 0 and left > 0 and (debug or kept > 0)
while time.monotonic() - begin < (seconds if is_enough() else 300):
    sysctl("checksums", str(chance.randrange(2)))
    if chance.random() < 0.2:
        tx, sg = chance.choice(features)
        subprocess.run(("ethtool", "-K", "server", "tx", tx, "sg", sg), check=True, capture_output=True)
    changes += 1
    time.sleep(chance.choice((0, 0.01, 0.1)))
is_over.set()
for load in loads:
    load.join()
subprocess.run(("ethtool", "-K", "server", "tx", "off", "sg", "on"), check=True, capture_output=True)
sysctl("checksums", "1")
kept, copied, left = grown(before)
print("# %d changes, %d answered, kept, copied, left" % (changes, sum(load.answered for load in loads)), kept, copied, left)
is_("under changes each octet is right", [load.strange for load in loads], [0] * len(loads))
true("under changes all are answered", min(load.answered for load in loads) > wanted, [load.answered for load in loads])
is_("under changes no checksum is wrong", wrong_sums() - wrong, 0)
of_all = (copied, left) if debug else (kept, copied, left)
true("under changes there are segments of each kind", min(of_all) > 0, (kept, copied, left))
END
)

# ---- files that change ------------------------------------------------------------

python_checks < <(
	cat "$tmp/far.py"
	cat <<'END'
stop = threading.Event()
path = os.path.join(docroot, b"changing")

def write(content, flags=0):
    file = os.open(path, os.O_WRONLY | os.O_CREAT | flags, 0o644)
    os.write(file, content)
    os.close(file)

def change(size, how):
    letter = 0
    while not stop.is_set():
        letter ^= 1
        content = (b"a", b"b")[letter] * size
        if how == "in place":
            write(content)
        elif how == "truncated":
            write(content, os.O_TRUNC)
        else:
            with open(path + b".new", "wb") as file:
                file.write(content)
            os.rename(path + b".new", path)
        # In between it is read often enough to be kept ready.
        time.sleep(random.choice((0, 0.001, 0.01, 0.1)))

seconds = 20 if debug else 5
for size in 10240, 102400:
    for how in "in place", "truncated", "replaced":
        name = "%d octets, %s" % (size, how)
        write(b"a" * size, os.O_TRUNC)
        before, wrong, mismatched = sums(), wrong_sums(), stat()["cache_mismatched"]
        stop.clear()
        writer = threading.Thread(target=change, args=(size, how))
        writer.start()
        answered, strange, begin, c = 0, 0, time.monotonic(), None
        wanted = 4 if debug else 20
        while time.monotonic() - begin < (seconds if answered > wanted else 120):
            c = c or Far(random.choice(addresses))
            try:
                for _ in range(4):
                    c.send(request("/changing"))
                bodies = [c.response() for _ in range(4)]
            except (Cut, ConnectionError):
                bodies = [None]
            # A file that has become shorter ends the connection.
            if None in bodies:
                c.close()
                c = None
                continue
            answered += 4
            for response in bodies:
                strange += response.status == 200 and response.body.strip(b"ab\0") != b""
        stop.set()
        writer.join()
        is_(name + ": no checksum is wrong", wrong_sums() - wrong, 0)
        is_(name + ": no octet is from elsewhere", strange, 0)
        is_(name + ": nothing has changed unseen", stat()["cache_mismatched"] - mismatched, 0)
        true(name + ": it is answered", answered > wanted, answered)
        print("# %s: %d answered, kept, copied, left" % (name, answered), *grown(before))
        now = open(path, "rb").read()
        with Far(addresses[0]) as c:
            for _ in range(4):
                c.send(request("/changing"))
                if c.response().body != now:
                    not_ok(name + ": it is current in the end")
END
)

# ---- content that changes though nobody has changed it ------------------------------

truncate -s 64M "$tmp/image"
mkfs.ext4 -q -F "$tmp/image" && mount -o loop "$tmp/image" "$tmp/loop" ||
	bail_out "mounting the image"
at_exit umount "$tmp/loop"
mkdir "$tmp/loop/site"
printf 'What it says, it has said for long.\n%.0s' {1..50} >"$tmp/loop/site/file"
chmod -R a+rX "$tmp/loop"
sync
sysctl_set documentroot "$tmp/loop/site"
export image=$tmp/image
python_checks < <(
	cat "$tmp/far.py"
	cat <<'END'
def ask_often():
    """Until it is kept ready, twice."""
    bodies = set()
    with Far(addresses[0]) as c:
        for _ in range(25):
            c.send(request("/file"))
            bodies.add(c.response().body)
            time.sleep(0.1)
    return bodies

before = open(os.path.join(os.path.dirname(os.environ["image"]), "loop/site/file"), "rb").read()
is_("it is served", ask_often(), {before})
mismatched = stat()["cache_mismatched"]
is_("and still is", ask_often(), {before})
is_("nothing has changed unseen", stat()["cache_mismatched"] - mismatched, 0)
time.sleep(2)
with open(os.environ["image"], "r+b") as file:
    place = file.read().index(b"What it says, ")
    file.seek(place)
    file.write(b"Some other text")
with open("/proc/sys/vm/drop_caches", "w") as file:
    file.write("1")
after = ask_often()
is_("the disk says something else", after, {b"Some other text" + before[15:]})
is_("that is noticed, once", stat()["cache_mismatched"] - mismatched, 1)
is_("it is served on", ask_often(), {b"Some other text" + before[15:]})
is_("and not noticed again", stat()["cache_mismatched"] - mismatched, 1)
END
)
sysctl_set documentroot "$docroot"

# ---- a connection that is given away ------------------------------------------------

python_checks < <(
	cat "$tmp/far.py"
	cat <<'END'
backing = Backing()
sysctl("clientport", "8081")

def ask_backing(c):
    c.send(request("/10240", method="POST", body=b""))
    return c.response().get("Server")

with Far(addresses[0]) as c:
    before = sums()
    c.send(request("/10240"))
    is_("the server answers", c.response().body, contents[10240])
    true("it sees to the sums", grown(before) != [0, 0, 0])
    before, wrong = sums(), wrong_sums()
    is_("it gives the connection away", [ask_backing(c) for _ in range(20)], ["backing"] * 20)
    is_("it doesn't see to the sums of that any more", grown(before), [0, 0, 0])
    sysctl("clientport", "0")
    subprocess.run(("rmmod", "rust_tux"), check=True)
    is_("the connection outlives the module", [ask_backing(c) for _ in range(20)], ["backing"] * 20)
    is_("its sums are right", wrong_sums() - wrong, 0)
backing.kill()
END
)
load
sysctl_set checksums 1

# ---- the module goes while segments are on their way --------------------------------

tc qdisc replace dev server root netem delay 20ms 2>"$tmp/netem" || tc qdisc replace dev server root fq
cat >"$tmp/load.py" <<'END'
import os, socket, sys
def goes_on():
    return not os.path.exists(sys.argv[2] + "/stop")
while goes_on():
    try:
        sock = socket.create_connection(("192.0.2.1", int(sys.argv[1])), timeout=2)
        while goes_on():
            for target in b"1024", b"10240", b"102400":
                sock.sendall(b"GET /" + target + b" HTTP/1.1\r\nHost: a\r\n\r\n")
            if not sock.recv(1 << 20):
                break
    except OSError:
        pass
END
for _ in 1 2 3; do
	in_client python3 "$tmp/load.py" "$port" "$tmp" &
	clients+=($!)
done
wrong=$(in_client nstat -asz TcpInCsumErrors | awk '$1 == "TcpInCsumErrors" { print $2 }')
sums_are_made() {
	! grep -q '^checksums_copied 0$' /proc/net/http/stat
}
for round in 1 2 3 4 5; do
	sleep 1
	check "round $round: sums are made" wait_for 100 sums_are_made
	unload
	sleep 0.1
	load
	sysctl_set checksums 1
done
touch "$tmp/stop"
wait "${clients[@]}"
is "no checksum was wrong" \
	"$(in_client nstat -asz TcpInCsumErrors | awk '$1 == "TcpInCsumErrors" { print $2 }')" "$wrong"
done_testing
