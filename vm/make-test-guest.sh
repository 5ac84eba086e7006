#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Makes the test guest: a Debian kernel and a small initramfs around the programs given, each with
# the shared libraries that it needs. The guest boots under plain emulation in seconds and runs
# what a test asks (tests/vm/guest-agent.c). No root needed; packages come through the machine's
# own apt configuration, into a private cache.
#
#   vm/make-test-guest.sh [-f] [-g] OUTDIR PROGRAM...
#
#   -f   make it again, even if nothing changed; asks the mirror for a newer kernel
#   -g   with this machine's Mesa, its driver for virtio-gpu only, and programs that draw with it.
#        That is 230 MB, most of it LLVM; so it lies on a disk, and only what is used is read
#
# OUTDIR afterwards holds vmlinuz, initrd.img, with -g disk.img, and `about` (versions). The program called
# guest-agent becomes init's successor. Environment:
#   HELIX_GUEST_SUITE   suite of the kernel; default trixie, then the machine's own suite
#   HELIX_GUEST_CACHE   where packages are kept; default OUTDIR/cache
#   HELIX_DEBIAN_MIRROR URI of a Debian mirror; default: the one that apt uses here

set -euo pipefail
export LC_ALL=C
umask 022

die() {
	echo "make-test-guest: $*" >&2
	exit 1
}

say() {
	echo "make-test-guest: $*"
}

force=
gl=
usage="usage: make-test-guest.sh [-f] [-g] OUTDIR PROGRAM..."
while getopts fg option; do
	case $option in
	f) force=yes ;;
	g) gl=yes ;;
	*) die "$usage" ;;
	esac
done
shift $((OPTIND - 1))
[ $# -ge 2 ] || die "$usage"
mkdir -p "$1"
out=$(cd "$1" && pwd)
shift
here=$(cd "$(dirname "$0")" && pwd)
cache=${HELIX_GUEST_CACHE:-$out/cache}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# Loaded in the guest, each after what it depends on. Missing ones are not an error: some kernels
# have them built in.
modules="virtio-gpu evdev uinput virtio-net"
[ -z "$gl" ] || modules="$modules virtio-blk crc32c-generic ext4"

for tool in apt-get dpkg-deb cpio xz ldd sha256sum ${gl:+mke2fs}; do
	command -v "$tool" >/dev/null ||
		die "$tool is missing (apt-get install apt dpkg cpio xz-utils e2fsprogs)"
done
[ "$(dpkg --print-architecture)" = amd64 ] || die "only amd64 guests can be made for now"

#
# 3D: what programs load at run time is not in their list of libraries.
#
multiarch=x86_64-linux-gnu
gl_programs=()
gl_plugins=()
gl_data=()
if [ -n "$gl" ]; then
	gl_programs=(/usr/bin/kmscube /usr/bin/glmark2-es2-drm /usr/bin/sway
		/usr/bin/{eglinfo,es2gears_wayland}."$multiarch")
	for file in libEGL_mesa.so.0 libGLESv2.so.2 dri/virtio_gpu_dri.so gbm/dri_gbm.so; do
		# Newer Mesas have the last one, older ones have it in libgbm.
		[ ! -e "/usr/lib/$multiarch/$file" ] || gl_plugins+=("/usr/lib/$multiarch/$file")
	done
	gl_data=(/usr/share/glvnd/egl_vendor.d/50_mesa.json /usr/share/glmark2 /usr/share/X11/xkb)
	for file in "${gl_programs[@]}" "${gl_data[@]}" "/usr/lib/$multiarch/dri/virtio_gpu_dri.so"; do
		[ -e "$file" ] || die "$file is missing (apt-get install kmscube glmark2-es2-drm sway" \
			"xkb-data mesa-utils-bin libegl-mesa0 libgl1-mesa-dri)"
	done
fi

#
# Nothing to do?
#
libraries() {
	for program in "$@"; do
		ldd "$program" 2>/dev/null | sed -n 's/^[^/]*\(\/[^ ]*\) (0x.*/\1/p'
	done | sort -u
}

for program in "$@"; do
	[ -x "$program" ] || die "$program: no such program"
done
mapfile -t libs < <(libraries "$@" "${gl_programs[@]}" "${gl_plugins[@]}")
inputs=$(
	{
		echo "${HELIX_GUEST_SUITE-} $gl"
		cat "$0" "$here/test-guest-init"
		sha256sum "$@" "${libs[@]}" "${gl_programs[@]}" "${gl_plugins[@]}" | cut -d' ' -f1
	} | sha256sum | cut -d' ' -f1
)
if [ -z "$force" ] && [ -s "$out/vmlinuz" ] && [ -s "$out/initrd.img" ] &&
	[ "$(cat "$out/inputs" 2>/dev/null)" = "$inputs" ]; then
	say "$out is up to date"
	exit 0
fi
rm -f "$out/inputs"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

#
# Packages, by an apt that shares only the configuration of transports with the machine's.
#
private_apt() {
	local tool=$1
	shift
	"$tool" -q -o Dir::Etc::sourcelist="$cache/sources.list" -o Dir::Etc::sourceparts=/dev/null \
		-o Dir::State="$cache/state" -o Dir::State::status="$cache/status" \
		-o Dir::Cache="$cache/apt" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= \
		-o APT::Sandbox::User="$(id -un)" -o Acquire::Languages=none \
		-o APT::Get::List-Cleanup=0 "$@"
}

# The URI of the mirror that this machine takes Debian itself from.
mirror() {
	if [ -n "${HELIX_DEBIAN_MIRROR-}" ]; then
		echo "$HELIX_DEBIAN_MIRROR"
		return
	fi
	# shellcheck disable=SC2016 # $(…) is apt's own syntax
	apt-get indextargets --format '$(LABEL)|$(REPO_URI)' 'Identifier: Packages' |
		sed -n -e 's/^Debian|//p' -e 's/^|\(.*\/debian\/*\)$/\1/p' | head -n 1
}

use_suite() {
	rm -rf "$cache/state"
	mkdir -p "$cache/state/lists/partial" "$cache/apt/archives/partial"
	: >"$cache/status"
	echo "deb [signed-by=$keyring] $uri $1 main" >"$cache/sources.list"
	private_apt apt-get -o APT::Update::Error-Mode=any update >"$cache/update.log" 2>&1
}

# Downloads a package into the cache, unless it is there; prints its path.
fetch() {
	local found
	found=$(find "$cache" -maxdepth 1 -name "$1_*.deb" | head -n 1)
	if [ -z "$found" ]; then
		(cd "$cache" && private_apt apt-get download "$1") >&2 || die "cannot download $1"
		found=$(find "$cache" -maxdepth 1 -name "$1_*.deb" | head -n 1)
	fi
	echo "$found"
}

own_suite() {
	(
		# shellcheck source=/dev/null
		. /etc/os-release
		echo "${VERSION_CODENAME-}"
	)
}

mkdir -p "$cache"
[ -z "$force" ] || rm -f "$cache"/*.deb
kernel_deb=$(find "$cache" -maxdepth 1 -name 'linux-image-[0-9]*.deb' | head -n 1)
tools_deb=$(find "$cache" -maxdepth 1 -name 'libdrm-tests_*.deb' | head -n 1)
busybox_deb=$(find "$cache" -maxdepth 1 -name 'busybox-static_*.deb' | head -n 1)
if [ -z "$kernel_deb" ] || [ -z "$tools_deb" ] || [ -z "$busybox_deb" ]; then
	uri=$(mirror)
	[ -n "$uri" ] || die "apt knows no Debian mirror; set HELIX_DEBIAN_MIRROR"
	[ -r "$keyring" ] || die "$keyring is missing (apt-get install debian-archive-keyring)"
	for suite in ${HELIX_GUEST_SUITE:-trixie "$(own_suite)"}; do
		say "kernel of Debian $suite, from this machine's mirror"
		if use_suite "$suite"; then
			kernel=$(private_apt apt-cache depends linux-image-amd64 |
				sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
			[ -n "$kernel" ] && kernel_deb=$(fetch "$kernel") && break
		fi
		echo "make-test-guest: Debian $suite cannot be had:" >&2
		grep '^[EW]:' "$cache/update.log" >&2 || true
	done
	[ -n "$kernel_deb" ] || die "no kernel"
	# What runs beside our programs uses this machine's libraries, so it comes from its suite.
	suite=$(own_suite)
	use_suite "$suite" || die "Debian $suite cannot be had"
	tools_deb=$(fetch libdrm-tests)
	busybox_deb=$(fetch busybox-static)
fi

#
# Root file system
#
root=$work/root
mkdir -p "$root"/{bin,dev,etc,lib/modules,lib64,proc,run,sys,tmp}
chmod 1777 "$root/tmp"

mkdir "$work/packages"
dpkg-deb -x "$busybox_deb" "$work/packages"
dpkg-deb -x "$tools_deb" "$work/packages"
busybox=$(find "$work/packages" -path '*bin/busybox' | head -n 1)
modetest=$(find "$work/packages" -path '*bin/modetest' | head -n 1)
install -m 755 "$busybox" "$root/bin/busybox"
for applet in $("$busybox" --list); do
	[ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
done
ln -s bin "$root/sbin"

programs=("$@" "${gl_programs[@]}")
[ -z "$modetest" ] || programs+=("$modetest")
for program in "${programs[@]}"; do
	name=$(basename "$program" ".$multiarch")
	rm -f "$root/bin/$name"
	install -m 755 "$program" "$root/bin/$name"
done
# Each library at the path where the loader looks for it: links are followed.
mapfile -t libs < <(libraries "${programs[@]}" "${gl_plugins[@]}")
for lib in "${libs[@]}" "${gl_plugins[@]}"; do
	install -D -m 755 "$lib" "$root$lib"
done
for file in "${gl_data[@]}"; do
	mkdir -p "$root${file%/*}"
	cp -r "$file" "$root$file"
done
install -m 755 "$here/test-guest-init" "$root/init"

#
# Kernel and modules
#
dpkg-deb --fsys-tarfile "$kernel_deb" >"$work/kernel.tar"
tar -tf "$work/kernel.tar" >"$work/kernel.list"
image=$(grep '^\./boot/vmlinuz-' "$work/kernel.list" | head -n 1)
[ -n "$image" ] || die "$kernel_deb holds no kernel"
tar -xf "$work/kernel.tar" -C "$work" "$image"

# A file is named with - or _ as its author liked; the kernel takes both for the same.
add_module() {
	local name=${1//_/-} member base
	case " $seen " in *" $name "*) return ;; esac
	seen="$seen $name"
	member=$(grep -m 1 "/${name//-/[-_]}\.ko\(\.[a-z]*\)\?\$" "$work/kernel.list" || true)
	[ -n "$member" ] || return 0
	tar -xf "$work/kernel.tar" -C "$work" "$member"
	base=${member##*/}
	base=${base%%.*}
	case $member in
	*.xz) xz -dc "$work/$member" >"$root/lib/modules/$base.ko" ;;
	*.zst) zstd -qdc "$work/$member" >"$root/lib/modules/$base.ko" ;;
	*) cp "$work/$member" "$root/lib/modules/$base.ko" ;;
	esac
	local needs
	needs=$(tr '\0' '\n' <"$root/lib/modules/$base.ko" | sed -n 's/^depends=//p' | head -n 1)
	local need
	for need in ${needs//,/ }; do
		add_module "$need"
	done
	echo "$base" >>"$root/etc/modules"
}

seen=
: >"$root/etc/modules"
grep '/kernel/.*\.ko' "$work/kernel.list" >"$work/modules.list" || die "no modules in the kernel"
mv "$work/modules.list" "$work/kernel.list"
for module in $modules; do
	add_module "$module"
done

# With the libraries there, nothing but the shell runs before the disk is mounted.
rm -f "$out/disk.img"
if [ -n "$gl" ]; then
	mkdir -p "$root/usr/lib"
	cp -r "$root/lib/$multiarch" "$root/usr/lib/"
	rm -rf "${root:?}/lib/$multiarch"
	ln -s "/usr/lib/$multiarch" "$root/lib/$multiarch"
	size=$(du -sm "$root/usr" | cut -f1)
	mke2fs -q -t ext2 -d "$root/usr" "$work/disk.img" $((size + size / 8 + 8))M >/dev/null
	rm -rf "${root:?}/usr"
	mkdir "$root/usr"
	mv "$work/disk.img" "$out/disk.img"
fi

#
# The result. Not compressed: unpacking costs the emulated processor more than loading does.
#
(cd "$root" && find . -print0 | sort -z |
	cpio --quiet -0 -o -H newc --owner=0:0 --reproducible) >"$work/initrd.img"
mv "$work/initrd.img" "$out/initrd.img"
mv "$work/$image" "$out/vmlinuz"
{
	echo "kernel: $(basename "$kernel_deb" .deb)"
	echo "modules: $(tr '\n' ' ' <"$root/etc/modules")"
	echo "programs: $(for p in "${programs[@]}"; do printf '%s ' "$(basename "$p")"; done)"
} >"$out/about"
echo "$inputs" >"$out/inputs"
sed 's/^/make-test-guest: /' "$out/about"
