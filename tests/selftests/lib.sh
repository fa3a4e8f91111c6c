# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What the selftests share. A test sources it, loads the module, says what it
# finds with ok and not_ok, and ends with done_testing:
#
#	#!/bin/bash
#	# SPDX-License-Identifier: GPL-2.0
#	. "$(dirname "$0")/lib.sh"
#	echo hello >"$docroot/index.html"
#	load
#	is "the index is served" "$(get /)" hello
#	done_testing
#
# A test runs as root in a virtual machine, alone, and leaves nothing behind.
# It prints TAP; its exit status is 0 (pass), 1 (fail) or 4 (skip).
#
# Variables
#   $docroot         empty directory on tmpfs, world-readable, removed at the end
#   $tmp             private directory for what the test writes
#   $port            port of the server (8080)
#   $url             http://127.0.0.1:$port
#   $module          path of rust-tux.ko
#   $RUST_TUX_SCRATCH   empty 16 GiB block device of the virtual machine, for
#                    file systems, if there is one
#   $RUST_TUX_KERNEL    stock, or debug for the checking kernel
#
# The module
#   load [PARAMETER=VALUE...]   insmod with these, and with docroot= and port=
#                    unless they are among them. Bails out on failure.
#   try_load [PARAMETER=VALUE...]   the same, but returns insmod's status; what
#                    it printed is in $tmp/insmod
#   unload           rmmod; not_ok if references remain or rmmod fails
#   loaded           is it loaded?
#   sysctl_get NAME, sysctl_set NAME VALUE   under /proc/sys/net/http; set
#                    fails with the kernel's error
#   at_exit COMMAND...   run COMMAND at the end, last registered first
#
# Requests
#   get PATH [CURL-OPTION...]   body on standard output; status in curl's way
#   status PATH [CURL-OPTION...]   prints the status code only
#   headers PATH [CURL-OPTION...]  prints the response head, without CRs
#   reachable ADDRESS [PORT]   whether the server answers there with a 200
#   raw BYTES [SECONDS]   sends BYTES (printf %b escapes) over one connection,
#                    half-closes and prints what comes back
#   wait_for SECONDS COMMAND...   until COMMAND succeeds. To try it counts for two
#                    seconds at most: the machine may stand still
#   storage_may_hang     the kernel doesn't complain of tasks that wait for long
#                    until the test ends: of those that it lets wait for storage
#   mapped NAME TABLE    makes /dev/mapper/NAME, sets $device to that; 1 if there is
#                    no device mapper: $tmp/dm says why
#   start_nfs DIRECTORY   exports DIRECTORY to 127.0.0.1, for NFS 3 by that name
#                    and for NFS 4 as /
#   client_network   a network namespace "client" behind a veth pair: the server
#                    is 192.0.2.1 and 2001:db8::1 for it, device "server" here;
#                    the client's device is "client"
#   in_client COMMAND...   runs COMMAND in that namespace
#
# Allocations that fail
#   set_for_now FILE VALUE   writes it, and the old value at the end; 1 if it can't
#   scratch_docroot  docroot is on the scratch disk, with an ext4; skips all if there
#                    is none
#   nginx_conf WORKERS   writes $tmp/nginx.conf: "http" has what standard input has;
#                    nginx keeps its files in $tmp/nginx
#   prepare_faults   the kernel's fault injection is for allocations of the module
#                    alone, and fails none yet (probability 0); 1 if it has none.
#                    Loads the module and unloads it.
#   no_faults        ends that; at the end of the test it is done anyway
#   address_of SYMBOL   of the kernel, as 0x...; nothing if there is none
#
# Results
#   ok NAME, not_ok NAME [DETAIL...]
#   is NAME GOT WANTED, like NAME GOT EXTENDED-REGEX, isnt_like, likewise
#   check NAME COMMAND...   ok if COMMAND succeeds, else not_ok with its output
#   python_checks [ARGUMENT...]   runs the Python program on standard input, which
#                    says what it finds with ok() and the like of http_client.py
#   skip NAME REASON     counts neither as passed nor as failed
#   skip_all REASON      ends the test with status 4
#   bail_out REASON      ends the test as failed
#   done_testing     unloads the module, checks that the kernel log is clean and
#                    (checking kernel, one test) that nothing was leaked, prints
#                    the plan and exits
#   kernel_log_clean     not_ok if the kernel has complained since the start
#   kmemleak_scan    not_ok if kmemleak knows of leaks. Takes a minute: of many
#                    tests in a row, the runner does it once, after the last.

export LC_ALL=C.UTF-8

selftests=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
module=${RUST_TUX_MODULE:-$selftests/../../build/module/rust-tux.ko}
port=8080
# Seconds that a Python program may run, less than the whole test may.
python_limit=600
[ "${RUST_TUX_KERNEL:-stock}" = stock ] || python_limit=1500
# shellcheck disable=SC2034
url=http://127.0.0.1:$port
# Seconds in which the server has answered, however slow the machine is.
patience=100
tap_count=0
tap_failed=0
tap_cleanup=()

# complaints [GREP-OPTION...]: lines of standard input that match ./complaints.
complaints() {
	grep -E "$@" -f <(grep -v '^#' "$selftests/complaints")
}

# kernel_log_mark NAME: writes a mark that kernel_log_since finds.
kernel_log_mark() {
	echo "selftest: mark $1" >/dev/kmsg
}

# kernel_log_since NAME [REGEX]: what the kernel said since, or the lines of it
# that match.
kernel_log_since() {
	dmesg | awk -v mark="selftest: mark $1" -v regex="${2:-}" \
		'index($0, mark) { seen = 1; next } seen && $0 ~ regex'
}

# matches TEXT REGEX: whether a line does. To start a program takes longer than
# most of what is tested.
matches() {
	local line status
	while IFS= read -r line; do
		status=0
		# shellcheck disable=SC2319 # 2 is an error in the expression.
		[[ $line =~ $2 ]] || status=$?
		case $status in
		0) return 0 ;;
		2) bail_out "no regular expression: $2" ;;
		esac
	done <<<"$1"
	return 1
}

ok() {
	tap_count=$((tap_count + 1))
	echo "ok $tap_count - $1"
}

not_ok() {
	tap_count=$((tap_count + 1))
	tap_failed=$((tap_failed + 1))
	echo "not ok $tap_count - $1"
	shift
	[ $# = 0 ] || printf '%s\n' "$@" | sed 's/^/#   /'
}

is() {
	if [ "$2" = "$3" ]; then
		ok "$1"
	else
		not_ok "$1" "got:    ${2:0:2000}" "wanted: ${3:0:2000}"
	fi
}

like() {
	if matches "$2" "$3"; then
		ok "$1"
	else
		not_ok "$1" "got:    ${2:0:2000}" "wanted: /$3/"
	fi
}

isnt_like() {
	if matches "$2" "$3"; then
		not_ok "$1" "got:      ${2:0:2000}" "unwanted: /$3/"
	else
		ok "$1"
	fi
}

check() {
	local name=$1 output
	shift
	if output=$("$@" 2>&1); then
		ok "$name"
	else
		not_ok "$name" "status $? of: $*" "$(tail -n 20 <<<"$output")"
	fi
}

python_checks() {
	local line status
	PYTHONPATH=$selftests PYTHONDONTWRITEBYTECODE=1 port=$port docroot=$docroot tmp=$tmp \
		timeout "$python_limit" python3 - "$@" >"$tmp/checks" 2>"$tmp/python"
	status=$?
	while IFS= read -r line; do
		case $line in
		"ok "*) ok "${line#ok }" ;;
		"not ok "*) not_ok "${line#not ok }" ;;
		*) echo "# ${line#\#}" ;;
		esac
	done <"$tmp/checks"
	[ "$status" = 0 ] || not_ok "the client ends well" "status $status" "$(tail -n 20 "$tmp/python")"
}

skip() {
	tap_count=$((tap_count + 1))
	echo "ok $tap_count - $1 # SKIP $2"
}

skip_all() {
	echo "1..0 # SKIP $1"
	exit 4
}

bail_out() {
	not_ok "$1"
	exit 1
}

loaded() {
	[ -d /sys/module/rust_tux ]
}

try_load() {
	# A number may be given once only.
	[[ " $*" == *" docroot="* ]] || set -- "docroot=$docroot" "$@"
	[[ " $*" == *" port="* ]] || set -- "port=$port" "$@"
	[ -z "${TEST_PLANTED:-}" ] || set -- "planted=$TEST_PLANTED" "$@"
	insmod "$module" "$@" >"$tmp/insmod" 2>&1
}

load() {
	try_load "$@" || bail_out "insmod $*: $(cat "$tmp/insmod"); $(dmesg | grep rust_tux | tail -n 3)"
}

unload() {
	local refs
	refs=$(</sys/module/rust_tux/refcnt)
	[ "$refs" = 0 ] || not_ok "the module is not referenced" "$refs references"
	awk '$2 ~ /[tT]/ && $4 == "[rust_tux]"' /proc/kallsyms | sort >"$tmp/symbols"
	timeout 200 rmmod rust_tux || not_ok "rmmod"
}

sysctl_get() {
	cat "/proc/sys/net/http/$1"
}

sysctl_set() {
	echo "$2" >"/proc/sys/net/http/$1"
}

get() {
	local path=$1
	shift
	curl -sS --max-time "$patience" --path-as-is "$@" "$url$path"
}

status() {
	local path=$1
	shift
	curl -sS --max-time "$patience" --path-as-is -o /dev/null -w '%{http_code}' "$@" "$url$path"
}

reachable() {
	local line=
	{
		printf 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&4 &&
			read -r -t "$patience" line <&4
	} 2>/dev/null 4<>"/dev/tcp/$1/${2:-$port}"
	[[ $line == "HTTP/1.1 200 "* ]]
}

headers() {
	local path=$1
	shift
	curl -sS --max-time "$patience" --path-as-is -o /dev/null -D - "$@" "$url$path" | tr -d '\r'
}

raw() {
	printf '%b' "$1" | timeout "${2:-10}" nc -N 127.0.0.1 "$port"
}

# What it calls sees its variables.
wait_for() {
	local wait_for_left=$(($1 * 1000000)) wait_for_since=${EPOCHREALTIME/./} wait_for_took
	shift
	until "$@"; do
		[ $wait_for_left -gt 0 ] || return 1
		sleep 0.2
		wait_for_took=$((${EPOCHREALTIME/./} - wait_for_since))
		wait_for_since=$((wait_for_since + wait_for_took))
		wait_for_left=$((wait_for_left - (wait_for_took < 2000000 ? wait_for_took : 2000000)))
	done
}

storage_may_hang() {
	local watch=/proc/sys/kernel/hung_task_timeout_secs
	[ -e $watch ] || return 0
	at_exit bash -c "echo $(<$watch) >$watch"
	echo 0 >$watch
}

mapped() {
	modprobe dm_mod 2>/dev/null
	dmsetup create --noudevsync "$1" --table "$2" 2>"$tmp/dm" || return
	at_exit dmsetup remove --noudevsync --retry "$1"
	device=/dev/mapper/$1
	[ -b "$device" ] || {
		mkdir -p /dev/mapper
		mknod "$device" b "$(dmsetup info -c --noheadings -o major "$1" | tr -d ' ')" \
			"$(dmsetup info -c --noheadings -o minor "$1" | tr -d ' ')"
		at_exit rm -f "$device"
	}
	at_exit dmsetup resume --noudevsync "$1"
}

start_nfs() {
	modprobe nfsd 2>/dev/null
	mountpoint -q /proc/fs/nfsd || mount -t nfsd nfsd /proc/fs/nfsd || return
	mkdir -p /run/rpcbind /var/lib/nfs/v4recovery /var/lib/nfs/sm
	touch /var/lib/nfs/etab /var/lib/nfs/rmtab
	pgrep -x rpcbind >/dev/null || { rpcbind -w && at_exit pkill -x rpcbind; }
	exportfs -o rw,insecure,no_root_squash,no_subtree_check,fsid=0 "127.0.0.1:$1" || return
	at_exit exportfs -u "127.0.0.1:$1"
	rpc.mountd && at_exit pkill -x rpc.mountd
	echo 10 >/proc/fs/nfsd/nfsv4gracetime
	rpc.nfsd 4 || return
	at_exit rpc.nfsd 0
	# Nobody has files open from before.
	echo Y >/proc/fs/nfsd/v4_end_grace
	wait_for 60 nc -z 127.0.0.1 2049
}

client_network() {
	ip netns add client || return
	at_exit ip netns del client
	ip link add server type veth peer name client netns client &&
		ip addr add 192.0.2.1/24 dev server &&
		ip -6 addr add 2001:db8::1/64 dev server nodad &&
		ip link set server up &&
		ip -n client addr add 192.0.2.2/24 dev client &&
		ip -n client -6 addr add 2001:db8::2/64 dev client nodad &&
		ip -n client link set lo up &&
		ip -n client link set client up
}

in_client() {
	ip netns exec client "$@"
}

address_of() {
	awk -v name="$1" '$3 == name { print "0x" $1; exit }' /proc/kallsyms
}

no_faults() {
	local kind
	for kind in /sys/kernel/debug/fail*; do
		[ -e "$kind/require-start" ] || continue
		echo 0 >"$kind/probability"
		echo 0 >"$kind/require-start"
		echo 0xffffffffffffffff >"$kind/require-end"
		echo 0 >"$kind/reject-start"
		echo 0 >"$kind/reject-end"
	done
}

# Faults are for allocations that have a function of the module among their
# callers, or of its neighbourhood, where no other module is: the address
# changes from one loading to the next. Those of kmemleak are its own.
set_for_now() {
	local old
	[ -w "$1" ] && old=$(cat "$1") || return
	at_exit eval "echo '$old' >$1"
	echo "$2" >"$1"
}

scratch_docroot() {
	[ -b "${RUST_TUX_SCRATCH:-}" ] || skip_all "no scratch disk"
	mkdir "$tmp/disk"
	mkfs.ext4 -q -F "$RUST_TUX_SCRATCH" && mount "$RUST_TUX_SCRATCH" "$tmp/disk" ||
		bail_out "mounting the scratch disk"
	at_exit umount "$tmp/disk"
	docroot=$tmp/disk/site
	mkdir "$docroot"
	chmod 755 "$tmp/disk" "$docroot"
}

nginx_conf() {
	mkdir -p "$tmp/nginx"
	cat >"$tmp/nginx.conf" <<END
user root;
daemon on;
worker_processes $1;
pid $tmp/nginx/pid;
error_log $tmp/nginx/error.log;
events { worker_connections 1024; }
http {
	client_body_temp_path $tmp/nginx;
	proxy_temp_path $tmp/nginx;
	fastcgi_temp_path $tmp/nginx;
	uwsgi_temp_path $tmp/nginx;
	scgi_temp_path $tmp/nginx;
$(cat)
}
END
}

prepare_faults() {
	local faults=/sys/kernel/debug kind text kmemleak kmemleak_end size
	[ -e $faults/failslab/require-start ] && [ -e $faults/fail_page_alloc ] &&
		[ -e /proc/thread-self/fail-nth ] || return 1
	at_exit no_faults
	load threads=1
	text=$(cat /sys/module/rust_tux/sections/.text)
	unload
	[ "$(wc -l </proc/modules)" = 0 ] || bail_out "other modules are loaded"
	kmemleak=$(address_of kmemleak_alloc) kmemleak_end=$(address_of kmemleak_free)
	size=$((${kmemleak_end:-0} - ${kmemleak:-0}))
	[ $size -ge 0 ] && [ $size -lt 4096 ] || bail_out "kmemleak_alloc is where kmemleak_free is not"
	for kind in $faults/fail*; do
		[ -e "$kind/require-start" ] || continue
		echo 0 >"$kind/probability"
		echo -1 >"$kind/times"
		echo 32 >"$kind/stacktrace-depth"
		printf '0x%x' $((text & ~0xfffffff)) >"$kind/require-start"
		printf '0x%x' $((text | 0xfffffff)) >"$kind/require-end"
		echo "${kmemleak:-0}" >"$kind/reject-start"
		echo "${kmemleak_end:-0}" >"$kind/reject-end"
		echo "${TEST_VERBOSE:-0}" >"$kind/verbose"
		echo N >"$kind/task-filter"
	done
	for kind in failslab fail_page_alloc; do
		echo N >$faults/$kind/ignore-gfp-wait
	done
	echo N >$faults/fail_page_alloc/ignore-gfp-highmem
	echo 0 >$faults/fail_page_alloc/min-order
}

at_exit() {
	local command
	printf -v command '%q ' "$@"
	tap_cleanup=("$command" "${tap_cleanup[@]}")
}

tap_end() {
	local result=$? command
	trap - EXIT
	for command in "${tap_cleanup[@]}"; do
		eval "$command" >/dev/null 2>&1
	done
	if loaded; then
		timeout 60 rmmod rust_tux
	fi
	rm -rf "$tmp"
	exit "$result"
}

kernel_log_clean() {
	local said
	said=$(kernel_log_since "$$" | complaints -A40 | head -n 120)
	if [ -z "$said" ]; then
		ok "the kernel log is clean"
	else
		not_ok "the kernel log is clean" "$said"
	fi
}

# Names addresses of the module that has been removed. It is scanned for leaks afterwards, when what
# only its own data would refer to is one, and the kernel knows its functions no longer.
with_symbols() {
	awk 'FILENAME != "-" { address[++count] = $1; symbol[count] = $3; next }
	match($0, /0xf[0-9a-f]+$/) {
		at = substr($0, RSTART + 2)
		for (n = count; n && address[n] "" > at ""; n--)
			;
		if (n && n < count)
			$0 = $0 " " symbol[n]
	}
	{ print }' "$tmp/symbols" -
}

# kmemleak reports what is older than 5 s, and found in two scans.
kmemleak_scan() {
	local file=/sys/kernel/debug/kmemleak leaks
	[ -e $file ] || return 0
	sleep 6
	# It refuses when it has given up, for want of memory for itself.
	if ! { echo scan && echo scan; } >$file; then
		not_ok "kmemleak scans" "$(dmesg | grep kmemleak | tail -n 5)"
		return
	fi
	leaks=$(cat $file)
	if [ -z "$leaks" ]; then
		ok "kmemleak finds nothing"
	else
		not_ok "kmemleak finds nothing" "$(head -n 100 <<<"$leaks" | with_symbols)"
		echo clear >$file
	fi
}

done_testing() {
	if loaded; then
		unload
	fi
	if loaded; then
		not_ok "the module is gone"
	else
		ok "the module is gone"
	fi
	[ "${TEST_KMEMLEAK:-each}" != each ] || kmemleak_scan
	kernel_log_clean
	echo "1..$tap_count"
	[ "$tap_failed" = 0 ]
	exit
}

[ "$(id -u)" = 0 ] || skip_all "needs root"
[ -e "$module" ] || skip_all "no module at $module"
! loaded || skip_all "rust_tux is loaded already"

tmp=$(mktemp -d)
docroot=$tmp/docroot
chmod 755 "$tmp"
mkdir -m 755 "$docroot"
trap tap_end EXIT
trap 'exit 1' INT TERM HUP
kernel_log_mark "$$"
if [ -n "${TEST_PLANTED:-}" ]; then
	echo 3 >/proc/sys/kernel/watchdog_thresh
	echo 5 >/proc/sys/kernel/hung_task_timeout_secs
fi
if [ -e /sys/kernel/debug/kmemleak ]; then
	echo clear >/sys/kernel/debug/kmemleak
fi
