#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# usage: scripts/plant.sh [--list] [FAULT...]
#
# Sees that the selftests on the checking kernel find what they are there to
# find. A module with faults in it (src/linux/planted.rs) is tested as any is,
# with one fault at a time: the test must fail, and must say so in the words of
# the checker whose matter the fault is. Without a fault the same module passes,
# and no other build has anything of the faults. A fault that ends the machine,
# or lockdep, gets a machine of its own; the others share two, in an order that
# has KASAN, whose reports end lockdep, after what lockdep finds. A data race is
# planted on the kernel that looks for them; and one fault is met by a campaign
# (tests/torture), whose machine dies of it.
# What was said stays in build/plant. The last line is "N passed, N failed".
#
# environment: VM_JOBS=N   machines at a time (2)

. "$(dirname "$0")/lib.sh"

# FAULT MACHINE WORDS: what the output of the selftest has to match.
table() {
	cat <<'END'
none               one
unprotected_rcu    one  suspicious RCU usage
use_after_free     one  KASAN: slab-use-after-free
double_free        one  KASAN: double-free
out_of_bounds      one  KASAN: slab-out-of-bounds
sleep_in_atomic    one  BUG: sleeping function called from invalid context
refcount_underflow one  refcount_t: underflow
lost_listener      one  not ok .*(Address already in use|File exists)
soft_lockup        two  BUG: soft lockup
hung_task          two  blocked for more than
leaked_object      two  0xf[0-9a-f]* .*rust_tux.*planted
lost_connection    two  not ok .*kmemleak finds nothing
lost_sock          two  not ok .*kmemleak finds nothing
lock_inversion     own  possible circular locking dependency
held_mutex         own  lock held when returning to user space
held_spinlock      own  BUG: scheduling while atomic
list_corruption    own  list_del corruption
bounds_panic       own  index out of bounds: the len is 4
overflow_panic     own  attempt to add with overflow
stack_overflow     own  stack guard page was hit
data_race          own  KCSAN: data-race in .*count_for_now
campaign           own  Kernel panic - not syncing: KASAN
END
}

case ${1:-} in
-h | --help)
	usage
	exit 0
	;;
--list)
	table
	exit 0
	;;
esac

results=$build/plant
mkdir -p "$results"
# shellcheck disable=SC2046
[ $# != 0 ] || set -- $(table | cut -d' ' -f1)
for fault; do
	table | grep -q "^$fault " || die "no such fault: $fault (see --list)"
done
passed=0 failed=0
ok() {
	passed=$((passed + 1))
	echo "ok - $*"
}
not_ok() {
	failed=$((failed + 1))
	echo "not ok - $*"
}

# Any other build has neither the parameter nor a name of the faults.
for module in "$build"/module{,-debug,-kcsan}/rust-tux.ko; do
	[ -e "$module" ] || continue
	if grep -qaiE 'planted|leaked_object' "$module"; then
		not_ok "${module#"$repo"/} has nothing of the faults"
	else
		ok "${module#"$repo"/} has nothing of the faults"
	fi
done
known=$(sed -n 's/^    (c"\([a-z_]*\)", Fault.*/\1/p' "$repo/src/linux/planted.rs" | sort)
if [ "$known" = "$(table | cut -d' ' -f1 | grep -vxE 'none|campaign' | sort)" ]; then
	ok "each fault has its words"
else
	not_ok "each fault has its words"
fi

# judge FAULT FILE STATUS: what came of it, in FILE, of a machine that ended with STATUS.
judge() {
	local fault=$1 file=$2 status=$3 words said
	words=$(table | awk -v fault="$fault" '$1 == fault { $1 = $2 = ""; sub(/^ */, ""); print }')
	said=$(awk -v fault="$fault" '/^# planted: / { on = $3 == fault } on' "$file")
	if [ "$fault" = none ]; then
		if grep -q '^# end of selftests' <<<"$said" && ! grep -q '^not ok' <<<"$said"; then
			ok "without a fault the test passes"
			return
		fi
		not_ok "without a fault the test passes"
	else
		# A machine that died has said how at its end.
		if [ "$status" != 0 ] && grep -qE '^not ok|^the machine died' <<<"$said" && grep -qE "$words" <<<"$said"; then
			ok "$fault: $(grep -oEm1 "$words" <<<"$said")"
			return
		fi
		not_ok "$fault (status $status): nobody says \"$words\""
	fi
	grep -A20 '^not ok' <<<"$said" | head -n 60 | sed 's/^/# /'
}

# machine NAME FAULT...: tests each of them.
machine() {
	local name=$1 kernel=planted command='export TEST_ROUNDS=2' fault
	shift
	[ "$name" != data_race ] || kernel=kcsan-planted
	if [ "$name" = campaign ]; then
		echo "# planted: campaign"
		TEST_PLANTED=use_after_free exec "$repo/scripts/torture.sh" --kernel planted \
			--seconds 30 --seed 1 connections
	fi >"$results/$name.tap" 2>&1 </dev/null
	for fault; do
		command+="; echo '# planted: $fault'; export TEST_KMEMLEAK=no TEST_PLANTED=$fault"
		case $fault in
		none) command+="; TEST_PLANTED= TEST_KMEMLEAK=each" ;;
		leaked_* | lost_*) command+="; TEST_KMEMLEAK=each" ;;
		esac
		command+="; scripts/guest/selftests load_unload.sh"
	done
	exec "$repo/scripts/vm.sh" --kernel "$kernel" --timeout 2400 --log "$results/$name.log" \
		-- "$command" >"$results/$name.tap" 2>&1 </dev/null
}

jobs=${VM_JOBS:-2} pids=() names=()
trap 'kill "${pids[@]}" 2>/dev/null; wait; exit 130' INT TERM HUP
reap() {
	local status=0 fault
	wait "${pids[0]}" || status=$?
	for fault in ${names[0]#*:}; do
		judge "$fault" "$results/${names[0]%%:*}.tap" "$status"
	done
	pids=("${pids[@]:1}") names=("${names[@]:1}")
}
one='' two='' machines=()
while read -r fault machine _; do
	[[ " $* " == *" $fault "* ]] || continue
	case $machine in
	one) one="$one $fault" ;;
	two) two="$two $fault" ;;
	own) machines+=("$fault:$fault") ;;
	esac
done < <(table)
[ -z "$two" ] || machines=("two:$two" "${machines[@]}")
[ -z "$one" ] || machines=("one:$one" "${machines[@]}")
for machine in "${machines[@]}"; do
	while [ "${#pids[@]}" -ge "$jobs" ]; do
		reap
	done
	# shellcheck disable=SC2086
	machine "${machine%%:*}" ${machine#*:} &
	pids+=($!) names+=("$machine")
done
while [ "${#pids[@]}" != 0 ]; do
	reap
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
