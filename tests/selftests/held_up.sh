#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A user of the machine who makes the kernel hold the lock of a directory, and a
# writer whose octets have to go to the disk when a file is closed, hold no worker
# up: not those who ask for other files, and not the stop.

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

# ---- the lock of a directory ----------------------------------------------------

# Who lists a directory has its lock while the kernel writes to his memory, which
# may be anywhere (for a user without privileges, in a file on FUSE). Who makes
# something there waits for that, and who looks a name up for him.
cat >"$tmp/hold.py" <<'END'
import ctypes, mmap, os, select, struct, sys, threading, fcntl
libc = ctypes.CDLL(None, use_errno=True)
USERFAULTFD, GETDENTS64 = 323, 217
UFFDIO_API, UFFDIO_REGISTER = 0xC018AA3F, 0xC020AA00
fault = libc.syscall(USERFAULTFD, os.O_CLOEXEC)
if fault < 0:
    sys.exit("no userfaultfd: " + os.strerror(ctypes.get_errno()))
fcntl.ioctl(fault, UFFDIO_API, bytearray(struct.pack("QQQ", 0xAA, 0, 0)))
memory = mmap.mmap(-1, 4096)
start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
fcntl.ioctl(fault, UFFDIO_REGISTER, bytearray(struct.pack("QQQQ", start, 4096, 1, 0)))
directory = os.open(sys.argv[1], os.O_RDONLY)
read = lambda: libc.syscall(GETDENTS64, directory, ctypes.c_void_p(start), 4096)
threading.Thread(target=read, daemon=True).start()
select.select([fault], [], [])
make = lambda: os.mkdir(sys.argv[1] + "/new")
threading.Thread(target=make, daemon=True).start()
threading.Event().wait(1)
print("held", flush=True)
threading.Event().wait()
END

load threads=1
sysctl_set fastpath 0
is "before" "$(get /hot.txt)" hot
is "a file is found" "$(get /held/1.txt)" "file 1"
python3 "$tmp/hold.py" "$docroot/held" >"$tmp/held" 2>&1 &
holder=$!
at_exit kill -9 $holder
if wait_for 60 grep -q . "$tmp/held" && grep -qx held "$tmp/held"; then
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
	wait $stop $none $coded
	sysctl_set start 1
else
	skip "the lock of a directory" "$(tail -n 1 "$tmp/held")"
fi
unload

# ---- a file that is flushed when it is closed -----------------------------------

[ -b "${RUST_TUX_SCRATCH:-}" ] || skip_all "no scratch disk"
modprobe dm_mod 2>/dev/null
command -v dmsetup >/dev/null || skip_all "no dmsetup"
sectors=$((1 << 21))
dmsetup create --noudevsync rust_tux --table "0 $sectors linear $RUST_TUX_SCRATCH 0" 2>"$tmp/dm" ||
	skip_all "no device mapper: $(tail -n 1 "$tmp/dm")"
disk=/dev/mapper/rust_tux
at_exit dmsetup remove --noudevsync --retry rust_tux
[ -b $disk ] || {
	mkdir -p /dev/mapper
	mknod $disk b "$(dmsetup info -c --noheadings -o major rust_tux | tr -d ' ')" \
		"$(dmsetup info -c --noheadings -o minor rust_tux | tr -d ' ')"
	at_exit rm -f $disk
}
at_exit dmsetup resume --noudevsync rust_tux
mkfs.ext4 -q -F $disk
mkdir "$docroot/disk"
mount $disk "$docroot/disk" || bail_out "mounting the device"
at_exit umount -l "$docroot/disk"
head -c 30000000 /dev/zero >"$docroot/disk/big.bin"
cat "$docroot/disk/big.bin" >/dev/null
sync

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
echo 3 >/proc/sys/vm/drop_caches
dmsetup suspend --noudevsync --nolockfs --noflush rust_tux || not_ok "suspend"
# It goes.
exec 5>&-
sleep 2
goes_on "a file that is flushed when it is closed holds nobody up"
dmsetup resume --noudevsync rust_tux || not_ok "resume"
exec 6>&-
done_testing
