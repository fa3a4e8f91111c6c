#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# usage: scripts/build.sh [KIND]
#
# Builds the module in the build root. Needs what scripts/prepare.sh makes. KIND
# is one of
#
#   stock     for the stock kernel: build/module/rust-tux.ko
#   debug     for the checking kernel: build/module-debug
#   kcov      the same, instrumented to tell a fuzzer what it reaches:
#             build/module-kcov
#   planted   the same, with faults that tests must find: build/module-planted
#   kcsan     for the kernel that looks for data races: build/module-kcsan
#   kcsan-planted   the same, with the faults: build/module-kcsan-planted
#   clippy    none: clippy looks at it with the kernel's lints, and any warning
#             is an error

. "$(dirname "$0")/lib.sh"

kind=${1:-stock}
case $kind in
-h | --help)
	usage
	exit 0
	;;
stock | clippy)
	tree=/k/stock
	[ -e "$root$tree/.complete" ] || die "not prepared: run make prepare first"
	flags=("CC=$(fact cc)")
	;;
debug | kcov | planted)
	tree=$(debug_tree)
	[ -e "$root$tree/.complete" ] || die "not prepared: run scripts/prepare.sh debug first"
	flags=("LLVM=-$(fact llvm)")
	;;
kcsan | kcsan-planted)
	tree=$(kcsan_tree)
	[ -e "$root$tree/.complete" ] || die "not prepared: run scripts/prepare.sh kcsan first"
	flags=("CC=$(fact cc)")
	;;
*) die "unknown kind $kind (see --help)" ;;
esac

output=build/module
[ "$kind" = stock ] || output=build/module-$kind
[ "$kind" != kcov ] || flags+=(RUST_TUX_KCOV=y KRUSTFLAGS=-Dwarnings)
[[ $kind != *planted ]] || flags+=(RUST_TUX_PLANTED=y KRUSTFLAGS=-Dwarnings)
[ "$kind" != clippy ] || flags+=(CLIPPY=1 KRUSTFLAGS=-Dwarnings)

mkdir -p "$repo/$output"
exec 6>"$build/lock"
flock 6
# One goal a call: with `clean` and `modules` in one, Kbuild overwrites
# the Makefile of the source tree.
goal() {
	in_root make --no-print-directory -C "$tree" M=/repo "MO=/repo/$output" -j"$(nproc)" \
		"${flags[@]}" "$1" 6>&-
}
goal modules
[[ $kind = kcsan* ]] || exit 0

# The kernel's build knows how to instrument C only. LLVM instruments the Rust
# code just as well, with calls that the kernel exports for C; only rustc
# doesn't let it, for the kernel's target.
# shellcheck disable=SC2016
instrument='
	cd "/repo/$1"
	sed "s/^\(attributes #[0-9]* = {\)/\1 sanitize_thread/" rust_tux.ll |
		"opt-$2" -passes="function(tsan),module(tsan-module)" -tsan-distinguish-volatile=1 \
			-tsan-compound-read-before-write=1 -tsan-instrument-func-entry-exit=0 \
			-tsan-instrument-memintrinsics=0 -o rust_tux.bc
	"llc-$2" -O2 -filetype=obj -code-model=kernel -relocation-model=static -o rust_tux.o rust_tux.bc
	rm rust_tux.bc rust_tux.ll'
if in_root sh -c "nm -u $output/rust_tux.o | grep -q __tsan_read"; then
	exit 0
fi
goal rust_tux.ll
in_root bash -eu -o pipefail -c "$instrument" instrument "$output" "$(fact llvm)"
goal modules
