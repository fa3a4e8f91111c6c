#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# usage: scripts/bench-parse.sh
#
# Prints what it costs to parse the head of a request: instructions and
# nanoseconds, for some heads (tests/bench). The parser is compiled by the
# kernel's build system with the flags of the module, and runs as a program of
# this machine. Needs what scripts/prepare.sh makes; fetches nothing.

. "$(dirname "$0")/lib.sh"

case ${1:-} in
-h | --help) usage; exit 0 ;;
?*) die "unknown argument $1 (see --help)" ;;
esac
[ -e "$root/k/stock/.complete" ] || die "not prepared: run make prepare first"

mkdir -p "$build/bench"
exec 6>"$build/lock"
flock 6
in_root make --no-print-directory -s -C /k/stock M=/repo/tests/bench MO=/repo/build/bench \
	"CC=$(fact cc)" parser.o 6>&-
in_root "$(fact cc)" -O2 -Wall -static -no-pie -o build/bench/parse \
	tests/bench/parse.c build/bench/parser.o 6>&-
in_root build/bench/parse
