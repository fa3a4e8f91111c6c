# SPDX-License-Identifier: GPL-2.0
"""The writers and the readers of files.sh, which runs it.

A file is made of blocks of 4096 octets. The first 64 of each say which file it is, which version,
and which block; the rest says the same but for the version. So each octet can be judged alone: it
is that of the file at its place, whatever the version. Files that are only ever replaced as a whole
(renamed over) are judged as a whole: a response is one version, none that was replaced before the
request began, and none that was not begun before the response ended.
"""

import collections
import mmap
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

from http_client import Connection, Cut, docroot, not_ok, ok, request, stat, true

seconds = int(os.environ["TEST_SECONDS"])
seed = int(os.environ["TEST_SEED"])
tmp = os.environ["tmp"]
has_mapper = os.environ["has_mapper"] == "yes"
scratch = os.environ["RUST_TUX_SCRATCH"]
root = docroot.decode()
BLOCK = 4096
MAXIMUM = 1 << 20
LARGE, FAILING = 4 << 20, 3 << 20

# ---- what files are made of -------------------------------------------------------------


def block(file, version, index):
    line = b"file %08x block %08x" % (file, index)
    head = (line + b" version %08x" % version).ljust(63, b".") + b"\n"
    return head + (line.ljust(63, b"-") + b"\n") * 63


def content(file, version, length):
    count = -(-length // BLOCK)
    return b"".join(block(file, version, index) for index in range(count))[:length]


VERSION = slice(len(b"file 00000000 block 00000000 version "), len(b"file 00000000 block 00000000 version 00000000"))


def judge_octets(file, offset, octets):
    """What is wrong with octets of a file that is changed in its place; zeros fill a hole."""
    end = offset + len(octets)
    for index in range(offset // BLOCK, -(-end // BLOCK)):
        begin, stop = max(offset, index * BLOCK), min(end, (index + 1) * BLOCK)
        got = octets[begin - offset:stop - offset]
        wanted = bytearray(block(file, 0, index))
        within = slice(begin - index * BLOCK, stop - index * BLOCK)
        # The version may be torn.
        whole = bytearray(wanted)
        whole[within] = got
        whole[VERSION] = wanted[VERSION]
        if whole == wanted:
            continue
        for place in range(within.start, within.stop):
            if whole[place] not in (wanted[place], 0):
                return "file %x, octet %d: %r" % (file, index * BLOCK + place, bytes(got[:100]))
    return None


def judge_version(file, octets, lowest, highest):
    """What is wrong with a whole file that is replaced only."""
    try:
        version = int(octets[VERSION], 16)
    except ValueError:
        return "file %x: no version in %r" % (file, octets[:100])
    if not lowest <= version <= highest:
        return "file %x: version %d, not %d to %d" % (file, version, lowest, highest)
    if octets != content(file, version, len(octets)):
        return "file %x: version %d is not the same in all blocks" % (file, version)
    wanted = length_of(file, version)
    if len(octets) != wanted:
        return "file %x: version %d of %d octets, not %d" % (file, version, len(octets), wanted)
    return None


def length_of(file, version):
    """The length of a version of a file that is replaced only: at least a first line."""
    if file & 0xf00 == 0xa00:
        return LARGE
    if file & 0xf00 == 0xb00:
        return FAILING
    return random.Random(file << 32 | version).choice((1, 100, 4095, 4096, 4097, 20000, 65536, 131073, 400000)) + 63


class Kind:
    """Files of one kind: where they are, and what a client may see of them."""

    def __init__(self, name, paths, replaced, statuses, unmounts=False):
        self.name, self.paths, self.replaced = name, paths, replaced
        self.statuses, self.unmounts = set(statuses), unmounts


def paths(directory, first, count):
    return {first + i: "%s/%d.bin" % (directory, i) for i in range(count)}


busy = {503}
kinds = {kind.name: kind for kind in (
    Kind("replaced in memory", paths("memory/r", 0x100, 6), True, {200} | busy),
    Kind("replaced on disk", paths("disk/r", 0x200, 6), True, {200} | busy),
    Kind("changed in memory", paths("memory/c", 0x300, 4), False, {200} | busy),
    Kind("changed on disk", paths("disk/c", 0x400, 4), False, {200} | busy),
    Kind("removed", paths("disk/u", 0x500, 4), True, {200, 404} | busy),
    Kind("forbidden", paths("disk/p", 0x600, 4), True, {200, 403} | busy),
    Kind("moved", paths("disk/m", 0x700, 4), True, {200, 404} | busy),
    Kind("unmounted", paths("lazy", 0x800, 4), True, {200, 404} | busy),
    Kind("on a full disk", paths("full", 0x900, 4), True, {200, 404} | busy),
    Kind("large", paths("disk/l", 0xa00, 24), True, {200} | busy),
    Kind("failing", paths("failing", 0xb00, 12), True, {200, 500} | busy),
)}
for kind in kinds.values():
    for path in kind.paths.values():
        os.makedirs(os.path.join(root, os.path.dirname(path)), exist_ok=True)
# The version of each file that is there, and that is being made: shared with the writers.
table = mmap.mmap(-1, 16 * 0x1000)


def versions(file):
    return struct.unpack_from("<QQ", table, 16 * file)


def set_version(file, which, version):
    struct.pack_into("<Q", table, 16 * file + 8 * which, version)


def write(path, octets, flags=os.O_TRUNC):
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | flags, 0o644)
    try:
        while octets:
            octets = octets[os.write(descriptor, octets):]
    finally:
        os.close(descriptor)


def replace(file, path):
    """Puts the next version in the place of what is there."""
    there, _ = versions(file)
    version = there + 1
    full = os.path.join(root, path)
    try:
        write(full + ".new", content(file, version, length_of(file, version)))
        set_version(file, 1, version)
        os.rename(full + ".new", full)
        set_version(file, 0, version)
    except OSError:
        # No room, or nothing may be written now. It may have come to be all the same.
        try:
            os.unlink(full + ".new")
        except OSError:
            pass


for kind in kinds.values():
    for file, path in kind.paths.items():
        full = os.path.join(root, path)
        if kind.name == "unmounted":
            continue
        if kind.name in ("large", "failing"):
            set_version(file, 1, 1)
            write(full, content(file, 1, length_of(file, 1)))
            set_version(file, 0, 1)
        elif kind.replaced:
            replace(file, path)
        else:
            write(full, content(file, 1, 300000))

# What is unmounted lazily is a directory of the disk, bound.
os.makedirs(root + "/disk/lazy", exist_ok=True)
for file, path in kinds["unmounted"].paths.items():
    set_version(file, 1, 1)
    write(os.path.join(root, "disk", path), content(file, 1, length_of(file, 1)))
    set_version(file, 0, 1)
os.sync()
if has_mapper:
    subprocess.run(["mount", "-o", "remount,ro", root + "/failing"], check=True)

# ---- writers: a process each --------------------------------------------------------------


# What has truly been done: a counter for each, in the part of the table that no file has.
DONE = ("unmounted lazily", "remounted read-only", "failed", "left unanswered", "full")


def note(what):
    set_version(DONE.index(what), 0, versions(DONE.index(what))[0] + 1)


def run(*command):
    """Runs a command that may fail."""
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode


def replacing_in_memory(chance):
    replace(*chance.choice(list(kinds["replaced in memory"].paths.items())))


def replacing_on_disk(chance):
    replace(*chance.choice(list(kinds["replaced on disk"].paths.items())))


def filling(chance):
    filler = root + "/full/filler"
    try:
        write(filler, bytes(3 << 20))
    except OSError:
        note("full")
    for _ in range(5):
        replace(*chance.choice(list(kinds["on a full disk"].paths.items())))
        os.truncate(filler, chance.randrange(3 << 20))


def changing(chance):
    kind = chance.choice([kinds[name] for name in ("changed in memory", "changed on disk")])
    file, path = chance.choice(list(kind.paths.items()))
    full = os.path.join(root, path)
    try:
        what = chance.randrange(4)
        if what == 0:
            os.truncate(full, chance.randrange(MAXIMUM))
        elif what == 1:
            write(full, content(file, chance.randrange(1 << 30), chance.randrange(MAXIMUM)))
        elif what == 2:
            write(full, content(file, chance.randrange(1 << 30), chance.randrange(MAXIMUM)), flags=0)
        else:
            with open(full, "r+b") as there:
                index = chance.randrange(100)
                there.seek(index * BLOCK)
                there.write(block(file, chance.randrange(1 << 30), index))
    except OSError:
        pass


def removing(chance):
    file, path = chance.choice(list(kinds["removed"].paths.items()))
    try:
        os.unlink(os.path.join(root, path))
    except OSError:
        pass
    time.sleep(chance.random() / 20)
    replace(file, path)


def forbidding(chance):
    file, path = chance.choice(list(kinds["forbidden"].paths.items()))
    try:
        os.chmod(os.path.join(root, path), chance.choice((0, 0o600, 0o640)))
        time.sleep(chance.random() / 20)
        os.chmod(os.path.join(root, path), 0o644)
    except OSError:
        pass
    replace(file, path)


def moving(chance):
    here, there = root + "/disk/m", root + "/disk/elsewhere"
    for old, new in ((here, there), (there, here)):
        try:
            os.rename(old, new)
        except OSError:
            pass
        time.sleep(chance.random() / 20)
    replace(*chance.choice(list(kinds["moved"].paths.items())))


def unmounting(chance):
    run("mount", "--bind", root + "/disk/lazy", root + "/lazy")
    time.sleep(chance.random() / 3)
    if run("umount", "-l", root + "/lazy") == 0:
        note("unmounted lazily")


def remounting(chance):
    time.sleep(chance.random())
    if run("mount", "-o", "remount,ro", root + "/disk") == 0:
        note("remounted read-only")
        time.sleep(chance.random() / 5)
        run("mount", "-o", "remount,rw", root + "/disk")


def forgetting(chance):
    with open("/proc/sys/vm/drop_caches", "w") as file:
        file.write(chance.choice(("1", "2", "3")))
    time.sleep(chance.random() / 3)


def failing(chance):
    if not has_mapper:
        return time.sleep(1)
    time.sleep(chance.random())
    small = int(os.environ["small"])
    linear = "0 %d linear %s %s" % (small, scratch, os.environ["sectors"])
    if chance.randrange(3):
        tables = ["0 %d error" % small]
    else:
        tables = []
    for table_now in tables + [linear]:
        if run("dmsetup", "suspend", "--noudevsync", "--nolockfs", "--noflush", "failing") == 0:
            note("left unanswered")
        time.sleep(chance.random() / 4)
        is_loaded = run("dmsetup", "reload", "failing", "--table", table_now) == 0
        if run("dmsetup", "resume", "--noudevsync", "failing") == 0 and is_loaded and table_now != linear:
            note("failed")
        time.sleep(chance.random() / 4)


def writer(work, number):
    """A process that works until the time is over."""
    process = os.fork()
    if process:
        return process
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        chance = random.Random(seed << 8 | number)
        while time.monotonic() < deadline:
            work(chance)
    except BaseException as error:  # pylint: disable=broad-except
        print("%s: %r" % (work.__name__, error), file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)


# ---- readers: threads of some processes -------------------------------------------------------


class Reader(threading.Thread):
    """A client that asks for files by chance, and judges what it gets."""

    def __init__(self, number):
        super().__init__()
        self.chance = random.Random(seed << 16 | number)
        self.seen, self.wrong = collections.Counter(), []
        self.connection = None

    def run(self):
        while time.monotonic() < deadline and len(self.wrong) < 5:
            kind = self.chance.choice(list(kinds.values()))
            file, path = self.chance.choice(list(kind.paths.items()))
            try:
                wrong = self.ask(kind, file, path)
            except (ConnectionError, Cut) as error:
                # Cut off: the client can tell.
                self.seen[kind.name, type(error).__name__] += 1
                self.hang_up()
                continue
            except socket.timeout:
                wrong = "no answer in a minute"
                self.hang_up()
            except Exception as error:  # pylint: disable=broad-except
                # What is malformed, for one: nobody would miss a thread that ends by it.
                wrong = repr(error)[:300]
                self.hang_up()
            if wrong:
                self.wrong.append("%s: /%s: %s" % (kind.name, path, wrong))
        self.hang_up()

    def hang_up(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def ask(self, kind, file, path):
        if not self.connection:
            self.connection = Connection(receive_buffer=self.chance.choice((None, 8192)))
        c = self.connection
        lowest, _ = versions(file)
        manner = self.chance.randrange(10)
        fields, first, last = [], 0, None
        if manner < 3:
            first = self.chance.randrange(200000)
            last = first + self.chance.randrange(200000)
            fields = ["Range: bytes=%d-%d" % (first, last)]
        elif kind.name == "large":
            # A whole one would take long, and much memory here.
            first = self.chance.randrange(LARGE - (1 << 19))
            last = first + (1 << 19)
            fields = ["Range: bytes=%d-%d" % (first, last)]
        c.send(request("/" + path, *fields))
        if manner == 3:
            # One that goes in the middle.
            c.more()
            self.hang_up()
            self.seen[kind.name, "left"] += 1
            return None
        if manner == 4:
            time.sleep(self.chance.random() / 5)
        response = c.response()
        _, highest = versions(file)
        if response is None:
            self.seen[kind.name, "closed"] += 1
            self.hang_up()
            return None
        self.seen[kind.name, response.status] += 1
        if response.get("Connection") == "close":
            self.hang_up()
        if fields and response.status == 416:
            return None
        if response.status not in kind.statuses | ({206} if fields else set()):
            return "status %d" % response.status
        if response.status == 206:
            got = response.get("Content-Range").split(" ")[1].split("-")
            return judge_octets(file, int(got[0]), response.body)
        if response.status == 200:
            if kind.replaced:
                return judge_version(file, response.body, lowest, highest)
            return judge_octets(file, 0, response.body)
        return None


def readers(number):
    """A process of some readers, whose findings are written to a file."""
    process = os.fork()
    if process:
        return process
    try:
        threads = [Reader(number * 100 + i) for i in range(4)]
        for thread in threads:
            thread.start()
        seen, wrong = collections.Counter(), []
        for thread in threads:
            thread.join()
            seen += thread.seen
            wrong += thread.wrong
        with open("%s/readers.%d" % (tmp, number), "w") as file:
            for (kind, what), count in seen.items():
                print("seen", count, what, kind, file=file)
            for text in wrong:
                print("wrong", text, file=file)
    except BaseException as error:  # pylint: disable=broad-except
        print("readers: %r" % error, file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)


# ---- all of them ----------------------------------------------------------------------------

# What the page cache may not have: memory that can't be paged out, since there is nowhere to.
memory = dict(line.split()[:2] for line in open("/proc/meminfo"))
spare = int(memory["MemAvailable:"]) * 1024 - (LARGE * len(kinds["large"].paths)) // 2 - (200 << 20)
hog = mmap.mmap(-1, max(spare, BLOCK))
for place in range(0, len(hog), BLOCK):
    hog[place] = 1

before = stat()
# To make the files is no part of it.
deadline = time.monotonic() + seconds
works = (replacing_in_memory, replacing_on_disk, filling, changing, removing, forbidding, moving, unmounting,
         remounting, forgetting, failing)
children = [writer(work, number) for number, work in enumerate(works)]
children += [readers(number) for number in range(2)]
bad = [child for child in children if os.waitpid(child, 0)[1] != 0]
hog.close()
true("writers and readers end well", not bad, bad)
run("umount", "-l", root + "/lazy")
run("mount", "-o", "remount,rw", root + "/disk")

seen, wrong = collections.Counter(), []
for number in range(2):
    with open("%s/readers.%d" % (tmp, number)) as lines:
        for line in lines:
            what, rest = line.rstrip("\n").split(" ", 1)
            if what == "seen":
                count, status, kind = rest.split(" ", 2)
                seen[kind, status] += int(count)
            else:
                wrong.append(rest)
for (kind, status), count in sorted(seen.items()):
    print("# %-20s %-22s %d" % (kind, status, count))
counts = {what: versions(index)[0] for index, what in enumerate(DONE)}
print("# file systems were %s" % ", ".join("%s %d times" % (what, count) for what, count in counts.items()))
print("# versions: %d; deferred look-ups and reads: %d, %d" % (
    sum(versions(file)[0] for kind in kinds.values() for file in kind.paths),
    stat()["deferred_lookup"] - before["deferred_lookup"], stat()["deferred_read"] - before["deferred_read"]))
if wrong:
    not_ok("each complete response is octets that the file had", *wrong[:20])
else:
    ok("each complete response is octets that the file had")
whole = {kind.name: seen[kind.name, "200"] + seen[kind.name, "206"] for kind in kinds.values()}
true("some of them were complete", any(whole.values()), whole)
all_seen = sum(seen.values())
if all_seen > 50 * len(kinds):
    true("of each kind", all(whole.values()), whole)
    needed = {what: count for what, count in counts.items() if has_mapper or what not in ("failed", "left unanswered")}
    true("all of it was done to file systems", all(needed.values()), needed)
    made_once = ("large", "failing", "unmounted")
    newest = {kind.name: max(versions(file)[0] for file in kind.paths)
              for kind in kinds.values() if kind.replaced and kind.name not in made_once}
    true("files were replaced", min(newest.values()) > 1, newest)
else:
    print("# %d answers are too few to say that all was met" % all_seen)
if has_mapper and all_seen > 100 * len(kinds):
    errors = ("500", "Cut", "ConnectionResetError", "closed")
    true("somebody has met a disk that fails", any(seen["failing", error] for error in errors), seen)
with open(tmp + "/operations", "w") as file:
    print(sum(seen.values()), file=file)
