#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What the VM's scripts (data/) make of their inputs: generator, CDI specification, podman's command.
# TAP.
set -uo pipefail
data=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
count=0
failed=0

# is WHAT EXPECTED GOT
is() {
	count=$((count + 1))
	if [ "$2" = "$3" ]; then
		echo "ok $count - $1"
	else
		failed=1
		echo "not ok $count - $1"
		printf '# expected: %s\n#      got: %s\n' "$2" "$3"
	fi
}

generate() {
	rm -rf "$dir/out"
	mkdir -p "$dir/out"
	HELIX_CMDLINE=$1 HELIX_DESKTOPS_DIR=$dir/etc \
		"$data/helix-desktops-generator" "$dir/out" "$dir/out" "$dir/out" 2>"$dir/err"
}
started() {
	find "$dir/out/graphical.target.wants" -name '*.service' -printf '%f\n' 2>/dev/null |
		sort | tr '\n' ' '
}

generate "quiet root=/dev/vda"
is "nothing on the command line" "" "$(find "$dir/out" -mindepth 1)"
generate "quiet helix.desktops=desktop-1:gnome:1280x720@75,d-2:weston,d3 helix.exporter=10.0.2.2:9,10.0.2.2:10"
is "desktops of the command line" \
	"helix-desktop@d-2.service helix-desktop@d3.service helix-desktop@desktop-1.service " "$(started)"
is "compositor, size and refresh rate" \
	"HELIX_COMPOSITOR=gnome HELIX_SIZE=1280x720 HELIX_REFRESH=75" \
	"$(xargs <"$dir/out/helix-desktops/desktop-1.env")"
is "the unit reads them" "[Service] EnvironmentFile=$dir/out/helix-desktops/desktop-1.env" \
	"$(xargs <"$dir/out/helix-desktop@desktop-1.service.d/cmdline.conf")"
is "no size" "HELIX_COMPOSITOR=weston" "$(cat "$dir/out/helix-desktops/d-2.env")"
is "exporters" "QEMU_ADDR=10.0.2.2:9,10.0.2.2:10" "$(cat "$dir/out/helix-desktops/exporter.env")"
for bad in ../x a/b 'a:b c' a:/b a:b:1280 a:b:x a:b:1x2@ a:b:1x2@y -a 'a:b:1x2:3'; do
	generate "helix.desktops=${bad// /_},good"
	is "'$bad' is ignored, and said" "helix-desktop@good.service  1" \
		"$(started) $(grep -c ignored "$dir/err")"
done
mkdir -p "$dir/etc"
touch "$dir/etc/one.env" "$dir/etc/not_a_name.env"
generate "helix.desktops=two,*"
is "desktops of /etc; no pattern is expanded" "helix-desktop@one.service helix-desktop@two.service " \
	"$(started)"

card() {
	mkdir -p "$dir/sys/class/drm/$1/device/$3" "$dir/drivers/$2"
	ln -s "$dir/drivers/$2" "$dir/sys/class/drm/$1/device/$3/driver"
}
HELIX_SYS=$dir/sys "$data/helix-cdi" - >/dev/null 2>&1
is "no card" 1 $?
card card0 bochs .
mkdir -p "$dir/sys/class/drm/card1-Virtual-1"
card card1 virtio_gpu virtio1
card card2 virtio_gpu .
HELIX_SYS=$dir/sys "$data/helix-cdi" "$dir/cdi/spec.json"
is "cards of virtio_gpu, no other" "/dev/dri/card1 /dev/dri/card2" \
	"$(grep -o '"hostPath": "/dev/dri/[^"]*' "$dir/cdi/spec.json" | cut -d'"' -f4 | xargs)"
is "the first one is told" 1 "$(grep -c HELIX_DRM_CARD=/dev/dri/card1 "$dir/cdi/spec.json")"
is "each mount is read-only and without devices" \
	"$(grep -c hostPath "$dir/cdi/spec.json")" "$(grep -c '"ro", "nosuid", "nodev"' "$dir/cdi/spec.json")"
render_nodes() {
	python3 -c 'import json, sys
spec = json.load(open(sys.argv[1]))["devices"][0]["containerEdits"]
print(" ".join(n["path"] + ":" + n["permissions"] for n in spec["deviceNodes"]))' "$dir/cdi/spec.json"
}
is "no render node of a card without 3D" "" "$(render_nodes)"
# card1's own, and card2's on the PCI device; the first feature is 3D.
mkdir -p "$dir/sys/class/drm/card1/device/drm/renderD128" "$dir/sys/class/drm/card2/device/drm/renderD129"
echo 1100001 >"$dir/sys/class/drm/card1/device/virtio1/features"
echo 0110001 >"$dir/sys/class/drm/card2/device/features"
HELIX_SYS=$dir/sys "$data/helix-cdi" "$dir/cdi/spec.json"
is "the render node of the card with 3D" "/dev/dri/renderD128:rw" "$(render_nodes)"
echo 1110001 >"$dir/sys/class/drm/card2/device/features"
HELIX_SYS=$dir/sys "$data/helix-cdi" "$dir/cdi/spec.json"
is "two of them" "/dev/dri/renderD128:rw /dev/dri/renderD129:rw" "$(render_nodes)"
is "no card is a device" "" "$(render_nodes | grep -o card)"

run() {
	env -i PATH="$PATH" "$@" "$data/helix-desktop" -n desktop-3
}
has() {
	[[ " $2 " == *" $3 "* ]]
	is "$1" 0 $?
}
command=$(run)
has "the device, by CDI" "$command" "--device helix.dev/scanout=auto"
has "no capability" "$command" "--cap-drop=all --security-opt=no-new-privileges"
has "the root is read-only" "$command" "--read-only"
has "a port of its own" "$command" "--publish 9879:9876"
has "a network of its own" "$command" "--network helix-desktop-3"
has "weston by default" "$command" "localhost/helix-desktop:weston"
! [[ $command == *privileged* || $command == *--device\ /dev* ]]
is "no privilege, no device node" 0 $?
has "mutter is in the image of GNOME" "$(run HELIX_COMPOSITOR=mutter)" "localhost/helix-desktop:gnome"
has "systemd is told by the launcher" "$(run NOTIFY_SOCKET=/x)" "--sdnotify=container"
has "other commands" "$(run HELIX_COMMAND='a b')" "--entrypoint [] localhost/helix-desktop:weston a b"
for bad in "" -x a_b ../x "a b"; do
	"$data/helix-desktop" -n "$bad" >/dev/null 2>&1
	is "no name: '$bad'" 2 $?
done

echo "1..$count"
exit $failed
