/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "client.h"
#include "proto/hxfr.h"
#include "server-private.h"
#include "util.h"

/* Replies that wait before we stop reading requests. */
#define REPLY_BYTES_MAX (16u * 1024)
/* What the queue may hold beside the unit that is being sent. */
#define UNIT_BYTES_MAX (4u * 1024 * 1024)
/*
 * An IDR may take longer to send than the whole queue may last. Dropping what came behind it would
 * only cost another IDR, for ever; so for as long again as it took, the queue may be longer, and
 * the client catches up. But not for an IDR that takes this long.
 */
#define IDR_GRACE_MAX_NS (2 * NSEC_PER_SEC)
/* A client that streams shorter than this between two stalls is made to rest longer each time. */
#define STABLE_NS   (5 * NSEC_PER_SEC)
#define REST_MIN_NS (250 * NSEC_PER_MSEC)
#define REST_MAX_NS (4 * NSEC_PER_SEC)

struct reply {
	struct list link; // client.replies
	size_t size;
	uint8_t bytes[];
};

void client_reply(struct client *c, const uint8_t *bytes, size_t size) {
	struct reply *reply = malloc(sizeof(*reply) + size);
	if (!reply) {
		client_fail(c, -ENOMEM, "no memory for a reply");
		return;
	}
	reply->size = size;
	memcpy(reply->bytes, bytes, size);
	list_append(&c->replies, &reply->link);
	c->reply_bytes += size;
}

bool client_has_room(const struct client *c) {
	return c->reply_bytes < REPLY_BYTES_MAX;
}

static struct access_unit *pop_unit(struct client *c) {
	struct access_unit *au = c->units[c->unit_first];
	c->unit_first = (c->unit_first + 1) % CLIENT_UNITS_MAX;
	c->n_units--;
	c->unit_bytes -= au->size;
	return au;
}

static void push_unit(struct client *c, struct access_unit *au) {
	c->units[(c->unit_first + c->n_units) % CLIENT_UNITS_MAX] = access_unit_ref(au);
	c->n_units++;
	c->unit_bytes += au->size;
}

void client_clear_units(struct client *c) {
	while (c->n_units > 0) {
		access_unit_unref(pop_unit(c));
	}
}

static void finish_outgoing(struct client *c) {
	free(c->out.reply);
	access_unit_unref(c->out.unit);
	cursor_image_unref(c->out.image);
	c->out = (struct outgoing){0};
}

void client_send_finish(struct client *c) {
	struct reply *reply, *tmp;
	client_clear_units(c);
	finish_outgoing(c);
	list_for_each_safe(reply, tmp, &c->replies, link) {
		list_remove(&reply->link);
		free(reply);
	}
}

/* Encoders into `head` cannot fail: it is large enough for the longest. */
static uint8_t *head_end(struct outgoing *out, size_t *ret_left) {
	*ret_left = sizeof(out->head) - out->head_size;
	return out->head + out->head_size;
}

static void begin_reply(struct client *c) {
	struct reply *reply = list_first(&c->replies, struct reply, link);
	list_remove(&reply->link);
	c->reply_bytes -= reply->size;
	c->out.reply = reply;
	c->out.body = reply->bytes;
	c->out.body_size = reply->size;
}

static void begin_state(struct client *c) {
	uint32_t id = (uint32_t)__builtin_ctz(c->states_dirty);
	c->states_dirty &= c->states_dirty - 1;
	struct scanout_state state = {0};
	c->server->backend->get_state(c->server->data, id, &state);
	struct hxfr_scanout_state msg = {
		.scanout_id = id,
		.flags = (state.enabled ? HXFR_STATE_ENABLED : 0) |
			(state.lost ? HXFR_STATE_LOST : 0),
		.width = state.width,
		.height = state.height,
		.refresh = state.refresh,
		.generation = state.generation,
		.subscribers = c->server->channels[id].watching,
	};
	size_t left;
	uint8_t *head = head_end(&c->out, &left);
	c->out.head_size += (size_t)hxfr_encode_scanout_state(head, left, &msg);
}

static void begin_cursor(struct client *c) {
	const struct channel *ch = c->channel;
	struct cursor_image *image = ch->cursor;
	size_t left;
	uint8_t *head = head_end(&c->out, &left);
	if (c->cursor_dirty & CURSOR_IMAGE_CHANGED) {
		struct hxfr_cursor_image msg = {
			.scanout_id = ch->id,
			.visible = image != NULL,
			.x = (int32_t)ch->cursor_x,
			.y = (int32_t)ch->cursor_y,
		};
		if (image) {
			msg.hot_x = image->hot_x;
			msg.hot_y = image->hot_y;
			msg.width = image->width;
			msg.height = image->height;
			c->out.image = cursor_image_ref(image);
			c->out.body = image->bgra;
			c->out.body_size = 4 * (size_t)image->width * image->height;
		}
		c->out.head_size += (size_t)hxfr_encode_cursor_image(head, left, &msg);
	} else {
		struct hxfr_cursor_position msg = {
			.scanout_id = ch->id,
			.visible = image != NULL,
			.x = (int32_t)ch->cursor_x,
			.y = (int32_t)ch->cursor_y,
		};
		c->out.head_size += (size_t)hxfr_encode_cursor_position(head, left, &msg);
	}
	c->cursor_dirty = 0;
}

static void begin_unit(struct client *c) {
	struct access_unit *au = pop_unit(c);
	struct outgoing *out = &c->out;
	size_t left;
	uint8_t *head;
	uint64_t now = now_ns();

	if (c->features & HXFR_FEATURE_FLIP_INFO) {
		struct hxfr_flip_info info = {
			.scanout_id = au->scanout_id,
			.refine = au->refine,
			.sequence = au->sequence,
			.flip_ns = au->flip_ns,
			.encoded_ns = au->encoded_ns,
			.send_ns = now,
			.dirty_mbs = au->dirty_mbs,
			.damage_x = au->damage.x,
			.damage_y = au->damage.y,
			.damage_width = au->damage.width,
			.damage_height = au->damage.height,
			.width = au->width,
			.height = au->height,
			.dropped = c->dropped,
		};
		head = head_end(out, &left);
		out->head_size += (size_t)hxfr_encode_flip_info(head, left, &info);
	}
	struct hxfr_frame_response frame = {
		.pts = (int64_t)au->pts_ns,
		.dts = (int64_t)au->pts_ns,
		.is_keyframe = au->keyframe,
	};
	head = head_end(out, &left);
	out->head_size += (size_t)hxfr_encode_frame_response(
		head, left, (uint16_t)au->scanout_id, &frame, (uint32_t)au->size);
	out->unit = au;
	out->body = au->data;
	out->body_size = au->size;
	if (au->keyframe) {
		c->idr_begin_ns = now;
		c->idr_end_ns = 0;
	}
}

/* Picks what is sent next. False: nothing is to be sent. */
static bool begin_next(struct client *c) {
	if (!list_empty(&c->replies)) {
		begin_reply(c);
	} else if (c->states_dirty) {
		begin_state(c);
	} else if (c->cursor_dirty && c->channel) {
		begin_cursor(c);
	} else if (c->n_units > 0) {
		begin_unit(c);
	} else {
		return false;
	}
	return true;
}

static void handle_sent(struct client *c) {
	const struct access_unit *au = c->out.unit;
	if (au) {
		struct channel *ch = &c->server->channels[au->scanout_id];
		ch->sent_units++;
		ch->sent_bytes += au->size;
		if (au->keyframe) {
			c->idr_end_ns = now_ns();
		}
	}
	finish_outgoing(c);
}

/* 0, -EAGAIN, or another error of the connection. */
static int send_some(struct client *c) {
	struct outgoing *out = &c->out;
	struct iovec iov[2];
	size_t n = 0;
	if (out->done < out->head_size) {
		iov[n++] = (struct iovec){out->head + out->done, out->head_size - out->done};
		iov[n++] = (struct iovec){(void *)out->body, out->body_size};
	} else {
		size_t from = out->done - out->head_size;
		iov[n++] = (struct iovec){(void *)(out->body + from), out->body_size - from};
	}
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = n};
	ssize_t sent = sendmsg(c->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent < 0) {
		return errno == EINTR ? 0 : -errno;
	}
	out->done += (size_t)sent;
	if (out->done == out->head_size + out->body_size) {
		handle_sent(c);
	}
	return 0;
}

static void resume(struct client *c) {
	c->state = CLIENT_WAITING;
	channel_want_idr(c->channel, IDR_RESUME);
	channel_update_viewers(c->channel);
}

/* All was sent: a client that had fallen behind may take part again. */
static void handle_drained(struct client *c) {
	if (c->ended && !c->held) {
		client_fail(c, 0, "closed by the peer");
	} else if (c->state == CLIENT_STALLED && c->rest_ns == 0) {
		resume(c);
	} else if (c->state == CLIENT_STALLED) {
		c->state = CLIENT_RESTING;
		(void)sd_event_source_set_time(c->timer, (now_ns() + c->rest_ns) / NSEC_PER_USEC);
		(void)sd_event_source_set_enabled(c->timer, SD_EVENT_ONESHOT);
	}
}

void client_end_rest(struct client *c) {
	if (c->state == CLIENT_RESTING) {
		resume(c);
	}
}

static void watch_socket(struct client *c, bool blocked) {
	uint32_t events = 0;
	if (client_has_room(c) && !c->ended) {
		events |= EPOLLIN;
	}
	/* Held input must be looked at as soon as there is room, though no more may come. */
	if (blocked || c->held) {
		events |= EPOLLOUT;
	}
	(void)sd_event_source_set_io_events(c->io, events);
}

void client_kick(struct client *c) {
	if (!c->dead) {
		watch_socket(c, true);
	}
}

void client_flush(struct client *c) {
	int r = 0;
	while (!c->dead && r == 0) {
		if (c->out.head_size + c->out.body_size == 0 && !begin_next(c)) {
			break;
		}
		r = send_some(c);
	}
	if (c->dead) {
		return;
	}
	if (r < 0 && r != -EAGAIN) {
		client_fail(c, r, "sending");
		return;
	}
	watch_socket(c, r == -EAGAIN);
	if (r == 0) {
		handle_drained(c);
	}
}

static bool in_grace(const struct client *c, uint64_t now) {
	if (c->idr_begin_ns == 0 || now - c->idr_begin_ns > IDR_GRACE_MAX_NS) {
		return false;
	}
	uint64_t end = c->idr_end_ns ? c->idr_end_ns : now;
	return now <= end + (end - c->idr_begin_ns);
}

static bool overflows(const struct client *c, const struct access_unit *au, uint64_t now) {
	if (c->n_units == 0) {
		return false; /* however large: it must be deliverable */
	}
	if (c->n_units == CLIENT_UNITS_MAX || c->unit_bytes + au->size > UNIT_BYTES_MAX) {
		return true;
	}
	return au->pts_ns - c->units[c->unit_first]->pts_ns > c->server->queue_ns &&
		!in_grace(c, now);
}

static void count_dropped(struct client *c, unsigned n) {
	c->dropped += n;
	c->channel->dropped_units += n;
}

/*
 * Resting spares the other viewers of a scanout from an IDR for each stall of one bad link. A
 * client that watches alone may have as many as the channel allows.
 */
static void choose_rest(struct client *c, uint64_t now) {
	if (c->channel->watching < 2 || now - c->streaming_ns > STABLE_NS) {
		c->rest_ns = 0;
	} else {
		c->rest_ns = MIN(MAX(2 * c->rest_ns, REST_MIN_NS), REST_MAX_NS);
	}
}

static void start_streaming(struct client *c, uint64_t now) {
	c->state = CLIENT_STREAMING;
	c->streaming_ns = now;
	(void)sd_event_source_set_enabled(c->timer, SD_EVENT_OFF);
}

void client_offer(struct client *c, struct access_unit *au) {
	uint64_t now = now_ns();
	if (c->dead) {
		return;
	}
	switch (c->state) {
	case CLIENT_UNSUBSCRIBED:
		return;
	case CLIENT_STALLED:
		count_dropped(c, 1);
		return;
	case CLIENT_WAITING:
	case CLIENT_RESTING:
		if (!au->keyframe) {
			count_dropped(c, c->state == CLIENT_RESTING);
			return;
		}
		start_streaming(c, now);
		break;
	case CLIENT_STREAMING:
		break;
	}
	if (overflows(c, au, now)) {
		count_dropped(c, c->n_units);
		client_clear_units(c);
		if (!au->keyframe) {
			count_dropped(c, 1);
			choose_rest(c, now);
			c->state = CLIENT_STALLED;
			return;
		}
	}
	push_unit(c, au);
	client_flush(c);
}

void client_lost(struct client *c) {
	if (c->state == CLIENT_STREAMING) {
		count_dropped(c, c->n_units + 1);
		client_clear_units(c);
		c->state = CLIENT_WAITING;
	}
}

void client_cursor_changed(struct client *c, unsigned changed) {
	if (!c->dead && (c->features & HXFR_FEATURE_CURSOR)) {
		c->cursor_dirty |= changed;
		client_flush(c);
	}
}
