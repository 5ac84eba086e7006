#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Functions that this project does not call, and why. Prints each place and fails if there is one.
set -euo pipefail
export LC_ALL=C
cd "$(dirname "$0")/.."

found=0

# ban REASON NAMES DIRECTORY...: calls of functions with these names (a|b|…), comments aside.
ban() {
	local reason=$1 names=$2 hits
	shift 2
	hits=$(find "$@" -name '*.[ch]' -exec awk -v names="$names" '
		{
			code = $0
			gsub(/\/\*[^*]*\*\//, "", code)
			sub(/\/\/.*|\/\*.*|^[ \t]*\*.*/, "", code)
			if (code ~ ("(^|[^A-Za-z0-9_])(" names ")[ \t]*\\(")) {
				print FILENAME ":" FNR ": " $0
			}
		}' {} +)
	if [ -n "$hits" ]; then
		echo "$hits"
		echo "  ^ $reason"
		found=1
	fi
}

everywhere=(src tools tests)
ours=(src tools)
ban "no bound on what is written: snprintf, memcpy" \
	'strcpy|strcat|sprintf|vsprintf|gets|stpcpy' "${everywhere[@]}"
ban "may leave the string unterminated: snprintf" 'strncpy|strncat' "${everywhere[@]}"
ban "hidden state: strtok_r, localtime_r, gmtime_r" 'strtok|localtime|gmtime' "${everywhere[@]}"
ban "hidden state, and no randomness: getrandom" 'rand|srand|random' "${ours[@]}"
ban "takes anything for a number: parse.h" 'atoi|atol|atoll|atof' "${everywhere[@]}"
ban "no bound on the stack" 'alloca' "${everywhere[@]}"
ban "leaks into children: fcntl F_DUPFD_CLOEXEC, accept4, pipe2, …" \
	'dup|accept|pipe|epoll_create|inotify_init' "${ours[@]}"
ban "a sleep stands for an event: wait for that" 'sleep|usleep' "${ours[@]}"
exit $found
