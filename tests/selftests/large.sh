#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A file of more than 4 GiB, and many small ones, arrive octet for octet.

. "$(dirname "$0")/lib.sh"

[ "${RUST_TUX_KERNEL:-stock}" != debug ] ||
	skip_all "gigabytes take the checking kernel an hour; filesystems.sh has the paths"

[ -b "${RUST_TUX_SCRATCH:-}" ] || skip_all "no scratch disk"
debug=
[ "${RUST_TUX_KERNEL:-stock}" = stock ] || debug=yes
mkfs.ext4 -q -F -i 16384 "$RUST_TUX_SCRATCH"
mkdir "$tmp/disk"
mount "$RUST_TUX_SCRATCH" "$tmp/disk" || bail_out "mounting the scratch disk"
at_exit umount -l "$tmp/disk"
chmod 755 "$tmp/disk"

load "docroot=$tmp/disk"

# ---- more than 4 GiB ------------------------------------------------------------

cat >"$tmp/large.py" <<'END'
import os, random, socket, struct, sys, time
port, path, size = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
GiB = 1 << 30
# Octets that are not zero: at both ends, around each boundary that somebody may
# have thought of, and here and there. All of the file is compared.
places = [0, 2 * GiB - 5000, 4 * GiB - 5000, size - 9999]
places += [random.Random(i).randrange(10000, size - 20000) for i in range(8)]
places = sorted(place for place in places if place + 9999 <= size)
with open(path, "wb") as file:
    file.truncate(size)
    for place in places:
        file.seek(place)
        file.write(random.Random(place).randbytes(9999))
os.chmod(path, 0o644)
os.sync()
start = time.time()
# Blocking, so that MSG_WAITALL counts; but not for ever.
sock = socket.create_connection(("127.0.0.1", port))
sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 120, 0))
sock.sendall(b"GET /large.bin HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
head = b""
while b"\r\n\r\n" not in head:
    head += sock.recv(1)
assert f"Content-Length: {size}\r\n".encode() in head, head
at = 0
piece = 1 << 18
received, wanted = bytearray(piece), bytearray(piece)
with open(path, "rb", buffering=0) as file:
    while got := sock.recv_into(received, piece, socket.MSG_WAITALL):
        file.readinto(wanted)
        if received[:got] != wanted[:got] if got < piece else received != wanted:
            sys.exit(f"other octets than in the file from {at} to {at + got}")
        at += got
        if got < piece:
            break
if at != size or sock.recv(1):
    sys.exit(f"not {size} octets")
seconds = time.time() - start
print(f"{size} octets in {seconds:.1f} s, {size / seconds / 1e6:.0f} MB/s")
END
size=$(((5 << 30) + 123457))
check "the head says the size" eval "truncate -s $size $tmp/disk/head.bin; chmod 644 $tmp/disk/head.bin
	curl -sSI $url/head.bin | tr -d '\r' | grep -qx 'Content-Length: $size'"
if said=$(python3 "$tmp/large.py" "$port" "$tmp/disk/large.bin" "$size" 2>&1); then
	ok "a file of $size octets, each compared"
	echo "# $said"
else
	not_ok "a file of $size octets, each compared" "$(tail -n 5 <<<"$said")"
fi
rm -f "$tmp/disk/large.bin"

# ---- many small ones ----------------------------------------------------------------

cat >"$tmp/many.py" <<'END'
import os, random, re, socket, sys, time
port, directory, number = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
source = random.Random(1).randbytes(1 << 17)
contents = {}
for i in range(number):
    if i % 100 == 0:
        here = f"{directory}/{i // 100}"
        os.mkdir(here)
        os.chmod(here, 0o755)
    start = random.Random(i).randrange(0, 100000)
    content = b"%d " % i + source[start:start + i * 7 % 12000]
    with open(f"{directory}/{i // 100}/{i}.bin", "wb") as file:
        file.write(content)
    contents[i] = start
os.sync()
with open("/proc/sys/vm/drop_caches", "w") as file:
    file.write("3")
start = time.time()
sock = socket.create_connection(("127.0.0.1", port), timeout=120)
reader = sock.makefile("rb", 1 << 18)
length_of = re.compile(rb"Content-Length: ([0-9]+)\r\n")
order = list(contents)
random.Random(2).shuffle(order)
wrong = 0
for first in range(0, number, 40):
    batch = order[first:first + 40]
    sock.sendall(b"".join(b"GET /many/%d/%d.bin HTTP/1.1\r\nHost: a\r\n\r\n" % (i // 100, i)
                          for i in batch))
    for i in batch:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = reader.readline()
            if not line:
                sys.exit(f"the connection ended at {i}")
            head += line
        body = reader.read(int(length_of.search(head).group(1)))
        with open(f"{directory}/{i // 100}/{i}.bin", "rb") as file:
            on_disk = file.read()
        wrong += not head.startswith(b"HTTP/1.1 200 ") or body != on_disk
print(f"{number} files in {time.time() - start:.1f} s, {wrong} wrong")
sys.exit(wrong != 0)
END
many=10000
[ -z "$debug" ] || many=2000
mkdir -m 755 "$tmp/disk/many"
if said=$(python3 "$tmp/many.py" "$port" "$tmp/disk/many" $many 2>&1); then
	ok "$many small files, cold, in any order"
	echo "# $said"
else
	not_ok "$many small files, cold, in any order" "$(tail -n 5 <<<"$said")"
fi

sysctl_set documentroot "$docroot"
check "the disk can be unmounted" wait_for 20 umount "$tmp/disk"
done_testing
