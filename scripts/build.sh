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
*) die "unknown kind $kind (see --help)" ;;
esac

output=build/module
[ "$kind" = stock ] || output=build/module-$kind
[ "$kind" != kcov ] || flags+=(RUST_TUX_KCOV=y KRUSTFLAGS=-Dwarnings)
[ "$kind" != planted ] || flags+=(RUST_TUX_PLANTED=y KRUSTFLAGS=-Dwarnings)
[ "$kind" != clippy ] || flags+=(CLIPPY=1 KRUSTFLAGS=-Dwarnings)

mkdir -p "$repo/$output"
exec 6>"$build/lock"
flock 6
# One goal a call: with `clean` and `modules` in one, Kbuild overwrites
# the Makefile of the source tree.
in_root make --no-print-directory -C "$tree" M=/repo "MO=/repo/$output" -j"$(nproc)" "${flags[@]}" modules 6>&-
