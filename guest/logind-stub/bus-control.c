/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who has the session, by the unique name on the bus, and the devices it took. When that name leaves
 * the bus, all of it ends.
 */
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "bus.h"
#include "log.h"

LOG_MODULE("bus");

/* Stands for the only client of a connection without a bus. */
#define PEER_NAME "peer"
/* The bus answers at once, or has dropped what it had for us. */
#define ASK_LIMIT_US (2 * UINT64_C(1000000))

const char *bus_sender(sd_bus_message *m) {
	const char *sender = sd_bus_message_get_sender(m);
	return sender ? sender : PEER_NAME;
}

bool bus_in_control(const struct bus_face *f, sd_bus_message *m) {
	return f->controller[0] != '\0' && strcmp(f->controller, bus_sender(m)) == 0;
}

static int check_control(const struct bus_face *f, sd_bus_message *m, sd_bus_error *error) {
	return bus_in_control(f, m) ? 0
				    : sd_bus_error_set_const(error, ERROR_NOT_IN_CONTROL,
					      "You are not in control of this session");
}

static struct taken *find_taken(struct bus_face *f, uint32_t major, uint32_t minor) {
	for (unsigned i = 0; i < f->n_taken; i++) {
		if (f->taken[i].major == major && f->taken[i].minor == minor) {
			return &f->taken[i];
		}
	}
	return NULL;
}

static void forget_taken(struct bus_face *f, struct taken *t) {
	*t = f->taken[--f->n_taken];
}

static int send_to_controller(struct bus_face *f, sd_bus_message *m) {
	return sd_bus_send_to(f->bus, m, f->peer_to_peer ? NULL : f->controller, NULL);
}

static void send_pause(struct bus_face *f, const struct taken *t) {
	sd_bus_message *m = NULL;
	int r = sd_bus_message_new_signal(f->bus, &m, SESSION_PATH, LOGIN_SESSION, "PauseDevice");
	if (r >= 0) {
		r = sd_bus_message_append(m, "uus", t->major, t->minor, "gone");
	}
	if (r >= 0) {
		r = send_to_controller(f, m);
	}
	if (r < 0) {
		log_warn_errno(r, "PauseDevice cannot be sent");
	}
	sd_bus_message_unref(m);
}

static void send_resume(struct bus_face *f, const struct taken *t) {
	const struct device *d = devices_find(f->session->devices, t->major, t->minor);
	sd_bus_message *m = NULL;
	int fd CLEANUP_CLOSE = d ? device_open(d) : -ENODEV;
	int r = MIN(fd, 0);
	if (r >= 0) {
		r = sd_bus_message_new_signal(
			f->bus, &m, SESSION_PATH, LOGIN_SESSION, "ResumeDevice");
	}
	if (r >= 0) {
		r = sd_bus_message_append(m, "uuh", t->major, t->minor, fd);
	}
	if (r >= 0) {
		r = send_to_controller(f, m);
	}
	if (r < 0) {
		log_warn_errno(r, "ResumeDevice cannot be sent");
	}
	sd_bus_message_unref(m);
}

static void handle_pause(struct controller *c) {
	struct bus_face *f = container_of(c, struct bus_face, control);
	for (unsigned i = 0; i < f->n_taken; i++) {
		struct taken *t = &f->taken[i];
		const struct device *d = devices_find(f->session->devices, t->major, t->minor);
		if (d && d->kind == DEVICE_CARD && !t->gone) {
			t->gone = true;
			send_pause(f, t);
		}
	}
}

static void handle_resume(struct controller *c) {
	struct bus_face *f = container_of(c, struct bus_face, control);
	for (unsigned i = 0; i < f->n_taken; i++) {
		if (f->taken[i].gone) {
			f->taken[i].gone = false;
			send_resume(f, &f->taken[i]);
		}
	}
}

static void handle_device_gone(struct controller *c, const struct device *device) {
	struct bus_face *f = container_of(c, struct bus_face, control);
	struct taken *t = find_taken(f, device->major, device->minor);
	if (t) {
		send_pause(f, t);
		forget_taken(f, t);
	}
}

const struct controller_ops bus_controller_ops = {
	.pause = handle_pause,
	.resume = handle_resume,
	.device_gone = handle_device_gone,
};

void bus_drop_controller(struct bus_face *f) {
	if (f->controller[0] == '\0') {
		return;
	}
	log_debug("%s has the session no more", f->controller);
	f->controller[0] = '\0';
	f->n_taken = 0;
	f->watch = sd_bus_slot_unref(f->watch);
	f->ask = sd_bus_slot_unref(f->ask);
	session_release(f->session, &f->control);
}

static int handle_owner_changed(sd_bus_message *m, void *data, sd_bus_error *error) {
	struct bus_face *f = data;
	const char *name, *old_owner, *new_owner;
	int r = sd_bus_message_read(m, "sss", &name, &old_owner, &new_owner);
	if (r >= 0 && new_owner[0] == '\0' && strcmp(name, f->controller) == 0) {
		log_info("%s, which had the session, left the bus", name);
		bus_drop_controller(f);
	}
	return 0;
}

static int handle_has_owner(sd_bus_message *m, void *data, sd_bus_error *error) {
	struct bus_face *f = data;
	int has_owner = 1;
	(void)sd_bus_message_read(m, "b", &has_owner);
	f->ask = sd_bus_slot_unref(f->ask);
	if (!has_owner) {
		bus_drop_controller(f);
	}
	return 0;
}

/* Whether the one in control is still there; handle_has_owner is told, also if no answer comes. */
static int ask_for_controller(struct bus_face *f) {
	sd_bus_message *m = NULL;
	if (f->ask || f->peer_to_peer) {
		return 0;
	}
	int r = sd_bus_message_new_method_call(f->bus, &m, "org.freedesktop.DBus",
		"/org/freedesktop/DBus", "org.freedesktop.DBus", "NameHasOwner");
	if (r >= 0) {
		r = sd_bus_message_append(m, "s", f->controller);
	}
	if (r >= 0) {
		r = sd_bus_call_async(f->bus, &f->ask, m, handle_has_owner, f, ASK_LIMIT_US);
	}
	sd_bus_message_unref(m);
	return r;
}

/*
 * The match is for one name, so that other clients' comings and goings do not wake us. It may have
 * left before the bus knew of the match: asked afterwards.
 */
static int watch_controller(struct bus_face *f) {
	char match[DBUS_NAME_SIZE + 192];
	(void)snprintf(match, sizeof(match),
		"type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',"
		"interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='%s'",
		f->controller);
	int r = sd_bus_add_match_async(f->bus, &f->watch, match, handle_owner_changed, NULL, f);
	return r < 0 ? r : ask_for_controller(f);
}

int bus_method_take_control(sd_bus_message *m, void *data, sd_bus_error *error) {
	struct bus_face *f = data;
	int force;
	int r = sd_bus_message_read(m, "b", &force);
	if (r < 0) {
		return r;
	}
	if (bus_in_control(f, m)) {
		return sd_bus_reply_method_return(m, NULL);
	}
	if (f->controller[0] != '\0') {
		/* A flooded bus may have dropped the word of its end: who tries again finds out. */
		(void)ask_for_controller(f);
	}
	if (f->controller[0] != '\0' || session_take(f->session, &f->control) < 0) {
		return force ? sd_bus_error_set_const(error, SD_BUS_ERROR_ACCESS_DENIED,
				       "Only root could take control by force")
			     : sd_bus_error_set_errnof(
				       error, EBUSY, "The session is under control already");
	}
	(void)snprintf(f->controller, sizeof(f->controller), "%s", bus_sender(m));
	r = watch_controller(f);
	if (r < 0) {
		bus_drop_controller(f);
		return r;
	}
	log_info("%s has the session", f->controller);
	return sd_bus_reply_method_return(m, NULL);
}

int bus_method_release_control(sd_bus_message *m, void *data, sd_bus_error *error) {
	struct bus_face *f = data;
	int r = check_control(f, m, error);
	if (r < 0) {
		return r;
	}
	bus_drop_controller(f);
	return sd_bus_reply_method_return(m, NULL);
}

static int read_device(
	sd_bus_message *m, struct bus_face *f, struct taken *ret, sd_bus_error *error) {
	*ret = (struct taken){0};
	int r = sd_bus_message_read(m, "uu", &ret->major, &ret->minor);
	return r < 0 ? r : check_control(f, m, error);
}

int bus_method_take_device(sd_bus_message *m, void *data, sd_bus_error *error) {
	struct bus_face *f = data;
	struct taken wanted;
	int r = read_device(m, f, &wanted, error);
	if (r < 0) {
		return r;
	}
	const struct device *d = devices_find(f->session->devices, wanted.major, wanted.minor);
	struct taken *t = find_taken(f, wanted.major, wanted.minor);
	if (!d) {
		return sd_bus_error_set_errnof(error, ENODEV,
			"Device %u:%u is not one of this session's", wanted.major, wanted.minor);
	}
	/* The lease is handed out as often as asked: its copies are all the same to the kernel. */
	if (t && d->kind == DEVICE_INPUT) {
		return sd_bus_error_set_const(error, ERROR_IS_TAKEN, "The device is taken already");
	}
	if (!t && f->n_taken == ARRAY_SIZE(f->taken)) {
		return -ENOBUFS;
	}
	int fd CLEANUP_CLOSE = device_open(d);
	if (fd < 0) {
		return sd_bus_error_set_errnof(error, -fd, "Device %u:%u cannot be had: %s",
			wanted.major, wanted.minor,
			fd == -ENODEV ? "its DRM lease ended" : strerror(-fd));
	}
	device_drain(d);
	r = sd_bus_reply_method_return(m, "hb", fd, !f->session->active);
	if (r >= 0 && t) {
		t->gone = false;
	} else if (r >= 0) {
		f->taken[f->n_taken++] = wanted;
	}
	return r;
}

int bus_method_release_device(sd_bus_message *m, void *data, sd_bus_error *error) {
	struct bus_face *f = data;
	struct taken wanted;
	int r = read_device(m, f, &wanted, error);
	if (r < 0) {
		return r;
	}
	struct taken *t = find_taken(f, wanted.major, wanted.minor);
	if (!t) {
		return sd_bus_error_set_const(error, ERROR_NOT_TAKEN, "The device is not taken");
	}
	forget_taken(f, t);
	return sd_bus_reply_method_return(m, NULL);
}

/* Nothing is ever paused in the way that waits for this. */
int bus_method_pause_complete(sd_bus_message *m, void *data, sd_bus_error *error) {
	struct bus_face *f = data;
	struct taken wanted;
	int r = read_device(m, f, &wanted, error);
	if (r < 0) {
		return r;
	}
	if (!find_taken(f, wanted.major, wanted.minor)) {
		return sd_bus_error_set_const(error, ERROR_NOT_TAKEN, "The device is not taken");
	}
	return sd_bus_reply_method_return(m, NULL);
}
