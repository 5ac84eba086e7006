#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A virtual machine whose GPU is helix-frame-export, to look at: builds, boots the test guest in an
# unmodified QEMU, plugs in three outputs, flips on them, subscribes to each, and shows live figures
# until Ctrl-C. Nothing of it stays.
#
#   RUN_SECONDS=N     end by itself after N seconds of figures
#   RUN_LISTEN=H:P    where to serve HXFR; default 127.0.0.1:15937
set -euo pipefail
cd "$(dirname "$0")/.."

build=build/release
guest=build/test-guest
listen=${RUN_LISTEN:-127.0.0.1:15937}
kernel_options="console=ttyS0 quiet panic=-1 mitigations=off nowatchdog tsc=reliable \
no_timer_check rcupdate.rcu_expedited=1 random.trust_cpu=on audit=0 vt.global_cursor_default=0"
flip="drm-flipper --follow --pattern bars --rate 30"

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
	local pid i
	for pid in ${pids[@]+"${pids[@]}"}; do
		kill -TERM "$pid" 2>/dev/null || true
	done
	for i in {1..50}; do
		kill -0 ${pids[@]+"${pids[@]}"} 2>/dev/null || break
		sleep 0.1
	done
	for pid in ${pids[@]+"${pids[@]}"}; do
		kill -KILL "$pid" 2>/dev/null || true
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

scripts/setup.sh build run
say "building in $build"
if ! output=$(make --no-print-directory $build/build.ninja &&
	meson compile -C $build helix-frame-export hxfr-top scanout-stream-test drm-flipper \
		guest-agent 2>&1); then
	echo "$output" >&2
	exit 1
fi
vm/make-test-guest.sh $guest $build/tests/vm/guest-agent $build/tools/drm-flipper

dir=$(mktemp -d "${XDG_RUNTIME_DIR:-${TMPDIR:-/tmp}}/helix-XXXXXX")
say "sockets and logs in $dir"
start exporter $build/src/frame-export/helix-frame-export --socket-path "$dir/gpu.sock" \
	--qmp "$dir/qmp-gpu.sock" --listen "$listen"
wait_for 10 "its socket is there" test -S "$dir/gpu.sock"

accel=tcg,thread=multi
if [ -r /dev/kvm ] && [ -w /dev/kvm ]; then
	accel=kvm
fi
say "booting $(sed -n 's/^kernel: //p' $guest/about), accelerator ${accel%%,*}"
start qemu qemu-system-x86_64 -nodefaults -no-user-config -vga none \
	-accel $accel -cpu max -smp 2 -m 1G -machine q35,memory-backend=mem \
	-object memory-backend-memfd,id=mem,size=1G,share=on \
	-chardev "socket,id=gpu,path=$dir/gpu.sock" \
	-device vhost-user-gpu-pci,chardev=gpu,max_outputs=16 -display dbus,p2p=yes \
	-qmp "unix:$dir/qmp-gpu.sock,server=on,wait=off" -qmp "unix:$dir/qmp.sock,server=on,wait=off" \
	-serial "file:$dir/console.log" \
	-kernel $guest/vmlinuz -initrd $guest/initrd.img \
	-append "$kernel_options \"helix.run=$flip\""
wait_for 120 "the guest is up" grep -qs "modules are loaded" "$dir/console.log"

modes=(1280x720@60 1024x768@60 800x600@60)
for i in 1 2 3; do
	say "plugging in output $i with ${modes[i - 1]}, and watching it"
	start "viewer$i" $build/tools/scanout-stream-test --connect "$listen" --scanout $i \
		--enable "${modes[i - 1]}" --seconds 1000000
done
say "HXFR on $listen; scanouts 0 to 3 show '$flip'. In another terminal, for example:"
say "    $build/tools/scanout-stream-test --connect $listen --scanout 2 --check-counter"
say "QMP on $dir/qmp.sock; the guest's console in $dir/console.log. Ctrl-C ends all this."
wait_for 60 "frames came" sh -c "$build/tools/scanout-stream-test --connect $listen --scanout 3 \
	--frames 1 --seconds 2 >/dev/null 2>&1"
trap "exit 0" INT # the way to end it
if [ -n "${RUN_SECONDS-}" ]; then
	timeout --foreground --signal=INT "$RUN_SECONDS" $build/tools/hxfr-top --connect "$listen" ||
		[ $? = 124 ]
else
	$build/tools/hxfr-top --connect "$listen"
fi
