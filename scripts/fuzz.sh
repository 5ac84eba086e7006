#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Runs the fuzz targets, each for FUZZ_SECONDS (default 60), with address and undefined-behaviour
# sanitizers. Starts from the corpora in tests/data/corpus; what is found new is kept in
# build/fuzz-corpus, what crashes in build/fuzz-findings. Fails if anything was found.
#
#   scripts/fuzz.sh [TARGET...]     such as hxfr; default: all
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${FUZZ_SECONDS:-60}
dir=build/fuzz
scripts/setup.sh build fuzz
if [ ! -f $dir/build.ninja ]; then
	rm -rf $dir
	CC=clang meson setup $dir -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false \
		>/dev/null
fi
targets=("$@")
if [ $# = 0 ]; then
	mapfile -t targets < <(find tests/fuzz -name 'fuzz-*.c' | sed 's|.*/fuzz-||; s|\.c$||' | sort)
fi
meson compile -C $dir "${targets[@]/#/fuzz-}"

mkdir -p build/fuzz-findings
findings=0
for target in "${targets[@]}"; do
	seeds=tests/data/corpus/$target
	found=build/fuzz-corpus/$target
	mkdir -p "$found"
	# GL compiles shaders, and what takes it long is no fault of ours.
	timeout=20
	[ "$target" != submit ] || timeout=300
	echo "fuzz: $target for $seconds s"
	# shellcheck disable=SC2046
	if ! UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 "$dir/tests/fuzz/fuzz-$target" \
		-max_total_time="$seconds" -timeout=$timeout -rss_limit_mb=4096 -print_final_stats=1 \
		-verbosity=0 -artifact_prefix="build/fuzz-findings/$target-" "$found" \
		$([ ! -d "$seeds" ] || echo "$seeds"); then
		findings=$((findings + 1))
	fi
done
echo "fuzz: ${#targets[@]} targets, $findings with findings"
[ $findings = 0 ]
