/* SPDX-License-Identifier: GPL-2.0-or-later */
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

static void set_timer(struct mutter *m, uint64_t in_us) {
	(void)sd_event_source_set_time_relative(m->timer, in_us);
	(void)sd_event_source_set_enabled(m->timer, SD_EVENT_ONESHOT);
}

static void forget_session(struct mutter *m) {
	clipboard_mutter_end(m->clipboard);
	m->call = sd_bus_slot_unref(m->call);
	m->look = sd_bus_slot_unref(m->look);
	m->closed_match = sd_bus_slot_unref(m->closed_match);
	free(m->session);
	free(m->cast);
	free(m->stream);
	m->session = m->cast = m->stream = NULL;
	m->touched = false;
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

void mutter_notify(struct mutter *m, const char *member, const char *types, ...) {
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

/* No connector's name: the primary monitor. A desktop has one. */
static int ask_to_record(struct mutter *m, sd_bus_message **ret) {
	int r = sd_bus_message_new_method_call(
		m->bus, ret, MUTTER_SC, m->cast, MUTTER_SC_SESSION, "RecordMonitor");
	return r < 0
		? r
		: sd_bus_message_append(*ret, "sa{sv}", "", 1, "cursor-mode", "u", CURSOR_HIDDEN);
}

/* What waited for the stream goes on, with positions or without. */
static void stop_looking(struct mutter *m) {
	m->look = sd_bus_slot_unref(m->look);
	if (m->step == MUTTER_READY) {
		input_backend_became_ready(&m->base);
	}
}

static int handle_recorded_again(sd_bus_message *reply, void *data, sd_bus_error *error) {
	struct mutter *m = data;
	const sd_bus_error *e = sd_bus_message_get_error(reply);
	int r = e ? sd_bus_error_get_errno(e) : -keep_path(reply, &m->stream);
	if (r > 0) {
		log_info("Mutter: no monitor, so no positions (%s)",
			e && e->message ? e->message : strerror(r));
	}
	stop_looking(m);
	return 0;
}

static int handle_stream_is(sd_bus_message *reply, void *data, sd_bus_error *error);

/* Is it still there? If not, another. It is called again when it can be. */
static void look_for_stream(struct mutter *m) {
	sd_bus_message *msg = NULL;
	int r;
	m->look = sd_bus_slot_unref(m->look);
	if (m->stream) {
		r = sd_bus_call_method_async(m->bus, &m->look, MUTTER_SC, m->stream,
			"org.freedesktop.DBus.Properties", "Get", handle_stream_is, m, "ss",
			MUTTER_SC_STREAM, "Parameters");
	} else {
		r = ask_to_record(m, &msg);
		if (r >= 0) {
			r = sd_bus_call_async(
				m->bus, &m->look, msg, handle_recorded_again, m, CALL_TIMEOUT_US);
		}
		sd_bus_message_unref(msg);
	}
	if (r < 0) {
		fail(m, "RecordMonitor", NULL, r);
	}
}

static int handle_stream_is(sd_bus_message *reply, void *data, sd_bus_error *error) {
	struct mutter *m = data;
	if (!sd_bus_message_is_method_error(reply, NULL)) {
		stop_looking(m);
		return 0;
	}
	free(m->stream);
	m->stream = NULL;
	look_for_stream(m);
	return 0;
}

static int handle_monitors_changed(sd_bus_message *msg, void *data, sd_bus_error *error) {
	struct mutter *m = data;
	if (m->step > MUTTER_STARTING && !m->without_stream) {
		look_for_stream(m);
	}
	return 0;
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
	set_timer(m, PRIME_DOWN_US);
	clipboard_mutter_begin(m->clipboard);
	mutter_notify(m, "NotifyKeyboardKeycode", "ub", KEY_LEFTSHIFT, 1);
	mutter_notify(m, "NotifyPointerMotionRelative", "dd", 1.0, 0.0);
	if (m->step == MUTTER_PRIMING && !m->without_stream) {
		look_for_stream(m); /* it may have gone meanwhile */
	}
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
	int r = sd_bus_message_is_method_error(reply, NULL) ? 0 : keep_path(reply, &m->cast);
	if (failed(m, reply, "ScreenCast.CreateSession", r)) {
		return 0;
	}
	r = ask_to_record(m, &msg);
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
	m->call = sd_bus_slot_unref(m->call);
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
	m->monitors_match = sd_bus_slot_unref(m->monitors_match);
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
		r = sd_bus_match_signal_async(m->bus, &m->monitors_match, MUTTER_DC, MUTTER_DC_PATH,
			MUTTER_DC, "MonitorsChanged", handle_monitors_changed, NULL, m);
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

static void touch_down(struct mutter *m, unsigned slot, double x, double y) {
	mutter_notify(m, "NotifyTouchDown", "sudd", m->stream, slot, x, y);
}

void mutter_touch_first(struct mutter *m, const struct mutter_touch *touch) {
	m->touched = true;
	m->first_touch = *touch;
	m->step = MUTTER_TOUCHED;
	set_timer(m, PRIME_SETTLE_US);
	touch_down(m, touch->slot, m->width - 1, m->height - 1);
}

void mutter_touch_up(struct mutter *m, unsigned slot) {
	/* What is held is released without waiting; but the finger must go down before. */
	if (m->step >= MUTTER_TOUCHED && slot == m->first_touch.slot) {
		m->first_touch.over = true;
	} else {
		mutter_notify(m, "NotifyTouchUp", "u", slot);
	}
}

static int handle_timer(sd_event_source *source, uint64_t usec, void *data) {
	struct mutter *m = data;
	int r;
	switch (m->step) {
	case MUTTER_PRIMING:
		mutter_notify(m, "NotifyKeyboardKeycode", "ub", KEY_LEFTSHIFT, 0);
		mutter_notify(m, "NotifyPointerMotionRelative", "dd", -1.0, 0.0);
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
	case MUTTER_TOUCHED:
		m->step = MUTTER_LIFTED;
		set_timer(m, PRIME_DOWN_US);
		mutter_notify(m, "NotifyTouchUp", "u", m->first_touch.slot);
		break;
	case MUTTER_LIFTED:
		m->step = MUTTER_READY;
		if (m->stream) {
			touch_down(m, m->first_touch.slot, m->first_touch.x, m->first_touch.y);
		}
		if (m->first_touch.over) {
			mutter_touch_up(m, m->first_touch.slot);
		}
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

int mutter_session_open(struct mutter *m) {
	return sd_event_add_time(m->loop, &m->timer, CLOCK_MONOTONIC, 0, 0, handle_timer, m);
}

void mutter_session_close(struct mutter *m) {
	close_bus(m);
	m->timer = sd_event_source_disable_unref(m->timer);
}
