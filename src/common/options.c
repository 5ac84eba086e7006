/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "config.h"
#include "log.h"
#include "options.h"
#include "util.h"

#define OPTIONS_MAX 64

enum {
	OPT_HELP = 256,
	OPT_VERSION,
	OPT_FIRST, /* option i of the table is OPT_FIRST + i */
};

static void print_help(const struct program_spec *program) {
	printf("Usage: %s [OPTION]...%s%s\n%s\n\n", program->name, program->arguments ? " " : "",
		program->arguments ? program->arguments : "", program->summary);
	for (const struct option_spec *o = program->options; o->name; o++) {
		char left[64];
		char dash[8] = "    ";
		if (o->short_name) {
			(void)snprintf(dash, sizeof(dash), "-%c, ", o->short_name);
		}
		(void)snprintf(left, sizeof(left), "%s--%s%s%s", dash, o->name, o->arg ? "=" : "",
			o->arg ? o->arg : "");
		printf("  %-32s %s\n", left, o->help);
	}
	printf("  %-32s %s\n", "-h, --help", "show this help and exit");
	printf("  %-32s %s\n", "    --version", "show the version and exit");
}

static int apply(const struct program_spec *program, const struct option_spec *o, const char *value,
	void *data) {
	int r = o->set(value, data);
	if (r < 0) {
		fprintf(stderr, "%s: --%s: %s%s'%s'\n", program->name, o->name,
			r == -ERANGE ? "out of range" : "not valid", value ? ": " : "",
			value ? value : "");
	}
	return r;
}

enum options_result options_parse(
	const struct program_spec *program, int argc, char *argv[], void *data, int *ret_index) {
	struct option longs[OPTIONS_MAX + 3] = {
		{"help", no_argument, NULL, OPT_HELP},
		{"version", no_argument, NULL, OPT_VERSION},
	};
	char shorts[2 * OPTIONS_MAX + 4] = "+h";
	size_t n_long = 2, n_short = 2;

	for (size_t i = 0; program->options[i].name && i < OPTIONS_MAX; i++) {
		const struct option_spec *o = &program->options[i];
		longs[n_long++] = (struct option){o->name, o->arg ? required_argument : no_argument,
			NULL, OPT_FIRST + (int)i};
		if (o->short_name) {
			shorts[n_short++] = o->short_name;
			if (o->arg) {
				shorts[n_short++] = ':';
			}
		}
	}

	optind = 1;
	for (;;) {
		int c = getopt_long(argc, argv, shorts, longs, NULL);
		if (c == -1) {
			break;
		}
		if (c == '?') {
			fprintf(stderr, "Try '%s --help'.\n", program->name);
			return OPTIONS_ERROR;
		}
		if (c == 'h' || c == OPT_HELP) {
			print_help(program);
			return OPTIONS_EXIT;
		}
		if (c == OPT_VERSION) {
			printf("%s %s\n", program->name, HELIX_VERSION);
			return OPTIONS_EXIT;
		}
		const struct option_spec *o = program->options;
		if (c >= OPT_FIRST) {
			o += c - OPT_FIRST;
		} else {
			while (o->short_name != c) {
				o++;
			}
		}
		if (apply(program, o, optarg, data) < 0) {
			return OPTIONS_ERROR;
		}
	}
	if (!program->arguments && optind < argc) {
		fprintf(stderr, "%s: unexpected argument '%s'\n", program->name, argv[optind]);
		return OPTIONS_ERROR;
	}
	*ret_index = optind;
	return OPTIONS_RUN;
}

int options_set_log_level(const char *value, void *data) {
	(void)data;
	int level = log_level_from_string(value);
	if (level < 0) {
		return level;
	}
	log_set_level((enum log_level)level);
	return 0;
}
