#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A network that loses, repeats, reorders, damages and delays, and one that is
# flooded with SYNs: who asks is answered, and right to the octet. With every second
# seed some of them by a backing server.

. "$(dirname "$0")/lib.sh"

client_network || skip_all "no network namespace"
modprobe sch_netem 2>/dev/null
tc qdisc replace dev server root netem delay 1ms 2>/dev/null || skip_all "no netem"

# Addresses that don't answer: what is sent to them ends in the client's network.
ip route add 198.18.0.0/15 via 192.0.2.2 dev server
# Neighbours that are known: the damage is TCP's to bear.
mac_of() {
	"${@:2}" cat "/sys/class/net/$1/address"
}
ip neigh replace 192.0.2.2 lladdr "$(mac_of client in_client)" dev server nud permanent
ip -n client neigh replace 192.0.2.1 lladdr "$(mac_of server)" dev client nud permanent

must_set_for_now /proc/sys/net/ipv4/tcp_fin_timeout 3
must_set_for_now /proc/sys/net/ipv4/tcp_syncookies 1
must_set_for_now /proc/sys/net/ipv4/tcp_max_syn_backlog 128
docroot_on_disk
remember_sockets
run site
load
# It is the network that is slow. (A cookie may make a connection of which its
# client knows nothing: that waits for a head.)
sysctl_set header_timeout 40
for knob in send_timeout body_timeout keepalive_timeout; do
	sysctl_set $knob 300
done

if [ $((TEST_SEED % 2)) = 1 ]; then
	export backing=8081
	TEST_SECONDS=100000 "$torture/bin/backing" $backing >"$tmp/backing" 2>&1 &
	backing_pid=$!
	at_exit eval "kill $backing_pid 2>/dev/null"
	wait_for 20 nc -z 127.0.0.1 $backing || bail_out "no backing server"
	sysctl_set clientport $backing
fi

# netem ARGUMENT...: on both ends. One that is there already would keep what it isn't told anew: how
# much it damages, its rate.
netem() {
	tc qdisc del dev server root 2>/dev/null
	in_client tc qdisc del dev client root 2>/dev/null
	tc qdisc add dev server root netem "$@" &&
		in_client tc qdisc add dev client root netem "$@" || not_ok "netem $*"
}

# listen_with COOKIES REQUESTS BACKLOG: a new listening socket.
listen_with() {
	sysctl_set stop 1
	echo "$1" >/proc/sys/net/ipv4/tcp_syncookies
	echo "$2" >/proc/sys/net/ipv4/tcp_max_syn_backlog
	sysctl_set max_backlog "$3"
	sysctl_set start 1
}

# in_phase SECONDS NAME PROGRAM...: run in the client's network, with chances of its own.
in_phase() {
	local seconds=$1 name=$2 tests=$tap_failed
	shift 2
	random 1000000
	server=192.0.2.1 TEST_SECONDS=$seconds TEST_SEED=$REPLY run_in_client "$@"
	[ "$tap_failed" = "$tests" ] || echo "# that was: $name"
}

networks=(
	"loss 20%"
	"loss 20% 50% delay 5ms"
	"delay 20ms 15ms"
	"delay 10ms reorder 30% 50%"
	"duplicate 30%"
	"corrupt 5%"
	"loss 5% duplicate 10% corrupt 2% delay 10ms 9ms reorder 20%"
	"rate 2mbit limit 20"
	"delay 200ms 100ms distribution normal loss 2%"
)
# counted FILE LINE NAME: what the kernel has counted.
counted() {
	awk -v line="$2:" -v name="$3" '
		$1 == line { if (!n) { for (i = 1; i <= NF; i++) if ($i == name) n = i } else print $n }' "/proc/net/$1"
}
cookies_sent() {
	counted netstat TcpExt SyncookiesSent
}
cookies_before=$(cookies_sent)
again_before=$(counted snmp Tcp RetransSegs)
lossy=
# A phase takes the time that its last answers need, too.
phase=$((TEST_SECONDS / 6))
[ $phase -gt 4 ] || phase=4
[ $phase -lt 30 ] || phase=30
round=$TEST_SEED
while time_is_left; do
	# Of segments as the network has them, or of what the stack sends at a time.
	for device in server client; do
		random 2
		[ $REPLY = 0 ] && offload=on || offload=off
		if [ $device = server ]; then
			ethtool -K server tso $offload gso $offload gro $offload >/dev/null 2>&1
		else
			in_client ethtool -K client tso $offload gso $offload gro $offload >/dev/null 2>&1
		fi
	done
	# (A cookie is lost if the segments that it comes back with change places.)
	listen_with 1 128 2048
	network=${networks[round % ${#networks[@]}]}
	[[ $network != *loss* ]] || lossy=yes
	# shellcheck disable=SC2086
	netem $network
	in_phase $phase "$network" downloads
	netem delay 0

	# SYN cookies if need be, and always; a queue that is soon full.
	listen_with $((1 + round % 2)) $((16 << round % 5)) $((8 << round % 7))
	random 1000000
	server=192.0.2.1 TEST_SECONDS=$((phase + 2)) TEST_SEED=$REPLY rate=$((round % 3 * 2000)) \
		in_client "$torture/bin/flood" >"$tmp/flood" 2>&1 &
	flood=$!
	in_phase $phase "a flood" downloads
	wait $flood || not_ok "the flood ends well" "$(cat "$tmp/flood")"
	n=$(sed -n 's/^# operations: //p' "$tmp/flood")
	operations_done "${n:-0}"
	echo "# segments of the flood: ${n:-none}"
	[ "${n:-0}" -gt 100 ] || not_ok "there is a flood" "$(cat "$tmp/flood")"
	round=$((round + 1))
done
isnt_like "cookies were sent" "$(($(cookies_sent) - cookies_before))" '^(0|-.*)$'
again=$(($(counted snmp Tcp RetransSegs) - again_before))
echo "# $again segments were sent again"
[ -z "$lossy" ] || isnt_like "what was lost was sent again" "$again" '^(0|-.*)$'
was_fast
if [ -n "${backing:-}" ]; then
	handed_over=$(awk '$1 == "handoffs" { print $2 }' /proc/net/http/stat)
	isnt_like "requests were handed over" "$handed_over" '^0$'
	echo "# $handed_over connections were handed over"
fi
still_serves
unload
[ -z "${backing:-}" ] || kill $backing_pid
# What clients still have to send again is no matter of the server.
echo "# sockets of clients that are left: $(in_client ss -Htan | grep -vc TIME-WAIT)"
in_client ss -K >/dev/null 2>&1
no_sockets_left
done_torturing
