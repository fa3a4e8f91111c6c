#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The module is replaced by its next build, over and over, under load, beside a server
# that listens on the same port and on another one: no request is lost.

. "$(dirname "$0")/lib.sh"

command -v nginx wrk >/dev/null || skip_all "no nginx"
# A connection that is forgotten, because there are too many like it, answers what is sent again
# by a RST; and ab doesn't count such a request, and waits for ever.
set_for_now /proc/sys/net/ipv4/tcp_max_tw_buckets 262144
# So many times, but no longer than this, unless it is less than three times.
most=${TEST_ROUNDS:-12}
seconds=${TEST_SECONDS:-40}
connections=12
drain=60
wrk_patience=2 # seconds that wrk has for a response
if [ "${RUST_TUX_KERNEL:-stock}" != stock ]; then
	# Where all takes ten times as long, more is under way for longer.
	seconds=$((seconds * 4)) connections=4 wrk_patience=60
fi
echo index >"$docroot/index.html"
head -c 1000 /dev/urandom >"$docroot/1k.bin"
head -c 10000 /dev/urandom >"$docroot/10k.bin"
head -c 300000 /dev/urandom >"$docroot/300k.bin"
chmod 755 "$docroot"
nginx_conf 2 <<END
	access_log off;
	server {
		listen [::]:$port ipv6only=off;
		listen 127.0.0.1:8081;
		listen [::1]:8081;
		root $docroot;
	}
END
nginx -c "$tmp/nginx.conf" || bail_out "nginx does not start"
at_exit eval "kill \$(cat $tmp/nginx/pid)"
wait_for 100 nc -z 127.0.0.1 8081 2>/dev/null || bail_out "nginx does not listen"

# who: the server that answers.
who() {
	headers / | sed -n 's/^Server: \([a-z_]*\).*/\1/p'
}

# ---- who has the port

if try_load; then
	not_ok "a port that another server has is refused, unless it is taken over"
	unload
else
	ok "a port that another server has is refused, unless it is taken over"
fi
load takeover=1
ours=$(who)
isnt_like "it is taken over" "$ours" nginx
is "takeover reads back" "$(sysctl_get takeover)" 1
sysctl_set stop 1
is "when this server is stopped, the other one has it" "$(who)" nginx
sysctl_set start 1
is "when it is started, this one" "$(who)" "$ours"
sysctl_set takeover 0
sysctl_set stop 1
sysctl_set start 1 2>/dev/null && not_ok "not without takeover" || ok "not without takeover"
is "then the other one has it" "$(who)" nginx
unload
load takeover=1 address=127.0.0.1
is "of one address" "$(who) $(curl -sSI "http://[::1]:$port/" | tr -d '\r' | sed -n 's/^Server: \([a-z_]*\).*/\1/p')" "$ours nginx"
unload
load takeover=1 address=::1
is "of one address of IPv6" "$(who) $(curl -sSI "http://[::1]:$port/" | tr -d '\r' | sed -n 's/^Server: \([a-z_]*\).*/\1/p')" "nginx $ours"
unload
python3 - "$port" <<'END' &
import socket, sys, time
for address in "127.0.0.2", "0.0.0.0":
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((address, int(sys.argv[1]) + 10))
    s.listen()
    if address == "127.0.0.2":
        s.close()
time.sleep(600)
END
other=$!
wait_for 60 nc -z 127.0.0.1 $((port + 10)) 2>/dev/null || bail_out "no other server"
if try_load takeover=1 "port=$((port + 10))"; then
	not_ok "one that listens for IPv4 alone comes before: that is refused"
	unload
else
	ok "one that listens for IPv4 alone comes before: that is refused"
fi
load takeover=1 "port=$((port + 10))" address=127.0.0.1
is "unless it is for an address" "$(curl -sSI "http://127.0.0.1:$((port + 10))/" | tr -d '\r' | sed -n 's/^Server: \([a-z_]*\).*/\1/p')" "$ours"
unload
kill $other

# ---- under load

# Where it comes from, if a request is lost: the stack's counters.
stack() {
	nstat -asz 2>/dev/null | awk '/Listen|Abort|Drop|ReqQFull|TCPMigrate|EstabResets|AttemptFails|OutRsts/ { print $1, $2 }'
}
touch "$tmp/go"
load takeover=1
sysctl_set clientport 8081
sysctl_set drain_timeout $drain
stack >"$tmp/stack"
python3 "$selftests/upgrade_client.py" "$port" "$docroot" "$tmp/go" $connections >"$tmp/told" 2>"$tmp/errors" &
clients=$!
# How long the machine stands still meanwhile.
PYTHONPATH=$selftests python3 -c '
import os, sys, time
from http_client import Watch
with Watch() as watch:
    while os.path.exists(sys.argv[1]):
        time.sleep(0.1)
print(watch.late())' "$tmp/go" >"$tmp/still" &
watch=$!
# A connection that was handed over stays where it is: others come after a while.
while [ -e "$tmp/go" ]; do
	wrk -t 1 -c $connections -d 2 --timeout $wrk_patience "$url/10k.bin"
	wrk -t 1 -c $connections -d 2 --timeout $wrk_patience -H "Connection: close" "$url/1k.bin"
done >"$tmp/wrk" 2>&1 &
load=$!
rounds=0 failed=0 slowest=0
end=$((SECONDS + seconds))
while [ $rounds -lt 3 ] || { [ $rounds -lt $most ] && [ $SECONDS -lt $end ]; }; do
	sleep "0.$((rounds % 6 + 1))"
	begin=${EPOCHREALTIME/./}
	timeout 200 rmmod rust_tux || failed=$((failed + 1))
	took=$((${EPOCHREALTIME/./} - begin))
	echo "# rmmod: $((took / 1000)) ms"
	[ $took -le $slowest ] || slowest=$took
	sleep "0.0$((rounds % 4))"
	try_load takeover=1 start=0 || failed=$((failed + 1))
	sysctl_set clientport 8081
	sysctl_set drain_timeout $drain
	sysctl_set start 1 || failed=$((failed + 1))
	rounds=$((rounds + 1))
done
rm "$tmp/go"
wait $load
wait $clients || not_ok "the clients end well" "$(cat "$tmp/errors")"
wait $watch
is "replaced $rounds times" "$failed" 0
echo "# the slowest rmmod took $((slowest / 1000)) ms"
diff "$tmp/stack" <(stack) | sed 's/^/# /'
cat "$tmp/nginx/error.log" | head -n 20 | sed 's/^/# /'
python_checks "$tmp/told" "$tmp/wrk" "$ours" "$rounds" "$(cat "$tmp/still")" <<'END'
import collections
import json
import re
import sys
from http_client import *

told, lost = collections.Counter(), []
with open(sys.argv[1]) as lines:
    for line in lines:
        one = json.loads(line)
        told.update(one["told"])
        lost += one["lost"]
print("#", dict(told))
for one in lost[:40]:
    print("# lost:", one)
is_("no request is lost", dict(collections.Counter(one[3] for one in lost)), {})
true("both servers had their share", told[sys.argv[3]] > 20 and told["nginx"] > 20, dict(told))
wrk = open(sys.argv[2]).read()
print("# wrk:", sum(map(int, re.findall("([0-9]+) requests in", wrk))), "responses")
print("# the machine stood still for %s s at most" % sys.argv[5])
if float(sys.argv[5]) > 1:
    # That may have been the time that wrk has for a response. The clients have more.
    wrk = re.sub("Socket errors: connect 0, read 0, write 0, timeout .*", "", wrk)
is_("wrk knows of no error", re.findall("Socket errors.*|Non-2xx.*", wrk), [])
true("there were some rounds", int(sys.argv[4]) >= 3, sys.argv[4])
END
done_testing
