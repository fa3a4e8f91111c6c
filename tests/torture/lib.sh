# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What the torture campaigns share, on top of ../selftests/lib.sh, which a
# campaign gets with it. A campaign goes on for $TEST_SECONDS with what
# $TEST_SEED makes of it, and reports what it did:
#
#	#!/bin/bash
#	# SPDX-License-Identifier: GPL-2.0
#	. "$(dirname "$0")/lib.sh"
#	echo hello >"$docroot/index.html"
#	load
#	run connections
#	still_serves
#	done_torturing
#
# Variables
#   $TEST_SECONDS    how long, roughly (20)
#   $TEST_SEED       what to do by chance (1); given to Python and programs too
#   $operations      how many there were; add to it with operations_done
#
# Commands
#   run PROGRAM [ARGUMENT...]   a program of tests/torture/programs; run_in_client
#                    the same, in the namespace of client_network
#   time_is_left     whether the time is not over
#   random N         sets $REPLY to a number below N
#   operations_done N   counts operations
#   docroot_on_disk  has $docroot on ext4 for three seeds of four, as far as there
#                    is a scratch disk: what is kept ready of a file is for such
#                    file systems only. Of the disk it takes a piece of the second
#                    half.
#   piece_of_disk OFFSET SIZE   sets $piece to a device with that piece of the
#                    scratch disk, in GiB: who has mounted all of it has it alone
#   was_fast         requests have been answered in softirq
#   clients_come, clients_wrote_nothing   between them nothing of the module's comes
#                    into the kernel's log: no client can make it write there
#   still_serves     the index is served within 10 s, and no connection, request
#                    or work item stays behind
#   must_set_for_now FILE VALUE   set_for_now, which has to succeed
#   remember_sockets   takes note of what the stack has in memory, for
#   no_sockets_left  after the module is gone: no socket of its port but in
#                    TIME-WAIT, none in use, no thread, and no object of the
#                    stack but a margin for the lists that CPUs keep
#   done_torturing   done_testing, with the line of the report before

torture=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$torture/../selftests/lib.sh"

export TEST_SECONDS=${TEST_SECONDS:-20} TEST_SEED=${TEST_SEED:-1}
export port docroot
operations=0
RANDOM=$TEST_SEED
torture_begin=$EPOCHSECONDS
# A program may go on for so long, and then has to end.
python_limit=$((TEST_SECONDS * 2 + 400))

run() {
	run_by "" "$@"
}

run_in_client() {
	run_by in_client "$@"
}

# run_by COMMAND PROGRAM...
run_by() {
	local by=$1 program=$2 line status
	shift 2
	$by env TEST_LIMIT="$python_limit" timeout --kill-after=10 "$python_limit" "$torture/bin/$program" "$@" >"$tmp/program" 2>"$tmp/program.errors"
	status=$?
	while IFS= read -r line; do
		case $line in
		"ok "*) ok "${line#ok }" ;;
		"not ok "*) not_ok "${line#not ok }" ;;
		"# operations: "*) operations_done "${line##* }" ;;
		*) echo "# ${line#\# }" ;;
		esac
	done <"$tmp/program"
	[ "$status" = 0 ] || not_ok "$program ends well" "status $status" "$(tail -n 20 "$tmp/program.errors")"
}

time_is_left() {
	[ $((EPOCHSECONDS - torture_begin)) -lt "$TEST_SECONDS" ]
}

random() {
	REPLY=$(((RANDOM << 15 | RANDOM) % $1))
}

operations_done() {
	operations=$((operations + $1))
}

piece_of_disk() {
	modprobe loop 2>/dev/null
	piece=$(losetup --find --show --offset $(($1 << 30)) --sizelimit $(($2 << 30)) "$RUST_TUX_SCRATCH") ||
		bail_out "no piece of the scratch disk"
	at_exit losetup --detach "$piece"
}

docroot_on_disk() {
	if [ ! -b "${RUST_TUX_SCRATCH:-}" ] || [ $((TEST_SEED % 4)) = 0 ]; then
		echo "# the document root is on $(stat -fc %T "$docroot")"
		return
	fi
	piece_of_disk 8 1
	mkfs.ext4 -q -F "$piece" && mount "$piece" "$docroot" || bail_out "no file system"
	at_exit umount -l "$docroot"
	rmdir "$docroot/lost+found"
	chmod 755 "$docroot"
	echo "# the document root is on ext4"
}

was_fast() {
	local requests fast
	read -r requests fast < <(awk '{ n[$1] = $2 } END { print n["requests"], n["fastpath_answered"] }' /proc/net/http/stat)
	echo "# $fast of $requests requests were answered in softirq"
	check "requests were answered in softirq" test "$fast" -gt 0
}

clients_come() {
	kernel_log_mark "clients $$"
}

clients_wrote_nothing() {
	is "no client makes the module write into the kernel's log" "$(kernel_log_since "clients $$" rust_tux)" ""
}

nothing_is_open() {
	[ "$(awk '$1 == "connections_open" { print $2 }' /proc/net/http/stat)" = 0 ]
}

still_serves() {
	is "the server serves" "$(curl -sS --max-time 10 -o /dev/null -w '%{http_code}' "$url/index.html" 2>&1)" 200
	if wait_for 60 nothing_is_open; then
		ok "no connection is left"
	else
		not_ok "no connection is left" "$(cat /proc/net/http/stat)" "$(ss -tan | head -n 30)"
	fi
}

must_set_for_now() {
	set_for_now "$1" "$2" || not_ok "$1 can be set to $2"
}

# sockets_in_use: of both families, and orphans.
sockets_in_use() {
	awk '/^TCP:/ { n += $3 + $5 } /^TCP6:/ { n += $3 } END { print n }' \
		/proc/net/sockstat /proc/net/sockstat6
}

# stack_objects: a line NAME NUMBER for each cache of sockets and requests.
stack_objects() {
	local cache
	echo 3 >/proc/sys/vm/drop_caches
	for cache in TCP TCPv6 request_sock_TCP request_sock_TCPv6; do
		echo 1 >/sys/kernel/slab/$cache/shrink
	done 2>/dev/null
	awk '$1 ~ /^(request_sock_)?TCP(v6)?$/ { print $1, $2 }' /proc/slabinfo
}

remember_sockets() {
	sockets_before=$(sockets_in_use)
	stack_objects >"$tmp/objects"
}

has_no_sockets() {
	[ -z "$(ss -Htan "sport = :$port or dport = :$port" | grep -v TIME-WAIT)" ] &&
		[ "$(sockets_in_use)" -le "$sockets_before" ]
}

has_no_objects() {
	stack_objects | awk -v before="$tmp/objects" '
		BEGIN { while (getline <before) had[$1] = $2 }
		$2 > had[$1] + 200 { grown = 1 }
		END { exit grown }'
}

no_sockets_left() {
	if wait_for 120 has_no_sockets; then
		ok "no socket is left"
	else
		not_ok "no socket is left" "$(cat /proc/net/sockstat)" "$(ss -tan | head -n 30)"
	fi
	if wait_for 60 has_no_objects; then
		ok "the stack has no more objects than before"
	else
		not_ok "the stack has no more objects than before" "$(cat "$tmp/objects")" "$(stack_objects)"
	fi
	is "no thread is left" "$(pgrep -l '^rust_tux/')" ""
}

done_torturing() {
	echo "# torture: $(basename "$0" .sh) seed $TEST_SEED seconds $((EPOCHSECONDS - torture_begin)) operations $operations"
	done_testing
}
