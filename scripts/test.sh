#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# usage: scripts/test.sh TARGET...
#
# Runs these targets of the Makefile one after the other, also when one fails.
# The last line, "N passed, N failed", sums theirs; a target that ends badly
# without a failed test, or without that line, counts as one that failed. Before
# it is said again what failed.

. "$(dirname "$0")/lib.sh"

case ${1:---help} in
-h | --help) usage; exit 0 ;;
esac

mkdir -p "$build"
passed=0 failed=0 failures=()
for target in "$@"; do
	echo "# make $target"
	set +e
	make --no-print-directory -C "$repo" "$target" </dev/null 2>&1 |
		tee "$build/test-$target.log" |
		sed -u 's/^\([0-9]* passed, [0-9]* failed\)$/# '"$target"': \1/'
	status=${PIPESTATUS[0]}
	set -e
	line=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$build/test-$target.log" | tail -n 1)
	read -r p f < <(sed 's/ passed, / /;s/ failed//' <<<"${line:-0 passed, 0 failed}")
	case $target in
	lint) [ "$status" = 0 ] || f=$((f + 1)) ;;
	*) [ "$status" = 0 ] && [ -n "$line" ] || [ "$f" != 0 ] || f=1 ;;
	esac
	passed=$((passed + p)) failed=$((failed + f))
	[ "$f" = 0 ] || failures+=("$target")
done
for target in "${failures[@]}"; do
	echo "# make $target failed:"
	# What says so, with the selftest that did; else how it ended.
	said=$(awk '/^# selftest: / { test = $3 ": " } /^(not ok|FAILED)/ { print "#   " test $0 }' \
		"$build/test-$target.log")
	[ -n "$said" ] || said=$(tail -n 20 "$build/test-$target.log" | sed 's/^/#   /')
	head -n 50 <<<"$said"
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
