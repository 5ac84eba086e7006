#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# GNOME desktops in a VM with 3D, for a long time: they keep moving, and nothing grows. In the image
# that make test-full has made.
#
#   MINUTES=10 DESKTOPS=4 CYCLES=50 scripts/soak.sh
#
# CYCLES: how often one of the desktops is stopped and started, after that many minutes.
set -euo pipefail
cd "$(dirname "$0")/.."

build=build/release
scripts/setup.sh build run
make --no-print-directory $build/build.ninja build >/dev/null
export HELIX_TEST_VM_IMAGE=${HELIX_TEST_VM_IMAGE:-$PWD/build/vm-image}
export HELIX_FRAME_EXPORT=$PWD/$build/src/frame-export/helix-frame-export
export MINUTES=${MINUTES:-10} DESKTOPS=${DESKTOPS:-4} CYCLES=${CYCLES:-50}
exec $build/tests/vm/soak-desktops-3d
