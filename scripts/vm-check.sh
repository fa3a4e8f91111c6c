#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# usage: scripts/vm-check.sh [stock | debug]
#
# Runs the selftests on the built module in a virtual machine, on the stock or
# the checking kernel. The last line is "N passed, N failed". A kernel that
# dies or hangs is a failure, and so is anything it complains of.
#
# environment: TESTS="a.sh b.sh"  these only
#              VM_TIMEOUT=SECONDS for the whole run (1800; debug: 3600)

. "$(dirname "$0")/lib.sh"

kernel=${1:-stock}
case $kernel in
-h | --help) usage; exit 0 ;;
stock) timeout=${VM_TIMEOUT:-1800} ;;
debug) timeout=${VM_TIMEOUT:-3600} ;;
*) die "unknown kernel $kernel (see --help)" ;;
esac

mkdir -p "$build"
tap=$build/selftests-$kernel.tap
set +e
"$repo/scripts/vm.sh" --kernel "$kernel" --timeout "$timeout" \
	--log "$build/selftests-$kernel.log" \
	-- "exec scripts/guest/selftests ${TESTS:-}" 2>&1 | tee "$tap"
status=${PIPESTATUS[0]}
set -e

passed=$(grep -E '^ok' "$tap" | grep -cv '# SKIP' || :)
failed=$(grep -c '^not ok' "$tap" || :)
skipped=$(grep -cE '^ok.*# SKIP|^1\.\.0 # SKIP' "$tap" || :)
[ "$skipped" = 0 ] || echo "$skipped skipped"
if ! grep -q '^# end of selftests' "$tap"; then
	echo "not ok - the virtual machine did not finish (status $status, kernel log: ${build##*/}/selftests-$kernel.log)"
	failed=$((failed + 1))
elif [ "$status" != 0 ] && [ "$failed" = 0 ]; then
	failed=1
fi
if [ $((passed + failed)) = 0 ]; then
	echo "not ok - no test was run"
	failed=1
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
