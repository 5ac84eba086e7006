#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Formats all C code of the tree, and names the files that this changes; --check changes nothing, and
# fails if there are any. Releases of clang-format disagree with each other, so it is always 14
# (Debian 12's). Exits 77 if that is not there.
set -euo pipefail
cd "$(dirname "$0")/.."

program=clang-format-14
if ! command -v $program >/dev/null; then
	echo "format: no $program here"
	exit 77
fi
mapfile -t files < <(find include src guest tools tests -name '*.[ch]' 2>/dev/null)
output=$($program --dry-run "${files[@]}" 2>&1) || { echo "$output" && exit 1; }
mapfile -t wrong < <(sed -n 's/^\([^: ]*\):[0-9]*:[0-9]*: .*clang-format-violations.*/\1/p' \
	<<<"$output" | sort -u)
[ ${#wrong[@]} != 0 ] || exit 0
printf '%s\n' "${wrong[@]}"
if [ "${1-}" = --check ]; then
	echo "format: these are not as clang-format would have them; 'make format' mends that"
	exit 1
fi
$program -i "${wrong[@]}"
