#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Each parameter of the module, right and wrong: what is wrong leaves nothing
# behind but an error number and one line in the kernel's log that says why.

. "$(dirname "$0")/lib.sh"

echo index >"$docroot/index.html"
: >"$tmp/file"

# The first load of a module from outside of the tree says so.
load
unload

# traces: what a module that is not loaded must not leave.
traces() {
	local path name line hex
	for path in /sys/module/rust_tux /proc/net/http /proc/sys/net/http; do
		[ ! -e $path ] || echo $path
	done
	printf -v hex ':%04X ' "$port"
	if [ -z "$other" ]; then
		while read -r line; do
			[[ $line != *"$hex"*" 0A "* ]] || echo "$line"
		done < <(cat /proc/net/tcp /proc/net/tcp6)
	fi
	# (A worker of the kernel keeps the name of the last work queue that it served.)
	for path in /proc/[0-9]*/comm; do
		name=
		{ read -r name <"$path"; } 2>/dev/null
		[[ $name != rust_tux* ]] || echo "$name"
	done
}

# refused NAME ERROR LOG PARAMETER...: loading must fail with ERROR, and say LOG.
refused() {
	local name=$1 error=$2 log=$3 mark said
	shift 3
	mark="$$ $tap_count"
	kernel_log_mark "$mark"
	if try_load "$@"; then
		unload
		not_ok "$name: refused" "loaded with $*"
		return
	fi
	said=$(kernel_log_since "$mark" rust_tux)
	like "$name: $error" "$(<"$tmp/insmod")" ": ($error)\$"
	like "$name: the log says why" "$said" "rust_tux: .*$log"
	is "$name: in one line" "${said//[!$'\n']/}" ""
	is "$name: nothing is left" "$(traces)" ""
}

# served ADDRESS...: whether each can be reached.
served() {
	local address answers=
	for address in "$@"; do
		if reachable "$address"; then
			answers+=" yes"
		else
			answers+=" no"
		fi
	done
	echo "${answers# }"
}

# ---- docroot

# (insmod's words for ENOENT are those of a symbol that is missing.)
refused "docroot that is not there" "No such file or directory|Unknown symbol in module" \
	"docroot=/nonexistent/site: no such directory" docroot=/nonexistent/site
refused "docroot that is a file" "Not a directory" \
	"docroot=$tmp/file: not a directory" "docroot=$tmp/file"
refused "docroot below a file" "Not a directory" "not a directory" "docroot=$tmp/file/x"
refused "docroot that is relative" "Invalid parameters" "docroot=site: not an absolute name" docroot=site
refused "docroot that is empty" "Invalid parameters" "docroot=: not an absolute name" docroot=
ln -s loop "$tmp/loop"
refused "docroot that is a loop" "Too many (levels of )?symbolic links.*" "docroot=$tmp/loop: .*a loop of symbolic links" "docroot=$tmp/loop"

load
is "docroot can be read back" "$(cat /sys/module/rust_tux/parameters/docroot)" "$docroot"
if echo /tmp 2>/dev/null >/sys/module/rust_tux/parameters/docroot; then
	not_ok "it can't be written"
else
	ok "it can't be written"
fi
unload
load "docroot=$docroot/../docroot/."
is "docroot may have dots" "$(get /)" index
unload
ln -s "$docroot" "$tmp/link"
load "docroot=$tmp/link"
rm "$tmp/link"
is "docroot may be a link, followed once" "$(get /)" index
unload
mkdir "$tmp/closed"
echo closed >"$tmp/closed/index.html"
chmod 700 "$tmp/closed"
load "docroot=$tmp/closed"
is "docroot that is closed to others serves nothing" "$(status /)" 403
unload

# ---- port

refused "port 0" "Invalid parameters" "port=0: not in 1 to 65535" port=0
for value in 65536 -1 http ''; do
	if try_load "port=$value"; then
		unload
		not_ok "port '$value' is refused"
	else
		ok "port '$value' is refused"
	fi
done
is "nothing is left of them" "$(traces)" ""

other=
listen() {
	python3 -c '
import socket, sys, time
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
s = socket.socket(family)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
if "reuseport" in sys.argv:
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
s.bind((sys.argv[1], int(sys.argv[2])))
s.listen()
time.sleep(600)' "$@" &
	other=$!
	at_exit kill $other
	wait_for 30 listening
}
listening() {
	[ -n "$(ss -Hltn "sport = :$port")" ]
}
refused_port() {
	local name=$1 pid
	shift
	listen "$@"
	pid=$other
	other=.
	refused "$name" "Address (already )?in use.*|Device or resource busy|.*in use" \
		"can't listen on .*port $port: another server listens there"
	other=$pid
	kill $other
	wait $other 2>/dev/null
	other=
}
refused_port "port of another server" 0.0.0.0 "$port"
refused_port "port of another server at one address" 127.0.0.1 "$port"
refused_port "port of another server, IPv6" ::1 "$port"
refused_port "port of another server that would share" 0.0.0.0 "$port" reuseport
refused "takeover=2" "Invalid parameters" "takeover=2: not in 0 to 1" takeover=2
load
is "the port is free afterwards" "$(get /)" index
unload

# ---- address

load
is "no address: all of both versions" "$(served 127.0.0.1 127.0.0.2 ::1)" "yes yes yes"
is "no address: *" "$(sysctl_get address)" "*"
unload
bindv6only=$(cat /proc/sys/net/ipv6/bindv6only)
at_exit eval "echo $bindv6only >/proc/sys/net/ipv6/bindv6only"
echo 1 >/proc/sys/net/ipv6/bindv6only
load
is "both versions, whatever bindv6only says" "$(served 127.0.0.1 ::1)" "yes yes"
unload
echo "$bindv6only" >/proc/sys/net/ipv6/bindv6only
load address=127.0.0.1
is "address=127.0.0.1" "$(served 127.0.0.1 127.0.0.2 ::1)" "yes no no"
is "address=127.0.0.1 reads back" "$(sysctl_get address)" 127.0.0.1
unload
load address=::1
is "address=::1" "$(served 127.0.0.1 ::1)" "no yes"
is "address=::1 reads back" "$(sysctl_get address)" ::1
unload
load address=0.0.0.0
is "address=0.0.0.0: all of IPv4" "$(served 127.0.0.1 127.0.0.2 ::1)" "yes yes no"
unload
load address=::ffff:127.0.0.1
is "an IPv4 address that is mapped" "$(served 127.0.0.1 127.0.0.2)" "yes no"
unload
for address in '*' any ::; do
	load "address=$address"
	is "address=$address: all" "$(served 127.0.0.1 ::1)" "yes yes"
	unload
done
for address in localhost 256.0.0.1 127.0.0.1:80 fe80::1%lo; do
	refused "address=$address" "Invalid parameters" "address=.*: neither an IPv4 nor an IPv6 address" "address=$address"
done
refused "address of no interface" "Cannot assign requested address" \
	"can't listen on address 192.0.2.77 port $port: no interface has this address" address=192.0.2.77
refused "IPv6 address of no interface" "Cannot assign requested address" "no interface has this address" address=2001:db8::77

# ---- threads and backlog

refused "threads=1025" "Invalid parameters" "threads=1025: not in 0 to 1024" threads=1025
refused "backlog=0" "Invalid parameters" "backlog=0: not in 1 to 65535" backlog=0
refused "backlog=65536" "Invalid parameters" "backlog=65536: not in 1 to 65535" backlog=65536
for count in 1 2 7; do
	load "threads=$count" "backlog=$count"
	is "threads=$count" "$(pgrep -c ^rust_tux/) $(sysctl_get threads)" "$count $count"
	is "backlog=$count" "$(ss -Hltn "sport = :$port" | awk '{ print $3 }') $(sysctl_get max_backlog)" "$count $count"
	is "it serves, with $count" "$(get /)" index
	unload
done
load
is "threads: one per online CPU" "$(pgrep -c ^rust_tux/)" "$(nproc)"
unload

# ---- start

refused "start=2" "Invalid parameters" "start=2: not in 0 to 1" start=2
load start=0
is "start=0: it isn't started" "$(sysctl_get state) $(served 127.0.0.1)" "stopped no"
sysctl_set max_header_len 300
sysctl_set start 1
is "it is when it is told to, as it was configured" "$(sysctl_get state) $(served 127.0.0.1) $(sysctl_get max_header_len)" "running yes 300"
unload
load start=1
is "start=1: it is" "$(sysctl_get state) $(served 127.0.0.1)" "running yes"
unload

# ---- mime_types

printf 'text/x-log log\n' >"$tmp/types"
load "mime_types=$tmp/types"
is "mime_types=" "$(sysctl_get mime_types) $(cat /sys/module/rust_tux/parameters/mime_types)" "$tmp/types $tmp/types"
unload
load mime_types=
is "mime_types= that is empty: what is built in" "$(sysctl_get mime_types) $(get /)" " index"
unload
echo text/x-log .log >"$tmp/types"
refused "mime_types with a bad line" "Invalid parameters" "mime_types=$tmp/types: line 1: not an extension" "mime_types=$tmp/types"
refused "mime_types that is not there" "No such file or directory|Unknown symbol in module" \
	"mime_types=/nonexistent: no such file" mime_types=/nonexistent
refused "mime_types that is relative" "Invalid parameters" "mime_types=types: not an absolute name" mime_types=types
refused "mime_types that is a directory" "Invalid parameters" "mime_types=/etc: not a regular file" mime_types=/etc

modinfo -F parm "$module" >"$tmp/parm"
is "each parameter has a description" "$(grep -E '^[a-z_]+:.{20,}' "$tmp/parm" | cut -d: -f1 | sort | xargs)" \
	"address backlog docroot mime_types port start takeover threads"

done_testing
