#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# usage: scripts/torture.sh [OPTION]... [CAMPAIGN]...
#
# Runs torture campaigns (tests/torture/*.sh; without names: all) on the built
# module, each in a virtual machine of its own whose kernel dies of its first
# warning. What they did and found is printed as a table at the end, and stays
# in build/torture.txt. The last line is "N passed, N failed".
#
#   --kernel KIND       debug (the checking kernel, the default), stock, or
#                       another that scripts/vm.sh knows
#   --seconds N         for all of them together (600)
#   --seed N            what they do by chance; without it, another each time
#   --memory MIB        memory of each virtual machine (2048)
#   --together          one virtual machine for all of them, and one scan for
#                       leaks: what is quick, and finds less
#
# No campaign is begun after TEST_DEADLINE (seconds since 1970).

. "$(dirname "$0")/lib.sh"

kernel=debug seconds=600 memory=2048 together='' seed=$((EPOCHSECONDS % 1000000))
while [ $# != 0 ]; do
	case $1 in
	-h | --help) usage; exit 0 ;;
	--kernel) kernel=$2; shift ;;
	--seconds) seconds=$2; shift ;;
	--seed) seed=$2; shift ;;
	--memory) memory=$2; shift ;;
	--together) together=yes ;;
	-*) die "unknown option $1 (see --help)" ;;
	*) break ;;
	esac
	shift
done
all=("$repo"/tests/torture/*.sh)
all=("${all[@]##*/}")
campaigns=("$@")
[ $# != 0 ] || for name in "${all[@]%.sh}"; do
	[ "$name" = lib ] || campaigns+=("$name")
done
for name in "${campaigns[@]}"; do
	[ -x "$repo/tests/torture/$name.sh" ] || die "no such campaign: $name"
done

mkdir -p "$build/torture"
# Static: the guest's libraries may be older than this machine's.
rust_toolchain cc
at env CARGO_TARGET_DIR="$here/build/cargo-torture" RUSTFLAGS=-Ctarget-feature=+crt-static \
	cargo build --quiet --release --target x86_64-unknown-linux-gnu \
	--manifest-path "$here/tests/torture/Cargo.toml"

budget=$((seconds / ${#campaigns[@]}))
[ "$budget" -ge 5 ] || die "--seconds $seconds: less than 5 for each of ${#campaigns[@]} campaigns"
printf '%-16s %-8s %8s %10s %12s  %s\n' campaign kernel seed seconds operations result >"$build/torture.txt"

# of NAME FILE: what FILE has of the campaign of that name.
of() {
	awk -v name="$1.sh" '/^# selftest: / { on = substr($0, length($0) - length(name)) == "/" name } on' "$2"
}

machines=("${campaigns[@]}")
[ -z "$together" ] || machines=("${campaigns[*]}")
passed=0 failed=0
for machine in "${machines[@]}"; do
	if [ -n "${TEST_DEADLINE:-}" ] && [ "$EPOCHSECONDS" -ge "$TEST_DEADLINE" ]; then
		echo "# $machine: SKIP no time is left for it"
		continue
	fi
	read -r -a names <<<"$machine"
	scripts=("${names[@]/#/../torture/}")
	limit=$((budget * 2 + 600))
	log=${names[0]}
	[ -z "$together" ] || log=together
	tap=$build/torture/$log.tap
	set +e
	TEST_SECONDS=$budget TEST_SEED=$seed TEST_TIMEOUT=$limit \
		"$repo/scripts/vm.sh" --kernel "$kernel" --memory "$memory" --timeout $((limit * ${#names[@]} + 300)) \
		--log "$build/torture/$log.log" --append panic_on_warn=1 \
		-- "exec scripts/guest/selftests ${scripts[*]/%/.sh}" 2>&1 | tee "$tap"
	status=${PIPESTATUS[0]}
	set -e
	grep -q '^# end of selftests' "$tap" ||
		echo "not ok - the virtual machine did not finish (status $status, kernel log: build/torture/$log.log)" |
		tee -a "$tap"
	[ "$status" = 0 ] || grep -q '^not ok' "$tap" ||
		echo "not ok - the virtual machine ended with status $status" | tee -a "$tap"
	p=$(grep -E '^ok' "$tap" | grep -cv '# SKIP' || :)
	f=$(grep -c '^not ok' "$tap" || :)
	passed=$((passed + p)) failed=$((failed + f))
	# What is found when all have ended counts for the last one that was begun.
	for name in "${names[@]}"; do
		of "$name" "$tap" >"$tap.one"
		read -r s o < <(sed -n 's/^# torture: .* seconds \([0-9]*\) operations \([0-9]*\)$/\1 \2/p' "$tap.one"; echo - -)
		result=pass
		f=$(grep -c '^not ok' "$tap.one" || :)
		[ "$f" = 0 ] || result="$f failed"
		! grep -q '^1\.\.0 # SKIP' "$tap.one" || result=skipped
		grep -q '^# selftest' "$tap.one" || result="not run"
		printf '%-16s %-8s %8s %10s %12s  %s\n' "$name" "$kernel" "$seed" "$s" "$o" "$result" >>"$build/torture.txt"
	done
	rm "$tap.one"
done
cat "$build/torture.txt"
if [ $((passed + failed)) = 0 ]; then
	echo "not ok - no campaign was run"
	failed=1
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
