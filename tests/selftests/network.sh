#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Clients and networks that behave badly: what is answered is right, what is
# given up is gone, and everybody else is served.

. "$(dirname "$0")/lib.sh"

client_network || skip_all "no network namespace"
debug=
[ "${RUST_TUX_KERNEL:-stock}" = stock ] || debug=yes
head -c 102400 /dev/urandom >"$docroot/100k.bin"
head -c 8000000 /dev/urandom >"$docroot/8m.bin"
echo index >"$docroot/index.html"

count() {
	sed -n "s/^$1 //p" /proc/net/http/stat
}
no_connection() {
	[ "$(count connections_open)" = 0 ]
}
fetch() {
	in_client curl -sS --max-time "${fetch_time:-300}" "http://${server:-192.0.2.1}:$port$1" "${@:2}"
}

# What is lost often is sent again after seconds, not minutes.
if set_for_now /proc/sys/net/ipv4/tcp_rto_max_ms 5000; then
	in_client sh -c "echo 5000 >/proc/sys/net/ipv4/tcp_rto_max_ms"
fi
# A connection that is closed is given up at the first time-out of that length, unless this is set.
set_for_now /proc/sys/net/ipv4/tcp_orphan_retries 100
load
sysctl_set linger_timeout 2
sysctl_set header_timeout 3600

is "over IPv4" "$(fetch /)" index
server='[2001:db8::1]'
is "over IPv6" "$(fetch /)" index
server=

# ---- clients that go away ----------------------------------------------------------

cat >"$tmp/reset.py" <<'END'
import socket, struct, sys, time
port, rounds = int(sys.argv[1]), int(sys.argv[2])
request = b"GET /8m.bin HTTP/1.1\r\nHost: a\r\n\r\n"

def connect():
    sock = socket.create_connection(("192.0.2.1", port), timeout=60)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock

def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()

for _ in range(rounds):
    reset(connect())
    sock = connect()
    sock.sendall(request[:10])
    reset(sock)
    sock = connect()
    sock.sendall(request)
    reset(sock)
    sock = connect()
    sock.sendall(request)
    sock.recv(1)
    reset(sock)
    sock = connect()
    sock.sendall(request * 20)
    sock.recv(100000)
    reset(sock)
    sock = connect()
    sock.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nxxx")
    reset(sock)
    sock = connect()
    sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    reset(sock)
    # Its FIN in the middle of a request, and of a response.
    sock = connect()
    sock.sendall(request[:20])
    sock.close()
    sock = connect()
    sock.sendall(request)
    sock.close()
END
check "RSTs and FINs at every stage" in_client python3 "$tmp/reset.py" "$port" ${debug:+5} ${debug:-20}
check "all these connections have ended" wait_for 60 no_connection
is "the server goes on" "$(fetch /)" index

cat >"$tmp/pieces.py" <<'END'
import socket, sys, time
port = int(sys.argv[1])

def connect():
    sock = socket.create_connection(("192.0.2.1", port), timeout=60)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock

def receive(sock):
    pieces = []
    while True:
        piece = sock.recv(65536)
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)

with open(sys.argv[2] + "/100k.bin", "rb") as file:
    content = file.read()

sock = connect()
sock.sendall(b"GET /100k.bin HTTP/1.1\r\nHost: a\r\n\r\n")
sock.shutdown(socket.SHUT_WR)
answer = receive(sock)
print("half_close", answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(content))

sock = connect()
sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 50)
sock.shutdown(socket.SHUT_WR)
print("half_close_pipelined", receive(sock).count(b"\r\n\r\nindex\n"))

sock = connect()
for octet in b"GET /100k.bin HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n":
    sock.sendall(bytes([octet]))
    time.sleep(0.002)
answer = receive(sock)
print("octets", answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(content))

# Urgent data is data in line.
sock = connect()
sock.sendall(b"GET / HTTP/1.1\r\nHos")
sock.send(b"t", socket.MSG_OOB)
sock.sendall(b": a\r\nConnection: close\r\n\r\n")
print("urgent", receive(sock).endswith(b"index\n"))

# A reader that reads slowly, but reads.
sock = socket.socket()
sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
sock.settimeout(60)
sock.connect(("192.0.2.1", port))
sock.sendall(b"GET /100k.bin HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
answer = b""
while True:
    piece = sock.recv(3000)
    if not piece:
        break
    answer += piece
    time.sleep(0.02)
print("slow", answer.endswith(content))
END
answers=$(in_client python3 "$tmp/pieces.py" "$port" "$docroot" 2>&1)
like "a half-closed connection is answered" "$answers" "^half_close True"
like "50 requests and a FIN are all answered" "$answers" "^half_close_pipelined 50"
like "a request octet by octet" "$answers" "^octets True"
like "urgent data are data" "$answers" "^urgent True"
like "a slow reader" "$answers" "^slow True"

# ---- a reader that does not read ------------------------------------------------------

sysctl_set send_timeout 3
before=$(count timeout_send)
cat >"$tmp/deaf.py" <<'END'
import socket, sys, time
socks = []
for _ in range(10):
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("192.0.2.1", int(sys.argv[1])))
    sock.sendall(b"GET /8m.bin HTTP/1.1\r\nHost: a\r\n\r\n")
    socks.append(sock)
open(sys.argv[2] + "/deaf", "w").close()
time.sleep(600)
END
ip netns exec client python3 "$tmp/deaf.py" "$port" "$tmp" &
deaf=$!
wait_for 60 [ -e "$tmp/deaf" ]
is "meanwhile others are served" "$(fetch /)" index
deaf_gone() {
	[ "$(count timeout_send)" -ge $((before + 10)) ]
}
check "readers that do not read are closed after send_timeout" wait_for 60 deaf_gone
check "and gone" wait_for 30 no_connection
no_socket() {
	[ -z "$(ss -Htn state all "sport = :$port" | grep -vE 'LISTEN|TIME-WAIT')" ]
}
check "and the memory of what was not sent with them" wait_for 30 no_socket
kill "$deaf"
wait "$deaf" 2>/dev/null
sysctl_set send_timeout 60

# ---- networks -----------------------------------------------------------------------

ethtool -K server tso off gso off gro off >/dev/null 2>&1
in_client ethtool -K client tso off gso off gro off >/dev/null 2>&1

# several NAME COUNT: 100 KiB as often, three at a time, compared.
several() {
	local i wrong=0
	for i in $(seq "$2"); do
		fetch /100k.bin -o "$tmp/several.$i" ${3:+-H "Connection: $3"} 2>"$tmp/several.$i.log" &
		[ $((i % 3)) != 0 ] || wait
	done
	wait
	for i in $(seq "$2"); do
		cmp "$tmp/several.$i" "$docroot/100k.bin" >"$tmp/several.cmp" 2>&1 && continue
		wrong=$((wrong + 1))
		sed "s/^/# $i: /" "$tmp/several.$i.log" "$tmp/several.cmp"
	done
	rm -f "$tmp"/several.*
	is "$1" "$wrong of $2 wrong" "0 of $2 wrong"
}

if tc qdisc add dev server root netem delay 1ms 2>/dev/null; then
	tc qdisc del dev server root
	netem() {
		tc qdisc replace dev server root netem "$@"
		in_client tc qdisc replace dev client root netem "$@"
	}
	netem loss 20% delay 2ms
	several "20 % of the packets are lost" 6
	several "20 % of the packets are lost, one request a connection" 6 close
	netem delay 10ms 8ms reorder 30% duplicate 20%
	several "packets come out of order, and twice" 6
	netem corrupt 10% delay 2ms
	several "packets are corrupted" 3
	tc qdisc del dev server root
	in_client tc qdisc del dev client root
	check "all connections have ended" wait_for 60 no_connection
else
	skip "lossy networks" "no netem"
fi

in_client ip route change 192.0.2.0/24 dev client advmss 88
several "a maximum segment size of 88" 2
in_client ip route change 192.0.2.0/24 dev client advmss 1460
ip link set server mtu 1280
several "an MTU of 1280 on one side" 2
ip link set server mtu 1500

# MiB of memory that neither are free nor have a known use: pages with a reference too many, for one.
stray() {
	awk '$1 == "MemTotal:" { all = $2 }
		$1 ~ /^(MemFree|Buffers|Cached|AnonPages|Slab|PageTables|KernelStack|VmallocUsed|Percpu):$/ { known += $2 }
		END { print int((all - known) / 1024) }' /proc/meminfo
}
ethtool -K server sg off >/dev/null 2>&1
case $(ethtool -k server 2>/dev/null) in
*"scatter-gather: off"*)
	before=$(stray)
	for i in 1 2 3 4 5 6 7 8; do
		head -c 8M /dev/urandom >"$docroot/copied.bin"
		fetch /copied.bin -o "$tmp/copied"
		cmp -s "$tmp/copied" "$docroot/copied.bin" || echo "# file $i is wrong"
		rm "$docroot/copied.bin" "$tmp/copied"
	done >"$tmp/wrong"
	is "a device that takes no pages" "$(cat "$tmp/wrong")" ""
	has_no_stray() {
		[ $(($(stray) - before)) -lt 20 ]
	}
	check "no page is kept of what was copied for it" wait_for 60 has_no_stray
	ethtool -K server sg on >/dev/null 2>&1
	;;
*) skip "a device that takes no pages" "this one takes them" ;;
esac

old=$(cat /proc/sys/net/ipv4/tcp_syncookies)
at_exit eval "echo $old >/proc/sys/net/ipv4/tcp_syncookies"
if echo 2 >/proc/sys/net/ipv4/tcp_syncookies 2>/dev/null; then
	several "with SYN cookies for all" 6
	server='[2001:db8::1]'
	several "with SYN cookies for all, over IPv6" 3
	server=
	echo "$old" >/proc/sys/net/ipv4/tcp_syncookies
else
	skip "SYN cookies" "not in this kernel"
fi

# TCP Fast Open for every listener: data in the SYN must not reach ours.
old=$(cat /proc/sys/net/ipv4/tcp_fastopen)
at_exit eval "echo $old >/proc/sys/net/ipv4/tcp_fastopen"
echo $((0x603)) >/proc/sys/net/ipv4/tcp_fastopen
in_client sh -c "echo $((0x603)) >/proc/sys/net/ipv4/tcp_fastopen"
sysctl_set stop 1
sysctl_set start 1
cat >"$tmp/fastopen.py" <<'END'
import socket, sys
right = 0
for _ in range(10):
    sock = socket.socket()
    sock.sendto(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", socket.MSG_FASTOPEN,
                ("192.0.2.1", int(sys.argv[1])))
    sock.settimeout(60)
    answer = b""
    while piece := sock.recv(4096):
        answer += piece
    right += answer.endswith(b"\r\n\r\nindex\n")
print(right)
END
is "TCP Fast Open for all does no harm" "$(in_client python3 "$tmp/fastopen.py" "$port" 2>&1)" 10
echo "$old" >/proc/sys/net/ipv4/tcp_fastopen

# ---- SYNs that nobody means ------------------------------------------------------------

cat >"$tmp/syn.py" <<'END'
import os, random, socket, struct, sys
port = int(sys.argv[1])

def checksum(octets):
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    total = (total >> 16) + (total & 0xffff)
    return ~(total + (total >> 16)) & 0xffff

sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
to = socket.inet_aton("192.0.2.1")
for i in range(int(sys.argv[2])):
    source = bytes([192, 0, 2, 10 + i % 200])
    tcp = struct.pack("!HHIIBBHHH", 1024 + i % 60000, port, random.getrandbits(32), 0, 0x50,
                      (0x02, 0x10, 0x12, 0x04, 0x01, 0x29)[i % 6 if i % 3 == 0 else 0], 1000, 0, 0)
    seed = source + to + struct.pack("!BBH", 0, 6, len(tcp))
    tcp = tcp[:16] + struct.pack("!H", checksum(seed + tcp)) + tcp[18:]
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 40, i & 0xffff, 0, 64, 6, 0) + source + to
    sock.sendto(ip + tcp, ("192.0.2.1", 0))
END
check "SYNs from nobody" in_client python3 "$tmp/syn.py" "$port" ${debug:+1000} ${debug:-5000}
is "meanwhile it is served" "$(fetch /)" index

# ---- many idle connections --------------------------------------------------------------

idle=2000
[ -z "$debug" ] || idle=500
cat >"$tmp/idle.py" <<'END'
import os, socket, sys, time
port, number, directory = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
socks = []
for i in range(number):
    sock = socket.create_connection(("192.0.2.1", port), timeout=60)
    sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    if not sock.recv(4096).startswith(b"HTTP/1.1 200 "):
        sys.exit(1)
    socks.append(sock)
open(directory + "/idle", "w").close()
while not os.path.exists(directory + "/again"):
    time.sleep(0.1)
for sock in socks:
    sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
for sock in socks:
    if not sock.recv(4096).startswith(b"HTTP/1.1 200 "):
        sys.exit(1)
END
memory() {
	awk '$1 == "Slab:" || $1 == "MemAvailable:" { print $2 }' /proc/meminfo | tr '\n' ' '
}
sysctl_set keepalive_timeout 3600
echo 3 >/proc/sys/vm/drop_caches
read -r available slab < <(memory)
in_client python3 "$tmp/idle.py" "$port" "$idle" "$tmp" &
client=$!
check "$idle idle connections" wait_for 300 [ -e "$tmp/idle" ]
is "all are open" "$(count connections_open)" "$idle"
echo 3 >/proc/sys/vm/drop_caches
read -r available_now slab_now < <(memory)
echo "# octets per idle connection, with the client's end: $(((available - available_now) * 1024 / idle)) of memory, $(((slab_now - slab) * 1024 / idle)) of slab"
is "another is served" "$(fetch /)" index
touch "$tmp/again"
wait $client
is "all are served again" "$?" 0
check "all have ended" wait_for 60 no_connection
done_testing
