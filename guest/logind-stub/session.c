/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>
#include <time.h>

#include "session.h"

static uint64_t clock_us(clockid_t clock) {
	struct timespec ts;
	(void)clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

static void tell(struct session *s, uint32_t what) {
	struct session_listener *l;
	list_for_each(l, &s->listeners, link) {
		if (l->changed) {
			l->changed(l, what);
		}
	}
}

void session_init(struct session *s, struct devices *devices) {
	*s = (struct session){
		.type = "wayland",
		.desktop = "",
		.runtime_dir = "",
		.since_us = clock_us(CLOCK_REALTIME),
		.since_monotonic_us = clock_us(CLOCK_MONOTONIC),
		.active = true,
		.devices = devices,
	};
	list_init(&s->listeners);
}

void session_listen(struct session *s, struct session_listener *l) {
	list_append(&s->listeners, &l->link);
}

int session_take(struct session *s, struct controller *c) {
	if (s->controller && s->controller != c) {
		return -EBUSY;
	}
	s->controller = c;
	return 0;
}

void session_release(struct session *s, struct controller *c) {
	struct session_listener *l;
	if (s->controller != c) {
		return;
	}
	s->controller = NULL;
	list_for_each(l, &s->listeners, link) {
		/* The first that is told may take it. */
		if (l->released && !s->controller) {
			l->released(l);
		}
	}
}

void session_pause(struct session *s) {
	if (!s->active) {
		return;
	}
	s->active = false;
	devices_set_lease(s->devices, -1);
	if (s->controller) {
		s->controller->ops->pause(s->controller);
	}
	tell(s, SESSION_CHANGED_ACTIVE);
}

void session_resume(struct session *s, int fd) {
	/* Of a lease that is merely replaced, the old one is told first to be gone. */
	session_pause(s);
	devices_set_lease(s->devices, fd);
	s->active = true;
	if (s->controller) {
		s->controller->ops->resume(s->controller);
	}
	tell(s, SESSION_CHANGED_ACTIVE);
}

void session_drop_input(struct session *s) {
	const struct device *d;
	while ((d = devices_first_input(s->devices))) {
		if (s->controller) {
			s->controller->ops->device_gone(s->controller, d);
		}
		devices_remove(s->devices, d->major, d->minor);
	}
}

void session_set_locked(struct session *s, bool locked) {
	if (s->locked != locked) {
		s->locked = locked;
		tell(s, SESSION_CHANGED_LOCKED);
	}
}

void session_set_idle(struct session *s, bool idle) {
	if (s->idle != idle) {
		s->idle = idle;
		s->idle_since_us = clock_us(CLOCK_REALTIME);
		s->idle_since_monotonic_us = clock_us(CLOCK_MONOTONIC);
		tell(s, SESSION_CHANGED_IDLE);
	}
}

int session_set_type(struct session *s, const char *type) {
	static const char *const types[] = {"unspecified", "tty", "x11", "wayland", "mir", "web"};
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		if (strcmp(type, types[i]) == 0) {
			if (s->type != types[i]) {
				s->type = types[i];
				tell(s, SESSION_CHANGED_TYPE);
			}
			return 0;
		}
	}
	return -EINVAL;
}

const char *session_state(const struct session *s) {
	return s->active ? "active" : "online";
}
