#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The module comes and goes, the server is stopped and started by several at
# once, while thousands of connections are in every state, sockets are destroyed,
# others want the port, listen beside it, or are handed connections. How many
# rounds there were is printed: a thousand take an hour and more where processors are
# emulated and shared.

. "$(dirname "$0")/lib.sh"

client_network || skip_all "no network namespace"
ip route add 198.18.0.0/15 via 192.0.2.2 dev server
must_set_for_now /proc/sys/net/ipv4/tcp_migrate_req 1
must_set_for_now /proc/sys/net/ipv4/tcp_fin_timeout 3
must_set_for_now /proc/sys/net/ipv4/tcp_orphan_retries 1
must_set_for_now /proc/sys/net/ipv4/tcp_synack_retries 1
must_set_for_now /proc/sys/net/ipv4/tcp_tw_reuse 1
must_set_for_now /proc/sys/net/ipv4/tcp_fastopen 1543

# A disk that is slow to read, and whose files are forgotten all the time: some
# requests wait for it.
slow_disk() {
	modprobe dm_delay 2>/dev/null
	mapped rust_tux "0 524288 linear $1 0" || return
	mkfs.ext4 -q -F -O ^has_journal "$device" && mount -o noatime "$device" "$docroot/cold" || bail_out "no disk"
	at_exit umount -l "$docroot/cold"
	chmod 755 "$docroot/cold"
}
docroot_on_disk
mkdir "$docroot/cold"
[ ! -b "${RUST_TUX_SCRATCH:-}" ] || slow_disk "$RUST_TUX_SCRATCH"
remember_sockets
run site
sync
if [ -n "${device:-}" ] && dmsetup reload rust_tux \
	--table "0 524288 delay $RUST_TUX_SCRATCH 0 50 $RUST_TUX_SCRATCH 0 0" 2>/dev/null; then
	dmsetup suspend --noudevsync rust_tux
	dmsetup resume --noudevsync rust_tux
else
	echo "# no device that delays: nobody waits long for a file"
fi

# While there is a file $tmp/NAME: that many processes at once.
background() {
	local name=$1
	shift
	touch "$tmp/$name"
	(
		while [ -e "$tmp/$name" ]; do
			"$@" >/dev/null 2>&1
			sleep "0.$((RANDOM % 4))"
		done
	) &
	others+=($!)
}
others=()
crowds=()
# They have the processors while nobody else wants them: else a round would be spent
# waiting for insmod.
start_traffic() {
	for n in 1 2; do
		TEST_SEED=$((TEST_SEED * 10 + n)) TEST_SECONDS=$1 crowd=1500 \
			nice -n 19 "$torture/bin/crowd" >"$tmp/crowd.$n" 2>&1 &
		crowds+=($!)
	done
	server=192.0.2.1 TEST_SECONDS=$1 rate=100 in_client nice -n 19 "$torture/bin/flood" >"$tmp/flood" 2>&1 &
	crowds+=($!)
	TEST_SECONDS=$1 "$torture/bin/reuseport" steal >"$tmp/steal" 2>&1 &
	crowds+=($!)
	TEST_SECONDS=$1 "$torture/bin/backing" $backing >"$tmp/backing" 2>&1 &
	crowds+=($!)
}
backing=8081
end_others() {
	rm -f "$tmp"/on.*
	[ ${#others[@]} = 0 ] || wait "${others[@]}"
	others=()
}

connections_open() {
	awk '$1 == "connections_open" { print $2 }' /proc/net/http/stat
}

# How often the server has started since the machine was booted.
starts() {
	dmesg | grep -c 'rust_tux: serving'
}

# somehow COMMAND...: one that can't begin because another listens on the port has
# done nothing wrong: it is tried again. What it says is in $tmp/somehow.
somehow() {
	local try
	for try in $(seq 100); do
		! "$@" 2>"$tmp/somehow" || return 0
		[ ! -s "$tmp/insmod" ] || cat "$tmp/insmod" >>"$tmp/somehow"
		grep -q "in use" "$tmp/somehow" || break
		stolen=$((stolen + 1))
		sleep 0.05
	done
	not_ok "$1 works ($try)" "$(cat "$tmp/somehow")" "$(dmesg | tail -n 3)"
	return 1
}

# What a round has of a backing server, and for how long it waits for who is
# answered.
set_by_chance() {
	random 2
	[ "$REPLY" = 0 ] || sysctl_set clientport $backing
	random 2
	sysctl_set handoff_timeout "$REPLY"
	random 8
	[ "$REPLY" != 0 ] || sysctl_set all_userspace 1
	random 6
	[ "$REPLY" -le 2 ] || REPLY=0
	sysctl_set drain_timeout "$REPLY"
}

# The module's own, before there is traffic: nobody gets into a group with it.
if "$torture/bin/reuseport" on 2>"$tmp/bpf"; then
	at_exit "$torture/bin/reuseport" off
	load
	run reuseport join
	unload
else
	skip "nobody listens beside the server" "$(tail -n 1 "$tmp/bpf")"
fi

torture_begin=$EPOCHSECONDS
rounds=0 stolen=0 largest=0 kills=0 destroyed=0 failures=$tap_failed before=$(starts)
# Where the time goes, in microseconds.
coming=0 there=0 going=0
lap() {
	local now=${EPOCHREALTIME/./}
	printf -v "$1" %d $((${!1} + now - lap_begin))
	lap_begin=$now
}
lap_begin=${EPOCHREALTIME/./}
start_traffic $((TEST_SECONDS - 2))
while time_is_left && [ "$tap_failed" = "$failures" ]; do
	random 4
	threads=$REPLY
	random 9
	backlog=$((4 << REPLY))
	random 2
	takeover=$REPLY
	random 2
	start=$REPLY
	somehow try_load threads=$threads backlog=$backlog takeover="$takeover" start="$start" || break
	set_by_chance
	somehow sysctl_set start 1 || break
	lap coming
	# Children that wait to be accepted: few are admitted.
	random 4
	[ "$REPLY" != 0 ] || { random 50; sysctl_set max_connect $((REPLY + 1)); }
	random 3
	[ "$REPLY" != 0 ] || sysctl_set linger_timeout 1
	random 10
	[ $((rounds % 20)) != 0 ] || REPLY=many
	case $REPLY in
	0 | 1 | 2)
		# Several that start and stop it.
		for n in 1 2 3; do
			background on.$n sysctl_set stop 1
			background on.$n sysctl_set start 1
		done
		sleep 0.4
		;;
	3 | 4)
		background on.kill ss -K "sport = :$port"
		background on.kill ss -K -l "sport = :$port"
		sleep 0.4
		destroyed=$((destroyed + $(awk '$1 == "listener_repairs" { print $2 }' /proc/net/http/stat)))
		kills=$((kills + 1))
		;;
	many)
		# As many as come in a part of the time: one round has the most of it.
		sysctl_set max_connect 10000
		deadline=$((EPOCHSECONDS + (TEST_SECONDS < 900 ? TEST_SECONDS / 6 : 150)))
		[ $largest = 0 ] || deadline=$((EPOCHSECONDS + TEST_SECONDS / 180))
		while [ $EPOCHSECONDS -lt $deadline ] && [ "$(connections_open)" -lt 2500 ]; do
			sleep 0.5
		done
		n=$(connections_open)
		[ "$n" -le $largest ] || largest=$n
		;;
	5)
		# Two that remove it: one of them is late.
		sleep 0.1
		rmmod rust_tux 2>/dev/null &
		others+=($!)
		;;
	*) random 6; sleep "0.$REPLY" ;;
	esac
	lap there
	# They go on while it is removed, or don't.
	[ $((rounds % 2)) = 0 ] || end_others
	[ $((rounds % 8)) != 7 ] || echo 3 >/proc/sys/vm/drop_caches
	for _ in $(seq 600); do
		loaded || break
		rmmod rust_tux 2>"$tmp/rmmod" && break
		# Somebody writes to a sysctl, or another removes it: if that is half done, rmmod says one of
		# these, or nothing.
		[ ! -s "$tmp/rmmod" ] ||
			grep -qE "in use|not currently loaded|not supported|Resource temporarily" "$tmp/rmmod" || {
			not_ok "the module goes" "$(cat "$tmp/rmmod")"
			break
		}
		sleep 0.1
	done
	! loaded || not_ok "the module goes in a minute" "$(cat "$tmp/rmmod")" "$(lsmod | grep rust_tux)"
	end_others
	lap going
	rounds=$((rounds + 1))
done
end_others
echo "# ms of a round: $((coming / (rounds + 1) / 1000)) until it serves, $((there / (rounds + 1) / 1000)) of traffic, $((going / (rounds + 1) / 1000)) until it is gone"
started=$(($(starts) - before))
operations_done $((rounds + started))
echo "# rounds: $rounds, in them $started starts, the port was another's $stolen times, $largest connections at once"
echo "# listening sockets that were destroyed, and made again: $destroyed in $kills rounds"
[ "$kills" -lt 10 ] || isnt_like "listening sockets were destroyed" "$destroyed" '^0$'
for n in 1 2; do
	wait "${crowds[$((n - 1))]}" || not_ok "crowd $n ends well" "$(tail -n 5 "$tmp/crowd.$n")"
	sed -n 's/^# [0-9]/&/p' "$tmp/crowd.$n"
	is "crowd $n finds nothing wrong" "$(grep -A5 '^not ok' "$tmp/crowd.$n")" ""
	operations_done "$(sed -n 's/^# operations: //p' "$tmp/crowd.$n")"
done
n=2
for name in flood steal backing; do
	wait "${crowds[n]}" || not_ok "$name ends well" "$(tail -n 5 "$tmp/$name")"
	n=$((n + 1))
done
is "segments of the flood were sent" "$(grep -o '^ok .*' "$tmp/flood")" "ok segments were sent"
cat "$tmp/steal" "$tmp/backing"
[ "$rounds" -lt 10 ] || {
	like "the port was another's" "$(cat "$tmp/steal")" "^# the port was stolen [1-9]"
	like "connections were handed over" "$(cat "$tmp/backing")" "^# [1-9]"
}
# A machine that is busy with other things makes few of them in a short time.
most=1
[ "$TEST_SECONDS" -lt 600 ] || most=300
check "there were $most connections at once" test "$largest" -ge $most

somehow try_load
still_serves
unload
no_sockets_left
done_torturing
