#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Clients that do to a connection what TCP allows. What they are answered is
# right to the octet, and nothing of them stays. With every second seed some of their
# requests are for a backing server.

. "$(dirname "$0")/lib.sh"

must_set_for_now /proc/sys/net/ipv4/tcp_fastopen 1543
must_set_for_now /proc/sys/net/ipv4/tcp_tw_reuse 1
must_set_for_now /proc/sys/net/ipv4/tcp_fin_timeout 3
docroot_on_disk
remember_sockets
load
if [ $((TEST_SEED % 2)) = 1 ]; then
	export backing=8081
	sysctl_set clientport $backing
fi
clients_come
run connections
clients_wrote_nothing
was_fast
still_serves
unload
no_sockets_left
done_torturing
