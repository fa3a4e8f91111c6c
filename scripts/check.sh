#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# usage: scripts/check.sh [doc | CARGO-TEST-ARGUMENT...]
#
# Runs the host tests of the protocol layer: with this machine's cargo if it is
# 1.85 or newer, else with the one of the build root. The crates that the tests
# use are fetched by cargo. The last line is "N passed, N failed".
# With `doc`, makes the documentation of that layer instead.

. "$(dirname "$0")/lib.sh"

case ${1:-} in
-h | --help) usage; exit 0 ;;
esac

mkdir -p "$build"
log=$build/check.log
rust_toolchain cc
cargo() {
	local goal=$1
	shift
	at env CARGO_TARGET_DIR="$here/build/cargo$suffix" \
		cargo "$goal" --manifest-path "$here/tests/host/Cargo.toml" "$@"
}
if [ "${1:-}" = doc ]; then
	cargo doc --no-deps --document-private-items
	exit 0
fi
set +e
cargo test "$@" 2>&1 | tee "$log"
status=${PIPESTATUS[0]}
set -e

read -r passed failed < <(awk '
	/^test result:/ { passed += $4; failed += $6 }
	END { print passed + 0, failed + 0 }' "$log")
if [ "$failed" = 0 ] && { [ "$status" != 0 ] || [ "$passed" = 0 ]; }; then
	failed=1
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
