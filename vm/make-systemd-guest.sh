#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Makes a test guest that runs systemd: the kernel and modules of the plain test guest
# (vm/make-test-guest.sh), around a minimal Debian in an initramfs, with the programs given and the
# DRM manager's unit. What a test asks is run by guest-agent, here as a service. Needs mmdebstrap,
# and root (or a user namespace, which mmdebstrap finds out by itself).
#
#   vm/make-systemd-guest.sh OUTDIR TESTGUEST UNIT PROGRAM...
#
# The Debian is made once and kept in OUTDIR/cache. Environment:
#   HELIX_SYSTEMD_SUITE   default trixie; the programs must run with its libraries
#   HELIX_DEBIAN_MIRROR   URI of a Debian mirror; default: the one that apt uses here

set -euo pipefail
export LC_ALL=C
umask 022

die() {
	echo "make-systemd-guest: $*" >&2
	exit 1
}

[ $# -ge 4 ] || die "usage: make-systemd-guest.sh OUTDIR TESTGUEST UNIT PROGRAM..."
mkdir -p "$1"
out=$(cd "$1" && pwd)
base=$(cd "$2" && pwd)
unit=$3
shift 3
suite=${HELIX_SYSTEMD_SUITE:-trixie}
cache=$out/cache
mkdir -p "$cache"
for tool in mmdebstrap cpio; do
	command -v "$tool" >/dev/null || die "$tool is missing (apt-get install mmdebstrap cpio)"
done
[ -s "$base/vmlinuz" ] || die "$base: no test guest (vm/make-test-guest.sh makes it)"

mirror() {
	if [ -n "${HELIX_DEBIAN_MIRROR-}" ]; then
		echo "$HELIX_DEBIAN_MIRROR"
		return
	fi
	# shellcheck disable=SC2016 # $(…) is apt's own syntax
	apt-get indextargets --format '$(LABEL)|$(REPO_URI)' 'Identifier: Packages' |
		sed -n -e 's/^Debian|//p' -e 's/^|\(.*\/debian\/*\)$/\1/p' | head -n 1
}

# libdrm and libsystemd for the manager; iproute2 for the network card.
packages=systemd,systemd-sysv,udev,dbus,libdrm2,libsystemd0,iproute2,procps,libjansson4
if [ ! -s "$cache/$suite.tar" ]; then
	uri=$(mirror)
	[ -n "$uri" ] || die "apt knows no Debian mirror; set HELIX_DEBIAN_MIRROR"
	# shellcheck disable=SC2016 # $1 is the hook's own
	mmdebstrap --quiet --format=tar --variant=minbase --include=$packages \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' \
		--dpkgopt='path-exclude=/usr/share/zoneinfo/*' \
		--dpkgopt='path-exclude=/usr/lib/udev/hwdb.d/*' \
		--customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/* "$1"/usr/lib/udev/hwdb.bin' \
		"$suite" "$cache/$suite.tar.new" "deb $uri $suite main"
	mv "$cache/$suite.tar.new" "$cache/$suite.tar"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir "$root"
tar -xf "$cache/$suite.tar" -C "$root" --exclude='./dev/*'
(cd "$work" && mkdir base && cd base && cpio --quiet -idm 'lib/modules/*' 'etc/modules' <"$base/initrd.img")
mkdir -p "$root/usr/lib/modules/test"
cp "$work"/base/lib/modules/*.ko "$root/usr/lib/modules/test/"
cp "$work/base/etc/modules" "$root/etc/test-modules"

for program in "$@"; do
	[ -x "$program" ] || die "$program: no such program"
	install -m 755 "$program" "$root/usr/bin/"
done
# The unit as it is shipped, but for the prefix that the build was told.
sed 's|^ExecStart=[^ ]*/|ExecStart=/usr/bin/|' "$unit" >"$root/etc/systemd/system/helix-drm-manager.service"
ln -sf /dev/null "$root/etc/systemd/system/systemd-networkd-wait-online.service"
for name in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer \
	systemd-firstboot.service systemd-hwdb-update.service getty.target; do
	ln -sf /dev/null "$root/etc/systemd/system/$name"
done
cat >"$root/etc/systemd/system/guest-agent.service" <<'END'
[Unit]
Description=Runs what the test asks
DefaultDependencies=no
[Service]
ExecStart=/usr/bin/guest-agent
KillMode=process
END
mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
ln -sf ../guest-agent.service "$root/etc/systemd/system/multi-user.target.wants/"
echo test-guest >"$root/etc/hostname"
echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
cat >"$root/init" <<'END'
#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
while read -r module; do
	/sbin/insmod "/usr/lib/modules/test/$module.ko" || echo "init: $module was not loaded"
done </etc/test-modules
exec /lib/systemd/systemd --unit=multi-user.target
END
chmod 755 "$root/init"
# insmod is part of kmod, which nothing else here needs.
[ -e "$root/sbin/insmod" ] || (cd "$work/base" && cpio --quiet -idm 'bin/busybox' <"$base/initrd.img" &&
	install -m 755 bin/busybox "$root/usr/sbin/insmod")

(cd "$root" && find . -print0 | sort -z |
	cpio --quiet -0 -o -H newc --owner=0:0 --reproducible) >"$out/initrd.img.new"
mv "$out/initrd.img.new" "$out/initrd.img"
cp "$base/vmlinuz" "$out/vmlinuz"
echo "make-systemd-guest: Debian $suite, $(stat -c %s "$out/initrd.img") bytes"
