#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What is kept of what was found before: how much of it there may be, and that the
# machine gets it back when it lacks memory, while requests go on.

. "$(dirname "$0")/lib.sh"

mkdir "$docroot/many"
for ((i = 0; i < 400; i++)); do
	echo "document $i" >"$docroot/many/$i.txt"
done
load

cat >"$tmp/cache.py" <<'END_OF_PYTHON'
from http_client import *

MANY = 400

def sysctl(name, value):
    with open("/proc/sys/net/http/" + name, "w") as file:
        file.write(value)

def ask(c, *numbers):
    """Whether each of them is answered as it should be."""
    are_right = True
    for number in numbers:
        c.send(request("/many/%d.txt" % number))
        response = c.response()
        are_right = are_right and (response.status, response.body) == (200, b"document %d\n" % number)
    return are_right

def fill(numbers=range(MANY)):
    """Asks for all of them until they are kept. What is answered in softirq was."""
    with Connection() as c:
        for _ in range(3):
            ask(c, *numbers)

def drop_caches():
    with open("/proc/sys/vm/drop_caches", "w") as file:
        file.write("2")

def kept():
    return stat()["cached_documents"]
END_OF_PYTHON

{
	cat "$tmp/cache.py"
	cat <<'END_OF_PYTHON'

# ---- the machine lacks memory

fill()
is_("what is found is kept", kept(), MANY)
each = stat()["cached_octets"] / MANY
print("# %d octets for each" % each)
true("in as much memory as is said", 1000 < each < 2048, each)
before = stat()
drop_caches()
true("the kernel gets it back", wait_until(lambda: kept() < 10, 5), stat())
def shrunk():
    return stat()["cache_shrunk"] - before["cache_shrunk"]

gone = before["cached_documents"] - kept()
true("which is counted", wait_until(lambda: shrunk() == gone, 5), shrunk(), gone)
with Connection() as c:
    is_("the same is answered then", ask(c, *range(MANY)), True)

# What is on a shelf goes, too: a file system is not busy because of it.
def open_files():
    with open("/proc/sys/fs/file-nr") as file:
        return int(file.read().split()[0])

fill()
full = open_files()
drop_caches()
true("files are closed", wait_until(lambda: open_files() < full - MANY // 2, 5), full, open_files())

# Requests go on meanwhile.
asking = []
for _ in range(4):
    pid = os.fork()
    if pid == 0:
        end = time.monotonic() + 4
        are_right = True
        times = 0
        while time.monotonic() < end or times == 0:
            times += 1
            with Connection() as c:
                are_right = ask(c, *range(MANY)) and are_right
        os._exit(not are_right)
    asking.append(pid)
end = time.monotonic() + 3
while time.monotonic() < end:
    drop_caches()
    time.sleep(0.02)
wrong = [os.waitpid(pid, 0)[1] for pid in asking]
is_("each request is answered while it goes again and again", wrong, [0] * 4)
END_OF_PYTHON
} >"$tmp/shrink.py"
python_checks <"$tmp/shrink.py"

# ---- how much there may be

{
	cat "$tmp/cache.py"
	cat <<'END_OF_PYTHON'

def sizes(*names):
    return [stat()[name] for name in names]

fill()
documents, memory = sizes("cached_documents", "cached_octets")
sysctl("max_cached_memory", str(memory // 2))
true("a limit of memory holds at once", wait_until(lambda: stat()["cached_octets"] <= memory // 2, 5), stat())
true("and no more goes than has to", kept() > documents // 2 - 10, kept())
before = stat()
fill()
true("and when more is asked for", stat()["cached_octets"] <= memory // 2, stat())
true("for which others make room", stat()["cache_evicted"] - before["cache_evicted"] > MANY // 4, stat())
sysctl("max_cached_memory", "100")
true("where one has no room, none is kept", wait_until(lambda: kept() == 0, 5), stat())
with Connection() as c:
    is_("and all is served", ask(c, *range(MANY)), True)
is_("nor does it begin to be", sizes("cached_documents", "cached_octets"), [0, 0])
sysctl("max_cached_memory", "0")
fill()
is_("0 is any number", kept(), MANY)
sysctl("max_cached_memory", "134217728")

# "document 9\n" has 11 octets, and 90 documents have one more.
sysctl("max_cached_filesize", "11")
true("longer files are kept no longer", wait_until(lambda: kept() == 10, 5), stat())
before = stat()
fill(range(20))
is_("nor are they again", kept(), 10)
after = stat()
true("and are asked for each time", after["cache_misses"] - before["cache_misses"] >= 30, before, after)
is_("nothing goes for them", after["cache_evicted"], before["cache_evicted"])
sysctl("max_cached_filesize", "12")
fill()
is_("the length itself is allowed", kept(), 100)
sysctl("max_cached_filesize", "0")
fill()
is_("0 is any length", kept(), MANY)
END_OF_PYTHON
} >"$tmp/limits.py"
python_checks <"$tmp/limits.py"

# ---- names that somebody has chosen

# They differ in the uppermost bit of eight octets and, in the next eight, in what a product by an odd
# number, and a shift by 29 bits, make of that: whatever the number is.
mkdir "$docroot/chosen"
echo one >"$docroot/chosen/aaaaaaaaaaaaaaaaa"
echo two >"$docroot/chosen/"$'aaaaaaaa\341aaaaeaa\341'
{
	cat "$tmp/cache.py"
	cat <<'END_OF_PYTHON'

before = kept()
with Connection() as c:
    got = []
    for _ in range(4):
        for name in ("/chosen/aaaaaaaaaaaaaaaaa", "/chosen/aaaaaaaa%e1aaaaeaa%e1"):
            c.send(request(name))
            got.append(c.response().body)
is_("those who ask for them get them", got, [b"one\n", b"two\n"] * 4)
is_("and both are kept", kept() - before, 2)
END_OF_PYTHON
} >"$tmp/chosen.py"
python_checks <"$tmp/chosen.py"

# ---- names that there are not, on tmpfs, which doesn't keep them in mind

mkdir "$docroot/way"
ln -s way "$docroot/way.link"
{
	cat "$tmp/cache.py"
	cat <<'END_OF_PYTHON'

def statuses(c, *paths):
    got = []
    for path in paths:
        c.send(request(path))
        got.append(c.response().status)
    return got

NAMES = ("/absent", "/way/absent", "/absent/absent", "/absent/", "/way/absent/deeper/", "/way.link/absent", "/many/1.txt/absent")
with Connection() as c:
    # The first to follow a link writes the time of that, and waits for it.
    statuses(c, "/way.link/absent")
    before = stat()
    is_("what there isn't is not found", statuses(c, *NAMES), [404] * len(NAMES))
    is_("by no work item", stat()["deferred_lookup"] - before["deferred_lookup"], 0)
    got = []
    for i in range(20):
        got += statuses(c, "/way/new%d" % i)
        put("way/new%d" % i, "new")
        got += statuses(c, "/way/new%d" % i)
        os.unlink(docroot + b"/way/new%d" % i)
        got += statuses(c, "/way/new%d" % i)
    is_("what is made is found, until it goes", got, [404, 200, 404] * 20)
    put("404.html", "page")
    c.send(request("/absent"))
    is_("nor is a page that there is now missed", c.response().body, b"page")
    os.unlink(docroot + b"/404.html")
    os.chmod(docroot + b"/way", 0o700)
    is_("where one may not look, that is said", statuses(c, "/way/absent"), [403])
    os.chmod(docroot + b"/way", 0o755)
END_OF_PYTHON
} >"$tmp/absent.py"
python_checks <"$tmp/absent.py"

# ---- the module goes meanwhile

(while :; do echo 2 >/proc/sys/vm/drop_caches; sleep 0.02; done) &
dropping=$!
at_exit kill $dropping
for ((i = 0; i < 4; i++)); do
	{ cat "$tmp/cache.py"; echo 'fill(range(100)); is_("kept in round '$i'", kept() <= 100, True)'; } >"$tmp/round.py"
	python_checks <"$tmp/round.py"
	sysctl_set stop 1
	sysctl_set start 1
	unload
	load
done
{ cat "$tmp/cache.py"; echo 'with Connection() as c: is_("it goes on", ask(c, *range(100)), True)'; } >"$tmp/round.py"
python_checks <"$tmp/round.py"
kill $dropping
wait $dropping 2>/dev/null

done_testing
