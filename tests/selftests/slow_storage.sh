#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Storage that does not answer holds up those who ask for what is on it, and
# nobody else: the one worker goes on. Storage that fails ends a response.

. "$(dirname "$0")/lib.sh"
storage_may_hang

[ -b "${RUST_TUX_SCRATCH:-}" ] || skip_all "no scratch disk"
sectors=$((1 << 20))
mapped rust_tux "0 $sectors linear $RUST_TUX_SCRATCH 0" ||
	skip_all "no device mapper: $(tail -n 1 "$tmp/dm")"
mkfs.ext4 -q -F -O verity "$device"
mkdir "$docroot/disk"
mount "$device" "$docroot/disk" || bail_out "mounting the device"
at_exit umount -l "$docroot/disk"

mkdir -p "$docroot/disk/a/b/c"
for i in {1..24}; do
	echo "file $i" >"$docroot/disk/a/b/c/$i.txt"
done
head -c 3000000 /dev/urandom >"$docroot/disk/big.bin"
cp "$docroot/disk/big.bin" "$tmp/big.bin"
chmod -R a+rX "$docroot/disk"
echo hot >"$docroot/hot.txt"
# A list that lies in a block of its own, for a file whose name is in memory.
for i in {1..40}; do
	setfacl -m "u:$((1000 + i)):r" "$docroot/disk/a/b/c/24.txt"
done
setfattr -n user.filler -v "$(head -c 900 /dev/zero | tr '\0' x)" "$docroot/disk/a/b/c/24.txt"
# A file with a hash tree, whose root is read when it is opened.
echo verity >"$docroot/disk/verity.txt"
python3 - "$docroot/disk/verity.txt" >"$tmp/verity" 2>&1 <<'END'
import fcntl, os, struct, sys
argument = struct.pack("IIIIQIIQ88x", 1, 1, 4096, 0, 0, 0, 0, 0)
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x40806685, argument)  # FS_IOC_ENABLE_VERITY
END
has_verity=$?
# Else ext4 notes the place of the mount when the first file is opened.
cat "$docroot/disk/a/b/c/1.txt" >/dev/null
sync

cold() {
	sync
	echo 3 >/proc/sys/vm/drop_caches
}
stall() {
	dmsetup suspend --noudevsync --nolockfs --noflush rust_tux || not_ok "suspend"
}
resume() {
	dmsetup resume --noudevsync rust_tux || not_ok "resume"
}
count() {
	sed -n "s/^$1 //p" /proc/net/http/stat
}

# goes_on NAME: hot files are served, and fast enough that nobody waited.
goes_on() {
	local got
	got=$(for _ in {1..4}; do get /hot.txt --max-time 40 || echo "no answer"; done | sort | uniq -c | tr -s ' \n' ' ')
	is "$1" "$got" " 4 hot "
}

load threads=1
sysctl_set send_timeout 300
is "before" "$(get /disk/a/b/c/1.txt)" "file 1"

# ---- a name, and a file, that must be read --------------------------------------

cold
stall
pids=()
for i in {1..23}; do
	get "/disk/a/b/c/$i.txt" --max-time 400 >"$tmp/got.$i" &
	pids+=($!)
done
goes_on "a name that waits for the disk holds nobody else up"
sleep 1
goes_on "and still not a second later"
is "none of those who wait is answered" "$(cat "$tmp"/got.* | wc -c)" 0
resume
for pid in "${pids[@]}"; do
	wait "$pid"
done
is "all are answered when the disk is back" \
	"$(cat "$tmp"/got.* | sort | uniq | wc -l)" 23

# The name and attributes are in memory, the octets are not.
cold
stat "$docroot/disk/big.bin" >/dev/null
cat "$docroot/disk/a/b/c/1.txt" >/dev/null
stall
get /disk/big.bin --max-time 400 >"$tmp/got.big" &
big=$!
goes_on "octets that wait for the disk hold nobody else up"
is "what is in memory of that disk is served" "$(get /disk/a/b/c/1.txt --max-time 60)" "file 1"
is "and its head" "$(status /disk/big.bin --head --max-time 60)" 200
resume
wait $big
check "the file is whole when the disk is back" cmp "$tmp/got.big" "$tmp/big.bin"

# The name and attributes are in memory, the access control list is not.
cold
stat "$docroot/disk/a/b/c/24.txt" >/dev/null
stall
get /disk/a/b/c/24.txt --max-time 400 >"$tmp/got.acl" &
acl=$!
goes_on "an access control list that waits for the disk holds nobody else up"
resume
wait $acl
is "the file is served when the disk is back" "$(cat "$tmp/got.acl")" "file 24"

if [ $has_verity = 0 ]; then
	cold
	stat "$docroot/disk/verity.txt" >/dev/null
	stall
	get /disk/verity.txt --max-time 400 >"$tmp/got.verity" &
	verity=$!
	goes_on "a hash tree that waits for the disk holds nobody else up"
	resume
	wait $verity
	is "the file with a hash tree is served" "$(cat "$tmp/got.verity")" verity
else
	skip "a file with a hash tree" "$(tail -n 1 "$tmp/verity")"
fi

# ---- clients that go, a time limit, a stop, meanwhile --------------------------------

cold
stall
for i in {1..5}; do
	get "/disk/a/b/c/$i.txt" --max-time 2 >/dev/null 2>&1 &
done
wait
goes_on "clients that gave up"
sysctl_set send_timeout 2
before=$(count timeout_send)
get /disk/a/b/c/9.txt --max-time 60 >/dev/null 2>&1
[ "$(count timeout_send)" -gt "$before" ] &&
	ok "the time limit of a response holds while the disk is waited for" ||
	not_ok "the time limit of a response holds while the disk is waited for"
goes_on "a response that was given up"
resume
sysctl_set send_timeout 300
is "the disk is back" "$(get /disk/a/b/c/9.txt)" "file 9"

cold
stall
get /disk/a/b/c/10.txt --max-time 400 >/dev/null 2>&1 &
client=$!
sleep 1
sysctl_set stop 1 &
stopper=$!
sleep 1
resume
wait $stopper $client
is "a stop while the disk is waited for ends with it" "$(sysctl_get state)" stopped
sysctl_set start 1
is "started again" "$(get /disk/a/b/c/10.txt)" "file 10"

# ---- a file system that is frozen ----------------------------------------------------

cold
if fsfreeze -f "$docroot/disk" 2>/dev/null; then
	is "a frozen file system is read from" "$(get /disk/a/b/c/3.txt --max-time 60)" "file 3"
	goes_on "a frozen file system"
	fsfreeze -u "$docroot/disk"
else
	skip "a frozen file system" "it can't be frozen"
fi

# ---- a disk that fails ------------------------------------------------------------------

reload() {
	dmsetup suspend --noudevsync --nolockfs --noflush rust_tux &&
		dmsetup reload rust_tux --table "$1" &&
		dmsetup resume --noudevsync rust_tux || not_ok "new table"
}
mount -o remount,ro "$docroot/disk"
cold
stat "$docroot/disk/big.bin" >/dev/null
reload "0 $sectors error"
code=$(status /disk/a/b/c/11.txt --max-time 60 2>/dev/null)
is "a name on a disk that fails: the client is told, and does not wait" "$code" 500
code=$(timeout 60 curl -sS -o "$tmp/got" -w '%{http_code}' "$url/disk/big.bin" 2>"$tmp/error")
is "octets on a disk that fails: the client is told, and does not wait" "$code" 500
sysctl_set error_pages 500=/disk/big.bin
before=$(count read_errors)
code=$(timeout 60 curl -sS -o "$tmp/got" -w '%{http_code}' "$url/disk/big.bin" 2>"$tmp/error")
is "an error page on a disk that fails is not tried instead" "$code, $(count read_errors)" "500, $((before + 1))"
goes_on "a disk that fails"
reload "0 $sectors linear $RUST_TUX_SCRATCH 0"
cold
is "the disk is whole again" "$(get /disk/a/b/c/12.txt)" "file 12"

# The disk fails in the middle of a file.
cold
extent=$(filefrag -b512 -e "$docroot/disk/big.bin" 2>/dev/null | awk -F'[. :]+' '$2 == "0" { print $5; exit }')
if [ -n "$extent" ]; then
	bad=$((extent + 3072))
	reload "0 $bad linear $RUST_TUX_SCRATCH 0
$bad 8 error
$((bad + 8)) $((sectors - bad - 8)) linear $RUST_TUX_SCRATCH $((bad + 8))"
	timeout 100 curl -sS -o "$tmp/got" "$url/disk/big.bin" 2>"$tmp/error"
	result=$?
	isnt_like "a bad sector: the client can tell" "$result" "^(0|124)$"
	octets=$(stat -c %s "$tmp/got")
	check "what came before it is right" cmp -n "$octets" "$tmp/got" "$tmp/big.bin"
	goes_on "a bad sector"
	reload "0 $sectors linear $RUST_TUX_SCRATCH 0"
else
	skip "a bad sector" "no filefrag"
fi

check "the file system can be unmounted" wait_for 10 umount "$docroot/disk"
done_testing
