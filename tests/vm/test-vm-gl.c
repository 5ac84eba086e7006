/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 3D in a real guest: Mesa's virgl driver there, the real helix-renderer here on whatever GL this
 * machine has. HELIX_TEST_GL_GUEST is a guest of vm/make-test-guest.sh -g.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gl-picture.h"
#include "lease-fixture.h"
#include "test.h"

static void gl_vm_start(struct lease_vm *l, const char *const *export_args) {
	struct lease_vm_config config = {.export_args = export_args, .gl = true};
	const char *guest = getenv("HELIX_TEST_GL_GUEST");
	if (!guest || !*guest) {
		skip("HELIX_TEST_GL_GUEST is not set (vm/make-test-guest.sh -g makes it)");
	}
	check(setenv("HELIX_TEST_GUEST", guest, 1) == 0);
	lease_vm_start(l, &config);
}

TEST_TIMEOUT(counter_on_a_lease, 600) {
	struct lease_vm l;
	struct viewer v;
	gl_vm_start(&l, NULL);
	viewer_init(&v, l.loop, l.vm, 1);
	uint32_t job = vm_spawn(l.vm,
		"exec helix-lease -c 1 --size 800x600 --print -- gl-flipper --lease-fd 3 -s 20");
	vm_job_expect(l.vm, job, "drawn by virgl", 60);
	run_loop_until(l.loop, &v.counted, 100, 60000, "frames of the lease");
	check_int(vm_job_wait(l.vm, job, 60), ==, 0);
	(void)fprintf(stderr, "# %s", vm_job_output(l.vm, job));
	check_int(v.broken + v.torn + v.backwards, ==, 0);
	viewer_finish(&v);
	lease_vm_stop(&l);
}
