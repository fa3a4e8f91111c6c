#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A server that is stopped hands idle connections over while their clients ask again: none is
# another server's in the middle of a response.

. "$(dirname "$0")/lib.sh"

[ "$(nproc)" -gt 1 ] || skip_all "a single processor"
ulimit -n 10000 || skip_all "too few files may be open"
ip link add aside type veth peer name beside || skip_all "no device to listen on"
at_exit ip link del aside
load threads=1
sysctl_set clientport 8081
sysctl_set drain_timeout 0

python_checks <<'END_OF_PYTHON'
from http_client import *

SIZE = 400000  # Of which softirq sends a part, and leaves the rest to a worker.
CLIENTS = 30
is_stock = os.environ.get("RUST_TUX_KERNEL", "stock") == "stock"
ROUNDS = 8 if is_stock else 2
OTHERS = 3000 if is_stock else 500

def listen(device, *options):
    listener = socket.socket()
    for option in options:
        listener.setsockopt(socket.SOL_SOCKET, option, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device)
    listener.bind(("0.0.0.0", 8081))
    listener.listen(1024)
    return listener

def fork(program):
    child = os.fork()
    if child == 0:
        program()
        os._exit(0)
    return child

# The worker has the first processor, but not often. So most of what happens comes between two of
# its steps: as a rule while it looks for the backing server, which takes longer the more others
# listen on that port.
def interrupt():
    os.sched_setaffinity(0, {0})
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    while True:
        time.sleep(0.002)
        until = time.monotonic() + 0.1
        while time.monotonic() < until:
            pass

class Client(Connection):
    """Is idle, asks once, and doesn't wait."""

    def __init__(self):
        super().__init__()
        # So that there is room for all that softirq sends at a time.
        for _ in range(2):
            self.send(request("/large.bin"))
            self.response()
        self.socket.setblocking(False)
        self.port = self.socket.getsockname()[1]
        self.has_asked = self.is_closed = False
        self.got = 0

    def ask(self):
        self.has_asked = True
        try:
            self.socket.send(request("/large.bin"))
        except OSError:
            pass

    def has_read(self):
        """Whether there was something to read, or an end."""
        try:
            octets = self.socket.recv(1 << 20)
        except BlockingIOError:
            return False
        except ConnectionResetError:
            octets = b""
        self.got += len(octets)
        self.is_closed = not octets
        return True

put("large.bin", b"x" * SIZE)
backing = listen(b"lo", socket.SO_REUSEADDR)
backing.setblocking(False)
others = [listen(b"aside", socket.SO_REUSEADDR, socket.SO_REUSEPORT) for _ in range(OTHERS)]
os.sched_setaffinity(0, {1})
before = stat()
cut_short = []
for _ in range(ROUNDS):
    servers = []
    clients = [Client() for _ in range(CLIENTS)]
    interrupter = fork(interrupt)
    stopper = fork(lambda: sysctl("stop", "1"))
    is_stopped = False
    idle = 0
    last = -1  # The client that was looked at last, as far as can be told: as a rule in this order.
    while idle < 200:
        for n in range(last + 1, min(last + 3, CLIENTS)):
            if not is_stopped and not clients[n].has_asked:
                clients[n].ask()
        idle += 1
        for n, c in enumerate(clients):
            if not c.is_closed and c.has_read():
                idle = 0
                last = max(last, n) if c.is_closed else last
        try:
            while True:
                server, (_, from_port) = backing.accept()
                servers.append(server)
                last = max([last] + [n for n, c in enumerate(clients) if c.port == from_port])
        except BlockingIOError:
            pass
        if not is_stopped:
            is_stopped = os.waitpid(stopper, os.WNOHANG)[0] != 0
            idle = 0
        # What is on its way comes at once.
        time.sleep(0.005 if is_stopped else 0)
    os.kill(interrupter, signal.SIGKILL)
    os.waitpid(interrupter, 0)
    cut_short += [c.got for c in clients if 0 < c.got < SIZE and not c.is_closed]
    for c in clients + servers:
        c.close()
    sysctl("start", "1")
print("#", stat()["handoffs"] - before["handoffs"], "of", ROUNDS * CLIENTS, "were handed over")
true("connections are handed over", stat()["handoffs"] > before["handoffs"])
is_("octets of responses that were left to another server", cut_short, [])
END_OF_PYTHON

done_testing
