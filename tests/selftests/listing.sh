#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Listings of directories without an index: what is in them, as HTML and as
# JSON, and what is not.

. "$(dirname "$0")/lib.sh"

load

cat >"$tmp/listing.py" <<'END_OF_PYTHON'
import html.parser
import json
import stat as modes
from datetime import datetime, timezone
from http_client import *
from urllib.parse import quote, unquote_to_bytes, urljoin

HTML = "text/html; charset=utf-8"
JSON = "application/json"


class Table(html.parser.HTMLParser):
    """The rows of a listing: pairs of tag and text, and the attributes of links and times."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.text, self.tags, self.title, self.heading = [], {}, set(), "", ""
        self.where = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        if tag not in ("meta", "link", "br"):
            self.where.append(tag)
        if tag == "tr":
            self.rows.append({"cells": []})
        elif tag == "td":
            self.rows[-1]["cells"].append("")
        elif tag in ("a", "time"):
            self.rows[-1][tag] = dict(attributes)

    def handle_endtag(self, tag):
        if not self.where or self.where.pop() != tag:
            raise Malformed("</%s> in %r" % (tag, self.where))

    def handle_data(self, data):
        if "td" in self.where:
            self.rows[-1]["cells"][-1] += data
        elif "title" in self.where:
            self.title += data
        elif "h1" in self.where:
            self.heading += data


def list_html(target, *fields):
    r = ask(target, *fields)
    if r.status != 200 or r.get("Content-Type") != HTML:
        raise Malformed("%s: %r" % (target, r))
    return Table(r.body.decode("utf-8"))


def list_json(target):
    r = ask(target, "Accept: application/json")
    if r.status != 200 or r.get("Content-Type") != JSON:
        raise Malformed("%s: %r" % (target, r))
    return json.loads(r.body.decode("utf-8"))


def as_html(name):
    """A name as a document can have it."""
    text = name.decode("utf-8", "replace")
    return "".join("\ufffd" if c < " " or "\x7f" <= c <= "\x9f" else c for c in text)


def as_size(size):
    """A size for people, rounded down."""
    if size < 1024:
        return "%d B" % size
    for unit in "KMGTPE":
        if size < 1024 * 1024:
            whole = size // 1024
            return ("%d.%d %siB" % (whole, size % 1024 * 10 // 1024, unit)) if whole < 10 else "%d %siB" % (whole, unit)
        size //= 1024


def as_time(seconds):
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def in_directory(name, hides=False):
    """What a listing of that directory must have: (is a file, name, size, time), in order."""
    found = []
    path = os.path.join(docroot, octets(name))
    for entry in os.listdir(path):
        try:
            status = os.stat(os.path.join(path, entry))
        except OSError:
            continue
        is_file = modes.S_ISREG(status.st_mode)
        if entry.startswith(b".") or not (is_file or modes.S_ISDIR(status.st_mode)):
            continue
        if hides and not status.st_mode & (0o004 if is_file else 0o001):
            continue
        found.append((is_file, entry, status.st_size, int(status.st_mtime_ns // 10**9)))
    return sorted(found)


def href(is_file, name):
    return "./" + quote(name, safe="") + ("" if is_file else "/")


def compare(what, name, wanted=None, hides=False, root=False):
    """Both listings of a directory have what is in it."""
    wanted = in_directory(name, hides) if wanted is None else wanted
    target = "/" + "".join(quote(part, safe="") + "/" for part in octets(name).split(b"/") if part)
    table = list_html(target)
    rows = [(row["a"]["href"], row["cells"], row["time"]["datetime"]) for row in table.rows if "time" in row]
    is_("%s, HTML" % what, rows, [
        (href(f, n), [as_html(n) + ("" if f else "/"), as_size(s) if f else "",
                      as_time(t)[:16].replace("T", " ")], as_time(t)) for f, n, s, t in wanted])
    parents = [row["a"]["href"] for row in table.rows if "a" in row and "time" not in row]
    is_("%s, HTML, its parent" % what, parents, [] if root else ["../"])
    document = list_json(target)
    is_("%s, JSON" % what, document["entries"], [
        dict([("name", n.decode("utf-8", "replace")), ("href", href(f, n)), ("type", "file" if f else "directory"),
              ("modified", as_time(t))] + ([("size", s)] if f else [])) for f, n, s, t in wanted])
    is_("%s, JSON, the rest" % what, (document.get("path"), document.get("parent"), "truncated" in document),
        ("/" + "".join(p.decode("utf-8", "replace") + "/" for p in octets(name).split(b"/") if p),
         None if root else "../", False))
    return table, document


def follow(what, target, document, wanted):
    """Each reference leads to an answer; of a file, to the file."""
    wrong = []
    for entry in document["entries"]:
        there = urljoin("http://localhost" + target, entry["href"])[len("http://localhost"):]
        r = ask(there)
        if r.status != 200 or entry["type"] == "file" and not wanted(there, entry, r):
            wrong.append((there, r))
    is_(what, wrong, [])
END_OF_PYTHON
python_checks <<'END_OF_PYTHON'
import os
import sys
sys.path.insert(0, os.environ["tmp"])
from listing import *

# ---- switched off

put("plain/a.txt", "a")
put("with/index.html", "the index")
put("with/other.txt", "x")
is_("it is off unless switched on", sysctl("http_dir_indexing"), "0\n")
is_("switched off", [ask("/plain/").status, ask("/plain/", "Accept: application/json").status], [403, 403])
is_("it is switched on", sysctl("http_dir_indexing", "1"), 0)
is_("all is shown", sysctl("hide_unreadable", "0"), 0)

# ---- fields

r = ask("/plain/")
is_("HTML", (r.status, r.get("Content-Type"), r.get("Vary"), r.get("Content-Length")), (200, HTML, "Accept", str(len(r.body))))
is_("no validators", [r.get(name) for name in ("ETag", "Last-Modified", "Accept-Ranges", "Content-Encoding")], [None] * 4)
j = ask("/plain/", "Accept: application/json")
is_("JSON", (j.status, j.get("Content-Type"), j.get("Vary"), j.get("Content-Length")), (200, JSON, "Accept", str(len(j.body))))
is_("no validators with JSON", [j.get(name) for name in ("ETag", "Last-Modified", "Accept-Ranges")], [None] * 3)
for name, fields, got in ("HTML", (), r), ("JSON", ("Accept: application/json",), j):
    h = ask("/plain/", *fields, method="HEAD")
    without_date = [[pair for pair in response.fields if pair[0] != "Date"] for response in (h, got)]
    is_("HEAD, %s" % name, (h.status, h.body, without_date[0]), (200, b"", without_date[1]))
for accept, wanted in (
        ("*/*", HTML), ("text/html", HTML), ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", HTML),
        ("application/json, text/html", HTML), ("application/json, text/html;q=0.9", JSON), ("application/*", JSON),
        ("application/json;q=0.1", JSON), ("application/json;q=0, */*", HTML), ("text/plain", HTML), ("image/*, application/json;q=0.2", JSON),
        ("APPLICATION/JSON", JSON), ("", HTML)):
    is_("Accept: %s" % accept, ask("/plain/", "Accept: " + accept).get("Content-Type"), wanted)
is_("ranges are not served", (lambda r: (r.status, r.get("Content-Range")))(ask("/plain/", "Range: bytes=0-1")), (200, None))
for field, wanted in (
        ('If-Match: "x"', 412), ('If-Match: ""', 412), ("If-Match: *", 200), ('If-None-Match: "x"', 200), ("If-None-Match: *", 304),
        ("If-Modified-Since: Tue, 01 Jan 2199 00:00:00 GMT", 200), ("If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT", 200)):
    is_(field, [ask("/plain/", field, method=m).status for m in ("GET", "HEAD")], [wanted] * 2)
r304 = ask("/plain/", "If-None-Match: *")
is_("304 has what the 200 has", (r304.get("Vary"), r304.get("Content-Type"), r304.get("Content-Length")), ("Accept", None, None))
is_("a query is ignored", ask("/plain/?C=M;O=D").status, 200)
is_("methods", [ask("/plain/", method=m).status for m in ("POST", "OPTIONS", "DELETE")], [405, 204, 405])
with Connection() as c:
    c.send(request("/plain/") + request("/plain/a.txt") + request("/plain/", "Accept: application/json") + request("/plain/", method="HEAD") + request("/plain/a.txt"))
    got = [c.response(method).body for method in ("GET", "GET", "GET", "HEAD", "GET")]
    is_("several on a connection", got, [r.body, b"a", j.body, b"", b"a"])

# ---- not listed

is_("an index comes first", (ask("/with/").body, ask("/with/", "Accept: application/json").body), (b"the index",) * 2)
os.chmod(put("locked/index.html", "x"), 0o600)
is_("an index that is not for others", ask("/locked/").status, 403)
is_("nothing there", [ask("/nothing/").status, ask("/plain/a.txt/").status], [404, 404])
r = ask("/plain")
is_("without its slash", (r.status, r.get("Location")), (301, "/plain/"))
put("closed/sub/a.txt", "a")
for mode in 0o700, 0o711, 0o750, 0o733:
    os.chmod(os.path.join(docroot, b"closed"), mode)
    is_("a directory of mode %o" % mode, ask("/closed/").status, 403)
is_("one in it that may be reached", (os.chmod(os.path.join(docroot, b"closed"), 0o711), ask("/closed/sub/").status)[1], 200)
os.chmod(os.path.join(docroot, b"closed"), 0o755)
is_("when it may be read again", ask("/closed/").status, 200)

# ---- names

names = [
    "with space", " ", "per%cent", "%41", "%2e%2e", "que?ry", "ha#sh", "plus+", "semi;colon", "a&b=c", "&lt;", "&amp", "quote\"'", "'", "\"",
    "<script>alert(1)<", "<", ">", "a</a>".replace("/", "\u2215"), "new\nline", "\r\n", "tab\t", "back\\slash", "\\u0041", "bell\x07", "\x01", "\x1f", "\x7f",
    "\u0085", "\u2028", "\u202e", "ünïcödé", "日本語.txt", "🦀.html", "-", "--version", "-rf", "~tilde", "a...", "trailing.",
    "a" * 255, "é" * 127, "\"" * 255, "<" * 255, "&" * 255, b"\xff" * 255, b"\xff\xfe", b"\x80", b"caf\xe9", b"\xed\xa0\x80", b"\xf0\x9f\xa6", "con", "a:b",
    "javascript:alert(1)", "http:", "[x]", "{}", "]}", "null", "A", "B", "a", "b", "Z", "z", "10", "9",
]
contents = {}
for name in names:
    contents[octets(name)] = b"content of " + octets(name)
    put(b"names/" + octets(name), contents[octets(name)])
for name in "dir", "a dir", "ü dir", "<dir>", "d\"ir", "Z dir", b"\xff dir":
    put(b"names/" + octets(name) + b"/index.html", "index")
table, document = compare("names of all kinds", "names")
is_("all of them", len(document["entries"]), len(set(map(octets, names))) + 7)
is_("nothing of a name is markup", table.tags, {
    "html", "head", "meta", "title", "style", "body", "h1", "bdi", "table", "thead", "tr", "th", "tbody", "td", "a", "time"})
follow("each reference leads to its file", "/names/", document,
       lambda there, entry, r: r.body == contents[unquote_to_bytes(entry["href"])[2:]])
deep = b"deep/<b>&\"' %41/\xff\n\xc3\xbc/?#:"
put(deep + b"/f", "x")
table, document = compare("below names of all kinds", deep)
is_("its title and heading", (table.title, table.heading), ("Index of /" + as_html(deep) + "/",) * 2)
follow("below them", "/" + quote(deep) + "/", document, lambda there, entry, r: r.body == b"x")
long = "/".join(["d" * 250] * 15)
put(long + "/f", "x")
compare("a long path", long)

# ---- sizes and dates

for size in 0, 1, 1023, 1024, 1126, 1127, 10239, 10240, 102400, 1048575, 1048576, 1572864:
    put("sizes/%d" % size, b"x" * size)
for name, size in ("sparse", 5 << 40), ("odd", (1 << 31) + 1):
    os.truncate(put("sizes/" + name, ""), size)
compare("sizes", "sizes")
for time in 784111777, 0, -1, 951827696, 4102444800, 1, 2**31, 1234567890.999999:
    os.utime(put("dates/%s" % time, ""), (time, time))
os.mkdir(os.path.join(docroot, b"dates/dir"))
os.utime(os.path.join(docroot, b"dates/dir"), (784111777, 784111777))
compare("dates", "dates")

# ---- what is left out

for name in ".hidden", ".htpasswd", "...", "..a", "shown":
    put("hidden/" + name, "x")
put("hidden/.git/config", "x")
compare("hidden files", "hidden")
is_("only one is shown", [entry["name"] for entry in list_json("/hidden/")["entries"]], ["shown"])
here = os.getcwd()
os.makedirs(os.path.join(docroot, b"kinds/dir"))
os.chdir(os.path.join(docroot, b"kinds"))
put("kinds/file", "x")
os.mkfifo("fifo", 0o666)
os.mknod("null", 0o020666, os.makedev(1, 3))
os.mknod("disk", 0o060666, os.makedev(7, 0))
s = socket.socket(socket.AF_UNIX)
s.bind("socket")
os.chmod("socket", 0o666)
for target, name in (("file", "link"), ("dir", "link to dir"), ("../plain/a.txt", "up"), ("..", "parent"), ("/plain", "rooted"), (".", "self"),
                     ("loop", "loop"), ("nothing", "dangling"), ("fifo", "to fifo"), ("/etc/passwd", "out"), ("../../outside", "out too"),
                     ("/proc/self/exe", "proc"), ("/dev/null", "to null"), ("file", ".hidden link")):
    os.symlink(target, name)
with open(os.path.join(docroot, b"../outside"), "w") as file:
    file.write("outside")
os.chdir(here)
is_("links lead to what is below the root, the rest is left out", [(e["name"], e["type"]) for e in list_json("/kinds/")["entries"]], [
    ("dir", "directory"), ("link to dir", "directory"), ("parent", "directory"), ("rooted", "directory"), ("self", "directory"),
    ("file", "file"), ("link", "file"), ("up", "file")])
follow("each of them can be asked for", "/kinds/", list_json("/kinds/"), lambda *_: True)

put("modes/readable", "x")
put("modes/unreadable", "x", 0o600)
put("modes/group", "x", 0o660)
put("modes/write only", "x", 0o622)
for name, mode in ("open", 0o755), ("pass", 0o711), ("barred", 0o700), ("list", 0o744):
    put("modes/%s/index.html" % name, "x")
    os.chmod(os.path.join(docroot, b"modes", name.encode()), mode)
os.symlink("barred/index.html", os.path.join(docroot, b"modes/link into barred"))
wanted = [entry for entry in in_directory("modes") if entry[1] != b"link into barred"]
compare("unreadable ones are shown", "modes", wanted)
sysctl("hide_unreadable", "1")
compare("or hidden", "modes", [entry for entry in in_directory("modes", hides=True) if entry[1] != b"link into barred"])
is_("what is left", [entry["name"] for entry in list_json("/modes/")["entries"]], ["open", "pass", "readable"])
follow("all that is left can be asked for", "/modes/", list_json("/modes/"), lambda *_: True)

END_OF_PYTHON

python_checks <<'END_OF_PYTHON'
import os
import sys
sys.path.insert(0, os.environ["tmp"])
from listing import *
import threading

# ---- few and many

os.mkdir(os.path.join(docroot, b"empty"))
os.chmod(os.path.join(docroot, b"empty"), 0o755)
compare("an empty directory", "empty", [])
compare("the root", "", root=True)

for i in range(3000):
    put("many/%s%d" % ("fa"[i % 2], i), b"x" * (i % 7))
compare("3000 files", "many")

many = os.path.join(docroot, b"limit")
os.mkdir(many)
os.chmod(many, 0o755)
for i in range(10000):
    os.close(os.open(os.path.join(many, b"%d" % i), os.O_CREAT, 0o644))
document = list_json("/limit/")
is_("10000 files are all", (len(document["entries"]), "truncated" in document), (10000, False))
true("of which HTML has no note", b"more entries" not in ask("/limit/").body)
for i in range(100):
    os.close(os.open(os.path.join(many, b".%d" % i), os.O_CREAT, 0o644))
document = list_json("/limit/")
is_("hidden ones do not count", (len(document["entries"]), "truncated" in document), (10000, False))
put("limit/x", "")
document = list_json("/limit/")
is_("of more, 10000", (len(document["entries"]), document.get("truncated")), (10000, True))
is_("in order", document["entries"], sorted(document["entries"], key=lambda entry: octets(entry["name"])))
r = ask("/limit/")
is_("HTML says so", (len([row for row in Table(r.body.decode()).rows if "time" in row]), b"There are more entries" in r.body), (10000, True))
for i in range(3500):
    put(b"large/%05d" % i + b"\xff" * 250, "")
r = ask("/large/")
rows = [row for row in Table(r.body.decode()).rows if "time" in row]
true("no listing is longer than 4 MiB", 4 << 20 >= len(r.body) > (4 << 20) - 5000 and b"There are more entries" in r.body and r.body.endswith(b"</html>\n"),
     len(r.body), len(rows))
is_("it begins with the first", [row["a"]["href"][2:7] for row in rows], ["%05d" % i for i in range(len(rows))])

def send_buffers(sizes):
    """Sets those of the connections to come, and returns what they were."""
    with open("/proc/sys/net/ipv4/tcp_wmem", "r+") as file:
        before = file.read()
        file.seek(0)
        file.write(sizes)
    return before

# Of 4 MiB each, no more are kept for those who do not read than fit into 64 MiB, but for what fits
# into their send buffers. The checking kernel is too slow to write so much. A client that waits for
# the others must not be given up.
def too_many():
    before = {name: sysctl(name) for name in ("send_timeout", "min_send_rate")}
    is_("clients may be slow", [sysctl("send_timeout", "3600"), sysctl("min_send_rate", "0")], [0, 0])
    sizes = send_buffers("4096 16384 65536")
    waiting = [Connection(receive_buffer=4096) for _ in range(30)]
    for c in waiting:
        c.send(request("/large/"))
    beginnings = [c.socket.recv(12) for c in waiting]
    for name, value in before.items():
        sysctl(name, value)
    is_("some clients get a listing, the rest is told to come again", set(beginnings), {b"HTTP/1.1 200", b"HTTP/1.1 503"})
    true("not more than the memory for listings is for", 1 <= beginnings.count(b"HTTP/1.1 200") <= 18, beginnings)
    send_buffers(sizes)
    is_("files are served", ask("/plain/a.txt").body, b"a")
    for c in waiting:
        c.close()
    true("the memory comes back", wait_until(lambda: ask("/large/").status == 200))

# What a client has read is given back, though it doesn't read on.
def read_on():
    sizes = send_buffers("4096 16384 65536")
    before = {name: sysctl(name) for name in ("send_timeout", "min_send_rate")}
    sysctl("send_timeout", "3600"), sysctl("min_send_rate", "0")
    # The last of them would be refused, if the first had all of theirs still.
    readers = []
    for _ in range(24):
        c = Connection(receive_buffer=65536)
        c.send(request("/large/"))
        c.got = b""
        while len(c.got) < 3 << 20:
            octets_ = c.socket.recv(1 << 20)
            if not octets_ or not (c.got + octets_).startswith(b"HTTP/1.1 200"):
                break
            c.got += octets_
        readers.append(c)
    is_("those who have read 3 MiB of 4 leave memory for others", [len(c.got) >= 3 << 20 for c in readers], [True] * 24)
    c = readers[0]
    while not c.got.endswith(b"</html>\n"):
        c.got += c.socket.recv(1 << 20)
    is_("one who reads on later gets all", c.got.partition(b"\r\n\r\n")[2], r.body)
    for c in readers:
        c.close()
    for name, value in before.items():
        sysctl(name, value)
    send_buffers(sizes)

# Nothing more is done for those who go away.
def go_away():
    began = time.monotonic()
    for _ in range(3):
        ask("/limit/")
    one = (time.monotonic() - began) / 3
    begun = [Connection() for _ in range(40)]
    for c in begun:
        c.send(request("/limit/"))
    true("many listings are begun", wait_until(lambda: stat()["storage_running"] >= 20), stat())
    for c in begun:
        c.reset()
    began = time.monotonic()
    of_none = lambda now: now["connections_open"] == now["storage_running"] == now["storage_waiting"] == 0
    true("those who have gone are forgotten", wait_until(lambda: of_none(stat()), 60), stat())
    return time.monotonic() - began, one

is_slow = os.environ.get("RUST_TUX_KERNEL") == "debug"
if not is_slow:
    too_many()
    read_on()
    took, one = undisturbed(go_away, lambda got: got[0] < 40 * got[1] / 4)
    true("before their listings would have been made", took < 40 * one / 4, took, one)
for i in range(2 if is_slow else 40):
    with Connection() as c:
        c.send(request("/limit/" if i % 2 else "/large/"))
true("also when clients go away", wait_until(lambda: ask("/large/").status == 200))

# ---- a directory that changes

for i in range(200):
    put("busy/stays%d" % i, "x")
enough = threading.Event()
def change():
    i = 0
    while not enough.is_set():
        path = put("busy/comes%d" % (i % 50), "x")
        os.rename(path, path + b" goes")
        os.unlink(path + b" goes")
        i += 1
changer = threading.Thread(target=change)
changer.start()
wrong = []
for i in range(40):
    entries = list_json("/busy/")["entries"]
    seen = [entry["name"] for entry in entries]
    if len(set(seen)) != len(seen) or len([name for name in seen if name.startswith("stays")]) != 200:
        wrong.append(seen)
enough.set()
changer.join()
is_("names that come and go", wrong, [])
END_OF_PYTHON

# ---- other file systems

# file_system NAME: lists $docroot/NAME, which has 500 files, a directory and a link.
file_system() {
	local i
	mkdir -p "$docroot/$1/dir" && chmod 755 "$docroot/$1" "$docroot/$1/dir"
	for i in {1..500}; do
		echo "$i" >"$docroot/$1/file $i"
	done
	ln -s "file 1" "$docroot/$1/link"
	name=$1 python_checks <<'END_OF_PYTHON'
import os, sys
sys.path.insert(0, os.environ["tmp"])
from listing import *
compare(os.environ["name"], os.environ["name"], hides=True)
is_("all of it", len([e for e in list_json("/%s/" % os.environ["name"])["entries"] if e["name"] != "lost+found"]), 502)
END_OF_PYTHON
}

sysctl_set http_dir_indexing 1
sysctl_set hide_unreadable 1
mkdir "$docroot/overlay" "$tmp/lower" "$tmp/upper" "$tmp/work"
chmod 755 "$tmp/lower" "$tmp/upper"
echo lower >"$tmp/lower/below"
if mount -t overlay -o "lowerdir=$tmp/lower,upperdir=$tmp/upper,workdir=$tmp/work" overlay "$docroot/overlay" 2>"$tmp/mount"; then
	at_exit umount "$docroot/overlay"
	rm "$docroot/overlay/below"
	file_system overlay
	isnt_like "what was deleted is not listed" "$(get /overlay/)" below
else
	skip "overlayfs" "$(tail -n 1 "$tmp/mount")"
fi
mkdir "$docroot/disk"
if [ -b "${RUST_TUX_SCRATCH:-}" ] && mkfs.ext4 -q -F "$RUST_TUX_SCRATCH" && mount "$RUST_TUX_SCRATCH" "$docroot/disk"; then
	at_exit umount "$docroot/disk"
	file_system disk
	sync
	echo 2 >/proc/sys/vm/drop_caches
	is "on a disk, cold" "$(get /disk/ -H 'Accept: application/json' | grep -o '"name"' | wc -l)" 502
	setfacl -m u:65534:--- "$docroot/disk/file 7"
	isnt_like "barred by an access control list" "$(get /disk/)" 'file%207"'
	sysctl_set hide_unreadable 0
	like "which is shown with the rest" "$(get /disk/)" 'file%207"'
else
	skip "ext4" "no scratch disk"
fi

sysctl_set http_dir_indexing 0
is "switched off again" "$(status /)" 403

done_testing
