#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Precompressed siblings: a.txt.br, a.txt.zst and a.txt.gz are sent for a.txt to
# clients that accept their coding.

. "$(dirname "$0")/lib.sh"

load

python_checks <<'END_OF_PYTHON'
from http_client import *
import gzip

plain = b"".join(b"line %d\n" % i for i in range(2000))
# What is in a sibling doesn't matter to the server.
content = {None: plain, "gzip": gzip.compress(plain), "br": b"as if it were brotli", "zstd": b"as if it were zstd"}
suffix = {None: "", "gzip": ".gz", "br": ".br", "zstd": ".zst"}

def site(name, *codings):
    for coding in (None,) + codings:
        put(name + suffix[coding], content[coding])

def coding(target, accept, *fields, **more):
    """The coding of the response, which must have the octets of that sibling."""
    r = ask(target, *(() if accept is None else ("Accept-Encoding: " + accept,)), *fields, **more)
    found = r.get("Content-Encoding")
    if r.status != 200 or found not in content or r.body != content[found] or r.get("Content-Length") != str(len(r.body)):
        return r
    return found

site("all.txt", "gzip", "br", "zstd")
site("gz.txt", "gzip")
site("none.txt")
site("dir/index.html", "gzip", "br", "zstd")
site("index.html", "gzip")

# ---- which

for accept, wanted in (
        (None, None), ("", None), ("identity", None), ("gzip", "gzip"), ("br", "br"), ("zstd", "zstd"), ("GZip", "gzip"), ("x-gzip", "gzip"),
        ("gzip, deflate, br, zstd", "br"), ("gzip, zstd", "zstd"), ("deflate", None), ("compress, deflate;q=0.5", None),
        ("gzip;q=1.0, br;q=0.5", "gzip"), ("gzip;q=0.5, br;q=0.5", "br"), ("gzip;q=0.501, br;q=0.5, zstd;q=0.4", "gzip"), ("br;q=0, gzip", "gzip"),
        ("gzip;q=0", None), ("gzip;q=0.000", None), ("gzip;q=0.001", "gzip"), ("*", "br"), ("*;q=0", None), ("*, br;q=0", "zstd"), ("*;q=0.5, gzip", "gzip"),
        ("identity, gzip;q=0.5", None), ("identity;q=0.5, gzip", "gzip"), ("identity;q=0, gzip", "gzip"), ("identity;q=0", None), ("gzip;q=2", None),
        ("gzip;q=x, br", "br"), ("gzip ; q=0.5", "gzip"), ("br;q=0,br", None), (",,gzip,,", "gzip")):
    is_("Accept-Encoding: %s" % accept, coding("/all.txt", accept), wanted)
is_("two fields", coding("/all.txt", "gzip;q=0.5", "Accept-Encoding: zstd"), "zstd")
is_("one that isn't there", [coding("/gz.txt", a) for a in ("br", "br, gzip", "zstd;q=1, gzip;q=0.1", "*")], [None, "gzip", "gzip", "gzip"])
is_("none is there", [coding("/none.txt", a) for a in ("gzip", "br, gzip", "*", "identity;q=0, *")], [None] * 4)
before = stat()["deferred_lookup"]
for _ in range(20):
    ask("/none.txt", "Accept-Encoding: br, gzip")
true("no work item is wanted to know that there is none", stat()["deferred_lookup"] - before <= 2)
is_("the index of a directory", [coding("/dir/", a) for a in (None, "gzip", "br", "*")], [None, "gzip", "br", "br"])
is_("that of the root", [coding("/", a) for a in (None, "gzip", "br")], [None, "gzip", None])
is_("HTTP/1.0", coding("/gz.txt", "gzip", version="HTTP/1.0"), "gzip")
is_("it is decoded", gzip.decompress(ask("/gz.txt", "Accept-Encoding: gzip").body), plain)

# ---- fields

def fields(r, *names):
    return [r.get(name) for name in names]

for target in "/all.txt", "/none.txt", "/dir/":
    responses = [ask(target, *f) for f in ((), ("Accept-Encoding: gzip",), ("Accept-Encoding: br",), ("Accept-Encoding: identity",))]
    is_("%s: Vary is there with each" % target, [r.get("Vary") for r in responses], ["Accept-Encoding"] * 4)
    is_("%s: the media type is that of the file" % target, len({r.get("Content-Type") for r in responses}), 1)
for accept in None, "gzip", "br":
    f = () if accept is None else ("Accept-Encoding: " + accept,)
    g, h = ask("/all.txt", *f), ask("/all.txt", *f, method="HEAD")
    is_("HEAD, %s" % accept, [pair for pair in h.fields if pair[0] != "Date"], [pair for pair in g.fields if pair[0] != "Date"])
tags = {accept: ask("/all.txt", "Accept-Encoding: " + (accept or "identity")).get("ETag") for accept in content}
is_("each has an ETag of its own", len(set(tags.values())), 4)
for accept, tag in tags.items():
    f = "Accept-Encoding: " + (accept or "identity")
    r = ask("/all.txt", f, "If-None-Match: " + tag)
    is_("304 to its tag, %s" % accept, (r.status, *fields(r, "ETag", "Vary", "Content-Encoding", "Content-Length")), (304, tag, "Accept-Encoding", None, None))
    others = ", ".join(other for other in tags.values() if other != tag)
    is_("200 to the tags of others, %s" % accept, coding("/all.txt", accept or "identity", "If-None-Match: " + others), accept)
    is_("If-Match, %s" % accept, [ask("/all.txt", f, "If-Match: " + value).status for value in (tag, others, "*")], [200, 412, 200])
os.utime(os.path.join(docroot, b"gz.txt"), (1000000000, 1000000000))
os.utime(os.path.join(docroot, b"gz.txt.gz"), (1100000000, 1100000000))
is_("Last-Modified is that of what is sent", [ask("/gz.txt", "Accept-Encoding: " + a).get("Last-Modified") for a in ("identity", "gzip")],
    ["Sun, 09 Sep 2001 01:46:40 GMT", "Tue, 09 Nov 2004 11:33:20 GMT"])

# ---- media types that are compressed already

put("image.png", plain)
put("image.png.gz", content["gzip"])
put("archive.zip", plain)
put("archive.zip.br", content["br"])
for target in "/image.png", "/archive.zip":
    r = ask(target, "Accept-Encoding: *")
    is_("%s: no coding, and no Vary" % target, (r.status, *fields(r, "Content-Encoding", "Vary"), r.body == plain), (200, None, None, True))
put("picture.svg", plain)
put("picture.svg.gz", content["gzip"])
is_("an SVG is text", coding("/picture.svg", "gzip"), "gzip")

# ---- siblings themselves

for coding_, media_type in ("gzip", "application/gzip"), ("zstd", "application/zstd"):
    r = ask("/all.txt" + suffix[coding_], "Accept-Encoding: gzip, br, zstd")
    is_("all.txt%s itself" % suffix[coding_], (r.status, *fields(r, "Content-Type", "Content-Encoding"), r.body), (200, media_type, None, content[coding_]))
r = ask("/all.txt.br")
is_("all.txt.br itself", (r.status, r.get("Content-Encoding"), r.body), (200, None, content["br"]))
put("alone.txt.gz", content["gzip"])
is_("a sibling without its file", ask("/alone.txt", "Accept-Encoding: gzip").status, 404)
put("lonely/index.html.gz", content["gzip"])
is_("nor an index", ask("/lonely/", "Accept-Encoding: gzip").status, 403)

# ---- siblings that don't count

at = os.path.join(docroot, b"gz.txt")
for name, file, sibling, wanted in (
        ("older by a second", 1000000001, 1000000000, None), ("of the same time", 1000000000, 1000000000, "gzip"), ("newer by a second", 1000000000, 1000000001, "gzip")):
    os.utime(at, (file, file))
    os.utime(at + b".gz", (sibling, sibling))
    is_("a sibling that is " + name, coding("/gz.txt", "gzip"), wanted)
os.utime(at, ns=(10**18 + 1, 10**18 + 1))
os.utime(at + b".gz", ns=(10**18, 10**18))
is_("a sibling that is older by a nanosecond", coding("/gz.txt", "gzip"), None)
site("stale.txt", "gzip", "br")
os.utime(os.path.join(docroot, b"stale.txt.br"), (1, 1))
is_("a stale one, and the next is not", coding("/stale.txt", "br, gzip;q=0.5"), "gzip")
time.sleep(0.01)
put("stale.txt", content[None])
is_("all stale, when the file is written", coding("/stale.txt", "br, gzip"), None)
put("stale.txt.gz", content["gzip"])
is_("until they are, too", coding("/stale.txt", "br, gzip"), "gzip")

def unfit(name, make):
    site("unfit.txt", "gzip")
    path = os.path.join(docroot, b"unfit.txt.br")
    make(path)
    is_("a sibling that is %s" % name, (coding("/unfit.txt", "br"), coding("/unfit.txt", "br, gzip;q=0.5")), (None, "gzip"))
    os.rmdir(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
def unreadable(path):
    os.chmod(put("unfit.txt.br", content["br"]), 0o600)
with open(os.path.join(docroot, b"../outside.br"), "wb") as file:
    file.write(content["br"])
unfit("unreadable", unreadable)
unfit("a directory", os.mkdir)
unfit("a FIFO", lambda path: os.mkfifo(path, 0o644))
unfit("a link that leads nowhere", lambda path: os.symlink("nowhere", path))
unfit("a link out of the document root", lambda path: os.symlink("../outside.br", path))
unfit("an absolute one", lambda path: os.symlink(os.path.realpath(os.path.join(docroot, b"../outside.br")), path))
unfit("a link to itself", lambda path: os.symlink("unfit.txt.br", path))
os.utime(os.path.join(docroot, b"unfit.txt"), (1, 1))
os.symlink("all.txt.br", os.path.join(docroot, b"unfit.txt.br"))
is_("a link within the document root will do", coding("/unfit.txt", "br"), "br")
put("secret.txt", "x", 0o600)
put("secret.txt.gz", content["gzip"])
is_("a sibling doesn't make a file readable", ask("/secret.txt", "Accept-Encoding: gzip").status, 403)
os.mkdir(os.path.join(docroot, b"folder"))
put("folder.gz", content["gzip"])
is_("nor a directory a file", ask("/folder", "Accept-Encoding: gzip").status, 301)
name = "n" * 253
put(name, plain)
is_("a name that has no room for a suffix", coding("/" + name, "gzip"), None)
name = "/".join(["d" * 200] * 19) + "/file.txt"
site(name, "gzip")
is_("a long path", coding("/" + name, "gzip"), "gzip")

# ---- pipelined, empty, cold

put("empty.txt", "")
put("empty.txt.gz", gzip.compress(b""))
is_("an empty file", gzip.decompress(ask("/empty.txt", "Accept-Encoding: gzip").body), b"")
put("void.txt", plain)
put("void.txt.br", "")
r = ask("/void.txt", "Accept-Encoding: br")
is_("an empty sibling", (r.status, r.get("Content-Encoding"), r.body), (200, "br", b""))
with Connection() as c:
    order = ["gzip", "br", "identity", "zstd"] * 20
    c.send(b"".join(request("/all.txt", "Accept-Encoding: " + a) for a in order))
    is_("eighty pipelined", [c.response().get("Content-Encoding") or "identity" for _ in order], order)
os.sync()
with open("/proc/sys/vm/drop_caches", "w") as file:
    file.write("3")
is_("cold", [coding("/all.txt", a) for a in ("br", "gzip")], ["br", "gzip"])

# ---- switched off

is_("compression 0", sysctl("compression", "0"), 0)
r = ask("/all.txt", "Accept-Encoding: gzip, br")
is_("compression 0: the file, and no Vary", (r.status, *fields(r, "Content-Encoding", "Vary", "ETag"), r.body), (200, None, None, tags[None], plain))
is_("compression 0: 304", ask("/all.txt", "Accept-Encoding: gzip", "If-None-Match: " + tags[None]).get("Vary"), None)
sysctl("compression", "1")
is_("compression 1", coding("/all.txt", "gzip"), "gzip")
END_OF_PYTHON

# A sibling that is made by a tool, and decoded by another.
seq 3000 >"$docroot/seq.txt"
for tool in gzip zstd brotli; do
	command -v "$tool" >/dev/null || continue
	"$tool" -k "$docroot/seq.txt" 2>/dev/null
done
chmod 644 "$docroot"/seq.txt*
for coding in gzip br zstd; do
	if ! curl --version | grep -qw "$(sed 's/gzip/libz/; s/br/brotli/' <<<$coding)"; then
		skip "curl decodes $coding" "this curl doesn't"
	else
		is "curl decodes $coding" "$(get /seq.txt -H "Accept-Encoding: $coding" --compressed | cksum)" "$(cksum <"$docroot/seq.txt")"
	fi
done

mkdir "$docroot/overlay" "$tmp/lower" "$tmp/upper" "$tmp/work"
chmod 755 "$tmp/upper" "$tmp/lower"
cp -p "$docroot/seq.txt" "$tmp/lower"
if mount -t overlay -o "lowerdir=$tmp/lower,upperdir=$tmp/upper,workdir=$tmp/work" overlay "$docroot/overlay" 2>"$tmp/mount"; then
	at_exit umount "$docroot/overlay"
	gzip -k "$docroot/overlay/seq.txt"
	chmod 644 "$docroot/overlay/seq.txt.gz"
	is "on another file system" "$(get /overlay/seq.txt -H 'Accept-Encoding: br, gzip' | gzip -d | cksum)" "$(cksum <"$docroot/seq.txt")"
else
	skip "on another file system" "$(tail -n 1 "$tmp/mount")"
fi

done_testing
