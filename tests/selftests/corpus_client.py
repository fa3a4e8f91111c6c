# SPDX-License-Identifier: GPL-2.0
"""Sends the cases of tests/corpus to the server, and compares what comes back.

The corpus says how a case is to be read. What it leaves open follows from this server, and is
stated here, in Outcome; where a case can be read simply, it is read here once more, and the two
readings must agree (check_reading).

How it is known that two pieces came apart: all connections of a process, which stays on one
processor, belong to one worker, and a worker takes the turns of its connections in the order
in which they got octets. So when a request that is sent after some pieces, on a connection of
its own, has been answered, all of them have been looked at (Probe).
"""

import pickle
import re
import sys

from http_client import *

corpus = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "corpus")
# The time of the file that the corpus has preconditions for.
MODIFIED = 784111777
# The longest body that is passed over.
BODY_LIMIT = 1 << 20
# The longest file of which cases select ranges here.
LONGEST = 1 << 20
# What follows each case whose end is known.
SECOND = b"GET /second HTTP/1.1\r\nHost: second\r\n\r\n"
SECOND_BODY = b"this is the second\n"
METHODS = b"GET HEAD OPTIONS POST PUT DELETE TRACE CONNECT PATCH".split()
TCHAR = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"


# ---- reading the corpus


def unescape(line):
    """The octets of a line; CRLF after it unless it ends in a backslash."""
    out = bytearray()
    at = 0
    while at < len(line):
        c = line[at]
        at += 1
        if c != "\\":
            out += c.encode()
            continue
        if at == len(line):
            return bytes(out)
        c = line[at]
        at += 1
        if c in "rnt0\\":
            out += {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\"}[c]
        elif c == "x":
            out.append(int(line[at:at + 2], 16))
            at += 2
        elif c == "{":
            end = line.index("}", at)
            what, count = line[at:end].rsplit("*", 1)
            out += unescape(what + "\\") * int(count)
            at = end + 1
        else:
            raise ValueError(line)
    return bytes(out) + b"\r\n"


def escape(octets):
    """Octets as a word, as the corpus writes facts."""
    text = ""
    for octet in octets:
        if octet == 0x5C:
            text += "\\\\"
        elif octet in b"\r\n":
            text += "\\r" if octet == 13 else "\\n"
        elif 0x21 <= octet <= 0x7E:
            text += chr(octet)
        else:
            text += "\\x%02x" % octet
    return text


class Case:
    """A case: its octets and what the corpus says of it."""

    def __init__(self, file, title):
        self.file = file
        self.title = "%s: %s" % (file, title)
        self.octets = b""
        self.expected = []
        self.facts = {}
        self.refusal = None
        self.is_partial = False
        # Octets of the file that is asked for, and what is selected of them.
        self.ranges = None

    @property
    def path(self):
        """The path of the file that it has preconditions for, or selects ranges of."""
        return "/of/%d" % self.ranges[0] if self.ranges else "/"

    def finish(self):
        assert self.octets and self.expected, self.title
        if self.expected == ["partial"]:
            self.is_partial = True
        elif "=" in self.expected[0]:
            self.facts = dict(word.split("=", 1) for word in self.expected)
            for fact in self.facts:
                if fact.startswith("ranges/"):
                    self.ranges = int(fact[len("ranges/"):]), self.facts[fact]
        else:
            status, reason = self.expected
            self.refusal = int(status), reason


def cases():
    """All cases of the corpus."""
    found = []
    for file in sorted(os.listdir(corpus)):
        if not file.endswith(".txt"):
            continue
        case = None
        with open(os.path.join(corpus, file), encoding="utf-8") as lines:
            for line in lines:
                line = line.rstrip("\n")
                if not line:
                    case = None
                elif line.startswith("#"):
                    pass
                elif line.startswith(">"):
                    case.octets += unescape(line[2:] if line[1:2] == " " else line[1:])
                elif line.startswith("<"):
                    case.expected += line[1:].split()
                else:
                    case = Case(file, line)
                    found.append(case)
    for case in found:
        case.finish()
    # No file here is as long as some of them want.
    return [case for case in found if case.ranges is None or case.ranges[0] <= LONGEST]


# ---- a second reading of what is well-formed


class BadPath(Exception):
    """A path that names nothing: status, reason."""


def normalize(path):
    """The name of a path below the root, and whether it is of a directory."""
    names = []
    is_directory = True
    for segment in path.split(b"/")[1:]:
        is_directory = True
        if re.search(rb"%(?![0-9A-Fa-f]{2})", segment):
            raise BadPath(400, "invalid_percent")
        name = re.sub(rb"%(..)", lambda m: bytes([int(m[1], 16)]), segment)
        if b"\0" in name or b"/" in name:
            # Whichever comes first.
            first = min(name.find(octet) % (len(name) + 1) for octet in (b"\0", b"/"))
            raise BadPath(*((400, "encoded_nul") if name[first] == 0 else (404, "encoded_slash")))
        if name == b"..":
            if not names:
                raise BadPath(400, "above_root")
            names.pop()
        elif name not in (b"", b"."):
            names.append(name)
            is_directory = False
    return b"/".join(names), is_directory


def elements(values):
    return [e.strip(b" \t").lower() for value in values for e in value.split(b",")]


def chunked_len(octets):
    """The length of a well-formed chunked body that octets begin with; None if it isn't whole."""
    at = 0
    while True:
        end = octets.find(b"\r\n", at)
        if end < 0:
            return None
        size = int(re.match(rb"[0-9A-Fa-f]+", octets[at:end])[0], 16)
        at = end + 2
        if size == 0:
            break
        at += size + 2
        if at > len(octets):
            return None
    while True:
        end = octets.find(b"\r\n", at)
        if end < 0:
            return None
        if end == at:
            return end + 2
        at = end + 2


class Reading:
    """A request that is known to be well-formed, read in a simple way."""

    def __init__(self, octets):
        head = octets.lstrip(b"\r\n")
        skipped = len(octets) - len(head)
        end = head.index(b"\r\n\r\n")
        self.head_len = skipped + end + 4
        rest = octets[self.head_len:]
        line, *lines = head[:end].split(b"\r\n")
        self.method, self.target, version = line.split(b" ")
        self.version = "1.0" if version == b"HTTP/1.0" else "1.1"
        self.fields = [(n.lower(), v.strip(b" \t")) for n, _, v in (l.partition(b":") for l in lines)]
        self.host = self.values(b"host")[0] if self.values(b"host") else None
        self.path, _, query = self.target.partition(b"?")
        self.query = query if b"?" in self.target else None
        self.form = "origin"
        if self.method == b"CONNECT" or self.target == b"*":
            self.form = "asterisk" if self.target == b"*" else "authority"
            self.host = self.host if self.form == "asterisk" else self.target
            self.path, self.query = b"", None
        elif not self.target.startswith(b"/"):
            self.form = "absolute"
            authority, path = re.match(rb"[a-zA-Z]+://([^/?]*)(.*)", self.target).groups()
            self.host = authority
            self.path = path.partition(b"?")[0] or b"/"
        options = elements(self.values(b"connection"))
        # What is behind a CONNECT may be for the other end of a tunnel (RFC 9110 9.3.6).
        self.is_persistent = self.method != b"CONNECT" and b"close" not in options and (
            self.version == "1.1" or b"keep-alive" in options)
        expectations = [e for e in elements(self.values(b"expect")) if e]
        self.expect = "nothing"
        if expectations:
            self.expect = "continue" if set(expectations) == {b"100-continue"} else "unknown"
        if self.version == "1.0" and self.expect == "continue":
            self.expect = "nothing"
        length = int((self.values(b"content-length") or [b"0"])[0])
        self.body, self.body_len = length or "none", length
        if self.values(b"transfer-encoding"):
            self.body, self.body_len = "chunked", 0
        self.rest = rest

    def values(self, name):
        return [v for n, v in self.fields if n == name]

    def drain(self):
        """How much of the rest is the body; None if it isn't whole."""
        if self.body == "chunked":
            return chunked_len(self.rest)
        return self.body_len if self.body_len <= len(self.rest) else None

    def facts(self, wanted):
        """The facts that this reading has an opinion of, in the words of the corpus."""
        facts = {
            "method": escape(self.method), "form": self.form, "path": escape(self.path),
            "query": "-" if self.query is None else escape(self.query),
            "host": "-" if self.host is None else escape(self.host), "version": self.version,
            "body": str(self.body), "persistent": "yes" if self.is_persistent else "no",
            "expect": self.expect, "upgrade": "yes" if self.values(b"upgrade") else "no",
            "fields": str(len(self.fields)), "rest": str(len(self.rest)),
        }
        try:
            if self.path:
                name, is_directory = normalize(self.path)
                facts["name"] = escape(name) + ("/" if is_directory else "")
        except BadPath as bad:
            facts["name"] = "%d/%s" % bad.args
        if "/" not in wanted.get("drain", "/"):
            length = self.drain()
            facts["drain"] = "partial,0" if length is None else "done,%d" % (len(self.rest) - length)
        return facts


# ---- what is to come back


class Outcome:
    """What a case leads to.

    octets        what is sent of the case
    head_len      before so many of them nothing is answered; None if the corpus doesn't say
    method        HEAD if the response has no content
    status, body  of the response; no status: there is none. no body: it is not looked at
    connection    the response's Connection field
    then          what follows: "second" (the next request is answered), "closed" (nothing is),
                  "waits" (for more octets; nothing is answered when there are none)
    counters      the bad_request counters that go up
    """

    def __init__(self, case, tag):
        self.case = case
        self.octets = case.octets
        self.head_len = None
        self.method = "HEAD" if case.octets.lstrip(b"\r\n").startswith(b"HEAD ") else "GET"
        self.status = self.body = self.parts = self.connection = None
        self.counters = []
        self.maybe_refused = None
        if case.is_partial:
            self.then = "waits"
            self.head_len = len(case.octets)
        elif case.refusal:
            self.status, reason = case.refusal
            self.connection = "close"
            self.then = "closed"
            self.counters = [reason]
        else:
            self.accept(tag)

    def accept(self, tag):
        """What this server makes of a request that is well-formed."""
        facts = self.case.facts
        if self.case.ranges or set(facts) & {"verdict", "range", "tags"}:
            # The corpus has preconditions for a file with the tag "abc".
            self.octets = re.sub(
                rb"(?im)^(if-[a-z-]+:)(.*)$",
                lambda m: m[1] + m[2].replace(b"abc", tag).replace(b"ABC", tag.upper()),
                self.octets)
        if self.case.ranges:
            self.octets = self.octets.replace(b" / ", b" %s " % octets(self.case.path), 1)
        r = Reading(self.octets)
        self.reading = r
        self.head_len = r.head_len
        is_persistent = r.is_persistent
        name = is_directory = None
        try:
            if r.path:
                name, is_directory = normalize(r.path)
            self.status = self.of_method(r)
        except BadPath as bad:
            # The path comes first: it is refused for any method.
            self.status = bad.args[0]
            self.counters.append(bad.args[1])
        if self.status is None:
            self.status, self.body = self.of_file(name, is_directory)
            if self.status == 200:
                verdict = facts.get("verdict", "proceed")
                self.status = {"proceed": 200, "not_modified": 304, "failed": 412}[verdict]
                if verdict != "proceed":
                    self.body = b"" if verdict == "not_modified" else None
                elif self.case.ranges:
                    self.select(self.case.ranges[1])
                elif r.values(b"range") and facts["range"] == "yes":
                    assert r.values(b"range") == [b"bytes=0-1"]
                    self.status, self.body = 206, self.body[:2]
        if self.method == "HEAD":
            self.body = b""
        # A body that the client may not send, or that isn't wanted any more, ends the connection.
        if r.body != "none" and (self.status in (413, 417, 501) or r.body_len > BODY_LIMIT
                                 or r.expect != "nothing"):
            is_persistent = False
        self.connection = "close" if not is_persistent else "keep-alive" if r.version == "1.0" else None
        drain = facts.get("drain", "/")
        if "/" in drain and "drain" in facts:
            # The request is answered before its body is read, unless what is wrong is there
            # already when the head is: then it is refused.
            self.then = "closed"
            status, reason = drain.split("/")
            if is_persistent:
                self.counters.append(reason)
            self.maybe_refused = int(status), reason
        elif r.drain() is not None:
            # What follows in the case is another message: ours takes its place.
            self.octets = self.octets[:r.head_len + r.drain()]
            self.then = "second" if is_persistent else "closed"
        else:
            self.then = "waits" if is_persistent else "closed"

    def of_method(self, r):
        """The status, if it doesn't depend on the file."""
        if r.method == b"OPTIONS":
            return 204
        if r.method not in (b"GET", b"HEAD"):
            return 405 if r.method in METHODS else 501
        if r.expect == "unknown":
            return 417
        return 413 if r.body_len > BODY_LIMIT else None

    def select(self, ranges):
        """What is sent of the content."""
        if ranges == "unsatisfiable":
            self.status, self.body = 416, None
        elif ranges != "whole":
            parts = [tuple(map(int, part.split("-"))) for part in ranges.split(",")]
            contents = [self.body[first:last + 1] for first, last in parts]
            self.status, self.body = 206, contents[0]
            if len(parts) > 1:
                fields = [b"bytes %d-%d/%d" % (*part, self.case.ranges[0]) for part in parts]
                self.body, self.parts = None, list(zip(fields, contents))

    def of_file(self, name, is_directory):
        """Status and content for a GET of a name."""
        path = os.path.join(docroot, name)
        if os.path.isdir(path) and not is_directory:
            return 301, None
        if is_directory:
            path = os.path.join(path, b"index.html")
        try:
            with open(path, "rb") as file:
                return 200, file.read()
        except OSError:
            return (403, None) if os.path.isdir(os.path.dirname(path)) and is_directory else (404, None)


def make_files(all_cases):
    """A file for each name that is asked for, where a file can have it."""
    put("index.html", b"index\n")
    put("second", SECOND_BODY)
    for length in {case.ranges[0] for case in all_cases if case.ranges}:
        put("of/%d" % length, b"".join(b"%07d\n" % i for i in range(length // 8 + 1))[:length])
    wanted = set()
    for case in all_cases:
        if not case.refusal and not case.is_partial:
            r = Reading(case.octets)
            try:
                if r.path and r.method in (b"GET", b"HEAD"):
                    wanted.add(normalize(r.path))
            except BadPath:
                pass
    # Those below others first, so that a name is that of a directory if it is both.
    for name, is_directory in sorted(wanted, key=lambda w: -w[0].count(b"/")):
        name += b"/index.html" if is_directory else b""
        path = os.path.join(docroot, name.lstrip(b"/"))
        try:
            if not os.path.exists(path):
                put(name.lstrip(b"/"), b"content of " + name)
        except OSError:
            pass  # The name is too long for a file.


# ---- sending and comparing

heads = {}


class Client(Connection):
    """A connection that costs little; heads that were seen before are not parsed again."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        # Patience without a system call before each other.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", patience, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.connect(("127.0.0.1", port))
        self.unread = bytearray()

    def reply(self, method):
        while True:
            end = self.unread.find(b"\r\n\r\n")
            if end >= 0:
                break
            if not self.more():
                if self.unread:
                    raise Malformed(self.unread)
                return None
        head = bytes(self.unread[:end])
        del self.unread[:end + 4]
        known = heads.get(head)
        if known is None:
            r = Response(head)
            length = r.get("Content-Length")
            known = heads[head] = r.status, r.get("Connection"), int(length) if length else 0
        status, connection, length = known
        if method == "HEAD" or status in (204, 304):
            length = 0
        while len(self.unread) < length:
            if not self.more():
                raise Malformed("%d octets of %d" % (len(self.unread), length))
        body = bytes(self.unread[:length])
        del self.unread[:length]
        return status, connection, body


def parts_of(body):
    """Content-Range and content of each part of a multipart, without octets before or behind."""
    delimiter = body.partition(b"\r\n")[0]
    first, *pieces = (b"\r\n" + body).split(b"\r\n" + delimiter)
    if first or not delimiter.startswith(b"--") or pieces.pop() != b"--\r\n":
        raise Malformed(body)
    parts = []
    for piece in pieces:
        fields, _, content = piece.partition(b"\r\n\r\n")
        fields = dict(line.split(b": ", 1) for line in fields.split(b"\r\n")[1:])
        parts.append((fields[b"Content-Range"], content))
    return parts


def tail(outcome):
    """What is sent behind a case."""
    # What follows a refusal, or a body that is refused, must not be answered.
    return b"" if outcome.then == "waits" or (
        outcome.then == "closed" and outcome.case.facts and outcome.maybe_refused is None
        and outcome.reading.drain() is None) else SECOND


def judge(client, outcome, whole=True):
    """Reads what comes back. Returns what is wrong, if anything is, and the counters that go up.

    Of a body that is refused, whole says that all of it was there with the head; of a long one
    the server doesn't look at all at once."""
    counters = outcome.counters
    whole = whole and len(outcome.octets) <= 8000
    if outcome.status is not None:
        got = client.reply(outcome.method)
        if got is None:
            return "closed without an answer", counters
        status, connection, body = got
        refused = outcome.maybe_refused
        if refused and status == refused[0] and connection == "close" and status != outcome.status:
            counters = [refused[1]]
        elif refused and whole:
            return "%r, not %r" % (got, refused), counters
        elif (status, connection) != (outcome.status, outcome.connection):
            return "%r, not %r" % (got, (outcome.status, outcome.connection)), counters
        elif outcome.body is not None and body != outcome.body:
            return "content %r, not %r" % (body, outcome.body), counters
        elif outcome.parts and parts_of(body) != outcome.parts:
            return "content %r, not %r" % (body, outcome.parts), counters
    if outcome.then == "second":
        got = client.reply("GET")
        if got != (200, None, SECOND_BODY):
            return "behind it %r" % (got,), counters
        return None, counters
    if outcome.then == "waits":
        client.half_close()
    end = client.end()
    return None if end == "closed" else "it ends: %r" % (end,), counters


class Probe:
    """A connection to find out what the worker of this processor has looked at."""

    def __init__(self):
        self.client = Connection()

    def wait(self):
        """Waits until all that this process has sent has been looked at."""
        self.client.send(b"HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        got = b""
        while not got.endswith(b"\r\n\r\n"):
            got += self.client.socket.recv(4096)


class Tally:
    """What went wrong, and what is to be counted."""

    def __init__(self):
        self.wrong = []
        self.counters = {}
        self.sent = 0

    def add(self, title, wrong, counters):
        self.sent += 1
        if wrong:
            self.wrong.append("%s: %s" % (title, wrong))
        for name in counters:
            self.counters[name] = self.counters.get(name, 0) + 1

    def merge(self, other):
        self.wrong += other.wrong
        self.sent += other.sent
        for name, count in other.counters.items():
            self.counters[name] = self.counters.get(name, 0) + count


def bad_requests():
    return {n[12:]: v for n, v in stat().items() if n.startswith("bad_request_")}


def on_each_processor(run, items):
    """Runs run(items, tally) for every share of the items, on a processor of its own."""
    processors = sorted(os.sched_getaffinity(0))
    children = []
    for n, processor in enumerate(processors):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.sched_setaffinity(0, {processor})
            # The worker runs when this process waits, not whenever it sends.
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
            tally = Tally()
            try:
                run(items[n::len(processors)], tally)
            except Exception as error:  # also what a broken server makes of a client
                tally.wrong.append("%s on processor %d: %r" % (run.__name__, processor, error))
            with os.fdopen(writer, "wb") as pipe:
                pickle.dump(tally, pipe)
            os._exit(0)
        os.close(writer)
        children.append((child, reader))
    whole = Tally()
    for child, reader in children:
        with os.fdopen(reader, "rb") as pipe:
            whole.merge(pickle.load(pipe))
        os.waitpid(child, 0)
    return whole


def run_whole(outcomes):
    """Each case in one piece, one after the other; each is counted as it should be."""
    tallies = {}
    before = bad_requests()
    for o in outcomes:
        tally = tallies.setdefault(o.case.file, Tally())
        with Client() as client:
            client.send(o.octets + tail(o))
            try:
                wrong, counters = judge(client, o)
            except (OSError, Malformed) as error:
                wrong, counters = repr(error), []
        after = bad_requests()
        grown = sorted(name for name in after for _ in range(after[name] - before[name]))
        before = after
        if not wrong and grown != sorted(counters):
            wrong = "counted %r, not %r" % (grown, counters)
        tally.add(o.case.title, wrong, [])
    for file, tally in tallies.items():
        is_("whole: %s, %d cases" % (file, tally.sent), tally.wrong, [])


def run_cuts(items, tally):
    """Items are outcomes and where their octets are cut in two."""
    probe = Probe()
    probe.wait()
    width = 128
    slots = [None] * width
    for at in range(0, len(items), width):
        batch = list(enumerate(items[at:at + width]))
        for n, (o, cut) in batch:
            slots[n] = slots[n] or Client()
            slots[n].send(o.octets[:cut])
        probe.wait()
        poll = select.poll()
        for n, (o, cut) in batch:
            if o.head_len and cut < o.head_len:
                poll.register(slots[n].socket, select.POLLIN)
        answered = {descriptor for descriptor, _ in poll.poll(0)}
        for n, (o, cut) in batch:
            slots[n].send(o.octets[cut:] + tail(o))
        probe.wait()
        for n, (o, cut) in batch:
            client = slots[n]
            try:
                wrong, counters = judge(client, o, o.maybe_refused and cut < o.head_len)
            except (OSError, Malformed) as error:
                wrong, counters = repr(error), []
            if client.socket.fileno() in answered:
                wrong = "something came before the head was whole"
            tally.add("%s, cut at %d" % (o.case.title, cut), wrong, counters)
            if wrong or o.then != "second":
                client.close()
                slots[n] = None


def run_octets(items, tally):
    """Items are outcomes and all places where their octets are cut; many at a time."""
    probe = Probe()
    probe.wait()
    items = sorted(items, key=lambda item: len(item[1]))
    clients = [(o, cuts, Client()) for o, cuts in items]
    step = 0
    early = set()
    while clients:
        for o, cuts, client in clients:
            client.send(o.octets[cuts[step - 1] if step else 0:cuts[step]])
        probe.wait()
        step += 1
        done = [(o, client) for o, cuts, client in clients if len(cuts) == step]
        clients = clients[len(done):]
        if step % 16 == 0:
            for o, cuts, client in clients:
                if o.head_len and cuts[step - 1] < o.head_len and not client.is_open(0):
                    early.add(o)
        for o, client in done:
            client.send(tail(o))
        for o, client in done:
            try:
                wrong, counters = judge(client, o, False)
            except (OSError, Malformed) as error:
                wrong, counters = repr(error), []
            if o in early:
                wrong = "something came before the head was whole"
            tally.add("%s, octet by octet" % o.case.title, wrong, counters)
            client.close()


def run_timeouts(outcomes):
    """What isn't whole, and stays so, ends by itself: a head with 408, a body without a word."""
    waiting = [o for o in outcomes if o.then == "waits"]
    wrong = undisturbed(lambda: time_out(waiting), lambda wrong: not wrong)
    is_("time-out: %d cases that are not whole" % len(waiting), wrong, [])


def time_out(outcomes):
    """What is wrong when the time is over."""
    clients = []
    for o in outcomes:
        client = Client()
        client.send(o.octets)
        clients.append((o, client))
    wrong = []
    for o, client in clients:
        got = client.reply(o.method)
        if not got or got[:2] != ((408, "close") if o.status is None else (o.status, o.connection)):
            wrong.append("%s: %r" % (o.case.title, got))
        end = client.end()
        if end != "closed":
            wrong.append("%s ends: %r" % (o.case.title, end))
        client.close()
    return wrong


def cuts_of(outcome, stride):
    """Where to cut: behind every octet, but in the middle of long cases behind each of stride."""
    length = len(outcome.octets)
    if length <= 300:
        return range(1, length + 1)
    ends = set(range(1, 100)) | set(range(length - 50, length + 1))
    return sorted(ends | set(range(1, length, stride)))


def report(name, tally, before):
    after = bad_requests()
    is_("%s: %d of them" % (name, tally.sent), tally.wrong[:20], [])
    grown = {n: after[n] - before[n] for n in after if after[n] != before[n]}
    is_("%s: each refusal is counted once" % name, grown, tally.counters)


def main(phase, stride=1):
    all_cases = cases()
    true("the corpus is there", len(all_cases) >= 500, len(all_cases))
    make_files(all_cases)
    # Tags with letters in them: one of the cases has its tag in capitals.
    while True:
        put("index.html", b"index\n")
        for folder, _, files in os.walk(docroot):
            for file in files:
                os.utime(os.path.join(folder, file), (MODIFIED, MODIFIED))
        tags = {path: ask(path).get("ETag")[1:-1].encode() for path in {case.path for case in all_cases}}
        if all(tag.upper() != tag for tag in tags.values()):
            break
    outcomes = [Outcome(case, tags[case.path]) for case in all_cases]
    started = time.monotonic()
    before = bad_requests()
    if phase == "whole":
        wrong = []
        for o in outcomes:
            if o.case.facts:
                r = Reading(o.case.octets)
                got = r.facts(o.case.facts)
                wrong += ["%s: %s=%s" % (o.case.title, key, got[key]) for key in got
                          if o.case.facts.get(key, got[key]) != got[key]]
        is_("the corpus and this client read alike", wrong, [])
        # What Probe relies on.
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        probe = Probe()
        crowd = [Client() for _ in range(100)]
        for client in crowd:
            client.send(SECOND)
        probe.wait()
        is_("what was sent before a probe was looked at before its answer",
            [client.is_open(0) for client in crowd].count(True), 0)
        run_whole(outcomes)
    elif phase == "cut":
        items = [(o, cut) for o in outcomes for cut in cuts_of(o, stride)]
        tally = on_each_processor(run_cuts, items)
        report("cut in two", tally, before)
    elif phase == "octets":
        items = [(o, cuts_of(o, stride)) for o in outcomes]
        tally = on_each_processor(run_octets, items)
        report("octet by octet", tally, before)
    elif phase == "timeouts":
        run_timeouts(outcomes)
    print("# %s: %.1f s" % (phase, time.monotonic() - started), flush=True)
