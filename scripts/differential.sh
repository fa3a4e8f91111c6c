#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# usage: scripts/differential.sh [--count N] [--seed N]
#
# Gives the same octets to our parser and to httparse, llhttp and h11, and
# compares where each finds the end of a message. The octets are those of
# tests/corpus and of the fuzzer's seeds, and what comes of changing them. Each
# class of disagreement is counted, and matched against
# tests/differential/explained.txt. One that is not explained there is printed
# with a short example, and makes this fail. The last line is "N passed, N
# failed", of rules that explain something and of classes unexplained.
#
#   --count N   cases (200000)
#   --seed N    seed of the changes (a random one, which is printed)
#
# Fetches httparse through cargo, h11 through pip, and llhttp, which the package
# undici brings, through npm; into build/differential, except cargo's. Where
# node, npm or pip are missing they are installed through apt (which needs root).

. "$(dirname "$0")/lib.sh"

h11=0.16.0
undici=7.30.2

count=200000
seed=
while [ $# != 0 ]; do
	case $1 in
	-h | --help) usage; exit 0 ;;
	--count) count=${2:-$count} && shift ;;
	--seed) seed=${2:-} && shift ;;
	*) die "no such option: $1" ;;
	esac
	shift
done
[ -n "$seed" ] || seed=$((RANDOM * 32768 + RANDOM))

host_packages node:nodejs npm:npm python3:python3 pip3:python3-pip

work=$build/differential
mkdir -p "$work"
if [ ! -e "$work/h11-$h11" ]; then
	step differential-h11 "Fetching h11 $h11 through pip" \
		pip3 install --quiet --no-deps --upgrade --target "$work/python" "h11==$h11"
	touch "$work/h11-$h11"
fi
if [ ! -e "$work/undici-$undici" ]; then
	step differential-llhttp "Fetching llhttp through npm (undici $undici)" \
		npm install --prefix "$work/node" --ignore-scripts --no-save --no-audit --no-fund "undici@$undici"
	touch "$work/undici-$undici"
fi
llhttp=$work/node/node_modules/undici/lib/llhttp/llhttp-wasm.js

rust_toolchain cc
where=cargo$suffix
at env CARGO_TARGET_DIR="$here/build/differential/$where" cargo build --quiet --release \
	--manifest-path "$here/tests/differential/Cargo.toml"
differential() {
	at "$here/build/differential/$where/release/differential" "$@"
}

# judge NAME: asks every parser about the cases of NAME.cases; $peers are for compare and shrink.
judge() {
	local name=$1
	differential judge ours "$here/build/differential/$name.cases" >"$work/$name.ours"
	differential judge httparse "$here/build/differential/$name.cases" >"$work/$name.httparse"
	node "$repo/tests/differential/llhttp.js" "$llhttp" "$work/$name.cases" >"$work/$name.llhttp" &
	PYTHONPATH=$work/python python3 "$repo/tests/differential/h11_peer.py" "$work/$name.cases" \
		>"$work/$name.h11"
	wait $!
	peers=()
	for peer in httparse llhttp h11; do
		peers+=("$peer=$here/build/differential/$name.$peer")
	done
}

# compare NAME: the classes of NAME.cases.
compare() {
	differential compare "$here/tests/differential/explained.txt" \
		"$here/build/differential/$1.cases" "$here/build/differential/$1.ours" "${peers[@]}"
}

texts=()
for text in "$repo"/tests/corpus/*.txt "$repo"/tests/fuzz/seeds/head.txt; do
	texts+=("$here/${text#"$repo/"}")
done
echo "$count cases, seed $seed"
differential generate "$seed" "$count" "$here/build/differential/all.cases" "${texts[@]}"
judge all
if compare all >"$work/report"; then
	cat "$work/report"
	exit 0
fi

# Each example is made shorter as long as it stays one of its class.
name=all
for round in 1 2 3 4 5 6; do
	differential shrink "$here/tests/differential/explained.txt" "$here/build/differential/$name.cases" \
		"$here/build/differential/$name.ours" "$here/build/differential/shorter-$round.cases" "${peers[@]}"
	name=shorter-$round
	judge $name
done
# Which classes there are, and how many of each, says the report; only examples are from here.
compare $name | grep -A 1 '^UNEXPLAINED' | sed 's/ ([0-9]* cases)$//; /^--$/d' || :
awk '/^UNEXPLAINED/ { getline; next } 1' "$work/report"
echo "To have these cases again: --seed $seed --count $count"
exit 1
