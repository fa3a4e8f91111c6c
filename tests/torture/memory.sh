#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Memory lacks: for each allocation of each kind of request in its turn, for some
# by chance (on the checking kernel), for the page cache, for TCP, for clients,
# and for who loads the module.

. "$(dirname "$0")/lib.sh"

export docroot
docroot_on_disk
prepare_faults || echo "# this kernel has no fault injection"
receive="$(address_of tcp_v4_rcv) $(address_of tcp_v4_early_demux)"
[ "$((${receive#* } - ${receive% *}))" -gt 0 ] || receive=$(printf '0x%x 0x%x' "$(address_of tcp_v4_rcv)" $(($(address_of tcp_v4_rcv) + 8192)))
export receive

# Who loads the module is in a memory cgroup that may be too small for that.
groups=/sys/fs/cgroup
echo +memory >$groups/cgroup.subtree_control
for limit in 64K 512K 1M 32M; do
	group=$groups/load-$limit
	mkdir "$group" && echo $limit >"$group/memory.max" || bail_out "a cgroup of $limit"
	(
		# No more processes than that one.
		echo "$BASHPID" >"$group/cgroup.procs"
		exec insmod "$module" "docroot=$docroot" "port=$port"
	) >"$tmp/insmod" 2>&1
	status=$?
	operations_done 1
	echo hello >"$docroot/index.html"
	if [ $status = 0 ] && loaded; then
		is "loaded with $limit of memory: it serves" "$(get /)" hello
	elif loaded || [ -e /proc/net/http ] || [ -e /proc/sys/net/http ]; then
		not_ok "not loaded with $limit of memory: nothing is left" "status $status" "$(cat "$tmp/insmod")" "$(ls -d /sys/module/rust_tux /proc/net/http)"
	else
		ok "not loaded with $limit of memory: nothing is left"
	fi
	# The last one stays: its listening socket is of that cgroup.
	[ $limit = 32M ] || {
		! loaded || unload
		rmdir "$group" 2>/dev/null
	}
done
loaded || bail_out "32 MiB are not enough to load the module"

if [ -b "${RUST_TUX_SCRATCH:-}" ]; then
	mkdir -m 755 "$docroot/disk"
	piece_of_disk 0 4
	mkfs.ext4 -q -F "$piece" && mount "$piece" "$docroot/disk" || bail_out "mounting the scratch disk"
	at_exit umount -l "$docroot/disk"
	chmod 755 "$docroot/disk"
fi
sysctl_set send_timeout 120
sysctl_set http_dir_indexing 1
rm "$docroot/index.html"
run memory
! [ -e /sys/kernel/debug/failslab/require-start ] || no_faults
# A connection whose reset was lost goes with its timeouts.
ss -K "sport = :$port" >/dev/null 2>&1
ss -K "dport = :$port" >/dev/null 2>&1
still_serves
done_torturing
