# SPDX-License-Identifier: GPL-2.0
"""An HTTP client for tests: it sends any octets, in any pieces, and reads strictly.

A test runs its checks through python_checks of lib.sh:

	python_checks <<'EOF'
	from http_client import *
	c = Connection()
	c.send(request("/"))
	is_("the index is served", c.response().status, 200)
	EOF
"""

import os
import select
import signal
import socket
import struct
import subprocess
import threading
import time

port = int(os.environ.get("port", "8080"))
docroot = os.environ.get("docroot", "").encode()
patience = 60  # seconds; only a test that fails waits so long


def ok(name):
    print("ok", name, flush=True)


def not_ok(name, *details):
    print("not ok", name, flush=True)
    for detail in details:
        for line in str(detail)[:2000].splitlines():
            print("#  ", line, flush=True)


def is_(name, got, wanted):
    if got == wanted:
        ok(name)
    else:
        not_ok(name, "got:    %r" % (got,), "wanted: %r" % (wanted,))


def isnt(name, got, unwanted):
    if got != unwanted:
        ok(name)
    else:
        not_ok(name, "got: %r" % (got,))


def true(name, claim, *details):
    if claim:
        ok(name)
    else:
        not_ok(name, *details)


class Malformed(Exception):
    """What came is no HTTP response."""


class Cut(Malformed):
    """What came is the beginning of one."""


class Response:
    """A response: status, fields (pairs, in order), body; interim if it was 1xx."""

    def __init__(self, head):
        lines = head.split(b"\r\n")
        version, status, self.reason = (lines[0].split(b" ", 2) + [b"", b""])[:3]
        if version != b"HTTP/1.1" or len(status) != 3:
            raise Malformed(head)
        self.status = int(status)
        self.fields = []
        for line in lines[1:]:
            name, colon, value = line.partition(b": ")
            if not colon or not name or b"\n" in line or b"\r" in line:
                raise Malformed(head)
            self.fields.append((name.decode(), value.decode("latin-1")))
        self.body = b""

    def get(self, name):
        """The value of the only field line of that name, or None."""
        values = [value for n, value in self.fields if n.lower() == name.lower()]
        if len(values) > 1:
            raise Malformed(values)
        return values[0] if values else None

    def names(self):
        return sorted(name for name, _ in self.fields)

    def __repr__(self):
        return "<%d %r %r>" % (self.status, self.fields, self.body[:200])


class Connection:
    """A connection to the server."""

    def __init__(self, address="127.0.0.1", port=port, receive_buffer=None):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(patience)
        self.socket.connect((address, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.unread = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, octets):
        self.socket.sendall(octets)

    def send_in_pieces(self, octets, *cuts, pause=0.002):
        """Sends octets cut at these offsets, with pauses, so that they come in pieces."""
        last = 0
        for cut in cuts:
            self.send(octets[last:cut])
            time.sleep(pause)
            last = cut
        self.send(octets[last:])

    def more(self):
        octets = self.socket.recv(1 << 16)
        self.unread += octets
        return len(octets) != 0

    def response(self, method="GET"):
        """The next response; None if the connection was closed instead."""
        while b"\r\n\r\n" not in self.unread:
            if not self.more():
                if self.unread:
                    is_begin = self.unread.startswith(b"HTTP/1.1 "[:len(self.unread)])
                    raise (Cut if is_begin else Malformed)(self.unread)
                return None
        end = self.unread.index(b"\r\n\r\n")
        head = bytes(self.unread[:end])
        del self.unread[:end + 4]
        response = Response(head)
        if method == "HEAD" or response.status in (204, 304) or response.status < 200:
            return response
        length = response.get("Content-Length")
        if length is None or not length.isdigit():
            raise Malformed(head)
        length = int(length)
        while len(self.unread) < length:
            if not self.more():
                raise Cut("body of %d octets, not %d" % (len(self.unread), length))
        response.body = bytes(self.unread[:length])
        del self.unread[:length]
        return response

    def end(self):
        """How the connection ends: closed, reset, or octets that nobody asked for."""
        try:
            while not self.unread and self.more():
                pass
        except ConnectionResetError:
            return "reset"
        except socket.timeout:
            return "open"
        return bytes(self.unread) or "closed"

    def is_open(self, seconds=0.2):
        """Whether nothing comes for some time, not even an end."""
        return not self.unread and not select.select([self.socket], [], [], seconds)[0]

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        """Closes with a RST."""
        self.socket.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        self.socket.close()

    def close(self):
        self.socket.close()


def octets(text):
    return text if isinstance(text, bytes) else text.encode()


def request(target="/", *fields, method="GET", version="HTTP/1.1", host="localhost", body=b""):
    """The octets of a request; fields are whole lines without CRLF."""
    lines = [b"%s %s %s" % (octets(method), octets(target), octets(version))]
    if host is not None:
        lines.append(b"Host: " + octets(host))
    lines += [octets(field) for field in fields]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def chunked(*chunks, trailers=b""):
    """A chunked body."""
    parts = [b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks]
    return b"".join(parts) + b"0\r\n" + trailers + b"\r\n"


def ask(target="/", *fields, method="GET", **more):
    """The response to one request on a connection of its own, which must be closed after it."""
    with Connection() as c:
        c.send(request(target, *fields, "Connection: close", method=method, **more))
        response = c.response(method)
        if response is None or c.end() != "closed":
            raise Malformed("%s %r: %r" % (method, target, response))
        return response


def wait_until(claim, seconds=patience):
    """Waits until claim() is true; whether it came true. A look at it counts for a second at most, so
    that time in which the machine stands still is none."""
    began = time.monotonic()
    while not claim():
        if seconds <= 0:
            return False
        time.sleep(0.05)
        now = time.monotonic()
        seconds -= min(now - began, 1)
        began = now
    return True


class Watch:
    """How long this machine stands still: a thread on each processor that should run every 20 ms."""

    def __enter__(self):
        self.is_over = False
        self.worst = 0.0
        self.due = {}
        for cpu in os.sched_getaffinity(os.getppid()):
            self.due[cpu] = time.monotonic() + 1
            threading.Thread(target=self.look, args=(cpu,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.late()
        self.is_over = True

    def look(self, cpu):
        os.sched_setaffinity(0, {cpu})
        while not self.is_over:
            self.due[cpu] = time.monotonic() + 0.02
            time.sleep(0.02)
            self.worst = max(self.worst, time.monotonic() - self.due[cpu])

    def late(self):
        """The longest time, in seconds, until now."""
        if not self.is_over:
            self.worst = max([self.worst] + [time.monotonic() - due for due in list(self.due.values())])
        return self.worst


def undisturbed(attempt, is_right=lambda got: got, still=0.3, tries=20):
    """What attempt() returns, for what has to be done within a time that the server counts: if that
    isn't right, and the machine stood still for so many seconds meanwhile, it is tried again."""
    for _ in range(tries):
        with Watch() as watch:
            try:
                got = attempt()
                if is_right(got):
                    return got
            except (OSError, Malformed, AttributeError) as error:
                got = error
        if watch.late() < still:
            break
        print("# once more: the machine stood still for %.1f s" % watch.late(), flush=True)
    return got


def stat():
    """The counters of /proc/net/http/stat."""
    with open("/proc/net/http/stat") as lines:
        return {name: int(number) for name, number in (line.split() for line in lines)}


def sysctl(name, value=None):
    """Reads or writes a sysctl; returns the value, or the number of the error."""
    path = "/proc/sys/net/http/" + name
    try:
        if value is None:
            with open(path, "rb", buffering=0) as file:
                return file.read().decode()
        with open(path, "wb", buffering=0) as file:
            file.write(octets(value))
        return 0
    except OSError as error:
        return error.errno


def put(name, content, mode=0o644):
    """Makes a file below the document root."""
    path = os.path.join(docroot, octets(name))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(octets(content))
    os.chmod(path, mode)
    return path


class Backing:
    """A backing server: backing_server.py, with these options."""

    def __init__(self, *options):
        program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "backing_server.py")
        self.process = subprocess.Popen(["python3", program, *options], stdout=subprocess.PIPE, start_new_session=True)
        assert self.process.stdout.readline() == b"ready\n"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def kill(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process.stdout.close()

    def signal(self, number):
        os.killpg(self.process.pid, number)
