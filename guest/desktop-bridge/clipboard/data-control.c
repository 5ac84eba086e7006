/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Both protocols have the same messages in the same order; only the names of their interfaces differ. The
 * objects are those of one or of the other, and what is sent is numbered as the older one's.
 *
 * A compositor tells of our own content as of any other's. A type that nobody else offers says that it is ours.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "data-control.h"
#include "data-offers.h"
#include "ext-data-control-v1-client-protocol.h"
#include "log.h"
#include "util.h"
#include "wayland/link.h"
#include "wlr-data-control-unstable-v1-client-protocol.h"

LOG_MODULE("clipboard");

#define OFFER_TIMEOUT_US (10 * UINT64_C(1000000))

#define SAME(message) \
	_Static_assert((int)EXT_DATA_CONTROL_##message == (int)ZWLR_DATA_CONTROL_##message, "")
SAME(MANAGER_V1_CREATE_DATA_SOURCE);
SAME(MANAGER_V1_GET_DATA_DEVICE);
SAME(MANAGER_V1_DESTROY);
SAME(DEVICE_V1_SET_SELECTION);
SAME(DEVICE_V1_DESTROY);
SAME(SOURCE_V1_OFFER);
SAME(SOURCE_V1_DESTROY);

struct dialect {
	const struct wl_interface *manager, *device, *source;
};

static const struct dialect ext = {&ext_data_control_manager_v1_interface,
	&ext_data_control_device_v1_interface, &ext_data_control_source_v1_interface};
static const struct dialect wlr = {&zwlr_data_control_manager_v1_interface,
	&zwlr_data_control_device_v1_interface, &zwlr_data_control_source_v1_interface};

struct data_control {
	struct clipboard_backend base;
	struct wayland_link *link;
	const struct clipboard_events *events; // may be NULL
	void *data;                            /* of events */

	/* Of the connection; NULL without. */
	const struct dialect *dialect;
	struct wl_seat *seat;
	uint32_t seat_name, manager_name;
	struct wl_proxy *manager, *device;
	struct wl_proxy *source; /* what is offered here, until another replaces it */
	struct data_offers offers;
	bool known; /* it told what the clipboard has */
	bool owned; /* that is `source` */
	struct wl_callback *first_sync, *offer_sync;

	/* For whoever reads: the reading end, until the loop's next turn. */
	int read_fd;
	sd_event_source *read_turn;
	clipboard_fd_fn read_done;
	void *read_data;
	clipboard_done_fn offer_done;
	void *offer_data;
	sd_event_source *offer_timer;
};

static struct data_control *data_control_of(struct clipboard_backend *b) {
	return (struct data_control *)b;
}

/* Objects. */

static void request_destroy(struct wl_proxy *proxy, uint32_t opcode) {
	(void)wl_proxy_marshal_flags(
		proxy, opcode, NULL, wl_proxy_get_version(proxy), WL_MARSHAL_FLAG_DESTROY);
}

static struct wl_callback *drop_sync(struct wl_callback *sync) {
	if (sync) {
		wl_callback_destroy(sync);
	}
	return NULL;
}

static void drop_source(struct data_control *c) {
	if (c->source) {
		request_destroy(c->source, ZWLR_DATA_CONTROL_SOURCE_V1_DESTROY);
	}
	c->source = NULL;
	c->owned = false;
}

static void stop_reading(struct data_control *c) {
	c->read_fd = close_fd(c->read_fd);
	(void)sd_event_source_set_enabled(c->read_turn, SD_EVENT_OFF);
}

static void stop_offering(struct data_control *c) {
	c->offer_sync = drop_sync(c->offer_sync);
	(void)sd_event_source_set_enabled(c->offer_timer, SD_EVENT_OFF);
}

static void drop_objects(struct data_control *c) {
	stop_reading(c);
	stop_offering(c);
	c->first_sync = drop_sync(c->first_sync);
	drop_source(c);
	data_offers_clear(&c->offers);
	if (c->device) {
		request_destroy(c->device, ZWLR_DATA_CONTROL_DEVICE_V1_DESTROY);
	}
	if (c->manager) {
		request_destroy(c->manager, ZWLR_DATA_CONTROL_MANAGER_V1_DESTROY);
	}
	if (c->seat) {
		wl_seat_destroy(c->seat);
	}
	c->device = c->manager = NULL;
	c->seat = NULL;
	c->known = false;
}

/* What other programs have. */

static void handle_data_offer(void *data, struct zwlr_data_control_device_v1 *device,
	struct zwlr_data_control_offer_v1 *id) {
	data_offers_add(&((struct data_control *)data)->offers, id);
}

static void tell_selected(struct data_control *c) {
	const struct data_offer *o = c->offers.selected;
	const char *types[DATA_TYPES_MAX];
	if (!c->known) {
		c->known = true;
		log_info("the clipboard is the compositor's");
		c->events->available(true, c->data);
	}
	/* Who copies it with all its types takes over the mark, too, and our source is gone. */
	c->owned = o && o->marked && c->source;
	if (c->owned) {
		c->events->owned(c->data);
		return;
	}
	for (size_t i = 0; o && i < o->n; i++) {
		types[i] = o->types[i];
	}
	c->events->offered(types, o ? o->n : 0, c->data);
}

static void handle_selection(void *data, struct zwlr_data_control_device_v1 *device,
	struct zwlr_data_control_offer_v1 *id) {
	struct data_control *c = data;
	data_offers_select(&c->offers, id);
	tell_selected(c);
}

static void handle_primary(void *data, struct zwlr_data_control_device_v1 *device,
	struct zwlr_data_control_offer_v1 *id) {
	data_offers_drop(&((struct data_control *)data)->offers, id);
}

static void handle_finished(void *data, struct zwlr_data_control_device_v1 *device) {
	wayland_link_lose(((struct data_control *)data)->link, "its seat is gone");
}

static void handle_first_sync(void *data, struct wl_callback *callback, uint32_t serial) {
	struct data_control *c = data;
	c->first_sync = drop_sync(c->first_sync);
	if (!c->known) {
		tell_selected(c);
	}
}

/* The compositor. */

static void handle_global(struct wl_registry *registry, uint32_t name, const char *interface,
	uint32_t version, void *data) {
	struct data_control *c = data;
	const struct dialect *dialect = strcmp(interface, ext.manager->name) == 0 ? &ext
		: strcmp(interface, wlr.manager->name) == 0                       ? &wlr
										  : NULL;
	if (strcmp(interface, wl_seat_interface.name) == 0 && !c->seat) {
		c->seat = wl_registry_bind(registry, name, &wl_seat_interface, 1);
		c->seat_name = name;
	} else if (dialect && !c->device && (!c->manager || dialect == &ext)) {
		if (c->manager) {
			request_destroy(c->manager, ZWLR_DATA_CONTROL_MANAGER_V1_DESTROY);
		}
		/* The older one's first version is without the primary selection. */
		c->manager = wl_registry_bind(registry, name, dialect->manager, 1);
		c->manager_name = name;
		c->dialect = dialect;
	}
}

static void handle_global_removed(uint32_t name, void *data) {
	struct data_control *c = data;
	if ((c->seat && name == c->seat_name) || (c->manager && name == c->manager_name)) {
		wayland_link_lose(c->link, "its seat or its clipboard was removed");
	}
}

static struct wl_callback *sync_with(
	struct data_control *c, const struct wl_callback_listener *listener) {
	struct wl_callback *sync = wl_display_sync(wayland_link_display(c->link));
	if (sync) {
		(void)wl_callback_add_listener(sync, listener, c);
	}
	return sync;
}

static void handle_told(void *data) {
	static const struct zwlr_data_control_device_v1_listener listener = {
		.data_offer = handle_data_offer,
		.selection = handle_selection,
		.finished = handle_finished,
		.primary_selection = handle_primary,
	};
	static const struct wl_callback_listener sync_listener = {.done = handle_first_sync};
	struct data_control *c = data;
	if (!c->seat || !c->manager) {
		log_debug("the compositor lets nobody manage its clipboard");
		return;
	}
	c->device = wl_proxy_marshal_flags(c->manager, ZWLR_DATA_CONTROL_MANAGER_V1_GET_DATA_DEVICE,
		c->dialect->device, wl_proxy_get_version(c->manager), 0, NULL, c->seat);
	if (c->device) {
		(void)zwlr_data_control_device_v1_add_listener(
			(struct zwlr_data_control_device_v1 *)c->device, &listener, c);
		c->first_sync = sync_with(c, &sync_listener);
	}
	if (!c->first_sync) {
		wayland_link_lose(c->link, "out of memory");
	}
}

static void handle_lost(const char *why, void *data) {
	struct data_control *c = data;
	bool known = c->known;
	drop_objects(c);
	if (known) {
		c->events->available(false, c->data);
	}
}

static const struct wayland_events link_events = {
	.global = handle_global,
	.global_removed = handle_global_removed,
	.told = handle_told,
	.lost = handle_lost,
};

static void clipboard_listen(
	struct clipboard_backend *b, const struct clipboard_events *events, void *data) {
	struct data_control *c = data_control_of(b);
	c->events = events;
	c->data = data;
	if (events) {
		wayland_link_open(c->link);
	} else {
		drop_objects(c);
		wayland_link_close(c->link);
	}
}

/* Reading. */

static int handle_read_turn(sd_event_source *source, void *data) {
	struct data_control *c = data;
	c->read_done(c->read_data, take_fd(&c->read_fd));
	return 0;
}

static int clipboard_read(
	struct clipboard_backend *b, const char *type, clipboard_fd_fn done, void *data) {
	struct data_control *c = data_control_of(b);
	int fds[2];
	if (!c->offers.selected) {
		return -ENOENT;
	}
	if (wayland_link_blocked(c->link)) {
		return -EAGAIN;
	}
	if (pipe2(fds, O_CLOEXEC) < 0) {
		return -errno;
	}
	zwlr_data_control_offer_v1_receive(c->offers.selected->proxy, type, fds[1]);
	(void)close_fd(fds[1]);
	wayland_link_flush(c->link);
	stop_reading(c);
	c->read_fd = fds[0];
	c->read_done = done;
	c->read_data = data;
	(void)sd_event_source_set_enabled(c->read_turn, SD_EVENT_ONESHOT);
	return 0;
}

static void clipboard_cancel_read(struct clipboard_backend *b) {
	stop_reading(data_control_of(b));
}

/* Offering. */

static void handle_send(
	void *data, struct zwlr_data_control_source_v1 *source, const char *type, int32_t fd) {
	struct data_control *c = data;
	c->events->wanted(type, fd, 0, c->data);
}

static void handle_cancelled(void *data, struct zwlr_data_control_source_v1 *source) {
	drop_source(data);
}

static void end_offer(struct data_control *c, int error) {
	stop_offering(c);
	c->offer_done(c->offer_data, error);
}

/* The compositor has taken it, and said so or not. */
static void handle_offer_sync(void *data, struct wl_callback *callback, uint32_t serial) {
	struct data_control *c = data;
	if (c->source && !c->owned) {
		c->owned = true;
		c->events->owned(c->data);
	}
	end_offer(c, 0);
}

static int handle_offer_timer(sd_event_source *source, uint64_t usec, void *data) {
	struct data_control *c = data;
	drop_source(c);
	wayland_link_flush(c->link);
	end_offer(c, -ETIMEDOUT);
	return 0;
}

static void add_type(struct wl_proxy *source, const char *type) {
	(void)wl_proxy_marshal_flags(source, ZWLR_DATA_CONTROL_SOURCE_V1_OFFER, NULL,
		wl_proxy_get_version(source), 0, type);
}

static struct wl_proxy *make_source(struct data_control *c, const char *const *types, size_t n) {
	static const struct zwlr_data_control_source_v1_listener listener = {
		.send = handle_send,
		.cancelled = handle_cancelled,
	};
	struct wl_proxy *source =
		wl_proxy_marshal_flags(c->manager, ZWLR_DATA_CONTROL_MANAGER_V1_CREATE_DATA_SOURCE,
			c->dialect->source, wl_proxy_get_version(c->manager), 0, NULL);
	if (!source) {
		return NULL;
	}
	(void)zwlr_data_control_source_v1_add_listener(
		(struct zwlr_data_control_source_v1 *)source, &listener, c);
	for (size_t i = 0; i < n; i++) {
		add_type(source, types[i]);
	}
	add_type(source, c->offers.mark);
	return source;
}

static int clipboard_offer(struct clipboard_backend *b, const char *const *types, size_t n,
	clipboard_done_fn done, void *data) {
	static const struct wl_callback_listener listener = {.done = handle_offer_sync};
	struct data_control *c = data_control_of(b);
	if (!c->device) {
		return -ENOTCONN;
	}
	if (wayland_link_blocked(c->link)) {
		return -EAGAIN;
	}
	struct wl_proxy *source = make_source(c, types, n);
	if (!source) {
		return -ENOMEM;
	}
	(void)wl_proxy_marshal_flags(c->device, ZWLR_DATA_CONTROL_DEVICE_V1_SET_SELECTION, NULL,
		wl_proxy_get_version(c->device), 0, source);
	drop_source(c); /* the earlier one, behind it, so that the clipboard is never empty */
	c->source = source;
	stop_offering(c);
	c->offer_sync = sync_with(c, &listener);
	if (!c->offer_sync) {
		drop_source(c);
		return -ENOMEM;
	}
	c->offer_done = done;
	c->offer_data = data;
	(void)sd_event_source_set_time_relative(c->offer_timer, OFFER_TIMEOUT_US);
	(void)sd_event_source_set_enabled(c->offer_timer, SD_EVENT_ONESHOT);
	wayland_link_flush(c->link);
	return 0;
}

static const struct clipboard_backend_ops data_control_ops = {
	.name = "data-control",
	.listen = clipboard_listen,
	.read = clipboard_read,
	.cancel_read = clipboard_cancel_read,
	.offer = clipboard_offer,
};

static int make_mark(struct data_control *c) {
	uint64_t number;
	if (getrandom(&number, sizeof(number), 0) != sizeof(number)) {
		return -EIO;
	}
	(void)snprintf(c->offers.mark, sizeof(c->offers.mark),
		"application/x-helix-scanout;owner=%016" PRIx64, number);
	return 0;
}

int clipboard_data_control_create(sd_event *loop, struct clipboard_backend **ret) {
	struct data_control *c = calloc(1, sizeof(*c));
	if (!c) {
		return -ENOMEM;
	}
	c->base.ops = &data_control_ops;
	c->read_fd = -1;
	list_init(&c->offers.list);
	int r = make_mark(c);
	if (r >= 0) {
		r = wayland_link_create(loop, &link_events, c, &c->link);
	}
	if (r >= 0) {
		r = sd_event_add_defer(loop, &c->read_turn, handle_read_turn, c);
	}
	if (r >= 0) {
		(void)sd_event_source_set_enabled(c->read_turn, SD_EVENT_OFF);
		r = sd_event_add_time(
			loop, &c->offer_timer, CLOCK_MONOTONIC, 0, 0, handle_offer_timer, c);
	}
	if (r < 0) {
		clipboard_data_control_destroy(&c->base);
		return r;
	}
	(void)sd_event_source_set_enabled(c->offer_timer, SD_EVENT_OFF);
	*ret = &c->base;
	return 0;
}

void clipboard_data_control_destroy(struct clipboard_backend *b) {
	struct data_control *c = data_control_of(b);
	if (!c) {
		return;
	}
	drop_objects(c);
	wayland_link_destroy(c->link);
	sd_event_source_disable_unref(c->read_turn);
	sd_event_source_disable_unref(c->offer_timer);
	free(c);
}
