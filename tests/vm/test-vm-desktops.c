/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Real desktops: in the image of vm/make-vm-image.sh, containers with unmodified compositors, each on
 * a lease of its own, seen by viewers on the host. HELIX_TEST_VM_IMAGE is the image's directory;
 * pictures are left in HELIX_TEST_PICTURES, as PPM, if that is set.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "test.h"
#include "viewer.h"
#include "vm.h"

#define MEMORY_MIB   4096u
#define BOOT_SECONDS 180u
#define DESKTOPS_MAX 10u

/* Seconds to a desktop's first picture, when two busy cores are shared by all. */
#define START_SECONDS 240u

/* Colours that a session program paints; see session_script. */
static const uint8_t red[3] = {200, 30, 30}, green[3] = {30, 180, 60}, blue[3] = {40, 60, 220};

/*
 * Runs in the terminal of each desktop: fills it with red, with green after the key g and blue after
 * the key b, and counts.
 */
static const char session_script[] =
	"#!/bin/bash\n"
	"paint() { printf '\\e[0m\\e[48;2;%sm\\e[2J\\e[3;3H\\e[1m%s' \"$1\" \"$2\"; }\n"
	"printf '\\e[?25l'\n"
	"paint '200;30;30' \"$HOSTNAME\"\n"
	"(n=0; while sleep 0.3; do n=$((n+1)); printf '\\e[5;3H%6d' $n; done) &\n"
	"while IFS= read -rsn1 key; do\n"
	"	case $key in\n"
	"	g) paint '30;180;60' \"$HOSTNAME\" ;;\n"
	"	b) paint '40;60;220' \"$HOSTNAME\" ;;\n"
	"	r) paint '200;30;30' \"$HOSTNAME\" ;;\n"
	"	esac\n"
	"done\n";

struct farm {
	struct vm *vm;
	sd_event *loop;
};

struct desktop {
	struct farm *farm;
	char name[32];
	unsigned scanout;
	struct viewer viewer;
};

static void farm_start(struct farm *f) {
	const char *image = getenv("HELIX_TEST_VM_IMAGE");
	if (!image || !*image) {
		skip("HELIX_TEST_VM_IMAGE is not set (vm/make-vm-image.sh makes the image)");
	}
	check(setenv("HELIX_TEST_GUEST", image, 1) == 0);
	struct vm_config config = {.gpu = VM_GPU_EXPORT, .network = true, .memory_mib = MEMORY_MIB};
	*f = (struct farm){.vm = vm_create(&config)};
	check_ok(sd_event_new(&f->loop));
	vm_run_ok(f->vm, BOOT_SECONDS, "systemctl is-system-running --wait; true");
	vm_run_ok(f->vm, 20,
		"mkdir -p /etc/helix/desktops && cat >/etc/helix/session <<'END'\n%sEND\n"
		"chmod 755 /etc/helix/session",
		session_script);
}

static void farm_stop(struct farm *f) {
	(void)vm_run(f->vm, 60, "systemctl stop 'helix-desktop@*'");
	sd_event_unref(f->loop);
	vm_destroy(f->vm);
}

/* The scanout that a desktop has, 0 as long as it has none. */
static unsigned find_scanout(struct vm *vm, const char *name) {
	const char *list = vm_run_ok(vm, 30, "helix-lease --list");
	for (const char *line = list; line && *line; line = strchr(line, '\n')) {
		unsigned scanout;
		line += *line == '\n';
		const char *end = strchrnul(line, '\n'), *found = strstr(line, name);
		if (found && found < end && sscanf(line, "%u", &scanout) == 1) {
			return scanout;
		}
	}
	return 0;
}

static void desktop_log(struct desktop *d) {
	(void)fprintf(stderr, "# log of %s:\n%s\n", d->name,
		vm_run_ok(d->farm->vm, 60, "journalctl -b -o cat -u helix-desktop@%s | tail -n 60",
			d->name));
}

/* Starts one, without waiting for its picture. */
static void desktop_start(struct desktop *d, struct farm *f, unsigned number,
	const char *compositor, const char *size) {
	*d = (struct desktop){.farm = f};
	(void)snprintf(d->name, sizeof(d->name), "desktop-%u", number);
	vm_run_ok(f->vm, 20,
		"cat >/etc/helix/desktops/%s.env <<'END'\n"
		"HELIX_COMPOSITOR=%s\nHELIX_SIZE=%s\n"
		"HELIX_COMMAND=mutter-lease-launcher --print-times --exec /session\n"
		"HELIX_PODMAN_ARGS=--volume /etc/helix/session:/usr/local/bin/session:ro "
		"--volume /etc/helix/terminal:/session:ro\n"
		"END\n"
		"printf '#!/bin/sh\\nexec foot --font=DejaVuSansMono:size=12 "
		"--window-size-chars=50x14 /usr/local/bin/session\\n' >/etc/helix/terminal; "
		"chmod 755 /etc/helix/terminal",
		d->name, compositor, size);
	if (vm_run(f->vm, START_SECONDS, "systemctl start helix-desktop@%s", d->name) != 0) {
		desktop_log(d);
		fail("%s does not start: %.200s", d->name, vm_output(f->vm));
	}
}

static void desktop_watch(struct desktop *d) {
	uint64_t deadline = now_ns() + START_SECONDS * NSEC_PER_SEC;
	while ((d->scanout = find_scanout(d->farm->vm, d->name)) == 0 && now_ns() < deadline) {
		run_loop(d->farm->loop, 500);
	}
	if (d->scanout == 0) {
		desktop_log(d);
		fail("%s has no lease", d->name);
	}
	viewer_init(&d->viewer, d->farm->loop, d->farm->vm, d->scanout);
}

static void desktop_end(struct desktop *d) {
	viewer_finish(&d->viewer);
}

/* Share of the picture, in percent, that has a colour. */
static double share_of(const struct decoded *p, const uint8_t colour[3]) {
	unsigned matches = 0, all = 0;
	for (uint32_t y = 0; y < p->height; y += 4) {
		for (uint32_t x = 0; x < p->width; x += 4) {
			uint8_t rgb[3];
			decode_pixel(p, x, y, rgb);
			bool same = true;
			for (unsigned i = 0; i < 3; i++) {
				same = same && abs(rgb[i] - colour[i]) <= 12;
			}
			matches += same;
			all++;
		}
	}
	return all ? 100.0 * matches / all : 0;
}

static void save_picture(const struct desktop *d, const char *what) {
	const char *dir = getenv("HELIX_TEST_PICTURES");
	const struct decoded *p = &d->viewer.picture;
	char path[512];
	if (!dir || !*dir || p->width == 0) {
		return;
	}
	(void)snprintf(path, sizeof(path), "%s/%s-%s.ppm", dir, d->name, what);
	FILE *f = fopen(path, "we");
	check(f);
	(void)fprintf(f, "P6\n%u %u\n255\n", p->width, p->height);
	for (uint32_t y = 0; y < p->height; y++) {
		for (uint32_t x = 0; x < p->width; x++) {
			uint8_t rgb[3];
			decode_pixel(p, x, y, rgb);
			(void)fwrite(rgb, 1, 3, f);
		}
	}
	(void)fclose(f);
}

/* Until that much of the picture has the colour. */
static void desktop_expect(struct desktop *d, const uint8_t colour[3], double percent,
	unsigned seconds, const char *what) {
	uint64_t deadline = now_ns() + seconds * NSEC_PER_SEC;
	double share = 0;
	while (now_ns() < deadline) {
		run_loop(d->farm->loop, 200);
		if (d->viewer.frames > 0 &&
			(share = share_of(&d->viewer.picture, colour)) >= percent) {
			save_picture(d, what);
			check_int(d->viewer.broken, ==, 0);
			return;
		}
	}
	save_picture(d, what);
	desktop_log(d);
	fail("%s: %s: %.1f %% of the picture after %" PRIu64 " frames", d->name, what, share,
		d->viewer.frames);
}

TEST_TIMEOUT(weston_in_a_container, 900) {
	struct farm f;
	struct desktop d;
	farm_start(&f);
	desktop_start(&d, &f, 1, "weston", "1280x720");
	desktop_watch(&d);
	desktop_expect(&d, red, 10, START_SECONDS, "terminal");
	check_int(d.viewer.picture.width, ==, 1280);
	check_int(d.viewer.picture.height, ==, 720);
	desktop_end(&d);
	farm_stop(&f);
}
