#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# usage: objdump -dr --no-show-raw-insn OBJECT | c++filt | scripts/check-stack.py [--limit OCTETS]
#                                                         [--softirq-limit OCTETS] [--chains N]
#
# How much stack the module's own functions take, one calling the other, at the worst: the deepest
# chains that begin where the kernel calls in, longest first. What they call in the kernel comes on
# top, and so does what is called through a pointer. Callbacks of sockets run in softirq, on the
# stack of an interrupt or of whatever it came upon. Fails above a limit, or if a function calls
# itself, directly or not, since there would be no bound. (The destructors of two types that may
# own each other do, but no value is in the end its own owner: such a circle counts once.)

import argparse
import re
import sys

parser = argparse.ArgumentParser()
parser.add_argument("--limit", type=int, default=7168)
parser.add_argument("--softirq-limit", type=int, default=3072)
parser.add_argument("--chains", type=int, default=0)
arguments = parser.parse_args()

frame, calls, name = {}, {}, None
last = ""
for line in sys.stdin:
    line = re.sub(r"\[[0-9a-f]{8,16}\]", "", line)
    if found := re.match(r"[0-9a-f]+ <(.*)>:$", line):
        name = found[1]
        # The return address.
        frame[name], calls[name] = 8, set()
    elif name is None:
        continue
    elif found := re.search(r"\tsub +\$(0x[0-9a-f]+),%rsp", line):
        frame[name] += int(found[1], 16)
    elif re.search(r"\tpush +%", line):
        frame[name] += 8
    elif found := re.search(r"\t(?:call|j[a-z]+) +[0-9a-f]+ <(.+?)(\+0x[0-9a-f]+)?>$", line):
        if found[1] != name and not found[2]:
            calls[name].add(found[1])
    elif found := re.search(r"R_X86_64_(?:PLT32|PC32)\t(.+?)[-+]0x[0-9a-f]+$", line):
        # A call to another section stands in its relocation.
        if re.search(r"\t(call|j[a-z]+) ", last):
            calls[name].add(found[1])
    if "\t" in line and "R_X86_64" not in line:
        last = line

deepest, path = {}, []


def depth(function):
    """Octets, and the chain, of the worst that begins with this function."""
    if function in path:
        circle = path[path.index(function):]
        is_destructor = re.compile(r"drop_in_place|as core::ops::drop::Drop>::drop$").search
        if not any(is_destructor(member) for member in circle):
            sys.exit("calls itself: " + " > ".join(circle + [function]))
        return 0, []
    if function not in deepest:
        path.append(function)
        below = max((depth(callee) for callee in sorted(calls[function]) if callee in frame), default=(0, []))
        path.pop()
        deepest[function] = frame[function] + below[0], [function] + below[1]
    return deepest[function]


called = set().union(*calls.values())
chains = sorted((depth(function) for function in frame if function not in called), reverse=True)
softirq = [chain for chain in chains if "::callbacks::" in chain[1][0]]
if not softirq:
    sys.exit("no callbacks of sockets in this object")
for octets, chain in chains[: arguments.chains]:
    print(f"{octets:6} octets")
    for function in chain:
        print(f"{frame[function]:12}  {function}")
print(f"{chains[0][0]} octets at the most, {softirq[0][0]} in softirq")
for found, limit in (chains[0], arguments.limit), (softirq[0], arguments.softirq_limit):
    if found[0] > limit:
        sys.exit(f"over the limit of {limit} octets: {' > '.join(found[1])}")
