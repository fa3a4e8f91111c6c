#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The same files, of awkward sizes, are served octet for octet from each file
# system, out of the page cache and from the disk, and a change shows at once.

. "$(dirname "$0")/lib.sh"

cat >"$tmp/make_site.py" <<'END'
import os, random, sys
os.chdir(sys.argv[1])
os.makedirs("deep/er")
sizes = [0, 1, 4095, 4096, 4097, 65535, 65536, 65537, 131071, 131072, 131073, 777777,
         1 << 20, (1 << 20) + 1]
for size in sizes:
    with open(f"deep/er/{size}.bin", "wb") as file:
        file.write(random.Random(size).randbytes(size))
with open("index.html", "wb") as file:
    file.write(b"the index\n")
with open("sparse.bin", "wb") as file:
    file.seek(1000003)
    file.write(b"in the middle")
    file.truncate(2000003)
END

# One process for each file system, because starting one takes long here. Each
# line of it is a result.
cat >"$tmp/serve.py" <<'END'
import http.client, mmap, os, sys, urllib.parse
directory, port, docroot, name, writable = sys.argv[1:]
connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=120)

def request(method, target):
    connection.request(method, target)
    response = connection.getresponse()
    return response.status, response.getheader("Content-Length"), response.read()

def compare(what, path, methods=("GET",)):
    wrong = []
    count = 0
    for here, _, names in sorted(os.walk(directory)):
        for file_name in sorted(names):
            name_there = os.path.relpath(os.path.join(here, file_name), directory)
            target = path + urllib.parse.quote(name_there)
            with open(os.path.join(here, file_name), "rb") as file:
                wanted = file.read()
            for method in methods:
                status, length, body = request(method, target)
                if (status, length) != (200, str(len(wanted))):
                    wrong.append(f"{method} {target} status {status} length {length}")
                elif body != (wanted if method == "GET" else b""):
                    wrong.append(f"{method} {target} content differs, {len(body)} octets")
            count += 1
    if wrong or count == 0:
        print(f"not_ok:{what}:{count} files, wrong {'; '.join(wrong)}")
    else:
        print(f"ok:{what}")

def cold():
    os.sync()
    with open("/proc/sys/vm/drop_caches", "w") as file:
        file.write("3")

def changed(what, wanted, status=200):
    got = request("GET", "/changing.txt")
    if got[0] == status and (status != 200 or got[2] == wanted):
        print(f"ok:{what}")
    else:
        print(f"not_ok:{what}:got {got[0]} {got[2][:200]}")

compare("as it was left", "/", ("HEAD", "GET"))
cold()
compare("cold", "/")
if writable:
    path = os.path.join(directory, "changing.txt")
    def write(mode, octets, to=path):
        with open(to, mode) as file:
            file.write(octets)
        os.chmod(to, 0o644)
    write("wb", b"one")
    changed("a new file", b"one")
    write("wb", b"two")
    changed("other content of the same length", b"two")
    write("ab", b"three")
    changed("appended octets", b"twothree")
    os.truncate(path, 2)
    changed("a truncated file", b"tw")
    write("r+b", b"X")
    changed("an octet overwritten", b"Xw")
    write("wb", b"other one", path + ".new")
    os.rename(path + ".new", path)
    changed("another file in its place", b"other one")
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[0:5] = b"MAPPD"
        memory.flush()
        changed("stores through a mapping, while it is there", b"MAPPD one")
        memory[0:5] = b"AGAIN"
        memory.flush()
        changed("more stores through it", b"AGAIN one")
    os.unlink(path)
    changed("a removed file", b"", 404)
with open("/proc/sys/net/http/documentroot", "w") as file:
    file.write(docroot)
compare("below the document root", f"/{name}/")
END

# copy_site DIRECTORY
copy_site() {
	mkdir -p "$1"
	cp -r --sparse=always "$tmp/tmpfs/." "$1"
	chmod -R a+rX "$1"
}

# serve NAME DIRECTORY [writable]: as the document root, and mounted below it.
serve() {
	local verdict what detail
	mkdir -p "$docroot/$1"
	sysctl_set documentroot "$2"
	mount --bind "$2" "$docroot/$1"
	python3 "$tmp/serve.py" "$2" "$port" "$docroot" "$1" "${3:-}" >"$tmp/results" 2>&1 ||
		not_ok "$1: the client" "$(tail -n 20 "$tmp/results")"
	while IFS=: read -r verdict what detail; do
		case $verdict in
		ok) ok "$1: $what" ;;
		not_ok) not_ok "$1: $what" "$detail" ;;
		esac
	done <"$tmp/results"
	is "$1: the index" "$(get "/$1/")" "$(cat "$2/index.html")"
	check "$1: can be unmounted below the document root" wait_for 10 umount "$docroot/$1"
}

# mounted NAME TYPE SOURCE [OPTIONS]: mounts at $tmp/NAME.
mounted() {
	mkdir -p "$tmp/$1"
	mount -t "$2" -o "${4:-defaults}" "$3" "$tmp/$1" && at_exit umount -l "$tmp/$1"
}

[ -b "${RUST_TUX_SCRATCH:-}" ] || skip_all "no scratch disk"
modprobe loop 2>/dev/null
load

mkdir "$tmp/tmpfs"
python3 "$tmp/make_site.py" "$tmp/tmpfs"
chmod -R a+rX "$tmp/tmpfs"
serve tmpfs "$tmp/tmpfs" writable

mkfs.ext4 -q -F "$RUST_TUX_SCRATCH" && mounted ext4 ext4 "$RUST_TUX_SCRATCH" ||
	bail_out "the scratch disk has ext4"
copy_site "$tmp/ext4"
serve ext4 "$tmp/ext4" writable
images=$tmp/ext4/images
copy_site "$images/site"

for type in xfs btrfs vfat; do
	command=mkfs.$type
	options=
	case $type in
	vfat)
		command="busybox mkdosfs"
		options=umask=022
		;;
	esac
	truncate -s 512M "$images/$type"
	if $command "$images/$type" >"$tmp/mkfs" 2>&1 &&
		mounted $type $type "$images/$type" $options 2>"$tmp/mkfs"; then
		copy_site "$tmp/$type"
		serve $type "$tmp/$type" writable
		check "$type: can be unmounted" wait_for 10 umount "$tmp/$type"
	else
		skip "$type" "$(tail -n 1 "$tmp/mkfs")"
	fi
	rm "$images/$type"
done

# image NAME TYPE COMMAND...: a file system that is made as a whole.
image() {
	local name=$1 type=$2
	shift 2
	if "$@" >"$tmp/mkfs" 2>&1 && mounted "$name" "$type" "$images/$name" ro 2>"$tmp/mkfs"; then
		serve "$name" "$tmp/$name"
		check "$name: can be unmounted" wait_for 10 umount "$tmp/$name"
	else
		skip "$name" "$(tail -n 1 "$tmp/mkfs")"
	fi
}
image squashfs squashfs mksquashfs "$images/site" "$images/squashfs" -quiet -no-progress
image erofs erofs mkfs.erofs --quiet "$images/erofs" "$images/site"
image erofs-lz4 erofs mkfs.erofs --quiet -zlz4 "$images/erofs-lz4" "$images/site"

mkdir "$images/upper" "$images/work"
if mounted overlay overlay overlay \
	"lowerdir=$images/site,upperdir=$images/upper,workdir=$images/work" 2>"$tmp/mkfs"; then
	serve overlay "$tmp/overlay" writable
	sysctl_set documentroot "$tmp/overlay"
	echo changed >"$tmp/overlay/index.html"
	is "overlay: a file of the lower layer changed" "$(get /)" changed
	printf X | dd of="$tmp/overlay/deep/er/65536.bin" conv=notrunc status=none
	get /deep/er/65536.bin >"$tmp/got"
	check "overlay: a file copied up" cmp "$tmp/got" "$tmp/overlay/deep/er/65536.bin"
	sysctl_set documentroot "$docroot"
	check "overlay: can be unmounted" wait_for 10 umount "$tmp/overlay"
else
	skip overlay "$(tail -n 1 "$tmp/mkfs")"
fi

# ---- NFS over loopback -----------------------------------------------------

chmod 755 "$images"
if start_nfs "$images/site" >"$tmp/nfs.log" 2>&1; then
	for version in 3 4.2; do
		name=nfs$version
		source=$images/site
		[ $version = 3 ] || source=/
		if mounted "$name" nfs "127.0.0.1:$source" "vers=$version,nolock,actimeo=0" 2>>"$tmp/nfs.log"; then
			serve "$name" "$tmp/$name" writable
			check "$name: can be unmounted" wait_for 10 umount "$tmp/$name"
		else
			skip "$name" "$(tail -n 1 "$tmp/nfs.log")"
		fi
	done
	rpc.nfsd 0
else
	skip nfs "no server: $(tail -n 1 "$tmp/nfs.log")"
fi

shared=$(awk '$3 == "virtiofs" { print $2; exit }' /proc/mounts)
if [ -n "$shared" ]; then
	serve virtiofs "$shared"
else
	skip virtiofs "no shared directory"
fi

exportfs -u "127.0.0.1:$images/site" 2>/dev/null
check "ext4: can be unmounted" wait_for 10 umount "$tmp/ext4"
done_testing
