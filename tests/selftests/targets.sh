#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# From targets to files: decoding, dot segments, names of all kinds, directories,
# what must not be served, and media types.

. "$(dirname "$0")/lib.sh"

load

python_checks <<'END_OF_PYTHON'
from http_client import *
from urllib.parse import quote
import shutil
import threading

def status(name, target, wanted, body=None, **more):
    r = ask(target, **more)
    if body is None:
        is_(name, r.status, wanted)
    else:
        is_(name, (r.status, r.body), (wanted, octets(body)))
    return r

put("index.html", "index")
put("a.txt", "hello")
put("dir/index.html", "index of dir")
put("dir/b.txt", "b")
put("bare/c.txt", "c")

# ---- decoding

status("plain", "/a.txt", 200, "hello")
status("a query is ignored", "/a.txt?x=/../../y%zz", 200, "hello")
status("an empty query", "/a.txt?", 200, "hello")
status("percent-encoded, lower case", "/%61%2e%74xt", 200, "hello")
status("percent-encoded, upper case", "/%61%2E%74xt", 200, "hello")
status("encoded once only", "/%2561.txt", 404)
for target in "/a.txt%", "/a.txt%2", "/%zz", "/%2g", "/%%", "/%u0061", "/%-1":
    status("not an encoding: %s" % target, target, 400)
for target in "/%00", "/a.txt%00", "/a.txt%00.png", "/dir%00/b.txt":
    status("NUL: %s" % target, target, 400)
for target in "/dir%2fb.txt", "/dir%2Fb.txt", "/%2fa.txt", "/..%2fa.txt", "/dir/..%2f..%2fetc/passwd", "/%2f":
    status("an encoded slash is none: %s" % target, target, 404)
with Connection() as c:
    c.send(request("/%zz") + request("/%00") + request("/../a.txt") + request("/%2f") + request("/a.txt"))
    is_("a bad path does not end the connection", [c.response().status for _ in range(5)], [400, 400, 400, 404, 200])

# ---- dot segments

for target in ("/./a.txt", "/dir/../a.txt", "/dir/%2e%2e/a.txt", "/dir/.%2E/./a.txt", "//a.txt", "///dir//..///a.txt",
               "/nothing/../a.txt", "/%2e/a.txt", "/a.txt/../a.txt"):
    status("resolved: %s" % target, target, 200, "hello")
for target in "/dir/.", "/dir/./", "/dir//", "/bare/../dir/", "/dir/x/..":
    status("a directory: %s" % target, target, 200, "index of dir")
for target in ("/..", "/../", "/../a.txt", "/%2e%2e/a.txt", "/dir/../../a.txt", "/./../a.txt", "//../a.txt",
               "/../../../../../../etc/passwd", "/dir/..%5c../../../../etc/passwd"):
    status("above the root: %s" % target, target, 400)
for target in "/a.txt/", "/a.txt/.", "/a.txt/b", "/.../a.txt", "/..a", "/a.txt.", "/nothing/", "/nothing/b":
    status("nothing there: %s" % target, target, 404)

# ---- forms

for target in ("http://localhost/a.txt", "http://elsewhere:80/a.txt?b", "HTTP://LOCALHOST/dir/../a.txt",
               "http://[::1]:8080/a.txt"):
    status("absolute form: %s" % target, target, 200, "hello")
status("https is for connections that are secured", "https://localhost/a.txt", 421)
status("absolute form without a path", "http://localhost", 200, "index")
status("absolute form with a query only", "http://localhost?a", 200, "index")
for target in ("a.txt", "ftp://localhost/a.txt", "http://a@localhost/a.txt", "http:///a.txt", "http://local host/a.txt",
               "localhost:80", "?a", "\\a.txt", "file:///etc/passwd"):
    status("not a target: %s" % target, target, 400)

# ---- names

names = [
    "with space", " ", "per%cent", "%41", "que?ry", "ha#sh", "plus+", "semi;colon", "a&b=c", "quote\"'", "<script>", "new\nline",
    "tab\t", "back\\slash", "bell\x07", "ünïcödé", "日本語.txt", "🦀.html", "-", "~tilde", ".hidden", "...", "trailing.", "a" * 255,
    "é" * 127, b"\xff\xfe", b"\x80", "con", "a:b", "[x]", "http:",
]
wrong = []
for name in names:
    name = octets(name)
    content = b"content of " + name
    put(name, content)
    for target in b"/" + octets(quote(name, safe="")), b"/" + b"".join(b"%%%02x" % octet for octet in name):
        r = ask(target)
        if (r.status, r.body) != (200, content):
            wrong.append((target, r))
is_("names of all kinds", wrong, [])
is_("a space may be %20, but not +", ask("/with+space").status, 404)
is_("nothing else is folded", [ask(t).status for t in ("/A.TXT", "/a.txt%20", "/a.txt;", "/%F0%9F%A6%80.HTML")], [404] * 4)
is_("a name of 256 octets", ask("/" + "a" * 256).status, 404)
is_("255 octets below a name of 255", ask("/%s/%s" % ("a" * 255, "a" * 255)).status, 404)

deep = "/".join(["d" * 250] * 15)
put(deep + "/x", "deep")
is_("a path of %d octets" % len("/" + deep + "/x"), ask("/" + deep + "/x").body, b"deep")
is_("a path of 4096 octets", ask("/" + "d/" * 2047 + "d").status, 404)
is_("a path of 4096 octets, of a directory", ask("/" + "d" * 4094 + "/").status, 404)
is_("a path of 4097 octets", ask("/" + "d/" * 2048).status, 414)
is_("a path of 4096 octets that is short", ask("/dir/.." * 583 + "//////" + "/a.txt"[:9]).status, 200)

# ---- directories

def redirect(name, target, location):
    r = ask(target)
    is_(name, (r.status, r.get("Location")), (301, location))

redirect("a directory without its slash", "/dir", "/dir/")
redirect("its query is kept", "/dir?a=b/c?d&e=%2f", "/dir/?a=b/c?d&e=%2f")
redirect("an empty query", "/dir?", "/dir/?")
redirect("the same without an index", "/bare", "/bare/")
redirect("absolute form", "http://elsewhere/dir", "/dir/")
for name in "evil.example", "dir with space", "dir%41", "ü", "a\r\nX-Injected: yes", "dir?ry", "dir#sh", "\\evil", "a;b:c@d", "<b>\"":
    put("d/%s/index.html" % name, "x")
    r = ask("/d/" + quote(name, safe=""))
    location = r.get("Location")
    true("the Location of %r can be followed" % name, location is not None and location.startswith("/d/") and location.isascii()
         and not set(location) & set(" \r\n\\\"<>#?"), r)
    true("and leads there: %s" % location, ask(location or "/nothing").status == 200)
    true("no field is injected", r.get("X-Injected") is None)
    put("%s/index.html" % name, "x")
    for prefix in "//", "///", "/./", "/%2e/", "/dir/..//", "//./":
        location = ask(prefix + quote(name, safe="")).get("Location") or ""
        if not location.startswith("/") or location[1:2] in "/\\" or location.count("/") != 2:
            not_ok("no other host behind %s%s" % (prefix, name), location)
ok("no redirect names another host")
r = ask("/dir")
true("the 301 has a short document", r.get("Content-Type") == "text/html; charset=utf-8" and b"301" in r.body, r)
put(b"\xc3\xbc" * 100 + b"/" + b"\xff" * 250 + b"/index.html", "x")
is_("a long Location", len(ask(b"/" + b"%c3%bc" * 100 + b"/" + b"\xff".replace(b"\xff", b"%ff") * 250).get("Location")), 1 + 600 + 1 + 750 + 1)

is_("the root", ask("/").body, b"index")
is_("a directory without an index", ask("/bare/").status, 403)
put("odd/index.html/x", "x")
is_("an index that is a directory", ask("/odd/").status, 403)
put("closed/index.html", "x", 0o600)
is_("an index that is not for others", ask("/closed/").status, 403)

# ---- what must not be served

put("secret.txt", "secret", 0o640)
is_("a file that others can't read", ask("/secret.txt").status, 403)
put("private/a.txt", "private")
os.chmod(os.path.join(docroot, b"private"), 0o700)
is_("a file in a directory closed to others", ask("/private/a.txt").status, 403)
is_("nothing in a directory closed to others", ask("/private/nothing").status, 403)
is_("a directory closed to others", [ask("/private").status in (301, 403), ask("/private/").status], [True, 403])
os.chmod(os.path.join(docroot, b"private"), 0o711)
is_("a file in a directory that others may pass", ask("/private/a.txt").body, b"private")
os.mkfifo(os.path.join(docroot, b"fifo"), 0o666)
is_("a FIFO", ask("/fifo").status, 403)
os.mknod(os.path.join(docroot, b"null"), 0o020666, os.makedev(1, 3))
is_("a device", ask("/null").status, 403)
s = socket.socket(socket.AF_UNIX)
here = os.getcwd()
os.chdir(docroot)
s.bind("socket")
os.chmod("socket", 0o666)
is_("a socket", ask("/socket").status, 403)
os.symlink("a.txt", "link")
os.symlink("/a.txt", "rooted")
os.symlink("dir", "linkdir")
os.symlink("loop", "loop")
os.symlink("/etc/passwd", "out")
os.symlink("../../../../../../../etc/passwd", "up")
os.symlink("/proc/self/exe", "proc")
os.symlink("..", "dir/parent")
with open(os.path.join(docroot, b"../outside.txt"), "w") as file:
    file.write("outside")
os.symlink("../outside.txt", "outside")
os.symlink("nothing", "dangling")
os.chdir(here)
status("a symbolic link", "/link", 200, "hello")
status("an absolute symbolic link begins at the document root", "/rooted", 200, "hello")
status("a symbolic link to a directory", "/linkdir/b.txt", 200, "b")
status("a symbolic link upwards", "/dir/parent/a.txt", 200, "hello")
for name in "loop", "out", "up", "proc", "outside", "dangling":
    status("a symbolic link that leads nowhere: %s" % name, "/" + name, 404)
is_("nothing is repeated in an error", b"script" in ask("/%3Cscript%3Ealert(1)").body, False)

# ---- content

put("empty", "")
r = ask("/empty")
is_("an empty file", (r.status, r.body, r.get("Content-Length")), (200, b"", "0"))
large = os.urandom(1 << 20) * 3 + b"end"
put("large.bin", large)
true("3 MiB and 3 octets", ask("/large.bin").body == large)
put("a.txt", "hello again")
status("a file that was overwritten", "/a.txt", 200, "hello again")
os.unlink(os.path.join(docroot, b"a.txt"))
status("a file that was removed", "/a.txt", 404)
put("a.txt", "hello")
status("a file that came back", "/a.txt", 200, "hello")
shutil.rmtree(os.path.join(docroot, b"dir"))
status("a file whose directory was removed", "/dir/b.txt", 404)

types = {
    "html": "text/html; charset=utf-8", "HTM": "text/html; charset=utf-8", "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8", "mjs": "text/javascript; charset=utf-8", "json": "application/json",
    "txt": "text/plain; charset=utf-8", "PNG": "image/png", "jpg": "image/jpeg", "JpEg": "image/jpeg", "gif": "image/gif",
    "svg": "image/svg+xml", "webp": "image/webp", "avif": "image/avif", "ico": "image/vnd.microsoft.icon", "woff2": "font/woff2",
    "mp4": "video/mp4", "webm": "video/webm", "mp3": "audio/mpeg", "pdf": "application/pdf", "zip": "application/zip",
    "gz": "application/gzip", "tar.gz": "application/gzip", "wasm": "application/wasm", "xml": "application/xml", "md": "text/markdown; charset=utf-8",
    "7z": "application/x-7z-compressed", "3gp": "video/3gpp",
}
wrong = []
for extension, wanted in types.items():
    put("t/f." + extension, "x")
    got = ask("/t/f." + extension)
    if got.get("Content-Type") != wanted or got.get("X-Content-Type-Options") is not None:
        wrong.append((extension, got.fields))
is_("media types", wrong, [])
wrong = []
for name in "f", "f.", "f.unknown", "html", "f.html.xyzzy", "f.htmlx", "f.ht":
    put("t/" + name, "x")
    got = ask("/t/" + name)
    if got.get("Content-Type") != "application/octet-stream" or got.get("X-Content-Type-Options") != "nosniff":
        wrong.append((name, got.fields))
is_("without a known extension it is not to be guessed", wrong, [])
is_("an index has its media type", ask("/").get("Content-Type"), "text/html; charset=utf-8")
END_OF_PYTHON

done_testing
