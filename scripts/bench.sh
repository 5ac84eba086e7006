#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Runs the benchmarks of a release build, one after the other, and prints what they print.
#
#   scripts/bench.sh [NAME...]      such as encode; default: all
set -euo pipefail
cd "$(dirname "$0")/.."

build=build/release
guest=build/test-guest
scripts/setup.sh build run bench
make --no-print-directory $build/build.ninja build >/dev/null
vm/make-test-guest.sh $guest $build/tests/vm/guest-agent $build/tools/drm-flipper
# Desktops in containers: in the image that make test has made, if it has.
if grep -qs "for tests" build/vm-image/about; then
	export HELIX_TEST_VM_IMAGE=$PWD/build/vm-image
fi
HELIX_TEST_GUEST=$PWD/$guest meson test -C $build --no-rebuild --benchmark --verbose \
	--num-processes 1 "$@"
