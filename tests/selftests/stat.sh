#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# /proc/net/http/stat: the counters add up for traffic that is known, and only grow.

. "$(dirname "$0")/lib.sh"

echo index >"$docroot/index.html"
echo hello >"$docroot/a.txt"
head -c 1000000 /dev/zero >"$docroot/large"
mkdir "$docroot/dir"
echo secret >"$docroot/secret.txt"
chmod 600 "$docroot/secret.txt"
load

file=/proc/net/http/stat
is "mode and owner" "$(stat -c '%a %U' $file)" "444 root"
isnt_like "each line is a name and a number" "$(grep -vE '^[a-z0-9_]+ [0-9]+$' $file)" .
is "no name comes twice" "$(cut -d' ' -f1 $file | sort | uniq -d)" ""
is "all are 0 in the beginning" "$(grep -v ' 0$' $file)" ""
is "small reads give the same" "$(dd if=$file bs=7 2>/dev/null)" "$(cat $file)"
if echo 0 2>/dev/null >$file; then
	not_ok "it can't be written"
else
	ok "it can't be written"
fi

python_checks <<'END_OF_PYTHON'
from http_client import *

now = stat()

def settled(closed=0):
    """Waits until this many more connections than at the last count were closed, and none is open.

    A connection that the client gave up at once may not have been taken by a worker yet."""
    return wait_until(lambda: (s := stat())["connections_open"] == 0 and s["connections_closed"] - now["connections_closed"] >= closed)

def grown(name, **wanted):
    """Checks that since the last call these counters have grown, by this, and no others.

    How often a look-up or a read was deferred is the file system's affair, and so is what runs now.
    What was found before, and where it was answered, depends on when the worker came."""
    global now
    settled(wanted.get("connections_closed", 0))
    old, now = now, stat()
    got = {key: now[key] - old[key] for key in now if now[key] != old[key] and not key.startswith(("deferred", "storage_running", "storage_waiting", "storage_abandoned", "cache", "fastpath"))}
    fell = [key for key in got if got[key] < 0]
    is_(name, got, {key: value for key, value in wanted.items() if value is not None})
    if fell:
        not_ok(name + ": no counter falls", fell)

class Counting(Connection):
    received = 0
    def more(self):
        before = len(self.unread)
        more = super().more()
        Counting.received += len(self.unread) - before
        return more

def traffic(*requests, how=None, responses=None):
    """One connection; returns the octets that came back."""
    Counting.received = 0
    with Counting() as c:
        c.send(b"".join(requests))
        for _ in range(len(requests) if responses is None else responses):
            c.response()
        if how == "server":
            c.end()
    return Counting.received

n = traffic(request("/"))
grown("one request", connections_accepted=1, connections_closed=1, requests=1, responses_200=1, octets_sent=n)
n = traffic(*[request("/a.txt")] * 10)
grown("ten on a connection", connections_accepted=1, connections_closed=1, requests=10, responses_200=10, octets_sent=n)
n = traffic(request("/a.txt", "Connection: close"), how="server")
grown("the server closes", connections_accepted=1, connections_closed=1, requests=1, responses_200=1, octets_sent=n)
n = traffic(request("/large"))
grown("a large file", connections_accepted=1, connections_closed=1, requests=1, responses_200=1, octets_sent=n)
traffic()
grown("nothing asked", connections_accepted=1, connections_closed=1)
for sent in b"G", b"GET / HTTP/1.1\r\n":
    traffic(sent, responses=0)
    grown("half a head", connections_accepted=1, connections_closed=1, requests_incomplete=1)

n = traffic(request("/nothing"), request("/secret.txt"), request("/dir"), request("/a.txt", "If-None-Match: *"),
            request("/a.txt", "If-Match: \"x\""), request("/", method="POST"), request("/", method="BREW"),
            request("/", method="OPTIONS"), request("/", "Expect: x"))
grown("by status", connections_accepted=1, connections_closed=1, requests=9, octets_sent=n, responses_404=1, responses_403=1,
      responses_301=1, responses_304=1, responses_412=1, responses_405=1, responses_501=1, responses_204=1, responses_417=1)
n = traffic(request("/%zz"), request("/%00"), request("/../x"), request("/a%2fb"))
grown("bad paths", connections_accepted=1, connections_closed=1, requests=4, octets_sent=n, responses_400=3, responses_404=1,
      bad_request_invalid_percent=1, bad_request_encoded_nul=1, bad_request_above_root=1, bad_request_encoded_slash=1)
for sent, status, reason in (
    (request("/", host=None), 400, "no_host"),
    (request("/", "Content-Length: x"), 400, "invalid_content_length"),
    (request("/", "Content-Length: 5", "Transfer-Encoding: chunked"), 400, "two_lengths"),
    (request("/", version="HTTP/3.0"), 505, "unknown_version"),
    (request("/" + "a" * 5000), 414, "target_too_long"),
    (request("/", "X: " + "a" * 9000), 431, "head_too_long"),
    (request("/", *["X: y"] * 101), 431, "too_many_fields"),
    (b"GET / HTTP/1.1\nHost: a\n\n", 400, "bare_lf"),
):
    n = traffic(sent, how="server")
    grown("refused: %s" % reason, **{"connections_accepted": 1, "connections_closed": 1, "requests": 1, "octets_sent": n,
          "responses_%d" % status: 1, "bad_request_" + reason: 1})
n = traffic(request("/", "Content-Length: 1000", body=b"x" * 1000), request("/", "Transfer-Encoding: chunked", body=chunked(b"y" * 100)))
grown("bodies", connections_accepted=1, connections_closed=1, requests=2, responses_200=2, octets_sent=n,
      octets_drained=1000 + len(chunked(b"y" * 100)))
with Connection() as c:
    c.send(request("/large") * 5)
    c.response()
    time.sleep(0.2)
    c.reset()
settled()
is_("a reset is counted", stat()["connections_reset"] - now["connections_reset"], 1)
now = stat()
crowd = [Connection() for _ in range(20)]
for c in crowd:
    c.send(request("/"))
    c.response()
is_("open connections are counted", stat()["connections_open"], 20)
for c in crowd:
    c.close()
true("and those that are gone are not", settled(), stat())

# ---- stop and start

now = stat()
is_("stop", sysctl("stop", "1"), 0)
grown("stopping changes no counter")
is_("start", sysctl("start", "1"), 0)
grown("starting changes no counter")
n = traffic(request("/"))
grown("and counting goes on", connections_accepted=1, connections_closed=1, requests=1, responses_200=1, octets_sent=n)
c = Connection()
c.send(request("/"))
c.response()
sysctl("stop", "1")
is_("a stop closes connections", c.end(), "closed")
is_("and counts them", (stat()["connections_open"], stat()["connections_closed"] - now["connections_closed"]), (0, 1))
sysctl("start", "1")
END_OF_PYTHON

unload
if [ -e /proc/net/http ]; then
	not_ok "the directory goes with the module"
else
	ok "the directory goes with the module"
fi

done_testing
