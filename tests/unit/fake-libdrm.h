/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The calls of libdrm that the DRM manager makes, against a card that is not there. Linked instead
 * of libdrm. A descriptor is a card if it was told to be one; ids are in no order at all.
 */
#ifndef HELIX_TESTS_FAKE_LIBDRM_H
#define HELIX_TESTS_FAKE_LIBDRM_H

#include <stdbool.h>
#include <stdint.h>

#define FAKE_OUTPUTS_MAX 16u
#define FAKE_LEASES_MAX  64u

struct fake_output {
	uint32_t connector, encoder, crtc, primary, cursor;
	bool connected;
	uint32_t width, height;
};

struct fake_lease {
	uint32_t lessee; /* 0: none */
	uint32_t objects[4];
	int n_objects;
};

struct fake_card {
	char path[128]; /* of a file that stands for the node */
	unsigned n_outputs;
	unsigned first_type_id; /* connectors are Virtual-<this + i> */
	bool no_master;         /* somebody else is */
	struct fake_output outputs[FAKE_OUTPUTS_MAX];
	struct fake_lease leases[FAKE_LEASES_MAX];
	uint32_t next_lessee;
	int lease_error;      /* what creating one fails with; 0: it does not */
	unsigned probes;      /* full ones */
	uint32_t last_probed; /* connector */
	unsigned caps;        /* bit of each capability that was set */
};

/* The card comes with a file of its own, which fake_card_finish removes. */
void fake_card_init(struct fake_card *card, unsigned n_outputs, unsigned first_type_id);
void fake_card_finish(struct fake_card *card);
unsigned fake_card_leases(const struct fake_card *card);
const struct fake_lease *fake_card_lease_of(const struct fake_card *card, uint32_t connector);

#endif
