/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>

#include "lease-fixture.h"
#include "test.h"

void lease_vm_start_manager(struct lease_vm *l, bool alone, const char *args) {
	char second[32] = "";
	if (l->vm->second_port) {
		(void)snprintf(second, sizeof(second), "--exporter %u", l->vm->second_port);
	}
	l->manager = vm_spawn(l->vm, "%s exec %s helix-drm-manager --exporter %u %s %s",
		l->forget_holders ? "FD_SUPERVISOR_FORGETS=holder" : "",
		alone ? "" : "fd-supervisor", l->vm->port, second, args ? args : "");
	vm_job_expect(l->vm, l->manager, alone ? "listening on" : "ready ", 20);
}

void lease_vm_start(struct lease_vm *l, const struct lease_vm_config *config) {
	static const struct lease_vm_config defaults;
	config = config ? config : &defaults;
	struct vm_config vm_config = {.gpu = VM_GPU_EXPORT,
		.export_args = config->export_args,
		.network = true,
		.two_gpus = config->two_cards,
		.gl = config->gl};
	*l = (struct lease_vm){
		.vm = vm_create(&vm_config), .forget_holders = config->forget_holders};
	check_ok(sd_event_new(&l->loop));
	/* QEMU's user network gives the guest this address. */
	vm_run_ok(l->vm, 10,
		"n=$(ls /sys/class/net | grep -v lo) && ip link set $n up && "
		"ip addr add 10.0.2.15/24 dev $n && "
		"ip route add default via 10.0.2.2");
	if (!config->no_manager) {
		lease_vm_start_manager(l, config->alone, config->manager_args);
	}
}

void lease_vm_stop(struct lease_vm *l) {
	sd_event_unref(l->loop);
	vm_destroy(l->vm);
}
