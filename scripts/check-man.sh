#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Man pages against programs: each installed program has a page, each option that --help prints is
# in the page's OPTIONS and the reverse, and pages render without a warning.
#
#   scripts/check-man.sh BUILDDIR
set -euo pipefail
export LC_ALL=C
[ $# = 1 ] || { echo "usage: check-man.sh BUILDDIR" >&2; exit 2; }
build=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."

failed=0
complain() {
	echo "check-man: $*"
	failed=1
}

# Options at the start of lines: what is defined, not what is mentioned.
options_of_help() {
	"$1" --help | sed -n 's/^  \( \{4\}\)\{0,1\}\(-[^ ].*\)/\2/p' | sed 's/  .*//' |
		grep -oE -e '(^|[ ,])--?[A-Za-z0-9][A-Za-z0-9-]*' | tr -d ' ,' | sort -u
}

options_of_page() {
	sed -n '/^# OPTIONS/,/^# [^O]/p' "$1" | grep -E '^\*-' | tr -d '*' |
		grep -oE -e '(^|[ ,])--?[A-Za-z0-9][A-Za-z0-9-]*' | tr -d ' ,' | sort -u
}

# "target path" of each program that is installed.
installed_programs() {
	meson introspect --installed "$build" | tr ',' '\n' |
		sed -n 's|.*"\([^"]*\)": *"[^"]*/s\{0,1\}bin/\([^"/]*\)".*|\1|p' | sort -u
}

for program in $(installed_programs); do
	name=$(basename "$program")
	page=$(find docs/man -name "$name.[18].scd")
	if [ -z "$page" ]; then
		complain "$name has no page in docs/man"
		continue
	fi
	if ! difference=$(diff <(options_of_help "$program") <(options_of_page "$page")); then
		complain "$page and $name --help differ (<: only in --help, >: only in the page)"
		grep '^[<>]' <<<"$difference"
	fi
done

for page in docs/man/*.scd; do
	name=$(basename "$page" .scd)
	[ "$(head -n 1 "$page")" = "${name%.*}(${name##*.})" ] ||
		complain "$page: the first line is not ${name%.*}(${name##*.})"
	grep -qx "  '$name'.*" docs/man/meson.build ||
		complain "$page is not in docs/man/meson.build"
	if ! warnings=$({ scdoc <"$page" | groff -Kutf8 -t -man -Tutf8 -ww -z; } 2>&1) || [ -n "$warnings" ]; then
		complain "$page: $warnings"
	fi
done
exit $failed
