#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A processor goes and comes, is taken by a real-time task for some hundred
# milliseconds, and the clock jumps, each alone and then all together, while
# clients ask and timeouts run.

. "$(dirname "$0")/lib.sh"

export docroot
at_exit eval "echo 1 >/sys/devices/system/cpu/cpu1/online"
docroot_on_disk
load
sysctl_set http_dir_indexing 1
sysctl_set header_timeout 3
sysctl_set keepalive_timeout 2
run processors
still_serves
done_torturing
