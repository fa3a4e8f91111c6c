#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The sysctls: values, ranges, what is refused; and the document root.

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
address 644 root
clientport 644 root
documentroot 644 root
header_timeout 644 root
keepalive_timeout 644 root
linger_limit 644 root
linger_timeout 644 root
max_backlog 644 root
max_connect 644 root
max_header_len 644 root
maxconnect 644 root
pending 444 root
redirect_port 644 root
send_timeout 644 root
serverport 644 root
start 644 root
state 444 root
stop 644 root
threads 644 root
EOF
)"
cd / || exit
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
    (["clientport", "redirect_port"], 8080, 0, 65535, True),
    (["threads"], 0, 0, 1024, False),
    (["max_connect", "maxconnect"], 10000, 1, 4194304, True),
    (["max_backlog"], 2048, 1, 65535, False),
    (["keepalive_timeout"], 15, 0, 86400, True),
    (["header_timeout"], 10, 1, 3600, True),
    (["send_timeout"], 30, 1, 3600, True),
    (["linger_timeout"], 5, 1, 3600, True),
    (["linger_limit"], 16777216, 0, 1073741824, True),
    (["max_header_len"], 8192, 256, 65536, True),
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
END_OF_PYTHON

done_testing
