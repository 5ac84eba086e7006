/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who else is looking, and where their pointers are. Viewers with the same session_id see each
 * other. Pointers are never queued: each viewer has a bit per peer that moved, and is told of the
 * newest position when its socket can take it.
 */
#include <string.h>

#include "proto/ws-messages.h"
#include "util.h"
#include "viewer.h"

#define SLOTS 64u

static const char *const colours[] = {
	"#F24822",
	"#FF7262",
	"#FFCD29",
	"#14AE5C",
	"#0D99FF",
	"#9747FF",
	"#FF6B6B",
	"#4ECDC4",
	"#45B7D1",
	"#96CEB4",
	"#FFEAA7",
	"#DDA0DD",
};

static bool same_session(const struct viewer *a, const struct viewer *b) {
	return a->started && b->started && a->init.session_id[0] &&
		strcmp(a->init.session_id, b->init.session_id) == 0;
}

static void send_user(struct viewer *to, const struct viewer *about, enum ws_user_action action) {
	static struct ws_remote_user msg; /* large, and there is one thread */
	uint8_t buf[WS_REMOTE_USER_SIZE + 2 * WS_TEXT_MAX + WS_AVATAR_MAX + 8];
	msg.action = (uint8_t)action;
	msg.client_id = about->id;
	memcpy(msg.name, about->init.user_name, sizeof(msg.name));
	memcpy(msg.colour, about->colour, sizeof(msg.colour));
	memcpy(msg.avatar, about->init.avatar_url, sizeof(msg.avatar));
	ssize_t n = ws_encode_remote_user(buf, sizeof(buf), &msg);
	if (n > 0) {
		(void)ws_conn_send_binary(to->conn, buf, (size_t)n);
	}
}

static unsigned free_slot(const struct bridge *b) {
	const struct viewer *v;
	uint64_t used = 0;
	list_for_each(v, &b->viewers, link) {
		used |= v->started && v->slot < SLOTS ? UINT64_C(1) << v->slot : 0;
	}
	return used == UINT64_MAX ? SLOTS : (unsigned)__builtin_ctzll(~used);
}

/* `v` is already in the list of viewers, and started. */
void presence_join(struct viewer *v) {
	struct bridge *b = v->bridge;
	struct viewer *other;
	uint8_t buf[WS_SELF_ID_SIZE];
	v->slot = SLOTS;
	v->slot = free_slot(b);
	memcpy(v->colour, colours[b->next_colour++ % ARRAY_SIZE(colours)], WS_COLOUR_SIZE);
	if (!v->init.session_id[0]) {
		return;
	}
	(void)ws_encode_self_id(buf, sizeof(buf), v->id);
	(void)ws_conn_send_binary(v->conn, buf, sizeof(buf));
	list_for_each(other, &b->viewers, link) {
		if (same_session(v, other)) {
			send_user(other, v, WS_USER_JOINED);
		}
	}
	list_for_each(other, &b->viewers, link) {
		if (other != v && same_session(v, other)) {
			send_user(v, other, WS_USER_JOINED);
		}
	}
}

/* `v` is in the list of viewers no more. */
void presence_leave(struct viewer *v) {
	struct viewer *other;
	list_for_each(other, &v->bridge->viewers, link) {
		other->moved &= v->slot < SLOTS ? ~(UINT64_C(1) << v->slot) : UINT64_MAX;
		if (same_session(v, other)) {
			send_user(other, v, WS_USER_LEFT);
		}
	}
}

void presence_moved(struct viewer *v) {
	struct viewer *other;
	(void)sd_event_source_set_enabled(v->bridge->moved, SD_EVENT_ONESHOT);
	list_for_each(other, &v->bridge->viewers, link) {
		if (other != v && same_session(v, other) && v->slot < SLOTS) {
			other->moved |= UINT64_C(1) << v->slot;
		}
	}
}

/* After all that came in one turn of the loop. */
int presence_handle_moved(sd_event_source *source, void *data) {
	struct bridge *b = data;
	struct viewer *v;
	list_for_each(v, &b->viewers, link) {
		if (v->moved) {
			ws_conn_kick(v->conn);
		}
	}
	return 0;
}

static int32_t scaled(double part, uint16_t size) {
	return (int32_t)(part * size);
}

size_t presence_next_cursor(struct viewer *v, uint8_t *buf, size_t size) {
	const struct viewer *other;
	uint16_t width, height;
	viewer_picture_size(v, &width, &height);
	while (v->moved) {
		unsigned slot = (unsigned)__builtin_ctzll(v->moved);
		v->moved &= v->moved - 1;
		list_for_each(other, &v->bridge->viewers, link) {
			if (other->slot != slot || !same_session(v, other)) {
				continue;
			}
			struct ws_remote_cursor msg = {
				.client_id = other->id,
				.x = scaled(other->x, width),
				.y = scaled(other->y, height),
			};
			memcpy(msg.colour, other->colour, sizeof(msg.colour));
			ssize_t n = ws_encode_remote_cursor(buf, size, &msg);
			return n > 0 ? (size_t)n : 0;
		}
	}
	return 0;
}

void presence_touched(struct viewer *v, const struct ws_event *e) {
	struct viewer *other;
	uint8_t buf[WS_REMOTE_TOUCH_SIZE + WS_COLOUR_SIZE];
	uint16_t width, height;
	viewer_picture_size(v, &width, &height);
	struct ws_remote_touch msg = {
		.client_id = v->id,
		.touch_id = e->slot,
		.event = (uint8_t)e->touch,
		.x = scaled(e->x, width),
		.y = scaled(e->y, height),
		.pressure = UINT16_MAX,
	};
	memcpy(msg.colour, v->colour, sizeof(msg.colour));
	/* The wire's order is start, move, end; the browser's down, move, up is the same. */
	ssize_t n = ws_encode_remote_touch(buf, sizeof(buf), &msg);
	list_for_each(other, &v->bridge->viewers, link) {
		/* Decoration: who is behind does not get it. */
		if (n > 0 && other != v && same_session(v, other) &&
			!ws_conn_blocked(other->conn)) {
			(void)ws_conn_send_binary(other->conn, buf, (size_t)n);
		}
	}
}
