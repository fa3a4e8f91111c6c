#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Hand-off to nginx, Apache and Node.js as Debian has them: who has asked, uploads,
# upgrades, reloads under load, and connections that outlive the module.

. "$(dirname "$0")/lib.sh"

command -v nginx apache2 ab >/dev/null || skip_all "no nginx or Apache"
client_network || skip_all "no network for a client"
# A connection that is forgotten, because there are too many like it, answers what is sent again
# by a RST; and ab doesn't count such a request, and waits for ever.
set_for_now /proc/sys/net/ipv4/tcp_max_tw_buckets 262144
requests=2000
[ "${RUST_TUX_KERNEL:-stock}" = stock ] || requests=300
echo index >"$docroot/index.html"
head -c 50000 /dev/urandom >"$docroot/50k.bin"
mkdir -m 755 "$tmp/backing" "$tmp/nginx" "$tmp/apache" "$tmp/backing/cgi-bin"
echo "from the backing server" >"$tmp/backing/other.html"
head -c 4000000 /dev/urandom >"$tmp/upload"
cat >"$tmp/backing/cgi-bin/env" <<'END'
#!/bin/sh
printf 'Content-Type: text/plain\r\n\r\n'
echo "peer=$REMOTE_ADDR port=$REMOTE_PORT to=$SERVER_PORT method=$REQUEST_METHOD sum=$(cksum)"
END
chmod 755 "$tmp/backing/cgi-bin/env"
# What nginx asks by HTTP, and what speaks the protocol that it is changed to.
python3 "$selftests/backing_server.py" --port 8090 >/dev/null &
app=$!
at_exit kill $app

# nginx_backing WORKERS OPTION [IPV4 IPV6]
nginx_backing() {
	nginx_conf "$1" <<END
	log_format who '\$remote_addr \$remote_port \$server_port \$request_method \$uri \$status';
	access_log $tmp/nginx/log who;
	client_max_body_size 0;
	keepalive_timeout 300;
	server {
		listen ${3:-0.0.0.0}:8081 $2;
		listen [${4:-::}]:8081 ipv6only=on $2;
		root $tmp/backing;
		absolute_redirect off;
		location /cgi-bin/ {
			proxy_pass http://127.0.0.1:8090;
			proxy_http_version 1.1;
			proxy_set_header Upgrade \$http_upgrade;
			proxy_set_header Connection \$http_connection;
		}
	}
END
}

local_port=34566
modules=/usr/lib/apache2/modules
apache_conf() { # MPM CGI-MODULE LISTEN
	cat >"$tmp/apache.conf" <<END
ServerRoot $tmp/apache
ServerName localhost
PidFile $tmp/apache/pid
ErrorLog $tmp/apache/error.log
Listen $3
User www-data
Group www-data
LoadModule mpm_$1_module $modules/mod_mpm_$1.so
LoadModule authz_core_module $modules/mod_authz_core.so
LoadModule $2_module $modules/mod_$2.so
LoadModule alias_module $modules/mod_alias.so
LogFormat "%a %{remote}p %{local}p %m %U %>s" who
CustomLog $tmp/apache/log who
DocumentRoot $tmp/backing
ScriptAlias /cgi-bin/ $tmp/backing/cgi-bin/
MaxKeepAliveRequests 0
KeepAliveTimeout 300
<VirtualHost *:8080 127.0.0.1:8081 [::1]:8081>
	Redirect /virtual /of-the-front
</VirtualHost>
$([ "$2" != cgid ] || echo "ScriptSock $tmp/apache/cgisock")
END
}

start_server() {
	rm -f "$tmp/$1/log"
	case $1 in
	nginx) nginx -c "$tmp/nginx.conf" 2>"$tmp/start" ;;
	apache) apache2 -f "$tmp/apache.conf" 2>"$tmp/start" ;;
	esac || { not_ok "$1 starts" "$(cat "$tmp/start")"; return 1; }
	wait_for 100 nc -z 127.0.0.1 8081 2>/dev/null
}
stop_server() {
	local pid
	pid=$(cat "$tmp/$1/pid")
	kill "$pid"
	wait_for 100 eval "! kill -0 $pid 2>/dev/null"
}
at_exit eval "kill \$(cat $tmp/nginx/pid $tmp/apache/pid 2>/dev/null)"

# A request that was answered is in the log of a moment later.
logged() {
	wait_for 60 grep -qE "$2" "$tmp/$1/log"
}

# How many requests of ab have failed.
failures() {
	awk '/^Failed requests/ { print $3 } /^Non-2xx/ { print "and", $3 }' "$tmp/ab" | tr '\n' ' '
}

# What is made of the port that the server takes for its own.
redirection() {
	case $1 in
	nginx) like "$2: a redirection" "$(headers '/cgi-bin?x' -H 'Host: localhost')" '^Location: /cgi-bin/\?x' ;;
	apache) like "$2: the virtual host is that of our port" "$(headers '/virtual?x' -H 'Host: localhost')" \
		'^Location: http://localhost:8080/of-the-front\?x' ;;
	esac
}

# A server that listens on one address takes that, and its port, for those of all
# its connections, and doesn't ask the socket.
on_loopback() {
	local name=$1 label="$1, on loopback"
	start_server "$name" || return
	check_addresses "$label"
	check "$label: the log has a client of IPv4" logged "$name" "^192\.0\.2\.1 [0-9]+ 8081 GET /other.html 200"
	check "$label: the log has a client of IPv6" logged "$name" "^2001:db8::1 [0-9]+ 8081 GET /other.html 200"
	redirection "$name" "$label"
	stop_server "$name"
}

check_addresses() {
	local address
	for address in 127.0.0.1 192.0.2.1 '[::1]' '[2001:db8::1]'; do
		is "$1: reached at $address" \
			"$(curl -sS --max-time "$patience" "http://$address:$port/other.html?q")" "from the backing server"
	done
}

# exercise NAME LABEL
exercise() {
	local name=$1 label=$2 sum upload
	sum=$(cksum <"$tmp/upload" | tr ' ' ' ')
	is "$label: a file of ours" "$(get /)" index
	is "$label: a file of its own" "$(get /other.html)" "from the backing server"
	is "$label: what nobody has" "$(status /none)" 404
	like "$label: who has answered that" "$(headers /none)" "^Server: ($name|${name^})"
	check_addresses "$label"
	check "$label: the log has a client of IPv4" logged "$name" "^192\.0\.2\.1 [0-9]+ 8080 GET /other.html 200"
	check "$label: the log has a client of IPv6" logged "$name" "^2001:db8::1 [0-9]+ 8080 GET /other.html 200"
	local_port=$((local_port + 1))
	in_client curl -sS --max-time "$patience" --local-port $local_port -o /dev/null "http://192.0.2.1:$port/other.html?q"
	check "$label: the log has the client's own address and port" logged "$name" "^192\.0\.2\.2 $local_port 8080 GET /other.html 200"
	upload=$(get /cgi-bin/env --data-binary "@$tmp/upload" -H 'Content-Type: a/b')
	if [ "$name" = nginx ]; then
		like "$label: an upload" "$upload" "^content=4000000"
	else
		like "$label: an upload" "$upload" "peer=127.0.0.1 .* to=8080 method=POST sum=$sum"
	fi
	upload=$(get /cgi-bin/env -T "$tmp/upload" -X POST -H 'Transfer-Encoding: chunked' -H 'Expect: 100-continue')
	if [ "$name" = nginx ]; then
		like "$label: an upload in chunks, after a 100" "$upload" "^content=4000000"
	else
		like "$label: an upload in chunks, after a 100" "$upload" "method=POST sum=$sum"
	fi
	python_checks "$label" "$name" <<'END'
import sys
import threading
from http_client import *
label, name = sys.argv[1:]
large = open(os.path.join(docroot, b"50k.bin"), "rb").read()
mine = b"from the backing server\n"
wrong = []
for n in range(1, 20, 3):
    with Connection("192.0.2.1") as c:
        c.send(request("/50k.bin") * n + request("/other.html") + request("/other.html?a") * 3)
        bodies = [c.response().body for _ in range(n + 4)]
        if bodies != [large] * n + [mine] * 4:
            wrong.append((n, [len(b) for b in bodies]))
is_("%s: files of both in one go" % label, wrong, [])
with Connection() as c:
    c.send(request("/other.html"))
    c.response()
    for _ in range(3):
        c.send(request("/other.html"))
        if c.response().body != mine:
            wrong.append("later")
is_("%s: the connection stays" % label, wrong, [])
with Connection() as c:
    c.send(request("/other.html?half"))
    c.half_close()
    response = c.response()
    is_("%s: a client that half-closes" % label, response and response.body, mine)
if name == "nginx":
    with Connection() as c:
        c.send(request("/cgi-bin/ws", "Connection: upgrade", "Upgrade: echo"))
        is_("%s: an upgrade" % label, c.response().status, 101)
        for n in range(20):
            c.send(b"%d octets" % n)
            while len(c.unread) < len(b"%d octets" % n) and c.more():
                pass
            if bytes(c.unread) != b"%d octets" % n:
                wrong.append(bytes(c.unread))
            c.unread.clear()
        is_("%s: octets after it" % label, wrong, [])
END
	redirection "$name" "$label"
	# Each on a connection of its own, while it is reloaded.
	(
		sleep 1
		case $name in
		nginx) kill -HUP "$(cat "$tmp/nginx/pid")" ;;
		apache) kill -USR1 "$(cat "$tmp/apache/pid")" ;;
		esac
	) &
	ab -q -s 300 -n "$requests" -c 16 "http://127.0.0.1:$port/other.html?a" >"$tmp/ab" 2>&1
	wait $!
	is "$label: $requests connections while it is reloaded" "$(failures)" "0 "
}

load
sysctl_set clientport 8081
# However slow this machine is.
sysctl_set keepalive_timeout 3600
sysctl_set header_timeout 3600
for how in "1" "2" "2 reuseport"; do
	# shellcheck disable=SC2086
	nginx_backing $how
	start_server nginx || continue
	exercise nginx "nginx, workers $how"
	stop_server nginx
done
nginx_backing 1 "" 127.0.0.1 ::1
on_loopback nginx
apache_conf event cgid 8081
start_server apache && exercise apache "Apache, event" && stop_server apache
apache_conf prefork cgi 0.0.0.0:8081
sed -i 's/^Listen.*/Listen 0.0.0.0:8081\nListen [::]:8081/' "$tmp/apache.conf"
start_server apache && exercise apache "Apache, prefork" && stop_server apache
apache_conf event cgid 127.0.0.1:8081
sed -i 's/^Listen.*/&\nListen [::1]:8081/' "$tmp/apache.conf"
on_loopback apache

# ---- Node.js

# exercise_node ADDRESS
exercise_node() {
	local label="Node.js, on $1" node address mapped=
	[ "$1" = 127.0.0.1 ] || mapped=::ffff:
	node "$selftests/backing_server.mjs" "$1" 8081 &
	node=$!
	at_exit kill $node
	wait_for 60 nc -z 127.0.0.1 8081 2>/dev/null
	is "$label: a file of ours" "$(get /)" index
	for address in 127.0.0.1 192.0.2.1 '[::1]' '[2001:db8::1]'; do
		[ "$1" != 127.0.0.1 ] || [ "${address#[}" = "$address" ] || continue
		like "$label: reached at $address" \
			"$(curl -sS --max-time "$patience" "http://$address:$port/env?q")" "to=8080 method=GET content=0 "
	done
	local_port=$((local_port + 1))
	like "$label: the client's own address and port" \
		"$(in_client curl -sS --max-time "$patience" --local-port $local_port "http://192.0.2.1:$port/env")" \
		"^peer=${mapped}192\.0\.2\.2 port=$local_port "
	like "$label: an upload in chunks, after a 100" \
		"$(get /env -T "$tmp/upload" -X POST -H 'Transfer-Encoding: chunked' -H 'Expect: 100-continue')" \
		"method=POST content=4000000 sum=$(md5sum <"$tmp/upload" | cut -d' ' -f1)"
	python_checks "$label" <<'END'
import struct
import sys
from http_client import *
label = sys.argv[1]
large = open(os.path.join(docroot, b"50k.bin"), "rb").read()
wrong = []
for n in range(1, 20, 3):
    with Connection("192.0.2.1") as c:
        c.send(request("/50k.bin") * n + (request("/env") + request("/none?a")) * 3)
        files = [c.response().body for _ in range(n)]
        statuses = [c.response().status for _ in range(6)]
        c.send(request("/env"))
        if files != [large] * n or statuses != [200, 404] * 3 or c.response().status != 200:
            wrong.append((n, [len(body) for body in files], statuses))
is_("%s: files of both in one go, and one more request" % label, wrong, [])

# What RFC 6455 4.2.2 has as its example of a key, and of what is made of it.
def frame(octets):
    mask = b"mask"
    length = bytes([128 | len(octets)]) if len(octets) < 126 else b"\xfe" + struct.pack(">H", len(octets))
    return b"\x82" + length + mask + bytes(octet ^ mask[n % 4] for n, octet in enumerate(octets))

with Connection() as c:
    first = b"with the request"
    c.send(request("/socket", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==") + frame(first))
    response = c.response()
    is_("%s: a WebSocket" % label, (response.status, response.get("Sec-WebSocket-Accept")),
        (101, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="))
    messages = [first] + [bytes([n]) * (n * 97 % 3000) for n in range(1, 40)]
    for n, message in enumerate(messages):
        if n:
            c.send(frame(message))
        head = frame(message)[1:4] if len(message) > 125 else bytes([128 | len(message)])
        wanted = b"\x82" + bytes([head[0] & 127]) + head[1:] + message
        while len(c.unread) < len(wanted) and c.more():
            pass
        if bytes(c.unread) != wanted:
            wrong.append((n, bytes(c.unread[:20])))
        c.unread.clear()
    is_("%s: messages both ways" % label, wrong, [])
END
	ab -q -s 300 -n "$requests" -c 16 "http://127.0.0.1:$port/same" >"$tmp/ab" 2>&1
	is "$label: $requests connections" "$(failures)" "0 "
	kill $node
	wait $node 2>/dev/null
}
if command -v node >/dev/null; then
	exercise_node 127.0.0.1
	exercise_node ::
else
	skip "Node.js" "not installed"
fi

# ---- connections that outlive the module

nginx_backing 2
start_server nginx
python_checks <<'END'
import subprocess
from http_client import *
mine = b"from the backing server\n"
kept = []
for n in range(40):
    c = Connection(("127.0.0.1", "::1")[n % 2])
    c.send(request("/other.html" if n % 4 < 2 else "/"))
    c.response()
    kept.append(c)
time.sleep(0.5)
is_("the module is removed", subprocess.call(["rmmod", "rust_tux"]), 0)
answers = []
for c in kept:
    c.send(request("/other.html"))
    response = c.response()
    answers.append(response and response.body)
    c.close()
is_("the connections stay: those handed over before, and idle ones", answers, [mine] * 40)
END
load
sysctl_set clientport 8081
is "after the next load it goes on" "$(get /other.html)" "from the backing server"
stop_server nginx
done_testing
