/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hot-plug against the real QEMU, but no guest: its processor stays stopped, and QEMU's qtest
 * interface is the driver that programs the card's BAR and reads the events that SetUIInfo raises
 * (virtio 1.2, section 5.7.4: events_read and events_clear). The card is QEMU's own virtio-gpu,
 * which shares the code of its consoles with vhost-user-gpu.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "hotplug.h"
#include "test.h"
#include "util.h"

#define N_OUTPUTS 16

#define GPU_SLOT "0x80002800" /* bus 0, device 5, as the PCI address port wants it */
#define GPU_BAR  UINT32_C(0xfe000000)
/* Where virtio-pci puts the device's configuration into BAR 4. */
#define EVENTS_READ   (GPU_BAR + 0x2000)
#define EVENTS_CLEAR  (GPU_BAR + 0x2004)
#define EVENT_DISPLAY 1

struct bed {
	char dir[64], qmp[80], qtest[80];
	sd_event *loop;
	struct hotplug *hotplug;
	unsigned n_up, n_down;
	pid_t qemu;
	FILE *driver; // the qtest connection
	int driver_fd;
};

static struct bed bed;

static void handle_link(bool up, void *data) {
	struct bed *b = data;
	*(up ? &b->n_up : &b->n_down) += 1;
}

static pid_t spawn_qemu(const struct bed *b) {
	char qmp[128], qtest[128];
	(void)snprintf(qmp, sizeof(qmp), "unix:%s,server=on,wait=off", b->qmp);
	(void)snprintf(qtest, sizeof(qtest), "unix:%s,server=on,wait=off", b->qtest);
	pid_t pid = fork();
	if (pid == 0) {
		execlp("qemu-system-x86_64", "qemu-system-x86_64", "-S", "-machine", "pc,accel=tcg",
			"-nodefaults", "-device", "VGA", "-device",
			"virtio-gpu-pci,max_outputs=16,addr=05", "-display", "dbus,p2p=yes", "-qmp",
			qmp, "-qtest", qtest, "-qtest-log", "/dev/null", NULL);
		_exit(127);
	}
	check_int(pid, >, 0);
	return pid;
}

/* The qtest socket: QEMU listens on it before it opens its QMP socket. */
static int connect_driver(const struct bed *b) {
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", b->qtest);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	check_int(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), ==, 0);
	return fd;
}

static uint32_t drive(struct bed *b, const char *fmt, uint32_t address, uint32_t value) {
	char line[128] = "";
	unsigned result = 0;
	(void)snprintf(line, sizeof(line), fmt, address, value);
	check_int(send(b->driver_fd, line, strlen(line), MSG_NOSIGNAL), ==, strlen(line));
	check(fgets(line, sizeof(line), b->driver));
	check(strncmp(line, "OK", 2) == 0);
	(void)sscanf(line, "OK %x", &result);
	return result;
}

static void pci_write(struct bed *b, uint32_t offset, uint32_t value) {
	(void)drive(b, "outl 0xcf8 0x%x\n", (uint32_t)strtoul(GPU_SLOT, NULL, 16) + offset, 0);
	(void)drive(b, "outl 0x%x 0x%x\n", 0xcfc, value);
}

static void start_driver(struct bed *b) {
	b->driver_fd = connect_driver(b);
	b->driver = fdopen(b->driver_fd, "r");
	pci_write(b, 0x20, GPU_BAR); /* BAR 4, 64 bits */
	pci_write(b, 0x24, 0);
	pci_write(b, 0x04, 0x2); /* memory space on */
}

static void stop_qemu(struct bed *b) {
	(void)kill(b->qemu, SIGKILL);
	check_int(waitpid(b->qemu, NULL, 0), ==, b->qemu);
	(void)fclose(b->driver);
}

#define run_until(b, cond)                                            \
	do {                                                          \
		uint64_t run_end = now_ns() + 60 * NSEC_PER_SEC;      \
		while (!(cond)) {                                     \
			if (now_ns() > run_end) {                     \
				fail("not within 60 s: %s", #cond);   \
			}                                             \
			check_ok(sd_event_run((b)->loop, 10 * 1000)); \
		}                                                     \
	} while (0)

static void start_qemu(struct bed *b) {
	unsigned up = b->n_up;
	b->qemu = spawn_qemu(b);
	run_until(b, b->n_up == up + 1);
	start_driver(b);
}

static bool take_event(struct bed *b) {
	bool event = drive(b, "readl 0x%x\n", EVENTS_READ, 0) == EVENT_DISPLAY;
	if (event) {
		(void)drive(b, "writel 0x%x 0x%x\n", EVENTS_CLEAR, EVENT_DISPLAY);
	}
	return event;
}

/* `name` in directory `dir`, or the test is over. */
static void make_path(char *ret, size_t size, const char *dir, const char *name) {
	int n = snprintf(ret, size, "%s/%s", dir, name);
	check(n > 0 && (size_t)n < size);
}

static struct bed *setup(void) {
	struct bed *b = &bed;
	const char *tmp = getenv("TMPDIR");
	if (system("qemu-system-x86_64 -display help 2>&1 | grep -q '^dbus$'") != 0) {
		skip("no qemu-system-x86_64 with the D-Bus display");
	}
	make_path(b->dir, sizeof(b->dir), tmp ? tmp : "/tmp", "hotplug-XXXXXX");
	check(mkdtemp(b->dir));
	make_path(b->qmp, sizeof(b->qmp), b->dir, "qmp");
	make_path(b->qtest, sizeof(b->qtest), b->dir, "qtest");
	check_ok(sd_event_new(&b->loop));
	check_ok(hotplug_create(b->loop,
		&(struct hotplug_config){.qmp_path = b->qmp, .n_scanouts = N_OUTPUTS},
		&b->hotplug));
	hotplug_set_link_handler(b->hotplug, handle_link, b);
	return b;
}

static void teardown(struct bed *b) {
	hotplug_destroy(b->hotplug);
	stop_qemu(b);
	sd_event_unref(b->loop);
	(void)unlink(b->qmp);
	(void)unlink(b->qtest);
	(void)rmdir(b->dir);
}

/* Lets answers that are under way come in: an event after this has another cause. */
static void settle(struct bed *b) {
	uint64_t end = now_ns() + 100 * NSEC_PER_MSEC;
	while (now_ns() < end) {
		check_ok(sd_event_run(b->loop, 10 * 1000));
	}
	while (take_event(b)) {
	}
}

TEST(every_output_raises_events) {
	struct bed *b = setup();
	start_qemu(b);
	check(!take_event(b));
	for (uint32_t id = 0; id < N_OUTPUTS; id++) {
		hotplug_set_output(b->hotplug, id, 1920, 1080);
		run_until(b, take_event(b));
		settle(b);
		/* The same again, plugged in and out. */
		hotplug_set_output(b->hotplug, id, 1920, 1080);
		run_until(b, take_event(b));
		settle(b);
		hotplug_set_output(b->hotplug, id, 0, 0);
		run_until(b, take_event(b));
		settle(b);
	}
	check(!take_event(b));
	teardown(b);
}

TEST(a_killed_qemu_is_linked_again) {
	struct bed *b = setup();
	hotplug_set_output(b->hotplug, 7, 1280, 720);
	for (unsigned i = 1; i <= 3; i++) {
		start_qemu(b);
		run_until(b, take_event(b));
		stop_qemu(b);
		run_until(b, b->n_down == i);
	}
	start_qemu(b);
	teardown(b);
}

TEST(a_new_client_of_the_same_qemu_raises_events) {
	struct bed *b = setup();
	start_qemu(b);
	for (unsigned i = 0; i < 4; i++) {
		hotplug_set_output(b->hotplug, 3, 1024, 768);
		run_until(b, take_event(b));
		settle(b);
		hotplug_destroy(b->hotplug);
		check_ok(hotplug_create(b->loop,
			&(struct hotplug_config){.qmp_path = b->qmp, .n_scanouts = N_OUTPUTS},
			&b->hotplug));
		hotplug_set_link_handler(b->hotplug, handle_link, b);
		run_until(b, b->n_up == 2 + i);
	}
	teardown(b);
}
