#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# usage: scripts/run.sh
#
# Serves a directory of this machine with the module, from a virtual machine
# that runs the stock kernel: prepares what is missing, builds, boots, loads
# the module and prints the address. Ctrl-C powers the machine off. DOCROOT
# is shared read-only; a file changed in it is seen within a second. Without
# it a copy of site/ is served, from memory, where requests are answered
# fastest: what is shared has to be asked for each time.
#
# environment: DOCROOT=DIR  directory to serve (a copy of site/)
#              PORT=N       port on 127.0.0.1 (8080)

. "$(dirname "$0")/lib.sh"

case ${1:-} in
-h | --help) usage; exit 0 ;;
?*) die "unknown argument $1 (see --help)" ;;
esac
port=${PORT:-8080}
docroot=$(readlink -f "${DOCROOT:-$repo/site}" || :)
[ -d "$docroot" ] || die "no such directory: ${DOCROOT:-site}"
[[ $port =~ ^[0-9]+$ ]] && [ "$port" -ge 1 ] && [ "$port" -le 65535 ] ||
	die "bad port: $port"
if (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
	die "port $port of 127.0.0.1 is in use: choose another with PORT=N"
fi

"$repo/scripts/prepare.sh" root guest
step build "Building rust-tux.ko for $(fact release)" "$repo/scripts/build.sh"

export SITE=$docroot PORT=$port
started=$(date +%s)
export started
say "== Booting the stock kernel $(fact release) in QEMU"
# The machine ends with this script, however that ends.
set +e
# shellcheck disable=SC2016
setpriv --pdeathsig TERM "$repo/scripts/vm.sh" --forward "$port:$port" --share "$docroot=/srv/site" \
	--on-up '
		IFS= read -r -t 10 answer < <(exec 2>/dev/null 3<>"/dev/tcp/127.0.0.1/$PORT" &&
			printf "HEAD / HTTP/1.0\r\n\r\n" >&3 && head -n 1 <&3 | tr -d "\r")
		echo "   up in $(($(date +%s) - started)) s; it answers: ${answer:-nothing}"
		echo
		echo "Serving $SITE at http://127.0.0.1:$PORT/  (Ctrl-C powers it off)"
		' -- '
	docroot='"${DOCROOT:+/srv/site}"'
	[ -n "$docroot" ] || {
		docroot=/run/site
		mkdir "$docroot" && mount -t tmpfs none "$docroot" && cp -R /srv/site/. "$docroot/"
	}
	insmod rust-tux.ko docroot="$docroot" port='"$port"' || {
		dmesg | tail -n 20
		exit 1
	}
	echo up
	dmesg -W | grep --line-buffered rust_tux
	'
status=$?
set -e
[ "$status" = 130 ] || exit "$status"
say "stopped"
