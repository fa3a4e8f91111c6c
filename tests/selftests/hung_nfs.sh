#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# An NFS server that doesn't answer any more holds no worker up: neither to close
# a file that is open there, nor to look at the directory where it is mounted.

. "$(dirname "$0")/lib.sh"
storage_may_hang

mkdir "$tmp/exported" "$docroot/nfs"
# nfsd exports no tmpfs.
[ -b "${RUST_TUX_SCRATCH:-}" ] || skip_all "no scratch disk"
mkfs.ext4 -q -F "$RUST_TUX_SCRATCH" && mount "$RUST_TUX_SCRATCH" "$tmp/exported" || bail_out "the disk"
at_exit umount -l "$tmp/exported"
chmod 755 "$tmp/exported"
head -c 30000000 /dev/zero >"$tmp/exported/large.bin"
echo there >"$tmp/exported/a.txt"
echo hot >"$docroot/hot.txt"

drop() {
	iptables "$1" INPUT -p tcp --dport 2049 -j DROP
}
drop -I && drop -D || skip_all "no iptables"
{ start_nfs "$tmp/exported" && mount -t nfs -o vers=4.2,actimeo=0 127.0.0.1:/ "$docroot/nfs"; } >"$tmp/nfs.log" 2>&1 ||
	skip_all "no NFS: $(tail -n 1 "$tmp/nfs.log")"
at_exit umount -l -f "$docroot/nfs"
at_exit drop -D

load threads=1
is "before" "$(get /nfs/a.txt)" there
export -f drop
python_checks <<'END'
from http_client import *
import subprocess

def goes_on(name):
    begin = time.monotonic()
    is_(name, [ask("/hot.txt").body for _ in range(4)], [b"hot\n"] * 4)
    took = time.monotonic() - begin
    true(name + ": at once", took < 15, "took %.1f s" % took)

def drop(how):
    subprocess.run(["bash", "-c", "drop " + how], check=True)

slow = Connection(receive_buffer=4096)
slow.send(request("/nfs/large.bin"))
while len(slow.unread) < 1000:
    slow.more()
true("a file is being sent", wait_until(lambda: stat()["storage_running"] == 0), stat())
drop("-I")
slow.reset()
true("its client is gone", wait_until(lambda: stat()["storage_running"] > 0), stat())
goes_on("a file that can't be closed")
with Connection() as c:
    c.send(request("/nfs"))
    time.sleep(1)
    goes_on("the root of a mount")
drop("-D")
idle = lambda: stat()["storage_running"] == 0
true("all is over when it answers", wait_until(idle, 200), stat())
is_("it is served again", ask("/nfs/a.txt").body, b"there\n")
END
check "it can be unmounted" wait_for 20 umount "$docroot/nfs"
done_testing
