#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A backing server of a user without privileges does to the connections that it is
# given what a socket lets it, before and after the module goes: it gets no port of
# the server, keeps no module, and harms nobody.

. "$(dirname "$0")/lib.sh"

echo index >"$docroot/index.html"
modprobe tls 2>/dev/null
export module
load port=80
sysctl_set clientport 8081
port=80
python_checks <<'END_OF_PYTHON'
from http_client import *
import ctypes
import errno

libc = ctypes.CDLL(None, use_errno=True)
TCP_ULP = 31

def disconnect(s):
    """connect(2) to AF_UNSPEC: the number of its error."""
    return ctypes.get_errno() if libc.connect(s.fileno(), bytes(16), 16) else 0

def error_of(action):
    try:
        action()
        return 0
    except OSError as error:
        return error.errno

def serve(listener, asked, told):
    """Two times: does something to each of four connections; tells their ports, and who listens."""
    os.setgid(65534)
    os.setuid(65534)
    given = [listener.accept()[0] for _ in range(4)]
    for s in given:
        s.recv(1000)
        error_of(lambda: s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1))
    error_of(lambda: given[0].setsockopt(socket.IPPROTO_TCP, TCP_ULP, b"tls"))
    given[1].shutdown(socket.SHUT_RDWR)
    for _ in range(2):
        for s in given[:3]:
            disconnect(s)
            error_of(lambda: s.listen(5))
        bound = error_of(lambda: socket.socket().bind(("0.0.0.0", port)))
        listening = [s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) for s in given]
        ports = [s.getsockname()[1] for s, listens in zip(given, listening) if listens]
        os.write(told, b"%d %d %d\n" % (bound, len(ports) > 1, port in ports))
        os.read(asked, 1)

listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("0.0.0.0", 8081))
listener.listen(10)
(asked, ask_it), (tells, told) = os.pipe(), os.pipe()
if os.fork() == 0:
    libc.prctl(1, signal.SIGKILL)
    serve(listener, asked, told)
    os._exit(0)
clients = [Connection() for _ in range(4)]
for c in clients:
    c.send(request("/?query"))
is_("while the server listens: nobody else may bind, some listen, none on its port", os.read(tells, 100), b"%d 1 0\n" % errno.EACCES)
is_("files are served", ask("/").body, b"index\n")
is_("the module goes", subprocess.run(["rmmod", "rust_tux"]).returncode, 0)
os.write(ask_it, b"x")
is_("without it, too", os.read(tells, 100), b"%d 1 0\n" % errno.EACCES)
is_("nobody is there", error_of(Connection), errno.ECONNREFUSED)
is_("the module comes back", subprocess.run(["insmod", os.environ["module"], b"docroot=" + docroot, "port=%d" % port]).returncode, 0)
is_("and serves", ask("/").body, b"index\n")
os.write(ask_it, b"x")
is_("the backing server ends well", os.wait()[1], 0)
for c in clients:
    c.close()
END_OF_PYTHON
done_testing
