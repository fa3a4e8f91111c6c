#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A crowd of slow clients: up to 50,000 idle connections ($TEST_CONNECTIONS), as
# time and memory allow, and more that send or read an octet now and then. What
# one costs is measured and bounded; a new client waits no longer than without
# them.

. "$(dirname "$0")/lib.sh"

export docroot
# One descriptor for each client.
ulimit -n 200000
sysctl -qw fs.file-max=500000 net.core.somaxconn=16384
# Readers who don't read would fill what all of TCP may have. Beyond that each
# socket, idle ones too, has an equal share, and a reader with more than its share
# drops what comes, which is sent again after up to two minutes. Less than a file
# is sent ahead, but more than a segment, whose acknowledgement may be delayed.
sysctl -qw net.ipv4.tcp_mem='262144 262144 524288' net.ipv4.tcp_wmem='4096 16384 262144'
load backlog=16384
sysctl_set max_connect 4194304
for name in header_timeout body_timeout send_timeout; do
	sysctl_set $name 3600
done
for name in keepalive_timeout min_receive_rate min_send_rate; do
	sysctl_set $name 0
done
sysctl_set http_dir_indexing 1
run slow
still_serves
done_torturing
