#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Installs what building, running and testing need, through apt, and says what it does. A second
# run finds everything in place and does nothing. Not root: through sudo.
#
#   scripts/setup.sh [build] [run] [image] [test] [bench] [fuzz]     default: build
#
# Debian 12's own QEMU refuses vhost-user-gpu without KVM, so there QEMU comes from
# bookworm-backports; if apt does not know that suite yet, the machine's own entry for bookworm is
# copied, with the suite's name changed, into /etc/apt/sources.list.d/.

set -euo pipefail
export LC_ALL=C

say() {
	echo "setup: $*"
}

die() {
	echo "setup: $*" >&2
	exit 1
}

build="gcc libc6-dev meson ninja-build pkg-config scdoc libsystemd-dev libx264-dev libdrm-dev
	libjansson-dev libavcodec-dev libavutil-dev libmicrohttpd-dev libwslay-dev
	nettle-dev libgnutls28-dev libpng-dev zlib1g-dev libturbojpeg0-dev libyuv-dev libxkbcommon-dev
	libpipewire-0.3-dev libopus-dev libwayland-dev libvirglrenderer-dev libepoxy-dev"
# libegl1 and its driver: for the renderer.
run="libegl1 libegl-mesa0 libgl1-mesa-dri cpio xz-utils debian-archive-keyring procps dbus-daemon"
browser="nodejs chromium fonts-dejavu-core"
# Comes with Node.js in some packagings, with which Debian's npm cannot be installed.
command -v npm >/dev/null || browser="$browser npm"
test="clang libclang-rt-dev shellcheck groff-base man-db edid-decode mmdebstrap e2fsprogs dbus-daemon
	libxml2-utils libvirt-clients
	libseat-dev python3-dbusmock mutter wl-clipboard pipewire pipewire-bin wireplumber
	sway cage xwayland wev libgbm-dev libegl-dev libgles-dev kmscube glmark2-es2-drm mesa-utils-bin
	$browser"
# vm/make-vm-image.sh; all that it needs besides comes with the image.
image="mmdebstrap cpio xz-utils debian-archive-keyring util-linux meson ninja-build"
bench="libyuv-dev $browser"
fuzz="clang libclang-rt-dev"
# Taken if this suite has it: its output differs from release to release.
test_optional="clang-format-14"
qemu="qemu-system-x86 qemu-system-modules-opengl"

wanted=
optional=
need_qemu=
need_modules=
for group in "${@:-build}"; do
	case $group in
	build) wanted="$wanted $build" ;;
	run)
		wanted="$wanted $run"
		need_qemu=yes
		;;
	test)
		wanted="$wanted $test"
		optional=$test_optional
		need_modules=yes
		;;
	image) wanted="$wanted $image" ;;
	bench)
		wanted="$wanted $bench"
		need_modules=yes
		;;
	fuzz) wanted="$wanted $fuzz" ;;
	*) die "unknown group '$group'; there are build, run, image, test, bench and fuzz" ;;
	esac
done

# 8.2 is the first whose vhost-user-gpu does all that we rely on.
qemu_is_good() {
	local version
	version=$(qemu-system-x86_64 --version 2>/dev/null |
		sed -n 's/^QEMU emulator version \([0-9]*\.[0-9]*\).*/\1/p')
	[ -n "$version" ] && dpkg --compare-versions "$version" ge 8.2 &&
		qemu-system-x86_64 -display help 2>/dev/null | grep -qx dbus
}

# Runs quietly; what it said is shown only if it failed.
quietly() {
	local log
	log=$(mktemp)
	if ! "$@" >"$log" 2>&1; then
		cat "$log" >&2
		rm -f "$log"
		return 1
	fi
	rm -f "$log"
}

# Those of the packages named that are not installed.
missing() {
	local package
	for package in "$@"; do
		grep -qx "$package" <<<"$installed" || echo "$package"
	done | sort -u | tr '\n' ' '
}

# What the browser tests import, in the versions that the lock file names.
install_modules() {
	local dir lock=package-lock.json
	dir=$(dirname "$0")/../tests/browser
	if [ -n "$need_modules" ] && [ ! "$dir/node_modules/.$lock" -nt "$dir/$lock" ]; then
		say "npm ci in tests/browser"
		quietly npm ci --prefix "$dir" --ignore-scripts --no-audit --no-fund ||
			die "npm ci failed in tests/browser"
	fi
}

# The version that apt would take of $1, from suite $2 if given.
candidate() {
	apt-cache ${2:+-t "$2"} policy "$1" 2>/dev/null | sed -n 's/^  Candidate: //p'
}

# Those of the packages named that apt can install.
available() {
	local package
	for package in "$@"; do
		case $(candidate "$package") in
		"" | "(none)") ;;
		*) printf '%s ' "$package" ;;
		esac
	done
}

command -v dpkg-query >/dev/null ||
	die "this is no Debian; please install what these Debian packages hold: ${wanted//[[:space:]]/ } $qemu"
installed=$(dpkg-query -W -f '${db:Status-Abbrev}${Package}\n' | sed -n 's/^ii *//p')
# shellcheck disable=SC2086 # lists of words
packages=$(missing $wanted)
# shellcheck disable=SC2086
extra=$(missing $optional)
if [ -n "$need_qemu" ] && qemu_is_good; then
	need_qemu=
fi
if [ -z "$packages$need_qemu" ]; then
	# shellcheck disable=SC2086
	extra=$(available $extra)
fi
if [ -z "$packages$need_qemu$extra" ]; then
	install_modules
	say "everything is installed"
	exit 0
fi

# shellcheck source=/dev/null
. /etc/os-release
[ "${ID-}" = debian ] ||
	die "only Debian is known here; please install by hand: $packages${need_qemu:+$qemu (8.2 or newer)}"

if [ "$(id -u)" = 0 ]; then
	as_root() {
		"$@"
	}
else
	command -v sudo >/dev/null ||
		die "not root, and there is no sudo; please install as root: $packages${need_qemu:+$qemu}"
	say "not root: using sudo"
	as_root() {
		if [ -t 0 ]; then sudo "$@"; else sudo -n "$@"; fi
	}
fi

apt_get() {
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o Dpkg::Use-Pty=0 "$@"
}

# What an entry of apt's sources says of suite $1, said of suite $2, in the entry's own format.
copy_entry() {
	local file
	for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
		[ -r "$file" ] || continue
		sed -n -e "s/^\(deb .* \)$1\( .*\bmain\b.*\)\$/\1$2\2/p" "$file" | head -n 1 |
			sed 's/ main .*/ main/'
	done | head -n 1 >"$3.list"
	[ -s "$3.list" ] && return
	for file in /etc/apt/sources.list.d/*.sources; do
		[ -r "$file" ] || continue
		grep -v '^#' "$file" | awk -v from="$1" -v to="$2" '
			BEGIN { RS = ""; FS = "\n" }
			/(^|\n)Enabled: *no/ { next }
			{
				ours = 0
				for (i = 1; i <= NF; i++) {
					if ($i ~ /^Suites:/ && ($i " ") ~ ("[ \t]" from "[ \t]")) {
						ours = 1
					}
				}
				if (!ours) {
					next
				}
				for (i = 1; i <= NF; i++) {
					if ($i ~ /^Suites:/) {
						print "Suites: " to
					} else if ($i ~ /^Types:/) {
						print "Types: deb"
					} else if ($i ~ /^Components:/) {
						print "Components: main"
					} else {
						print $i
					}
				}
				exit
			}'
	done | awk 'BEGIN { RS = ""; ORS = "\n" } NR == 1' >"$3.sources"
	[ -s "$3.sources" ]
}

add_backports() {
	local suite=$VERSION_CODENAME-backports work kind
	local target=/etc/apt/sources.list.d/helix-backports
	work=$(mktemp -d)
	copy_entry "$VERSION_CODENAME" "$suite" "$work/entry" ||
		die "apt has no entry for $VERSION_CODENAME to derive $suite from; please add $suite by hand"
	kind=list
	[ -s "$work/entry.list" ] || kind=sources
	say "adding $suite, from where this machine takes $VERSION_CODENAME, as $target.$kind"
	as_root install -m 644 "$work/entry.$kind" "$target.$kind"
	rm -rf "$work"
	if ! quietly apt_get update -o APT::Update::Error-Mode=any; then
		as_root rm -f "$target.$kind"
		die "$suite cannot be had from there; please install QEMU 8.2 or newer by hand"
	fi
}

say "apt-get update"
quietly apt_get update || die "apt-get update failed"
# shellcheck disable=SC2086
packages="$packages$(available $extra)"
if [ -n "$packages" ]; then
	say "installing $packages"
	# shellcheck disable=SC2086
	quietly apt_get install -y --no-install-recommends $packages ||
		die "apt-get install failed"
fi
if [ -n "$need_qemu" ]; then
	from=
	if ! dpkg --compare-versions "$(candidate qemu-system-x86)" ge 1:8.2; then
		from=$VERSION_CODENAME-backports
		dpkg --compare-versions "$(candidate qemu-system-x86 "$from")" ge 1:8.2 ||
			add_backports
	fi
	say "installing $qemu${from:+ from $from}"
	# shellcheck disable=SC2086
	quietly apt_get install -y --no-install-recommends ${from:+-t "$from"} $qemu ||
		die "apt-get install failed"
	qemu_is_good || die "QEMU 8.2 or newer with the D-Bus display was installed, yet does not run"
fi
install_modules
say "done"
