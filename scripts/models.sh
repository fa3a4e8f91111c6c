#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# usage: scripts/models.sh [--preemptions N] [--only-planted | --no-planted] [MODEL...]
#        scripts/models.sh --fits
#
# Tries what contexts share in each order that there can be: the sources of the
# run queue, of accepting, of work items and of those who wait for others', of the
# configuration and of start and stop, compiled for this machine over loom
# (tests/models). Then plants the mistakes of tests/models/planted.txt, one after
# the other, each of which its model must find. The last line is "N passed, N
# failed", of models and mistakes.
#
#   --preemptions N   try all orders in which threads are taken from the processor
#                     up to N times against their will, in place of what each
#                     model has (1 to 3); 3 takes minutes for most
#   --only-planted    only look whether the mistakes are found
#   --no-planted      don't
#   --fits            only look whether the mistakes are still to be had from the sources
#
# Uses this machine's cargo if it is 1.85 or newer, else that of the build root.
# The crates come through cargo.

. "$(dirname "$0")/lib.sh"

real=1 planted=1 fits='' preemptions=''
models=()
while [ $# != 0 ]; do
	case $1 in
	-h | --help) usage; exit 0 ;;
	--preemptions) preemptions=${2:?--preemptions needs a number} && shift ;;
	--only-planted) real= ;;
	--no-planted) planted= ;;
	--fits) fits=1 ;;
	-*) die "no such option: $1" ;;
	*) models+=("$1") ;;
	esac
	shift
done

mkdir -p "$build/models"

# compile DIRECTORY: makes the models of a tree; what runs them is then $binary. The sources use
# features that the kernel is built with.
compile() {
	at env RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="$here/build/$where" cargo test --lib --no-run \
		--manifest-path "$here/$1/tests/models/Cargo.toml" >"$build/models/cargo.log" 2>&1 || {
		cat "$build/models/cargo.log"
		die "the models don't compile"
	}
	binary=$(sed -n 's/^ *Executable .*(\(.*\))$/\1/p' "$build/models/cargo.log")
	case $binary in
	/*) ;;
	*) binary=$here/build/${binary#*build/} ;;
	esac
}

# model NAME PLANTED: runs a model; what it says is then in $output.
model() {
	local status=0
	output=$(at env RUST_BACKTRACE=0 RUST_TUX_PLANTED="$2" ${preemptions:+MODEL_PREEMPTIONS="$preemptions"} \
		timeout "${MODEL_TIMEOUT:-3600}" "$binary" --exact --nocapture "models::$1" 2>&1) || status=$?
	return $status
}

# plant: makes a copy of the sources in build/models/planted in which each mistake is made if the
# environment names it.
plant() {
	local to=$build/models/planted file
	mkdir -p "$to/tests"
	rm -rf "$to/src" "$to/tests/models"
	cp -r "$repo/src" "$to/src"
	cp -r "$repo/tests/models" "$to/tests/models"
	while read -r file; do
		awk -F'\t' -v wanted="$file" '
			# The occurrence number `which` of `text` in `all`; 0 if it is not there, or not alone.
			function place(text, which,    at, found, first, number) {
				for (at = 1; (found = index(substr(all, at), text)) > 0; at = found + length(text)) {
					found += at - 1
					number++
					if (number == which || !which) first = found
				}
				return !which && number != 1 ? 0 : first
			}
			FNR == NR && $1 == "name" { name = $2 }
			FNR == NR && $1 == "file" { file = $2; which = $3 }
			FNR == NR && $1 == "-" { old = substr($0, 3) }
			FNR == NR && $1 == "+" && file == wanted {
				count++
				names[count] = name; olds[count] = old; whiches[count] = which; news[count] = substr($0, 3)
			}
			FNR == NR { next }
			{ all = all $0 "\n" }
			END {
				for (i = 1; i <= count; i++) {
					at = place(olds[i], whiches[i])
					if (!at) {
						print wanted ": not there, or more than once: " olds[i] >"/dev/stderr"
						exit 1
					}
					olds[at] = olds[i]
					chain[at] = chain[at] "if kernel::planted(\"" names[i] "\") { " news[i] " } else "
				}
				for (at = 1; at <= length(all); at++) {
					if (at in chain) {
						printf "(%s{ %s })", chain[at], olds[at]
						at += length(olds[at]) - 1
					} else {
						printf "%s", substr(all, at, 1)
					}
				}
			}' "$repo/tests/models/planted.txt" "$repo/$file" >"$to/$file" ||
			die "tests/models/planted.txt doesn't fit the sources"
	done < <(awk -F'\t' '$1 == "file" { print $2 }' "$repo/tests/models/planted.txt" | sort -u)
}

# wanted MODEL: whether it was asked for.
wanted() {
	[ "${#models[@]}" = 0 ] || [[ " ${models[*]} " == *" $1 "* ]]
}

if [ -n "$fits" ]; then
	plant
	exit 0
fi
rust_toolchain cc
where=cargo$suffix
passed=0 failed=0
if [ -n "$real" ]; then
	compile .
	while read -r name; do
		wanted "$name" || continue
		if model "$name" ""; then
			passed=$((passed + 1))
			echo "ok      $(grep "^$name: " <<<"$output")"
		else
			failed=$((failed + 1))
			echo "FAILED  $name"
			printf '%s\n' "$output" | grep . | sed 's/^/        /'
		fi
	done < <(at "$binary" --list | sed -n 's/^models::\(.*\): test$/\1/p')
fi
if [ -n "$planted" ]; then
	plant
	compile build/models/planted
	while IFS=$'\t' read -r name model message why; do
		wanted "$model" || continue
		if model "$model" "$name"; then
			failed=$((failed + 1))
			echo "FAILED  $model doesn't find $name: $why"
		elif ! grep -qF -- "$message" <<<"$output"; then
			failed=$((failed + 1))
			echo "FAILED  $model finds something else than $name ($message):"
			printf '%s\n' "$output" | grep . | sed 's/^/        /'
		else
			passed=$((passed + 1))
			echo "ok      $model finds $name: $why"
		fi
	done < <(awk -F'\t' '$1 == "name" { print $2 "\t" $3 "\t" $4 "\t" why } { why = $0 }' \
		"$repo/tests/models/planted.txt")
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" != 0 ]
