/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "channel.h"
#include "client.h"
#include "log.h"
#include "server-private.h"

LOG_MODULE("server");

/* Joiners closer together than this share an IDR. */
#define JOIN_SPACING_NS (100 * NSEC_PER_MSEC)
/* For other reasons: at most three a second, so that one is left for a joiner. */
#define OTHER_SPACING_NS (350 * NSEC_PER_MSEC)
/* Deltas that go by for so long after a request mean that it was lost. */
#define IDR_LOST_NS (500 * NSEC_PER_MSEC)

static void request_idr(struct channel *ch, uint64_t now) {
	ch->idr_times[ch->idr_next] = now;
	ch->idr_next = (ch->idr_next + 1) % IDR_MAX_PER_SECOND;
	ch->idr_due_ns = 0;
	(void)sd_event_source_set_enabled(ch->idr_timer, SD_EVENT_OFF);
	ch->server->backend->request_idr(ch->server->data, ch->id);
}

static bool anyone_waits(const struct channel *ch) {
	const struct client *client;
	list_for_each(client, &ch->clients, watch) {
		if (client->state == CLIENT_WAITING && !client->dead) {
			return true;
		}
	}
	return false;
}

static int handle_idr_timer(sd_event_source *source, uint64_t usec, void *data) {
	struct channel *ch = data;
	ch->idr_due_ns = 0;
	if (ch->idr_asked || anyone_waits(ch)) {
		request_idr(ch, now_ns());
	}
	return 0;
}

int channel_init(struct channel *ch, struct server *server, uint32_t id) {
	*ch = (struct channel){.server = server, .id = id};
	list_init(&ch->clients);
	int r = sd_event_add_time(
		server->loop, &ch->idr_timer, CLOCK_MONOTONIC, UINT64_MAX, 1, handle_idr_timer, ch);
	if (r < 0) {
		return r;
	}
	return sd_event_source_set_enabled(ch->idr_timer, SD_EVENT_OFF);
}

void channel_finish(struct channel *ch) {
	ch->idr_timer = sd_event_source_disable_unref(ch->idr_timer);
	cursor_image_unref(ch->cursor);
	ch->cursor = NULL;
}

/* The time of the newest request; 0 if there was none. */
static uint64_t last_idr(const struct channel *ch) {
	return ch->idr_times[(ch->idr_next + IDR_MAX_PER_SECOND - 1) % IDR_MAX_PER_SECOND];
}

void channel_want_idr(struct channel *ch, enum idr_reason reason) {
	static const uint64_t spacing[_IDR_REASON_MAX] = {
		[IDR_JOIN] = JOIN_SPACING_NS,
		[IDR_RESUME] = OTHER_SPACING_NS,
		[IDR_ASKED] = OTHER_SPACING_NS,
	};
	uint64_t now = now_ns(), due = now;
	if (reason == IDR_ASKED) {
		ch->idr_asked = true;
	}
	if (last_idr(ch)) {
		due = MAX(due, last_idr(ch) + spacing[reason]);
	}
	if (ch->idr_times[ch->idr_next]) {
		due = MAX(due, ch->idr_times[ch->idr_next] + NSEC_PER_SEC);
	}
	if (due == now) {
		request_idr(ch, now);
	} else if (ch->idr_due_ns == 0 || due < ch->idr_due_ns) {
		ch->idr_due_ns = due;
		(void)sd_event_source_set_time(ch->idr_timer, DIV_ROUND_UP(due, NSEC_PER_USEC));
		(void)sd_event_source_set_enabled(ch->idr_timer, SD_EVENT_ONESHOT);
	}
}

void channel_update_viewers(struct channel *ch) {
	unsigned watching = 0, ready = 0;
	const struct client *client;
	list_for_each(client, &ch->clients, watch) {
		watching++;
		ready += !client->dead && client_is_ready(client);
	}
	if (watching == ch->watching && ready == ch->ready) {
		return;
	}
	bool told = watching != ch->watching;
	ch->watching = watching;
	ch->ready = ready;
	ch->server->backend->set_viewers(ch->server->data, ch->id, watching, ready);
	if (told) {
		server_state_changed(ch->server, ch->id);
	}
}

void channel_join(struct channel *ch, struct client *client) {
	list_append(&ch->clients, &client->watch);
	/* In this order, or the encoder that starts for the first viewer makes two IDRs. */
	channel_want_idr(ch, IDR_JOIN);
	channel_update_viewers(ch);
}

void channel_leave(struct channel *ch, struct client *client) {
	list_remove(&client->watch);
	channel_update_viewers(ch);
}

void channel_post(struct channel *ch, struct access_unit *au) {
	struct client *client;
	if (au->keyframe) {
		ch->idr_asked = false;
		ch->idr_due_ns = 0;
		(void)sd_event_source_set_enabled(ch->idr_timer, SD_EVENT_OFF);
	}
	list_for_each(client, &ch->clients, watch) {
		client_offer(client, au);
	}
	if (!au->keyframe && ch->idr_due_ns == 0 && anyone_waits(ch) &&
		now_ns() - last_idr(ch) > IDR_LOST_NS) {
		channel_want_idr(ch, IDR_RESUME);
	}
	channel_update_viewers(ch);
}

void channel_lost(struct channel *ch) {
	struct client *client;
	if (server_may_log(ch->server)) {
		log_warn("scanout %u: frames came faster than they could be taken; starting anew",
			ch->id);
	}
	list_for_each(client, &ch->clients, watch) {
		client_lost(client);
	}
	channel_want_idr(ch, IDR_RESUME);
	channel_update_viewers(ch);
}

void channel_set_cursor(struct channel *ch, const struct cursor_mail *mail) {
	struct client *client;
	if (mail->changed & CURSOR_IMAGE_CHANGED) {
		cursor_image_unref(ch->cursor);
		ch->cursor = mail->image;
	}
	ch->cursor_x = mail->x;
	ch->cursor_y = mail->y;
	list_for_each(client, &ch->clients, watch) {
		client_cursor_changed(client, mail->changed);
	}
}
