/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 3D: renderers that die, hang, share and go, and guests that ask for too much or nonsense. See
 * gl-rig.h.
 */
#include <signal.h>

#include "gl-rig.h"
#include "test.h"
#include "util.h"

static void expect_lost(struct rig *g, struct viewer *v, uint32_t scanout, bool lost) {
	const struct hxfr_scanout_state *s = &v->states[scanout];
	for (int i = 0; i < 300 && !!(s->flags & HXFR_STATE_LOST) != lost; i++) {
		loop_run_ms(g->loop, 10);
	}
	check_int(!!(s->flags & HXFR_STATE_LOST), ==, lost);
}

/* Whose picture will not change any more is told, and when something else is shown. */
TEST(loss_is_told) {
	struct rig g = {0};
	struct viewer v;
	struct fake_screen *screen;
	rig_start(&g, NULL);
	show_texture(&g, 1, 10);
	check_int(gl_fill(g.fe, 1, 1, 10, teal), ==, OK);
	check_int(flush(g.fe, 10), ==, OK);
	viewer_open_counting(&v, &g.e, g.loop, UINT32_MAX);
	expect_lost(&g, &v, 0, false);
	test_kill_children(g.e.pid);
	expect_lost(&g, &v, 0, true);
	check_int(flush(g.fe, 10), ==, OK);
	check_int(gpu_set_scanout(g.fe, 0, 10, &whole), ==, OK);
	loop_run_ms(g.loop, 100);
	expect_lost(&g, &v, 0, true);
	show_texture(&g, 2, 11);
	expect_lost(&g, &v, 0, false);
	/* After a stream that GL refuses, virglrenderer takes no other one of that context. */
	check_int(gl_submit(g.fe, 2, (const uint32_t[]){0xffff}, 1), !=, OK);
	expect_lost(&g, &v, 0, true);
	show_texture(&g, 3, 12);
	expect_lost(&g, &v, 0, false);
	check_int(gl_submit(g.fe, 2, (const uint32_t[]){0xffff}, 1), !=, OK);
	loop_run_ms(g.loop, 100);
	expect_lost(&g, &v, 0, false);
	/* 2D has nothing to lose. */
	check_ok(fake_screen_create(
		g.fe, 0, 320, 240, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, 2, GUEST_CONTIGUOUS, &screen));
	check_int(fake_screen_flip(screen, NULL, NULL), ==, OK);
	test_kill_children(g.e.pid);
	loop_run_ms(g.loop, 300);
	expect_lost(&g, &v, 0, false);
	fake_screen_destroy(screen);
	viewer_close(&v);
	rig_stop(&g);
}

/* The renderer dies: contexts are lost and say so, 2D goes on, a new context works. */
TEST(renderer_killed) {
	struct rig g = {0};
	struct fake_screen *screen;
	rig_start(&g, NULL);
	show_texture(&g, 1, 10);
	check_int(gl_fill(g.fe, 1, 1, 10, teal), ==, OK);
	check_int(flush(g.fe, 10), ==, OK);
	check_ok(fake_screen_create(
		g.fe, 1, 320, 240, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, 2, GUEST_CONTIGUOUS, &screen));
	test_kill_children(g.e.pid);
	for (unsigned i = 0; i < 20; i++) {
		check_int(fake_screen_flip(screen, NULL, NULL), ==, OK);
	}
	check_int(gl_fill(g.fe, 1, 2, 10, blue), !=, OK);
	check_int(gl_fill(g.fe, 1, 2, 10, blue), ==, VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID);
	check_int(flush(g.fe, 10), ==, OK); /* there is nothing to read */
	check_int(gl_context_destroy(g.fe, 1), ==, OK);
	check_int(gl_resource_unref(g.fe, 10), ==, OK);

	show_texture(&g, 2, 11);
	check_int(gl_fill(g.fe, 2, 1, 11, orange), ==, OK);
	viewer_open(&g.v, &g.e, g.loop, 0);
	check_int(flush(g.fe, 11), ==, OK);
	viewer_run_refined(&g.v);
	check_colour(&g.v, 5, 5, orange);
	viewer_close(&g.v);
	fake_screen_destroy(screen);
	rig_stop(&g);
}

/* One that hangs is noticed; meanwhile 2D flips are answered as ever. */
TEST(renderer_hangs) {
	static const char *const options[] = {"--gl=on", "--gl-patience=6", NULL};
	struct rig g = {0};
	struct fake_screen *screen;
	struct gpu_call *call;
	uint64_t ns, slowest = 0;
	rig_start(&g, options);
	pid_t renderer = exporter_only_renderer(&g.e);
	show_texture(&g, 7, 10);
	check_int(gl_fill(g.fe, 7, 1, 10, teal), ==, OK); /* all before is done, too */
	check_ok(fake_screen_create(
		g.fe, 1, 320, 240, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, 2, GUEST_CONTIGUOUS, &screen));
	screen->fenced = false; /* as Linux has it; a fence would wait for those before it */
	check_ok(kill(renderer, SIGSTOP));
	struct virtio_gpu_ctx_resource c = {.resource_id = 10};
	gpu_header(&c.hdr, VIRTIO_GPU_CMD_CTX_DETACH_RESOURCE, 99);
	c.hdr.ctx_id = 7;
	check_ok(gpu_submit(g.fe, FRONTEND_CONTROL, &c, sizeof(c),
		sizeof(struct virtio_gpu_ctrl_hdr), 0, &call));
	gpu_kick(g.fe, FRONTEND_CONTROL);
	for (unsigned i = 0; i < 20; i++) {
		check_int(fake_screen_flip(screen, NULL, &ns), ==, OK);
		slowest = MAX(slowest, ns);
	}
	check(!call->done);
	check_int(slowest, <, NSEC_PER_SEC);
	check_ok(gpu_wait(call, 20000));
	check_int(gpu_call_type(call), ==, VIRTIO_GPU_RESP_ERR_UNSPEC);
	gpu_call_destroy(call);
	check(exporter_logged(&g.e, "context 7 made no progress"));
	check_int(gl_context_create(g.fe, 8), ==, OK);
	fake_screen_destroy(screen);
	rig_stop(&g);
}

/* One that is used, and the next one's. */
static void wait_for_two(struct rig *g, pid_t pids[TEST_CHILDREN_MAX]) {
	while (test_children_of(g->e.pid, pids) < 2) {
		sleep_ms(10);
	}
}

/* The renderer of a new context, and that of the one after it. */
static void two_contexts(struct rig *g, pid_t ret[2]) {
	pid_t pids[TEST_CHILDREN_MAX];
	ret[0] = exporter_only_renderer(&g->e);
	show_texture(g, 1, 10);
	wait_for_two(g, pids);
	ret[1] = pids[0] == ret[0] ? pids[1] : pids[0];
	check_int(gl_context_create(g->fe, 2), ==, OK);
	check_int(gl_texture_create(g->fe, 20, WIDTH, HEIGHT), ==, OK);
	check_int(gl_context_attach(g->fe, 2, 20), ==, OK);
	check_int(gpu_set_scanout(g->fe, 1, 20, &whole), ==, OK);
	check_int(gl_fill(g->fe, 1, 1, 10, teal), ==, OK);
	check_int(gl_fill(g->fe, 2, 1, 20, teal), ==, OK);
}

/* A fenced command of context 1, which its renderer will not get to. */
static struct gpu_call *stuck(struct rig *g) {
	static struct {
		struct virtio_gpu_cmd_submit cmd;
		uint32_t words[1];
	} c = {.cmd = {.size = 4}}; /* a NOP */
	struct gpu_call *call;
	gpu_header(&c.cmd.hdr, VIRTIO_GPU_CMD_SUBMIT_3D, 1000000);
	c.cmd.hdr.ctx_id = 1;
	check_ok(gpu_submit(g->fe, FRONTEND_CONTROL, &c, sizeof(c),
		sizeof(struct virtio_gpu_ctrl_hdr), 0, &call));
	gpu_kick(g->fe, FRONTEND_CONTROL);
	return call;
}

/* A context that hangs is nobody else's loss, and does not keep their fences waiting. */
TEST(one_hangs_others_go_on) {
	struct rig g = {0};
	struct gpu_call *calls[300];
	pid_t renderers[2];
	uint64_t start;
	rig_start(&g, NULL);
	two_contexts(&g, renderers);
	viewer_open(&g.v, &g.e, g.loop, 1);
	check_int(flush(g.fe, 20), ==, OK);
	viewer_run_refined(&g.v);
	check_colour(&g.v, 5, 5, teal);

	check_ok(kill(renderers[0], SIGSTOP));
	start = now_ns();
	calls[0] = stuck(&g);
	for (unsigned i = 0; i < 30; i++) {
		check_int(gl_clear(g.fe, 2, i % 2 ? orange : blue), ==, OK);
		check_int(flush(g.fe, 20), ==, OK);
		gpu_call_destroy(calls[0]);
		calls[0] = stuck(&g);
	}
	check_int(now_ns() - start, <, 4 * NSEC_PER_SEC);
	viewer_run_refined(&g.v);
	check_colour(&g.v, 5, 5, orange);
	/* It was only slow. */
	check_ok(kill(renderers[0], SIGCONT));
	check_int(gl_fill(g.fe, 1, 2, 10, blue), ==, OK);

	/* More than its share of the queue: it is not waited for. */
	check_ok(kill(renderers[0], SIGSTOP));
	start = now_ns();
	gpu_call_destroy(calls[0]);
	for (unsigned i = 0; i < 200; i++) {
		calls[i] = stuck(&g);
	}
	check_ok(gpu_wait(calls[199], 5000));
	check(exporter_logged(&g.e, "context 1 made no progress"));
	check_int(now_ns() - start, <, 4 * NSEC_PER_SEC);
	check_int(gl_clear(g.fe, 2, teal), ==, OK);
	for (unsigned i = 0; i < 200; i++) {
		gpu_call_destroy(calls[i]);
	}
	check_int(flush(g.fe, 20), ==, OK);
	viewer_run_refined(&g.v);
	check_colour(&g.v, 5, 5, teal);
	check_int(gl_clear(g.fe, 1, teal), ==, VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID);
	viewer_close(&g.v);
	rig_stop(&g);
}

static int copy_texture(struct rig *g, uint32_t context, uint32_t to, uint32_t from) {
	const uint32_t words[] = {
		GL_COMMAND(17, 0, 13), to, 0, 0, 0, 0, from, 0, 0, 0, 0, WIDTH, HEIGHT, 1};
	return gl_submit(g->fe, context, words, ARRAY_SIZE(words));
}

/* What one context draws another sees, whichever of them made it, and a scanout shows the newest. */
TEST(contexts_share_resources) {
	struct rig g = {0};
	pid_t renderers[2];
	rig_start(&g, NULL);
	two_contexts(&g, renderers);
	viewer_open(&g.v, &g.e, g.loop, 1);
	check_int(gl_fill(g.fe, 1, 2, 10, orange), ==, OK);
	check_int(gl_context_attach(g.fe, 2, 10), ==, OK);
	check_int(copy_texture(&g, 2, 20, 10), ==, OK);
	check_int(flush(g.fe, 20), ==, OK);
	viewer_run_refined(&g.v);
	check_colour(&g.v, WIDTH - 1, HEIGHT - 1, orange);
	/* Not only the first time. */
	check_int(gl_clear(g.fe, 1, blue), ==, OK);
	check_int(copy_texture(&g, 2, 20, 10), ==, OK);
	check_int(flush(g.fe, 20), ==, OK);
	viewer_run_refined(&g.v);
	check_colour(&g.v, 0, 0, blue);
	/* Drawn by the one that did not make it, and shown from there. */
	check_int(gl_fill(g.fe, 2, 3, 10, teal), ==, OK);
	check_int(gpu_set_scanout(g.fe, 1, 10, &whole), ==, OK);
	check_int(flush(g.fe, 10), ==, OK);
	viewer_run_refined(&g.v);
	check_colour(&g.v, 7, 7, teal);
	/* And back. */
	check_int(gl_context_attach(g.fe, 1, 20), ==, OK);
	check_int(gl_clear(g.fe, 2, orange), ==, OK);
	check_int(copy_texture(&g, 1, 20, 10), ==, OK);
	check_int(gpu_set_scanout(g.fe, 1, 20, &whole), ==, OK);
	check_int(flush(g.fe, 20), ==, OK);
	viewer_run_refined(&g.v);
	check_colour(&g.v, 9, 9, orange);
	/* Who made it goes; it stays. */
	exporter_check_alive(&g.e);
	check_ok(kill(renderers[0], SIGKILL));
	sleep_ms(300);
	check_int(gl_fill(g.fe, 2, 4, 10, blue), ==, OK);
	check_int(gl_resource_unref(g.fe, 20), ==, OK);
	check_int(gpu_set_scanout(g.fe, 1, 10, &whole), ==, OK);
	check_int(flush(g.fe, 10), ==, OK);
	viewer_run_refined(&g.v);
	check_colour(&g.v, 3, 3, blue);
	viewer_close(&g.v);
	rig_stop(&g);
}

/* What a program leaves behind is kept for as long as it is shown, and its renderer with it. */
TEST(what_nobody_needs_goes) {
	struct rig g = {0};
	pid_t renderers[2], pids[TEST_CHILDREN_MAX];
	rig_start(&g, NULL);
	two_contexts(&g, renderers);
	check_int(gl_context_destroy(g.fe, 2), ==, OK);
	check_int(gl_context_destroy(g.fe, 1), ==, OK);
	check_int(gl_resource_unref(g.fe, 10), ==, OK);
	sleep_ms(7000);
	viewer_open(&g.v, &g.e, g.loop, 1);
	check_int(flush(g.fe, 20), ==, OK);
	viewer_run_refined(&g.v);
	check_colour(&g.v, 5, 5, teal);
	check_int(test_children_of(g.e.pid, pids), ==, 2);
	check_int(gpu_set_scanout(g.fe, 1, 0, &whole), ==, OK);
	(void)exporter_only_renderer(&g.e);
	/* It is there, and has nothing in it. */
	check_int(gpu_set_scanout(g.fe, 1, 20, &whole), ==, OK);
	check_int(flush(g.fe, 20), ==, OK);
	check_int(gl_resource_unref(g.fe, 20), ==, OK);
	viewer_close(&g.v);
	rig_stop(&g);
}

/* What one desktop left in a process's memory is not there for the next one to find. */
TEST(no_renderer_serves_twice) {
	struct rig g = {0};
	pid_t used, pids[TEST_CHILDREN_MAX];
	rig_start(&g, NULL);
	for (unsigned i = 0; i < 3; i++) {
		used = exporter_only_renderer(&g.e);
		check_int(gl_context_create(g.fe, 1), ==, OK);
		check_int(gl_texture_create(g.fe, 10, WIDTH, HEIGHT), ==, OK);
		check_int(gl_context_attach(g.fe, 1, 10), ==, OK);
		check_int(gl_fill(g.fe, 1, 1, 10, teal), ==, OK);
		wait_for_two(&g, pids);
		check_int(gl_context_destroy(g.fe, 1), ==, OK);
		check_int(gl_resource_unref(g.fe, 10), ==, OK);
		check_int(exporter_only_renderer(&g.e), !=, used);
	}
	rig_stop(&g);
}

/* What a guest does not wait for keeps no place in its queue: 2D finds one, whatever the renderer does. */
TEST(flood_of_contexts) {
	struct rig g = {0};
	struct fake_screen *screen;
	rig_start(&g, NULL);
	check_ok(fake_screen_create(
		g.fe, 1, 320, 240, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, 2, GUEST_CONTIGUOUS, &screen));
	screen->fenced = false;
	pid_t renderer = exporter_only_renderer(&g.e);
	check_ok(kill(renderer, SIGSTOP));
	uint64_t start = now_ns();
	for (uint32_t i = 1; i <= 250; i++) {
		check_int(gl_context_create(g.fe, i), ==, OK);
		check_int(gl_texture_create(g.fe, 100 + i, 16, 16), ==, OK);
		check_int(gl_context_attach(g.fe, i, 100 + i), ==, OK);
	}
	check_int(fake_screen_flip(screen, NULL, NULL), ==, OK);
	check_int(now_ns() - start, <, 10 * NSEC_PER_SEC);
	check_ok(kill(renderer, SIGCONT));
	check_int(gl_fill(g.fe, 250, 1, 350, teal), ==, OK);
	check_int(gl_fill(g.fe, 1, 1, 101, teal), ==, OK);
	fake_screen_destroy(screen);
	rig_stop(&g);
}

TEST(too_much) {
	static const char *const options[] = {"--gl=on", "--gl-budget=64", NULL};
	struct rig g = {0};
	unsigned made = 0;
	rig_start(&g, options);
	while (made < 1000 && gl_context_create(g.fe, made + 1) == OK) {
		made++;
	}
	check_int(made, ==, 256);
	pid_t pids[TEST_CHILDREN_MAX];
	check_int(test_children_of(g.e.pid, pids), <=, 64);
	check_int(gl_context_create(g.fe, made + 1), ==, VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY);
	check_int(gl_context_destroy(g.fe, 1), ==, OK);
	check_int(gl_context_create(g.fe, 1), ==, OK);
	check_int(gl_context_create(g.fe, 1), ==, VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID);

	/* 16 MiB each. */
	for (made = 0; made < 10 && gl_texture_create(g.fe, made + 1, 2048, 2048) == OK; made++) {
	}
	check_int(made, ==, 3);
	check_int(gl_texture_create(g.fe, 5, 16384, 16384), ==, VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY);
	check_int(gl_texture_create(g.fe, 5, 16385, 1), ==, VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER);
	check_int(gl_resource_unref(g.fe, 1), ==, OK);
	check_int(gl_texture_create(g.fe, 1, 2048, 2048), ==, OK);
	exporter_check_alive(&g.e);
	rig_stop(&g);
}

/* Streams of noise, and of commands with fields of noise. The next context works. */
TEST(malformed_streams) {
	struct rig g = {0};
	uint32_t words[64], state = 1;
	rig_start(&g, NULL);
	for (uint32_t context = 1; context <= 40; context++) {
		check_int(gl_context_create(g.fe, context), ==, OK);
		for (unsigned k = 0; k < 8; k++) {
			for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
				state = state * 1664525u + 1013904223u;
				words[i] = state >> 7;
			}
			words[0] = GL_COMMAND(
				state >> 8 & 63, state >> 16 & 15, ARRAY_SIZE(words) - 1);
			check_int(gl_submit(g.fe, context, words, ARRAY_SIZE(words)), >, 0);
		}
		(void)gl_context_destroy(g.fe, context);
	}
	exporter_check_alive(&g.e);
	show_texture(&g, 100, 10);
	check_int(gl_fill(g.fe, 100, 1, 10, teal), ==, OK);
	rig_stop(&g);
}

/* A guest that starts anew finds nothing of the old one. */
TEST(guest_reset) {
	struct rig g = {0};
	rig_start(&g, NULL);
	show_texture(&g, 1, 10);
	check_int(gl_fill(g.fe, 1, 1, 10, teal), ==, OK);
	check_int(flush(g.fe, 10), ==, OK);
	check_ok(frontend_reset(g.fe));
	check_ok(frontend_start(g.fe));
	check_int(gl_fill(g.fe, 1, 1, 10, teal), ==, VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID);
	show_texture(&g, 1, 10);
	check_int(gl_fill(g.fe, 1, 1, 10, blue), ==, OK);
	viewer_open(&g.v, &g.e, g.loop, 0);
	check_int(flush(g.fe, 10), ==, OK);
	viewer_run_refined(&g.v);
	check_colour(&g.v, 100, 100, blue);
	viewer_close(&g.v);
	rig_stop(&g);
}

/* Descriptors and memory stay as they are over many programs, renderers and boots of the guest. */
TEST(nothing_leaks) {
	struct rig g = {0};
	unsigned fds = 0;
	rig_start(&g, NULL);
	for (unsigned i = 0; i < 50; i++) {
		show_texture(&g, i + 1, i + 1);
		check_int(gl_fill(g.fe, i + 1, 1, i + 1, teal), ==, OK);
		check_int(flush(g.fe, i + 1), ==, OK);
		check_int(gl_context_destroy(g.fe, i + 1), ==, OK);
		check_int(gl_resource_unref(g.fe, i + 1), ==, OK);
		if (i == 4) {
			(void)exporter_only_renderer(&g.e);
			fds = exporter_fds(&g.e);
		}
		if (i % 20 == 19) {
			test_kill_children(g.e.pid);
			sleep_ms(200);
		}
	}
	(void)exporter_only_renderer(&g.e);
	check_int(exporter_fds(&g.e), <=, fds);
	rig_stop(&g);
}
