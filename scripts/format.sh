#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Formats all C code of the tree; --check only says what would change. Releases of clang-format
# disagree with each other, so it is always 14 (Debian 12's). Exits 77 if that is not there.
set -euo pipefail
cd "$(dirname "$0")/.."

program=clang-format-14
if ! command -v $program >/dev/null; then
	echo "format: no $program here"
	exit 77
fi
mode=-i
if [ "${1-}" = --check ]; then
	mode="--dry-run -Werror"
fi
# shellcheck disable=SC2086 # words
find include src guest tools tests \( -name '*.c' -o -name '*.h' \) -print0 2>/dev/null |
	xargs -0 $program $mode
