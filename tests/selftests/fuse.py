#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""A FUSE file system for tests, which answers only what it is told to answer.

	fuse.py DIRECTORY CONTROL &

Mounts itself at DIRECTORY. In it are N.txt (its text is "file N") for each number N, big.bin of
3,000,000 octets, and a directory d with the same files. While there is a file CONTROL, requests of
the kinds that it names (lookup, getattr, open, read, release, readdir, or all) get no answer; when it
goes, they are answered. CONTROL.seen says what it has read there. It ends when it is unmounted, or when its connection is aborted.
"""

import ctypes
import errno
import os
import re
import select
import stat
import struct
import sys

LOOKUP, FORGET, GETATTR, OPEN, READ, STATFS, RELEASE = 1, 2, 3, 14, 15, 17, 18
FLUSH, INIT, OPENDIR, READDIR, RELEASEDIR, INTERRUPT, BATCH_FORGET = 25, 26, 27, 28, 29, 36, 42
KINDS = {LOOKUP: "lookup", GETATTR: "getattr", OPEN: "open", OPENDIR: "open", READ: "read",
         RELEASE: "release", READDIR: "readdir"}
ROOT, DIRECTORY, BIG, TEXT = 1, 2, 3, 1000
BIG_LEN = 3000000


def content(node):
    if node == BIG:
        return bytes(range(250)) * (BIG_LEN // 250)
    return b"file %d\n" % (node - TEXT)


def find(name):
    number = re.fullmatch(rb"([0-9]{1,6})\.txt", name)
    if number:
        return TEXT + int(number[1])
    return {b"d": DIRECTORY, b"big.bin": BIG}.get(name)


def attributes(node):
    is_directory = node in (ROOT, DIRECTORY)
    mode = stat.S_IFDIR | 0o755 if is_directory else stat.S_IFREG | 0o644
    size = 4096 if is_directory else BIG_LEN if node == BIG else len(content(node))
    return struct.pack("<6Q10I", node, size, (size + 511) // 512, 1, 1, 1, 0, 0, 0,
                       mode, 1, 0, 0, 0, 4096, 0)


def entries(offset):
    names = [(ROOT, b"."), (ROOT, b".."), (TEXT + 1, b"1.txt"), (BIG, b"big.bin"), (DIRECTORY, b"d")]
    out = b""
    for index, (node, name) in list(enumerate(names))[offset:]:
        out += struct.pack("<QQII", node, index + 1, len(name), 0)
        out += name + bytes(-len(name) % 8)
    return out


def answer(opcode, node, body):
    """What is answered: octets, or the number of an error; None if nothing is."""
    if opcode == INIT:
        minor = min(struct.unpack_from("<II", body)[1], 31)
        return struct.pack("<IIIIHHIIHHI28x", 7, minor, 1 << 20, 1 << 22, 512, 400, 1 << 17, 1, 32, 0, 0)
    if opcode in (FORGET, BATCH_FORGET, INTERRUPT):
        return None
    if opcode == LOOKUP:
        found = find(body.rstrip(b"\0"))
        if node not in (ROOT, DIRECTORY) or not found:
            return errno.ENOENT
        return struct.pack("<4QII", found, 0, 0, 0, 0, 0) + attributes(found)
    if opcode == GETATTR:
        return struct.pack("<QII", 0, 0, 0) + attributes(node)
    if opcode in (OPEN, OPENDIR):
        return struct.pack("<QIi", 0, 0, 0)
    if opcode == READ:
        _, offset, size = struct.unpack_from("<QQI", body)
        return content(node)[offset:offset + size]
    if opcode == READDIR:
        return entries(struct.unpack_from("<QQ", body)[1])
    if opcode == STATFS:
        return struct.pack("<5Q3I28x", 0, 0, 0, 0, 0, 4096, 255, 4096)
    if opcode in (RELEASE, RELEASEDIR, FLUSH):
        return b""
    return errno.ENOSYS


def main():
    directory, control = sys.argv[1:]
    device = os.open("/dev/fuse", os.O_RDWR)
    os.set_blocking(device, False)
    libc = ctypes.CDLL(None, use_errno=True)
    options = b"fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other" % device
    if libc.mount(b"test", os.fsencode(directory), b"fuse", 0, options):
        sys.exit("mount: " + os.strerror(ctypes.get_errno()))
    held = []
    seen = None

    def reply(opcode, unique, node, body):
        result = answer(opcode, node, body)
        if result is None:
            return
        error = 0
        if isinstance(result, int):
            result, error = b"", -result
        try:
            os.write(device, struct.pack("<IiQ", 16 + len(result), error, unique) + result)
        except OSError as failure:
            if failure.errno != errno.ENOENT:
                raise

    while True:
        select.select([device], [], [], 0.05)
        try:
            with open(control, encoding="ascii") as file:
                withheld = file.read().split()
        except FileNotFoundError:
            withheld = []
        if withheld != seen:
            seen = withheld
            with open(control + ".new", "w", encoding="ascii") as file:
                file.write(" ".join(seen))
            os.rename(control + ".new", control + ".seen")
        while held and not withheld:
            reply(*held.pop(0))
        for _ in range(256):
            try:
                request = os.read(device, 1 << 18)
            except BlockingIOError:
                break
            except OSError as failure:
                if failure.errno == errno.ENODEV:
                    return
                if failure.errno in (errno.ENOENT, errno.EINTR):
                    continue
                raise
            _, opcode, unique, node = struct.unpack_from("<IIQQ", request)
            body = request[40:]
            if opcode in KINDS and ("all" in withheld or KINDS[opcode] in withheld):
                held.append((opcode, unique, node, body))
            else:
                reply(opcode, unique, node, body)


main()
