# SPDX-License-Identifier: GPL-2.0-or-later
# A thin front of Meson and of the scripts. `make help` lists the targets.

BUILD = build/release
PREFIX = /usr/local

.PHONY: build run test test-full bench fuzz install format check-format clean help

build: $(BUILD)/build.ninja
	@meson compile -C $(BUILD)

$(BUILD)/build.ninja:
	@command -v meson >/dev/null || { echo "Meson is missing: scripts/setup.sh installs what is needed"; exit 1; }
	@meson setup $(BUILD) --buildtype=release

run:
	@scripts/run.sh

test:
	@scripts/test.sh $(if $(FULL),--full)

test-full:
	@$(MAKE) --no-print-directory test FULL=yes

bench:
	@scripts/bench.sh

fuzz:
	@scripts/fuzz.sh

install: $(BUILD)/build.ninja
	@meson configure $(BUILD) -Dprefix=$(PREFIX)
	@meson install -C $(BUILD)

format:
	@scripts/format.sh

check-format:
	@scripts/format.sh --check

clean:
	@rm -rf build

help:
	@echo "make               build into $(BUILD)"
	@echo "make run           a VM with three desktops (the first time makes its image); Ctrl-C ends it"
	@echo "make test          all builds, tests and checks (installs what they need)"
	@echo "make test-full     the same, with GNOME too"
	@echo "make bench         measurements"
	@echo "make fuzz          each fuzz target for FUZZ_SECONDS (60)"
	@echo "make install       install; PREFIX=/usr/local, DESTDIR="
	@echo "make format        format the C code; make check-format only looks"
	@echo "make clean         remove all that was built, and the test guest"
