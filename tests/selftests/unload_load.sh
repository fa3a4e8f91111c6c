#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The module is removed and loaded again, the server stopped and started, under
# every kind of load, while sockets are destroyed behind its back; nothing is
# left behind.

. "$(dirname "$0")/lib.sh"

rounds=20
[ "${RUST_TUX_KERNEL:-stock}" = stock ] || rounds=5
echo index >"$docroot/index.html"
head -c 20000000 /dev/urandom >"$docroot/20m.bin"
head -c 100000 /dev/urandom >"$docroot/100k.bin"

set_for_now /proc/sys/net/ipv4/tcp_migrate_req 1
set_for_now /proc/sys/net/ipv4/tcp_fin_timeout 3
set_for_now /proc/sys/net/ipv4/tcp_orphan_retries 1
set_for_now /proc/sys/net/ipv4/tcp_tw_reuse 1

# sockets: TCP sockets in use, orphans, and objects of the caches of the stack.
sockets() {
	awk '/^TCP:/ { print $3, $5 } /^TCP6:/ { print $3 }' /proc/net/sockstat /proc/net/sockstat6 |
		tr '\n' ' '
}
as_before() {
	[ "$(sockets)" = "$sockets_before" ]
}
# no_sockets: nothing of the server's port but TIME-WAIT.
no_sockets() {
	[ -z "$(ss -Htan "sport = :$port or dport = :$port" | grep -v TIME-WAIT)" ]
}
# objects: active objects of the caches for sockets and requests.
objects() {
	echo 3 >/proc/sys/vm/drop_caches
	for cache in TCP TCPv6 request_sock_TCP request_sock_TCPv6; do
		[ ! -e /sys/kernel/slab/$cache ] || {
			echo 1 >/sys/kernel/slab/$cache/shrink 2>/dev/null
			awk -v cache=$cache '$1 == cache { print cache "=" $2 }' /proc/slabinfo
		}
	done | tr '\n' ' '
}

clients=()
cat >"$tmp/idle.py" <<'END'
import socket, sys, time
port = int(sys.argv[1])
kept = []
while True:
    try:
        sock = socket.create_connection(("127.0.0.1", port), timeout=5)
        kind = len(kept) % 4
        if kind == 1:
            sock.sendall(b"GET / HT")
        elif kind == 2:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        elif kind == 3:
            sock.sendall(b"GET /20m.bin HTTP/1.1\r\nHost: a\r\n\r\n")
        kept.append(sock)
        if len(kept) > 40:
            kept.pop(0).close()
    except OSError:
        time.sleep(0.02)
END
# The loops end when $tmp/go does.
start_clients() {
	touch "$tmp/go"
	while [ -e "$tmp/go" ]; do
		wrk -t 1 -c 20 -d 2 "$url/" >/dev/null 2>&1 || sleep 0.1
	done &
	clients+=($!)
	while [ -e "$tmp/go" ]; do
		ab -q -r -n 2000 -c 5 -t 2 "$url/100k.bin" >/dev/null 2>&1 || sleep 0.1
	done &
	clients+=($!)
	while [ -e "$tmp/go" ]; do
		curl -sS --max-time 5 -o /dev/null "$url/20m.bin" 2>/dev/null || sleep 0.1
	done &
	clients+=($!)
	python3 "$tmp/idle.py" "$port" &
	idle=$!
}
end_clients() {
	rm -f "$tmp/go"
	kill "$idle"
	wait "$idle" "${clients[@]}" 2>/dev/null
	clients=()
}
storm() {
	while [ -e "$tmp/go" ]; do
		ss -K "sport = :$port" >/dev/null 2>&1
		sleep 0.3
	done &
	clients+=($!)
}
drained() {
	check "$1: no socket is left" wait_for 60 no_sockets
	wait_for 20 as_before
	is "$1: sockets in use" "$(sockets)" "$sockets_before"
}

# cycles NAME ROUNDS: loaded and unloaded.
cycles() {
	local round failed=0
	for round in $(seq "$2"); do
		try_load || failed=$((failed + 1))
		# Some clients never come to an end.
		sysctl_set drain_timeout $((round % 2)) || failed=$((failed + 1))
		sleep "0.$((round % 5 + 1))"
		timeout 200 rmmod rust_tux || failed=$((failed + 1))
	done
	is "$1: $2 times" "$failed failed" "0 failed"
}

no_sockets || wait_for 60 no_sockets
sockets_before=$(sockets)
objects_before=$(objects)

start_clients
cycles "loaded and unloaded under load" $rounds
end_clients
drained "loaded and unloaded"

start_clients
storm
cycles "loaded and unloaded while sockets are destroyed" $((rounds / 2))
end_clients
drained "loaded and unloaded while sockets are destroyed"

load
start_clients
failed=0
for round in $(seq $((rounds / 2))); do
	sysctl_set drain_timeout $((round % 2)) || failed=$((failed + 1))
	sysctl_set stop 1 || failed=$((failed + 1))
	sysctl_set start 1 || failed=$((failed + 1))
	sleep "0.$((round % 3 + 1))"
done
is "stopped and started under load: $((rounds / 2)) times" "$failed failed" "0 failed"
is "it serves afterwards" "$(get /)" index
storm
failed=0
for round in $(seq $((rounds / 2))); do
	sysctl_set stop 1 || failed=$((failed + 1))
	sysctl_set start 1 || failed=$((failed + 1))
	sleep "0.$((round % 3 + 1))"
done
is "stopped and started while sockets are destroyed: $((rounds / 2)) times" "$failed failed" "0 failed"
end_clients
serves() {
	[ "$(get / 2>/dev/null)" = index ]
}
check "it serves afterwards, though its own socket was destroyed" wait_for 30 serves
sysctl_set stop 1
drained "stopped"
unload

# Objects on the lists of CPUs count as active: a margin, far below the number
# of connections that there were.
echo "# caches before: $objects_before"
objects_after=$(objects)
echo "# caches after:  $objects_after"
grown=0
for pair in $objects_after; do
	name=${pair%=*}
	before=$(tr ' ' '\n' <<<"$objects_before" | sed -n "s/^$name=//p")
	[ $((${pair#*=} - ${before:-0})) -le 100 ] || grown=1
done
is "the caches for sockets are as before" "$grown" 0
done_testing
