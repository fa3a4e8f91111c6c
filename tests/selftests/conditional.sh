#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Validators and preconditions: ETag, Last-Modified, 304 and 412.

. "$(dirname "$0")/lib.sh"

echo hello >"$docroot/a.txt"
echo hello >"$docroot/b.txt"
touch -d '2020-02-29 12:34:56.7 UTC' "$docroot/a.txt"
touch -d '1965-01-01 UTC' "$docroot/old.txt"
touch -d '2099-01-01 UTC' "$docroot/future.txt"
load

python_checks <<'END_OF_PYTHON'
from http_client import *
from email.utils import formatdate, parsedate_to_datetime

date = "Sat, 29 Feb 2020 12:34:56 GMT"
before = "Sat, 29 Feb 2020 12:34:55 GMT"
after = "Sat, 29 Feb 2020 12:34:57 GMT"

r = ask("/a.txt")
tag = r.get("ETag")
is_("Last-Modified", r.get("Last-Modified"), date)
true("ETag is a strong entity tag", tag and tag[0] == tag[-1] == '"' and len(tag) > 2 and '"' not in tag[1:-1] and " " not in tag, r)
is_("it stays", ask("/a.txt").get("ETag"), tag)
isnt("another file has another, with the same content", ask("/b.txt").get("ETag"), tag)
true("Date is now", abs(parsedate_to_datetime(r.get("Date")).timestamp() - time.time()) < 60, r)

weak = "W/" + tag
other = '"other"'
table = (
    # fields, status
    (["If-None-Match: " + tag], 304),
    (["If-None-Match: " + weak], 304),
    (["If-None-Match: *"], 304),
    (["If-None-Match: %s, %s" % (other, tag)], 304),
    (["If-None-Match: , %s ,,%s," % (other, weak)], 304),
    (["If-None-Match: " + other, "If-None-Match: " + tag], 304),
    (["If-None-Match: " + other], 200),
    (["If-None-Match: " + tag.strip('"')], 200),
    (["If-None-Match: " + tag[:-1]], 200),
    (["If-None-Match:"], 200),
    (["If-None-Match: \"*\""], 200),
    (["If-Modified-Since: " + date], 304),
    (["If-Modified-Since: " + after], 304),
    (["If-Modified-Since: " + before], 200),
    (["If-Modified-Since: Saturday, 29-Feb-20 12:34:56 GMT"], 304),
    (["If-Modified-Since: Sat Feb 29 12:34:56 2020"], 304),
    (["If-Modified-Since: Sat Feb 29 12:34:55 2020"], 200),
    (["If-Modified-Since: nonsense"], 200),
    (["If-Modified-Since: 1582979696"], 200),
    (["If-Modified-Since:"], 200),
    (["If-Modified-Since: " + date, "If-Modified-Since: " + date], 200),
    (["If-None-Match: " + other, "If-Modified-Since: " + date], 200),
    (["If-None-Match: " + tag, "If-Modified-Since: " + before], 304),
    (["If-Match: " + tag], 200),
    (["If-Match: *"], 200),
    (["If-Match: %s, %s" % (other, tag)], 200),
    (["If-Match: " + weak], 412),
    (["If-Match: " + other], 412),
    (["If-Match: nonsense"], 412),
    (["If-Unmodified-Since: " + date], 200),
    (["If-Unmodified-Since: " + after], 200),
    (["If-Unmodified-Since: " + before], 412),
    (["If-Unmodified-Since: nonsense"], 200),
    (["If-Match: " + tag, "If-Unmodified-Since: " + before], 200),
    (["If-Match: " + tag, "If-None-Match: " + tag], 304),
    (["If-Match: " + other, "If-None-Match: " + tag], 412),
    (["If-Unmodified-Since: " + before, "If-None-Match: " + tag], 412),
    (["if-none-match: " + tag], 304),
)
for method in "GET", "HEAD":
    with Connection() as c:
        for fields, status in table:
            c.send(request("/a.txt", *fields, method=method))
            r = c.response(method)
            if r.status != status:
                not_ok("%s %s: %d" % (method, fields, status), r)
                continue
            if status == 304:
                wrong = r.names() != ["Date", "ETag", "Server", "Vary"] or r.get("ETag") != tag
            elif status == 200:
                wrong = r.get("ETag") != tag or (method == "GET" and r.body != b"hello\n")
            else:
                wrong = r.get("Content-Type") != "text/html; charset=utf-8" or r.get("ETag") is not None
            true("%s %s: %d" % (method, fields, status), not wrong, r)

is_("If-None-Match: * does not hide that nothing is there", ask("/nothing", "If-None-Match: *").status, 404)
is_("nor If-Match", ask("/nothing", "If-Match: *").status, 404)
is_("a redirect is not conditional", ask("/../x", "If-Match: \"x\"").status, 400)
is_("OPTIONS is not conditional", ask("/a.txt", "If-Match: \"x\"", method="OPTIONS").status, 204)

is_("Last-Modified before 1970", ask("/old.txt").get("Last-Modified"), "Fri, 01 Jan 1965 00:00:00 GMT")
r = ask("/future.txt")
is_("Last-Modified is not in the future", parsedate_to_datetime(r.get("Last-Modified")) <= parsedate_to_datetime(r.get("Date")), True)
is_("a file from the future is sent", ask("/future.txt", "If-Modified-Since: " + r.get("Date")).status, 200)

# ---- ETag changes with the content, whatever the times say

path = os.path.join(docroot, b"b.txt")
def rewrite(content, how):
    if how == "in place":
        with open(path, "r+b") as file:
            file.write(content)
    elif how == "mapped":
        import mmap
        with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as map:
            map[:] = content
            map.flush()
    else:
        with open(path + b".new", "wb") as file:
            file.write(content)
        os.utime(path + b".new", ns=(0, 0))
        os.rename(path + b".new", path)
    os.utime(path, ns=(0, 0))

seen = []
how_many = 0
for round in range(30):
    how = ("in place", "renamed")[round % 2]
    content = b"text %04d\n" % round
    if round == 0:
        put("b.txt", content)
    rewrite(content, how)
    r = ask("/b.txt")
    if r.body != content or r.get("Last-Modified") != "Thu, 01 Jan 1970 00:00:00 GMT":
        not_ok("rewritten %s" % how, r)
    if r.get("ETag") not in seen:
        how_many += 1
    seen.append(r.get("ETag"))
is_("ETag changes with a rewrite of the same size and time", how_many, 30)
last = seen[-1]
is_("and the old ones do not match", ask("/b.txt", "If-None-Match: " + ", ".join(seen[:-1])).status, 200)
is_("and the new one does", ask("/b.txt", "If-None-Match: " + last).status, 304)
rewrite(b"text mmap\n", "mapped")
r = ask("/b.txt")
is_("a mapped write is seen", (r.body, r.get("ETag") != last), (b"text mmap\n", True))
END_OF_PYTHON

done_testing
