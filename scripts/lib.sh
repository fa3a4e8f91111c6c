# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What the scripts of this directory share. Sourced, never run.

set -eu

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck disable=SC2034
build=$repo/build
cache=${XDG_CACHE_HOME:-$HOME/.cache}/rust-tux
logs=$cache/log
# shellcheck disable=SC2034
preferred_kernel=$(grep -v '^#' "$repo/scripts/kernel-version")

export LC_ALL=C.UTF-8

# usage: prints the comment at the head of the calling script.
usage() {
	sed -n '3,/^[^#]/{/^[^#]/d;s/^# \{0,1\}//;p}' "$0"
}

say() {
	printf '%s\n' "$*" >&2
}

die() {
	say "${0##*/}: $*"
	exit 1
}

# digest FILE...: a short name for the content of files, or of standard input.
digest() {
	cat -- "$@" | sha256sum | cut -c1-12
}

need_root() {
	[ "$(id -u)" = 0 ] || die "this needs root (packages, chroot, KVM)"
}

# lock NAME: wait for, then hold, a lock of the cache until this script ends.
# Long-lived children close it with `9>&-`.
lock() {
	mkdir -p "$cache" "$logs"
	exec 9>"$cache/$1.lock"
	if ! flock -n 9; then
		say "waiting for another run that holds $cache/$1.lock"
		flock 9
	fi
}

unlock() {
	exec 9>&-
}

received_bytes() {
	local total=0 file
	for file in /sys/class/net/*/statistics/rx_bytes; do
		case $file in
		*/lo/* | *'*'*) ;;
		*) total=$((total + $(cat "$file"))) ;;
		esac
	done
	echo "$total"
}

# step NAME TITLE COMMAND...: run COMMAND with its output in a log, and tell
# what it is, how long it took and how much came over the network. Not to be
# called in a condition: COMMAND runs under `set -e`.
step() {
	local name=$1 title=$2 start bytes status
	shift 2
	mkdir -p "$logs"
	say "== $title"
	start=$(date +%s)
	bytes=$(received_bytes)
	trap 'die "interrupted: the next run goes on with this step"' INT TERM HUP
	set +e
	(
		set -e
		"$@"
	) >"$logs/$name.log" 2>&1 </dev/null
	status=$?
	set -e
	trap - INT TERM HUP
	bytes=$((($(received_bytes) - bytes) / 1000000))
	if [ "$status" != 0 ]; then
		tail -n 40 "$logs/$name.log" >&2
		die "failed: $title (status $status, log: $logs/$name.log)"
	fi
	say "   done in $(($(date +%s) - start)) s, $bytes MB received"
}

# host_packages COMMAND:PACKAGE...: install the packages whose command the
# host lacks.
host_packages() {
	local pair missing=()
	for pair in "$@"; do
		[ -e "${pair%:*}" ] || command -v "${pair%:*}" >/dev/null ||
			missing+=("${pair#*:}")
	done
	[ "${#missing[@]}" != 0 ] || return 0
	need_root
	step host-packages "Installing on this machine through apt: ${missing[*]}" \
		install_host_packages "${missing[@]}"
}

# vm_packages: QEMU and virtiofsd, whose path is then in $virtiofsd.
vm_packages() {
	host_packages qemu-system-x86_64:qemu-system-x86
	for virtiofsd in /usr/libexec/virtiofsd /usr/lib/qemu/virtiofsd; do
		[ ! -x $virtiofsd ] || return 0
	done
	# Debian 12 has it in a package that QEMU brings along.
	virtiofsd=/usr/libexec/virtiofsd
	host_packages $virtiofsd:virtiofsd
}

install_host_packages() {
	export DEBIAN_FRONTEND=noninteractive
	apt-get update
	apt-get install -y --no-install-recommends "$@"
}

# mirror: address of the Debian archive that this machine's apt uses.
mirror() {
	apt-get indextargets --format '$(ORIGIN) $(CODENAME) $(REPO_URI)' \
		'Created-By: Packages' |
		awk '$1 == "Debian" && $2 !~ /-/ { print $3; exit }'
}

# root_key: names the build root. What goes into it is in prepare.sh.
root_key() {
	digest "$repo/scripts/kernel-version" "$repo/scripts/root-packages"
}

root=$cache/root-$(root_key)

# fact NAME: what the build root records of its kernel: release, version,
# source (X.Y), cc, rustc, llvm.
fact() {
	cat "$root/var/lib/rust-tux/$1"
}

# in_root COMMAND...: run COMMAND in the build root, with the repository at
# /repo as current directory. All mounts are private to it and go with it.
in_root() {
	# shellcheck disable=SC2016
	rust_tux_root=$root rust_tux_repo=$repo rust_tux_cache=$cache \
		unshare --mount --propagation private bash -euc '
			r=$rust_tux_root
			mount --rbind /proc "$r/proc"
			mount --rbind /dev "$r/dev"
			mount -t tmpfs -o mode=1777 tmpfs "$r/tmp"
			mkdir -p "$r/repo" "$r/cargo" "$rust_tux_cache/cargo"
			mount --bind "$rust_tux_repo" "$r/repo"
			mount --bind "$rust_tux_cache/cargo" "$r/cargo"
			[ ! -e /etc/resolv.conf ] || {
				touch "$r/etc/resolv.conf"
				mount --bind "$(readlink -f /etc/resolv.conf)" "$r/etc/resolv.conf"
			}
			exec chroot "$r" /usr/bin/env -i -C /repo \
				HOME=/root LC_ALL=C.UTF-8 TERM="${TERM:-dumb}" \
				DEBIAN_FRONTEND=noninteractive CARGO_HOME=/cargo \
				${http_proxy:+http_proxy="$http_proxy"} \
				${https_proxy:+https_proxy="$https_proxy"} \
				PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
				"$@"' in_root "$@"
}

# debug_tree: path, inside the build root, of the checking kernel.
debug_tree() {
	echo "/k/debug-$(digest "$repo"/debug-kernel/{base,check,kasan}.config)"
}

# kcsan_tree: that of the one that looks for data races.
kcsan_tree() {
	echo "/k/kcsan-$(digest "$repo"/debug-kernel/{base,check,kcsan}.config)"
}

# guest_image: file system of the virtual machine's user space.
guest_image() {
	echo "$cache/guest-$(root_key)-$(digest "$repo/scripts/guest-packages").ext4"
}

# rust_toolchain COMPILER: who builds programs for the host: its own cargo, if
# that is 1.85 or newer and there is this compiler too, else the build root's.
# Sets the command `at`, which runs another there, the path of the repository as
# it is seen there ($here), and what tells the products apart ($suffix).
rust_toolchain() {
	local version
	version=$(cargo --version 2>/dev/null | sed -n 's/^cargo 1\.\([0-9]*\).*/\1/p' || :)
	if [ "${version:-0}" -ge 85 ] && command -v "$1" >/dev/null; then
		at() { "$@"; }
		here=$repo suffix=''
	else
		"$repo/scripts/prepare.sh" root
		at() { in_root "$@"; }
		# shellcheck disable=SC2034
		here=/repo suffix=-root
	fi
}
