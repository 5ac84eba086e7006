/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Mutter hands out one reading pipe at a time; one that was closed at this end makes room for the next.
 * Its clipboard cannot be enabled a second time in a session, so nothing here disables it.
 */
#include <fcntl.h>
#include <string.h>

#include "input/mutter.h"
#include "list.h"
#include "log.h"
#include "mutter.h"
#include "util.h"

LOG_MODULE("clipboard");

#define CALL_TIMEOUT_US (10 * UINT64_C(1000000))
#define TYPES_MAX       256u
#define WRITES_MAX      64u
#define TYPE_SIZE       64u /* longer ones are nobody's we know */

/* A pipe that Mutter was asked for. */
struct write {
	struct list link; // mutter_clipboard.writes
	struct mutter_clipboard *clipboard;
	sd_bus_slot *call;
	uint32_t serial;
	char type[TYPE_SIZE];
};

struct mutter_clipboard {
	struct clipboard_backend base;
	struct mutter *m;
	const struct clipboard_events *events; // may be NULL
	void *data;                            /* of events */
	sd_bus_slot *owner_match, *transfer_match, *enable, *read, *offer;
	bool available;
	bool known; /* Mutter said what the clipboard has */
	clipboard_fd_fn read_done;
	void *read_data;
	clipboard_done_fn offer_done;
	void *offer_data;
	struct list writes; // struct write.link
	unsigned n_writes;
};

static struct mutter_clipboard *clipboard_of(struct clipboard_backend *b) {
	return (struct mutter_clipboard *)b;
}

static int new_call(struct mutter_clipboard *c, sd_bus_message **ret, const char *member) {
	return sd_bus_message_new_method_call(
		c->m->bus, ret, MUTTER_RD, c->m->session, MUTTER_RD_SESSION, member);
}

/* Consumes `msg`; `r`: what making it gave. */
static int call(struct mutter_clipboard *c, sd_bus_message *msg, int r, sd_bus_slot **slot,
	sd_bus_message_handler_t handler, void *data) {
	*slot = sd_bus_slot_unref(*slot);
	if (r >= 0) {
		(void)sd_bus_message_set_auto_start(msg, 0);
		r = sd_bus_call_async(c->m->bus, slot, msg, handler, data, CALL_TIMEOUT_US);
	}
	sd_bus_message_unref(msg);
	return r < 0 ? r : 0;
}

/* -errno of a reply that is an error. */
static int reply_error(sd_bus_message *reply) {
	int r = sd_bus_message_get_errno(reply);
	return r > 0 ? -r : 0;
}

/* A descriptor of our own. */
static int reply_fd(sd_bus_message *reply) {
	int fd, r = reply_error(reply);
	if (r == 0) {
		r = sd_bus_message_read(reply, "h", &fd);
	}
	if (r < 0) {
		return r;
	}
	fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return fd < 0 ? -errno : fd;
}

static void make_available(struct mutter_clipboard *c) {
	if (!c->available) {
		c->available = true;
		c->events->available(true, c->data);
	}
}

static void free_write(struct write *w) {
	list_remove(&w->link);
	w->clipboard->n_writes--;
	sd_bus_slot_unref(w->call);
	free(w);
}

static int handle_write(sd_bus_message *reply, void *data, sd_bus_error *error) {
	struct write *w = data;
	struct mutter_clipboard *c = w->clipboard;
	int fd = reply_fd(reply);
	if (fd >= 0) {
		c->events->wanted(w->type, fd, w->serial, c->data);
	}
	free_write(w);
	return 0;
}

static int handle_transfer(sd_bus_message *signal, void *data, sd_bus_error *error) {
	struct mutter_clipboard *c = data;
	sd_bus_message *msg = NULL;
	const char *type;
	uint32_t serial;
	if (sd_bus_message_read(signal, "su", &type, &serial) < 0 || strlen(type) >= TYPE_SIZE ||
		c->n_writes == WRITES_MAX) {
		return 0; /* Mutter gives up waiting by itself */
	}
	struct write *w = calloc(1, sizeof(*w));
	if (!w) {
		return 0;
	}
	w->clipboard = c;
	w->serial = serial;
	memcpy(w->type, type, strlen(type));
	list_append(&c->writes, &w->link);
	c->n_writes++;
	int r = new_call(c, &msg, "SelectionWrite");
	if (r >= 0) {
		r = sd_bus_message_append(msg, "u", serial);
	}
	if (call(c, msg, r, &w->call, handle_write, w) < 0) {
		free_write(w);
	}
	return 0;
}

/* As a tuple of an array in all versions that there are; an array would be as good. */
static int read_types(sd_bus_message *m, const char **types, size_t *ret_n) {
	char kind;
	const char *contents, *type;
	int r = sd_bus_message_peek_type(m, &kind, &contents);
	if (r <= 0 || kind != 'v') {
		return -EBADMSG;
	}
	bool tuple = strcmp(contents, "(as)") == 0;
	if (!tuple && strcmp(contents, "as") != 0) {
		return -EBADMSG;
	}
	r = sd_bus_message_enter_container(m, 'v', contents);
	if (r >= 0 && tuple) {
		r = sd_bus_message_enter_container(m, 'r', "as");
	}
	if (r >= 0) {
		r = sd_bus_message_enter_container(m, 'a', "s");
	}
	while (r >= 0 && (r = sd_bus_message_read(m, "s", &type)) > 0) {
		if (*ret_n < TYPES_MAX) {
			types[(*ret_n)++] = type;
		}
	}
	for (int i = 0; r >= 0 && i < (tuple ? 3 : 2); i++) {
		r = sd_bus_message_exit_container(m);
	}
	return r;
}

static int read_owner(sd_bus_message *m, const char **types, size_t *ret_n, bool *ret_own) {
	const char *key;
	int own, r = sd_bus_message_enter_container(m, 'a', "{sv}");
	while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
		r = sd_bus_message_read(m, "s", &key);
		if (r < 0) {
			break;
		}
		if (strcmp(key, "mime-types") == 0) {
			r = read_types(m, types, ret_n);
		} else if (strcmp(key, "session-is-owner") == 0) {
			r = sd_bus_message_read(m, "v", "b", &own);
			*ret_own = r > 0 && own;
		} else {
			r = sd_bus_message_skip(m, "v");
		}
		if (r >= 0) {
			r = sd_bus_message_exit_container(m);
		}
	}
	return r;
}

static int handle_owner_changed(sd_bus_message *signal, void *data, sd_bus_error *error) {
	struct mutter_clipboard *c = data;
	const char *types[TYPES_MAX];
	size_t n = 0;
	bool own = false;
	if (read_owner(signal, types, &n, &own) < 0) {
		return 0;
	}
	make_available(c);
	c->known = true;
	if (own) {
		c->events->owned(c->data);
	} else {
		c->events->offered(types, n, c->data);
	}
	return 0;
}

static int handle_enabled(sd_bus_message *reply, void *data, sd_bus_error *error) {
	struct mutter_clipboard *c = data;
	const sd_bus_error *e = sd_bus_message_get_error(reply);
	if (e) {
		log_warn("Mutter: EnableClipboard: %s", e->message ? e->message : e->name);
		return 0;
	}
	make_available(c);
	if (!c->known) {
		/* It tells at once if there is something. */
		c->known = true;
		c->events->offered(NULL, 0, c->data);
	}
	return 0;
}

void clipboard_mutter_begin(struct clipboard_backend *b) {
	struct mutter_clipboard *c = clipboard_of(b);
	sd_bus_message *msg = NULL;
	if (!c || !c->events) {
		return;
	}
	int r = sd_bus_match_signal_async(c->m->bus, &c->owner_match, MUTTER_RD, c->m->session,
		MUTTER_RD_SESSION, "SelectionOwnerChanged", handle_owner_changed, NULL, c);
	if (r >= 0) {
		r = sd_bus_match_signal_async(c->m->bus, &c->transfer_match, MUTTER_RD,
			c->m->session, MUTTER_RD_SESSION, "SelectionTransfer", handle_transfer,
			NULL, c);
	}
	if (r >= 0) {
		r = new_call(c, &msg, "EnableClipboard");
	}
	if (r >= 0) {
		r = sd_bus_message_append(msg, "a{sv}", 0);
	}
	r = call(c, msg, r, &c->enable, handle_enabled, c);
	if (r < 0) {
		log_warn_errno(r, "Mutter: EnableClipboard");
	}
}

void clipboard_mutter_end(struct clipboard_backend *b) {
	struct mutter_clipboard *c = clipboard_of(b);
	struct write *w, *tmp;
	if (!c) {
		return;
	}
	c->owner_match = sd_bus_slot_unref(c->owner_match);
	c->transfer_match = sd_bus_slot_unref(c->transfer_match);
	c->enable = sd_bus_slot_unref(c->enable);
	c->read = sd_bus_slot_unref(c->read);
	c->offer = sd_bus_slot_unref(c->offer);
	list_for_each_safe(w, tmp, &c->writes, link) {
		free_write(w);
	}
	c->known = false;
	if (c->available) {
		c->available = false;
		if (c->events) {
			c->events->available(false, c->data);
		}
	}
}

static void clipboard_listen(
	struct clipboard_backend *b, const struct clipboard_events *events, void *data) {
	struct mutter_clipboard *c = clipboard_of(b);
	if (!events) {
		c->events = NULL;
		clipboard_mutter_end(b);
	}
	c->events = events;
	c->data = data;
	if (events && c->m->step >= MUTTER_PRIMING) {
		clipboard_mutter_begin(b);
	}
}

static int handle_read(sd_bus_message *reply, void *data, sd_bus_error *error) {
	struct mutter_clipboard *c = data;
	c->read = sd_bus_slot_unref(c->read);
	c->read_done(c->read_data, reply_fd(reply));
	return 0;
}

static int clipboard_read(
	struct clipboard_backend *b, const char *type, clipboard_fd_fn done, void *data) {
	struct mutter_clipboard *c = clipboard_of(b);
	sd_bus_message *msg = NULL;
	c->read_done = done;
	c->read_data = data;
	int r = new_call(c, &msg, "SelectionRead");
	if (r >= 0) {
		r = sd_bus_message_append(msg, "s", type);
	}
	return call(c, msg, r, &c->read, handle_read, c);
}

/* Its descriptor is closed with the reply. */
static void clipboard_cancel_read(struct clipboard_backend *b) {
	struct mutter_clipboard *c = clipboard_of(b);
	c->read = sd_bus_slot_unref(c->read);
}

static int handle_offered(sd_bus_message *reply, void *data, sd_bus_error *error) {
	struct mutter_clipboard *c = data;
	c->offer = sd_bus_slot_unref(c->offer);
	c->offer_done(c->offer_data, reply_error(reply));
	return 0;
}

static int append_types(sd_bus_message *msg, const char *const *types, size_t n) {
	int r = sd_bus_message_open_container(msg, 'a', "{sv}");
	if (r >= 0) {
		r = sd_bus_message_open_container(msg, 'e', "sv");
	}
	if (r >= 0) {
		r = sd_bus_message_append(msg, "s", "mime-types");
	}
	if (r >= 0) {
		r = sd_bus_message_open_container(msg, 'v', "as");
	}
	if (r >= 0) {
		r = sd_bus_message_open_container(msg, 'a', "s");
	}
	for (size_t i = 0; r >= 0 && i < n; i++) {
		r = sd_bus_message_append(msg, "s", types[i]);
	}
	for (unsigned i = 0; r >= 0 && i < 4; i++) {
		r = sd_bus_message_close_container(msg);
	}
	return r;
}

static int clipboard_offer(struct clipboard_backend *b, const char *const *types, size_t n,
	clipboard_done_fn done, void *data) {
	struct mutter_clipboard *c = clipboard_of(b);
	sd_bus_message *msg = NULL;
	c->offer_done = done;
	c->offer_data = data;
	int r = new_call(c, &msg, "SetSelection");
	if (r >= 0) {
		r = append_types(msg, types, n);
	}
	return call(c, msg, r, &c->offer, handle_offered, c);
}

static void clipboard_served(struct clipboard_backend *b, uint32_t token, bool well) {
	struct mutter_clipboard *c = clipboard_of(b);
	sd_bus_message *msg = NULL;
	int r = c->m->session ? new_call(c, &msg, "SelectionWriteDone") : -ENOTCONN;
	if (r >= 0) {
		r = sd_bus_message_append(msg, "ub", token, (int)well);
	}
	if (r >= 0) {
		(void)sd_bus_message_set_expect_reply(msg, 0);
		(void)sd_bus_send(c->m->bus, msg, NULL);
	}
	sd_bus_message_unref(msg);
}

static const struct clipboard_backend_ops clipboard_ops = {
	.name = "mutter",
	.listen = clipboard_listen,
	.read = clipboard_read,
	.cancel_read = clipboard_cancel_read,
	.offer = clipboard_offer,
	.served = clipboard_served,
};

int clipboard_mutter_create(struct mutter *m, struct clipboard_backend **ret) {
	struct mutter_clipboard *c = calloc(1, sizeof(*c));
	if (!c) {
		return -ENOMEM;
	}
	c->base.ops = &clipboard_ops;
	c->m = m;
	list_init(&c->writes);
	*ret = &c->base;
	return 0;
}

void clipboard_mutter_destroy(struct clipboard_backend *b) {
	clipboard_mutter_end(b);
	free(b);
}
