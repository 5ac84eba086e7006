/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include "consoles.h"
#include "util.h"

#define OUR_LABEL "vhost-user-"

static int read_string(sd_bus_message *m, char *ret, size_t size) {
	const char *value;
	int r = sd_bus_message_read(m, "v", "s", &value);
	if (r < 0) {
		return r;
	}
	(void)snprintf(ret, size, "%s", value);
	return 0;
}

static int read_property(sd_bus_message *m, struct console *c) {
	const char *name;
	char type[16];
	int r = sd_bus_message_read(m, "s", &name);
	if (r < 0) {
		return r;
	}
	if (strcmp(name, "Label") == 0) {
		return read_string(m, c->label, sizeof(c->label));
	}
	if (strcmp(name, "DeviceAddress") == 0) {
		return read_string(m, c->address, sizeof(c->address));
	}
	if (strcmp(name, "Head") == 0) {
		return sd_bus_message_read(m, "v", "u", &c->head);
	}
	if (strcmp(name, "Type") == 0) {
		r = read_string(m, type, sizeof(type));
		c->graphic = r >= 0 && strcmp(type, "Graphic") == 0;
		return r;
	}
	return sd_bus_message_skip(m, "v");
}

int console_read(sd_bus_message *m, struct console *c) {
	int r = sd_bus_message_enter_container(m, 'a', "{sv}");
	if (r < 0) {
		return r;
	}
	for (;;) {
		r = sd_bus_message_enter_container(m, 'e', "sv");
		if (r < 0) {
			return r;
		}
		if (r == 0) {
			break;
		}
		r = read_property(m, c);
		if (r < 0) {
			return r;
		}
		r = sd_bus_message_exit_container(m);
		if (r < 0) {
			return r;
		}
	}
	return sd_bus_message_exit_container(m);
}

static bool is_ours(const struct console *c) {
	return strncmp(c->label, OUR_LABEL, strlen(OUR_LABEL)) == 0;
}

/* A label is the device's id, or the name of its kind; of one with several heads ".HEAD" follows. */
static bool has_id(const struct console *c, const char *id) {
	size_t length = strlen(id);
	return strncmp(c->label, id, length) == 0 &&
		(c->label[length] == '\0' || c->label[length] == '.');
}

static bool same_device(const struct console *a, const struct console *b) {
	return a->graphic && b->graphic && strcmp(a->address, b->address) == 0;
}

unsigned consoles_choose(
	const struct console *consoles, size_t n, const char *id, unsigned n_heads, int *ret) {
	const struct console *best = NULL;
	unsigned best_score = 0, found = 0;
	for (size_t i = 0; i < n; i++) {
		unsigned heads = 0;
		for (size_t j = 0; j < n; j++) {
			heads += same_device(&consoles[i], &consoles[j]);
		}
		unsigned score = (heads > 0) + 4U * is_ours(&consoles[i]) + 2U * (heads == n_heads);
		if (heads > 0 && score > best_score && (!id || has_id(&consoles[i], id))) {
			best = &consoles[i];
			best_score = score;
		}
	}
	for (unsigned head = 0; head < n_heads; head++) {
		ret[head] = -1;
	}
	for (size_t i = 0; best && i < n; i++) {
		const struct console *c = &consoles[i];
		if (same_device(best, c) && c->head < n_heads && ret[c->head] < 0) {
			ret[c->head] = (int)i;
			found++;
		}
	}
	return found;
}
