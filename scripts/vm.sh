#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# usage: scripts/vm.sh [OPTION]... [-- COMMAND]
#
# Boots the built module's kernel in a virtual machine and runs COMMAND there
# with bash, in a directory that holds rust-tux.ko, tests/, site/ and scripts/.
# Without COMMAND: an interactive shell (Ctrl-A X ends the machine at once).
# What COMMAND prints comes out on standard output, its exit status is that of
# this script. The root file system is writable and forgotten at the end.
#
#   --kernel KIND       stock (the default) or debug (the checking kernel); or
#                       the checking kernel with another module: kcov, planted;
#                       or kcsan, kcsan-planted (see scripts/build.sh)
#   --memory MIB        memory of the machine (2048)
#   --cpus N            processors (2)
#   --counted           without KVM, and the clock of the machine is the number of
#                       instructions that its processors, in turns, have executed,
#                       one a nanosecond: what else the host does isn't in it
#   --timeout SECONDS   power off and fail after this time (none)
#   --forward H:G       connections to 127.0.0.1:H on the host go to port G
#   --tap NAME          the guest is 10.0.2.15 on this tap device of the host,
#                       which exists, is up, and should be 10.0.2.2/24
#   --share DIR=PATH    directory of the host, read-only at PATH in the guest
#   --log FILE          kernel log of the guest (build/vm-console.log)
#   --append WORDS      more words for the kernel's command line
#   --on-up COMMAND     run on the host when COMMAND prints the line "up"
#   --on-next COMMAND   the same with "next": what it prints is what COMMAND reads
#
# In the guest /dev/vdc is an empty scratch disk of 16 GiB.
# Exit status 124: time-out; 125: the machine died before COMMAND ended.

. "$(dirname "$0")/lib.sh"

arguments=("$@")
kernel=stock memory=2048 cpus=2 timeout=0 counted='' forward='' tap='' append='' on_up='' on_next=''
log=$build/vm-console.log
shares=()
while [ $# != 0 ]; do
	case $1 in
	-h | --help) usage; exit 0 ;;
	--kernel) kernel=$2; shift ;;
	--memory) memory=$2; shift ;;
	--cpus) cpus=$2; shift ;;
	--counted) counted=yes ;;
	--timeout) timeout=$2; shift ;;
	--forward) forward=$2; shift ;;
	--tap) tap=$2; shift ;;
	--share) shares+=("$2"); shift ;;
	--log) log=$2; shift ;;
	--append) append=$2; shift ;;
	--on-up) on_up=$2; shift ;;
	--on-next) on_next=$2; shift ;;
	--) shift; break ;;
	*) die "unknown option $1 (see --help)" ;;
	esac
	shift
done
command=$*
[ -z "$forward" ] || [ -z "$tap" ] || die "--forward and --tap exclude each other"
[ -z "$tap" ] || [ -e "/sys/class/net/$tap" ] || die "no such network device: $tap"

vm_packages

case $kernel in
stock)
	vmlinuz=$root/k/image/vmlinuz
	module=$build/module/rust-tux.ko
	;;
debug | kcov | planted)
	vmlinuz=$root$(debug_tree)/arch/x86/boot/bzImage
	module=$build/module-$kernel/rust-tux.ko
	# With it KASAN tells more than the first fault, and ends the machine for none.
	[[ " $append " == *" panic_on_warn=1 "* ]] || append="kasan_multi_shot $append"
	kernel=debug
	;;
kcsan | kcsan-planted)
	vmlinuz=$root$(kcsan_tree)/arch/x86/boot/bzImage
	module=$build/module-$kernel/rust-tux.ko
	kernel=kcsan
	;;
*) die "unknown kernel $kernel" ;;
esac
image=$(guest_image)
[ -e "$vmlinuz" ] && [ -e "$image" ] || die "not prepared: run make prepare first"

mkdir -p "$build"
dir=$(mktemp -d "$build/vm.XXXXXX")
pids=() machine_pid=

cleanup() {
	local pid
	trap - EXIT INT TERM HUP
	for pid in "${pids[@]}" $machine_pid; do
		kill "$pid" 2>/dev/null || :
	done
	wait
	if [ -e "$dir/console" ]; then
		mv -f "$dir/console" "$log"
	fi
	rm -rf "$dir"
}
trap cleanup EXIT

# ---- initramfs: busybox, the drivers of the disk, and an init ------------

make_initramfs() {
	local initramfs=$1 work=$dir/initramfs.d
	local -a modules
	mkdir -p "$work/bin" "$work/modules"
	debugfs -R "dump /usr/bin/busybox $work/bin/busybox" "$image" 2>/dev/null
	[ -s "$work/bin/busybox" ]
	chmod 755 "$work/bin/busybox"
	cp "$repo/scripts/guest/initramfs-init" "$work/init"
	mapfile -t modules < <(modules_for virtio_blk overlay)
	# shellcheck disable=SC2016
	in_root bash -euc '
		cd "$1"
		shift
		n=10
		for module in "$@"; do
			xz -dc "$module" >"modules/$n-$(basename "${module%.xz}")"
			n=$((n + 1))
		done
		find . | cpio --quiet -o -H newc -R 0:0 | gzip -1 >../initramfs
		' bash "/repo/build/${dir##*/}/initramfs.d" "${modules[@]}"
	mv "$dir/initramfs" "$initramfs"
}

# modules_for NAME...: what to load, in order, for these modules of the stock
# kernel: paths in the build root. The checking kernel has them built in.
modules_for() {
	local name modules
	[ "$kernel" = stock ] || return 0
	modules=/k/image/lib/modules/$(fact release)
	for name in "$@"; do
		grep "/$name\.ko" "$root$modules/modules.dep" | tr -d : | tr ' ' '\n' | tac
	done | awk -v dir="$modules/" 'NF && !seen[$0]++ { print dir $0 }'
}

initramfs=$cache/initramfs-$kernel-$(cat "$repo/scripts/guest/initramfs-init" \
	"$repo/scripts/guest-packages" "$repo/scripts/vm.sh" | digest -)-$(root_key)
[ -e "$initramfs" ] || make_initramfs "$initramfs"

# ---- payload --------------------------------------------------------------

payload=$dir/payload
mkdir "$payload"
cp "$repo/scripts/guest/init" "$payload/init"
for item in tests/selftests tests/corpus tests/torture site scripts; do
	[ ! -d "$repo/$item" ] || {
		mkdir -p "$payload/$(dirname "$item")"
		cp -a "$repo/$item" "$payload/$item"
	}
done
[ ! -e "$module" ] || cp "$module" "$payload/rust-tux.ko"
programs=$build/cargo-torture/x86_64-unknown-linux-gnu/release
[ ! -d "$programs" ] || {
	mkdir "$payload/tests/torture/bin"
	find "$programs" -maxdepth 1 -type f -executable -exec cp -t "$payload/tests/torture/bin" {} +
}
printf '%s\n' "${command:-exec bash -i -l}" >"$payload/command"
guest_shares='' i=0
for pair in "${shares[@]}"; do
	guest_shares="$guest_shares share$i=${pair#*=}"
	i=$((i + 1))
done
if [ -z "$command" ] && [ -t 0 ]; then
	read -r rows columns < <(stty size)
fi
cat >"$payload/environment" <<END
RUST_TUX_SHARES="$guest_shares"
RUST_TUX_NETWORK="$forward$tap"
RUST_TUX_INTERACTIVE="$([ -n "$command" ] || echo yes)"
RUST_TUX_ROWS="${rows:-}"
RUST_TUX_COLUMNS="${columns:-}"
export RUST_TUX_KERNEL=$kernel
export RUST_TUX_MODULE=/rust-tux/rust-tux.ko
export RUST_TUX_SCRATCH=/dev/vdc
$(env | grep -E '^(TESTS|TEST_[A-Z_]*)=' | sed "s/'/'\\\\''/g;s/=\(.*\)/='\1'/;s/^/export /")
END
tar -C "$payload" --owner=0 --group=0 -cf "$dir/payload.tar" .
truncate -s 16G "$dir/scratch"

# ---- machine --------------------------------------------------------------

accelerator() {
	if ! grep -qwE 'vmx|svm' /proc/cpuinfo || [ ! -w /dev/kvm ]; then
		echo tcg
		return
	fi
	# The flags can lie (nested virtualization): believe a boot only.
	local known
	known=$cache/kvm-$(tr -d - </proc/sys/kernel/random/boot_id)
	if [ ! -e "$known" ]; then
		say "   probing KVM"
		if timeout 20 qemu-system-x86_64 -accel kvm -cpu host -m 512 -nodefaults \
			-display none -no-reboot -serial "file:$dir/probe" \
			-kernel "$root/k/image/vmlinuz" \
			-append 'console=ttyS0 panic=-1' 2>/dev/null 9>&- &&
			grep -q 'Kernel panic' "$dir/probe"; then
			echo kvm >"$known"
		else
			echo tcg >"$known"
		fi
	fi
	cat "$known"
}

machine=q35
qemu=(qemu-system-x86_64 -nodefaults -display none -no-reboot
	-smp "$cpus" -m "$memory")
# The checking kernel has died in its first moments under TCG, one boot in seven, with
# wild addresses as five-level page tables have them.
emulated=max,-erms,-fsrm,-la57
if [ -n "$counted" ]; then
	qemu+=(-accel tcg,thread=single -icount shift=0,sleep=off -cpu "$emulated")
elif [ "$(accelerator)" = kvm ]; then
	qemu+=(-accel kvm -cpu host)
else
	qemu+=(-accel tcg,thread=multi -cpu "$emulated")
fi
if [ "${#shares[@]}" != 0 ]; then
	machine+=,memory-backend=memory
	qemu+=(-object "memory-backend-memfd,id=memory,size=${memory}M,share=on")
fi
# panic=-1 and -no-reboot: a dead kernel ends the machine.
qemu+=(-machine "$machine" -kernel "$vmlinuz" -initrd "$initramfs"
	-append "console=ttyS0 panic=-1 oops=panic random.trust_cpu=on no_timer_check log_buf_len=16M $append"
	-serial "file:$dir/console"
	-drive "file=$image,format=raw,if=virtio,readonly=on"
	-drive "file=$dir/payload.tar,format=raw,if=virtio,readonly=on"
	-drive "file=$dir/scratch,format=raw,if=virtio,cache=unsafe,discard=unmap"
	-device virtio-rng-pci -device virtio-serial-pci
	-device virtconsole,chardev=output
	-device virtserialport,chardev=status,name=status
	-device virtserialport,chardev=control,name=control
	-chardev "file,id=status,path=$dir/status"
	-chardev "pipe,id=control,path=$dir/control"
	-chardev "pipe,id=monitor,path=$dir/monitor" -mon chardev=monitor)
if [ -n "$forward" ]; then
	qemu+=(-netdev "user,id=net,hostfwd=tcp:127.0.0.1:${forward%:*}-:${forward#*:}"
		-device virtio-net-pci,netdev=net)
elif [ -n "$tap" ]; then
	qemu+=(-netdev "tap,id=net,ifname=$tap,script=no,downscript=no"
		-device virtio-net-pci,netdev=net)
fi

mkfifo "$dir/control.in" "$dir/control.out" "$dir/input" "$dir/output" \
	"$dir/monitor.in" "$dir/monitor.out"
exec 8<>"$dir/control.in" 7<>"$dir/input" 5<>"$dir/monitor.in"
cat "$dir/monitor.out" >"$dir/registers" 5>&- 7>&- 8>&- 9>&- &
pids+=($!)

i=0
for pair in "${shares[@]}"; do
	from=${pair%%=*}
	[ -d "$from" ] || die "no such directory: $from"
	# Neither virtiofsd of Debian 12 nor a guest can be trusted to keep off
	# writing: what is shared is a read-only bind mount, private to it.
	mkdir "$dir/share$i"
	# shellcheck disable=SC2016
	setsid setpriv --pdeathsig TERM unshare --mount --propagation private bash -euc '
		mount --bind "$1" "$2"
		mount -o remount,bind,ro "$2"
		case $3 in
		/usr/lib/qemu/*) exec "$3" --socket-path="$4" -o source="$2" -o cache=auto ;;
		*) exec "$3" --socket-path="$4" --shared-dir="$2" --cache=auto ;;
		esac' virtiofsd "$from" "$dir/share$i" "$virtiofsd" "$dir/share$i.socket" \
		>"$dir/share$i.log" 2>&1 </dev/null 5>&- 7>&- 8>&- 9>&- &
	pids+=($!)
	for _ in $(seq 100); do
		[ ! -S "$dir/share$i.socket" ] || break
		sleep 0.05
	done
	[ -S "$dir/share$i.socket" ] || {
		cat "$dir/share$i.log" >&2
		die "virtiofsd did not start"
	}
	qemu+=(-chardev "socket,id=share$i,path=$dir/share$i.socket"
		-device "vhost-user-fs-pci,chardev=share$i,tag=share$i")
	i=$((i + 1))
done

if [ -z "$command" ]; then
	qemu+=(-chardev stdio,id=output,signal=off,mux=on)
	"${qemu[@]}" 5>&- 7>&- 8>&- 9>&- || :
	[ -s "$dir/status" ] || exit 125
	exit "$(cat "$dir/status")"
fi

qemu+=(-chardev stdio,id=output,signal=off)
# In a session of its own, so that Ctrl-C does not reach it: the trap below
# asks the guest to power off. It ends with this script, however that ends.
(
	while IFS= read -r line || [ -n "$line" ]; do
		if [ "$line" = up ] && [ -n "$on_up" ]; then
			bash -c "$on_up" 7>&- || :
		elif [ "$line" = next ] && [ -n "$on_next" ]; then
			bash -c "$on_next" >&7 7>&- || :
		else
			printf '%s\n' "$line"
		fi
	done <"$dir/output"
) 5>&- 8>&- 9>&- &
reader=$!
setsid setpriv --pdeathsig TERM "${qemu[@]}" <"$dir/input" >"$dir/output" 2>"$dir/errors" 5>&- 7>&- 8>&- 9>&- &
machine_pid=$!

# end WORD...: tell the guest, and leave it some seconds.
end() {
	local word deadline
	for word in "$@"; do
		echo "$word" >&8
		sleep 1
	done
	deadline=$(($(date +%s) + 15))
	while kill -0 "$machine_pid" 2>/dev/null && [ "$(date +%s)" -lt "$deadline" ]; do
		sleep 0.1
	done
}
# again WHY: QEMU without KVM now and then hangs in the boot of a kernel when the
# host is overloaded, or has it run what it has just patched, so that it dies of
# an int3. That is not the module's fault: it was not there yet.
again() {
	local try=${RUST_TUX_BOOT:-1}
	if [ -n "$machine_pid" ]; then
		echo "info registers -a" >&5
		sleep 2
		grep -aE '^(CPU#|RIP|EIP)' "$dir/registers" >>"$dir/console" || :
	fi
	mv "$dir/console" "$log.boot$try"
	say "the kernel $1 (log: $log.boot$try)"
	[ "$try" -lt 3 ] || exit 125
	say "trying again"
	cleanup
	export RUST_TUX_BOOT=$((try + 1))
	exec "$0" "${arguments[@]}"
}

interrupted='' booted='' looked=0 last_size=0 grew=$(date +%s)
trap 'interrupted=yes' INT TERM HUP

started=$(date +%s)
while kill -0 "$machine_pid" 2>/dev/null; do
	sleep 0.1 || :
	if [ -n "$interrupted" ]; then
		trap '' INT TERM HUP
		say "powering the guest off"
		end poweroff
		exit 130
	fi
	if [ -z "$booted" ] && [ "$(date +%s)" != "$looked" ]; then
		looked=$(date +%s)
		size=$(stat -c %s "$dir/console" 2>/dev/null || echo 0)
		[ "$size" = "$last_size" ] || last_size=$size grew=$looked
		if grep -qs 'rust-tux: init' "$dir/console"; then
			booted=yes
		elif [ $((looked - grew)) -gt 120 ]; then
			again "says nothing for two minutes of its boot"
		fi
	fi
	if [ "$timeout" != 0 ] && [ $(($(date +%s) - started)) -gt "$timeout" ]; then
		say "no end after $timeout s: powering the guest off (kernel log: $log)"
		# Where the processors are, should the guest not be able to tell.
		echo "info registers -a" >&5
		end stuck poweroff
		grep -aE '^(CPU#|RIP|EIP)' "$dir/registers" >>"$dir/console" || :
		exit 124
	fi
done
wait "$machine_pid" || :
wait "$reader" || :
machine_pid=
if [ ! -s "$dir/status" ] && grep -qs 'Kernel panic' "$dir/console" &&
	! grep -qs 'rust-tux: init' "$dir/console"; then
	again "has died in its boot"
fi
if [ ! -s "$dir/status" ]; then
	cat "$dir/errors" >&2
	# The end alone may be the end of a long trace.
	say "the machine died; what its kernel complained of, and the end of its log:"
	sed -n '/rust-tux: init/,$p' "$dir/console" | grep -aE -m 2 -A 12 \
		-f <(grep -v '^#' "$repo/tests/selftests/complaints") >&2 || :
	tail -n 60 "$dir/console" >&2 || :
	exit 125
fi
exit "$(cat "$dir/status")"
