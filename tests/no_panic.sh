#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: tests/no_panic.sh [--plant]
#
# Proves that layer 1 can't panic: compiles it as the kernel does, optimized and with overflow checks,
# and fails if the object needs any symbol but the four memory functions. Such a symbol would be the
# panic machinery of `core`, or something of `core` that is not inlined and might reach it.
# With --plant a panic is planted first, and the script succeeds if it is found. RUSTC names the compiler.

set -eu

case "${1-}" in
--help) sed -n '4,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
--plant) plant=1 ;;
*) plant= ;;
esac

here=$(dirname "$0")
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
cp "$here/no_panic.rs" "$out/no_panic.rs"
sed -i "s|\"../src\"|\"$(cd "$here/../src" && pwd)\"|" "$out/no_panic.rs"
if [ "$plant" ]; then
	echo '#[inline(never)] pub fn planted(octets: &[u8], at: usize) -> u8 { octets[at] }' >>"$out/no_panic.rs"
fi
"${RUSTC:-rustc}" --edition 2021 --crate-type lib --emit obj -C opt-level=2 -C overflow-checks=on \
	-C debug-assertions=off -C panic=abort -C codegen-units=1 -o "$out/no_panic.o" "$out/no_panic.rs"
needed=$(nm -u "$out/no_panic.o" | awk '$2 !~ /^(memcpy|memmove|memset|memcmp|bcmp)$/ { print $2 }')
if [ "$plant" ]; then
	[ "$needed" ] && echo "ok - a planted panic is found" && exit 0
	echo "not ok - a planted panic is not found"
	exit 1
fi
if [ "$needed" ]; then
	echo "not ok - layer 1 needs:"
	echo "$needed"
	exit 1
fi
echo "ok - layer 1 can't panic"
