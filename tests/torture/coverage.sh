#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The coverage of what a client's requests make the module do is that client's to
# read. Needs the instrumented module (scripts/torture.sh --kernel kcov coverage).

. "$(dirname "$0")/lib.sh"

grep -qa kcov_remote_start "$module" || skip_all "the module is not instrumented"
[ -b "${RUST_TUX_SCRATCH:-}" ] || skip_all "no scratch disk"
mkfs.ext4 -q -E lazy_itable_init=1 "$RUST_TUX_SCRATCH" 256M
mount "$RUST_TUX_SCRATCH" "$docroot" || bail_out "mount"
at_exit umount "$docroot"
head -c 100000 /dev/urandom | tee "$docroot/old.bin" >"$docroot/new.bin"
chmod 755 "$docroot"
chmod 644 "$docroot"/*.bin
sync
echo 3 >/proc/sys/vm/drop_caches
cat "$docroot/old.bin" >/dev/null
load
run coverage
done_torturing
