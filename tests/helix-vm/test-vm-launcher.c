/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * helix-vm with a real QEMU and the test guest, which draws on all outputs that it has, again and
 * again (vm/make-test-guest.sh).
 */
#include <signal.h>
#include <stdio.h>

#include "launcher.h"
#include "test.h"
#include "vm.h"

/* On each card that there is. */
#define FLIP                                           \
	"for card in /dev/dri/card*; do (while :; do " \
	"drm-flipper -d $card --follow --rate 10; sleep 1; done) & done; wait"

static char image[512];

static void start(struct launcher *l, const char *gpus) {
	static char serial[128];
	const char *const options[] = {"--image", image, "--memory", "1G", "--gpus", gpus,
		"--serial", serial, "--shutdown-timeout", "1", "--append", "\"helix.run=" FLIP "\"",
		NULL};
	vm_require(VM_GPU_EXPORT);
	(void)snprintf(image, sizeof(image), "%s", getenv("HELIX_TEST_GUEST"));
	launcher_init(l);
	(void)snprintf(serial, sizeof(serial), "%s/console", l->dir);
	launcher_start(l, options);
	launcher_wait_ready(l);
	launcher_wait_text(l, "console", "modules are loaded", 1);
}

/* Plugs an output in, if `mode` is given, and sees frames of it. */
static void see_frames(
	struct launcher *l, const char *address, const char *scanout, const char *mode) {
	char log[128];
	const char *argv[] = {getenv("HELIX_STREAM_TEST"), "--connect", address, "--scanout",
		scanout, "--frames", "5", "--seconds", "30", mode ? "--enable" : NULL, mode, NULL};
	struct process p;
	check(argv[0]);
	(void)snprintf(log, sizeof(log), "%s/stream-%s.log", l->dir, scanout);
	process_start(&p, "scanout-stream-test", log, argv);
	if (process_wait(&p, 60000) != 0) {
		char *text = process_log(&p);
		fail("output %s: %.400s", scanout, text);
	}
}

/*
 * QEMU and the guest go on without the exporter, and get another one. What was drawn into is gone
 * with the old one; an output that is drawn on from then on is seen.
 */
TEST_TIMEOUT(exporter_is_replaced_under_a_guest, 300) {
	struct launcher l;
	start(&l, "1");
	pid_t exporter = launcher_child(&l, "helix-frame-export");
	pid_t qemu = launcher_child(&l, "qemu-system-x86_64");
	check(exporter > 0 && qemu > 0);
	see_frames(&l, l.address, "0", NULL);
	see_frames(&l, l.address, "2", "640x480");
	for (int i = 0; i < 2; i++) {
		check(kill(exporter, SIGKILL) == 0);
		launcher_wait_text(&l, "helix-vm.log", "the VM goes on", (unsigned)i + 1);
		see_frames(&l, l.address, i == 0 ? "3" : "4", "800x600");
		check_int(launcher_child(&l, "qemu-system-x86_64"), ==, qemu);
		pid_t next = launcher_child(&l, "helix-frame-export");
		check(next > 0 && next != exporter);
		exporter = next;
	}
	check_int(launcher_end(&l, SIGTERM, 30), ==, 0);
	launcher_finish(&l);
}

/* The second one's outputs are all for desktops, and come and go as the first one's do. */
TEST_TIMEOUT(two_gpus, 300) {
	struct launcher l;
	char second[32];
	unsigned port;
	start(&l, "2");
	check_int(sscanf(l.address, "127.0.0.1:%u", &port), ==, 1);
	(void)snprintf(second, sizeof(second), "127.0.0.1:%u", port + 1);
	see_frames(&l, l.address, "3", "640x480");
	see_frames(&l, second, "0", "800x600");
	see_frames(&l, second, "5", "640x480");
	check_int(launcher_end(&l, SIGTERM, 30), ==, 0);
	launcher_finish(&l);
}
