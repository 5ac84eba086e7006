/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The link to one exporter: what each of its outputs shall be, told to it over one HXFR connection
 * that is kept up and made anew when it breaks. Nothing here waits: whoever asks for an output gets
 * its answer by callback, and what could not be told is told when the exporter is back.
 */
#ifndef HELIX_DRM_MANAGER_EXPORTER_H
#define HELIX_DRM_MANAGER_EXPORTER_H

#include <stdint.h>
#include <systemd/sd-event.h>

#include <helix/lease.h>

#include "card.h"

struct exporter;

struct exporter_config {
	char host[48]; /* numeric, so that it is never looked up */
	uint16_t port;
	const uint8_t
		*key; /* the manager's, for exporters that want it; LEASE_TOKEN_SIZE; or NULL */
};

struct exporter_handler {
	/*
	 * An exporter_enable came to its end: 0 and the output's token (NULL from exporters that
	 * make none), or -errno. It may be called again when an exporter that was restarted has
	 * enabled it anew.
	 */
	void (*enabled)(void *data, uint32_t id, int error, const uint8_t *token);
	/*
	 * What draws on it has lost what it draws into, or with: the exporter is another one now, or
	 * its renderer is. The kernel does not tell it, so it draws on, and nothing of that is seen.
	 */
	void (*lost)(void *data, uint32_t id);
};

int exporter_create(sd_event *loop, const struct exporter_config *config,
	const struct exporter_handler *handler, void *data, struct exporter **ret);
/* Tells what there is still to tell as far as the socket takes it. */
void exporter_destroy(struct exporter *e);

/*
 * Wants an output on, with that size. `token` NULL: the exporter makes one; else it shall have
 * this one (of a lease that has one already).
 */
void exporter_enable(struct exporter *e, uint32_t id, uint32_t width, uint32_t height,
	uint32_t refresh, const uint8_t *token);
/* Wants it off; there is no answer, and none any more to an earlier exporter_enable. */
void exporter_disable(struct exporter *e, uint32_t id);

/*
 * At start: believes an output to be on with that size, or off (width 0), until the exporter says
 * otherwise. So nothing is plugged anew that lives on.
 */
void exporter_assume(struct exporter *e, uint32_t id, uint32_t width, uint32_t height,
	uint32_t refresh, const uint8_t *token);

/* "HOST:PORT". */
const char *exporter_name(const struct exporter *e);

#endif
