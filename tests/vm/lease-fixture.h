/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A guest with our GPU device, a network to the exporter, and the DRM manager running. */
#ifndef HELIX_TESTS_LEASE_FIXTURE_H
#define HELIX_TESTS_LEASE_FIXTURE_H

#include <systemd/sd-event.h>

#include "viewer.h"
#include "vm.h"

struct lease_vm {
	struct vm *vm;
	sd_event *loop;
	bool forget_holders;
	uint32_t manager; /* job of the supervisor, or of the manager itself */
};

struct lease_vm_config {
	const char *const *export_args; /* further options of helix-frame-export; may be NULL */
	const char *manager_args;       /* of helix-drm-manager; may be NULL */
	bool alone;                     /* without the supervisor that keeps its descriptors */
	bool forget_holders; /* the supervisor keeps no connections: they break in a restart */
	bool two_cards;
	bool no_manager;
	bool gl; /* 3D */
};

void lease_vm_start(struct lease_vm *l, const struct lease_vm_config *config);
/* Again, after its end. `args` may be NULL. */
void lease_vm_start_manager(struct lease_vm *l, bool alone, const char *args);
void lease_vm_stop(struct lease_vm *l);

#endif
