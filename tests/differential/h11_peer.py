# SPDX-License-Identifier: GPL-2.0
#
# usage: python3 h11_peer.py CASES
#
# What h11 makes of each case, a line each as main.rs describes it.

import struct
import sys

import h11
from h11._connection import _body_framing


def judge(octets):
    """The verdict on octets."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(octets)
    head = None
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError as error:
            name = str(error).split(":")[0].split("(")[0].split("'")[0].strip().lower()
            name = "_".join(name.split())[:40]
            return f"refuse {name}" if head is None else f"{head} refuse:{name}"
        at = len(octets) - len(connection.trailing_data[0])
        if isinstance(event, h11.Request):
            head = describe(event, at)
        elif isinstance(event, h11.EndOfMessage):
            return f"{head} {at}"
        elif not isinstance(event, h11.Data):
            # It needs more, or waits for a response.
            return "partial" if head is None else f"{head} partial"


def describe(request, at):
    """The facts of a request whose head ends at an offset."""
    kind, arguments = _body_framing(request.method, request)
    framing = "chunked" if kind == "chunked" else (arguments[0] or "none")
    version = request.http_version.decode()
    return f"accept {at} {request.method.decode()} {request.target.hex()} {version} {framing}"


def main():
    with open(sys.argv[1], "rb") as file:
        cases = file.read()
    at = 0
    lines = []
    while at < len(cases):
        (length,) = struct.unpack_from("<I", cases, at)
        lines.append(judge(cases[at + 4 : at + 4 + length]) + "\n")
        at += 4 + length
    sys.stdout.write("".join(lines))


main()
