#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# usage: scripts/prepare.sh [root | guest | debug | kcsan]... | --clean
#
# Makes, in the cache, what the project is built and tested with, and says
# before each step what it does. What is there already is not made again; an
# interrupted run goes on where it stopped.
#
#   root   Debian 13 build root with the stock kernel, its source and the
#          compilers it was built with (700 MB to fetch, 6 GB on disk)
#   guest  user space of the virtual machine (105 MB to fetch, 1 GB on disk)
#   debug  checking kernel: KASAN, lockdep, kmemleak, ... (25 minutes of CPU)
#   kcsan  another one, that looks for data races (15 minutes of CPU)
#   --clean   removes all of it again
#
# Runs as root: it makes Debian systems with mmdebstrap. The archive is the one
# that this machine's apt uses; the cache is ${XDG_CACHE_HOME:-~/.cache}/rust-tux.

. "$(dirname "$0")/lib.sh"

# ---- build root ----------------------------------------------------------

apt_network_options() {
	apt-config dump |
		grep -E '^Acquire::(https?|Check-|ForceIPv|Retries).* "..*";$' || :
}

# bootstrap DIRECTORY PACKAGES [MMDEBSTRAP-OPTION...]
bootstrap() {
	local target=$1 packages=$2 uri suite option
	local -a options=()
	shift 2
	uri=$(mirror)
	[ -n "$uri" ] || { apt-get update && uri=$(mirror); }
	[ -n "$uri" ] || { echo "no Debian archive in this machine's apt configuration"; return 1; }
	while read -r option; do
		[ -z "$option" ] || options+=("--aptopt=$option")
	done < <(apt_network_options)
	rm -rf --one-file-system "$target.new"
	for suite in trixie trixie-backports; do
		echo "deb $uri $suite main"
	done >"$target.list"
	mmdebstrap --mode=root --variant=apt --architectures=amd64 \
		--keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
		--include="$packages" "${options[@]}" \
		--dpkgopt=force-unsafe-io --skip=cleanup/apt/lists --skip=check/empty "$@" \
		trixie "$target.new" "$target.list"
	rm -f "$target.list"
}

bootstrap_root() {
	bootstrap "$root" "$(grep -v '^#' "$repo/scripts/root-packages" | paste -sd,)"
	mkdir -p "$root.new/var/lib/rust-tux" "$root.new/k"
	# A file, whatever it was: that of the machine is mounted on it.
	rm -f "$root.new/etc/resolv.conf"
	touch "$root.new/etc/resolv.conf"
	mv "$root.new" "$root"
}

# The functions from here to `kernel_source` run inside the build root.

release_in_archive() {
	apt-cache show --no-all-versions "linux-headers-$1" >/dev/null 2>&1
}

# unpack_headers RELEASE: .config and Module.symvers of that kernel to /k/REL.
unpack_headers() {
	local release=$1 work=/k/headers-$1.new
	[ ! -d "/k/headers-$release" ] || return 0
	rm -rf "$work"
	mkdir -p "$work"
	(cd "$work" && apt-get -o APT::Sandbox::User=root download "linux-headers-$release" &&
		dpkg-deb -x ./*.deb tree && rm ./*.deb &&
		cp "tree/usr/src/linux-headers-$release/.config" \
			"tree/usr/src/linux-headers-$release/Module.symvers" . &&
		rm -rf tree)
	mv "$work" "/k/headers-$release"
}

choose_kernel() {
	local facts=/var/lib/rust-tux release=$1 flavour=${1#*-} config version
	apt-get update
	if ! release_in_archive "$release"; then
		for release in $(apt-cache pkgnames linux-headers- |
			sed -n "s/^linux-headers-\([0-9][^-]*-$flavour\)\$/\1/p" |
			sort -rV); do
			unpack_headers "$release"
			grep -qx CONFIG_RUST=y "/k/headers-$release/.config" && break
			release=
		done
		[ -n "$release" ] || { echo "no $flavour kernel with CONFIG_RUST=y"; return 1; }
	fi
	unpack_headers "$release"
	config=/k/headers-$release/.config
	grep -qx CONFIG_RUST=y "$config"

	version=$(apt-cache show --no-all-versions "linux-headers-$release" |
		sed -n 's/^Version: //p')
	echo "$version" >$facts/version
	echo "$release" | sed 's/^\([0-9]*\.[0-9]*\).*/\1/' >$facts/source
	sed -n 's/^CONFIG_CC_VERSION_TEXT="\([^ ]*\) .*/\1/p' "$config" >$facts/cc
	sed -n 's/^CONFIG_RUSTC_VERSION_TEXT="\(.*\)"/\1/p' "$config" >$facts/rustc
	sed -n 's/^CONFIG_BINDGEN_VERSION_TEXT="\(.*\)"/\1/p' "$config" >$facts/bindgen
	echo "$release" >$facts/release
}

# package_version PACKAGE UPSTREAM: full version in the archive, or nothing.
package_version() {
	apt-cache madison "$1" |
		awk -v v="$2" '$3 == v || index($3, v "+") == 1 || index($3, v "-") == 1 { print $3; exit }'
}

install_compilers() {
	local facts=/var/lib/rust-tux rustc bindgen cc llvm version package
	local -a wanted=()
	rustc=$(cut -d' ' -f2 $facts/rustc)
	bindgen=$(cut -d' ' -f2 $facts/bindgen)
	cc=$(sed 's/^x86_64-linux-gnu-//' $facts/cc)
	for package in rustc rust-src rustfmt rust-clippy cargo; do
		version=$(package_version $package "$rustc")
		[ -n "$version" ] || { echo "archive has no $package $rustc"; return 1; }
		wanted+=("$package=$version")
	done
	version=$(package_version bindgen "$bindgen")
	[ -n "$version" ] || { echo "archive has no bindgen $bindgen"; return 1; }
	dpkg --configure -a
	apt-get install -y --no-install-recommends --allow-downgrades \
		"${wanted[@]}" "bindgen=$version" "$cc" gcc libc6-dev
	[ "$(rustc --version)" = "$(cat $facts/rustc)" ]
	[ "$(bindgen --version)" = "$(cat $facts/bindgen)" ]
	"$(cat $facts/cc)" --version
	llvm=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
	apt-get install -y --no-install-recommends "clang-$llvm" "lld-$llvm" "llvm-$llvm"
	echo "$llvm" >$facts/llvm
}

# The packages that hold vmlinuz and the modules, whatever they are called.
kernel_image() {
	local release=$1 work=/k/image.new package
	rm -rf "$work"
	mkdir -p "$work"
	cd "$work"
	for package in $(apt-cache depends --recurse --no-recommends --no-suggests \
		--no-conflicts --no-breaks --no-replaces --no-enhances \
		"linux-image-$release" | grep -E "^linux-.*-${release//+/[+]}\$" | sort -u); do
		apt-get -o APT::Sandbox::User=root download "$package"
		dpkg-deb -x "$package"_*.deb tree
		rm "$package"_*.deb
	done
	mkdir -p lib
	mv "$(find tree -type f -name 'vmlinuz*')" vmlinuz
	mv "$(find tree -type d -path "*lib/modules")" lib/modules
	rm -rf tree
	depmod -b "$work" "$release"
	mv "$work" /k/image
}

kernel_source() {
	local work=/k/source.new package
	package=linux-source-$(cat /var/lib/rust-tux/source)
	rm -rf "$work"
	mkdir -p "$work"
	cd "$work"
	apt-get -o APT::Sandbox::User=root download "$package=$(cat /var/lib/rust-tux/version)"
	dpkg-deb --fsys-tarfile "$package"_*.deb | tar -x --wildcards '*.tar.*'
	rm ./*.deb
	tar -x --strip-components=1 -f usr/src/*.tar.*
	rm -r usr/src
	mv "$work" /k/source
}

# Debian's headers lack the metadata of the kernel's Rust crates. They are made
# again from the source of the same version and the stock configuration. The
# result is only good if every Rust symbol that the stock kernel exports has
# the same mangled name in it.
kernel_metadata() {
	local release cc headers work=/k/stock.new
	release=$(cat /var/lib/rust-tux/release)
	cc=$(cat /var/lib/rust-tux/cc)
	headers=/k/headers-$release
	rm -rf "$work"
	mkdir -p "$work"
	cp "$headers/.config" "$headers/Module.symvers" "$work/"
	# The path of the output directory must not change later: build in
	# place, marked as unfinished.
	rm -rf /k/stock
	mv "$work" /k/stock
	local make=(make -C /k/source O=/k/stock "CC=$cc" "HOSTCC=$cc"
		"LOCALVERSION=${release#"$(make -s -C /k/source kernelversion)"}"
		-j"$(nproc)")
	"${make[@]}" olddefconfig
	diff -u "$headers/.config" /k/stock/.config
	"${make[@]}" prepare modules_prepare
	[ "$(cat /k/stock/include/config/kernel.release)" = "$release" ]
	check_rust_symbols "$headers/Module.symvers"
	touch /k/stock/.complete
}

check_rust_symbols() {
	sed -n 's/^0x[0-9a-f]*\t\(_R[^\t]*\)\t.*/\1/p' "$1" | sort >/tmp/stock
	nm --defined-only /k/stock/rust/*.o | awk '$3 ~ /^_R/ { print $3 }' | sort -u >/tmp/made
	echo "$(wc -l </tmp/stock) Rust symbols exported by the stock kernel"
	if comm -23 /tmp/stock /tmp/made | grep .; then
		echo "above: Rust symbols that the stock kernel exports under other names"
		return 1
	fi
}

# Run one of the functions above inside the build root.
root_step() {
	in_root bash /repo/scripts/prepare.sh --inside "$@"
}

make_root() {
	local release
	if [ ! -d "$root" ]; then
		step root "Making a Debian 13 build root (1 minute, 170 MB to fetch)" bootstrap_root
	fi
	if [ ! -e "$root/var/lib/rust-tux/release" ]; then
		step choose "Looking for kernel $preferred_kernel in the archive" \
			root_step choose_kernel "$preferred_kernel"
	fi
	release=$(fact release)
	if [ "$release" != "$preferred_kernel" ]; then
		say "NOTE: the archive has no $preferred_kernel; using $release, built with $(fact rustc)."
	fi
	if [ ! -e "$root/var/lib/rust-tux/llvm" ]; then
		step compilers "Installing its compilers: $(fact rustc | cut -d' ' -f1,2), $(fact bindgen), $(fact cc) (1 minute, 200 MB)" \
			root_step install_compilers
	fi
	if [ ! -d "$root/k/image" ]; then
		step image "Fetching the stock kernel $release and its modules (40 MB)" \
			root_step kernel_image "$release"
	fi
	if [ ! -d "$root/k/source" ]; then
		step source "Fetching its source (170 MB, 1.8 GB unpacked)" root_step kernel_source
	fi
	if [ ! -e "$root/k/stock/.complete" ]; then
		step metadata "Regenerating the Rust metadata of the stock kernel (2 minutes)" \
			root_step kernel_metadata
	fi
}

# ---- checking kernel -----------------------------------------------------

# build_debug_kernel DIRECTORY COMPILER FRAGMENT...: COMPILER as make's word.
build_debug_kernel() {
	local work=$1 compiler=$2
	shift 2
	mkdir -p "$work"
	cd "$work"
	local make=(make -C /k/source "O=$work" "$compiler" -j"$(nproc)")
	if [ ! -e .config ]; then
		"${make[@]}" allnoconfig
		(cd /k/source && scripts/kconfig/merge_config.sh \
			-m -O "$work" "$work/.config" "$@")
		"${make[@]}" olddefconfig
		# Every option asked for, last, must have been honoured.
		awk '/^CONFIG_/ { split($0, a, "="); last[a[1]] = $0 }
			/^# CONFIG_/ { last[$2] = $0 }
			END { for (name in last) print last[name] }' "$@" | while read -r line; do
			case $line in
			'# '*) ! grep -q "^$(echo "$line" | cut -d' ' -f2)=" .config ;;
			*) grep -qxF "$line" .config ;;
			esac || echo "not honoured: $line"
		done >unhonoured
		if [ -s unhonoured ]; then
			cat unhonoured
			mv .config .config.refused
			return 1
		fi
	fi
	nice -n 15 "${make[@]}" bzImage modules
	touch .complete
}

make_debug() {
	local work
	work=$(debug_tree)
	[ ! -e "$root$work/.complete" ] || return 0
	step debug "Building the checking kernel (25 minutes of CPU time, 1 GB on disk)" \
		root_step build_debug_kernel "$work" "LLVM=-$(fact llvm)" \
		/repo/debug-kernel/{base,check,kasan}.config
}

make_kcsan() {
	local work
	work=$(kcsan_tree)
	[ ! -e "$root$work/.complete" ] || return 0
	step kcsan "Building the kernel that looks for races (15 minutes of CPU time, 600 MB on disk)" \
		root_step build_debug_kernel "$work" "CC=$(fact cc)" \
		/repo/debug-kernel/{base,check,kcsan}.config
}

# ---- guest user space ----------------------------------------------------

bootstrap_guest() {
	local image=$1 work=${1%.ext4}
	bootstrap "$work" "$(grep -v '^#' "$repo/scripts/guest-packages" | paste -sd,)" \
		--dpkgopt='path-exclude=/usr/share/doc/*' \
		--dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*'
	work=$work.new
	rm -rf "$work"/var/lib/apt/lists/* "$work"/var/cache/apt/*
	mkdir -p "$work/usr/lib/modules" "$work/rust-tux"
	cp -a "$root/k/image/lib/modules/." "$work/usr/lib/modules/"
	rm -f "$image.new"
	mke2fs -q -t ext4 -L guest -O ^has_journal -E root_owner=0:0 -m 0 \
		-d "$work" "$image.new" 3G
	rm -rf --one-file-system "$work"
	mv "$image.new" "$image"
}

make_guest() {
	local image
	vm_packages
	image=$(guest_image)
	[ ! -e "$image" ] || return 0
	step guest "Making the user space of the virtual machine (1 minute, 105 MB to fetch)" \
		bootstrap_guest "$image"
}

# In braces, and so read whole: the script may be changed while it runs.
{
case ${1:-root} in
-h | --help)
	usage
	exit 0
	;;
--clean)
	lock prepare
	say "removing what these scripts made in $cache"
	rm -rf --one-file-system "$cache"/{root,guest,initramfs,kvm}-* "$cache"/{cargo,log}
	exit 0
	;;
--inside)
	shift
	"$@"
	exit 0
	;;
esac

need_root
[ "$(uname -m)" = x86_64 ] || die "this machine is not x86-64"
for part in "${@:-root}"; do
	case $part in
	root | guest | debug | kcsan) ;;
	*) die "unknown part: $part (see --help)" ;;
	esac
done
parts=" ${*:-root} "
lock prepare
host_packages mmdebstrap:mmdebstrap mke2fs:e2fsprogs
make_root
[[ $parts != *' guest '* ]] || make_guest
for part in debug kcsan; do
	[[ $parts == *" $part "* ]] || continue
	# It takes long and nobody else needs to wait for it.
	unlock
	lock "$part"
	"make_$part"
done
exit 0
}
