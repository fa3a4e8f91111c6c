#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Clients that look at every response, while servers come and go behind the same port.

	upgrade_client.py PORT DOCROOT GO CONNECTIONS

They are two processes with CONNECTIONS each. They run until there is no file GO any more, then
finish what they have begun. What they tell is a
line of JSON: how many connections there were, how many responses of each server, and each request that
was lost, by what it was lost to. The files in DOCROOT are what is asked for.
"""

import collections
import json
import os
import random
import selectors
import socket
import sys
import time

PROCESSES = 2
PATIENCE = 100  # seconds without an octet


class Lost(Exception):
    """Requests without a response."""


class Client:
    """A connection, and those that come after it."""

    def __init__(self, number, address, files, told):
        self.address = address
        self.names = sorted(files)
        self.files = files
        self.told = told
        self.random = random.Random(number)
        # Short connections, long ones, and some with several requests at a time.
        self.requests, self.ahead, self.pause = ((1, 1, 0), (1, 1, 0.002), (20, 1, 0), (20, 1, 0.02), (12, 3, 0), (200, 1, 0))[number % 6]
        self.sock = None

    def begin(self):
        self.sock = socket.socket(socket.AF_INET6 if ":" in self.address[0] else socket.AF_INET)
        self.sock.setblocking(False)
        self.left = self.random.randint(1, self.requests)
        self.octets = bytearray()
        self.wanted = collections.deque()
        self.answered = 0
        self.is_connected = False
        self.at = time.monotonic()
        self.told["connections"] += 1
        try:
            self.sock.connect(self.address)
        except BlockingIOError:
            pass
        self.to_send = self.more()

    def more(self):
        """The octets of further requests."""
        names = self.random.choices(self.names, k=min(self.ahead, self.left))
        self.left -= len(names)
        self.wanted.extend(names)
        # What has a query is for the backing server.
        queries = self.random.choices((b"", b"?q"), (30 if self.left > 5 else 3, 1), k=len(names))
        return b"".join(b"GET /%s%s HTTP/1.1\r\nHost: a\r\n\r\n" % pair for pair in zip(names, queries))

    def step(self):
        """Does what can be done. Returns whether the connection is over."""
        self.at = time.monotonic()
        try:
            if self.to_send:
                sent = self.sock.send(self.to_send)
                self.is_connected = True
                self.to_send = self.to_send[sent:]
                return False
            octets = self.sock.recv(1 << 18)
        except (BlockingIOError, InterruptedError):
            return False
        except ConnectionRefusedError:
            raise Lost("refused")
        except (ConnectionResetError, BrokenPipeError):
            raise Lost("reset, with %s" % self.so_far())
        if not octets:
            raise Lost("closed, with %s" % self.so_far())
        self.octets += octets
        while self.wanted and (is_last := self.response()) is not None:
            self.answered += 1
            if is_last:
                # What was asked for behind the last response is to be asked for again, and no loss.
                self.told["asked again"] += len(self.wanted)
                return True
        if not self.wanted:
            if not self.left:
                return True
            if self.pause:
                time.sleep(self.random.random() * self.pause)
            self.to_send = self.more()
        return False

    def so_far(self):
        if self.octets:
            return "a part of a response"
        return "no octet of the first response" if not self.answered else "no octet of a later response"

    def response(self):
        """Takes one response. Whether it was the last; None if it isn't whole."""
        end = self.octets.find(b"\r\n\r\n")
        if end < 0:
            return None
        lines = bytes(self.octets[:end]).split(b"\r\n")
        fields = {name.lower(): value for name, _, value in (line.partition(b": ") for line in lines[1:])}
        len_ = int(fields.get(b"content-length", -1))
        if len(self.octets) < end + 4 + len_:
            return None
        content = bytes(self.octets[end + 4:end + 4 + len_])
        del self.octets[:end + 4 + len_]
        name = self.wanted.popleft()
        if b" 200 " not in lines[0]:
            raise Lost(lines[0].decode())
        if content != self.files[name]:
            raise Lost("another content")
        self.told[fields[b"server"].split(b"/")[0].decode()] += 1
        return fields.get(b"connection", b"").lower() == b"close"


def run(process, port, files, go, connections):
    told = collections.Counter()
    lost = []
    poll = selectors.DefaultSelector()
    is_over = False

    def begin(client):
        client.begin()
        poll.register(client.sock, selectors.EVENT_READ | selectors.EVENT_WRITE, client)

    def end(client):
        poll.unregister(client.sock)
        client.sock.close()
        if not is_over:
            begin(client)

    for number in range(connections):
        address = ("127.0.0.1", "::1")[(number // 6 + process) % 2]
        begin(Client(number + connections * process, (address, port), files, told))
    while poll.get_map():
        is_over = is_over or not os.path.exists(go)
        for key, _ in poll.select(1):
            client = key.data
            before = bool(client.to_send)
            try:
                if client.step():
                    end(client)
                elif is_over and not client.wanted:
                    end(client)
                elif before != bool(client.to_send):
                    events = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.to_send else 0)
                    poll.modify(client.sock, events, client)
            except Lost as why:
                lost.append((round(time.monotonic(), 4), client.ahead, client.requests, str(why), client.sock.fileno()))
                end(client)
        now = time.monotonic()
        for key in list(poll.get_map().values()):
            if now - key.data.at > PATIENCE:
                lost.append((round(now, 4), key.data.ahead, key.data.requests, "silence, " + ("connected, with " + key.data.so_far() if key.data.is_connected else "not connected"), 0))
                end(key.data)
    print(json.dumps({"told": told, "lost": lost}), flush=True)


def main():
    port, docroot, go = int(sys.argv[1]), os.fsencode(sys.argv[2]), sys.argv[3]
    files = {}
    for name in os.listdir(docroot):
        with open(os.path.join(docroot, name), "rb") as file:
            files[name] = file.read()
    pids = []
    for process in range(PROCESSES):
        pid = os.fork()
        if pid == 0:
            run(process, port, files, go, int(sys.argv[4]))
            os._exit(0)
        pids.append(pid)
    return int(any(os.waitpid(pid, 0)[1] for pid in pids))


if __name__ == "__main__":
    sys.exit(main())
