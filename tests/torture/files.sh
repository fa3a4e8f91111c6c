#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Files that are truncated, rewritten, replaced, removed, forbidden and moved
# while they are sent; file systems that turn read-only, are unmounted lazily,
# are full, fail, and stall; a page cache that is too small. A response that is
# complete has octets that the file truly had.

. "$(dirname "$0")/lib.sh"

[ -b "${RUST_TUX_SCRATCH:-}" ] || skip_all "no scratch disk"
modprobe loop 2>/dev/null
at_exit pkill -P $$

# mounted NAME SOURCE OPTIONS: mounts ext4 below the document root.
mounted() {
	mkdir -p "$docroot/$1"
	mount -o "$3" "$2" "$docroot/$1" || bail_out "mounting $1"
	at_exit umount -l "$docroot/$1"
}
echo index >"$docroot/index.html"

# 2 GiB that are written to, and 64 MiB behind that, which fail.
sectors=$((4 << 20)) small=$((1 << 17)) device=
has_mapper=no
if mapped failing "0 $small linear $RUST_TUX_SCRATCH $sectors"; then
	has_mapper=yes
	mkfs.ext4 -q -F "$device"
	mounted failing "$device" defaults
	mapped disk "0 $sectors linear $RUST_TUX_SCRATCH 0" || bail_out "no second device"
else
	echo "# no device mapper: $(tail -n 1 "$tmp/dm")"
	mkdir "$docroot/failing"
	device=$RUST_TUX_SCRATCH
fi
mkfs.ext4 -q -F "$device" 2G || bail_out "no file system"
mounted disk "$device" defaults
mkdir "$docroot/full" "$docroot/lazy" "$docroot/memory"
mount -t tmpfs -o size=3m,mode=755 full "$docroot/full" || bail_out "mounting full"
at_exit umount -l "$docroot/full"

load
export has_mapper small sectors
python_checks <"$torture/files.py"
read -r done_operations <"$tmp/operations"
operations_done "${done_operations:-0}"
still_serves
for mount in failing disk full; do
	! mountpoint -q "$docroot/$mount" ||
		check "$mount can be unmounted" wait_for 20 umount "$docroot/$mount"
done
done_torturing
