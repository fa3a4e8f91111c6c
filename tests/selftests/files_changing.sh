#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Files that change, and file systems that go, while responses are under way:
# a response ends, with its Content-Length or with the connection, and nothing
# stays referenced.

. "$(dirname "$0")/lib.sh"

size=$((8 << 20))

# slow: starts the download of /FILE by a client that reads the head, waits for
# $tmp/go, and reads on. Its verdict is in $tmp/verdict: how many octets came,
# of how many, how many of them are those of the original, and how it ended.
cat >"$tmp/slow.py" <<'END'
import os, socket, sys, time
port, path, directory = int(sys.argv[1]), sys.argv[2], sys.argv[3]
sock = socket.socket()
sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
sock.settimeout(120)
sock.connect(("127.0.0.1", port))
sock.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
received = b""
while b"\r\n\r\n" not in received:
    received += sock.recv(4096)
head, body = received.split(b"\r\n\r\n", 1)
length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
open(directory + "/begun", "w").close()
while not os.path.exists(directory + "/go"):
    time.sleep(0.05)
body = [body]
end = "end"
while True:
    try:
        piece = sock.recv(1 << 16)
    except ConnectionResetError:
        end = "reset"
        break
    except TimeoutError:
        end = "hang"
        break
    if not piece:
        break
    body.append(piece)
body = b"".join(body)
same = sum(1 for at in range(0, len(body), 4096)
           if body[at:at + 4096] == b"o" * len(body[at:at + 4096]))
with open(directory + "/verdict", "w") as file:
    print(f"{len(body)} of {length}, {end}, {same * 4096 >= len(body)}", file=file)
END

slow() {
	rm -f "$tmp/begun" "$tmp/go" "$tmp/verdict"
	python3 "$tmp/slow.py" "$port" "$1" "$tmp" &
	slow=$!
	wait_for 60 [ -e "$tmp/begun" ] || not_ok "the download of $1 has begun"
}

finish() {
	touch "$tmp/go"
	wait "$slow"
	verdict=$(cat "$tmp/verdict")
}

original() {
	head -c "$size" /dev/zero | tr '\0' o >"$1"
	chmod 644 "$1"
}

no_connection() {
	[ "$(sed -n 's/^connections_open //p' /proc/net/http/stat)" = 0 ]
}

# cut_short NAME: fewer octets came, and the client can tell.
cut_short() {
	local octets=${verdict%% *}
	if [ "$octets" -lt "$size" ]; then
		like "$1" "$verdict" ", (end|reset)"
	else
		not_ok "$1" "$verdict"
	fi
}

complete="$size of $size, end"

# all NAME DIRECTORY PREFIX
all() {
	local name=$1 file=$2/file.bin path=$3/file.bin
	original "$file"
	slow "$path"
	original "$file.new"
	mv "$file.new" "$file"
	finish
	is "$name: a file renamed over it" "$verdict" "$complete, True"

	slow "$path"
	rm "$file"
	finish
	is "$name: removed" "$verdict" "$complete, True"

	original "$file"
	slow "$path"
	chmod 000 "$file"
	finish
	is "$name: its permissions taken away" "$verdict" "$complete, True"
	is "$name: afterwards it is forbidden" "$(status "$path")" 403

	original "$file"
	slow "$path"
	head -c 3000000 /dev/zero >>"$file"
	finish
	is "$name: it grows, no octet more than was promised" "$verdict" "$complete, True"

	original "$file"
	slow "$path"
	head -c "$size" /dev/zero | dd of="$file" conv=notrunc bs=64k status=none
	finish
	like "$name: overwritten, the length stays" "$verdict" "^$complete,"

	original "$file"
	slow "$path"
	truncate -s 0 "$file"
	finish
	cut_short "$name: truncated to nothing, the connection ends early"

	original "$file"
	slow "$path"
	truncate -s $((size - 5000)) "$file"
	finish
	cut_short "$name: a few octets less, the connection ends early"

	original "$file"
	slow "$path"
	truncate -s 0 "$file"
	truncate -s "$size" "$file"
	finish
	like "$name: truncated and extended" "$verdict" "^$complete,"
	rm "$file"
}

load
# A client that reads on when it is told to is not too slow.
sysctl_set send_timeout 3600

all tmpfs "$docroot" ""
is "tmpfs: the server goes on" "$(status /file.bin)" 404
echo hello >"$docroot/index.html"

if [ -b "${RUST_TUX_SCRATCH:-}" ]; then
	mkfs.ext4 -q -F "$RUST_TUX_SCRATCH"
	mkdir "$docroot/disk"
	mount "$RUST_TUX_SCRATCH" "$docroot/disk"
	at_exit umount -l "$docroot/disk"
	all ext4 "$docroot/disk" /disk

	original "$docroot/disk/file.bin"
	slow /disk/file.bin
	if umount "$docroot/disk" 2>/dev/null; then
		not_ok "a file system can't be unmounted while it is sent from"
	else
		ok "a file system can't be unmounted while it is sent from"
	fi
	finish
	is "the response is whole" "$verdict" "$complete, True"
	check "it can be unmounted when no connection is left" wait_for 10 umount "$docroot/disk"
	is "then its files are gone" "$(status /disk/file.bin)" 404

	mount "$RUST_TUX_SCRATCH" "$docroot/disk"
	slow /disk/file.bin
	umount -l "$docroot/disk"
	is "unmounted lazily: gone for new requests" "$(status /disk/file.bin)" 404
	finish
	is "unmounted lazily: the response is whole" "$verdict" "$complete, True"
	check "unmounted lazily: the disk is free when the response has ended" \
		wait_for 10 mkfs.ext4 -q -F "$RUST_TUX_SCRATCH"

	# The document root itself.
	mkdir "$tmp/site"
	mount "$RUST_TUX_SCRATCH" "$tmp/site"
	at_exit umount -l "$tmp/site"
	original "$tmp/site/file.bin"
	echo there >"$tmp/site/index.html"
	sysctl_set documentroot "$tmp/site"
	is "another document root" "$(get /)" there
	if umount "$tmp/site" 2>/dev/null; then
		not_ok "the file system of the document root can't be unmounted"
	else
		ok "the file system of the document root can't be unmounted"
	fi
	sysctl_set documentroot "$docroot"
	check "it can, without another request, when the document root is another" \
		wait_for 10 umount "$tmp/site"
	is "the first document root" "$(get /)" hello

	mount "$RUST_TUX_SCRATCH" "$tmp/site"
	sysctl_set documentroot "$tmp/site"
	sysctl_set stop 1
	sysctl_set start 1
	is "started with another document root" "$(get /)" there
	sysctl_set documentroot "$docroot"
	check "it can even if the server was started with it" wait_for 10 umount "$tmp/site"

	mount "$RUST_TUX_SCRATCH" "$tmp/site"
	sysctl_set documentroot "$tmp/site"
	slow /file.bin
	sysctl_set stop 1
	touch "$tmp/go"
	wait "$slow"
	like "stopped while it sends" "$(cat "$tmp/verdict")" "of $size, (end|reset)"
	sysctl_set documentroot "$docroot"
	check "it can be unmounted when the server was stopped" wait_for 10 umount "$tmp/site"
	sysctl_set start 1
else
	skip "a file system on a disk" "no scratch disk"
fi

# ---- a document root that moves ---------------------------------------------

mkdir "$tmp/old" "$tmp/next"
echo old >"$tmp/old/index.html"
echo next >"$tmp/next/index.html"
sysctl_set documentroot "$tmp/old"
is "before" "$(get /)" old
mv "$tmp/old" "$tmp/older"
mv "$tmp/next" "$tmp/old"
is "the document root is the directory, whatever its name is now" "$(get /)" old
sysctl_set documentroot "$tmp/old"
is "set again it is the one that has the name" "$(get /)" next
rm -r "$tmp/old"
is "a document root that was removed is an empty directory" "$(status /)" 403
is "and nothing is in it" "$(status /index.html)" 404
sysctl_set documentroot "$docroot"

# ---- a directory that changes all the time -----------------------------------

mkdir "$docroot/moving"
original "$docroot/moving/file.bin"
(
	while [ ! -e "$tmp/enough" ]; do
		mv "$docroot/moving" "$docroot/moved"
		mv "$docroot/moved" "$docroot/moving"
	done
) &
mover=$!
got=$(for _ in {1..40}; do status /moving/file.bin; echo; done | sort -u | tr '\n' ' ')
touch "$tmp/enough"
wait "$mover"
like "renamed all the time: there or not, nothing else" "$got" "^(200 )?(404 )?$"
check "all connections have ended" wait_for 30 no_connection
done_testing
