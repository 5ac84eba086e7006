/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RevDial's lines and paths on every input, as a stream of lines; what is decoded, encoded and decoded
 * again is the same.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/revdial.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(int ok) {
	if (!ok) {
		abort();
	}
}

static void check_message(const struct revdial_message *m) {
	char line[REVDIAL_LINE_MAX], dial[REVDIAL_PATH_MAX];
	struct revdial_message back;
	expect(strlen(m->path) < sizeof(m->path) && strlen(m->err) < sizeof(m->err));
	if (revdial_dial_path(m->path, dial) == 0) {
		expect(strncmp(dial, REVDIAL_PATH, strlen(REVDIAL_PATH)) == 0);
		expect(!strpbrk(dial, " \r\n"));
	}
	(void)revdial_runner_is_valid(m->path);
	(void)revdial_id_is_valid(m->err);
	ssize_t n = revdial_encode(line, sizeof(line), m);
	if (m->command == REVDIAL_UNKNOWN) {
		expect(n < 0);
		return;
	}
	if (n < 0) {
		return; /* escapes made it too long */
	}
	expect(revdial_decode(line, (size_t)n, &back) == n);
	expect(back.command == m->command && strcmp(back.path, m->path) == 0);
	/* An err that was cut may end in half a character, and is then left out. */
	expect(strcmp(back.err, m->err) == 0 || back.err[0] == '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	/* A copy of exactly this size: reading beyond it is noticed. */
	char *copy = malloc(size ? size : 1);
	expect(copy != NULL);
	if (size > 0) {
		memcpy(copy, data, size);
	}
	const char *p = copy;
	for (;;) {
		struct revdial_message m;
		ssize_t n = revdial_decode(p, size, &m);
		expect(n <= (ssize_t)size);
		if (n <= 0) {
			break;
		}
		check_message(&m);
		p += n;
		size -= (size_t)n;
	}
	free(copy);
	return 0;
}
