#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A connection is handed over, with its unread request, to an unmodified server on
# the same machine; and what is done when that is not there.

. "$(dirname "$0")/lib.sh"

client_network || skip_all "no network for a client"
echo index >"$docroot/index.html"
echo hello >"$docroot/a.txt"
mkdir -p "$docroot/cgi-bin" "$docroot/dir"
echo source >"$docroot/cgi-bin/x.txt"
echo script >"$docroot/x.app"
echo secret >"$docroot/secret.txt"
chmod 600 "$docroot/secret.txt"
head -c 300000 /dev/urandom >"$docroot/300k"
load

python_checks <<'END_OF_PYTHON'
import resource
import signal
import subprocess
import threading
import zlib
from http_client import *

tmp = os.environ["tmp"]
backing_port = 8081
resource.setrlimit(resource.RLIMIT_NOFILE, (65536, 65536))

def seen(response):
    """What the backing server has seen, if it has answered."""
    if response is None or response.get("Server") != "backing":
        return None
    return dict(line.split("=", 1) for line in response.body.decode().splitlines())

def who(response):
    """Who has answered: backing, or the status of our answer."""
    if response is None:
        return "nobody"
    return "backing" if response.get("Server") == "backing" else response.status

def once(target="/", *fields, method="GET", address="127.0.0.1", **more):
    with Connection(address) as c:
        c.send(request(target, *fields, method=method, **more))
        return c.response(method)

def set_all(**values):
    for name, value in values.items():
        if sysctl(name, str(value)) != 0:
            not_ok("%s can be set to %s" % (name, value))

def grown(before):
    """The counters of this that have grown since."""
    now = stat()
    return {name: now[name] - before[name] for name in now if name.startswith("handoff") and now[name] != before[name]}

def check_grown(name, before, **wanted):
    if not wait_until(lambda: grown(before) == wanted, 20):
        is_(name, grown(before), wanted)
    else:
        ok(name)

# However slow this machine is.
set_all(header_timeout=3600, keepalive_timeout=3600)

# ---- off

is_("without a backing server, nothing is handed over",
    [who(once("/a.txt?x")), who(once("/none")), who(once("/", method="POST", body=b"")), who(once("/cgi-bin/x.txt"))], [200, 404, 405, 200])

with open(tmp + "/types", "w") as file:
    file.write("TUX/redirect app\ntext/plain txt\n")
# Before it was marked, it could be had, and kept.
got = [who(once("/x.app")) for _ in range(3)]
set_all(mime_types=tmp + "/types")
with Connection() as c:
    for _ in range(3):
        c.send(request("/x.app"))
        got.append(who(c.response()))
got += [who(once(*how)) for how in (("/%78.APP",), ("/none.app",))]
is_("the source of a script stays here until there is somebody to run it", got, [200] * 3 + [403] * 5)
is_("and what is not marked is served", who(once("/a.txt")), 200)

# ---- what is handed over

set_all(clientport=backing_port)
table = (
    # what, request, the one who answers, the reason
    ("a file", request("/a.txt"), 200, None),
    ("HEAD of a file", request("/a.txt", method="HEAD"), 200, None),
    ("a directory's index", request("/"), 200, None),
    ("a range", request("/300k", "Range: bytes=0-99"), 206, None),
    ("a directory without its slash", request("/dir"), 301, None),
    ("POST", request("/a.txt", "Content-Length: 3", method="POST", body=b"abc"), "backing", "method"),
    ("PUT without content", request("/a.txt", "Content-Length: 0", method="PUT"), "backing", "method"),
    ("OPTIONS", request("/a.txt", method="OPTIONS"), "backing", "method"),
    ("a method that nobody knows", request("/a.txt", method="FROB"), "backing", "method"),
    ("an upgrade to something else", request("/a.txt", "Connection: upgrade", "Upgrade: x"), "upgrade", "upgrade"),
    ("an unknown expectation", request("/a.txt", "Expect: the-unexpected"), "backing", "expect"),
    ("content of a GET", request("/a.txt", "Content-Length: 3", body=b"abc"), "backing", "content"),
    ("a GET without content that says so", request("/a.txt", "Content-Length: 0"), 200, None),
    ("a query", request("/a.txt?b=c"), "backing", "query"),
    ("an empty query", request("/a.txt?"), "backing", "query"),
    ("a dynamic path", request("/cgi-bin/x.txt"), "backing", "dynamic"),
    ("a dynamic path in disguise", request("/%63gi-bin/./x.txt"), "backing", "dynamic"),
    ("the media type", request("/x.app"), "backing", "media_type"),
    ("what is not there", request("/none/at/all"), "backing", "not_found"),
    ("what is not for everyone", request("/secret.txt"), "backing", "forbidden"),
    ("an encoded slash", request("/a%2Fb"), "backing", "not_found"),
    ("a directory without an index", request("/dir/"), "backing", "not_found or forbidden"),
)
malformed = (
    ("two lengths", request("/x", "Content-Length: 1", "Transfer-Encoding: chunked", method="POST", body=b"0\r\n\r\n")),
    ("two hosts", request("/x", "Host: b", method="POST")),
    ("a folded line", b"POST / HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n"),
    ("a bare LF", b"POST / HTTP/1.1\nHost: a\n\n"),
    ("no host", b"POST / HTTP/1.1\r\n\r\n"),
    ("a malformed chunk", request("/x", "Transfer-Encoding: chunked", method="POST", body=b"zz\r\n")),
    ("a coding that is not known", request("/x", "Transfer-Encoding: gzip, chunked", method="POST", body=b"0\r\n\r\n")),
    ("an absolute path that leads above the root", request("/../x?y")),
    ("a NUL", request("/%00?y")),
    ("half an octet", request("/%4?y")),
    ("HTTP/2", request("/x?y", version="HTTP/2.0")),
)
with Backing():
    for name, octets_, wanted, reason in table:
        before = stat()
        for fast in (1, 1, 1):
            with Connection() as c:
                c.send(octets_)
                method = octets_.split(b" ")[0].decode()
                response = c.response(method)
                got = who(response)
                if wanted == "upgrade":
                    c.send(b"any octets")
                    got = "upgrade" if response.status == 101 and c.more() and c.unread == b"any octets" else got
        is_("%s: who answers" % name, got, wanted)
        got = grown(before)
        if reason is None:
            is_("%s: nothing is handed over" % name, got, {})
        elif " or " in reason:
            true("%s: the reason" % name, got in ({"handoffs": 3, "handoff_" + r: 3} for r in reason.split(" or ")), got)
        else:
            check_grown("%s: the reason" % name, before, **{"handoffs": 3, "handoff_" + reason: 3})
    before = stat()
    for name, octets_ in malformed:
        with Connection() as c:
            c.send(octets_)
            response = c.response()
            true("%s: is refused here" % name, response and who(response) in (400, 404, 501, 505), response)
    is_("nothing malformed is handed over", grown(before), {})

    set_all(ignore_query=2)
    is_("queries that are ignored", [who(once("/a.txt?b")), who(once("/none?b"))], [200, "backing"])
    isnt("a query can't be a part of the name", sysctl("ignore_query", "1"), 0)
    set_all(ignore_query=0, handoff_not_found=0, handoff_forbidden=0)
    is_("what is not there, or not for everyone, if that is answered here", [who(once("/none")), who(once("/secret.txt"))], [404, 403])
    set_all(handoff_not_found=1, handoff_forbidden=1)
    set_all(dynamic="^/api/ .php")
    is_("texts are added", sysctl("dynamic"), "cgi-bin ^/api/ .php\n")
    is_("texts in paths", [who(once(t)) for t in ("/api/a.txt", "/a.txt", "/x.php/y", "/cgi-bin/x.txt")], ["backing", 200, "backing", "backing"])
    set_all(dynamic="-cgi-bin -^/api/")
    is_("texts are taken away", [sysctl("dynamic"), who(once("/cgi-bin/x.txt"))], [".php\n", 200])
    set_all(dynamic="\n")
    is_("all texts are taken away", sysctl("dynamic"), "")
    set_all(dynamic="cgi-bin")

# ---- to whom

def check_addresses(name, options, addresses, none=()):
    with Backing(*options):
        for address in addresses:
            with Connection(address) as c:
                mine = c.socket.getsockname()
                c.send(request("/a.txt") + request("/dyn?1"))
                first, got = c.response(), seen(c.response())
                is_("%s: a file before, from %s" % (name, address), who(first), 200)
                # The peer may be written as IPv6 has it.
                peer = got and (got["peer"].replace("::ffff:", ""), int(got["peer_port"]), got["local"].replace("::ffff:", ""), int(got["local_port"]))
                is_("%s: who has asked, from %s" % (name, address), peer, (mine[0], mine[1], address, port))
                c.send(request("/a.txt"))
                got = seen(c.response())
                is_("%s: the connection stays there, from %s" % (name, address), got and got["request"], "2")
        set_all(handoff_timeout=0)
        for address in none:
            is_("%s: can't be reached from %s" % (name, address), who(once("/dyn?1", address=address)), 503)
        set_all(handoff_timeout=2)

for how in ((), ("--epoll",)):
    label = "epoll" if how else "blocking"
    check_addresses("IPv4, %s" % label, ("--address", "0.0.0.0", *how), ("127.0.0.1", "192.0.2.1"), ("::1",))
    check_addresses("IPv6 only, %s" % label, ("--address", "::", "--only-ipv6", *how), ("::1", "2001:db8::1"), ("127.0.0.1",))
    check_addresses("both, %s" % label, ("--address", "::", *how), ("127.0.0.1", "::1", "192.0.2.1", "2001:db8::1"))
    check_addresses("loopback, %s" % label, ("--address", "127.0.0.1", *how), ("127.0.0.1", "192.0.2.1"), ("::1",))
    check_addresses("loopback of IPv6, %s" % label, ("--address", "::1", *how), ("::1", "2001:db8::1"), ("127.0.0.1",))
    check_addresses("one address, %s" % label, ("--address", "192.0.2.1", *how), ("192.0.2.1",), ("127.0.0.1",))

# Programs in Go listen so unless told otherwise.
if sysctl("../mptcp/enabled") == "1\n":
    check_addresses("MPTCP, IPv4", ("--mptcp", "--address", "0.0.0.0"), ("127.0.0.1", "192.0.2.1"), ("::1",))
    check_addresses("MPTCP, both", ("--mptcp", "--address", "::", "--epoll"), ("127.0.0.1", "::1", "192.0.2.1", "2001:db8::1"))

for options, domain in (("0.0.0.0", socket.AF_INET), ("::", socket.AF_INET6)):
    with Backing("--address", options):
        got = seen(once("/dyn?1"))
        is_("the family is that of the listening socket: %s" % options, got and got["domain"], str(int(domain)))
# One that is accepted from the socket of the other server itself has the same.
for options in (), ("--options",):
    with Backing(*options):
        given = seen(once("/dyn?1"))
        with Connection(port=8081) as c:
            c.send(request("/dyn?1"))
            own = seen(c.response())
        names = ("nodelay", "keepalive", "keepidle", "urginline", "user_timeout", "notsent_lowat", "linger2", "rcvlowat")
        values = [[got and got.get(name) for name in names] for got in (given, own)]
        is_("options are those of the listening socket: %s" % (options,), *values)
        is_("there were some", values[1][4], "12345" if options else "0")

with Backing("--reuseport", "4", "--address", "::", "--epoll"):
    pids = {}
    for _ in range(200):
        got = seen(once("/dyn?1"))
        pids[got and got["pid"]] = pids.get(got and got["pid"], 0) + 1
    true("a group shares the connections", len(pids) == 4 and None not in pids, pids)

# Who waits to be accepted by a server that dies goes to the other one of its group.
def migrated():
    with open("/proc/net/netstat") as file:
        names, numbers = (line.split() for line in file if line.startswith("TcpExt:"))
    return int(dict(zip(names, numbers))["TCPMigrateReqSuccess"])

sysctl("../ipv4/tcp_migrate_req", "1")
for address in "0.0.0.0", "::":
    with Backing("--reuseport", "1", "--address", address) as dies, Backing("--reuseport", "1", "--address", address):
        dies.signal(signal.SIGSTOP)
        before, moved = stat(), migrated()
        clients = [Connection() for _ in range(40)]
        for number, c in enumerate(clients):
            if number % 2:
                c.send(request("/a.txt"))
                c.response()
            c.send(request("/dyn?1"))
            if number % 3 == 0:
                c.half_close()
        wait_until(lambda: stat()["handoffs"] == before["handoffs"] + len(clients))
        dies.kill()
        got = [seen(c.response()) for c in clients]
        is_("%s: who was in the queue of the dead is answered" % address, [g and g["request"] for g in got], ["1"] * len(clients))
        true("%s: there were some" % address, migrated() > moved, migrated() - moved)
        for c in clients:
            c.close()
sysctl("../ipv4/tcp_migrate_req", "0")

# ---- what goes with it

with Backing("--epoll") as backing:
    content = os.urandom(3_000_000)
    with Connection() as c:
        c.send(request("/up", "Content-Length: %d" % len(content), method="POST", body=content) + request("/a.txt"))
        got = seen(c.response())
        is_("a long upload", got and (got["content"], got["crc"]), (str(len(content)), str(zlib.crc32(content))))
        is_("what follows an upload", who(c.response()), "backing")
    pieces = [content[n:n + 70000] for n in range(0, len(content), 70000)]
    with Connection() as c:
        c.send(request("/up", "Transfer-Encoding: chunked", method="POST", body=chunked(*pieces)))
        got = seen(c.response())
        is_("a long upload in chunks", got and (got["content"], got["crc"]), (str(len(content)), str(zlib.crc32(content))))
    with Connection() as c:
        c.send(request("/up", "Content-Length: 3", "Expect: 100-continue", method="POST"))
        first = c.response()
        is_("a 100 comes from there", first and first.status, 100)
        c.send(b"abc")
        got = seen(c.response())
        is_("content after a 100", got and got["content"], "3")
    with Connection() as c:
        head = request("/up", "Content-Length: 5", method="POST")
        c.send_in_pieces(head + b"abcde", 1, 10, 20, len(head) - 1, len(head), len(head) + 2, pause=0.02)
        got = seen(c.response())
        is_("a request in pieces", got and got["content"], "5")
    # Octets that the other server didn't read would make another request of this one.
    with Connection() as c:
        c.send(b"GET /dyn?a")
        c.socket.send(b"b", socket.MSG_OOB)
        c.send(b"c HTTP/1.1\r\nHost: a\r\n\r\n")
        got = seen(c.response())
        is_("an urgent octet is read there, too", got and got["target"], "/dyn?abc")
    with Connection() as c:
        c.send(request("/dyn?half"))
        c.half_close()
        got = seen(c.response())
        is_("a client that half-closes is answered", got and got["target"], "/dyn?half")
        is_("and its connection ends", c.end(), "closed")
    with Connection() as c:
        c.send(request("/a.txt"))
        c.response()
        c.send(request("/dyn?half"))
        c.half_close()
        is_("the same after a file", who(c.response()), "backing")
    wrong = []
    for n in range(1, 40, 3):
        with Connection() as c:
            c.send(request("/a.txt") * n + request("/dyn?1") + request("/a.txt") + request("/dyn?2"))
            answers = [who(c.response()) for _ in range(n + 3)]
            if answers != [200] * n + ["backing"] * 3:
                wrong.append((n, answers))
    is_("files, then more, in one go", wrong, [])
    large = open(docroot.decode() + "/300k", "rb").read()
    wrong = []
    for n in (1, 3, 10):
        with Connection(receive_buffer=4096) as c:
            c.send(request("/300k") * n + request("/dyn?1"))
            time.sleep(0.1)
            if any(c.response().body != large for _ in range(n)):
                wrong.append(n)
            if who(c.response()) != "backing":
                wrong.append(-n)
    is_("large files that a slow client takes, then more", wrong, [])
    with Connection() as c:
        c.send(request("/300k") + request("/dyn?1"))
        c.response()
        c.reset()
    with Connection(receive_buffer=4096) as c:
        c.send(request("/300k") * 8 + request("/dyn?1"))
        time.sleep(0.3)
        c.reset()
    is_("clients that go away while they wait harm nobody", who(once("/dyn?1")), "backing")

# ---- failure

set_all(handoff_timeout=0)
before = stat()
with Connection() as c:
    c.send(request("/dyn?1") + request("/a.txt") + request("/up", "Content-Length: 3", method="POST", body=b"abc") + request("/a.txt"))
    first = c.response()
    is_("no backing server", (who(first), first.get("Retry-After")), (503, "1"))
    is_("the connection goes on", [who(c.response()), who(c.response()), who(c.response())], [200, 503, 200])
check_grown("failures are counted", before, handoff_failed=2)
put("busy.html", "please wait")
set_all(error_pages="503=/busy.html")
is_("an error page says so", once("/dyn?1").body, b"please wait")
set_all(error_pages="404=/404.html")
set_all(handoff_close=1)
with Connection() as c:
    c.send(request("/dyn?1"))
    is_("the connection is closed, if so chosen", c.end(), "closed")
set_all(handoff_close=0, handoff_timeout=3600)
before = stat()
with Connection() as c:
    c.send(request("/dyn?1"))
    true("a request waits", c.is_open(2.5))
    with Backing():
        is_("until there is a backing server", who(c.response()), "backing")
check_grown("and is counted", before, handoff_waited=1, handoffs=1, handoff_query=1)
set_all(handoff_timeout=1)
begun = time.monotonic()
answer = who(once("/dyn?1"))
true("a request waits no longer than it should", answer == 503 and 0.9 < time.monotonic() - begun < 50, answer, time.monotonic() - begun)
set_all(handoff_timeout=3600)
with Connection() as c:
    c.send(request("/dyn?1"))
    true("one waits", c.is_open(1))
    c.reset()
true("one that has gone is forgotten", wait_until(lambda: stat()["connections_open"] == 0))

with Backing("--backlog", "3") as backing:
    is_("it answers", who(once("/dyn?1")), "backing")
    backing.signal(signal.SIGSTOP)
    set_all(handoff_timeout=0)
    waiting, answers = [], []
    for _ in range(12):
        c = Connection()
        c.send(request("/dyn?1"))
        waiting.append(c)
    def who_is_told():
        return [c for c in waiting if select.select([c.socket], [], [], 0)[0]]
    wait_until(lambda: len(who_is_told()) >= len(waiting) - 5)
    time.sleep(0.5)
    told = who_is_told()
    answers = [who(c.response()) for c in told]
    # A thread may be in accept().
    true("a full queue is told of", set(answers) == {503} and len(waiting) - len(told) in (4, 5), answers, len(waiting) - len(told))
    is_("files are served meanwhile", who(once("/a.txt")), 200)
    set_all(handoff_timeout=3600)
    late = [Connection() for _ in range(5)]
    for c in late:
        c.send(request("/dyn?2"))
    time.sleep(1)
    true("others wait for room", not select.select([c.socket for c in late], [], [], 0)[0])
    backing.signal(signal.SIGCONT)
    is_("whoever was on the queue is answered", [who(c.response()) for c in waiting if c not in told], ["backing"] * (len(waiting) - len(told)))
    is_("whoever has waited for room is answered", [who(c.response()) for c in late], ["backing"] * 5)
    for c in waiting + late:
        c.close()

with Backing("--backlog", "8") as backing:
    once("/dyn?1")
    backing.signal(signal.SIGSTOP)
    before = stat()["handoffs"]
    waiting = [Connection() for _ in range(6)]
    for c in waiting:
        c.send(request("/dyn?1"))
    wait_until(lambda: stat()["handoffs"] == before + 6)
    backing.kill()
    is_("whoever is on the queue of a server that dies is told", {c.end() for c in waiting} <= {"reset", "closed"}, True)
    for c in waiting:
        c.close()

set_all(clientport=port, handoff_timeout=0)
is_("our own port is nobody's", who(once("/dyn?1")), 503)
set_all(clientport=backing_port)

# ---- all of it

set_all(handoff_timeout=2)
with Backing():
    before = stat()
    with Connection() as old:
        old.send(request("/a.txt"))
        is_("a connection from before", who(old.response()), 200)
        set_all(all_userspace=1)
        is_("everything goes to the backing server", [who(once("/a.txt")) for _ in range(3)], ["backing"] * 3)
        with Connection() as c:
            c.send(b"no request at all\r\n\r\n")
            c.close()
        old.send(request("/a.txt"))
        is_("a connection from before, too", who(old.response()), "backing")
    set_all(all_userspace=0)
    is_("nothing does any more", who(once("/a.txt")), 200)
    true("it is counted", grown(before).get("handoff_everything", 0) >= 4, grown(before))

# ---- stop

with Backing():
    before = stat()
    idle = []
    for _ in range(20):
        c = Connection()
        c.send(request("/a.txt"))
        c.response()
        idle.append(c)
    true("20 are idle", wait_until(lambda: stat()["connections_open"] == 20))
    time.sleep(0.5)
    sysctl("stop", "1")
    check_grown("idle connections are handed over when the server stops", before, handoffs=20, handoff_idle=20)
    answers = []
    for c in idle:
        c.send(request("/a.txt"))
        answers.append(who(c.response()))
        c.close()
    is_("and are served", answers, ["backing"] * 20)
    sysctl("start", "1")

# ---- the listening socket goes away at that very moment

set_all(handoff_timeout=1)
stop = threading.Event()
counts = {}
lock = threading.Lock()
def ask_often():
    while not stop.is_set():
        try:
            with Connection() as c:
                c.send(request("/a.txt") * 2 + request("/dyn?1"))
                answers = (who(c.response()), who(c.response()), who(c.response()))
        except (ConnectionResetError, BrokenPipeError):
            answers = "reset"
        with lock:
            counts[answers] = counts.get(answers, 0) + 1
threads = [threading.Thread(target=ask_often) for _ in range(8)]
for thread in threads:
    thread.start()
def lost():
    return counts.get("reset", 0) + counts.get((200, 200, "nobody"), 0)
begin = time.monotonic()
family = 0
while time.monotonic() - begin < (15 if lost() > 10 else 120):
    address = ("0.0.0.0", "::")[family % 2]
    listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family % 4 > 1:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((address, backing_port))
    except OSError:
        listener.close()
        continue
    listener.listen(64)
    listener.settimeout(0.02)
    try:
        for _ in range(family % 3):
            accepted, _ = listener.accept()
            accepted.recv(1 << 16)
            accepted.sendall(b"HTTP/1.1 200 OK\r\nServer: backing\r\nContent-Length: 0\r\n\r\n")
            accepted.close()
    except (socket.timeout, OSError):
        pass
    listener.close()
    family += 1
stop.set()
for thread in threads:
    thread.join()
print("#", family, "listening sockets:", counts)
known = {"reset", (200, 200, "backing"), (200, 200, 503), (200, 200, "nobody")}
true("a listening socket that goes away is no harm", set(counts) <= known and lost() > 10, counts)
set_all(handoff_timeout=2)
with Backing():
    is_("it goes on", who(once("/dyn?1")), "backing")
END_OF_PYTHON

done_testing
