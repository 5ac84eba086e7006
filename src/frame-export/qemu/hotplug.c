/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * QEMU passes a SetUIInfo on to the guest, as a configuration interrupt, only if it differs from
 * the console's last one. What the guest then sees are our device's answers; QEMU's copy of the
 * numbers reaches nobody but QEMU. So two calls in a row never say the same physical width, to the
 * millimetre: each is an event, without an unplug in between that the guest might catch. On a new
 * link QEMU's last value is unknown; two calls settle that.
 *
 * Linux clears an event when it is done with it, and with it one that came in between. So whether
 * the guest did ask is checked a little later, and the event raised again if not.
 *
 * At most one call per output is under way; what is asked for meanwhile is told when it returns.
 */
#include <stdio.h>
#include <string.h>

#include "consoles.h"
#include "hotplug.h"
#include "link.h"
#include "log.h"

LOG_MODULE("hotplug");

#define OUTPUTS_MAX 16 /* VIRTIO_GPU_MAX_SCANOUTS, virtio 1.2 section 5.7.4 */

/* When it is looked whether the guest asked: the first time, then twice as long, so many times. */
#define REPEAT_FIRST_USEC (250 * 1000)
#define REPEATS_MAX       5

#define VM_PATH              "/org/qemu/Display1/VM"
#define VM_INTERFACE         "org.qemu.Display1.VM"
#define CONSOLE_PATH         "/org/qemu/Display1/Console_%u"
#define CONSOLE_INTERFACE    "org.qemu.Display1.Console"
#define PROPERTIES_INTERFACE "org.freedesktop.DBus.Properties"

struct output {
	struct hotplug *hotplug;
	uint32_t width, height;
	bool set;          /* somebody asked for something */
	bool dirty;        /* QEMU is to be told, again */
	int console;       /* index into hotplug.consoles, -1 if QEMU has none for it */
	bool odd;          /* lowest bit of the width told last, in millimetres */
	bool fresh;        /* nothing told since the link came up */
	sd_bus_slot *call; // under way; NULL if none
};

struct query {
	struct hotplug *hotplug;
	sd_bus_slot *slot; // NULL when answered
};

struct hotplug {
	struct qemu_link *link;
	hotplug_link_func link_func; // may be NULL
	void *link_data;
	bool up;

	hotplug_known_func known_func; // may be NULL
	void *known_data;
	sd_event_source *repeat_timer; /* off, unless something was told and is not known yet */
	struct output *repeat_output;  // one of those told last; NULL before the first
	unsigned n_repeats;

	sd_bus *bus; // NULL while there is no link
	struct query ids_query;
	struct query queries[CONSOLES_MAX];
	unsigned n_queries_open;
	struct console consoles[CONSOLES_MAX];
	size_t n_consoles;

	char *device_id; /* may be NULL */
	struct output outputs[OUTPUTS_MAX];
	unsigned n_outputs;
};

static void tell(struct output *o);

static int handle_told(sd_bus_message *m, void *data, sd_bus_error *ret_error) {
	struct output *o = data;
	const sd_bus_error *error = sd_bus_message_get_error(m);
	o->call = sd_bus_slot_unref(o->call);
	if (error) {
		log_warn("output %td: SetUIInfo: %s", o - o->hotplug->outputs, error->message);
	}
	if (o->dirty) {
		tell(o);
	}
	return 0;
}

/* Looks, after a while, whether the guest knows what was just told. */
static void arm_repeat(struct hotplug *h, struct output *o) {
	if (!h->known_func || h->n_repeats >= REPEATS_MAX) {
		return;
	}
	uint64_t usec = (uint64_t)REPEAT_FIRST_USEC << h->n_repeats;
	h->repeat_output = o;
	if (sd_event_source_set_time_relative(h->repeat_timer, usec) >= 0) {
		(void)sd_event_source_set_enabled(h->repeat_timer, SD_EVENT_ONESHOT);
	}
}

static int handle_repeat(sd_event_source *source, uint64_t usec, void *data) {
	struct hotplug *h = data;
	if (h->up && !h->known_func(h->known_data)) {
		h->n_repeats++;
		log_debug("the guest has not asked yet: raising the event again");
		h->repeat_output->dirty = true;
		tell(h->repeat_output);
	}
	return 0;
}

/* Pixels at 96 per inch, in millimetres, even or odd as asked. */
static uint16_t millimetres(uint32_t pixels, bool odd) {
	uint64_t mm = (uint64_t)pixels * 254 / 960;
	return (uint16_t)((MIN(mm, (uint64_t)UINT16_MAX) & ~UINT64_C(1)) | odd);
}

static int call_set_ui_info(struct output *o, bool odd, sd_bus_slot **ret_slot) {
	struct hotplug *h = o->hotplug;
	char path[64];
	(void)snprintf(path, sizeof(path), CONSOLE_PATH, h->consoles[o->console].id);
	return sd_bus_call_method_async(h->bus, ret_slot, QEMU_BUS_NAME, path, CONSOLE_INTERFACE,
		"SetUIInfo", ret_slot ? handle_told : NULL, o, "qqiiuu", millimetres(o->width, odd),
		millimetres(o->height, false), 0, 0, o->width, o->height);
}

static void tell(struct output *o) {
	if (!o->hotplug->up || o->console < 0 || o->call) {
		return;
	}
	if (o->fresh) {
		/* Whatever QEMU had last: this call or the next one differs from it. */
		(void)call_set_ui_info(o, o->odd, NULL);
		o->fresh = false;
	}
	o->dirty = false;
	o->odd = !o->odd;
	int r = call_set_ui_info(o, o->odd, &o->call);
	if (r < 0) {
		o->dirty = true;
		log_warn_errno(r, "output %td: SetUIInfo", o - o->hotplug->outputs);
	}
	arm_repeat(o->hotplug, o);
}

static void link_ready(struct hotplug *h) {
	int chosen[OUTPUTS_MAX];
	unsigned found =
		consoles_choose(h->consoles, h->n_consoles, h->device_id, h->n_outputs, chosen);
	if (found == 0) {
		qemu_link_fail(h->link, "the VM has no graphic console%s%s",
			h->device_id ? " of " : "", h->device_id ? h->device_id : "");
		return;
	}
	const struct console *first = NULL;
	for (unsigned i = 0; i < h->n_outputs; i++) {
		h->outputs[i].console = chosen[i];
		h->outputs[i].fresh = true;
		if (chosen[i] >= 0 && !first) {
			first = &h->consoles[chosen[i]];
		}
	}
	qemu_link_settled(h->link);
	h->up = true;
	log_info("linked to QEMU: %u outputs, from Console_%u (%s, %s)", found, first->id,
		first->label, first->address);
	if (found < h->n_outputs) {
		log_warn("QEMU's device has only %u of our %u outputs: is max_outputs the same?",
			found, h->n_outputs);
	}
	for (unsigned i = 0; i < h->n_outputs; i++) {
		if (h->outputs[i].set) {
			tell(&h->outputs[i]);
		}
	}
	if (h->link_func) {
		h->link_func(true, h->link_data);
	}
}

static int handle_console(sd_bus_message *m, void *data, sd_bus_error *ret_error) {
	struct query *q = data;
	struct hotplug *h = q->hotplug;
	struct console *c = &h->consoles[q - h->queries];
	q->slot = sd_bus_slot_unref(q->slot);
	const sd_bus_error *error = sd_bus_message_get_error(m);
	int r = error ? -sd_bus_error_get_errno(error) : console_read(m, c);
	if (r < 0) {
		log_warn_errno(r, "Console_%u cannot be read", c->id);
		c->graphic = false;
	}
	if (--h->n_queries_open == 0) {
		link_ready(h);
	}
	return 0;
}

static int query_consoles(struct hotplug *h, const uint32_t *ids, size_t n) {
	h->n_consoles = MIN(n, (size_t)CONSOLES_MAX);
	h->n_queries_open = 0;
	for (size_t i = 0; i < h->n_consoles; i++) {
		char path[64];
		h->consoles[i] = (struct console){.id = ids[i]};
		(void)snprintf(path, sizeof(path), CONSOLE_PATH, ids[i]);
		h->queries[i].hotplug = h;
		int r = sd_bus_call_method_async(h->bus, &h->queries[i].slot, QEMU_BUS_NAME, path,
			PROPERTIES_INTERFACE, "GetAll", handle_console, &h->queries[i], "s",
			CONSOLE_INTERFACE);
		if (r < 0) {
			return r;
		}
		h->n_queries_open++;
	}
	return h->n_consoles ? 0 : -ENODEV;
}

static int handle_ids(sd_bus_message *m, void *data, sd_bus_error *ret_error) {
	struct query *q = data;
	struct hotplug *h = q->hotplug;
	const void *ids = NULL;
	size_t size = 0;
	q->slot = sd_bus_slot_unref(q->slot);
	const sd_bus_error *error = sd_bus_message_get_error(m);
	if (error) {
		qemu_link_fail(h->link, "ConsoleIDs: %s", error->message);
		return 0;
	}
	int r = sd_bus_message_enter_container(m, 'v', "au");
	if (r >= 0) {
		r = sd_bus_message_read_array(m, 'u', &ids, &size);
	}
	if (r >= 0) {
		r = query_consoles(h, ids, size / sizeof(uint32_t));
	}
	if (r < 0) {
		qemu_link_fail(h->link, "no list of consoles: %s", strerror(-r));
	}
	return 0;
}

static void handle_opened(sd_bus *bus, void *data) {
	struct hotplug *h = data;
	h->bus = bus;
	h->ids_query.hotplug = h;
	int r = sd_bus_call_method_async(bus, &h->ids_query.slot, QEMU_BUS_NAME, VM_PATH,
		PROPERTIES_INTERFACE, "Get", handle_ids, &h->ids_query, "ss", VM_INTERFACE,
		"ConsoleIDs");
	if (r < 0) {
		qemu_link_fail(h->link, "ConsoleIDs: %s", strerror(-r));
	}
}

static void handle_closed(void *data) {
	struct hotplug *h = data;
	bool was_up = h->up;
	h->up = false;
	h->bus = NULL;
	(void)sd_event_source_set_enabled(h->repeat_timer, SD_EVENT_OFF);
	h->ids_query.slot = sd_bus_slot_unref(h->ids_query.slot);
	for (size_t i = 0; i < h->n_consoles; i++) {
		h->queries[i].slot = sd_bus_slot_unref(h->queries[i].slot);
	}
	for (unsigned i = 0; i < h->n_outputs; i++) {
		h->outputs[i].call = sd_bus_slot_unref(h->outputs[i].call);
		h->outputs[i].console = -1;
	}
	if (was_up && h->link_func) {
		h->link_func(false, h->link_data);
	}
}

static const struct qemu_link_handler link_handler = {
	.opened = handle_opened,
	.closed = handle_closed,
};

int hotplug_create(sd_event *loop, const struct hotplug_config *config, struct hotplug **ret) {
	if (config->n_scanouts == 0 || config->n_scanouts > OUTPUTS_MAX) {
		return -EINVAL;
	}
	struct hotplug *h = calloc(1, sizeof(*h));
	if (!h) {
		return -ENOMEM;
	}
	h->n_outputs = config->n_scanouts;
	for (unsigned i = 0; i < h->n_outputs; i++) {
		h->outputs[i].hotplug = h;
		h->outputs[i].console = -1;
	}
	int r = 0;
	if (config->device_id) {
		h->device_id = strdup(config->device_id);
		r = h->device_id ? 0 : -ENOMEM;
	}
	if (r >= 0) {
		r = sd_event_add_time(loop, &h->repeat_timer, CLOCK_MONOTONIC, 0,
			REPEAT_FIRST_USEC / 10, handle_repeat, h);
	}
	if (r >= 0) {
		r = sd_event_source_set_enabled(h->repeat_timer, SD_EVENT_OFF);
	}
	if (r >= 0) {
		r = qemu_link_create(
			loop, config->qmp_path, config->bus_address, &link_handler, h, &h->link);
	}
	if (r < 0) {
		hotplug_destroy(h);
		return r;
	}
	*ret = h;
	return 0;
}

void hotplug_destroy(struct hotplug *h) {
	if (!h) {
		return;
	}
	h->link_func = NULL;
	qemu_link_destroy(h->link);
	sd_event_source_disable_unref(h->repeat_timer);
	free(h->device_id);
	free(h);
}

void hotplug_set_output(struct hotplug *h, uint32_t id, uint32_t width, uint32_t height) {
	if (id >= h->n_outputs) {
		return;
	}
	struct output *o = &h->outputs[id];
	o->width = width && height ? width : 0;
	o->height = width && height ? height : 0;
	o->set = true;
	o->dirty = true;
	h->n_repeats = 0;
	tell(o);
}

void hotplug_reset(struct hotplug *h) {
	for (unsigned i = 0; i < h->n_outputs; i++) {
		if (h->outputs[i].width) {
			hotplug_set_output(h, i, 0, 0);
		}
	}
}

void hotplug_set_known_handler(struct hotplug *h, hotplug_known_func func, void *data) {
	h->known_func = func;
	h->known_data = data;
}

void hotplug_set_link_handler(struct hotplug *h, hotplug_link_func func, void *data) {
	h->link_func = func;
	h->link_data = data;
}
