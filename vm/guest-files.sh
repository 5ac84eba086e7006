#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Of what `meson install` put below a DESTDIR, copies what belongs into the virtual machine, or into
# a container in it. What was not built is left out.
#
#   vm/guest-files.sh vm|container DESTDIR TARGET
set -eu

[ $# -eq 3 ] || {
	echo "usage: guest-files.sh vm|container DESTDIR TARGET" >&2
	exit 2
}
kind=$1
from=$2
to=$3

case $kind in
vm)
	patterns="sbin/helix-drm-manager lib/systemd/system/helix-drm-manager.service
		sbin/helix-input-manager lib/systemd/system/helix-input-manager.service
		bin/helix-lease bin/drm-flipper libexec/helix-scanout
		lib/systemd/system/helix-cdi.service lib/systemd/system/helix-desktop@.service
		lib/systemd/system-generators"
	;;
container)
	patterns="bin/mutter-lease-launcher bin/logind-stub bin/desktop-bridge bin/helix-lease
		bin/drm-flipper share/helix-scanout"
	;;
*)
	echo "guest-files: no '$kind'; vm or container" >&2
	exit 2
	;;
esac

# The prefix is where the build put the program that is always there.
found=$(cd "$from" && find . -type f -name helix-lease -path '*/bin/*' | head -n 1)
[ -n "$found" ] || {
	echo "guest-files: no helix-lease below $from" >&2
	exit 1
}
prefix=${found%/bin/helix-lease}

for pattern in $patterns; do
	# A unit without its program would fail for ever.
	case $pattern in
	*-manager.service)
		program=${pattern##*/}
		[ -e "$from/$prefix/sbin/${program%.service}" ] || continue
		;;
	esac
	if [ -e "$from/$prefix/$pattern" ]; then
		mkdir -p "$to/$prefix/$(dirname "$pattern")"
		cp -a "$from/$prefix/$pattern" "$to/$prefix/$(dirname "$pattern")/"
	else
		echo "guest-files: there is no $pattern" >&2
	fi
done
