/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "unit.h"
#include "util.h"

struct unit *unit_create(const uint8_t *data, size_t size) {
	struct unit *u = malloc(sizeof(*u) + size);
	if (u) {
		*u = (struct unit){.refs = 1, .size = size};
		memcpy(u->data, data, size);
	}
	return u;
}

struct unit *unit_ref(struct unit *u) {
	u->refs++;
	return u;
}

void unit_unref(struct unit *u) {
	if (u && --u->refs == 0) {
		free(u);
	}
}
