/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Command-line options from one table: the table drives getopt_long, --help and the check that
 * the man page names every option (tests/check-man.sh).
 */
#ifndef HELIX_COMMON_OPTIONS_H
#define HELIX_COMMON_OPTIONS_H

#include <stdbool.h>

struct option_spec {
	const char *name; /* long name, without dashes */
	char short_name;  /* 0 if there is none */
	const char *arg;  /* what --help calls the argument; NULL: takes none */
	const char *help; /* one line; defaults are written here */
	/*
	 * Takes the argument (NULL if there is none). Returns 0, or -EINVAL/-ERANGE for a bad
	 * value, which is then reported with the option's name.
	 */
	int (*set)(const char *value, void *data);
};

struct program_spec {
	const char *name;
	const char *summary;   /* what it does, one line */
	const char *arguments; /* positional arguments as --help shows them; NULL: none taken */
	const struct option_spec *options; /* ends with a NULL name */
};

enum options_result {
	OPTIONS_RUN,   /* go on */
	OPTIONS_EXIT,  /* --help or --version was answered: exit 0 */
	OPTIONS_ERROR, /* the error is on stderr: exit 2 */
};

/*
 * Parses argv; --help and --version are understood by all programs. `*ret_index` is the first
 * positional argument; one too many is an error where `arguments` is NULL.
 */
enum options_result options_parse(
	const struct program_spec *program, int argc, char *argv[], void *data, int *ret_index);

/* option_spec.set of --log-level. */
int options_set_log_level(const char *value, void *data);

#endif
