#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A virtual machine with three desktops, to look at: builds all, makes the image (the first time that
# takes long: Debian, GNOME and the containers are installed), runs the VM with helix-vm, says how
# to see the desktops, and shows live figures until Ctrl-C. Nothing of the VM stays.
#
#   RUN_GUEST=test    the small test guest instead, with test pictures on three outputs: no image
#   RUN_DESKTOPS=...  other desktops: "NAME:COMPOSITOR:WxH[@HZ] ...", with names that end in numbers
#   RUN_FLAVOUR=small an image without GNOME, which is made sooner; then all three run Weston
#   RUN_SECONDS=N     end by itself after N seconds of figures
#   RUN_LISTEN=H:P    where to serve HXFR; default 127.0.0.1:15937
#   RUN_WEB=PORT      where the viewer is served; default 8080
#   RUN_MEMORY=SIZE   of the VM; default 6G, for the test guest 1G
#   RUN_GL=off        no 3D for the desktops; default: drawn by this machine if it can (helix-vm --gl=auto)
#   RUN_CPUS=N        processors of the VM; default: as many as here
set -euo pipefail
cd "$(dirname "$0")/.."

build=build/release
test_guest=build/test-guest
image=build/vm-image
listen=${RUN_LISTEN:-127.0.0.1:15937}
kind=${RUN_GUEST:-desktops}
flavour=${RUN_FLAVOUR:-full}
gnome=gnome
[ "$flavour" = full ] || gnome=weston
read -ra desktops <<<"${RUN_DESKTOPS:-desktop-1:$gnome:1280x720 desktop-2:weston:1024x768 desktop-3:weston:800x600}"
web=${RUN_WEB:-8080}
bridge_port=9876 # of a desktop's bridge in the VM, plus the desktop's number

say() {
	echo "run: $*"
}

dir=
pids=()
names=()
cleanup() {
	local status=$?
	trap '' INT TERM HUP
	[ -z "$dir" ] || say "ending"
	local pid
	for pid in ${pids[@]+"${pids[@]}"}; do
		kill -TERM "$pid" 2>/dev/null || true
	done
	# helix-vm ends on its own within its --shutdown-timeout, and whatever it started with it.
	for pid in ${pids[@]+"${pids[@]}"}; do
		wait "$pid" 2>/dev/null || true
	done
	[ -z "$dir" ] || rm -rf "$dir"
	exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

die() {
	local log
	echo "run: $*" >&2
	for log in "$dir"/*.log; do
		[ ! -s "$log" ] || { echo "--- $(basename "$log")" >&2 && tail -n 20 "$log" >&2; }
	done
	exit 1
}

# start NAME COMMAND...: in the background, its output in NAME.log.
start() {
	local name=$1
	shift
	"$@" >"$dir/$name.log" 2>&1 </dev/null &
	pids+=($!)
	names+=("$name")
}

# wait_for SECONDS WHAT TEST...: until the test holds, as long as all that was started runs.
wait_for() {
	local end=$((SECONDS + $1)) what=$2 i status
	shift 2
	until "$@"; do
		for i in "${!pids[@]}"; do
			kill -0 "${pids[i]}" 2>/dev/null && continue
			status=0
			wait "${pids[i]}" || status=$?
			die "${names[i]} ended, with status $status, before $what"
		done
		[ $SECONDS -lt $end ] || die "in vain: $what"
		sleep 0.1
	done
}

# Runs quietly; what it said is shown only if it failed.
quietly() {
	local output
	if ! output=$("$@" 2>&1); then
		echo "$output" >&2
		exit 1
	fi
}

# Frames of this output arrive; it is plugged in with $2, if given.
streams() {
	"$build/tools/scanout-stream-test" --connect "$listen" --scanout "$1" ${2:+--enable "$2"} \
		--frames 1 --seconds 2 >/dev/null 2>&1
}

build_all() {
	local groups=(build run)
	[ "$kind" = test ] || groups+=(image)
	scripts/setup.sh "${groups[@]}"
	say "building in $build"
	quietly make --no-print-directory $build/build.ninja
	quietly meson compile -C $build
}

helix_vm() {
	start vm $build/tools/helix-vm/helix-vm --runtime-dir "$dir/vm" --listen "$listen" \
		--exporter $build/src/frame-export/helix-frame-export --gl "${RUN_GL:-auto}" --cpus "${RUN_CPUS:-$(nproc)}" \
		--serial "$dir/console.log" "$@"
	wait_for 120 "QEMU runs" test -S "$dir/vm/qmp.sock"
	grep -h accelerator "$dir/vm.log" | sed 's/^info: helix-vm/run/'
}

# Three outputs with test pictures.
run_test_guest() {
	local flip="drm-flipper --follow --pattern bars --rate 30"
	local modes=(1280x720@60 1024x768@60 800x600@60) i
	vm/make-test-guest.sh $test_guest $build/tests/vm/guest-agent $build/tools/drm-flipper
	say "booting $(sed -n 's/^kernel: //p' $test_guest/about)"
	helix_vm --image $test_guest --memory "${RUN_MEMORY:-1G}" --shutdown-timeout 0 \
		--append "\"helix.run=$flip\""
	wait_for 120 "the guest is up" grep -qs "modules are loaded" "$dir/console.log"
	for i in 1 2 3; do
		say "plugging in output $i with ${modes[i - 1]}, and watching it"
		start "viewer$i" $build/tools/scanout-stream-test --connect "$listen" --scanout $i \
			--enable "${modes[i - 1]}" --seconds 1000000
	done
	wait_for 60 "frames came" streams 3
	say "HXFR on $listen; scanouts 0 to 3 show '$flip'"
}

run_desktops() {
	local options=() doors=() desktop name number
	vm/make-vm-image.sh --out $image --build $build --flavour "$flavour"
	for desktop in "${desktops[@]}"; do
		name=${desktop%%:*}
		number=${name##*[!0-9]}
		options+=(--desktop "$desktop")
		options+=(--forward "$((bridge_port + ${number:-0}))=$((bridge_port + ${number:-0}))")
		doors+=(--desktop "$name=127.0.0.1:$((bridge_port + ${number:-0}))")
	done
	say "booting $(sed -n 's/^kernel: //p' $image/about)"
	helix_vm --image $image --snapshot --memory "${RUN_MEMORY:-6G}" --shutdown-timeout 20 \
		"${options[@]}"
	say "waiting for the first desktop; without KVM that takes a minute or two"
	# Which output a desktop gets is its manager's choice: the first one free.
	wait_for 600 "a desktop shows something" streams 1
	# For this machine alone, so without tokens.
	start gateway $build/src/gateway/helix-gateway --no-auth --listen "127.0.0.1:$web" \
		--web-root web "${doors[@]}"
	say "HXFR on $listen. All desktops, as they come up, in a browser:"
	say "    http://127.0.0.1:$web/"
}

build_all
dir=$(mktemp -d "${XDG_RUNTIME_DIR:-${TMPDIR:-/tmp}}/helix-XXXXXX")
say "sockets and logs in $dir"
case $kind in
test) run_test_guest ;;
desktops) run_desktops ;;
*) die "RUN_GUEST=$kind: there are test and desktops" ;;
esac
say "In another terminal, for example:"
say "    $build/tools/scanout-stream-test --connect $listen --scanout 2"
say "QMP on $dir/vm/qmp.sock; the guest's console in $dir/console.log. Ctrl-C ends all this."
trap "exit 0" INT # the way to end it
# As long as the VM runs: an exporter that died is replaced (helix-vm), and hxfr-top begins anew.
end=$((SECONDS + ${RUN_SECONDS:-1000000000}))
while kill -0 "${pids[0]}" 2>/dev/null && [ $SECONDS -lt $end ]; do
	status=0
	timeout --foreground --signal=INT $((end - SECONDS)) $build/tools/hxfr-top --connect "$listen" || status=$?
	case $status in 0 | 124) break ;; esac
	sleep 1
done
