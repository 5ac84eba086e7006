/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Mutter's private remote desktop interface: a session of it has a keyboard, a pointer and a touch
 * screen of its own. Absolute positions are those of a screen cast stream, so one is recorded,
 * though nobody takes its pictures (which then cost nothing).
 *
 * Clients bind the session's keyboard when its first key shows that there is one, and miss that
 * key. So a Shift goes first, and the session is made when the bridge starts, not when somebody
 * types.
 */
#include <linux/input-event-codes.h>
#include <string.h>

#include "clipboard/mutter.h"
#include "log.h"
#include "mutter.h"
#include "util.h"

LOG_MODULE("input");

#define RETRY_US        (2 * UINT64_C(1000000))
#define CALL_TIMEOUT_US (10 * UINT64_C(1000000))
#define PRIME_DOWN_US   (10 * UINT64_C(1000))
/* Until clients have bound the keyboard; there is nothing to see that by. */
#define PRIME_SETTLE_US (300 * UINT64_C(1000))
#define CURSOR_HIDDEN   0u
/* For somebody to learn how large the desktop is; positions before that would be wrong. */
#define SIZE_WAIT_US (100 * UINT64_C(1000))
#define SIZE_WAITS   30u

static struct mutter *mutter_of(struct input_backend *b) {
	return (struct mutter *)b;
}

static void set_timer(struct mutter *m, uint64_t in_us) {
	(void)sd_event_source_set_time_relative(m->timer, in_us);
	(void)sd_event_source_set_enabled(m->timer, SD_EVENT_ONESHOT);
}

static void forget_session(struct mutter *m) {
	clipboard_mutter_end(m->clipboard);
	m->call = sd_bus_slot_unref(m->call);
	m->closed_match = sd_bus_slot_unref(m->closed_match);
	free(m->session);
	free(m->stream);
	m->session = m->stream = NULL;
	m->step = MUTTER_AWAY;
}

static void fail(struct mutter *m, const char *what, const sd_bus_error *error, int r) {
	if (!m->complained) {
		log_warn("Mutter: %s: %s; trying again", what,
			error && error->message ? error->message : strerror(-r));
		m->complained = true;
	}
	forget_session(m);
	set_timer(m, RETRY_US);
}

/* The next call of the start; `m->call` keeps its answer from coming after the end. */
static void call(struct mutter *m, sd_bus_message *msg, int r, const char *what,
	sd_bus_message_handler_t handler) {
	m->call = sd_bus_slot_unref(m->call);
	if (r >= 0) {
		(void)sd_bus_message_set_auto_start(msg, 0);
		r = sd_bus_call_async(m->bus, &m->call, msg, handler, m, CALL_TIMEOUT_US);
	}
	if (r < 0) {
		fail(m, what, NULL, r);
	}
	sd_bus_message_unref(msg);
}

static int keep_path(sd_bus_message *reply, char **to) {
	const char *path;
	int r = sd_bus_message_read(reply, "o", &path);
	if (r < 0) {
		return r;
	}
	free(*to);
	*to = strdup(path);
	return *to ? 0 : -ENOMEM;
}

/* True if the start cannot go on. */
static bool failed(struct mutter *m, sd_bus_message *reply, const char *what, int r) {
	const sd_bus_error *error = sd_bus_message_get_error(reply);
	if (!error && r >= 0) {
		return false;
	}
	fail(m, what, error, r);
	return true;
}

/* Nothing is waited for: what goes wrong shows when the session is closed. */
static void notify(struct mutter *m, const char *member, const char *types, ...) {
	sd_bus_message *msg = NULL;
	va_list ap;
	if (!m->session) {
		return;
	}
	int r = sd_bus_message_new_method_call(
		m->bus, &msg, MUTTER_RD, m->session, MUTTER_RD_SESSION, member);
	if (r >= 0) {
		va_start(ap, types);
		r = sd_bus_message_appendv(msg, types, ap);
		va_end(ap);
	}
	if (r >= 0) {
		(void)sd_bus_message_set_expect_reply(msg, 0);
		r = sd_bus_send(m->bus, msg, NULL);
	}
	sd_bus_message_unref(msg);
	if (r < 0 && r != -ENOTCONN) {
		fail(m, member, NULL, r);
	}
}

static int handle_started(sd_bus_message *reply, void *data, sd_bus_error *error) {
	struct mutter *m = data;
	const sd_bus_error *e = sd_bus_message_get_error(reply);
	if (e && m->stream && !m->without_stream) {
		/* What a missing PipeWire looks like. Keys and relative moves do without it. */
		log_warn("Mutter: no screen cast (%s): there will be no absolute positions",
			e->message ? e->message : e->name);
		m->without_stream = true;
		forget_session(m);
		set_timer(m, 0);
		return 0;
	}
	if (failed(m, reply, "Start", 0)) {
		return 0;
	}
	m->step = MUTTER_PRIMING;
	m->waits = 0;
	clipboard_mutter_begin(m->clipboard);
	notify(m, "NotifyKeyboardKeycode", "ub", KEY_LEFTSHIFT, 1);
	set_timer(m, PRIME_DOWN_US);
	return 0;
}

static void start_session(struct mutter *m) {
	sd_bus_message *msg = NULL;
	int r = sd_bus_message_new_method_call(
		m->bus, &msg, MUTTER_RD, m->session, MUTTER_RD_SESSION, "Start");
	call(m, msg, r, "Start", handle_started);
}

static int handle_recorded(sd_bus_message *reply, void *data, sd_bus_error *error) {
	struct mutter *m = data;
	int r = sd_bus_message_is_method_error(reply, NULL) ? 0 : keep_path(reply, &m->stream);
	if (!failed(m, reply, "RecordMonitor", r)) {
		start_session(m);
	}
	return 0;
}

static int handle_cast_created(sd_bus_message *reply, void *data, sd_bus_error *error) {
	struct mutter *m = data;
	sd_bus_message *msg = NULL;
	const char *path = NULL;
	int r = sd_bus_message_is_method_error(reply, NULL)
		? 0
		: sd_bus_message_read(reply, "o", &path);
	if (failed(m, reply, "ScreenCast.CreateSession", r)) {
		return 0;
	}
	/* No connector's name: the primary monitor. A desktop has one. */
	r = sd_bus_message_new_method_call(
		m->bus, &msg, MUTTER_SC, path, MUTTER_SC_SESSION, "RecordMonitor");
	if (r >= 0) {
		r = sd_bus_message_append(msg, "sa{sv}", "", 1, "cursor-mode", "u", CURSOR_HIDDEN);
	}
	call(m, msg, r, "RecordMonitor", handle_recorded);
	return 0;
}

static int handle_session_id(sd_bus_message *reply, void *data, sd_bus_error *error) {
	struct mutter *m = data;
	sd_bus_message *msg = NULL;
	const char *id = NULL;
	int r = sd_bus_message_is_method_error(reply, NULL)
		? 0
		: sd_bus_message_read(reply, "v", "s", &id);
	if (failed(m, reply, "SessionId", r)) {
		return 0;
	}
	r = sd_bus_message_new_method_call(
		m->bus, &msg, MUTTER_SC, MUTTER_SC_PATH, MUTTER_SC, "CreateSession");
	if (r >= 0) {
		r = sd_bus_message_append(msg, "a{sv}", 1, "remote-desktop-session-id", "s", id);
	}
	call(m, msg, r, "ScreenCast.CreateSession", handle_cast_created);
	return 0;
}

static int handle_session_closed(sd_bus_message *msg, void *data, sd_bus_error *error) {
	struct mutter *m = data;
	log_warn("Mutter closed the remote desktop session; asking for another");
	forget_session(m);
	set_timer(m, RETRY_US);
	return 0;
}

static int handle_created(sd_bus_message *reply, void *data, sd_bus_error *error) {
	struct mutter *m = data;
	sd_bus_message *msg = NULL;
	int r = sd_bus_message_is_method_error(reply, NULL) ? 0 : keep_path(reply, &m->session);
	if (failed(m, reply, "CreateSession", r)) {
		return 0;
	}
	r = sd_bus_match_signal_async(m->bus, &m->closed_match, MUTTER_RD, m->session,
		MUTTER_RD_SESSION, "Closed", handle_session_closed, NULL, m);
	if (r < 0) {
		fail(m, "Closed", NULL, r);
	} else if (m->without_stream) {
		start_session(m);
	} else {
		r = sd_bus_message_new_method_call(m->bus, &msg, MUTTER_RD, m->session,
			"org.freedesktop.DBus.Properties", "Get");
		if (r >= 0) {
			r = sd_bus_message_append(msg, "ss", MUTTER_RD_SESSION, "SessionId");
		}
		call(m, msg, r, "SessionId", handle_session_id);
	}
	return 0;
}

static void create_session(struct mutter *m) {
	sd_bus_message *msg = NULL;
	m->step = MUTTER_STARTING;
	int r = sd_bus_message_new_method_call(
		m->bus, &msg, MUTTER_RD, MUTTER_RD_PATH, MUTTER_RD, "CreateSession");
	call(m, msg, r, "CreateSession", handle_created);
}

static int handle_has_owner(sd_bus_message *reply, void *data, sd_bus_error *error) {
	struct mutter *m = data;
	int has = 0;
	if (sd_bus_message_is_method_error(reply, NULL) ||
		sd_bus_message_read(reply, "b", &has) < 0 || !has) {
		return 0; /* NameOwnerChanged will tell */
	}
	create_session(m);
	return 0;
}

static int handle_owner_changed(sd_bus_message *msg, void *data, sd_bus_error *error) {
	struct mutter *m = data;
	const char *name, *old, *new;
	if (sd_bus_message_read(msg, "sss", &name, &old, &new) < 0) {
		return 0;
	}
	forget_session(m);
	m->complained = m->without_stream = false;
	(void)sd_event_source_set_enabled(m->timer, SD_EVENT_OFF);
	if (new[0]) {
		create_session(m);
	} else {
		m->width = m->height = 0; /* the next one's may be others */
	}
	return 0;
}

static void close_bus(struct mutter *m) {
	forget_session(m);
	m->owner_match = sd_bus_slot_unref(m->owner_match);
	m->disconnected_match = sd_bus_slot_unref(m->disconnected_match);
	if (m->bus) {
		(void)sd_bus_detach_event(m->bus);
		m->bus = sd_bus_close_unref(m->bus);
	}
}

static int handle_disconnected(sd_bus_message *msg, void *data, sd_bus_error *error) {
	struct mutter *m = data;
	/* The bus cannot be freed from within its own dispatching. */
	set_timer(m, RETRY_US);
	m->step = MUTTER_AWAY;
	return 0;
}

static int ask_for_mutter(struct mutter *m) {
	m->call = sd_bus_slot_unref(m->call);
	return sd_bus_call_method_async(m->bus, &m->call, "org.freedesktop.DBus",
		"/org/freedesktop/DBus", "org.freedesktop.DBus", "NameHasOwner", handle_has_owner,
		m, "s", MUTTER_RD);
}

static int open_bus(struct mutter *m) {
	int r = sd_bus_open_user(&m->bus);
	if (r >= 0) {
		r = sd_bus_attach_event(m->bus, m->loop, SD_EVENT_PRIORITY_NORMAL);
	}
	if (r >= 0) {
		r = sd_bus_match_signal_async(m->bus, &m->disconnected_match, NULL,
			"/org/freedesktop/DBus/Local", "org.freedesktop.DBus.Local", "Disconnected",
			handle_disconnected, NULL, m);
	}
	if (r >= 0) {
		r = sd_bus_add_match_async(m->bus, &m->owner_match,
			"type='signal',sender='org.freedesktop.DBus',"
			"interface='org.freedesktop.DBus',member='NameOwnerChanged',"
			"arg0='" MUTTER_RD "'",
			handle_owner_changed, NULL, m);
	}
	return r < 0 ? r : ask_for_mutter(m);
}

static int handle_timer(sd_event_source *source, uint64_t usec, void *data) {
	struct mutter *m = data;
	int r;
	switch (m->step) {
	case MUTTER_PRIMING:
		notify(m, "NotifyKeyboardKeycode", "ub", KEY_LEFTSHIFT, 0);
		if (m->step == MUTTER_PRIMING) {
			m->step = MUTTER_PRIMED;
			set_timer(m, PRIME_SETTLE_US);
		}
		break;
	case MUTTER_PRIMED:
		if (m->stream && !m->width && m->waits++ < SIZE_WAITS) {
			set_timer(m, SIZE_WAIT_US);
			break;
		}
		m->step = MUTTER_READY;
		m->complained = false;
		log_info("input goes to Mutter%s", m->without_stream ? ", without positions" : "");
		input_backend_became_ready(&m->base);
		break;
	case MUTTER_AWAY:
		if (m->bus && sd_bus_is_open(m->bus) > 0) {
			r = ask_for_mutter(m);
		} else {
			close_bus(m);
			r = open_bus(m);
		}
		if (r < 0) {
			close_bus(m);
			set_timer(m, RETRY_US);
		}
		break;
	default:
		break;
	}
	return 0;
}

static bool mutter_ready(struct input_backend *b) {
	return mutter_of(b)->step == MUTTER_READY;
}

static void mutter_key(struct input_backend *b, uint16_t code, bool down) {
	notify(mutter_of(b), "NotifyKeyboardKeycode", "ub", (uint32_t)code, (int)down);
}

static bool mutter_keysym(struct input_backend *b, uint32_t keysym, bool down) {
	notify(mutter_of(b), "NotifyKeyboardKeysym", "ub", keysym, (int)down);
	return true;
}

static void mutter_button(struct input_backend *b, uint16_t code, bool down) {
	notify(mutter_of(b), "NotifyPointerButton", "ib", (int32_t)code, (int)down);
}

static void mutter_absolute(struct input_backend *b, double x, double y) {
	struct mutter *m = mutter_of(b);
	if (m->stream && m->width) {
		notify(m, "NotifyPointerMotionAbsolute", "sdd", m->stream, x * m->width,
			y * m->height);
	}
}

static void mutter_relative(struct input_backend *b, double dx, double dy) {
	notify(mutter_of(b), "NotifyPointerMotionRelative", "dd", dx, dy);
}

/* Source 0, fingers: smooth everywhere. "Finish" is never told: it made a compositor crash. */
static void mutter_scroll(struct input_backend *b, double dx, double dy, bool wheel) {
	notify(mutter_of(b), "NotifyPointerAxis", "ddu", dx, dy, wheel ? 4u : 0u);
}

static void mutter_touch(
	struct input_backend *b, enum ws_touch touch, unsigned slot, double x, double y) {
	struct mutter *m = mutter_of(b);
	if (touch == WS_TOUCH_UP || touch == WS_TOUCH_CANCEL) {
		notify(m, "NotifyTouchUp", "u", slot);
	} else if (m->stream && m->width) {
		notify(m, touch == WS_TOUCH_DOWN ? "NotifyTouchDown" : "NotifyTouchMotion", "sudd",
			m->stream, slot, x * m->width, y * m->height);
	}
}

static void mutter_size(struct input_backend *b, uint32_t width, uint32_t height) {
	struct mutter *m = mutter_of(b);
	m->width = width;
	m->height = height;
}

static struct clipboard_backend *mutter_clipboard(struct input_backend *b) {
	return mutter_of(b)->clipboard;
}

static void mutter_destroy(struct input_backend *b) {
	struct mutter *m = mutter_of(b);
	close_bus(m);
	clipboard_mutter_destroy(m->clipboard);
	sd_event_source_disable_unref(m->timer);
	sd_event_unref(m->loop);
	free(m);
}

static const struct input_backend_ops mutter_ops = {
	.name = "mutter",
	.ready = mutter_ready,
	.key = mutter_key,
	.keysym = mutter_keysym,
	.button = mutter_button,
	.absolute = mutter_absolute,
	.relative = mutter_relative,
	.scroll = mutter_scroll,
	.touch = mutter_touch,
	.size = mutter_size,
	.clipboard = mutter_clipboard,
	.destroy = mutter_destroy,
};

int input_mutter_create(sd_event *loop, struct input_backend **ret) {
	struct mutter *m = calloc(1, sizeof(*m));
	if (!m) {
		return -ENOMEM;
	}
	m->base.ops = &mutter_ops;
	m->loop = sd_event_ref(loop);
	int r = sd_event_add_time(loop, &m->timer, CLOCK_MONOTONIC, 0, 0, handle_timer, m);
	if (r >= 0) {
		r = clipboard_mutter_create(m, &m->clipboard);
	}
	if (r < 0) {
		mutter_destroy(&m->base);
		return r;
	}
	*ret = &m->base;
	return 0;
}
