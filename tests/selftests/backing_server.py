# SPDX-License-Identifier: GPL-2.0
"""A backing server for tests: what it answers says what it has seen.

	python3 backing_server.py [OPTION]...

	--port N         where it listens (8081)
	--address A      on this address (127.0.0.1); :: is for IPv4, too
	--only-ipv6      :: is not for IPv4
	--backlog N      connections that may wait (128)
	--reuseport N    so many sockets in a group, each with a process (none)
	--epoll          waits by epoll on sockets that don't block; else a thread for
	                 each connection, and accept() that blocks
	--mptcp          a socket of MPTCP, which takes connections of TCP, too
	--options        sets options on the listening socket: see OPTIONS

It prints "ready" when it listens. To each request it answers with lines NAME=VALUE: what
it is, the addresses of both ends, the method, the target, the octets of content and a
check sum of it, the number of the request on this connection, the family of the socket,
and options of it. After an Upgrade it sends back what it gets.
"""

import argparse
import os
import select
import socket
import sys
import threading
import zlib

# Options that connections inherit: what they are called here, and what --options sets.
OPTIONS = (
    ("nodelay", socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    ("keepalive", socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    ("keepidle", socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 77),
    ("urginline", socket.SOL_SOCKET, socket.SO_OOBINLINE, 0),
    ("user_timeout", socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 12345),
    ("notsent_lowat", socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, 4321),
    ("linger2", socket.IPPROTO_TCP, socket.TCP_LINGER2, 9),
    ("rcvlowat", socket.SOL_SOCKET, socket.SO_RCVLOWAT, 2),
)


class Client:
    """A connection: octets go in, octets come out."""

    def __init__(self, sock):
        self.sock = sock
        self.octets = bytearray()
        self.requests = 0
        self.upgraded = False

    def feed(self, octets):
        """What is to be sent for these octets, and whether the connection stays."""
        self.octets += octets
        out = bytearray()
        while True:
            if self.upgraded:
                out += self.octets
                self.octets.clear()
                return bytes(out), True
            end = self.octets.find(b"\r\n\r\n")
            if end < 0:
                return bytes(out), True
            lines = bytes(self.octets[:end]).split(b"\r\n")
            fields = {}
            for line in lines[1:]:
                name, _, value = line.partition(b":")
                fields[name.strip().lower()] = value.strip()
            rest = self.octets[end + 4:]
            if fields.get(b"expect") == b"100-continue" and not rest and not getattr(self, "told", False):
                self.told = True
                return bytes(out) + b"HTTP/1.1 100 Continue\r\n\r\n", True
            content = self.content(fields, rest)
            if content is None:
                return bytes(out), True
            content, used = content
            self.told = False
            del self.octets[:end + 4 + used]
            self.requests += 1
            if b"upgrade" in fields:
                self.upgraded = True
                out += b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: " + fields[b"upgrade"] + b"\r\n\r\n"
                continue
            method, target, _ = lines[0].split(b" ", 2)
            stays = fields.get(b"connection", b"").lower() != b"close"
            sock = self.sock
            peer, local = sock.getpeername(), sock.getsockname()
            text = "\n".join("%s=%s" % pair for pair in (
                ("server", "backing"), ("pid", os.getpid()),
                ("peer", peer[0]), ("peer_port", peer[1]), ("local", local[0]), ("local_port", local[1]),
                ("method", method.decode()), ("target", target.decode()),
                ("content", len(content)), ("crc", zlib.crc32(content)), ("request", self.requests),
                ("domain", sock.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN)),
                *((name, sock.getsockopt(level, option)) for name, level, option, _ in OPTIONS),
            )).encode() + b"\n"
            out += b"HTTP/1.1 200 OK\r\nServer: backing\r\nContent-Length: %d\r\n%s\r\n" % (
                len(text), b"" if stays else b"Connection: close\r\n")
            if method != b"HEAD":
                out += text
            if not stays:
                return bytes(out), False

    def content(self, fields, rest):
        """The content and how many octets it takes; None if it is not whole yet."""
        if fields.get(b"transfer-encoding") == b"chunked":
            content, at = bytearray(), 0
            while True:
                end = rest.find(b"\r\n", at)
                if end < 0:
                    return None
                size = int(rest[at:end].split(b";")[0], 16)
                if len(rest) < end + 2 + size + 2:
                    return None
                if size == 0:
                    return bytes(content), end + 4
                content += rest[end + 2:end + 2 + size]
                at = end + 2 + size + 2
        length = int(fields.get(b"content-length", b"0"))
        if len(rest) < length:
            return None
        return bytes(rest[:length]), length


def serve(sock):
    client = Client(sock)
    try:
        while octets := sock.recv(1 << 16):
            out, stays = client.feed(octets)
            sock.sendall(out)
            if not stays:
                break
    except OSError:
        pass
    sock.close()


def serve_blocking(listener):
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=serve, args=(sock,), daemon=True).start()


def serve_epoll(listener):
    listener.setblocking(False)
    poll = select.epoll()
    poll.register(listener.fileno(), select.EPOLLIN | select.EPOLLET)
    clients = {}
    while True:
        for fd, _ in poll.poll():
            if fd == listener.fileno():
                while True:
                    try:
                        sock, _ = listener.accept()
                    except BlockingIOError:
                        break
                    sock.setblocking(False)
                    clients[sock.fileno()] = Client(sock)
                    poll.register(sock.fileno(), select.EPOLLIN | select.EPOLLET)
                continue
            client = clients[fd]
            ends = False
            while not ends:
                try:
                    octets = client.sock.recv(1 << 16)
                    if not octets:
                        ends = True
                        break
                    out, stays = client.feed(octets)
                    client.sock.setblocking(True)
                    client.sock.sendall(out)
                    client.sock.setblocking(False)
                    ends = not stays
                except BlockingIOError:
                    break
                except OSError:
                    ends = True
            if ends:
                del clients[fd]
                client.sock.close()


def listen(arguments):
    family = socket.AF_INET6 if ":" in arguments.address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, 262 if arguments.mptcp else 0)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, arguments.only_ipv6)
    if arguments.reuseport:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if arguments.options:
        for _, level, option, value in OPTIONS:
            listener.setsockopt(level, option, value)
    listener.bind((arguments.address, arguments.port))
    listener.listen(arguments.backlog)
    return listener


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8081)
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--only-ipv6", action="store_true")
    parser.add_argument("--backlog", type=int, default=128)
    parser.add_argument("--reuseport", type=int, default=0)
    parser.add_argument("--epoll", action="store_true")
    parser.add_argument("--mptcp", action="store_true")
    parser.add_argument("--options", action="store_true")
    arguments = parser.parse_args()
    listeners = [listen(arguments) for _ in range(max(1, arguments.reuseport))]
    print("ready", flush=True)
    for listener in listeners[1:]:
        if os.fork() == 0:
            listeners = [listener]
            break
    run = serve_epoll if arguments.epoll else serve_blocking
    run(listeners[0])


if __name__ == "__main__":
    sys.exit(main())
