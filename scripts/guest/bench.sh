#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# usage: scripts/guest/bench.sh [REQUESTS [SECONDS]]
#
# Runs in the virtual machine (make bench). Serves one small site from tmpfs by
# rust_tux, nginx and Apache in turn, loads each with ab (REQUESTS keep-alive
# requests over 100 connections) and wrk (256 connections for SECONDS), and
# prints a table: requests per second, requests that failed, and the ratio to
# nginx. Client and server share the CPUs, and an emulated CPU is none: only
# ratios of one run mean something.

set -eu
requests=${1:-100000} seconds=${2:-30}
work=$(mktemp -d)
site=$work/site
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
mkdir -m 755 "$site" "$work/nginx" "$work/apache"
for size in 1 10 100; do
	head -c "${size}K" /dev/urandom >"$site/${size}k.bin"
done
chmod 644 "$site"/*
ulimit -n 65536
ip link set lo up
sysctl -q net.core.somaxconn=4096 net.ipv4.tcp_max_syn_backlog=4096

cat >"$work/nginx.conf" <<END
worker_processes auto;
worker_rlimit_nofile 65536;
pid $work/nginx/pid;
error_log $work/nginx/error.log;
events { worker_connections 8192; }
http {
	access_log off;
	sendfile on;
	tcp_nopush on;
	keepalive_requests 1000000000;
	open_file_cache max=1000 inactive=60s;
	client_body_temp_path $work/nginx;
	server { listen 8081 backlog=4096; root $site; }
}
END
modules=/usr/lib/apache2/modules
cat >"$work/apache.conf" <<END
ServerRoot $work/apache
ServerName localhost
PidFile $work/apache/pid
ErrorLog $work/apache/error.log
Listen 8082
LoadModule mpm_event_module $modules/mod_mpm_event.so
LoadModule authz_core_module $modules/mod_authz_core.so
ServerLimit 16
MaxRequestWorkers 1024
ThreadsPerChild 64
KeepAlive On
MaxKeepAliveRequests 0
EnableSendfile On
DocumentRoot $site
User www-data
Group www-data
<Directory $site>
	Require all granted
	AllowOverride None
</Directory>
END

start() {
	case $1 in
	rust_tux) insmod "${RUST_TUX_MODULE:-./rust-tux.ko}" docroot="$site" port=8080 backlog=4096 ;;
	nginx) nginx -c "$work/nginx.conf" ;;
	apache) apache2 -f "$work/apache.conf" ;;
	esac
}
stop() {
	case $1 in
	rust_tux) rmmod rust_tux ;;
	nginx) kill "$(cat "$work/nginx/pid")" ;;
	apache) kill "$(cat "$work/apache/pid")" ;;
	esac
	sleep 2
}
declare -A port=([rust_tux]=8080 [nginx]=8081 [apache]=8082) rate failed nginx_rate

echo "kernel $(uname -r), $(nproc) CPUs, $(nginx -v 2>&1 | sed 's/.*: //'), $(apache2 -v |
	sed -n 's/Server version: //p'); ab -k -c 100 -n $requests; wrk -c 256 -d ${seconds}s"
row='%-10s %-5s %-9s %9s %7s %8s\n'
# shellcheck disable=SC2059
printf "$row" server tool file req/s failed vs-nginx
for server in nginx rust_tux apache; do
	start $server
	sleep 1
	for file in 1k.bin 10k.bin 100k.bin; do
		url=http://127.0.0.1:${port[$server]}/$file
		# As many octets for each size, a tenth at least.
		n=$requests
		[ $file != 100k.bin ] || n=$((requests / 10))
		ab -q -k -c 100 -n "$n" "$url" >"$work/ab" 2>&1 || :
		rate[ab]=$(sed -n 's/^Requests per second: *\([0-9]*\).*/\1/p' "$work/ab")
		failed[ab]=$(awk '/^Failed requests|^Non-2xx|^Write errors/ { n += $NF } END { print n + 0 }' "$work/ab")
		grep -q "^Complete requests: *$n" "$work/ab" || failed[ab]=incomplete
		wrk -t 2 -c 256 -d "${seconds}s" "$url" >"$work/wrk" 2>&1 || :
		rate[wrk]=$(sed -n 's/^Requests\/sec: *\([0-9]*\).*/\1/p' "$work/wrk")
		failed[wrk]=$(awk '/Socket errors/ { gsub(/,/, ""); n += $4 + $6 + $8 + $10 } /Non-2xx/ { n += $NF } END { print n + 0 }' "$work/wrk")
		for tool in ab wrk; do
			[ $server != nginx ] || nginx_rate[$tool$file]=${rate[$tool]:-0}
			ratio=$(awk "BEGIN { printf \"%.2f\", ${rate[$tool]:-0} / (${nginx_rate[$tool$file]} + 0.001) }")
			# shellcheck disable=SC2059
			printf "$row" $server $tool $file "${rate[$tool]:-none}" "${failed[$tool]}" "$ratio"
		done
	done
	stop $server
done
