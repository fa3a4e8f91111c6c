#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Once a change has returned, no request that is sent later gets the old answer:
# whatever was changed, and however, on each file system. Others ask for the same
# all the time, on each processor, so that what can be kept is kept.
#
# environment: TRUTH_PEER=nginx makes the same changes before nginx, which keeps what
#              it has found (open_file_cache), and tells how many of its answers
#              are wrong; some have to be. What it gets wrong when it keeps nothing
#              is not counted.

. "$(dirname "$0")/lib.sh"

cat >"$tmp/truth.py" <<'END'
import ctypes, errno, itertools, mmap, os, random, shutil, signal, struct, sys, time
from http_client import *

directory, name, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
peer = os.environ.get("TRUTH_PEER")
site = os.path.join(directory, "site")
a, b = os.path.join(site, "a"), os.path.join(site, "a/b")
path = os.path.join(b, "file.html")
other = os.path.join(directory, "other.html")
libc = ctypes.CDLL(None, use_errno=True)
cpus = sorted(os.sched_getaffinity(0))
numbers = itertools.count()
size = 0
RENAME_EXCHANGE = 2
MS_BIND = 4096
AT_FDCWD = -100

# The user that the server opens files as.
SERVER = 65534


class Unsupported(Exception):
    """There is no such change on this file system."""


def call(function, *arguments):
    result = function(*arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def content():
    """Octets that never were before."""
    mark = b"%015d " % next(numbers)
    return (mark * (size // len(mark) + 1))[:size]


def write(to, octets, flags=os.O_TRUNC | os.O_CREAT):
    descriptor = os.open(to, os.O_WRONLY | flags, 0o644)
    os.write(descriptor, octets)
    os.close(descriptor)


def put_content(to=path, flags=os.O_TRUNC | os.O_CREAT):
    octets = content()
    write(to, octets, flags)
    return octets


def fresh():
    """The site as each kind of change finds it. It stays, as the document root that it is."""
    os.makedirs(site, exist_ok=True)
    for entry in (*os.scandir(directory), *os.scandir(site)):
        if entry.is_symlink() or not entry.is_dir():
            os.unlink(entry)
        elif entry.name not in ("lost+found", "site"):
            shutil.rmtree(entry)
    for above in (site, a, b):
        os.makedirs(above, exist_ok=True)
        os.chmod(above, 0o755)
        os.chown(above, 0, 0)
    write(path, b"old")


def exchange(one, another):
    call(libc.renameat2, AT_FDCWD, one.encode(), AT_FDCWD, another.encode(), RENAME_EXCHANGE)


def bind(what, where):
    call(libc.mount, what.encode(), where.encode(), None, MS_BIND, None)


def unmount(where):
    """Waits for answers under way, which keep it busy."""
    def is_done():
        try:
            call(libc.umount2, where.encode(), 0)
            return True
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            return False
    if not wait_until(is_done, 20):
        raise OSError(errno.EBUSY, where)


def access_control_list(mode, of_server):
    """A list that gives all but the server what the mode says."""
    entries = [(1, mode >> 6, -1), (2, of_server, SERVER), (4, mode >> 3 & 7, -1),
               (16, mode >> 3 & 7, -1), (32, mode & 7, -1)]
    return struct.pack("<I", 2) + b"".join(
        struct.pack("<HHi", tag, bits, of_whom) for tag, bits, of_whom in entries)


# Each kind of change is a generator: it makes a change and yields what the answer
# must be from then on: status, and content or None for any.

def overwritten():
    write(path, content())
    while True:
        yield 200, put_content(flags=0)

def overwritten_open():
    write(path, content())
    descriptor = os.open(path, os.O_WRONLY)
    try:
        while True:
            octets = content()
            os.pwrite(descriptor, octets, 0)
            yield 200, octets
    finally:
        os.close(descriptor)

def appended():
    while True:
        octets = put_content()
        yield 200, octets
        for _ in range(8):
            octets += put_content(flags=os.O_APPEND)
            yield 200, octets

def truncated():
    while True:
        octets = put_content()
        yield 200, octets
        for length in (size - 1, size // 2, 1, size, 0):
            os.truncate(path, length)
            octets = octets[:length].ljust(length, b"\0")
            yield 200, octets

def rewritten():
    while True:
        yield 200, put_content()

def written_asynchronously():
    page = mmap.PAGESIZE
    contexts = ctypes.c_ulong(0)
    call(libc.syscall, 206, 8, ctypes.byref(contexts))  # io_setup
    memory = mmap.mmap(-1, 4 * page)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    length = 4 * page if size > page else page
    write(path, bytes(length))
    try:
        while True:
            octets = (content() + bytes(length))[:length]
            memory[:length] = octets
            descriptor = os.open(path, os.O_WRONLY | os.O_DIRECT)
            block = struct.pack("<QIIHhIQQqQII", 0, 0, 0, 1, 0, descriptor, address, length, 0,
                                0, 0, 0)
            block = ctypes.create_string_buffer(block)
            blocks = (ctypes.c_void_p * 1)(ctypes.addressof(block))
            call(libc.syscall, 209, contexts, ctypes.c_long(1), blocks)  # io_submit
            os.close(descriptor)
            event = (ctypes.c_long * 4)()
            call(libc.syscall, 208, contexts, ctypes.c_long(1), ctypes.c_long(1), event, None)
            if event[2] != length:
                raise OSError(-event[2], os.strerror(-event[2]))
            yield 200, octets
    finally:
        call(libc.syscall, 207, contexts)  # io_destroy

def mapped(read_first=False, flush=False, close=False):
    write(path, content())
    memory = None
    try:
        while True:
            if memory is None:
                with open(path, "r+b") as file:
                    memory = mmap.mmap(file.fileno(), size)
            octets = content()
            if read_first:
                memory[:]
            memory[:] = octets
            if flush:
                memory.flush()
            if close:
                memory.close()
                memory = None
            yield 200, octets
    finally:
        if memory:
            memory.close()

def renamed_over():
    new = path + ".new"
    while True:
        octets = put_content(new)
        os.rename(new, path)
        yield 200, octets

def exchanged(one, another, octets):
    """What is `one` now for another, of which `octets` are those of the file to be seen."""
    while True:
        exchange(one, another)
        octets.reverse()
        yield 200, octets[0]

def file_exchanged():
    return exchanged(path, other, [put_content(), put_content(other)])

def removed():
    while True:
        os.unlink(path)
        yield 404, None
        yield 200, put_content()

def mode(of, private, public):
    octets = put_content()
    while True:
        os.chmod(of, private)
        yield 403, None
        os.chmod(of, public)
        yield 200, octets

def owner(of, mode):
    octets = put_content()
    os.chmod(of, mode)
    while True:
        os.chown(of, SERVER, 0)
        yield 403, None
        os.chown(of, 0, SERVER)
        yield 403, None
        os.chown(of, 0, 0)
        yield 200, octets

def listed(of, mode):
    octets = put_content()
    while True:
        for bits in (0, 5, 0):
            acl = access_control_list(mode, bits)
            os.setxattr(of, "system.posix_acl_access", acl)
            yield (200, octets) if bits else (403, None)
        os.removexattr(of, "system.posix_acl_access")
        yield 200, octets

def renamed(above, away):
    octets = put_content()
    while True:
        os.rename(above, away)
        yield 404, None
        os.rename(away, above)
        yield 200, octets

def second_tree():
    """Another tree like that in the site, and the content of its file."""
    tree = os.path.join(directory, "tree")
    os.makedirs(os.path.join(tree, "b"))
    return tree, put_content(os.path.join(tree, "b/file.html"))

def directory_exchanged():
    tree, another = second_tree()
    return exchanged(a, tree, [put_content(), another])

def directory_made_anew():
    while True:
        shutil.rmtree(b)
        yield 404, None
        os.mkdir(b, 0o755)
        yield 404, None
        yield 200, put_content()

def link_to_file():
    target = os.path.join(site, "target.html")
    link = path + ".link"
    while True:
        octets = put_content(target)
        os.symlink("/target.html", link)
        os.rename(link, path)
        yield 200, octets
        yield 200, put_content(target)
        octets = put_content(path + ".new")
        os.rename(path + ".new", path)
        yield 200, octets

def link_to_directory():
    octets = put_content()
    tree, another = second_tree()
    os.rename(tree, os.path.join(site, "tree"))
    while True:
        os.rename(a, a + ".away")
        os.symlink("/tree", a)
        yield 200, another
        os.unlink(a)
        os.rename(a + ".away", a)
        yield 200, octets

def mounted_over_file():
    octets, another = put_content(), put_content(other)
    while True:
        bind(other, path)
        try:
            yield 200, another
        finally:
            unmount(path)
        yield 200, octets

def mounted_over_directory():
    octets = put_content()
    tree, another = second_tree()
    while True:
        bind(tree, a)
        try:
            yield 200, another
        finally:
            unmount(a)
        yield 200, octets

def hard_link():
    octets = put_content()
    while True:
        os.link(path, other)
        yield 200, put_content(other, 0)
        os.unlink(path)
        yield 404, None
        write(other, content(), 0)
        os.link(other, path)
        yield 200, put_content(other, 0)
        os.unlink(other)
        yield 200, put_content(flags=0)

def index():
    at = os.path.join(b, "index.html")
    while True:
        yield 200, put_content(at)
        yield 200, put_content(at)
        os.unlink(at)
        yield 403, None

def coding():
    octets, coded = put_content(), path + ".gz"
    while True:
        yield 200, put_content(coded)
        os.unlink(coded)
        yield 200, octets
        other_coded = put_content(other)
        os.rename(other, coded)
        yield 200, other_coded
        os.rename(coded, other)
        yield 200, octets
        os.unlink(other)

def coding_outdated():
    octets = put_content()
    coded = put_content(path + ".gz")
    os.utime(path + ".gz", (10 ** 9, 10 ** 9))
    while True:
        os.utime(path, (10 ** 9, 10 ** 9 + 10))
        yield 200, octets
        os.utime(path, (10 ** 9, 10 ** 9 - 10))
        yield 200, coded

def in_quick_succession():
    dice = random.Random(1)
    octets = put_content()
    while True:
        for _ in range(dice.randrange(1, 5)):
            change = dice.randrange(5)
            if change == 0:
                octets = put_content(flags=0)
            elif change == 1:
                octets = put_content(path + ".new")
                os.rename(path + ".new", path)
            elif change == 2:
                os.unlink(path)
                octets = put_content()
            elif change == 3:
                os.chmod(path, 0o600)
                os.chmod(path, 0o644)
            else:
                os.chmod(b, 0o700)
                os.chmod(b, 0o755)
        status = 200
        if dice.randrange(2):
            os.chmod(dice.choice((path, b)), 0o700)
            status = 403
        yield status, octets if status == 200 else None
        os.chmod(path, 0o644)
        os.chmod(b, 0o755)
        yield 200, octets


FILE = request("/a/b/file.html")
INDEX = request("/a/b/")
CODED = request("/a/b/file.html", "Accept-Encoding: gzip")

content_kinds = {
    "overwritten": overwritten,
    "overwritten, the file stays open": overwritten_open,
    "appended to": appended,
    "truncated": truncated,
    "written anew": rewritten,
    "written asynchronously": written_asynchronously,
    "stored into through a mapping": mapped,
    "stored into, and synchronized": lambda: mapped(flush=True),
    "stored into, and unmapped": lambda: mapped(close=True),
    "read and stored into, and unmapped": lambda: mapped(read_first=True, close=True),
    "another renamed over it": renamed_over,
    "exchanged for another": file_exchanged,
    "changed in quick succession": in_quick_succession,
}
kinds = {
    "removed and made": removed,
    "its mode": lambda: mode(path, 0o600, 0o644),
    "the mode of its directory": lambda: mode(b, 0o700, 0o755),
    "the mode of the directory above": lambda: mode(a, 0o700, 0o755),
    "the mode of the document root": lambda: mode(site, 0o700, 0o755),
    "its owner": lambda: owner(path, 0o004),
    "the owner of a directory": lambda: owner(a, 0o001),
    "its access control list": lambda: listed(path, 0o644),
    "the access control list of a directory": lambda: listed(b, 0o755),
    "its directory renamed": lambda: renamed(b, b + ".away"),
    "the directory above renamed": lambda: renamed(a, a + ".away"),
    "its directory moved out and in": lambda: renamed(b, os.path.join(directory, "out")),
    "a directory exchanged for another": directory_exchanged,
    "its directory removed and made": directory_made_anew,
    "a symbolic link in its place": link_to_file,
    "a symbolic link in place of a directory": link_to_directory,
    "mounted over": mounted_over_file,
    "its directory mounted over": mounted_over_directory,
    "written under another name": hard_link,
}


class Asker:
    """A connection that asks and reads with little work: how many changes are tried depends on it."""

    def __init__(self):
        self.connection = Connection()

    def begin_again(self):
        self.connection.close()
        self.connection = Connection()

    def ask(self, asked):
        self.connection.send(asked)

    def take(self):
        """Takes what has come."""
        if not self.connection.socket.recv(1 << 16):
            raise Malformed("closed")

    def answer(self):
        """Status and body of the answer, which must be all that comes."""
        got = self.connection.socket.recv(1 << 16)
        while got:
            head, end, body = got.partition(b"\r\n\r\n")
            _, _, length = head.partition(b"Content-Length: ")
            length = int(length.partition(b"\r\n")[0] or 0)
            if end and len(body) >= length:
                if len(body) > length or not head.startswith(b"HTTP/1.1 "):
                    break
                return int(head[9:12]), body
            more = self.connection.socket.recv(1 << 16)
            if not more:
                break
            got += more
        raise Malformed(got)


def ask_forever(cpu):
    """Asks for all of it on that processor, and takes any answer."""
    os.sched_setaffinity(0, {cpu})
    os.nice(19)
    askers = [Asker(), Asker()]
    for asked in itertools.cycle((FILE, FILE, CODED, FILE, INDEX)):
        try:
            for asker in askers:
                asker.ask(asked)
            for asker in askers:
                asker.take()
        except (Malformed, OSError):
            if not peer:
                raise
            for asker in askers:
                asker.begin_again()
        time.sleep(0.001)


def run(kind, what, asked=FILE, octets=200):
    """Makes changes of one kind, and checks the answers after each of them."""
    global size
    size = octets
    fresh()
    changes = what()
    count = 0
    wrong = []
    end = time.monotonic() + seconds
    try:
        while (time.monotonic() < end or count < 4) and len(wrong) < 4:
            try:
                status, wanted = next(changes)
            except OSError as error:
                if count == 0 and error.errno in (errno.EPERM, errno.EOPNOTSUPP, errno.EINVAL,
                                                  errno.ENOSYS):
                    raise Unsupported(error)
                raise
            if count % 8 == 0:
                os.sched_setaffinity(0, {cpus[count // 8 % len(cpus)]})
            asker = askers[count % len(askers)]
            count += 1
            for turn in ("at once", "again"):
                asker.ask(asked)
                got, body = asker.answer()
                if got != status or wanted not in (None, body):
                    wrong.append("change %d, asked %s: got %d %r, wanted %d %r" % (
                        count, turn, got, body[:40], status, wanted and wanted[:40]))
        changes.close()
        true("%s: %s" % (name, kind), count and not wrong, *wrong)
        print("# %d changes" % count)
    except Unsupported as error:
        print("# %s: %s: not here: %s" % (name, kind, error))


def compare(kind, what, octets=200):
    """Makes changes of one kind before the other server; the numbers of answers, and of wrong ones."""
    global size
    size = octets
    fresh()
    changes = what()
    count = wrong = 0
    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            status, wanted = next(changes)
            asker = askers[count % len(askers)]
            count += 1
            try:
                asker.ask(FILE)
                got, body = asker.answer()
                is_right = got == status and wanted in (None, body)
            except (Malformed, OSError):
                # It has sent less than it said.
                asker.begin_again()
                is_right = False
            wrong += not is_right
        changes.close()
    except OSError as error:
        print("# %s: %s: not here: %s" % (name, kind, error))
    return count, wrong


def compare_all():
    """Makes all changes, and tells the numbers by kind."""
    rows = [(kind + suffix, what, octets) for kind, what in content_kinds.items()
            for suffix, octets in ((", 200 octets", 200), (", 9000 octets", 9000))]
    rows += [(kind, what, 200) for kind, what in kinds.items()]
    for kind, what, octets in rows:
        print("result\t%s\t%d\t%d" % (kind, *compare(kind, what, octets)), flush=True)


os.umask(0o022)
fresh()
if not peer:
    failed = sysctl("documentroot", site)
    # On a slow machine one of the askers has nothing to ask for long.
    sysctl("keepalive_timeout", "0")
    true("%s: the document root" % name, failed == 0, failed)
askers = [Asker(), Asker()]
readers = []
for cpu in cpus:
    reader = os.fork()
    if reader == 0:
        signal.alarm(900)
        ask_forever(cpu)
        os._exit(0)
    readers.append(reader)
try:
    if peer:
        compare_all()
        content_kinds = kinds = {}
    for kind, what in content_kinds.items():
        run("%s, 200 octets" % kind, what)
        run("%s, 9000 octets" % kind, what, octets=9000)
    for kind, what in kinds.items():
        run(kind, what)
    if not peer:
        run("its index", index, INDEX)
        run("its coded sibling", coding, CODED)
        run("its coded sibling made older", coding_outdated, CODED)
finally:
    for reader in readers:
        os.kill(reader, signal.SIGKILL)
        os.waitpid(reader, 0)
END

# How long each kind of change is made, where what is found can be kept and where
# it can't.
seconds=0.25 fewer=0.1
[ "${RUST_TUX_KERNEL:-stock}" = stock ] || seconds=0.6 fewer=0.3

# truth NAME DIRECTORY SECONDS
truth() {
	chmod 755 "$2"
	python_checks "$2" "$1" "$3" <"$tmp/truth.py"
	sysctl_set documentroot "$docroot"
	[ "$1" = tmpfs ] || check "$1: can be unmounted" wait_for 10 umount "$2"
}

# made NAME TYPE SOURCE [OPTIONS]: whether it is mounted at $tmp/NAME now.
made() {
	mkdir -p "$tmp/$1"
	mount -t "$2" -o "${4:-defaults}" "$3" "$tmp/$1" && at_exit umount -l "$tmp/$1"
}

# compare_nginx DIRECTORY KEEPING OUT: changes before nginx with that setting.
compare_nginx() {
	mkdir -p "$1/site" "$tmp/nginx"
	cat >"$tmp/nginx.conf" <<-END
		user nobody nogroup;
		worker_processes 2;
		pid $tmp/nginx.pid;
		error_log $tmp/nginx/error.log crit;
		events { worker_connections 64; }
		http {
			sendfile on;
			access_log off;
			keepalive_requests 100000000;
			$2
			server { listen $port; root $1/site; }
		}
	END
	nginx -c "$tmp/nginx.conf" || bail_out "nginx begins"
	at_exit pkill -F "$tmp/nginx.pid"
	TRUTH_PEER=nginx PYTHONPATH=$selftests port=$port timeout "$python_limit" \
		python3 "$tmp/truth.py" "$1" nginx "$seconds" >"$3" || bail_out "$(tail -n 3 "$3")"
	kill "$(<"$tmp/nginx.pid")"
	wait_for 10 test ! -e "$tmp/nginx.pid"
}

[ -b "${RUST_TUX_SCRATCH:-}" ] || skip_all "no scratch disk"
if [ "${TRUTH_PEER:-}" = nginx ]; then
	command -v nginx >/dev/null || skip_all "no nginx"
	chmod 755 "$tmp"
	{ mkfs.ext4 -q -F "$RUST_TUX_SCRATCH" && made scratch ext4 "$RUST_TUX_SCRATCH"; } ||
		bail_out "the scratch disk has ext4"
	compare_nginx "$tmp/scratch" "" "$tmp/keeping-nothing"
	compare_nginx "$tmp/scratch" "open_file_cache max=1000; open_file_cache_errors on;" "$tmp/keeping"
	awk -F '\t' '$1 != "result" { next }
		NR == FNR { if ($4) unfair[$2] = 1; next }
		!unfair[$2] {
			kinds++; all += $3; wrong += $4; bad += $4 > 0
			printf "# %-50s %5d of %5d wrong\n", $2, $4, $3
		}
		END { printf "# nginx with open_file_cache, ext4: %d of %d answers wrong, %d of %d kinds of change\n",
			wrong, all, bad, kinds }' "$tmp/keeping-nothing" "$tmp/keeping" | tee "$tmp/compared"
	like "nginx gives old answers where it keeps what it has found" "$(tail -n 1 "$tmp/compared")" \
		": [1-9][0-9]* of"
	umount "$tmp/scratch"
	done_testing
fi
modprobe loop 2>/dev/null
load compression=1 keepalive_requests=0

mkdir "$tmp/tmpfs"
truth tmpfs "$tmp/tmpfs" $seconds

{ mkfs.ext4 -q -F "$RUST_TUX_SCRATCH" && made scratch ext4 "$RUST_TUX_SCRATCH"; } ||
	bail_out "the scratch disk has ext4"
for type in ext4 xfs btrfs; do
	truncate -s 512M "$tmp/scratch/$type"
	if "mkfs.$type" "$tmp/scratch/$type" >"$tmp/mkfs" 2>&1 &&
		made $type $type "$tmp/scratch/$type" 2>"$tmp/mkfs"; then
		truth $type "$tmp/$type" $seconds
	else
		skip "$type" "$(tail -n 1 "$tmp/mkfs")"
	fi
	rm "$tmp/scratch/$type"
done

# Inodes without room for more than seconds.
truncate -s 64M "$tmp/scratch/seconds"
if mkfs.ext4 -q -F -I 128 "$tmp/scratch/seconds" >"$tmp/mkfs" 2>&1 &&
	made seconds ext4 "$tmp/scratch/seconds" 2>"$tmp/mkfs"; then
	truth seconds "$tmp/seconds" $fewer
else
	skip seconds "$(tail -n 1 "$tmp/mkfs")"
fi

mkdir "$tmp/scratch/lower" "$tmp/scratch/upper" "$tmp/scratch/work"
if made overlay overlay overlay \
	"lowerdir=$tmp/scratch/lower,upperdir=$tmp/scratch/upper,workdir=$tmp/scratch/work" \
	2>"$tmp/mkfs"; then
	truth overlay "$tmp/overlay" $fewer
else
	skip overlay "$(tail -n 1 "$tmp/mkfs")"
fi

check "the scratch disk can be unmounted" wait_for 10 umount "$tmp/scratch"
done_testing
