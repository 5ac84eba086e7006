/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "bus.h"
#include "util.h"

#define DRIVER_NAME      "org.freedesktop.DBus"
#define DRIVER_PATH      "/org/freedesktop/DBus"
#define LOGIN_NAME       "org.freedesktop.login1"
#define CALL_USEC        UINT64_C(5000000) /* for one answer */
#define FLAG_REPLACE     2u                /* of RequestName: REPLACE_EXISTING, DO_NOT_QUEUE */
#define FLAG_DO_NOT_WAIT 4u
#define GOT_IT           1u /* its answers: PRIMARY_OWNER, ALREADY_OWNER */
#define HAD_IT           4u

struct bus_errand {
	sd_bus *bus;
	bus_func done;
	void *data;
	char name[128];
	char session[256], seat[256]; /* object paths of the login stub */
};

static void finish(struct bus_errand *e, const char *problem) {
	bus_func done = e->done;
	e->done = NULL;
	if (done) {
		done(problem, e->data);
	}
}

static void finish_errno(struct bus_errand *e, int r, const char *what) {
	char text[256];
	(void)snprintf(text, sizeof(text), "%s: %s", what, strerror(-r));
	finish(e, text);
}

/* Whether `m` is an answer and no error; else the errand is over. */
static bool is_answer(struct bus_errand *e, sd_bus_message *m, const char *what) {
	const sd_bus_error *error = sd_bus_message_get_error(m);
	if (!error) {
		return true;
	}
	char text[384];
	(void)snprintf(
		text, sizeof(text), "%s: %s", what, error->message ? error->message : error->name);
	finish(e, text);
	return false;
}

/* Connects; nothing is waited for, and calls may be queued at once. */
static int errand_create(sd_event *loop, const char *address, const char *name, bus_func done,
	void *data, struct bus_errand **ret) {
	struct bus_errand *e = calloc(1, sizeof(*e));
	if (!e) {
		return -ENOMEM;
	}
	*e = (struct bus_errand){.done = done, .data = data};
	(void)snprintf(e->name, sizeof(e->name), "%s", name);
	int r = sd_bus_new(&e->bus);
	if (r >= 0) {
		r = sd_bus_set_address(e->bus, address);
	}
	if (r >= 0) {
		r = sd_bus_set_bus_client(e->bus, true);
	}
	if (r >= 0) {
		r = sd_bus_set_method_call_timeout(e->bus, CALL_USEC);
	}
	if (r >= 0) {
		r = sd_bus_start(e->bus);
	}
	if (r >= 0) {
		r = sd_bus_attach_event(e->bus, loop, SD_EVENT_PRIORITY_NORMAL);
	}
	if (r < 0) {
		bus_errand_destroy(e);
		return r;
	}
	*ret = e;
	return 0;
}

void bus_errand_destroy(struct bus_errand *e) {
	if (!e) {
		return;
	}
	e->done = NULL;
	/* It may be one of the bus's own callbacks that led here. */
	sd_bus_detach_event(e->bus);
	sd_bus_close_unref(e->bus);
	free(e);
}

static int handle_owner_changed(sd_bus_message *m, void *data, sd_bus_error *error) {
	const char *name, *before, *after;
	if (sd_bus_message_read(m, "sss", &name, &before, &after) >= 0 && after[0]) {
		finish(data, NULL);
	}
	return 0;
}

static int handle_has_owner(sd_bus_message *m, void *data, sd_bus_error *error) {
	struct bus_errand *e = data;
	int owned = 0;
	if (!is_answer(e, m, "the bus does not answer")) {
		return 0;
	}
	if (sd_bus_message_read(m, "b", &owned) >= 0 && owned) {
		finish(e, NULL);
	}
	return 0;
}

int bus_wait_name(sd_event *loop, const char *address, const char *name, bus_func done, void *data,
	struct bus_errand **ret) {
	struct bus_errand *e;
	char match[320];
	int r = errand_create(loop, address, name, done, data, &e);
	if (r < 0) {
		return r;
	}
	(void)snprintf(match, sizeof(match),
		"type='signal',sender='" DRIVER_NAME "',member='NameOwnerChanged',arg0='%s'", name);
	/* In this order nothing can happen in between. */
	r = sd_bus_add_match_async(e->bus, NULL, match, handle_owner_changed, NULL, e);
	if (r >= 0) {
		r = sd_bus_call_method_async(e->bus, NULL, DRIVER_NAME, DRIVER_PATH, DRIVER_NAME,
			"NameHasOwner", handle_has_owner, e, "s", name);
	}
	if (r < 0) {
		bus_errand_destroy(e);
		return r;
	}
	*ret = e;
	return 0;
}

static int handle_requested(sd_bus_message *m, void *data, sd_bus_error *error) {
	struct bus_errand *e = data;
	uint32_t answer = 0;
	if (!is_answer(e, m, "the bus does not let us own the name")) {
		return 0;
	}
	(void)sd_bus_message_read(m, "u", &answer);
	finish(e, answer == GOT_IT || answer == HAD_IT ? NULL : "somebody else owns the name");
	return 0;
}

int bus_try_name(sd_event *loop, const char *address, const char *name, bus_func done, void *data,
	struct bus_errand **ret) {
	struct bus_errand *e;
	int r = errand_create(loop, address, name, done, data, &e);
	if (r < 0) {
		return r;
	}
	/* It is free again as soon as this connection ends. */
	r = sd_bus_call_method_async(e->bus, NULL, DRIVER_NAME, DRIVER_PATH, DRIVER_NAME,
		"RequestName", handle_requested, e, "su", name, FLAG_REPLACE | FLAG_DO_NOT_WAIT);
	if (r < 0) {
		bus_errand_destroy(e);
		return r;
	}
	*ret = e;
	return 0;
}

static int handle_exported(sd_bus_message *m, void *data, sd_bus_error *error) {
	struct bus_errand *e = data;
	if (is_answer(e, m, "the bus takes no environment")) {
		finish(e, NULL);
	}
	return 0;
}

static int append_environment(sd_bus_message *m, const char *const names[]) {
	int r = sd_bus_message_open_container(m, 'a', "{ss}");
	for (size_t i = 0; r >= 0 && names[i]; i++) {
		const char *value = getenv(names[i]);
		if (value) {
			r = sd_bus_message_append(m, "{ss}", names[i], value);
		}
	}
	return r < 0 ? r : sd_bus_message_close_container(m);
}

int bus_export_environment(sd_event *loop, const char *address, const char *const names[],
	bus_func done, void *data, struct bus_errand **ret) {
	struct bus_errand *e;
	sd_bus_message *m = NULL;
	int r = errand_create(loop, address, "", done, data, &e);
	if (r < 0) {
		return r;
	}
	r = sd_bus_message_new_method_call(
		e->bus, &m, DRIVER_NAME, DRIVER_PATH, DRIVER_NAME, "UpdateActivationEnvironment");
	if (r >= 0) {
		r = append_environment(m, names);
	}
	if (r >= 0) {
		r = sd_bus_call_async(e->bus, NULL, m, handle_exported, e, CALL_USEC);
	}
	(void)sd_bus_message_unref(m);
	if (r < 0) {
		bus_errand_destroy(e);
		return r;
	}
	*ret = e;
	return 0;
}

static int ask_property(struct bus_errand *e, const char *path, const char *interface,
	const char *name, sd_bus_message_handler_t handler) {
	return sd_bus_call_method_async(e->bus, NULL, LOGIN_NAME, path,
		"org.freedesktop.DBus.Properties", "Get", handler, e, "ss", interface, name);
}

static int handle_seat_id(sd_bus_message *m, void *data, sd_bus_error *error) {
	struct bus_errand *e = data;
	const char *id = NULL;
	if (!is_answer(e, m, "Seat.Id")) {
		return 0;
	}
	if (sd_bus_message_read(m, "v", "s", &id) < 0 || strcmp(id, "seat0") != 0) {
		finish(e, "Seat.Id is not \"seat0\": compositors would find no GPU");
		return 0;
	}
	finish(e, NULL);
	return 0;
}

static int handle_active(sd_bus_message *m, void *data, sd_bus_error *error) {
	struct bus_errand *e = data;
	int active = 0;
	if (!is_answer(e, m, "Session.Active")) {
		return 0;
	}
	if (sd_bus_message_read(m, "v", "b", &active) < 0 || !active) {
		finish(e, "Session.Active is not true: compositors would stay dark");
		return 0;
	}
	int r = ask_property(e, e->seat, LOGIN_NAME ".Seat", "Id", handle_seat_id);
	if (r < 0) {
		finish_errno(e, r, "Seat.Id");
	}
	return 0;
}

static int handle_seat(sd_bus_message *m, void *data, sd_bus_error *error) {
	struct bus_errand *e = data;
	const char *id = NULL, *path = NULL;
	if (!is_answer(e, m, "Session.Seat")) {
		return 0;
	}
	if (sd_bus_message_read(m, "v", "(so)", &id, &path) < 0) {
		finish(e,
			"Session.Seat is not of type (so): compositors would run without outputs");
		return 0;
	}
	(void)snprintf(e->seat, sizeof(e->seat), "%s", path);
	int r = ask_property(e, e->session, LOGIN_NAME ".Session", "Active", handle_active);
	if (r < 0) {
		finish_errno(e, r, "Session.Active");
	}
	return 0;
}

static int handle_session(sd_bus_message *m, void *data, sd_bus_error *error) {
	struct bus_errand *e = data;
	const char *path = NULL;
	if (!is_answer(e, m, "GetSessionByPID")) {
		return 0;
	}
	if (sd_bus_message_read(m, "o", &path) < 0) {
		finish(e, "GetSessionByPID names no object");
		return 0;
	}
	(void)snprintf(e->session, sizeof(e->session), "%s", path);
	int r = ask_property(e, e->session, LOGIN_NAME ".Session", "Seat", handle_seat);
	if (r < 0) {
		finish_errno(e, r, "Session.Seat");
	}
	return 0;
}

int bus_check_login(
	sd_event *loop, const char *address, bus_func done, void *data, struct bus_errand **ret) {
	struct bus_errand *e;
	int r = errand_create(loop, address, LOGIN_NAME, done, data, &e);
	if (r < 0) {
		return r;
	}
	r = sd_bus_call_method_async(e->bus, NULL, LOGIN_NAME, "/org/freedesktop/login1",
		LOGIN_NAME ".Manager", "GetSessionByPID", handle_session, e, "u", UINT32_C(0));
	if (r < 0) {
		bus_errand_destroy(e);
		return r;
	}
	*ret = e;
	return 0;
}
