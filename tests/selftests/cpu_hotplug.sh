#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A CPU goes offline and comes back under load: its worker goes on elsewhere.

. "$(dirname "$0")/lib.sh"

online=/sys/devices/system/cpu/cpu1/online
[ -w $online ] || skip_all "CPU 1 can't be switched off"
rounds=6
[ "${RUST_TUX_KERNEL:-stock}" = stock ] || rounds=3
at_exit eval "echo 1 >$online"
echo index >"$docroot/index.html"
head -c 1000000 /dev/urandom >"$docroot/1m.bin"

load threads=0
ab -q -k -r -c 8 -t 900 -n 1000000 "$url/" >"$tmp/ab" 2>&1 &
load=$!
for round in $(seq $rounds); do
	check "round $round: CPU 1 goes" eval "echo 0 >$online"
	is "round $round: served without it" "$(get /)" index
	get /1m.bin | cmp -s - "$docroot/1m.bin" && ok "round $round: a larger file" ||
		not_ok "round $round: a larger file"
	check "round $round: CPU 1 comes back" eval "echo 1 >$online"
	# Connections of both CPUs.
	for cpu in 0 1; do
		is "round $round: served from CPU $cpu" "$(taskset -c $cpu curl -sS --max-time "$patience" "$url/")" index
	done
done
kill -INT "$load"
wait "$load"
like "no request of the load has failed" "$(cat "$tmp/ab")" "^Failed requests: +0$"
unload

# Fewer CPUs at the start than later, and the other way round.
echo 0 >$online
load threads=0
is "one CPU: as many workers" "$(pgrep -c '^rust_tux/')" 1
is "one CPU: served" "$(get /)" index
echo 1 >$online
for cpu in 0 1; do
	is "two CPUs, one worker: served from CPU $cpu" "$(taskset -c $cpu curl -sS --max-time "$patience" "$url/")" index
done
sysctl_set stop 1
sysctl_set start 1
is "started again: two workers" "$(pgrep -c '^rust_tux/')" 2
echo 0 >$online
sysctl_set stop 1
sysctl_set start 1
is "started with one CPU again" "$(get /)" index
unload
echo 1 >$online
done_testing
