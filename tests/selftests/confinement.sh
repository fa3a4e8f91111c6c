#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Nothing outside of the document root is served, nothing that others may not
# read, nothing that is not a regular file is even opened, and nothing is run.

. "$(dirname "$0")/lib.sh"

secret="this must stay secret"
echo "$secret" >"$tmp/secret"
echo "$secret" >"$tmp/passwd"
chmod 644 "$tmp/secret" "$tmp/passwd"
mkdir -p "$docroot/sub/dir"
echo index >"$docroot/index.html"
echo inside >"$docroot/sub/inside.txt"
echo deep >"$docroot/sub/dir/deep.txt"

# outside NAME PATH: the answer is a refusal.
outside() {
	local answer
	answer=$(get "$2" -w '\n%{http_code}')
	if grep -q "$secret" <<<"$answer"; then
		not_ok "$1" "the secret was served"
	else
		like "$1" "$(tail -n 1 <<<"$answer")" "^(400|403|404)$"
	fi
}

load

# ---- symbolic links -----------------------------------------------------------

ln -s inside.txt "$docroot/sub/relative"
ln -s /sub/inside.txt "$docroot/absolute"
ln -s ../../../../../../../../sub/inside.txt "$docroot/sub/dir/far-up"
ln -s sub "$docroot/directory"
ln -s sub/dir/../inside.txt "$docroot/dots"
is "a link inside" "$(get /sub/relative)" inside
is "an absolute link is beneath the document root" "$(get /absolute)" inside
is "a link with too many .. stays at the document root" "$(get /sub/dir/far-up)" inside
is "a link to a directory in the middle" "$(get /directory/inside.txt)" inside
is "a link with .. in the middle" "$(get /dots)" inside
is "a link to a directory, as a file" "$(status /directory)" 301

ln -s "$tmp/secret" "$docroot/out-absolute"
ln -s ../secret "$docroot/out-relative"
ln -s ../../../secret "$docroot/sub/dir/out-relative"
ln -s sub/../../secret "$docroot/out-middle"
ln -s "$tmp" "$docroot/out-directory"
ln -s .. "$docroot/parent"
ln -s / "$docroot/slash"
ln -s "out-directory/secret" "$docroot/out-twice"
outside "an absolute link out" /out-absolute
outside "a relative link out" /out-relative
outside "a relative link out of a directory" /sub/dir/out-relative
outside "a link out with .. in the middle" /out-middle
outside "a link to a directory outside" /out-directory/secret
outside "a link to the parent" /parent/secret
outside "a link to /" "/slash$tmp/secret"
outside "a link through a link" /out-twice
is "a link to the parent is the document root" "$(get /parent/index.html)" index

ln -s loop "$docroot/loop"
ln -s b "$docroot/a"
ln -s a "$docroot/b"
previous=inside.txt
for i in {1..50}; do
	ln -s "$previous" "$docroot/sub/chain$i"
	previous=chain$i
done
is "a link to itself" "$(status /loop)" 404
is "two links to each other" "$(status /a)" 404
is "a chain of 50 links" "$(status /sub/chain50)" 404
is "a chain of 30 links" "$(get /sub/chain30)" inside
ln -s nowhere "$docroot/dangling"
is "a dangling link" "$(status /dangling)" 404

# ---- ways to write .. -----------------------------------------------------------

for path in /../secret /..%2fsecret /%2e%2e/secret /%2e%2e%2fsecret /.%2e/secret /sub/../../secret \
	/sub/..%2f..%2fsecret /sub/%2e%2e/%2e%2e/secret //../secret /sub//..//..//secret '/..\secret' \
	/..%5csecret /..%c0%afsecret /%252e%252e/secret /..%00/secret /../secret%00.html \
	/sub/dir/../../../secret /./../secret /.../secret '/..;/secret' "//$tmp/secret" "$tmp/secret"; do
	outside "$path" "$path"
done

# ---- procfs, and mounts below the document root -----------------------------------

ln -s "/proc/1/root$tmp/secret" "$docroot/proc-root"
ln -s /proc/self/cwd "$docroot/proc-cwd"
outside "a link to /proc/1/root" /proc-root
outside "a link to /proc/self/cwd" "/proc-cwd$tmp/secret"
mkdir "$docroot/proc"
mount --bind /proc "$docroot/proc"
at_exit umount -l "$docroot/proc"
outside "/proc/1/root, with procfs below" "/proc/1/root$tmp/secret"
outside "/proc/self/root, with procfs below" "/proc/self/root$tmp/secret"
outside "/proc/thread-self/cwd, with procfs below" "/proc/thread-self/cwd$tmp/secret"
outside "a link to /proc/1/root, with procfs below" /proc-root
exec 9<"$tmp/secret"
outside "/proc/PID/fd, with procfs below" "/proc/$$/fd/9"
exec 9<&-
outside "/proc/kmsg is not opened" /proc/kmsg
check "procfs can be unmounted" wait_for 10 umount "$docroot/proc"

mkdir "$docroot/mounted"
mount -t tmpfs -o mode=755 tmpfs "$docroot/mounted"
at_exit umount -l "$docroot/mounted"
echo "on a mount" >"$docroot/mounted/file.txt"
ln -s ../../secret "$docroot/mounted/out"
ln -s ../sub/inside.txt "$docroot/mounted/back"
is "a file on a mount below" "$(get /mounted/file.txt)" "on a mount"
outside "out of a mount below" /mounted/out
is "out of a mount below, but beneath the document root" "$(get /mounted/back)" inside
umount "$docroot/mounted"

mkdir "$docroot/bound"
mount --bind "$docroot/sub/dir" "$docroot/bound"
at_exit umount -l "$docroot/bound"
ln -s ../../../../secret "$docroot/sub/dir/up"
outside "out of a directory that is mounted elsewhere, too" /bound/up
umount "$docroot/bound"

# ---- what is not a regular file ------------------------------------------------------

mkfifo -m 666 "$docroot/fifo"
mknod -m 666 "$docroot/null" c 1 3
mknod -m 666 "$docroot/zero" c 1 5
mknod -m 666 "$docroot/disk" b 254 32
mknod -m 666 "$docroot/tty" c 5 0
python3 -c '
import socket, sys
socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$docroot/socket"
chmod 666 "$docroot/socket"
for name in fifo null zero disk tty socket; do
	is "$name is refused" "$(status /$name)" 403
done
is "a device as a directory" "$(status /zero/)" 404
# With a reader the writer could open it.
if python3 -c '
import os, sys
os.open(sys.argv[1], os.O_WRONLY | os.O_NONBLOCK)' "$docroot/fifo" 2>"$tmp/error"; then
	not_ok "the FIFO was not opened"
else
	like "the FIFO was not opened" "$(tail -n 1 "$tmp/error")" "No such device or address"
fi
mkdir "$docroot/odd"
mkfifo -m 666 "$docroot/odd/index.html"
is "a FIFO as the index" "$(status /odd/)" 403

# ---- permissions -------------------------------------------------------------------

# file MODE OWNER NAME
file() {
	echo "$secret" >"$docroot/$3"
	chown "$2" "$docroot/$3"
	chmod "$1" "$docroot/$3"
}
file 0600 0:0 root-0600
file 0640 0:0 root-0640
file 0660 0:65534 group-0660
file 0600 65534:65534 nobody-0600
file 0640 65534:65534 nobody-0640
file 0440 65534:65534 nobody-0440
file 0400 65534:65534 nobody-0400
file 0700 65534:65534 nobody-0700
file 0000 65534:65534 nobody-0000
file 0711 0:0 root-0711
file 0602 0:0 root-0602
file 4750 65534:65534 suid-4750
for path in "$docroot"/{root,group,nobody,suid}-*; do
	name=${path##*/}
	answer=$(get "/$name" -w '%{http_code}')
	like "$name is forbidden" "$answer" "403$"
	isnt_like "$name stays secret" "$answer" "$secret"
done
echo public >"$docroot/public"
for mode in 0644 0444 0604 4755 2755 6755 1644; do
	chmod $mode "$docroot/public"
	is "$mode is served" "$(get /public)" public
done
mkdir -m 2755 "$docroot/setgid"
echo public >"$docroot/setgid/file"
is "in a set-group-ID directory" "$(get /setgid/file)" public

mkdir "$docroot/private"
echo "$secret" >"$docroot/private/index.html"
for mode in 0700 0750 0744 0000 0776; do
	chmod $mode "$docroot/private"
	is "in a directory of mode $mode" "$(status /private/index.html)" 403
done
is "its index" "$(status /private/)" 403
chmod 0711 "$docroot/private"
is "in a directory that can be searched only" "$(status /private/index.html)" 200
ln -s private/index.html "$docroot/link-to-private"
chmod 0700 "$docroot/private"
is "a link into a directory that is barred" "$(status /link-to-private)" 403
chmod 0755 "$docroot/private"
is "after chmod it is served" "$(status /private/index.html)" 200
chmod 0600 "$docroot/private/index.html"
is "and no longer after another" "$(status /private/index.html)" 403

if [ -b "${RUST_TUX_SCRATCH:-}" ] && mkfs.ext4 -q -F "$RUST_TUX_SCRATCH" &&
	mount "$RUST_TUX_SCRATCH" "$docroot/mounted"; then
	echo "$secret" >"$docroot/mounted/acl"
	setfacl -m u:65534:--- "$docroot/mounted/acl"
	is "an access control list that bars the server" "$(status /mounted/acl)" 403
	setfacl -b "$docroot/mounted/acl"
	is "without it" "$(status /mounted/acl)" 200
	chmod 640 "$docroot/mounted/acl"
	setfacl -m u:65534:r "$docroot/mounted/acl"
	is "one that lets the server, but not others" "$(status /mounted/acl)" 403
	mkdir "$docroot/mounted/dir"
	echo public >"$docroot/mounted/dir/file"
	setfacl -m u:65534:--- "$docroot/mounted/dir"
	is "one of a directory" "$(status /mounted/dir/file)" 403
	umount "$docroot/mounted"
	mount "$RUST_TUX_SCRATCH" "$docroot/mounted"
	is "one of a directory, cold" "$(status /mounted/dir/file)" 403
	umount "$docroot/mounted"
else
	skip "access control lists" "no scratch disk"
fi

# ---- leases -----------------------------------------------------------------------

break_time=$(cat /proc/sys/fs/lease-break-time)
at_exit eval "echo $break_time >/proc/sys/fs/lease-break-time"
echo 5 >/proc/sys/fs/lease-break-time
cat >"$tmp/lease.py" <<'END'
import fcntl, os, signal, sys, time
kind = {"read": fcntl.F_RDLCK, "write": fcntl.F_WRLCK}[sys.argv[2]]
signal.signal(signal.SIGIO, lambda *_: open(sys.argv[3] + "/asked", "w").close())
file = os.open(sys.argv[1], os.O_RDONLY if sys.argv[2] == "read" else os.O_RDWR)
fcntl.fcntl(file, fcntl.F_SETLEASE, kind)
open(sys.argv[3] + "/leased", "w").close()
while True:
    time.sleep(1)
END
echo leased >"$docroot/leased"
chmod 644 "$docroot/leased"
for kind in read write; do
	rm -f "$tmp/leased" "$tmp/asked"
	python3 "$tmp/lease.py" "$docroot/leased" $kind "$tmp" 2>"$tmp/lease.log" &
	holder=$!
	if ! wait_for 20 [ -e "$tmp/leased" ]; then
		skip "a $kind lease" "$(tail -n 1 "$tmp/lease.log")"
		kill $holder 2>/dev/null
		continue
	fi
	if [ $kind = read ]; then
		is "a read lease is no hindrance" "$(get /leased)" leased
	else
		is "a write lease: to be tried again" "$(status /leased)" 503
		check "its holder has been asked" wait_for 10 [ -e "$tmp/asked" ]
		is "others are served meanwhile" "$(get /sub/inside.txt)" inside
		# The holder does nothing: the kernel takes it away.
		check "it is served when the lease is gone" wait_for 30 eval '[ "$(get /leased)" = leased ]'
	fi
	kill $holder
	wait $holder 2>/dev/null
done

exec 8<"$docroot/leased"
check "somebody has a lock" flock --exclusive --nonblock 8
is "which is no hindrance" "$(get /leased)" leased
exec 8<&-

# ---- directories that are moved out and in while they are walked --------------------

# From inside, up/secret is inside/secret; from where the directory is moved to, it would be
# the secret.
mkdir -p "$tmp/elsewhere" "$docroot/one/two"
echo inside >"$docroot/one/two/file"
ln -s one/two/../../secret "$docroot/race1"
ln -s one/two/../secret "$docroot/race2"
ln -s one/two/../../../../secret "$docroot/race3"
cp "$tmp/secret" "$tmp/elsewhere/secret"
(
	while [ ! -e "$tmp/enough" ]; do
		mv "$docroot/one/two" "$tmp/elsewhere/two"
		mv "$tmp/elsewhere/two" "$docroot/one/two"
	done
) &
mover=$!
cat >"$tmp/race.py" <<'END'
import http.client, sys, time
port, secret = int(sys.argv[1]), sys.argv[2].encode()
connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
end = time.time() + 4
seen = {}
count = 0
while time.time() < end or count < 300:
    for path in "/race1", "/race2", "/race3", "/one/two/file":
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
        seen[response.status] = seen.get(response.status, 0) + 1
        count += 1
        if secret in body:
            print("the secret came out of", path)
            sys.exit(1)
print(seen)
sys.exit(0 if set(seen) <= {200, 403, 404, 503} else 1)
END
check "moved out and in all the time: nothing comes out" python3 "$tmp/race.py" "$port" "$secret"
touch "$tmp/enough"
wait $mover

is "the server goes on" "$(get /)" index

# ---- nothing is run -------------------------------------------------------------

# Executable for everyone, by each name and place that means something elsewhere.
mkdir "$docroot/cgi-bin"
program="#!/bin/sh
touch $tmp/ran
# <!--#exec cmd=\"touch $tmp/ran\" --> <?php touch('$tmp/ran'); ?>"
for path in run run.sh run.cgi run.php page.shtml cgi-bin/run index.html; do
	echo "$program" >"$docroot/$path"
	chmod 755 "$docroot/$path"
	[ $path != index.html ] || path=
	is "sent as it is: /$path" "$(get "/$path?query")" "$program"
done
check "nothing was run" test ! -e "$tmp/ran"
done_testing
