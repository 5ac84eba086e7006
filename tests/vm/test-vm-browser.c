/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A person at a browser: Chromium, the gateway, and real desktops in a VM; vm-desktop.js is what
 * the person does.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "farm.h"
#include "test.h"

/*
 * Shows what reaches it by its colour: keys, also pasted ones, are colours themselves, a click is
 * yellow and the wheel cyan; t plays a tone of 1,000 Hz for 20 s, and c copies a text.
 */
static const char session_script[] =
	"#!/bin/bash\n"
	"paint() { printf '\\e[48;2;%sm\\e[2J\\e[3;3H\\e[1m%s' \"$1\" \"$HOSTNAME\"; }\n"
	"tone() { perl -e 'print pack(\"s<*\", map { 8000 * sin($_ * 0.130899694) } 0 .. 960000)' |\n"
	"	pw-cat --playback --raw --rate 48000 --channels 1 --format s16 - ; }\n"
	"mouse() {\n"
	"	local all='' one\n"
	"	while IFS= read -rsn1 one && all=$all$one && [[ $one != [Mm] ]]; do :; done\n"
	"	case $all in\n"
	"	*'<0;'*M) paint '230;200;30' ;;\n"
	"	*'<6'[45]';'*) paint '30;200;220' ;;\n"
	"	esac\n"
	"}\n"
	"printf '\\e[?25l\\e[?1000h\\e[?1006h'\n"
	"paint '200;30;30'\n"
	"while IFS= read -rsn1 key; do\n"
	"	case $key in\n"
	"	r) paint '200;30;30' ;;\n"
	"	g) paint '30;180;60' ;;\n"
	"	b) paint '40;60;220' ;;\n"
	"	t) tone >/dev/null 2>&1 & ;;\n"
	"	c) printf '\\e]52;c;%s\\a' \"$(printf 'from the desktop' | base64)\" ;;\n"
	"	$'\\e') mouse ;;\n"
	"	esac\n"
	"done\n";

static void sit_down(struct farm *f, struct desktop *d, const char *kind) {
	char port[8], *output = NULL;
	(void)snprintf(port, sizeof(port), "%u", f->ports[d->number]);
	const char *const argv[] = {
		HELIX_NODE, HELIX_BROWSER_SOURCE "/vm-desktop.js", kind, port, NULL};
	int status = vm_host_run(f->vm, 1500, &output, argv);
	(void)fprintf(stderr, "%s", output);
	bool none = strstr(output, "# SKIP");
	free(output);
	if (none) {
		skip("no Chromium or no playwright-core (scripts/setup.sh test)");
	}
	if (status != 0) {
		desktop_log(d);
	}
	check_int(status, ==, 0);
}

static void work_in(const char *compositor, bool gnome) {
	struct farm f;
	struct desktop d;
	farm_start(&f, gnome);
	vm_run_ok(f.vm, 60, "cat >/etc/helix/session <<'END'\n%sEND", session_script);
	desktop_start(&d, &f, 1, compositor, "1024x768");
	desktop_watch(&d);
	desktop_expect(&d, farm_red, 5, FARM_START_SECONDS, "terminal");
	desktop_end(&d);
	sit_down(&f, &d, compositor);
	farm_stop(&f);
}

TEST_TIMEOUT(weston_in_a_browser, 2400) {
	work_in("weston", false);
}

TEST_TIMEOUT(gnome_in_a_browser, 3000) {
	work_in("gnome", true);
}
