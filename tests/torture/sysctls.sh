#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Hostile writes to all sysctls from several tasks at once, among clients, starts
# and stops; then hostile parameters.

. "$(dirname "$0")/lib.sh"

export docroot tmp
export other=$tmp/other
mkdir -m 755 "$other"
docroot_on_disk
load
sysctl_set http_dir_indexing 1
run sysctls
unload

# A value that a parameter may be given, good or bad.
value() {
	random 12
	case $REPLY in
	0) REPLY= ;;
	1) REPLY=-1 ;;
	2) REPLY=4294967296 ;;
	3) REPLY=99999999999999999999999 ;;
	4) REPLY=$(head -c 30 /dev/urandom | tr -d '\0\n') ;;
	5) REPLY=/$(printf '%*s' 5000 '' | tr ' ' a) ;;
	6) REPLY=0x10 ;;
	7) REPLY=$docroot ;;
	8) REPLY=127.0.0.1 ;;
	*) random 70000 ;;
	esac
}
wrong='' tried=0 loaded=0
end=$((EPOCHSECONDS + TEST_SECONDS / 5 + 5))
while [ $EPOCHSECONDS -lt $end ]; do
	parameters=()
	random 4
	for ((n = REPLY; n >= 0; n--)); do
		names=(docroot address port threads backlog mime_types takeover start nonsense)
		random ${#names[@]}
		name=${names[REPLY]}
		value
		# So many workers take long to start.
		[ "$name" != threads ] || [[ ! $REPLY =~ ^[0-9]+$ ]] || REPLY=$((REPLY % 20))
		[[ $name != @(takeover|start) ]] || [[ ! $REPLY =~ ^[0-9]+$ ]] || REPLY=$((REPLY % 3))
		parameters+=("$name=$REPLY")
	done
	tried=$((tried + 1))
	if try_load "${parameters[@]}"; then
		loaded=$((loaded + 1))
		state=running
		for name in "${parameters[@]}"; do
			case $name in
			start=0) state=stopped ;;
			start=*) state=running ;;
			esac
		done
		[ "$(sysctl_get state)" = $state ] || wrong+="${parameters[*]}: $(sysctl_get state), not $state;"
		for setting in serverport:65535 takeover:1 threads:1024 max_backlog:65535; do
			got=$(sysctl_get "${setting%:*}")
			[[ $got =~ ^[0-9]+$ ]] && [ "$got" -le "${setting#*:}" ] || wrong+="${parameters[*]}: ${setting%:*} $got;"
		done
		unload
	fi
	if loaded || [ -e /proc/net/http ] || [ -e /proc/sys/net/http ]; then
		wrong+="${parameters[*]}: something is left;"
	fi
done
echo "# $loaded of $tried insertions succeeded"
operations_done $tried
# One of eleven or so.
[ "$tried" -lt 150 ] || isnt_like "some parameters are taken" "$loaded" '^0$'
is "parameters are taken or refused, and nothing is left" "$wrong" ""

load
still_serves
done_torturing
