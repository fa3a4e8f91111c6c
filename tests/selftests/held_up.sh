#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A user of the machine who makes the kernel hold the lock of a directory, a writer
# whose octets have to go to the disk when a file is closed, and whoever deletes a
# file hold no worker up: not those who ask for other files, and not the stop.

. "$(dirname "$0")/lib.sh"
storage_may_hang

# The one worker answers everything.
echo hot >"$docroot/hot.txt"
mkdir "$docroot/held"
for i in {1..4}; do
	echo "file $i" >"$docroot/held/$i.txt"
done
count() {
	sed -n "s/^$1 //p" /proc/net/http/stat
}
goes_on() {
	local got
	got=$(for _ in {1..4}; do get /hot.txt --max-time 20 || echo "no answer"; done 2>&1 |
		sort | uniq -c | tr -s ' \n' ' ')
	is "$1" "$got" " 4 hot "
}

[ -b "${RUST_TUX_SCRATCH:-}" ] || skip_all "no scratch disk"
mapped rust_tux "0 $((1 << 21)) linear $RUST_TUX_SCRATCH 0" ||
	skip_all "no device mapper: $(tail -n 1 "$tmp/dm")"
mkfs.ext4 -q -F "$device"
mkdir "$docroot/disk"
mount "$device" "$docroot/disk" || bail_out "mounting the device"
at_exit umount -l "$docroot/disk"
head -c 4096 /dev/zero >"$docroot/disk/memory.bin"
head -c 30000000 /dev/zero >"$docroot/disk/big.bin"
sync

# Until resume, who needs what isn't in memory waits.
suspend() {
	echo 3 >/proc/sys/vm/drop_caches
	dmsetup suspend --noudevsync --nolockfs --noflush rust_tux || bail_out "suspend"
}
resume() {
	dmsetup resume --noudevsync rust_tux || bail_out "resume"
}

# heads TARGET TIMES MOST STATUS...: HEAD, 40 times that many, has all of these
# statuses and no other, and leaves no more than so many files open.
heads() {
	python_checks "$@" <<'END'
import sys
from http_client import *

def opened():
    with open("/proc/sys/fs/file-nr") as file:
        return int(file.read().split()[0])

target, times, most, *wanted = sys.argv[1:]
before = opened()
statuses = set()
with Connection() as c:
    for _ in range(int(times)):
        c.send(request(target, method="HEAD") * 40)
        statuses |= {str(c.response("HEAD").status) for _ in range(40)}
is_("%s: answered, and refused when too many wait" % target, statuses, set(wanted))
few = wait_until(lambda: opened() <= before + int(most))
true("%s: no more and more files are open" % target, few, (before, opened()))
END
}

# ---- the lock of a directory ----------------------------------------------------

# Who lists a directory has its lock while the kernel writes to his memory, which
# may be in a file that isn't read yet, from a disk that doesn't answer (for a user
# without privileges: FUSE). Who makes something there waits for that, and who looks
# a name up for him.
cat >"$tmp/hold.py" <<'END'
import ctypes, mmap, os, sys, threading, time
GETDENTS64 = 217
libc = ctypes.CDLL(None)
memory = mmap.mmap(sys.stdin.fileno(), 4096)
start = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(memory)))
directory = os.open(sys.argv[1], os.O_RDONLY)

def waits(task):
    """Has this done by another thread, and waits until that can't go on."""
    thread = threading.Thread(target=task, daemon=True)
    thread.start()
    seen = 0
    while seen < 5:
        with open(f"/proc/self/task/{thread.native_id}/stat") as stat:
            seen = seen + 1 if stat.read().rsplit(")")[-1].split()[0] == "D" else 0
        time.sleep(0.1)

waits(lambda: libc.syscall(GETDENTS64, directory, start, 4096))
waits(lambda: os.mkdir(sys.argv[1] + "/new"))
print("held", flush=True)
threading.Event().wait()
END

load threads=1
sysctl_set fastpath 0
is "before" "$(get /hot.txt)" hot
is "a file is found" "$(get /held/1.txt)" "file 1"
exec 7<>"$docroot/disk/memory.bin"
suspend
python3 "$tmp/hold.py" "$docroot/held" <&7 >"$tmp/held" 2>&1 &
holder=$!
at_exit kill -9 $holder
wait_for 60 grep -q . "$tmp/held"
is "a lock is held" "$(<"$tmp/held")" held
get /held/none --max-time 300 -o /dev/null -w '%{http_code}' >"$tmp/none" &
none=$!
goes_on "a name that there isn't holds nobody up"
get /held/2.txt -H 'Accept-Encoding: gzip, br' --max-time 300 >"$tmp/coded" &
coded=$!
goes_on "siblings that there aren't hold nobody up"
is "a file of that directory is served" "$(get /held/3.txt --max-time 20 2>&1)" "file 3"
sysctl_set stop 1 &
stop=$!
check "the server stops" wait_for 60 eval "! kill -0 $stop 2>/dev/null"
kill -9 $holder
resume
exec 7>&-
wait $stop $none $coded
sysctl_set start 1
unload

# ---- a file that is flushed when it is closed -----------------------------------

cat "$docroot/disk/big.bin" >/dev/null
load threads=1
sysctl_set fastpath 0
sysctl_set send_timeout 300
sysctl_set min_send_rate 0
is "before" "$(get /hot.txt)" hot
# A client that reads nothing, so that the file stays open.
exec 5<>/dev/tcp/127.0.0.1/$port
printf 'GET /disk/big.bin HTTP/1.1\r\nHost: a\r\n\r\n' >&5
wait_for 60 eval '[ "$(count octets_sent)" -gt 100000 ]'
# More than the machine would keep in memory, so that nothing is written before.
set_for_now /proc/sys/vm/dirty_background_ratio 80
set_for_now /proc/sys/vm/dirty_ratio 90
set_for_now /proc/sys/vm/dirty_writeback_centisecs 0
exec 6>"$docroot/disk/big.bin"
head -c 300000000 /dev/zero >&6
# What is needed to find room on the disk isn't in memory.
suspend
# It goes. After some seconds without an end of it no more may come.
exec 5>&-
sleep 4
goes_on "a file that is flushed when it is closed holds nobody up"
# Nobody can make it more and more files that wait for that to end.
heads /disk/big.bin 150 3000 200 503
resume
check "it is served again" wait_for 60 eval '[ "$(status /disk/big.bin -I)" = 200 ]'
exec 6>&-
unload

# ---- what was deleted -----------------------------------------------------------

echo hot >"$docroot/disk/hot.txt"
# What is given up before the file system is frozen is freed: then others are tried.
ROUNDS=6
for i in $(seq $ROUNDS); do
	# A file, of which the sibling is served.
	echo page >"$docroot/disk/page$i.html"
	gzip -k "$docroot/disk/page$i.html"
	# A directory, out of which the file will be moved.
	mkdir "$docroot/disk/left$i"
	echo moved >"$docroot/disk/left$i/moved.txt"
done
# A directory with one name of a file, which is being sent.
mkdir "$docroot/disk/linked"
head -c 30000000 /dev/zero >"$docroot/disk/linked/big.bin"
sync
# What has just changed is not kept.
sleep 1
# Another file system, where something is not written out soon.
mapped rust_tux2 "0 $((1 << 21)) linear $RUST_TUX_SCRATCH $((1 << 21))" ||
	bail_out "no second device: $(tail -n 1 "$tmp/dm")"
mkfs.ext4 -q -F "$device"
mkdir "$docroot/disk/other"
mount "$device" "$docroot/disk/other" || bail_out "mounting the second device"
at_exit umount -l "$docroot/disk/other"
head -c 30000000 /dev/zero >"$docroot/disk/other/big.bin"
sync
load threads=1 docroot="$docroot/disk"
sysctl_set fastpath 0
sysctl_set send_timeout 300
sysctl_set min_send_rate 0
is "before" "$(get /hot.txt)" hot
kept() {
	get /hot.txt >/dev/null
	get /linked/big.bin -I >/dev/null
	[ "$(count cached_documents)" = 2 ]
}
check "a file is kept" wait_for 60 kept
# Clients that read nothing, so that the files stay open.
stalled() {
	local before
	before=$(count octets_sent)
	printf 'GET %s HTTP/1.1\r\nHost: a\r\n\r\n' "$2" >&"$1"
	wait_for 60 eval "[ \$(count octets_sent) -gt $((before + 100000)) ]"
}
exec 5<>/dev/tcp/127.0.0.1/$port 6<>/dev/tcp/127.0.0.1/$port
check "a file is being sent" stalled 5 /linked/big.bin
check "another one, of another file system" stalled 6 /other/big.bin
# Blocks can't be freed on a file system that is frozen.
cat >"$tmp/freeze.py" <<'END'
import fcntl, os, sys
FIFREEZE, FITHAW = 0xC0045877, 0xC0045878
directory = os.open(sys.argv[1], os.O_RDONLY)
if sys.argv[2] == "thaw":
    fcntl.ioctl(directory, FITHAW, 0)
    sys.exit()
os.chdir(sys.argv[1])
for i in sys.argv[3:]:
    os.unlink("page%s.html" % i)
    os.rename("left%s/moved.txt" % i, "moved%s.txt" % i)
    os.rmdir("left%s" % i)
fcntl.ioctl(directory, FIFREEZE, 0)
END
to_disk() {
	python3 "$tmp/freeze.py" "$docroot/disk" "$@"
}
both_kept() {
	get /hot.txt >/dev/null
	get "/page$1.html" -H 'Accept-Encoding: gzip' >/dev/null
	get "/left$1/moved.txt" >/dev/null
	[ "$(count cached_documents)" = 3 ]
}
# Deletes what is kept, and freezes the file system before all of that is given up.
delete_and_freeze() {
	local i
	for i in $(seq $ROUNDS); do
		wait_for 60 both_kept "$i" || return 1
		# At another part of the second than the last time.
		sleep "0.$((i * 17))"
		to_disk freeze "$i" || return 1
		wait_for 60 eval '[ "$(count cached_documents)" = 1 ]' || return 1
		! wait_for 5 eval '[ "$(count storage_running)" -ge 1 ]' || return 0
		to_disk thaw
	done
	return 1
}
ln "$docroot/disk/linked/big.bin" "$docroot/disk/kept.bin"
rm "$docroot/disk/linked/big.bin"
rmdir "$docroot/disk/linked"
check "it is not kept where it was" wait_for 60 eval '[ "$(count cached_documents)" = 1 ]'
check "what was deleted waits in a work item of ours" delete_and_freeze
goes_on "what was deleted, with the directories above it, holds nobody up"
exec 5>&-
goes_on "nor does the end of a file of which a name was deleted"
# Nor does what a file system that is frozen has to do hold up what another one has.
used() {
	stat -f -c '%b %f' "$docroot/disk/other" | awk '{ print $1 - $2 }'
}
before=$(used)
rm "$docroot/disk/other/big.bin"
exec 6>&-
check "a file that was deleted elsewhere is freed" wait_for 60 eval '[ "$(used)" -lt $((before - 1000)) ]'
# Nor are files left open that aren't written out.
echo new >"$docroot/disk/other/new.txt"
heads /other/new.txt 100 1000 200
check "thaw" to_disk thaw

# A document root that was deleted, when nothing that was in it is kept any more.
mkdir "$docroot/disk/site"
echo old >"$docroot/disk/site/hot.txt"
sysctl_set documentroot "$docroot/disk/site"
is "another document root" "$(get /hot.txt)" old
rm -r "$docroot/disk/site"
is "is deleted" "$(status /hot.txt)" 404
idle() {
	[ "$(count cached_documents)" = 0 ] && [ "$(count storage_running)" = 0 ]
}
check "and all that was in it" wait_for 60 idle
check "freeze" to_disk freeze
# Whoever sets another one may be the last who has it, and waits.
sysctl_set documentroot "$docroot/disk" &
setter=$!
check "another one" wait_for 10 eval '[ "$(sysctl_get documentroot)" = "$docroot/disk" ]'
goes_on "its end holds nobody up"
sleep 2
goes_on "nor does it later"
check "thaw" to_disk thaw
wait "$setter"
done_testing
