#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Makes the virtual machine for desktops: Debian from packages, our guest programs, podman, and the
# container images, ready to run. As root, or in a user namespace where the machine allows that
# (uidmap, and a range of ids in /etc/subuid).
#
#   vm/make-vm-image.sh --out DIR [OPTION...]
#
#   --flavour small|full   small (default): desktops with weston; full: also mutter and GNOME
#   --test                 for tests: the agent of tests/vm, and root on the serial console without
#                          a password
#   --build DIR            Meson's build directory that has the agent; default build/release
#   --programs DIR         take our programs from this Meson build directory; default: they are built
#                          with the VM's own compiler and libraries, which may be others than here
#   --size SIZE            of the disk, a sparse file; default 8G
#   --date YYYYMMDD        packages of that day, from snapshot.debian.org (or --mirror), and all
#                          times set to it
#   --mirror URI           Debian mirror; default: the one that apt uses here
#   --cache DIR            where base systems and layers are kept; default DIR/cache
#   -f                     make it again, with the mirror's newest packages
#
# DIR afterwards holds vmlinuz, initrd.img, disk.img, cmdline (recommended for the kernel) and
# `about`. The disk is meant to be used with QEMU's snapshot=on, or as a backing file.

set -euo pipefail
export LC_ALL=C
umask 022
suite=trixie
usage() {
	sed -n 's/^#   \(.*\)/\1/p' "$0" | sed -n 1,14p
}

die() {
	echo "make-vm-image: $*" >&2
	exit 1
}

say() {
	echo "make-vm-image: $*"
}

wrong() {
	echo "make-vm-image: $*" >&2
	usage >&2
	exit 2
}

here=$(cd "$(dirname "$0")" && pwd)
out='' flavour=small test='' build=$here/../build/release programs='' size=8G date='' uri='' cache=''
force=
arguments=("$@")
while [ $# -gt 0 ]; do
	case $1 in
	--test) test=yes ;;
	-f) force=yes ;;
	-h | --help)
		usage
		exit 0
		;;
	--out | --flavour | --build | --programs | --size | --date | --mirror | --cache)
		[ $# -ge 2 ] || wrong "$1 needs a value"
		case $1 in
		--out) out=$2 ;;
		--flavour) flavour=$2 ;;
		--build) build=$2 ;;
		--programs) programs=$2 ;;
		--size) size=$2 ;;
		--date) date=$2 ;;
		--mirror) uri=$2 ;;
		--cache) cache=$2 ;;
		esac
		shift
		;;
	*) wrong "what is '$1'?" ;;
	esac
	shift
done
[ -n "$out" ] || wrong "--out is missing"
case $flavour in
small) targets="weston" ;;
full) targets="weston gnome" ;;
*) wrong "no flavour '$flavour'; small or full" ;;
esac
case $date in
"" | [0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]) ;;
*) wrong "--date '$date' is no YYYYMMDD" ;;
esac

# Mounts of ours are to vanish with us, whatever happens.
if [ -z "${HELIX_IMAGE_NAMESPACE-}" ]; then
	export HELIX_IMAGE_NAMESPACE=yes
	if [ "$(id -u)" = 0 ]; then
		exec unshare --mount "$0" "${arguments[@]}"
	fi
	unshare --user --map-root-user --map-auto --mount true 2>/dev/null ||
		die "not root, and no user namespace with a range of ids (uidmap, /etc/subuid) either"
	exec unshare --user --map-root-user --map-auto --mount "$0" "${arguments[@]}"
fi

for tool in mmdebstrap cpio xz unshare sha256sum; do
	command -v "$tool" >/dev/null || die "$tool is missing (scripts/setup.sh image)"
done
mkdir -p "$out"
out=$(cd "$out" && pwd)
cache=${cache:-$out/cache}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
work=$(mktemp -d "$cache/work-XXXXXX")
# The root file system with all that is mounted on it is seen below $mnt only, so that what deletes
# $work never comes across a mount.
mnt=$work.mnt
mkdir "$mnt"
cleanup() {
	umount --recursive --lazy "$mnt" 2>/dev/null || true
	rmdir "$mnt" || true
	rm -rf --one-file-system "$work"
}
trap cleanup EXIT

if [ -n "$date" ]; then
	SOURCE_DATE_EPOCH=$(date -u -d "$date" +%s)
	uri=${uri:-http://snapshot.debian.org/archive/debian/${date}T000000Z}
else
	: "${SOURCE_DATE_EPOCH:=$(date +%s)}"
fi
export SOURCE_DATE_EPOCH

# The URI of the mirror that this machine takes Debian itself from.
mirror() {
	# shellcheck disable=SC2016 # $(…) is apt's own syntax
	apt-get indextargets --format '$(LABEL)|$(REPO_URI)' 'Identifier: Packages' |
		sed -n -e 's/^Debian|//p' -e 's/^|\(.*\/debian\/*\)$/\1/p' | head -n 1
}
uri=${uri:-${HELIX_DEBIAN_MIRROR:-$(mirror)}}
[ -n "$uri" ] || die "apt knows no Debian mirror; use --mirror"

#
# Base systems: of the container images, of the VM, and to build in
#
# base NAME [PACKAGES]: a tar of a minimal Debian, in the cache; its path in $tar
base() {
	local name=$1 include=${2-} key
	key=$({ echo "$suite $include $date $uri" && declare -f base; } | sha256sum | cut -c1-16)
	tar=$cache/$name-$key.tar
	[ -z "$force" ] || rm -f "$tar"
	[ ! -s "$tar" ] || return 0
	say "Debian $suite for the $name, with ${include:-nothing more}"
	# The kernel's package wants an initramfs made; INITRD=No tells its hook that ours will do.
	# shellcheck disable=SC2016 # $1 is the hook's own
	INITRD=No mmdebstrap --quiet --format=tar --variant=minbase ${include:+--include="$include"} \
		${date:+--aptopt='Acquire::Check-Valid-Until "false"'} \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt=force-unsafe-io \
		--customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/* "$1"/var/log/*' \
		--customize-hook='rm -f "$1"/usr/lib/udev/hwdb.bin' \
		"$suite" "$tar.new" "deb $uri $suite main" || die "mmdebstrap failed"
	mv "$tar.new" "$tar"
}

#
# Our programs. The build is kept in the cache, so that only what changed is compiled again.
#
# in_build_root COMMAND...: with this source tree in /source, the build in /build, $work in /out
in_build_root() {
	# shellcheck disable=SC2016 # the inner shell's own
	unshare --mount sh -ec '
		mount --make-rprivate /
		mount -t proc proc "$1/proc"
		mount --rbind /dev "$1/dev"
		mount --bind "$2" "$1/source"
		mount --bind "$3" "$1/build"
		mount --bind "$4" "$1/out"
		root=$1
		shift 4
		exec chroot "$root" /usr/bin/env -i PATH=/usr/bin:/bin LC_ALL=C.UTF-8 "$@"' \
		sh "$build_root" "$here/.." "$cache/build" "$work" "$@"
}
quietly() {
	"$@" >"$work/log" 2>&1 || { tail -n 40 "$work/log" >&2 && die "failed: $*"; }
}

# What meson.build marks for the VM, or for the containers, and for both. "install_programs KIND
# COMMAND...", the command being meson install.
install_programs() {
	local kind=$1
	shift
	quietly "$@" --no-rebuild --tags "guest,$kind"
}

if [ -n "$programs" ]; then
	for kind in vm container; do
		install_programs $kind env DESTDIR="$work/programs-$kind" meson install -C "$programs"
	done
else
	# What scripts/setup.sh installs to build on any Debian.
	base build "$(sed -n '/^build="/,/"$/p' "$here/../scripts/setup.sh" | sed 's/^build=//' |
		tr -d '"' | xargs | tr ' ' ,)"
	build_root=$cache/root-$(basename "$tar" .tar)
	if [ ! -e "$build_root/out" ]; then
		rm -rf "$cache"/build "$cache"/root-*
		mkdir "$build_root"
		tar -xf "$tar" -C "$build_root" --exclude='./dev/*'
		mkdir "$build_root"/{source,out,build}
	fi
	mkdir -p "$cache/build"
	say "our programs"
	[ -e "$cache/build/build.ninja" ] ||
		quietly in_build_root meson setup /build /source --buildtype=release -Dtests=disabled
	quietly in_build_root ninja -C /build guest-programs
	for kind in vm container; do
		install_programs $kind in_build_root env DESTDIR="/out/programs-$kind" \
			meson install -C /build
	done
fi
agent=
if [ -n "$test" ]; then
	agent=$build/tests/vm/guest-agent
	[ -x "$agent" ] || die "$agent is missing"
fi

#
# Nothing to do?
#
# What a key names: the contents and modes of files, not their times.
fingerprint() {
	local path
	for path in "$@"; do
		find "$path" -type f -printf '%P %m\n' | sort
		find "$path" -type f -print0 | sort -z | xargs -0 -r sha256sum | cut -d' ' -f1
		find "$path" -type l -printf '%P %l\n' | sort
	done
}
inputs=$(
	{
		echo "$flavour $test $size $date $uri"
		fingerprint "$0" "$here/image" "$here/container" \
			"$work/programs-vm" "$work/programs-container" ${agent:+"$agent"}
	} | sha256sum | cut -d' ' -f1
)
if [ -z "$force" ] && [ -s "$out/disk.img" ] &&
	[ "$(cat "$out/inputs" 2>/dev/null)" = "$inputs" ]; then
	say "$out is up to date"
	exit 0
fi
rm -f "$out/inputs"

#
# The VM's system: busybox for the initrd; e2fsprogs makes the file system; libjansson for tools.
#
packages=linux-image-amd64,systemd,systemd-sysv,systemd-resolved,udev,dbus,kmod,iproute2,procps
packages=$packages,nftables,podman,crun,netavark,aardvark-dns,busybox-static,e2fsprogs
packages=$packages,libdrm2,libsystemd0,libjansson4,ca-certificates

base container
container_tar=$tar
base vm $packages
vm_tar=$tar

root=$work/root
mkdir "$root"
tar -xf "$vm_tar" -C "$root" --exclude='./dev/*'

#
# A place where the VM's own programs run, podman above all: its version made the images that it
# will run.
#
store=$cache/containers
mkdir -p "$store" "$root/usr/lib/helix/containers" "$root/var/tmp"
mount --make-rprivate /
mount --bind "$root" "$mnt"
mount --bind "$store" "$mnt/usr/lib/helix/containers"
mount -t proc proc "$mnt/proc"
mount --rbind /sys "$mnt/sys"
mount --rbind /dev "$mnt/dev"
mount -t tmpfs tmpfs "$mnt/run"
mount -t tmpfs tmpfs "$mnt/tmp"
mkdir -p "$mnt"/run/{context,programs,rootfs,out,tars}
mount --bind "$here/container" "$mnt/run/context"
mount --bind "$work/programs-container" "$mnt/run/programs"
mount --bind "$cache" "$mnt/run/tars"
mount --bind "$out" "$mnt/run/out"
cp --remove-destination -L /etc/resolv.conf "$root/etc/resolv.conf"

inside() {
	chroot "$mnt" /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin \
		HOME=/root SOURCE_DATE_EPOCH="$SOURCE_DATE_EPOCH" \
		PODMAN_IGNORE_CGROUPSV1_WARNING=1 \
		${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} "$@"
}

images() {
	inside podman --root /usr/lib/helix/containers --runroot /run/containers-build \
		--storage-driver overlay --events-backend none "$@"
}

# A program that lacks a library here would only be found out at boot.
check_libraries() {
	local program missing
	for program in "$work"/programs-vm/usr/local/*bin/*; do
		missing=$(inside ldd "/${program#"$work/programs-vm/"}" 2>&1 | grep 'not found' || true)
		[ -z "$missing" ] || die "${program##*/} does not run with Debian $suite:
$missing
(build it there, or on an older system: the libraries of $suite must do)"
	done
}

cp -a "$work/programs-vm/." "$root/"
check_libraries

#
# Container images. The base is imported under a name that says what it is made of.
#
container_base=localhost/helix-base:$(basename "$container_tar" .tar | sed 's/.*-//')
images image exists "$container_base" ||
	images import --quiet "/run/tars/$(basename "$container_tar")" "$container_base" >/dev/null
for target in $targets; do
	say "container image $target"
	# Without a namespace of its own for each step: that works wherever chroot does.
	images build --isolation chroot --network host --layers ${force:+--no-cache} \
		--ulimit "nofile=$(ulimit -Hn):$(ulimit -Hn)" \
		--ulimit "nproc=$(ulimit -Hu):$(ulimit -Hu)" \
		--timestamp "$SOURCE_DATE_EPOCH" \
		--build-arg BASE="$container_base" --build-context programs=/run/programs \
		--target "$target" --tag "localhost/helix-desktop:$target" \
		--file /run/context/Containerfile /run/context >"$work/build.log" 2>&1 ||
		{ tail -n 40 "$work/build.log" >&2 && die "image $target was not built"; }
done
images image prune --force >/dev/null
rm -rf "$store/libpod" "$store/db.sql" "$store/volumes" "$store/secrets"

#
# The VM's own system
#
cp -a --no-preserve=ownership "$here/image/rootfs/." "$root/"
# Good enough for what can be made again, not for what is run.
sed -i '/force-unsafe-io/d' "$root"/etc/dpkg/dpkg.cfg.d/*
: >"$root/etc/machine-id" # made up at each boot, yet no "first boot"
inside systemctl --quiet enable systemd-networkd.service systemd-resolved.service \
	helix-drm-manager.service helix-cdi.service
[ ! -e "$root/usr/local/lib/systemd/system/helix-input-manager.service" ] ||
	inside systemctl --quiet enable helix-input-manager.service
inside systemctl --quiet disable e2scrub_reap.service netavark-dhcp-proxy.service \
	netavark-dhcp-proxy.socket systemd-networkd-wait-online.service 2>/dev/null
inside systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
	e2scrub_all.timer fstrim.timer ldconfig.service systemd-firstboot.service \
	systemd-hwdb-update.service systemd-journal-catalog-update.service \
	systemd-update-done.service systemd-binfmt.service systemd-pcrmachine.service \
	systemd-pcrphase.service systemd-pcrphase-sysinit.service systemd-tpm2-setup.service \
	systemd-tpm2-setup-early.service systemd-hibernate-clear.service
if [ -n "$test" ]; then
	install -m 755 "$agent" "$root/usr/local/bin/guest-agent"
	cp -a --no-preserve=ownership "$here/image/test/." "$root/"
	inside systemctl --quiet enable guest-agent.service
	inside passwd --quiet --delete root
fi
# What podman makes at its first start, and a network for each desktop.
inside podman --events-backend none info >/dev/null
for i in {1..15}; do
	inside podman --events-backend none network create --ignore --disable-dns \
		--opt isolate=true "helix-desktop-$i" >/dev/null
done
ln -sf ../run/systemd/resolve/resolv.conf "$root/etc/resolv.conf"
rm -rf "$root"/var/log/* "$root"/var/cache/* "$root/etc/.pwd.lock"
mkdir -p "$root/var/log" "$root/etc/helix/desktops"

#
# Kernel and initrd. Not compressed: unpacking costs an emulated processor more than loading does.
#
kernel=$(basename "$root"/usr/lib/modules/*)
initrd=$work/initrd
modules=$root/usr/lib/modules/$kernel
mkdir -p "$initrd"/{bin,dev,etc,lib/modules,proc,sys,sysroot}
install -m 755 "$root/usr/bin/busybox" "$initrd/bin/busybox"
for applet in findfs insmod mount sh sleep switch_root umount; do
	ln -s busybox "$initrd/bin/$applet"
done
install -m 755 "$here/image/initrd-init" "$initrd/init"

# The file of a module, which is named with - or _ as its author liked.
module_file() {
	find "$modules/kernel" -name "${1//[-_]/[-_]}.ko*" | head -n 1
}
add_module() {
	local file=$1 base need
	base=$(basename "$file" | sed 's/\.ko.*//')
	[ ! -e "$initrd/lib/modules/$base.ko" ] || return 0
	for need in $(sed -n "s|^${file#"$modules"/}:||p" "$modules/modules.dep" | tr ' ' '\n' | tac); do
		add_module "$modules/$need"
	done
	case $file in
	*.xz) xz -dc "$file" >"$initrd/lib/modules/$base.ko" ;;
	*.zst) zstd -qdc "$file" >"$initrd/lib/modules/$base.ko" ;;
	*) cp "$file" "$initrd/lib/modules/$base.ko" ;;
	esac
	echo "$base" >>"$initrd/etc/modules"
}
# The card comes first of all things: what is loaded later may wait for it. ext4 asks for crc32c by
# the name of the algorithm, so no dependency says so.
for name in crc32c_generic crc32c-intel virtio_blk ext4 virtio-gpu; do
	file=$(module_file $name)
	[ -z "$file" ] || add_module "$file"
done
find "$initrd" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
(cd "$initrd" && find . -print0 | sort -z |
	cpio --quiet -0 -o -H newc --owner=0:0 --reproducible) >"$out/initrd.img.new"
cp "$root/boot/vmlinuz-$kernel" "$out/vmlinuz.new"
rm -rf "${root:?}/boot"
mkdir "$root/boot"

#
# The disk, by the VM's own mke2fs.
#
if [ -n "$date" ]; then
	find "$root" -xdev -newermt "@$SOURCE_DATE_EPOCH" \
		-exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
fi
mount --bind "$root" "$mnt/run/rootfs"
mount --bind "$store" "$mnt/run/rootfs/usr/lib/helix/containers"
uuid=${inputs:0:8}-${inputs:8:4}-4${inputs:12:3}-8${inputs:15:3}-${inputs:18:12}
rm -f "$out/disk.img.new"
inside mke2fs -q -F -t ext4 -m 0 -L helix-root -U "$uuid" \
	-E "lazy_itable_init=1,lazy_journal_init=1,hash_seed=$uuid" \
	-d /run/rootfs /run/out/disk.img.new "$size"

for file in vmlinuz initrd.img disk.img; do
	mv "$out/$file.new" "$out/$file"
done
# tsc and timers: what makes an emulated processor faster and hurts no other.
echo "root=LABEL=helix-root console=tty0 console=ttyS0 quiet panic=-1 nowatchdog \
tsc=reliable no_timer_check rcupdate.rcu_expedited=1 random.trust_cpu=on audit=0 \
vt.global_cursor_default=0" >"$out/cmdline"
{
	echo "flavour: $flavour${test:+, for tests}"
	echo "kernel: $kernel"
	echo "packages of: ${date:-$(date -u -d "@$(stat -c %Y "$vm_tar")" +%Y%m%d)}"
	echo "disk: $size, $(du -h "$out/disk.img" | cut -f1) used"
	images images --format 'container image: {{.Repository}}:{{.Tag}}, {{.Size}}' |
		grep -v '<none>' || true
} >"$out/about"
echo "$inputs" >"$out/inputs"
sed 's/^/make-vm-image: /' "$out/about"
