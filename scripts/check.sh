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
cargo=(cargo)
version=$(cargo --version 2>/dev/null | sed -n 's/^cargo 1\.\([0-9]*\).*/\1/p' || :)
target=$build/cargo
manifest=$repo/tests/host/Cargo.toml
if [ "${version:-0}" -lt 85 ] || ! command -v cc >/dev/null; then
	"$repo/scripts/prepare.sh" root
	cargo=(in_root env CARGO_TARGET_DIR=/repo/build/cargo-root cargo)
	manifest=/repo/tests/host/Cargo.toml
fi
if [ "${1:-}" = doc ]; then
	CARGO_TARGET_DIR=$target "${cargo[@]}" doc --no-deps --document-private-items \
		--manifest-path "$manifest"
	exit 0
fi
set +e
CARGO_TARGET_DIR=$target "${cargo[@]}" test --manifest-path "$manifest" "$@" 2>&1 | tee "$log"
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
