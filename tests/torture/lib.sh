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
#   run PROGRAM [ARGUMENT...]   a program of tests/torture/programs
#   time_is_left     whether the time is not over
#   random N         sets $REPLY to a number below N
#   operations_done N   counts operations
#   still_serves     the index is served within 10 s, and no connection, request
#                    or work item stays behind
#   done_torturing   done_testing, with the line of the report before

torture=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$torture/../selftests/lib.sh"

export TEST_SECONDS=${TEST_SECONDS:-20} TEST_SEED=${TEST_SEED:-1}
export port
operations=0
RANDOM=$TEST_SEED
torture_begin=$EPOCHSECONDS
# A program may go on for so long, and then has to end.
python_limit=$((TEST_SECONDS + 300))

run() {
	local program=$1 line status
	shift
	timeout --kill-after=10 "$python_limit" "$torture/bin/$program" "$@" >"$tmp/program" 2>"$tmp/program.errors"
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

done_torturing() {
	echo "# torture: $(basename "$0" .sh) seed $TEST_SEED seconds $((EPOCHSECONDS - torture_begin)) operations $operations"
	done_testing
}
