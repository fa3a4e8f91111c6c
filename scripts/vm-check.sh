#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# usage: scripts/vm-check.sh [stock | debug | kcsan]
#
# Runs the selftests on the built module in virtual machines, on the stock or
# a checking kernel. The last line is "N passed, N failed". A kernel that
# dies or hangs is a failure, and so is anything it complains of.
#
# environment: TESTS="a.sh b.sh"  these only
#              VM_TIMEOUT=SECONDS for the whole run (4200; debug: 4800)
#              VM_JOBS=N          machines at a time, of 2 GiB, each of which takes
#                                 the next test when it is done with one (1;
#                                 debug: 2)

. "$(dirname "$0")/lib.sh"

kernel=${1:-stock}
case $kernel in
-h | --help) usage; exit 0 ;;
stock) timeout=${VM_TIMEOUT:-4200} jobs=${VM_JOBS:-1} ;;
debug | kcsan) timeout=${VM_TIMEOUT:-4800} jobs=${VM_JOBS:-2} ;;
*) die "unknown kernel $kernel (see --help)" ;;
esac

# list_selftests: in the order of their Makefile.
list_selftests() {
	awk '{ sub(/#.*/, "") }
		$1 == "TEST_PROGS" { on = 1; $1 = $2 = "" }
		on { more = sub(/\\$/, ""); printf "%s ", $0; on = more }' \
		"$repo/tests/selftests/Makefile"
}

# machine NAME: runs tests as long as there are any; the kernel's log goes to NAME.log.
machine() {
	exec "$repo/scripts/vm.sh" --kernel "$kernel" --timeout "$timeout" --log "$1.log" \
		--on-next "flock '$queue.lock' sed -i -e '1w /dev/stdout' -e 1d '$queue'" \
		-- "exec scripts/guest/selftests -" 2>&1
}

# ended NAME STATUS: says what NAME.tap doesn't of a machine that has ended.
ended() {
	if ! grep -q '^# end of selftests' "$1.tap"; then
		echo "not ok - the virtual machine did not finish (status $2, kernel log: build/${1##*/}.log)"
	elif [ "$2" != 0 ] && ! grep -q '^not ok' "$1.tap"; then
		echo "not ok - the virtual machine ended with status $2"
	fi
}

read -r -a tests <<<"${TESTS:-$(list_selftests)}"
[ "$jobs" -le "${#tests[@]}" ] || jobs=${#tests[@]}
mkdir -p "$build"
name=$build/selftests-$kernel
rm -f "$name"{,.[0-9]}.{tap,log}
# One a line, and then a line for each machine that tells it that there are no more.
queue=$name.queue
{
	printf '%s\n' "${tests[@]}"
	for ((job = 0; job < jobs; job++)); do
		echo
	done
} >"$queue"
# A scan for leaks for each machine, not for each test.
[ "${#tests[@]}" = 1 ] || export TEST_KMEMLEAK=${TEST_KMEMLEAK:-last}
set +e
if [ "$jobs" -le 1 ]; then
	(machine "$name") | tee "$name.tap"
	ended "$name" "${PIPESTATUS[0]}" | tee -a "$name.tap"
else
	pids=()
	trap 'kill "${pids[@]}" "$tail" 2>/dev/null; wait; exit 130' INT TERM HUP
	for ((job = 0; job < jobs; job++)); do
		: >"$name.$job.tap"
		(machine "$name.$job") >"$name.$job.tap" &
		pids+=($!)
	done
	# All comes at the end, one machine's after the other's; this meanwhile.
	tail -q -n +1 -f --pid=$$ "$name".[0-9].tap > >(grep --line-buffered '^# .*: status') &
	tail=$!
	for ((job = 0; job < jobs; job++)); do
		wait "${pids[job]}"
		ended "$name.$job" $? >>"$name.$job.tap"
	done
	kill "$tail"
	wait "$tail" 2>/dev/null
	trap - INT TERM HUP
	cat "$name".[0-9].tap | tee "$name.tap"
fi
set -e
rm -f "$queue" "$queue.lock"

passed=$(grep -E '^ok' "$name.tap" | grep -cv '# SKIP' || :)
failed=$(grep -c '^not ok' "$name.tap" || :)
skipped=$(grep -cE '^ok.*# SKIP|^1\.\.0 # SKIP' "$name.tap" || :)
[ "$skipped" = 0 ] || echo "$skipped skipped"
if [ $((passed + failed)) = 0 ]; then
	echo "not ok - no test was run"
	failed=1
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
