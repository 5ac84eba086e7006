/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Real desktops, each in a container on a lease of its own (farm.h). */
#include <linux/input-event-codes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "farm.h"
#include "test.h"

#define OUTPUTS 15u /* output 0 is the console */

/* Its terminal is there, and a key typed to the bridge reaches it and comes back in the picture. */
static void see_and_type(struct desktop *d) {
	desktop_watch(d);
	desktop_expect(d, farm_red, 10, FARM_START_SECONDS, "terminal");
	desktop_key(d, KEY_G);
	desktop_expect(d, farm_green, 10, 180, "key-g");
}

/* Presses a key, again after a while, until so much of the picture has the colour. */
static void press_until(struct desktop *d, uint16_t code, const uint8_t colour[3], double percent,
	const char *what) {
	for (unsigned i = 0; i < 8; i++) {
		desktop_follow(d);
		desktop_key(d, code);
		uint64_t deadline = now_ns() + 15 * NSEC_PER_SEC;
		while (now_ns() < deadline) {
			run_loop(d->farm->loop, 200);
			if (desktop_share(d, colour, 0, UINT32_MAX, 12) >= percent) {
				desktop_save(d, what);
				return;
			}
		}
	}
	desktop_save(d, what);
	desktop_log(d);
	fail("%s: %s: the key does not show", d->name, what);
}

/*
 * After something was killed: the picture of before may still stand, and a key typed then goes to
 * the compositor that is no more.
 */
static void see_and_type_again(struct desktop *d) {
	desktop_watch(d);
	desktop_expect(d, farm_red, 10, FARM_START_SECONDS, "terminal");
	press_until(d, KEY_G, farm_green, 10, "key-g");
}

/*
 * GNOME starts in its overview, where keys are searched for; Escape leaves it. The terminal is about
 * a fifth of the screen then, and a tenth before. As long as the shell moves, it keeps keys.
 */
static void see_and_type_in_gnome(struct desktop *d) {
	desktop_watch(d);
	desktop_expect(d, farm_red, 5, FARM_START_SECONDS, "terminal");
	press_until(d, KEY_ESC, farm_red, 15, "desktop");
	press_until(d, KEY_G, farm_green, 15, "key-g");
}

static void check_size(const struct desktop *d, uint32_t width, uint32_t height) {
	check_int(d->viewer.picture.width, ==, width);
	check_int(d->viewer.picture.height, ==, height);
}

/* What the bridge answers to a wish for another size: the status. */
static int ask_bridge_for_size(const struct desktop *d, uint32_t width, uint32_t height) {
	struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_port = htons(d->farm->ports[d->number]),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	char body[64], request[256], reply[512] = "";
	size_t used = 0;
	int status = 0;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	check(fd >= 0);
	struct timeval timeout = {.tv_sec = 60};
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	check(connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0);
	(void)snprintf(body, sizeof(body), "{\"width\":%u,\"height\":%u}", width, height);
	int n = snprintf(request, sizeof(request),
		"POST /resize HTTP/1.1\r\nHost: localhost:9876\r\nConnection: close\r\n"
		"Content-Length: %zu\r\n\r\n%s",
		strlen(body), body);
	check_int(send(fd, request, (size_t)n, MSG_NOSIGNAL), ==, n);
	for (ssize_t k; used < sizeof(reply) - 1 &&
		(k = recv(fd, reply + used, sizeof(reply) - 1 - used, 0)) > 0;) {
		used += (size_t)k;
	}
	(void)close(fd);
	(void)sscanf(reply, "HTTP/1.1 %d ", &status);
	(void)fprintf(stderr, "# /resize: %s\n", reply);
	return status;
}

static void wait_for_size(struct desktop *d, uint32_t width, uint32_t height) {
	uint64_t deadline = now_ns() + 120 * NSEC_PER_SEC;
	while (d->viewer.picture.width != width && now_ns() < deadline) {
		run_loop(d->farm->loop, 100);
	}
	check_size(d, width, height);
}

/* What a container must not be able to do; each line is a command that has to fail. */
static const char *const forbidden[] = {
	"head -c 1 /dev/dri/card0",
	"ls /dev/input",
	"ls /dev/uinput",
	"ls /run/systemd/private",
	"touch /usr/x",
	"echo x >/run/helix-drm/x",
	"mknod /tmp/card c 226 0",
	"grep CapEff /proc/self/status | grep -v 0000000000000000",
};

static void check_confined(struct desktop *d) {
	check_str(desktop_run(d, 120, "id -u"), "1000\n");
	for (size_t i = 0; i < ARRAY_SIZE(forbidden); i++) {
		int r = vm_run(d->farm->vm, 120, "podman exec %s sh -c '%s' 2>/dev/null", d->name,
			forbidden[i]);
		if (r == 0) {
			fail("%s may: %s", d->name, forbidden[i]);
		}
	}
	/* Not even as the node's owner: the mount is nodev, and the device cgroup has no rule for it. */
	check_int(vm_run(d->farm->vm, 120,
			  "podman exec --user 0 %s head -c 1 /dev/dri/card0 2>/dev/null", d->name),
		!=, 0);
	/* Of the managers' directories it has the sockets, and it has no other desktop's. */
	check_str(desktop_run(d, 120, "ls /run/helix-drm /run/helix-input | grep sock$ | sort"),
		"drm.sock\ninput.sock\n");
}

TEST_TIMEOUT(weston_in_a_container, 900) {
	struct farm f;
	struct desktop d;
	farm_start(&f, false);
	desktop_start(&d, &f, 1, "weston", "1280x720");
	see_and_type(&d);
	/* The first thing that its pointer does. */
	desktop_click(&d, farm_green);
	desktop_expect(&d, farm_yellow, 10, 180, "click");
	check_size(&d, 1280, 720);
	/* It would take that only at its next start. */
	check_int(ask_bridge_for_size(&d, 1024, 768), ==, 501);
	check_confined(&d);
	desktop_end(&d);
	vm_run_ok(f.vm, 180, "systemctl stop helix-desktop@desktop-1");
	check_int(farm_count_free(&f), ==, OUTPUTS);
	farm_stop(&f);
}

/* One after the other is killed; each time the desktop comes back, on one lease. */
TEST_TIMEOUT(weston_survives_its_parts, 1800) {
	static const char *const deaths[] = {
		"podman exec desktop-1 pkill -KILL weston$",
		"podman exec desktop-1 pkill -KILL logind-stub",
		"podman exec desktop-1 pkill -KILL dbus-daemon",
		"podman kill --signal KILL desktop-1",
		"systemctl restart helix-desktop@desktop-1",
		"systemctl kill -s KILL helix-drm-manager",
		"systemctl restart helix-drm-manager",
	};
	struct farm f;
	struct desktop d;
	farm_start(&f, false);
	desktop_start(&d, &f, 1, "weston", "1280x720");
	see_and_type(&d);
	for (size_t i = 0; i < ARRAY_SIZE(deaths); i++) {
		uint64_t start = now_ns();
		desktop_end(&d);
		(void)vm_run(f.vm, 120, "%s", deaths[i]);
		see_and_type_again(&d);
		(void)fprintf(stderr, "# back after %.1f s: %s\n", (double)(now_ns() - start) / 1e9,
			deaths[i]);
		check_int(farm_count_free(&f), ==, OUTPUTS - 1);
		desktop_key(&d, KEY_R);
		desktop_expect(&d, farm_red, 10, 180, "key-r");
	}
	desktop_end(&d);
	vm_run_ok(f.vm, 180, "systemctl stop helix-desktop@desktop-1");
	check_int(farm_count_free(&f), ==, OUTPUTS);
	farm_stop(&f);
}

/* Share of the picture below the top bar that is rather blue, as GNOME's wallpaper, in percent. */
static double share_of_blue(const struct decoded *p) {
	unsigned blue = 0, all = 0;
	for (uint32_t y = 60; y < p->height; y += 8) {
		for (uint32_t x = 0; x < p->width; x += 8) {
			uint8_t rgb[3];
			decode_pixel(p, x, y, rgb);
			blue += rgb[2] > rgb[0] + 20 && rgb[2] > rgb[1];
			all++;
		}
	}
	return 100.0 * blue / all;
}

/* GNOME's own: a black bar with white signs on top, and its blue wallpaper. */
static void check_gnome(const struct desktop *d) {
	static const uint8_t black[3] = {0, 0, 0}, white[3] = {255, 255, 255};
	check_int(desktop_share(d, black, 0, 30, 40), >, 70);
	check_int(100 * desktop_share(d, white, 0, 30, 60), >, 20);
	check_int(share_of_blue(&d->viewer.picture), >, 40);
}

TEST_TIMEOUT(gnome_in_a_container, 1800) {
	struct farm f;
	struct desktop d;
	farm_start(&f, true);
	desktop_start(&d, &f, 1, "gnome", "1280x720");
	see_and_type_in_gnome(&d);
	check_size(&d, 1280, 720);
	check_gnome(&d);
	check_confined(&d);

	/* Another size, while it runs. */
	desktop_run(&d, 120, "mutter-lease-launcher --resize 1024x768");
	wait_for_size(&d, 1024, 768);
	desktop_expect(&d, farm_green, 10, 180, "resized");
	/* As the viewer does it. */
	check_int(ask_bridge_for_size(&d, 1200, 740), ==, 200);
	wait_for_size(&d, 1200, 740);
	desktop_expect(&d, farm_green, 10, 180, "resized-again");
	press_until(&d, KEY_B, farm_blue, 10, "resized-key");
	check_gnome(&d);
	/* Positions are on the new size, though nobody watches by the bridge. */
	desktop_point(&d, 1150, 700);
	desktop_end(&d);
	farm_stop(&f);
}

TEST_TIMEOUT(mutter_in_a_container, 1800) {
	struct farm f;
	struct desktop d;
	farm_start(&f, true);
	desktop_start(&d, &f, 1, "mutter", "1024x768");
	see_and_type(&d);
	check_size(&d, 1024, 768);
	desktop_end(&d);
	farm_stop(&f);
}

#define FARM_SIZE 10u

/* Frames of each but one go on coming. */
static void check_others_move(struct desktop *all, unsigned except, const char *when) {
	uint64_t before[FARM_SIZE];
	struct farm *f = all[0].farm;
	for (unsigned i = 0; i < FARM_SIZE; i++) {
		before[i] = all[i].viewer.frames;
	}
	for (unsigned i = 0; i < FARM_SIZE; i++) {
		if (i != except) {
			run_loop_until(f->loop, &all[i].viewer.frames, before[i] + 3, 60000, when);
			check_int(all[i].viewer.broken, ==, 0);
		}
	}
}

TEST_TIMEOUT(ten_desktops, 3000) {
	struct farm f;
	struct desktop d[FARM_SIZE];
	farm_start(&f, true);
	for (unsigned i = 0; i < FARM_SIZE; i++) {
		const char *compositor = i == 0 ? "gnome" : i == 1 ? "mutter" : "weston";
		desktop_start(&d[i], &f, i + 1, compositor, "1024x768");
		desktop_watch(&d[i]);
		desktop_expect(&d[i], farm_red, 5, FARM_START_SECONDS, "terminal");
	}
	check_others_move(d, FARM_SIZE, "frames of all");
	check_int(farm_count_free(&f), ==, OUTPUTS - FARM_SIZE);

	/* One compositor is killed, then one whole container. */
	desktop_end(&d[4]);
	(void)vm_run(f.vm, 120, "podman exec desktop-5 pkill -KILL weston$");
	d[4].viewer.frames = 0;
	check_others_move(d, 4, "frames of the others, after a kill");
	see_and_type_again(&d[4]);
	desktop_end(&d[5]);
	(void)vm_run(f.vm, 120, "podman kill --signal KILL desktop-6");
	check_others_move(d, 5, "frames of the others, after a container's kill");
	see_and_type_again(&d[5]);

	/* The manager too; nobody notices. */
	vm_run_ok(f.vm, 180, "systemctl kill -s KILL helix-drm-manager");
	check_others_move(d, FARM_SIZE, "frames of all, after the manager's kill");
	/* Keys go to the one they are for. */
	desktop_key(&d[7], KEY_B);
	desktop_expect(&d[7], farm_blue, 10, 180, "key-b");
	for (unsigned i = 0; i < FARM_SIZE; i++) {
		check(i == 7 || desktop_share(&d[i], farm_blue, 0, UINT32_MAX, 12) < 5);
		desktop_end(&d[i]);
	}
	vm_run_ok(f.vm, 300, "systemctl stop 'helix-desktop@*'");
	check_int(farm_count_free(&f), ==, OUTPUTS);
	farm_stop(&f);
}
