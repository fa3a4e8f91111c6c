#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A file system that never answers holds up those who ask for what is on it, for
# as long as the time limit says, and nobody else: it leaves room for others, a
# connection that has ended keeps no place, who comes too late is told, and the
# server can be stopped and started. An unload waits, and says so.

. "$(dirname "$0")/lib.sh"
storage_may_hang

modprobe fuse 2>/dev/null
[ -c /dev/fuse ] || mknod /dev/fuse c 10 229 2>/dev/null
grep -qw fuse /proc/filesystems || skip_all "no FUSE"

# fuse NAME: mounts one at $docroot/NAME, withheld while there is $tmp/NAME.
fuse() {
	mkdir "$docroot/$1"
	"$selftests/fuse.py" "$docroot/$1" "$tmp/$1" 2>"$tmp/$1.errors" &
	at_exit kill $!
	at_exit umount -l "$docroot/$1"
	at_exit rm -f "$tmp/$1"
	wait_for 30 mountpoint -q "$docroot/$1" || bail_out "$1: $(cat "$tmp/$1.errors")"
}
fuse hung
fuse well
echo hot >"$docroot/hot.txt"
echo hot >"$docroot/link.txt"
ln -s hung/1.txt "$docroot/link.txt.gz"
ln -s hung/d "$docroot/away"
if [ -b "${RUST_TUX_SCRATCH:-}" ] && mkfs.ext4 -q -F "$RUST_TUX_SCRATCH" 2>/dev/null; then
	mkdir "$docroot/disk"
	mount "$RUST_TUX_SCRATCH" "$docroot/disk" || bail_out "mounting the disk"
	at_exit umount -l "$docroot/disk"
	for i in {1..50}; do
		echo "disk $i" >"$docroot/disk/$i.txt"
	done
fi

count() {
	sed -n "s/^$1 //p" /proc/net/http/stat
}
hang() {
	echo "${2:-all}" >"$tmp/$1"
	wait_for 60 grep -sqx "${2:-all}" "$tmp/$1.seen"
}
storage_runs() {
	[ "$(count storage_running)" = 1 ]
}
nothing_runs() {
	[ "$(count storage_running),$(count storage_waiting),$(count storage_abandoned)" = 0,0,0 ]
}

cat >"$tmp/crowd.py" <<'END'
import threading
from http_client import *

def crowd(number, path):
    """So many clients that ask at the same time, each for a file of its own."""
    clients = []
    for i in range(number):
        c = Connection()
        c.send(request(path % (i + 1)))
        clients.append(c)
    return clients

def ends(clients):
    """How each of them ends."""
    found = {}
    for c in clients:
        try:
            response = c.response()
            end = response.status if response else "closed"
        except ConnectionResetError:
            end = "reset"
        except (socket.timeout, Malformed) as error:
            end = repr(error)
        found[end] = found.get(end, 0) + 1
        c.close()
    return found

def goes_on(name, cold=True):
    """Others are served, and fast enough that nobody waited for a time limit."""
    longest = 0
    def get(path):
        nonlocal longest
        begin = time.monotonic()
        body = ask(path).body
        longest = max(longest, time.monotonic() - begin)
        return body
    got = [get("/hot.txt")]
    for i in range(20):
        got.append(get("/well/%d.txt" % (i + 1)))
    if cold and os.path.isdir(docroot + b"/disk"):
        with open("/proc/sys/vm/drop_caches", "w") as file:
            file.write("3")
        got += [get("/disk/%d.txt" % (i + 1)) for i in range(20)]
    wanted = [b"hot\n"] + [b"file %d\n" % (i + 1) for i in range(20)]
    if len(got) > 21:
        wanted += [b"disk %d\n" % (i + 1) for i in range(20)]
    is_(name + ": the files of others are right", got, wanted)
    # The time limit of most is 120 s.
    true(name + ": and come soon", longest < 15, "one took %.1f s" % longest)

def seen(name):
    try:
        with open(os.environ["tmp"] + "/" + name + ".seen") as file:
            return file.read()
    except FileNotFoundError:
        return None

def hang(name, kinds="all"):
    with open(os.environ["tmp"] + "/" + name, "w") as file:
        file.write(kinds)
    wait_until(lambda: seen(name) == kinds)

def answer(name):
    os.unlink(os.environ["tmp"] + "/" + name)

def numbers():
    now = stat()
    return tuple(now["storage_" + name] for name in ("running", "waiting", "abandoned"))
END
mkdir "$tmp/library"
mv "$tmp/crowd.py" "$tmp/library/crowd.py"
checks() {
	{
		echo "import sys; sys.path.insert(0, '$tmp/library')"
		cat
	} >"$tmp/program.py"
	python_checks <"$tmp/program.py"
}

load threads=1
is "before" "$(get /hung/1.txt) $(get /well/2.txt) $(get /away/3.txt)" "file 1 file 2 file 3"
get /hung/big.bin >"$tmp/big"
check "a large file" cmp "$tmp/big" "$docroot/hung/big.bin"

# ---- a crowd ------------------------------------------------------------------------

checks <<'END'
import http_client
from crowd import *

class TooSlow(Exception):
    """The time of the first ones may have been over before the last ones had come."""

def try_limit(limit):
    sysctl("send_timeout", str(limit))
    before = stat()
    hang("hung")
    begin = time.monotonic()
    clients = crowd(400, "/hung/%d.txt")
    places = wait_until(lambda: numbers()[0] == 256)
    def refused_now():
        return stat()["storage_refused"] - before["storage_refused"]
    came = wait_until(lambda: numbers()[1] + refused_now() == 144, 10)
    got = numbers(), refused_now()
    refused = refused_now()
    if time.monotonic() - begin > limit - 1:
        for c in clients:
            c.close()
        raise TooSlow
    true("half of the places are for one file system", places, got)
    true("the rest of those who ask waits, or came too late", came, got)
    goes_on("while it hangs")
    # It is silent when it has said nothing for more than two whole seconds.
    time.sleep(3)
    late = ask("/hung/7.txt")
    is_("who comes later is told at once", (late.status, late.get("Retry-After")), (503, "1"))
    is_("and that is counted", stat()["storage_refused"] - before["storage_refused"], refused + 1)
    found = ends(clients)
    is_("those who wait are closed when the time is over", found.pop("reset"), 400 - refused)
    is_("and are counted", stat()["timeout_send"] - before["timeout_send"], 400 - refused)
    is_("the others were told", found.pop(503, 0), refused)
    is_("nobody saw anything else", found, {})
    true("no connection is left", wait_until(lambda: stat()["connections_open"] == 0), stat())
    is_("what the file system still has is bounded", numbers(), (256, 0, 256))

http_client.patience = 200
for limit in 8, 40, 120:
    try:
        try_limit(limit)
        break
    except TooSlow:
        print("# once more: 400 clients take longer than %d s" % limit)
        answer("hung")
        wait_until(lambda: (stat()["connections_open"], *numbers()) == (0, 0, 0, 0))
else:
    not_ok("400 clients can ask at the same time")
goes_on("when they have gone")
is_("all who come are told", ends(crowd(500, "/hung/%d.txt")), {503: 500})
is_("and leave nothing", numbers(), (256, 0, 256))
sysctl("max_connect", "20")
goes_on("they keep no place of max_connect")
sysctl("max_connect", "10000")
answer("hung")
true("all is over when it answers", wait_until(lambda: numbers() == (0, 0, 0)), numbers())
is_("and it is served again", [ask("/hung/%d.txt" % i).body for i in (1, 9)], [b"file 1\n", b"file 9\n"])
END

# ---- few places ------------------------------------------------------------------------

checks <<'END'
from crowd import *
sysctl("max_connect", "100")
for limit in 8, 40:
    sysctl("send_timeout", str(limit))
    hang("hung")
    begin = time.monotonic()
    clients = crowd(30, "/hung/%d.txt")
    time.sleep(4)
    clients += crowd(30, "/hung/%d.txt")
    wait_until(lambda: numbers()[0] == 50)
    time.sleep(1)
    got = numbers()
    if time.monotonic() - begin < limit - 1:
        break
    print("# once more: 60 clients take longer than %d s" % limit)
    answer("hung")
    ends(clients)
    wait_until(lambda: numbers() == (0, 0, 0))
is_("half of max_connect may wait for one file system", got[0], 50)
goes_on("half of max_connect waits")
is_("the rest is told", ends(clients[50:]), {503: 10})
is_("and they, in time", ends(clients[:50]), {"reset": 50})
answer("hung")
true("all is over when it answers", wait_until(lambda: numbers() == (0, 0, 0)), numbers())
sysctl("max_connect", "10000")
END

# ---- each kind of request ------------------------------------------------------------

sysctl_set send_timeout 120
checks <<'END'
from crowd import *
for kind, path in (("lookup", "/hung/%d.txt"), ("open", "/hung/%d.txt"), ("read", "/hung/d/%d.txt"),
                   ("all", "/hung/?%d"), ("all", "/away/%d.txt"), ("all", "/hung?%d")):
    hang("hung", kind)
    clients = crowd(270, path)
    time.sleep(1)
    goes_on("no answer to %s, %s" % (kind, path), cold=False)
    answer("hung")
    found = ends(clients)
    # Those who came too late for a place were told.
    true("no answer to %s, %s: all are answered then" % (kind, path),
         set(found) <= {200, 301, 403, 503} and found.get(503, 0) <= 270 - 256, found)
# A client that goes.
hang("hung")
c = Connection()
c.send(request("/hung/1.txt"))
true("one waits", wait_until(lambda: numbers()[0] == 1), numbers())
c.reset()
true("who goes is not kept", wait_until(lambda: stat()["connections_open"] == 0), stat())
is_("but the file system still has the request", numbers(), (1, 0, 1))
answer("hung")
true("until it answers", wait_until(lambda: numbers() == (0, 0, 0)), numbers())
# A file whose first octets the client has.
slow = Connection(receive_buffer=4096)
slow.send(request("/hung/big.bin"))
while len(slow.unread) < 1000:
    slow.more()
hang("hung", "read release")
time.sleep(0.5)
slow.reset()
goes_on("a client that went in the middle")
answer("hung")
true("nothing is left", wait_until(lambda: numbers() == (0, 0, 0)), numbers())
# A link to it, beside a file in memory.
hang("hung")
begin = time.monotonic()
with Connection() as c:
    c.send(request("/link.txt", "Accept-Encoding: gzip"))
    goes_on("a coded sibling that is elsewhere", cold=False)
answer("hung")
# Listings.
sysctl("http_dir_indexing", "1")
hang("hung", "readdir getattr")
clients = crowd(270, "/hung/d/?%d")
time.sleep(1)
goes_on("listings")
answer("hung")
ends(clients)
sysctl("http_dir_indexing", "0")
true("nothing is left again", wait_until(lambda: numbers() == (0, 0, 0)), numbers())
END

# ---- the pages hang, of a file that is open ----------------------------------------------

checks <<'END'
from crowd import *
sysctl("send_timeout", "5")
hang("hung", "read")
clients = crowd(300, "/hung/big.bin?%d")
true("readers are bounded", wait_until(lambda: numbers()[0] == 256), numbers())
time.sleep(3)
is_("a file that can't be read now", ask("/hung/big.bin").status, 503)
goes_on("readers")
found = ends(clients)
true("they end", found["reset"] >= 256 and found["reset"] + found.get(503, 0) == 300, found)
answer("hung")
true("and leave nothing", wait_until(lambda: numbers() == (0, 0, 0)), numbers())
is_("the file is read again", len(ask("/hung/big.bin").body), 3000000)
END

# ---- stop, start, unload ---------------------------------------------------------------

sysctl_set send_timeout 60
hang hung
get /hung/4.txt --max-time 300 >/dev/null 2>&1 &
client=$!
wait_for 60 storage_runs
check "a stop doesn't wait for it" timeout 100 bash -c 'echo 1 >/proc/sys/net/http/stop'
is "it is stopped" "$(sysctl_get state)" stopped
wait $client
is "what the file system has is known" "$(count storage_abandoned)" 1
sysctl_set start 1
is "started again" "$(get /well/1.txt)" "file 1"
rm "$tmp/hung"
check "it answers" wait_for 20 nothing_runs
is "it is served again" "$(get /hung/1.txt)" "file 1"

hang hung
get /hung/4.txt --max-time 300 >/dev/null 2>&1 &
client=$!
wait_for 60 storage_runs
kernel_log_mark unload
rmmod rust_tux &
unloader=$!
disown
said() {
	[ -n "$(kernel_log_since unload 'unloading waits for 1 work items')" ]
}
check "an unload says for what it waits" wait_for 60 said
wait $client
ok "the client was not kept"
kill -KILL $unloader
sleep 1
[ -d /proc/$unloader ] && ok "it waits, whatever signals come" || not_ok "it waits, whatever signals come"
is "the port is free" "$(reachable 127.0.0.1 && echo served)" ""
rm "$tmp/hung"
gone() {
	! loaded && [ ! -d /proc/$unloader ]
}
check "it ends when the file system answers" wait_for 30 gone
done_testing
