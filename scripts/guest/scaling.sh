#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# usage: scripts/guest/scaling.sh [ROUNDS]
#
# Runs in a virtual machine of two processors, on a host that has two for it:
#
#	scripts/vm.sh -- scripts/guest/scaling.sh
#
# How many requests (1 KiB, keep-alive, answered in softirq) a client that has one
# processor with the server gets answered in a second, and how many two of them do that
# have one each: by turns, ROUNDS (8) times. Beside it what two processors of this host are
# worth, for a loop that shares nothing. Prints both, and their ratios.

set -eu
shopt -s inherit_errexit
rounds=${1:-8}
here=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
chmod 755 "$work"
trap 'rmmod rust_tux 2>/dev/null; umount -l "$work/site" 2>/dev/null; rm -rf "$work"' EXIT
mkdir "$work/site"
mkfs.ext4 -q -F /dev/vdc
mount /dev/vdc "$work/site"
chmod 755 "$work/site"
head -c 1024 /dev/urandom >"$work/site/hot.bin"
sync
ip link set lo up
insmod "$here/rust-tux.ko" "docroot=$work/site" port=8080
curl -s -o "$work/got" http://127.0.0.1:8080/hot.bin
cmp "$work/got" "$work/site/hot.bin"

# wrk_on CPU: requests in a second.
wrk_on() {
	taskset -c "$1" wrk -t1 -c16 -d2 http://127.0.0.1:8080/hot.bin >"$work/wrk.$1"
	if grep -E 'Socket errors|Non-2xx' "$work/wrk.$1" >&2; then
		return 1
	fi
	awk '$1 == "Requests/sec:" { print int($2) }' "$work/wrk.$1"
}
# loop_on CPU: turns of a loop in a second.
loop_on() {
	taskset -c "$1" bash -c 'end=$((${EPOCHREALTIME/./} + 1000000)) n=0
		while [ "${EPOCHREALTIME/./}" -lt $end ]; do n=$((n + 1)); done; echo $n'
}
# both WHAT: the sum of WHAT on both.
both() {
	"$1" 0 >"$work/0" &
	"$1" 1 >"$work/1"
	wait $!
	echo $(($(cat "$work/0") + $(cat "$work/1")))
}
count() {
	awk -v name="$1" '$1 == name { print $2 }' /proc/net/http/stat
}
requests=$(count requests) at_once=$(count fastpath_answered)
# ratio A B: B / A, in hundredths.
ratio() {
	echo $(($2 * 100 / $1))
}
# median FILE: that of its numbers, which are hundredths.
median() {
	sort -n "$1" | awk '{ number[NR] = $1 } END { print (number[int((NR + 1) / 2)] + number[int(NR / 2) + 1]) / 200 }'
}
for ((i = 0; i < rounds; i++)); do
	one=$(wrk_on 0)
	two=$(both wrk_on)
	ratio "$one" "$two" >>"$work/served"
	ratio "$(loop_on 0)" "$(both loop_on)" >>"$work/looped"
	echo "requests/s: $one with one processor, $two with two"
done
echo "medians of ratios: $(median "$work/served") for requests, $(median "$work/looped") for a loop"
echo "$(($(count fastpath_answered) - at_once)) of $(($(count requests) - requests)) requests in softirq"
