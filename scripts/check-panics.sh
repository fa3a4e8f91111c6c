#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# usage: scripts/check-panics.sh [--self-test] [OBJECT...]
#
# Proves that no code of the module can panic: its objects refer to no panic
# entry point of core (panicking, unwrap_failed, slice_index_fail, ...). A panic
# in the kernel is an oops, and the locks held stay held. Where there is one,
# says in which function. OBJECT, below the repository, is by default
# build/module/rust_tux.o, which is compiled with overflow checks.
#
#   --self-test   plant such a call in an object and see that it is found

. "$(dirname "$0")/lib.sh"

# Mangled names, new style and old: a path in crate core that ends like these.
panic_names='^(_R|_ZN).*4core.*([0-9]panicking|panic_|unwrap_failed|expect_failed|_fail($|[^a-z])|len_mismatch)'

# panic_references OBJECT: "SYMBOL in FUNCTION", demangled, once each.
panic_references() {
	# shellcheck disable=SC2016
	in_root bash -euc '
		nm -u "$1" | awk "{ print \$2 }" | grep -E "$2" >/tmp/panics || exit 0
		objdump -dr --no-show-raw-insn "$1" |
			awk "
				NR == FNR { panics[\$1] = 1; next }
				/^[0-9a-f]+ <.*>:\$/ { name = \$2; gsub(/[<>:]/, \"\", name) }
				/R_X86_64_/ {
					symbol = \$3; sub(/[-+]0x[0-9a-f]+\$/, \"\", symbol)
					if (symbol in panics) { print symbol, \"in\", name; seen[symbol] = 1 }
				}
				END { for (s in panics) if (!(s in seen)) print s, \"in data\" }
			" /tmp/panics - | sort | uniq -c | c++filt
	' panics "$1" "$panic_names"
}

self_test() {
	local work=build/check-panics found
	mkdir -p "$repo/$work"
	# shellcheck disable=SC2016
	in_root bash -euc '
		cd "$1"
		compile() {
			echo "#![no_std] #[no_mangle] pub fn planted(a: &[u8], i: usize) -> u8 { $2 }" >"$1.rs"
			rustc --edition 2021 --crate-type lib --emit "obj=$1.o" -O \
				-C overflow-checks=y -C panic=abort -C symbol-mangling-version=v0 "$1.rs"
		}
		compile bounds "a[i]"
		compile overflow "a.len().wrapping_add(1) as u8 + i as u8"
		compile unwrap "*a.get(i).unwrap()"
		compile slice "a[i..].len() as u8"
		compile none "a.get(i).copied().unwrap_or(0)"
	' self-test "$work"
	for found in bounds overflow unwrap slice; do
		panic_references "$work/$found.o" | grep -q ' in planted' ||
			die "self-test: the panic planted in $found.rs was not found"
	done
	found=$(panic_references "$work/none.o")
	[ -z "$found" ] || die "self-test: a panic was found where there is none: $found"
	rm -r "${repo:?}/$work"
}

case ${1:-} in
-h | --help) usage; exit 0 ;;
--self-test)
	self_test
	shift
	[ $# != 0 ] || exit 0
	;;
esac

[ $# != 0 ] || set -- build/module/rust_tux.o
failed=0
for object in "$@"; do
	[ -e "$repo/$object" ] || die "no such object: $object (build it first)"
	found=$(panic_references "$object")
	if [ -n "$found" ]; then
		echo "$object can panic:"
		printf '%s\n' "$found"
		failed=1
	fi
done
exit $failed
