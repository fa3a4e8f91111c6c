#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The sysctls: values, ranges, what is refused; those that are text; and the document root.

. "$(dirname "$0")/lib.sh"

echo index >"$docroot/index.html"
truncate -s 16M "$docroot/large"
mkdir "$tmp/other" "$tmp/name with space"
echo other >"$tmp/other/index.html"
echo spaced >"$tmp/name with space/index.html"
: >"$tmp/file"
mkdir "$tmp/mount"
mount -t tmpfs none "$tmp/mount"
at_exit umount -l "$tmp/mount"
chmod 755 "$tmp/mount"
echo mounted >"$tmp/mount/index.html"
load

cd /proc/sys/net/http || bail_out "no sysctls"
is "names and modes" "$(stat -c '%n %a %U' ./* | sed 's,^./,,' | sort)" "$(sort <<'EOF'
404_page 644 root
ack_pingpong 644 root
address 644 root
all_userspace 644 root
body_timeout 644 root
cache_control 644 root
charset 644 root
checksums 644 root
clientport 644 root
compression 644 root
documentroot 644 root
drain_timeout 644 root
dynamic 644 root
error_pages 644 root
extra_header 644 root
failsafe_timeout 644 root
fast_accept 644 root
fastpath 644 root
generate_cache_control 644 root
generate_etags 644 root
generate_last_mod 644 root
handoff_close 644 root
handoff_forbidden 644 root
handoff_not_found 644 root
handoff_timeout 644 root
header_timeout 644 root
hide_unreadable 644 root
http_dir_indexing 644 root
ignore_query 644 root
keepalive_requests 644 root
keepalive_timeout 644 root
linger_limit 644 root
linger_timeout 644 root
max_backlog 644 root
max_cached_documents 644 root
max_cached_filesize 644 root
max_cached_memory 644 root
max_connect 644 root
max_header_len 644 root
maxconnect 644 root
mime_types 644 root
min_receive_rate 644 root
min_send_rate 644 root
pending 444 root
push_all 644 root
ready_responses 644 root
redirect_port 644 root
send_timeout 644 root
serverport 644 root
single_flight 644 root
start 644 root
state 444 root
stop 644 root
takeover 644 root
threads 644 root
zerocopy_sendfile 644 root
EOF
)"
cd / || exit
kernel_log_mark "$$ types"
printf 'text/plain txt\n\ntext/plain .txt\n' >"$tmp/bad"
sysctl_set mime_types "$tmp/bad" 2>/dev/null
printf 'text/html html\ntext\n' >"$tmp/bad"
sysctl_set mime_types "$tmp/bad" 2>/dev/null
sysctl_set mime_types /nonexistent 2>/dev/null
is "the log says what is wrong with a table of media types" "$(kernel_log_since "$$ types" | sed -n 's/.*rust_tux: //p')" \
	"mime_types=$tmp/bad: line 3: not an extension
mime_types=$tmp/bad: line 2: not a media type
mime_types=/nonexistent: no such file (ENOENT)"
sysctl -qw net.http.keepalive_timeout=20
is "sysctl(8) works" "$(sysctl -n net.http.keepalive_timeout)" 20
if setpriv --reuid 65534 --regid 65534 --clear-groups sh -c 'echo 1 >/proc/sys/net/http/stop' 2>/dev/null; then
	not_ok "others can't write"
else
	ok "others can't write"
fi
check "others can read" setpriv --reuid 65534 --regid 65534 --clear-groups cat /proc/sys/net/http/serverport
sysctl_set keepalive_timeout 15

python_checks <<'END_OF_PYTHON'
from http_client import *
import errno
import subprocess

tmp = os.environ["tmp"]
root = docroot.decode()

def answer(target="/", **more):
    with Connection(**more) as c:
        c.send(request(target, "Connection: close"))
        return c.response().body.decode().strip()

# ---- numbers

numbers = (
    # names, default, least, most, at once
    (["serverport"], port, 1, 65535, False),
    (["takeover"], 0, 0, 1, False),
    (["clientport", "redirect_port"], 0, 0, 65535, True),
    (["handoff_timeout"], 2, 0, 86400, True),
    (["handoff_close"], 0, 0, 1, True),
    (["handoff_not_found"], 1, 0, 1, True),
    (["handoff_forbidden"], 1, 0, 1, True),
    (["all_userspace"], 0, 0, 1, True),
    (["failsafe_timeout"], 5, 0, 86400, True),
    (["threads"], 0, 0, 1024, False),
    (["max_connect", "maxconnect"], 10000, 1, 4194304, True),
    (["max_backlog"], 2048, 1, 65535, False),
    (["drain_timeout"], 5, 0, 86400, True),
    (["keepalive_timeout"], 15, 0, 86400, True),
    (["header_timeout"], 10, 1, 3600, True),
    (["send_timeout"], 30, 1, 3600, True),
    (["linger_timeout"], 5, 1, 3600, True),
    (["linger_limit"], 16777216, 0, 1073741824, True),
    (["max_header_len"], 8192, 256, 65536, True),
    (["body_timeout"], 10, 1, 3600, True),
    (["min_receive_rate"], 240, 0, 1073741824, True),
    (["min_send_rate"], 240, 0, 1073741824, True),
    (["keepalive_requests"], 0, 0, 4294967295, True),
    (["fastpath"], 1, 0, 1, True),
    (["ready_responses"], 2, 0, 2, True),
    (["zerocopy_sendfile"], 2, 0, 2, True),
    (["push_all"], 0, 0, 1, True),
    (["fast_accept"], 1, 0, 1, True),
    (["ack_pingpong"], 1, 0, 1, True),
    (["single_flight"], 1, 0, 1, True),
    (["checksums"], 0, 0, 1, True),
    (["max_cached_documents"], 65536, 0, 4194304, True),
    (["max_cached_memory"], 134217728, 0, 4294967295, True),
    (["max_cached_filesize"], 0, 0, 4294967295, True),
    (["compression"], 1, 0, 1, True),
    (["http_dir_indexing"], 0, 0, 1, True),
    (["hide_unreadable"], 1, 0, 1, True),
    (["generate_etags"], 1, 0, 1, True),
    (["generate_last_mod"], 1, 0, 1, True),
    (["generate_cache_control"], 1, 0, 1, True),
)
garbage = ("", "\n", " ", "x", "-1", "+1", "1.0", "1e3", "0x10", "010", "00", "80abc", "80 ", " 80", "80\n\n", "8\n0", "80\t", "80,81",
           "4294967296", "4294967297", "18446744073709551617", "9" * 5000, "1" * 4097, "8\x000", "80\x00", "\u0668\u0660", "true", "1\r")
for names, default, least, most, now in numbers:
    name = names[0]
    is_("%s: default" % name, [sysctl(n) for n in names], ["%d\n" % default] * len(names))
    wrong = []
    for value in garbage + (str(most + 1), str(least - 1)):
        # An empty write never gets to the sysctl.
        if value and sysctl(name, value) != errno.EINVAL or sysctl(name) != "%d\n" % default or sysctl("pending") != "":
            wrong.append((value[:30], sysctl(name), sysctl("pending")))
    is_("%s: garbage is refused, and changes nothing" % name, wrong, [])
    with open("/proc/sys/net/http/" + name, "wb", buffering=0) as file:
        try:
            os.pwrite(file.fileno(), b"1", 1)
            not_ok("%s: a part of a value is refused" % name)
        except OSError as error:
            is_("%s: a part of a value is refused" % name, error.errno, errno.EINVAL)
    wrong = []
    for value in least, most, least + 1, default:
        for n in names:
            if sysctl(n, str(value)) != 0 or sysctl(n, "%d\n" % value) != 0:
                wrong.append((n, value))
            for m in names:
                if sysctl(m) != "%d\n" % (value if now else default):
                    wrong.append((m, value, sysctl(m)))
            waits = "" if now or value == default else "%s %d\n" % (name, value)
            if sysctl("pending") != waits:
                wrong.append((n, value, sysctl("pending")))
    is_("%s: the least, the most and others" % name, wrong, [])
is_("a write that succeeds takes all", os.write(os.open("/proc/sys/net/http/threads", os.O_WRONLY), b"0\n"), 2)
for name in "state", "pending":
    isnt("%s can't be written" % name, sysctl(name, "1"), 0)

# ---- text

def refused(name, values, error=errno.EINVAL):
    """Each of the values is refused, and changes neither this sysctl nor another."""
    before = [sysctl(n) for n in texts]
    wrong = [value for value in values if sysctl(name, value) != error or [sysctl(n) for n in texts] != before]
    is_("%s: what is wrong is refused, and changes nothing" % name, wrong, [])

def reads_back(name, values):
    """Each value, with or without a newline behind it, reads as itself or as what comes with it."""
    wrong = []
    for value in values:
        value, wanted = value if isinstance(value, tuple) else (value, value)
        for end in "", "\n":
            # An empty write never gets to the sysctl.
            if value + end and (sysctl(name, value + end) != 0 or sysctl(name) != (wanted and wanted + "\n")):
                wrong.append((value, end, sysctl(name)))
    is_("%s: reads back" % name, wrong, [])

texts = "documentroot", "charset", "cache_control", "extra_header", "error_pages", "404_page", "mime_types"
is_("defaults", [sysctl(n) for n in texts[1:]], ["utf-8\n", "", "", "404=/404.html\n", "/404.html\n", ""])

reads_back("ignore_query", ["2", "0"])
refused("ignore_query", ["1", "3", "x"])

# ---- texts of paths

reads_back("dynamic", [("a b", "cgi-bin a b"), ("b\tc  a", "cgi-bin a b c"), ("-b", "cgi-bin a c"), ("-a -c -x", "cgi-bin"), "cgi-bin"])
reads_back("dynamic", [("\n", ""), ("-a", ""), ("^/x/ /y .php", "^/x/ /y .php"), ("-.php .py", "^/x/ /y .py"), ("\n", ""), "cgi-bin"])
refused("dynamic", ["\u00e9", "a\0", "\1", "a" * 5000])

reads_back("charset", ["ISO-8859-1", ("", "off"), "x", "off", "a" * 40, "utf-8"])
refused("charset", [" ", "utf 8", "utf-8\n\n", "utf-8;x", '"utf-8"', "a" * 41, "\u00e9", "utf-8\0"])

reads_back("cache_control", ["text/html=0", "text/html=0, image/*=604800,\t*/*=3600", "a/b=99999999999999999999", "a/b=1\nc/d=2", ",", ""])
sysctl("cache_control", "a/b=1")
refused("cache_control", ["text/html", "text/html=", "text/html=-1", "text/html=1s", "*/html=1", "text=1", "=1", "a/b=1 A/B=2", "a/b =1",
                          "a/b=1;c/d=2", "a/b=1,c", "a/b=1\0", "a/b=1 " * 1000])
sysctl("cache_control", "\n")

reads_back("extra_header", ["A: b", "A: b\nC: d", "A:b\r\nC:  d\t", "X-Empty:", "\nA: b", "A: b\n\n\nC: d", ""])
sysctl("extra_header", "A: b")
refused("extra_header", ["A", "A: b\nC", ": b", "A : b", " A: b", "A: \x01", "A: b\rC: d", "Content-Length: 1", "connection: close", "DATE: x",
                         "A: b\nTransfer-Encoding: chunked", "A: b\0", "A: " + "b" * 2048, "A: " + "b" * 4096])
def lines(*parts):
    """Writes the parts through one open file, until one is refused."""
    fd = os.open("/proc/sys/net/http/extra_header", os.O_WRONLY)
    try:
        for part in parts:
            os.write(fd, part)
        return 0
    except OSError as error:
        return error.errno
    finally:
        os.close(fd)
is_("extra_header: lines in a write each", (lines(b"A: b\n", b"C: d\n", b"E: f\nG: h\n", b"I: j"), sysctl("extra_header")),
    (0, "A: b\nC: d\nE: f\nG: h\nI: j\n"))
is_("opened again, they begin again", (lines(b"A: b\n"), sysctl("extra_header")), (0, "A: b\n"))
is_("a line that is wrong leaves those before", (lines(b"A: c\n", b"Date: x\n"), sysctl("extra_header")), (errno.EINVAL, "A: c\n"))
is_("a part of a line is refused", (lines(b"A: d", b"e\n"), sysctl("extra_header")), (errno.EINVAL, "A: d\n"))
is_("so is one that doesn't follow", (lines(b"A: b\n", b"C: d\n" + b"E: " + b"f" * 2048), sysctl("extra_header")), (errno.EINVAL, "A: b\n"))
with open("/proc/sys/net/http/extra_header", "wb", buffering=0) as file:
    for position in 1, 4, 6, 4095, 4096, 1 << 40, (1 << 63) - 2:
        try:
            os.pwrite(file.fileno(), b"C: d\n", position)
            not_ok("a line at %d is refused" % position)
        except OSError as error:
            is_("a line at %d is refused" % position, error.errno, errno.EINVAL)
    is_("a line behind the others isn't", (os.pwrite(file.fileno(), b"C: d\n", 5), sysctl("extra_header")), (5, "A: b\nC: d\n"))
is_("other text takes no lines", subprocess.run(["bash", "-c", "printf 'a/b=1\\nc/d=2\\n' >/proc/sys/net/http/cache_control"], stderr=subprocess.DEVNULL).returncode, 1)
sysctl("cache_control", "\n")
is_("printf of a shell", [(subprocess.run([shell, "-c", "printf 'A: 1\\nB: 2\\n' >/proc/sys/net/http/extra_header"]).returncode, sysctl("extra_header"))
                          for shell in ("bash", "sh")], [(0, "A: 1\nB: 2\n")] * 2)
sysctl("extra_header", "\n")

codes = 400, 403, 404, 405, 406, 408, 411, 412, 413, 414, 416, 417, 421, 429, 431, 500, 501, 503, 505
reads_back("error_pages", ["404=/a", ("500=/b,404=/a", "404=/a 500=/b"), ("\t404=/%41//b\n400=/c,,", "400=/c 404=/%41//b"), "404=/a/../b", "404=/=",
                           " ".join("%d=/%d.html" % (code, code) for code in codes), ("404=/" + "a" * 4000,) * 2, (" ", ""), ""])
sysctl("error_pages", "404=/a 500=/b")
refused("error_pages", ["404", "404=", "404=a", "404=/", "404=/a/", "404=/a/..", "404=/..", "404=/../a", "404=/%2f", "404=/%00", "404=/%", "404=/a?b", "404=/a#b",
                        "404=/\u00e9", "404=/a\x01", "=/a", "/a", "4=/a", "40=/a", "4040=/a", "x04=/a", "404:/a", "404 = /a", "404=/a 404=/a", "404=/a x",
                        "100=/a", "200=/a", "304=/a", "402=/a", "599=/a", "\x34\x30\x2f=/a", "404=/a\0"]
        + ["%d=/a" % code for code in range(1000) if code not in codes])
reads_back("404_page", [("404.html", "/404.html"), "/x/404.html", ("a%20b", "/a%20b"), ""])
is_("404_page: is the entry of error_pages", sysctl("error_pages"), "500=/b\n")
refused("404_page", ["/", "/a/", "../a", "/..", "a b", "/a,b", "a?b", "/%2f", "a\0"])
sysctl("error_pages", "500=/" + "b" * 4000)
refused("404_page", ["c" * 100, "c" * 4090])
sysctl("error_pages", "500=/b")
sysctl("404_page", "c")
is_("404_page: leaves the others", sysctl("error_pages"), "404=/c 500=/b\n")
sysctl("error_pages", "403=/d")
is_("404_page: is empty without one", sysctl("404_page"), "")
sysctl("error_pages", "404=/404.html")

types = tmp + "/types"
def table(content, name=types):
    with open(name, "wb") as file:
        file.write(octets(content))
table("# a comment\n\ntext/x-log log LOG err # more\r\nimage/png\napplication/x-y;a=b txt")
reads_back("mime_types", [types, tmp + "/./types", ""])
sysctl("mime_types", types)
refused("mime_types", [" ", "types", "./types", "/dev/null", "/proc/version", tmp, " " + types, types + "\0"])
refused("mime_types", ["/nonexistent", types + "\n\n", types + " "], errno.ENOENT)
refused("mime_types", [types + "/"], errno.ENOTDIR)
for content in "text", "text/x-log log\ntext/ x", "text/x-log .log", "text/x-log " + "a" * 65, "text/x-log a/b", "text/" + "x" * 508 + " y", "\0", "text/x-log a\0":
    table(content, types + ".bad")
    refused("mime_types", [types + ".bad"])
for size, error in ((1 << 20) + 1, errno.EFBIG), (1 << 20, 0):
    table("#" * size, types + ".large")
    is_("mime_types: a file of %d octets" % size, sysctl("mime_types", types + ".large"), error)
table("", types + ".empty")
is_("mime_types: an empty file", sysctl("mime_types", types + ".empty"), 0)
os.mkfifo(types + ".fifo")
is_("mime_types: a FIFO isn't waited for", sysctl("mime_types", types + ".fifo"), errno.EINVAL)
# All that fits: each line an extension of its own.
table("".join("a/b %x\n" % number for number in range(1 << 17))[:1 << 20], types + ".many")
is_("mime_types: many extensions", sysctl("mime_types", types + ".many"), 0)
is_("mime_types: the same name again", sysctl("mime_types", types + ".many"), 0)
table("text\n", types + ".many")
is_("mime_types: reads it again", sysctl("mime_types", types + ".many"), errno.EINVAL)
is_("mime_types: keeps its name then", sysctl("mime_types"), types + ".many\n")
is_("mime_types: nothing", (sysctl("mime_types", "\n"), sysctl("mime_types")), (0, ""))
is_("nothing of that waits for a start", sysctl("pending"), "")

# ---- documentroot

with Connection() as c:
    def again():
        c.send(request("/"))
        return c.response().body.decode().strip()
    is_("documentroot", (sysctl("documentroot"), again()), (root + "\n", "index"))
    for value, error in (("/nonexistent", errno.ENOENT), (tmp + "/file", errno.ENOTDIR), (tmp + "/file/x", errno.ENOTDIR), ("relative", errno.EINVAL),
                         ("\n", errno.EINVAL), (tmp + "/other\0", errno.EINVAL), ("/" + "a" * 255 + "/b", errno.ENOENT), ("/" + "a" * 256, errno.ENAMETOOLONG)):
        is_("documentroot %r is refused" % value[:40], sysctl("documentroot", value), error)
    isnt("a documentroot of 5000 octets is refused", sysctl("documentroot", "/." * 2500), 0)
    is_("and nothing has changed", (sysctl("documentroot"), again()), (root + "\n", "index"))
    for place, wanted in ("other", "other"), ("name with space", "spaced"), ("mount", "mounted"):
        is_("documentroot to %r" % place, sysctl("documentroot", "%s/%s\n" % (tmp, place)), 0)
        is_("at once, on a connection that is there", again(), wanted)
        is_("and reads back", sysctl("documentroot"), "%s/%s\n" % (tmp, place))
    is_("a name of 4095 octets", sysctl("documentroot", (tmp + "/other" + "/." * 2100)[:4095].rstrip("/") + "\n"), 0)
    is_("is followed", again(), "other")

def unmounted():
    return subprocess.run(["umount", tmp + "/mount"], stderr=subprocess.DEVNULL).returncode == 0

# A server that was started with it has more than one reason to hold it.
sysctl("documentroot", tmp + "/mount")
sysctl("stop", "1")
sysctl("start", "1")
is_("another file system is served", answer(), "mounted")
wait_until(lambda: stat()["connections_open"] == 0)
time.sleep(2)
is_("it can't be unmounted then", unmounted(), False)
sysctl("documentroot", root)
true("it can be when it is served no more, though nobody asks for anything", wait_until(unmounted, 10))
is_("and the old one is back", answer(), "index")
with Connection() as c:
    c.send(request("/large"))
    c.more()
    sysctl("documentroot", tmp + "/other")
    is_("a response that has begun is not changed", len(c.response().body), 16 << 20)
    c.send(request("/"))
    is_("and the next one is of the new", c.response().body, b"other\n")
sysctl("documentroot", root)

# ---- while workers are busy

# Others have asked for much when each value is written: a connection that is about to ask waits for
# its turn meanwhile, by the time that it asks.
sysctl("fastpath", "0")
busy = os.fork()
if busy == 0:
    many = [Connection() for _ in range(48)]
    asked = request("/large", "Range: bytes=0-99") * 16
    while True:
        for c in many:
            c.send(asked)
        for c in many:
            for _ in range(16):
                c.response()
seen = {"right": 0}
end = time.monotonic() + 6
number = 0
while time.monotonic() < end or number < 40:
    number += 1
    with Connection() as c:
        octets = request("/")
        if number % 2:
            c.send(octets[:9])
        sysctl("extra_header", "X-Number: %d" % number)
        c.send(octets[9:] if number % 2 else octets)
        c.send(octets)
        for which in "first", "second":
            is_right = c.response().get("X-Number") == str(number)
            which = "right" if is_right else which
            seen[which] = seen.get(which, 0) + 1
os.kill(busy, 9)
os.waitpid(busy, 0)
is_("a request that is sent after a write is answered by it, whoever else has turns", seen, {"right": 2 * number})
print("#", number, "writes")
sysctl("extra_header", "\n")
sysctl("fastpath", "1")
END_OF_PYTHON

done_testing
