#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Many hand-offs leave nothing behind: sockets, objects of slab caches, memory that a
# cgroup is charged for; not when the module comes and goes meanwhile either.

. "$(dirname "$0")/lib.sh"

command -v nginx ab >/dev/null || skip_all "no nginx"
# A connection that is forgotten, because there are too many like it, answers what is sent again
# by a RST; and ab doesn't count such a request, and waits for ever.
set_for_now /proc/sys/net/ipv4/tcp_max_tw_buckets 262144
count=10000
rounds=10
if [ "${RUST_TUX_KERNEL:-stock}" != stock ]; then
	count=600
	rounds=3
fi
count=${TEST_HANDOFFS:-$count}
echo index >"$docroot/index.html"
head -c 100000 /dev/urandom >"$docroot/100k.bin"
mkdir -m 755 "$tmp/backing" "$tmp/nginx"
echo backing >"$tmp/backing/other.html"
nginx_conf 2 <<END
	access_log off;
	server {
		listen [::]:8081 ipv6only=off;
		root $tmp/backing;
	}
	server {
		listen 127.0.0.1:8082 reuseport;
		root $tmp/backing;
	}
END
at_exit eval "kill \$(cat $tmp/nginx/pid)"

# The group that the backing server is in, if there are groups.
group=
if [ -w /sys/fs/cgroup/cgroup.subtree_control ] || mount -t cgroup2 none /sys/fs/cgroup 2>/dev/null; then
	if echo +memory >/sys/fs/cgroup/cgroup.subtree_control 2>/dev/null; then
		group=/sys/fs/cgroup/backing
		mkdir -p $group
		at_exit rmdir $group
	fi
fi
start_server() {
	(
		[ -z "$group" ] || echo $BASHPID >$group/cgroup.procs
		exec nginx -c "$tmp/nginx.conf"
	)
	wait_for 100 nc -z 127.0.0.1 8082 2>/dev/null
}
stop_server() {
	local pid
	pid=$(cat "$tmp/nginx/pid") && kill "$pid"
	wait_for 100 eval "! kill -0 $pid 2>/dev/null"
}

sockets() {
	awk '/^TCP:/ { print $3, $5 } /^TCP6:/ { print $3 }' /proc/net/sockstat /proc/net/sockstat6 |
		tr '\n' ' '
}
as_before() {
	[ "$(sockets)" = "$sockets_before" ]
}
no_sockets() {
	[ -z "$(ss -Htan exclude time-wait "sport = :$port or dport = :$port" | grep -vE 'TIME-WAIT|LISTEN')" ]
}
objects() {
	awk -v cache="$1" '$1 == cache { print $2; seen = 1 } END { if (!seen) print 0 }' /proc/slabinfo
}
shrink() {
	local cache
	echo 3 >/proc/sys/vm/drop_caches
	for cache in TCP TCPv6 request_sock_TCP request_sock_TCPv6 rust_tux_connection; do
		echo 1 >/sys/kernel/slab/$cache/shrink
	done 2>/dev/null
}
group_sock() {
	awk '$1 == "sock" { print $2 }' $group/memory.stat
}

start_server
load
sysctl_set clientport 8081
# A client that has no processor for ten seconds is no client that is slow on purpose.
sysctl_set header_timeout 3600

# hand_over NAME TARGET COUNT
hand_over() {
	local before after
	cp /proc/net/http/stat "$tmp/stat"
	before=$(awk '$1 == "handoffs" { print $2 }' "$tmp/stat")
	ab -q -s 300 -n "$3" -c 32 "http://127.0.0.1:$port$2" >"$tmp/ab" 2>&1
	is "$1: failures" "$(awk '/^Failed requests/ { print $3 } /^Non-2xx/ { print "and", $3 }' "$tmp/ab" | tr '\n' ' ')" "0 "
	after=$(awk '$1 == "handoffs" { print $2 }' /proc/net/http/stat)
	is "$1: hand-offs" "$((after - before))" "$3"
	# What became of the others.
	[ $((after - before)) = "$3" ] && grep -q '^Failed requests: *0$' "$tmp/ab" || {
		diff "$tmp/stat" /proc/net/http/stat
		tail -n 25 "$tmp/ab"
	} | sed 's/^/# /'
}

for listener in 8081 8082; do
	sysctl_set clientport $listener
	hand_over "port $listener, to warm up" /other.html 200
	wait_for 60 no_sockets
	shrink
	sockets_before=$(sockets)
	declare -A objects_before=()
	for cache in TCP TCPv6 request_sock_TCP request_sock_TCPv6 rust_tux_connection; do
		objects_before[$cache]=$(objects $cache)
	done
	hand_over "port $listener, $count times" /other.html "$count"
	check "port $listener: no socket is left" wait_for 60 no_sockets
	wait_for 20 as_before
	is "port $listener: sockets in use" "$(sockets)" "$sockets_before"
	shrink
	for cache in "${!objects_before[@]}"; do
		now=$(objects $cache)
		echo "# $cache: ${objects_before[$cache]}, then $now"
		# Objects on the lists of CPUs count as active.
		if [ $((now - ${objects_before[$cache]})) -le 150 ]; then
			ok "port $listener: objects of $cache"
		else
			not_ok "port $listener: objects of $cache" "${objects_before[$cache]}, then $now"
		fi
	done
done

# ---- what was sent before is not the other server's

sysctl_set clientport 8081
if [ -n "$group" ]; then
	before=$(cat $group/memory.current)
	python_checks <<'END'
from http_client import *
before = stat()
waited = 0
wrong = []
rounds = 60
for n in range(rounds):
    with Connection("127.0.0.1", receive_buffer=16384) as c:
        c.send(request("/100k.bin") * 6 + request("/other.html"))
        if n % 3 == 0:
            time.sleep(0.05)
        bodies = [len(c.response().body) for _ in range(7)]
        if bodies != [100000] * 6 + [8]:
            wrong.append(bodies)
is_("long responses, then a hand-off", wrong, [])
true("each is handed over", wait_until(lambda: stat()["handoffs"] - before["handoffs"] == rounds), stat()["handoffs"] - before["handoffs"])
END
	wait_for 30 no_sockets
	echo "# memory.current: $before, then $(cat $group/memory.current); sock $(group_sock)"
	like "the group is charged for what it has" "$(cat $group/memory.current)" '^[0-9]{6,}$'
	like "and for no more sockets than it has" "$(group_sock)" '^[0-9]{1,6}$'
else
	skip "the group is charged for what it has" "no memory cgroups"
fi

# ---- the module comes and goes, the backing server stops and starts

ask_often() {
	local n=0
	while [ -e "$tmp/go" ]; do
		n=$((n + 1))
		ab -q -r -k -s 5 -n 200 -c 8 "http://127.0.0.1:$port/$(((n % 2) == 0)).html?$1" >/dev/null 2>&1
		curl -sS --max-time 5 --data-binary "@$docroot/100k.bin" "http://127.0.0.1:$port/other.html" \
			"http://127.0.0.1:$port/" "http://127.0.0.1:$port/other.html" >/dev/null 2>&1
	done
}
touch "$tmp/go"
clients=()
for n in 1 2 3; do
	ask_often $n &
	clients+=($!)
done
failed=0
for round in $(seq $rounds); do
	sleep "0.$((round % 5 + 2))"
	case $((round % 3)) in
	0) stop_server && start_server ;;
	1) kill -HUP "$(cat "$tmp/nginx/pid")" ;;
	esac
	timeout 200 rmmod rust_tux || failed=$((failed + 1))
	try_load || failed=$((failed + 1))
	sysctl_set clientport $((8081 + round % 2))
done
is "loaded and unloaded $rounds times under load" "$failed" 0
sysctl_set clientport 8081
is "it still hands over" "$(get /other.html)" backing
rm "$tmp/go"
wait "${clients[@]}"
unload
stop_server
wait_for 60 no_sockets
if [ -n "$group" ]; then
	echo "# memory.current at the end: $(cat $group/memory.current), sock $(group_sock)"
	is "no socket is charged for at the end" "$(group_sock)" 0
fi
done_testing
