/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 3D in a real guest: Mesa's virgl driver there, the real helix-renderer here on whatever GL this
 * machine has. HELIX_TEST_GL_GUEST is a guest of vm/make-test-guest.sh -g.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gl-picture.h"
#include "lease-fixture.h"
#include "test.h"

/* Shaders are compiled by emulated processors and drawn by what is left of the real ones. */
#define START_S   120u
#define FRAMES_MS 120000u

static void gl_vm_start(struct lease_vm *l, struct lease_vm_config *config) {
	const char *guest = getenv("HELIX_TEST_GL_GUEST");
	if (!guest || !*guest) {
		skip("HELIX_TEST_GL_GUEST is not set (vm/make-test-guest.sh -g makes it)");
	}
	check(setenv("HELIX_TEST_GUEST", guest, 1) == 0);
	config->gl = true;
	lease_vm_start(l, config);
}

/*
 * Until the job's output holds the text, or it ended; viewers go on meanwhile: what they measure is
 * right, and none thinks its exporter gone. Returns the output.
 */
static const char *watch_job(
	struct lease_vm *l, uint32_t job, const char *text, unsigned timeout_s) {
	uint64_t deadline = now_ns() + timeout_s * NSEC_PER_SEC;
	for (;;) {
		run_loop(l->loop, 50);
		const char *output = vm_job_output(l->vm, job);
		if (text && strstr(output, text)) {
			return output;
		}
		const struct agent_job *j = agent_link_job(&l->vm->agent, job);
		if (j->exited && !text && j->status == 0) {
			return output;
		}
		if (j->exited || now_ns() > deadline) {
			fail("%s %s: %.300s", j->exited ? "ended without" : "no",
				text ? text : "success", output);
		}
	}
}

/* A program on a lease of its own. */
static uint32_t start_on_lease(struct lease_vm *l, unsigned scanout, const char *size,
	const char *program, const char *ready) {
	uint32_t job =
		vm_spawn(l->vm, "exec helix-lease -c %u --size %s -- %s", scanout, size, program);
	(void)watch_job(l, job, ready, START_S);
	return job;
}

/* Ends a program that ends well when told to; shows what it said. */
static void stop_job(struct lease_vm *l, uint32_t job) {
	vm_job_signal(l->vm, job, SIGTERM);
	(void)fprintf(stderr, "# %s", watch_job(l, job, NULL, 60));
}

/*
 * Pictures
 */

/* Coding costs a little, most where colours change. */
#define TOLERANCE 14

/* The mean of 4 by 4 pixels around a point. */
static void sample(const struct decoded *p, uint32_t x, uint32_t y, int ret[static 3]) {
	unsigned sum[3] = {0};
	uint8_t rgb[3];
	for (uint32_t i = 0; i < 16; i++) {
		decode_pixel(p, x - 2 + i % 4, y - 2 + i / 4, rgb);
		for (unsigned k = 0; k < 3; k++) {
			sum[k] += rgb[k];
		}
	}
	for (unsigned k = 0; k < 3; k++) {
		ret[k] = (int)(sum[k] / 16);
	}
}

static void check_colour(const struct decoded *p, uint32_t x, uint32_t y, struct gl_colour c) {
	const int wanted[3] = {c.r, c.g, c.b};
	int seen[3];
	sample(p, x, y, seen);
	for (unsigned k = 0; k < 3; k++) {
		if (abs(seen[k] - wanted[k]) > TOLERANCE) {
			fail("at (%u, %u) is (%d, %d, %d), not (%d, %d, %d)", x, y, seen[0],
				seen[1], seen[2], wanted[0], wanted[1], wanted[2]);
		}
	}
}

/* What of the picture has the colour, in percent. */
static unsigned share_of(const struct decoded *p, struct gl_colour c) {
	unsigned n = 0, all = 0;
	uint8_t rgb[3];
	for (uint32_t y = 0; y < p->height; y += 4) {
		for (uint32_t x = 0; x < p->width; x += 4, all++) {
			decode_pixel(p, x, y, rgb);
			n += abs(rgb[0] - c.r) <= TOLERANCE && abs(rgb[1] - c.g) <= TOLERANCE &&
				abs(rgb[2] - c.b) <= TOLERANCE;
		}
	}
	return all ? 100 * n / all : 0;
}

/* From 0 at the left edge to 255 at the right one. */
static void check_ramps(const struct decoded *p) {
	for (uint32_t i = 0; i < 3; i++) {
		uint32_t y = GL_PICTURE_RAMPS_Y + i * GL_PICTURE_RAMP + GL_PICTURE_RAMP / 2;
		int last = -1;
		for (uint32_t step = 0; step < 16; step++) {
			uint32_t x = (2 * step + 1) * p->width / 32;
			uint8_t level = (uint8_t)(255 * x / p->width);
			int seen[3];
			check_colour(p, x, y,
				(struct gl_colour){i == 0 ? level : 0, i == 1 ? level : 0,
					i == 2 ? level : 0});
			sample(p, x, y, seen);
			check_int(seen[i], >, last);
			last = seen[i];
		}
	}
}

static void check_grey(const struct decoded *p) {
	uint32_t height = p->height - 64 - GL_PICTURE_GREY_Y;
	int last = 256;
	for (uint32_t step = 0; step < 12; step++) {
		uint32_t down = (2 * step + 1) * height / 24;
		uint8_t level = (uint8_t)(255 - 255 * down / height);
		uint32_t x = GL_PICTURE_GREY / 2, y = GL_PICTURE_GREY_Y + down;
		int seen[3];
		check_colour(p, x, y, (struct gl_colour){level, level, level});
		sample(p, x, y, seen);
		check_int(seen[1], <, last);
		last = seen[1];
	}
}

static void check_picture(const struct decoded *p) {
	const uint32_t c = GL_PICTURE_CORNER / 2, t = GL_PICTURE_TEXTURE;
	check_int(p->width, >=, GL_PICTURE_MIN_WIDTH);
	check_int(p->height, >=, GL_PICTURE_MIN_HEIGHT);
	for (uint32_t i = 0; i < 4; i++) {
		check_colour(p, i % 2 ? p->width - c : c, i / 2 ? p->height - c : c,
			gl_picture_corners[i]);
		check_colour(p, GL_PICTURE_TEXTURE_X + t / 4 + i % 2 * t / 2,
			GL_PICTURE_TEXTURE_Y + t / 4 + i / 2 * t / 2, gl_picture_texture[i]);
	}
	check_ramps(p);
	check_grey(p);
}

/* So many frames, whole and in order, of which some are looked at closely. */
static void check_frames(struct lease_vm *l, struct viewer *v, unsigned n) {
	for (unsigned i = 1; i <= 10; i++) {
		run_loop_until(l->loop, &v->counted, i * n / 10, FRAMES_MS, "frames drawn by GL");
		check_picture(&v->picture);
	}
	check_int(v->broken + v->torn + v->backwards, ==, 0);
}

/* What GL drew is what viewers see: on the card itself, and on two leases at once. */
TEST_TIMEOUT(drawn_is_seen, 900) {
	struct lease_vm_config config = {.no_manager = true};
	struct lease_vm l;
	struct viewer v[3];
	gl_vm_start(&l, &config);
	viewer_init(&v[0], l.loop, l.vm, 0);
	uint32_t card = vm_spawn(l.vm, "exec gl-flipper");
	(void)watch_job(&l, card, "drawn by virgl", START_S);
	check_frames(&l, &v[0], 50);
	viewer_finish(&v[0]);
	stop_job(&l, card);

	lease_vm_start_manager(&l, false, NULL);
	/* One draws with the lease's descriptor, the other with the render node. */
	uint32_t a = start_on_lease(
		&l, 1, "800x600", "gl-flipper --lease-fd 3", "drawn by virgl (LLVMPIPE");
	uint32_t b = start_on_lease(&l, 2, "640x480",
		"gl-flipper --lease-fd 3 --render-node /dev/dri/renderD128", "drawn by virgl");
	viewer_init(&v[1], l.loop, l.vm, 1);
	viewer_init(&v[2], l.loop, l.vm, 2);
	check_frames(&l, &v[1], 300);
	check_frames(&l, &v[2], 300);
	check_int(v[1].picture.width, ==, 800);
	check_int(v[2].picture.width, ==, 640);
	viewer_finish(&v[1]);
	viewer_finish(&v[2]);
	stop_job(&l, a);
	stop_job(&l, b);
	lease_vm_stop(&l);
}

/* For a program that opens the card by its path. */
#define WITH_LEASE "env LEASE_FD=3 LD_PRELOAD=/bin/lease-preload.so "

/* Programs that are not ours. */
TEST_TIMEOUT(others_programs, 900) {
	struct lease_vm_config config = {0};
	struct lease_vm l;
	struct viewer v;
	gl_vm_start(&l, &config);
	/* It fails, for there is no X. */
	const char *output = vm_run_ok(l.vm, START_S, "eglinfo 2>&1 || true");
	check(strstr(output, "EGL driver name: virtio_gpu"));

	/* It stops when its input has something to say, and /dev/null has. */
	viewer_init(&v, l.loop, l.vm, 1);
	uint32_t job = vm_spawn(l.vm,
		"mkfifo /tmp/quiet && exec helix-lease -c 1 --size 640x480 -- " WITH_LEASE
		"kmscube -D /dev/dri/card0 -c 600 <>/tmp/quiet");
	output = watch_job(&l, job, NULL, START_S);
	check(strstr(output, "renderer: \"virgl (LLVMPIPE"));
	check_int(v.frames, >, 20);

	/*
	 * It takes a configuration with alpha if it may, whose format Linux's virtio-gpu does not
	 * show (its SETCRTC fails with EINVAL); and in a mode of 800x600, its default, version
	 * 2023.01 forgets to make its window.
	 */
	viewer_reset_counts(&v);
	job = vm_spawn(l.vm,
		"exec helix-lease -c 1 --size 640x480 -- " WITH_LEASE
		"glmark2-es2-drm --visual-config red=8:green=8:blue=8:alpha=0 "
		"-b build:duration=3 -b texture:duration=3 2>&1");
	output = watch_job(&l, job, NULL, 2 * START_S);
	check(strstr(output, "virgl (LLVMPIPE"));
	check(!strstr(output, "Failed to set crtc"));
	const char *score = strstr(output, "Score: ");
	(void)fprintf(stderr, "# glmark2 (build, texture), 640x480: %.16s\n", score ? score : "?");
	check(score);
	check_int(v.frames, >, 20);
	viewer_finish(&v);
	lease_vm_stop(&l);
}

/*
 * A compositor of wlroots: its buffers are made by one of its contexts and drawn into by another, and
 * what its only window draws may be shown as it is. So it needs contexts to share resources.
 */
TEST_TIMEOUT(sway_draws_on_a_lease, 900) {
	static const struct gl_colour gear = {196, 26, 0};
	struct lease_vm_config config = {0};
	struct lease_vm l;
	struct viewer v;
	gl_vm_start(&l, &config);
	viewer_init(&v, l.loop, l.vm, 1);
	vm_run_ok(l.vm, 60,
		"echo user:x:1000:1000::/tmp:/bin/sh >>/etc/passwd\n"
		"mkdir -p -m 700 /tmp/run && chown 1000:1000 /tmp/run\n"
		"mkdir -p /dev/shm && mount -t tmpfs shm /dev/shm && chmod 666 /dev/dri/renderD128\n"
		"cat >/tmp/sway.conf <<'END'\n"
		"xwayland disable\n"
		"default_border none\n"
		"exec exec es2gears_wayland\n"
		"END");
	uint32_t job = vm_spawn(l.vm,
		"export XDG_RUNTIME_DIR=/tmp/run SEATD_SOCK=/tmp/run/seatd LIBSEAT_BACKEND=seatd "
		"WLR_LIBINPUT_NO_DEVICES=1 WLR_DRM_DEVICES=/dev/dri/card0\n"
		"exec helix-lease -c 1 --size 640x480 -- su -p -s /bin/sh user -c '"
		"logind-stub --lease-fd 3 --bus none --seatd-socket $SEATD_SOCK & "
		"until [ -S $SEATD_SOCK ]; do sleep 0.1; done; "
		"exec sway -c /tmp/sway.conf' 2>&1");
	uint64_t deadline = now_ns() + START_S * NSEC_PER_SEC;
	while (share_of(&v.picture, gear) < 1 && now_ns() < deadline) {
		run_loop(l.loop, 500);
	}
	if (share_of(&v.picture, gear) < 1) {
		fail("no gears: %s", vm_job_output(l.vm, job));
	}
	uint64_t seen = v.frames;
	run_loop_until(l.loop, &v.frames, seen + 20, FRAMES_MS, "gears that turn");
	check_int(v.broken, ==, 0);
	vm_job_signal(l.vm, job, SIGTERM);
	(void)vm_job_wait(l.vm, job, 60);
	viewer_finish(&v);
	lease_vm_stop(&l);
}

/*
 * Programs that mean no good
 */

/* The longest time between two flips that is still called going on; a hung renderer lasts longer. */
#define GAP_MAX_S 10u

/* Those who flip while others mean no good. */
enum {
	FLIPS_2D,
	FLIPS_GL,
	_FLIPS_MAX,
};

static const char *const flip_names[_FLIPS_MAX] = {"2D", "3D"};

/* Runs it beside flips of 2D and, if `n` says so, of 3D, which go on, with no gap longer than that. */
static void check_harmless(struct lease_vm *l, struct viewer *flips, unsigned n,
	const char *program, const char *says) {
	for (unsigned i = 0; i < n; i++) {
		viewer_reset_counts(&flips[i]);
	}
	uint64_t start = now_ns();
	uint32_t job = vm_spawn(l->vm, "exec %s", program);
	check(strstr(watch_job(l, job, NULL, 600), says));
	vm_job_forget(l->vm, job);
	double seconds = (double)(now_ns() - start) / 1e9;
	for (unsigned i = 0; i < n; i++) {
		struct viewer *v = &flips[i];
		uint64_t before = v->counted;
		run_loop_until(l->loop, &v->counted, before + 20, FRAMES_MS, "flips afterwards");
		(void)fprintf(stderr, "# %s: %.1f s, %s at %.1f frames/s, longest gap %.0f ms\n",
			program, seconds, flip_names[i], (double)before / seconds,
			(double)v->longest_gap_ns / 1e6);
		check_int(v->longest_gap_ns, <, GAP_MAX_S * NSEC_PER_SEC);
		check_int(v->broken + v->torn + v->backwards, ==, 0);
	}
}

/* GL works, for whoever comes now. */
static void check_gl_works(struct lease_vm *l, const char *when) {
	struct viewer v;
	viewer_init(&v, l->loop, l->vm, 2);
	uint32_t job = start_on_lease(l, 2, "640x480", "gl-flipper --lease-fd 3", "drawn by virgl");
	check_frames(l, &v, 30);
	viewer_finish(&v);
	stop_job(l, job);
	(void)fprintf(stderr, "# GL works %s\n", when);
}

TEST_TIMEOUT(hostile_programs_harm_no_flip, 1800) {
	static const char *const export_args[] = {"--gl-budget=256", NULL};
	struct lease_vm_config config = {.export_args = export_args};
	struct lease_vm l;
	struct viewer flips[_FLIPS_MAX], gl;
	gl_vm_start(&l, &config);
	uint32_t flippers[_FLIPS_MAX] = {
		start_on_lease(&l, 1, "656x480", "drm-flipper --lease-fd 3 -r 20", "656x480"),
		start_on_lease(&l, 4, "640x480", "gl-flipper --lease-fd 3", "drawn by virgl"),
	};
	viewer_init(&flips[FLIPS_2D], l.loop, l.vm, 1);
	viewer_init(&flips[FLIPS_GL], l.loop, l.vm, 4);
	for (unsigned i = 0; i < _FLIPS_MAX; i++) {
		run_loop_until(l.loop, &flips[i].counted, 20, 60000, "flips");
	}
	check_harmless(&l, flips, _FLIPS_MAX, "sleep 5", ""); /* to compare with */

	check_harmless(&l, flips, _FLIPS_MAX, "gl-hostile noise 300", "300 buffers");
	check_gl_works(&l, "after streams of noise");
	check_harmless(&l, flips, _FLIPS_MAX, "gl-hostile contexts 300", "300 contexts");
	check_gl_works(&l, "after too many contexts");
	check_harmless(&l, flips, _FLIPS_MAX, "gl-hostile textures 30 64", "30 textures");
	check_gl_works(&l, "after too many textures");
	check_harmless(&l, flips, _FLIPS_MAX, "gl-hostile loop", "looping");
	check(process_logged(&l.vm->gpu, "keeps others waiting"));
	check_gl_works(&l, "after a shader without end");

	/* In the middle of it all; who drew loses its lease, for nothing more would be seen of it. */
	stop_job(&l, flippers[FLIPS_GL]);
	viewer_finish(&flips[FLIPS_GL]);
	uint32_t drawer =
		start_on_lease(&l, 3, "640x480", "gl-flipper --lease-fd 3", "drawn by virgl");
	viewer_init(&gl, l.loop, l.vm, 3);
	run_loop_until(l.loop, &gl.counted, 20, FRAMES_MS, "frames before");
	test_kill_children(l.vm->gpu.pid);
	check_harmless(&l, flips, 1, "sleep 3", "");
	check_int(vm_job_wait(l.vm, drawer, 30), !=, 0);
	viewer_finish(&gl);
	check_gl_works(&l, "after the renderer was killed");
	check(process_alive(&l.vm->gpu));

	stop_job(&l, flippers[FLIPS_2D]);
	viewer_finish(&flips[FLIPS_2D]);
	lease_vm_stop(&l);
}
