#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# usage: scripts/lint.sh [--fix] [CHECK...]
#
# Checks what the compiler does not. All checks are run, also when one fails;
# what a check prints says what to mend. CHECK is one of those listed by --list.
#
#   --fix    format the Rust sources, and nothing else
#   --list   names of the checks

. "$(dirname "$0")/lib.sh"

cd "$repo"
checks=(clippy rustfmt comments panics stack layers sysctls selftests models shellcheck heads hosts paths subjects)

# tracked PATTERN...: files of the repository, also those not added yet.
tracked() {
	git ls-files --cached --others --exclude-standard -- "$@" |
		while IFS= read -r file; do [ ! -f "$file" ] || echo "$file"; done
}

# code FILE: its code lines, as FILE:NUMBER:LINE, without comments.
code() {
	sed 's,//.*,,' "$1" | grep -n . | sed "s,^,$1:,"
}

# none: fails if there is anything on standard input, and prints it.
none() {
	! grep .
}

check_clippy() { # the kernel's lints, warnings are errors
	scripts/build.sh clippy >"$build/clippy.log" 2>&1 || {
		grep -vE '^ +[A-Z]+ |^make' "$build/clippy.log"
		return 1
	}
}

rust_roots() {
	tracked rust_tux.rs 'tests/host.rs' 'tests/host/*.rs' 'tests/fuzz/*.rs' 'tests/differential/*.rs' \
		'tests/bench/*.rs' 'tests/models/*.rs' 'tests/torture/*.rs' 'tools/*.rs'
}

check_rustfmt() { # the kernel's format
	rust_roots | xargs -r -d '\n' env TERM=dumb scripts/in-root rustfmt --check
}

check_comments() { # no line of them is longer than 100 columns: rustfmt leaves those alone
	tracked '*.rs' | xargs -r -d '\n' grep -nE '^ *//.*' /dev/null | awk '
		{ line = $0; sub(/^[^:]*:[0-9]*:/, "", line) }
		length(line) > 100 { print "too long: " $0 }' | none
}

check_panics() { # nothing in the object can panic
	scripts/build.sh >"$build/build.log" 2>&1 || {
		cat "$build/build.log"
		return 1
	}
	scripts/check-panics.sh --self-test build/module/rust_tux.o
}

check_stack() { # how deep our own functions go
	# check_panics has built it.
	# shellcheck disable=SC2016
	scripts/in-root bash -c 'objdump -dr --no-show-raw-insn build/module/rust_tux.o | c++filt |
		scripts/check-stack.py' >"$build/stack.txt" || {
		cat "$build/stack.txt"
		return 1
	}
}

check_layers() { # unsafe in src/linux only; src/http knows core only; none looks up
	local file
	{
		for file in $(tracked 'src/http*' rust_tux.rs 'src/server*'); do
			code "$file" | grep -E '\bunsafe\b' |
				sed 's/$/	<- unsafe belongs in src\/linux/'
		done
		for file in $(tracked 'src/http*'); do
			code "$file" | grep -vE '^[^:]*:[0-9]*:.*\bcfg\(test\)' |
				grep -E '\b(kernel|bindings|alloc)::|crate::(linux|server)|extern crate (alloc|kernel)' |
				sed 's/$/	<- src\/http uses core only/'
		done
		for file in $(tracked 'src/linux*.rs' 'src/linux/*.rs'); do
			code "$file" | grep -E 'crate::(http|server)' |
				sed 's/$/	<- src\/linux knows no other layer/'
		done
		for file in $(tracked 'src/server*'); do
			code "$file" | grep -E '\bbindings::' |
				sed 's/$/	<- bindings are private to src\/linux/'
		done
		if [ -e src/server.rs ] && ! grep -q 'forbid(unsafe_code)' src/server.rs rust_tux.rs; then
			echo "src/server.rs: no forbid(unsafe_code)"
		fi
		if [ -e src/http.rs ] && ! grep -q 'forbid(unsafe_code)' src/http.rs rust_tux.rs; then
			echo "src/http.rs: no forbid(unsafe_code)"
		fi
	} | none
}

# Names of the knobs: the c"name" literals in the arrays of knobs.rs.
sysctl_names() {
	[ ! -e src/server/knobs.rs ] || sed 's,//.*,,' src/server/knobs.rs |
		grep -E '&\[c"' | grep -oE 'c"[^"]*"' | cut -d'"' -f2 | sort -u
}

check_sysctls() { # every knob is documented, and every knob and parameter tortured
	local name names
	{
		for name in $(sysctl_names); do
			grep -qE "(^|\`|, )$name(\$|\`|,)" Documentation/sysctl.rst 2>/dev/null ||
				echo "sysctl $name is not in Documentation/sysctl.rst"
			grep -qE "^ +\(&\[.*\"$name\"" tests/torture/programs/sysctls.rs ||
				echo "sysctl $name is not in tests/torture/programs/sysctls.rs"
		done
		names=$(sed -n 's/^\t*names=(\(.*\))$/\1/p' tests/torture/sysctls.sh)
		for name in $(sed -nE 's/^        ([a-z_]+): u[0-9]+ \{$/\1/p; s/^    ([a-z_]+), "rust_tux".*/\1/p' rust_tux.rs); do
			[ "$name" = planted ] || grep -qw "$name" <<<"$names" ||
				echo "parameter $name is not in tests/torture/sysctls.sh"
		done
	} | none
}

check_selftests() { # executable, and listed in their Makefile
	local file listed
	listed=$(awk '{ sub(/#.*/, "") }
		$1 == "TEST_PROGS" { on = 1; $1 = $2 = "" }
		on { more = sub(/\\$/, ""); print; on = more }' tests/selftests/Makefile)
	{
		for file in $(tracked 'tests/selftests/*.sh'); do
			file=${file##*/}
			[ "$file" != lib.sh ] || continue
			[ -x "tests/selftests/$file" ] || echo "tests/selftests/$file is not executable"
			grep -qw -- "$file" <<<"$listed" ||
				echo "tests/selftests/$file is not listed in tests/selftests/Makefile"
		done
		for file in $listed; do
			[ -e "tests/selftests/$file" ] ||
				echo "tests/selftests/Makefile lists $file, which is not there"
		done
	} | none
}

check_models() { # the mistakes that models must find can still be made
	scripts/models.sh --fits
}

check_shellcheck() { # the scripts and selftests
	{
		tracked 'scripts/*.sh' 'scripts/guest/*' 'tests/*.sh' .ci/run
		tracked 'scripts/*' | while read -r file; do
			! head -n 1 "$file" | grep -q '^#!.*sh' || echo "$file"
		done
	} | sort -u | xargs -r -d '\n' scripts/in-root shellcheck --severity=warning
}

check_heads() { # a licence identifier at the head of every file
	tracked | while IFS= read -r file; do
		case $file in
		site/* | LICENSE* | COPYING | *.lock | tests/corpus/* | tests/selftests/settings | tests/selftests/config) continue ;;
		esac
		head -n 4 "$file" | grep -q 'SPDX-License-Identifier: ' || echo "$file: no SPDX-License-Identifier"
	done | none
}

check_hosts() { # no address of an archive, no path of one machine
	tracked | grep -v '\.lock$' | xargs -r -d '\n' grep -nIE \
		-e '(deb|security|ftp[.a-z]*|snapshot|archive)\.debian\.org' \
		-e '(index\.|static\.)?crates\.io/|pypi\.org|registry\.npmjs' \
		-e '(^|[^a-zA-Z0-9_/.$}{-])/(work|tmp/w)(/|[^a-zA-Z0-9_/-]|$)' \
		-e '/(root|home)/[a-z.]' /dev/null | none
}

check_paths() { # what the documentation names is there
	tracked 'Documentation/*.rst' README.md | xargs -r -d '\n' grep -HoE '`(tests|scripts|src|debug-kernel)/[A-Za-z0-9_./-]+`' |
		tr -d '`' | while IFS=: read -r file path; do
			[ -e "$path" ] || echo "$file: there is no $path"
		done | none
}

check_subjects() { # "layer: what it does", 72 columns, signed off
	git rev-parse -q --verify HEAD >/dev/null 2>&1 || return 0
	git log --no-merges -n 30 --format='%h%x09%s%x09%(trailers:key=Signed-off-by,valueonly,separator=%x2C)' |
		awk -F'\t' '
			length($2) > 72 { print $1 ": subject is longer than 72 columns: " $2 }
			$2 !~ /^[A-Za-z0-9._\/,*{}-]+: [^ ].*[^.]$/ { print $1 ": subject is not \"layer: what it does\": " $2 }
			$3 == "" { print $1 ": no Signed-off-by: " $2 }' | none
}

summary() {
	local file
	echo "Unsafe blocks, functions and impls per file:"
	for file in $(tracked 'src/*.rs' rust_tux.rs); do
		printf '%6d  %s\n' "$(code "$file" | grep -oE '\bunsafe\b' | wc -l)" "$file"
	done | awk '$1 { print; total += $1 } END { printf "%6d  in all\n", total }'
	echo "Stack of our own functions:"
	sed 's/^/  /' "$build/stack.txt"
	for file in $(tracked 'src/*' rust_tux.rs 'scripts/*' 'tests/*.rs' 'tests/*.sh'); do
		awk -v f="$file" 'END { if (NR > 500) print "note: " f " has " NR " lines: look for its second subject" }' "$file"
	done
}

case ${1:-} in
-h | --help) usage; exit 0 ;;
--list)
	sed -n 's/^check_\([a-z]*\)() { # \(.*\)/\1: \2/p' "$0"
	exit 0
	;;
--fix)
	"$repo/scripts/prepare.sh" root
	rust_roots | xargs -r -d '\n' scripts/in-root rustfmt
	exit 0
	;;
esac

[ $# != 0 ] || set -- "${checks[@]}"
"$repo/scripts/prepare.sh" root
mkdir -p "$build"
failed=()
for check in "$@"; do
	if output=$("check_$check" 2>&1); then
		echo "ok      $check"
	else
		echo "FAILED  $check"
		printf '%s\n' "$output" | sed 's/^/        /'
		failed+=("$check")
	fi
done
summary
if [ "${#failed[@]}" != 0 ]; then
	echo "lint: failed: ${failed[*]}"
	exit 1
fi
echo "lint: clean"
