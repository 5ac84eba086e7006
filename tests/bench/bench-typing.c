/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A person types: from a key in a page of Chromium, through the bridge into a desktop of a VM, until
 * the changed picture is painted in the page, split into stages (bench-typing.mjs). Needs
 * HELIX_TEST_VM_IMAGE, as tests/vm/farm.h does, and Chromium.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "farm.h"
#include "test.h"

#define KEYS "60"

/* The terminal shows what is typed, and nothing else moves. */
static const char session_script[] =
	"#!/bin/bash\n"
	"printf '\\e[?25l\\e[48;2;200;30;30m\\e[2J\\e[97m%s\\n' \"$HOSTNAME\"\n"
	"exec cat\n";

static void put_session(struct farm *f) {
	vm_run_ok(f->vm, 60, "cat >/etc/helix/session <<'END'\n%sEND", session_script);
}

static void type_in_page(struct desktop *d) {
	char port[8], *output = NULL;
	(void)snprintf(port, sizeof(port), "%u", d->farm->ports[d->number]);
	const char *const argv[] = {
		HELIX_NODE, HELIX_BENCH_SOURCE "/bench-typing.mjs", port, KEYS, NULL};
	int status = vm_host_run(d->farm->vm, 600, &output, argv);
	/* The table, as TAP has it, without what else is said. */
	char *rest = NULL;
	for (const char *line = strtok_r(output, "\n", &rest); line;
		line = strtok_r(NULL, "\n", &rest)) {
		if (line[0] == '#') {
			printf("%s\n", line);
		}
	}
	(void)fflush(stdout);
	free(output);
	check_int(status, ==, 0);
}

TEST_TIMEOUT(typing_in_weston, 1800) {
	struct farm f;
	struct desktop d;
	farm_start(&f, false);
	put_session(&f);
	desktop_start(&d, &f, 1, "weston", "1280x720");
	desktop_watch(&d);
	desktop_expect(&d, farm_red, 10, FARM_START_SECONDS, "terminal");
	/* No second subscriber. */
	desktop_end(&d);
	type_in_page(&d);
	farm_stop(&f);
}
