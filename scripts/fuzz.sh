#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# usage: scripts/fuzz.sh [OPTION...] [TARGET...]
#
# Fuzzes the protocol layer with libFuzzer, a target after the other: all of
# tests/fuzz/targets, or those named. Begins with the seeds of tests/fuzz/seeds
# and with what earlier runs left in build/fuzz/TARGET. Stops at the first input
# that breaks something; it is kept in build/fuzz, and its path is printed. The
# last line is "N passed, N failed", of targets.
#
#   --runs N      executions of each target (200000)
#   --seconds N   at most so long for each target (no limit)
#   --seed N      seed of the mutations (1)
#   --coverage    also say how much of src/http all inputs reach; in the build
#                 root, whose compiler has the tools for it
#   --keep        rewrite the seeds: few inputs that reach as much as all
#   --list        names of the targets
#
# Uses this machine's cargo if it is 1.85 or newer and there is a C++ compiler,
# else those of the build root. Any Rust will do, a nightly one isn't needed.
# The crates come through cargo.

. "$(dirname "$0")/lib.sh"

runs=200000
seconds=0
seed=1
keep=
coverage=
targets=()
while [ $# != 0 ]; do
	case $1 in
	-h | --help) usage; exit 0 ;;
	--runs) runs=${2:-200000} && shift ;;
	--seconds) seconds=${2:-0} && shift ;;
	--seed) seed=${2:-1} && shift ;;
	--keep) keep=1 ;;
	--coverage) coverage=1 ;;
	--list) sed -n 's/^path = "targets\/\(.*\)\.rs"/\1/p' "$repo/tests/fuzz/Cargo.toml" | grep -vx seeds; exit 0 ;;
	-*) die "no such option: $1" ;;
	*) targets+=("$1") ;;
	esac
	shift
done
[ "${#targets[@]}" != 0 ] || mapfile -t targets < <("$0" --list)

# longest TARGET: octets of the longest input. What is interesting is short.
longest() {
	case $1 in
	date | coding | range) echo 64 ;;
	authority) echo 64 ;;
	target) echo 96 ;;
	chunked) echo 128 ;;
	*) echo 192 ;;
	esac
}

# What rustc is to do for libFuzzer; cargo-fuzz asks it for the same.
instrument="-Cpasses=sancov-module -Ccodegen-units=1 --cfg fuzzing"
for option in level=4 inline-8bit-counters pc-table trace-compares; do
	instrument="$instrument -Cllvm-args=-sanitizer-coverage-$option"
done

rust_toolchain c++
where=cargo-fuzz$suffix
cxx=c++
[ -z "$suffix" ] || cxx=clang++-$(fact llvm)
machine=x86_64-unknown-linux-gnu
mkdir -p "$build/fuzz"

# cargo_build FLAGS WHERE: makes all targets; the binaries are then in $bin.
cargo_build() {
	at env CARGO_TARGET_DIR="$here/build/$2" CXX="$cxx" RUSTFLAGS="$1" \
		cargo build --quiet --release --target $machine --manifest-path "$here/tests/fuzz/Cargo.toml"
	bin=$here/build/$2/$machine/release
}

cargo_build "$instrument" $where

# unpack TARGET: its seeds as files, in build/fuzz/seeds/TARGET. Heads are also those of the corpus.
unpack() {
	local texts=("$repo/tests/fuzz/seeds/$1.txt")
	rm -rf "$build/fuzz/seeds/$1"
	mkdir -p "$build/fuzz/seeds/$1" "$build/fuzz/$1"
	[ "$1" != head ] || texts+=("$repo"/tests/corpus/*.txt)
	[ ! -e "${texts[0]}" ] ||
		at "$bin/seeds" unpack "$here/build/fuzz/seeds/$1" "${texts[@]/#"$repo"/"$here"}"
}

# fuzz TARGET: its output goes to build/fuzz/TARGET.log.
fuzz() {
	at "$bin/$1" -seed="$seed" -runs="$runs" -max_total_time="$seconds" -max_len="$(longest "$1")" \
		-timeout=10 -rss_limit_mb=1024 -print_final_stats=1 -dict="$here/tests/fuzz/http.dict" \
		-artifact_prefix="$here/build/fuzz/$1-" \
		"$here/build/fuzz/$1" "$here/build/fuzz/seeds/$1" >"$build/fuzz/$1.log" 2>&1
}

# keep TARGET: makes the fewest inputs that cover as much its seeds.
keep() {
	rm -rf "$build/fuzz/kept"
	mkdir -p "$build/fuzz/kept"
	at "$bin/$1" -set_cover_merge=1 -use_counters=0 -max_len="$(longest "$1")" "$here/build/fuzz/kept" \
		"$here/build/fuzz/seeds/$1" "$here/build/fuzz/$1" >"$build/fuzz/$1-merge.log" 2>&1
	{
		echo "# SPDX-License-Identifier: GPL-2.0"
		at "$bin/seeds" pack "$here/build/fuzz/kept"
	} >"$build/fuzz/kept.txt"
	mv "$build/fuzz/kept.txt" "$repo/tests/fuzz/seeds/$1.txt"
	say "$1: $(grep -vc '^#' "$repo/tests/fuzz/seeds/$1.txt") seeds"
}

passed=0
failed=0
for target in "${targets[@]}"; do
	[ -e "$repo/tests/fuzz/targets/$target.rs" ] || die "no such target: $target"
	unpack "$target"
	log=$build/fuzz/$target.log
	if fuzz "$target"; then
		passed=$((passed + 1))
		echo "ok      $target: $(sed -n 's/^Done //p' "$log"), $(
			sed -n 's/^#[0-9]*[[:space:]]*DONE *\(cov: [0-9]* ft: [0-9]*\).*/\1/p' "$log"
		)"
		[ -z "$keep" ] || keep "$target"
	else
		failed=$((failed + 1))
		echo "FAILED  $target (seed $seed)"
		grep -aE -A 3 'panicked at|ERROR: libFuzzer|written to' "$log" | sed 's/^/        /'
	fi
done

if [ -n "$coverage" ]; then
	# The tools must fit the compiler, and the build root has both.
	"$repo/scripts/prepare.sh" root
	at() { in_root "$@"; }
	here=/repo
	cxx=clang++-$(fact llvm)
	cargo_build "-Cinstrument-coverage -Ccodegen-units=1 --cfg fuzzing" cargo-fuzz-coverage
	objects=()
	profiles=()
	for target in "${targets[@]}"; do
		profile=$here/build/fuzz/$target.profraw
		at env LLVM_PROFILE_FILE="$profile" "$bin/$target" -runs=0 \
			"$here/build/fuzz/$target" "$here/build/fuzz/seeds/$target" >/dev/null 2>&1
		objects+=(-object "$bin/$target")
		profiles+=("$profile")
	done
	at "llvm-profdata-$(fact llvm)" merge -sparse "${profiles[@]}" -o "$here/build/fuzz/all.profdata"
	at "llvm-cov-$(fact llvm)" report "${objects[@]:1}" -instr-profile="$here/build/fuzz/all.profdata" \
		--sources "$here/src/http" "$here/src/http.rs"
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
