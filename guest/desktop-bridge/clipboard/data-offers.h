/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a compositor says that other programs have, by either protocol of data-control.c. */
#ifndef HELIX_BRIDGE_CLIPBOARD_DATA_OFFERS_H
#define HELIX_BRIDGE_CLIPBOARD_DATA_OFFERS_H

#include <stdbool.h>
#include <stddef.h>

#include "list.h"

#define DATA_TYPES_MAX 256u
#define DATA_TYPE_SIZE 64u /* longer ones are nobody's we know */

struct zwlr_data_control_offer_v1;

struct data_offer {
	struct list link; // data_offers.list
	struct data_offers *all;
	struct zwlr_data_control_offer_v1 *proxy;
	bool marked;
	size_t n;
	char types[DATA_TYPES_MAX][DATA_TYPE_SIZE];
};

struct data_offers {
	struct list list; // struct data_offer.link, the newest last
	unsigned n;
	struct data_offer *selected; /* what the clipboard has; NULL: nothing */
	char mark[DATA_TYPE_SIZE];   /* a type that is only ours */
};

/* Takes over the object, which may be one of ext-data-control-v1: its messages are the same. */
void data_offers_add(struct data_offers *all, struct zwlr_data_control_offer_v1 *id);
/* NULL: nothing. The one that was selected before is given back. */
void data_offers_select(struct data_offers *all, struct zwlr_data_control_offer_v1 *id);
/* It is of no interest; NULL does nothing. */
void data_offers_drop(struct data_offers *all, struct zwlr_data_control_offer_v1 *id);
void data_offers_clear(struct data_offers *all);

#endif
