/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A DRM card of which we are the master: what can be leased of it, and leases. All object ids are
 * enumerated. It never sets a mode, and probes only where it is told to: a probe takes
 * mode_config.mutex, which compositors hold too.
 */
#ifndef HELIX_DRM_MANAGER_CARD_H
#define HELIX_DRM_MANAGER_CARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CARD_OUTPUTS_MAX 16u /* VIRTIO_GPU_MAX_SCANOUTS, virtio 1.2 section 5.7.4 */
#define CARD_LESSEES_MAX 64u
#define CARD_DRIVER      "virtio_gpu"

/* What one lease holds. */
struct card_output {
	uint32_t connector_id, crtc_id, primary_id;
	uint32_t cursor_id; /* 0: none */
	char name[32];      /* "Virtual-3" */
};

struct card {
	int fd;         /* -1: not open; owned */
	char path[64];  /* /dev/dri/card0 */
	unsigned minor; /* of the device node */
	/* In the kernel's order of connectors, which for this driver is that of scanouts. */
	struct card_output outputs[CARD_OUTPUTS_MAX];
	unsigned n_outputs;
};

struct card_mode {
	bool connected;
	uint32_t width, height, refresh; /* preferred mode; 0 without one */
};

/*
 * Opens the node, becomes master and enumerates. -ENODEV: another driver's, or nothing to lease;
 * -EBUSY: somebody else is master. `driver` NULL: any.
 */
int card_open(struct card *card, const char *path, const char *driver);
/* The same with a descriptor that an earlier process became master on; consumes it. */
int card_adopt(struct card *card, const char *path, int fd);
void card_close(struct card *card);

/* Has the kernel look at one connector anew. */
int card_probe(const struct card *card, unsigned output, struct card_mode *ret);

/* Returns the lease's descriptor, to be owned by the caller; -errno. */
int card_lease(const struct card *card, unsigned output, uint32_t *ret_lessee);
/* 0 too for one that is gone already. */
int card_revoke(const struct card *card, uint32_t lessee);
/* The live ones; returns how many. */
int card_list_lessees(const struct card *card, uint32_t ret[CARD_LESSEES_MAX]);

#endif
