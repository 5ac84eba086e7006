/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "data-offers.h"
#include "ext-data-control-v1-client-protocol.h"
#include "util.h"
#include "wlr-data-control-unstable-v1-client-protocol.h"

#define OFFERS_MAX 4u /* a compositor needs one or two at a time */

_Static_assert(
	(int)EXT_DATA_CONTROL_OFFER_V1_RECEIVE == (int)ZWLR_DATA_CONTROL_OFFER_V1_RECEIVE, "");
_Static_assert(
	(int)EXT_DATA_CONTROL_OFFER_V1_DESTROY == (int)ZWLR_DATA_CONTROL_OFFER_V1_DESTROY, "");

static void free_offer(struct data_offer *o) {
	list_remove(&o->link);
	o->all->n--;
	if (o->all->selected == o) {
		o->all->selected = NULL;
	}
	zwlr_data_control_offer_v1_destroy(o->proxy);
	free(o);
}

static void handle_type(void *data, struct zwlr_data_control_offer_v1 *proxy, const char *type) {
	struct data_offer *o = data;
	size_t size = strlen(type) + 1;
	if (strcmp(type, o->all->mark) == 0) {
		o->marked = true;
	} else if (size <= DATA_TYPE_SIZE && o->n < DATA_TYPES_MAX) {
		memcpy(o->types[o->n++], type, size);
	}
}

void data_offers_add(struct data_offers *all, struct zwlr_data_control_offer_v1 *id) {
	static const struct zwlr_data_control_offer_v1_listener listener = {.offer = handle_type};
	if (all->n == OFFERS_MAX) {
		free_offer(list_first(&all->list, struct data_offer, link));
	}
	struct data_offer *o = calloc(1, sizeof(*o));
	if (!o) {
		zwlr_data_control_offer_v1_destroy(id);
		return;
	}
	o->all = all;
	o->proxy = id;
	list_append(&all->list, &o->link);
	all->n++;
	(void)zwlr_data_control_offer_v1_add_listener(id, &listener, o);
}

void data_offers_select(struct data_offers *all, struct zwlr_data_control_offer_v1 *id) {
	struct data_offer *o = id ? zwlr_data_control_offer_v1_get_user_data(id) : NULL;
	if (all->selected && all->selected != o) {
		free_offer(all->selected);
	}
	all->selected = o;
}

void data_offers_drop(struct data_offers *all, struct zwlr_data_control_offer_v1 *id) {
	struct data_offer *o = id ? zwlr_data_control_offer_v1_get_user_data(id) : NULL;
	if (o) {
		free_offer(o);
	}
}

void data_offers_clear(struct data_offers *all) {
	struct data_offer *o, *tmp;
	list_for_each_safe(o, tmp, &all->list, link) {
		free_offer(o);
	}
}
