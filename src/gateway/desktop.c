/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "auth.h"
#include "desktop.h"
#include "thumbnail.h"

static const char *const state_names[] = {
	[DESKTOP_UNKNOWN] = "unknown",
	[DESKTOP_ONLINE] = "online",
	[DESKTOP_RECONNECTING] = "reconnecting",
	[DESKTOP_OFFLINE] = "offline",
};

const char *desktop_state_to_string(enum desktop_state state) {
	return state < ARRAY_SIZE(state_names) ? state_names[state] : NULL;
}

static uint64_t wall_ms(void) {
	struct timespec ts;
	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / NSEC_PER_MSEC;
}

struct desktop *desktop_ref(struct desktop *d) {
	d->refs++;
	return d;
}

void desktop_unref(struct desktop *d) {
	if (d && --d->refs == 0) {
		list_remove(&d->link);
		thumbnail_finish(d);
		free(d);
	}
}

int desktop_add(struct gateway *g, const char *name, struct desktop **ret) {
	struct desktop *d = calloc(1, sizeof(*d));
	if (!d) {
		return -ENOMEM;
	}
	d->refs = 1;
	d->gateway = g;
	d->since_ms = wall_ms();
	(void)snprintf(d->name, sizeof(d->name), "%s", name);
	list_init(&d->thumbnail.waiters);
	list_append(&g->desktops, &d->link);
	*ret = d;
	return 0;
}

void desktop_remove(struct desktop *d) {
	list_remove(&d->link);
	desktop_set_state(d, DESKTOP_OFFLINE);
	thumbnail_finish(d);
	desktop_unref(d);
}

void desktop_set_state(struct desktop *d, enum desktop_state state) {
	if (d->state != state) {
		d->state = state;
		d->since_ms = wall_ms();
	}
}

struct desktop *desktop_find(struct gateway *g, const char *name) {
	struct desktop *d;
	list_for_each(d, &g->desktops, link) {
		if (strcmp(d->name, name) == 0) {
			return d;
		}
	}
	return NULL;
}

int desktops_init(struct gateway *g) {
	for (unsigned i = 0; i < g->options.n_desktops; i++) {
		struct desktop *d;
		int r = desktop_add(g, g->options.desktops[i].name, &d);
		if (r < 0) {
			return r;
		}
		d->direct = &g->options.desktops[i];
	}
	return 0;
}

void desktops_finish(struct gateway *g) {
	while (!list_empty(&g->desktops)) {
		desktop_remove(list_first(&g->desktops, struct desktop, link));
	}
}

static json_t *to_json(const struct desktop *d) {
	char thumbnail[DESKTOP_NAME_SIZE + 64];
	const struct thumbnail *t = &d->thumbnail;
	(void)snprintf(thumbnail, sizeof(thumbnail), "/api/v1/desktops/%s/thumbnail", d->name);
	return json_pack("{s:s, s:s, s:s, s:I, s:i, s:s, s:I, s:I}", "id", d->name, "source",
		d->direct ? "direct" : "revdial", "state", desktop_state_to_string(d->state),
		"since_ms", (json_int_t)d->since_ms, "viewers", (int)d->viewers, "thumbnail",
		thumbnail, "thumbnail_version", (json_int_t)t->version, "thumbnail_age_ms",
		(json_int_t)(t->jpeg ? (int64_t)((now_ns() - t->taken_ns) / NSEC_PER_MSEC) : -1));
}

char *desktops_to_json(struct gateway *g, const struct identity *who) {
	json_t *list = json_array();
	struct desktop *d;
	list_for_each(d, &g->desktops, link) {
		if (identity_may_see(who, d->name)) {
			(void)json_array_append_new(list, to_json(d));
		}
	}
	json_t *root = json_pack("{s:s, s:s, s:o}", "user", who->name, "role",
		auth_role_to_string(who->role), "desktops", list);
	char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
	json_decref(root);
	return text;
}
