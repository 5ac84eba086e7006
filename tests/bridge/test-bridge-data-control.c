/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The clipboard of a real Sway without a screen, with programs in it that copy and paste. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include "clipboard-rig.h"
#include "input/backend.h"
#include "proto/ws-messages.h"
#include "rig.h"
#include "wlroots-desk.h"

#define TIMEOUT_NS (30 * NSEC_PER_SEC)
#define TEXT       "text/plain;charset=utf-8"
#define BIG        (6u << 20)

struct bench {
	struct desk desk;
	struct clipboard_rig rig;
	struct input_backend *input;
	pid_t copier; /* 0: none */
};

static void setup(struct bench *b, const char *kind) {
	*b = (struct bench){0};
	if (!desk_has("wl-copy")) {
		skip("wl-clipboard is not installed: scripts/setup.sh test");
	}
	desk_init(&b->desk, "sway", "us");
	desk_start(&b->desk);
	if (kind) {
		check_ok(input_backend_create(b->desk.loop, kind, "/nonexistent/input.sock",
			"/nonexistent/token", &b->input));
		clipboard_rig_init(&b->rig, b->desk.loop, b->input->ops->clipboard(b->input));
		RUN_UNTIL(b->desk.loop, clipboard_rig_state(&b->rig).available);
	}
}

static void stop_copier(struct bench *b) {
	if (b->copier > 0) {
		(void)kill(b->copier, SIGKILL);
		check_int(waitpid(b->copier, NULL, 0), ==, b->copier);
		b->copier = 0;
	}
}

static void teardown(struct bench *b) {
	if (b->input) {
		clipboard_rig_finish(&b->rig);
		b->input->ops->destroy(b->input);
	}
	stop_copier(b);
	desk_finish(&b->desk);
}

static const char *path_of(const struct bench *b, const char *name) {
	static char path[128];
	(void)snprintf(path, sizeof(path), "%s/%s", b->desk.dir, name);
	return path;
}

/* A program copies this, in place of an earlier one. */
static void start_copier(struct bench *b, const char *type, const void *data, size_t size) {
	const char *args[] = {"wl-copy", "--foreground", "--type", type, NULL};
	char err[128];
	stop_copier(b);
	(void)snprintf(err, sizeof(err), "%s", path_of(b, "wl-copy-err"));
	FILE *f = fopen(path_of(b, "copied"), "we");
	check(f && fwrite(data, 1, size, f) == size && fclose(f) == 0);
	b->copier = desk_run(&b->desk, args, path_of(b, "copied"), err);
}

/* And the bridge knows of it. */
static void copy(struct bench *b, const char *type, const void *data, size_t size) {
	bool text = strcmp(type, TEXT) == 0;
	uint32_t generation = clipboard_rig_state(&b->rig).generation;
	start_copier(b, type, data, size);
	for (uint64_t end = now_ns() + TIMEOUT_NS;;) {
		struct clipboard_state s = clipboard_rig_state(&b->rig);
		if (s.generation != generation && !s.ours && (text ? s.text : s.image)) {
			return;
		}
		check(now_ns() < end);
		check_ok(sd_event_run(b->desk.loop, 10000));
	}
}

static void expect_copied(
	struct bench *b, enum clipboard_kind kind, const void *data, size_t size) {
	clipboard_rig_begin_read(&b->rig);
	RUN_UNTIL(b->desk.loop, b->rig.reads_done > 0);
	clipboard_rig_expect(&b->rig, kind, data, size);
}

static pid_t start_paster(const struct bench *b, const char *type, const char *out) {
	const char *args[] = {"wl-paste", "--no-newline", "--type", type, NULL};
	return desk_run(&b->desk, args, "/dev/null", out);
}

/* A program pastes, and gets this. */
static void expect_pasted(struct bench *b, const char *type, const void *data, size_t size) {
	char *got = malloc(size + 1);
	(void)unlink(path_of(b, "pasted"));
	pid_t pid = start_paster(b, type, path_of(b, "pasted"));
	for (uint64_t end = now_ns() + TIMEOUT_NS; waitpid(pid, NULL, WNOHANG) == 0;) {
		check(now_ns() < end);
		check_ok(sd_event_run(b->desk.loop, 10000));
	}
	FILE *f = fopen(path_of(b, "pasted"), "re");
	check(got && f);
	check_int(fread(got, 1, size + 1, f), ==, size);
	check_int(memcmp(got, data, size), ==, 0);
	(void)fclose(f);
	free(got);
}

static void put32(uint8_t *to, uint32_t n) {
	for (unsigned i = 0; i < 4; i++) {
		to[i] = (uint8_t)(n >> (24 - 8 * i));
	}
}

/* Pixels that are nonsense: `size` bytes of them. */
static uint8_t *make_png(size_t size, size_t *ret_size) {
	static const size_t head = 33, chunk = 12;
	uint8_t *p = malloc(head + 2 * chunk + size), *at = p + head;
	check(p);
	memcpy(p, clipboard_rig_png, head);
	put32(at, (uint32_t)size);
	memcpy(at + 4, "IDAT", 4);
	for (size_t i = 0; i < size; i++) {
		at[8 + i] = (uint8_t)(i * 2654435761u >> 13);
	}
	put32(at + 8 + size, (uint32_t)crc32_z(0, at + 4, size + 4));
	memcpy(at + chunk + size, clipboard_rig_png + sizeof(clipboard_rig_png) - chunk, chunk);
	*ret_size = head + 2 * chunk + size;
	return p;
}

TEST(text_and_pictures_both_ways) {
	static const char text[] = "Grüße, 世界\n";
	struct bench b;
	setup(&b, "wlroots");
	check(!clipboard_rig_state(&b.rig).text && !clipboard_rig_state(&b.rig).image);
	copy(&b, TEXT, text, strlen(text));
	expect_copied(&b, CLIPBOARD_TEXT, text, strlen(text));
	copy(&b, "image/png", clipboard_rig_png, sizeof(clipboard_rig_png));
	expect_copied(&b, CLIPBOARD_IMAGE, clipboard_rig_png, sizeof(clipboard_rig_png));
	clipboard_rig_set(&b.rig, CLIPBOARD_TEXT, text, strlen(text));
	check_int(b.rig.set_error, ==, 0);
	check(clipboard_rig_state(&b.rig).ours && clipboard_rig_state(&b.rig).text);
	expect_pasted(&b, TEXT, text, strlen(text));
	expect_pasted(&b, "text/plain", text, strlen(text));
	expect_copied(&b, CLIPBOARD_TEXT, text, strlen(text)); /* our own */
	clipboard_rig_set(&b.rig, CLIPBOARD_IMAGE, clipboard_rig_png, sizeof(clipboard_rig_png));
	expect_pasted(&b, "image/png", clipboard_rig_png, sizeof(clipboard_rig_png));
	clipboard_rig_set(&b.rig, CLIPBOARD_TEXT, "", 0);
	expect_pasted(&b, TEXT, "", 0);
	copy(&b, TEXT, "mine", 4); /* and takes it over */
	expect_copied(&b, CLIPBOARD_TEXT, "mine", 4);
	teardown(&b);
}

/* As large as may be, and a little more. */
TEST_TIMEOUT(large_ones, 120) {
	struct bench b;
	size_t size;
	char *text = malloc(CLIPBOARD_TEXT_MAX + 1);
	uint8_t *png = make_png(BIG, &size);
	check(text);
	memset(text, 'x', CLIPBOARD_TEXT_MAX + 1);
	setup(&b, "auto");
	copy(&b, TEXT, text, CLIPBOARD_TEXT_MAX);
	expect_copied(&b, CLIPBOARD_TEXT, text, CLIPBOARD_TEXT_MAX);
	copy(&b, TEXT, text, CLIPBOARD_TEXT_MAX + 1);
	clipboard_rig_begin_read(&b.rig);
	RUN_UNTIL(b.desk.loop, b.rig.reads_done > 0);
	check_int(b.rig.error, ==, -EFBIG);
	copy(&b, "image/png", png, size);
	expect_copied(&b, CLIPBOARD_IMAGE, png, size);
	clipboard_rig_set(&b.rig, CLIPBOARD_IMAGE, png, size);
	expect_pasted(&b, "image/png", png, size);
	clipboard_rig_set(&b.rig, CLIPBOARD_TEXT, text, CLIPBOARD_TEXT_MAX);
	expect_pasted(&b, TEXT, text, CLIPBOARD_TEXT_MAX);
	free(text);
	free(png);
	teardown(&b);
}

/* A program that never gives anything is left after a time, and the next one is served. */
TEST_TIMEOUT(program_that_never_writes, 120) {
	struct bench b;
	setup(&b, "wlroots");
	copy(&b, TEXT, "never", 5);
	unsigned fds = clipboard_rig_fds();
	check_int(kill(b.copier, SIGSTOP), ==, 0);
	uint64_t begin = now_ns();
	clipboard_rig_begin_read(&b.rig);
	RUN_UNTIL(b.desk.loop, b.rig.reads_done > 0);
	check_int(b.rig.error, ==, -ETIMEDOUT);
	check_int(now_ns() - begin, <, 15 * NSEC_PER_SEC);
	check_int(clipboard_rig_fds(), ==, fds);
	/* Another one takes the clipboard while somebody waits. */
	clipboard_rig_begin_read(&b.rig);
	pid_t stopped = b.copier;
	b.copier = 0;
	start_copier(&b, TEXT, "quick", 5);
	RUN_UNTIL(b.desk.loop, b.rig.reads_done > 0);
	clipboard_rig_expect(&b.rig, CLIPBOARD_TEXT, "quick", 5);
	check_int(kill(stopped, SIGKILL), ==, 0);
	check_int(waitpid(stopped, NULL, 0), ==, stopped);
	check_int(clipboard_rig_fds(), ==, fds);
	teardown(&b);
}

/* A program that pastes and does not read delays no other one. */
TEST_TIMEOUT(program_that_never_reads, 120) {
	struct bench b;
	struct clipboard_stats stats = {0};
	size_t size;
	char fifo[128];
	uint8_t *png = make_png(BIG, &size);
	setup(&b, "wlroots");
	(void)snprintf(fifo, sizeof(fifo), "%s", path_of(&b, "fifo"));
	check(mkfifo(fifo, 0666) == 0 && chmod(fifo, 0666) == 0);
	int reader = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	check(reader >= 0);
	clipboard_rig_set(&b.rig, CLIPBOARD_IMAGE, png, size);
	unsigned fds = clipboard_rig_fds();
	pid_t paster = start_paster(&b, "image/png", fifo);
	RUN_UNTIL(b.desk.loop, clipboard_rig_fds() > fds); /* it is being served */
	expect_pasted(&b, "image/png", png, size);
	clipboard_get_stats(b.rig.clipboard, &stats);
	check(stats.served == 1 && stats.served_failed == 0);
	check_int(clipboard_rig_fds(), >, fds);
	(void)close(reader); /* which ends the program */
	for (uint64_t end = now_ns() + TIMEOUT_NS; stats.served_failed == 0;) {
		check(now_ns() < end);
		check_ok(sd_event_run(b.desk.loop, 10000));
		clipboard_get_stats(b.rig.clipboard, &stats);
	}
	check_int(waitpid(paster, NULL, 0), ==, paster);
	check_int(clipboard_rig_fds(), ==, fds - 1); /* without `reader` */
	free(png);
	teardown(&b);
}

/* What a viewer set is offered anew by a compositor that was started again. */
TEST_TIMEOUT(compositor_comes_and_goes, 120) {
	struct bench b;
	setup(&b, "auto");
	clipboard_rig_set(&b.rig, CLIPBOARD_TEXT, "kept", 4);
	desk_stop(&b.desk, SIGKILL);
	RUN_UNTIL(b.desk.loop, !clipboard_rig_state(&b.rig).available);
	clipboard_rig_begin_read(&b.rig);
	check_int(b.rig.error, ==, -ENOTSUP);
	desk_start(&b.desk);
	RUN_UNTIL(b.desk.loop, clipboard_rig_state(&b.rig).ours);
	expect_pasted(&b, TEXT, "kept", 4);
	teardown(&b);
}

/* A compositor that does nothing for a while. */
TEST_TIMEOUT(compositor_hangs, 120) {
	struct bench b;
	setup(&b, "wlroots");
	copy(&b, TEXT, "there", 5);
	unsigned fds = clipboard_rig_fds();
	check_int(kill(b.desk.pid, SIGSTOP), ==, 0);
	clipboard_rig_begin_read(&b.rig);
	RUN_UNTIL(b.desk.loop, b.rig.reads_done > 0);
	check_int(b.rig.error, ==, -ETIMEDOUT);
	uint64_t begin = now_ns();
	clipboard_rig_set(&b.rig, CLIPBOARD_TEXT, "late", 4);
	check_int(b.rig.set_error, ==, -ETIMEDOUT);
	check_int(now_ns() - begin, <, 15 * NSEC_PER_SEC);
	check_int(clipboard_rig_fds(), ==, fds);
	check_int(kill(b.desk.pid, SIGCONT), ==, 0);
	clipboard_rig_set(&b.rig, CLIPBOARD_TEXT, "again", 5);
	check_int(b.rig.set_error, ==, 0);
	expect_pasted(&b, TEXT, "again", 5);
	expect_copied(&b, CLIPBOARD_TEXT, "again", 5);
	teardown(&b);
}

TEST_TIMEOUT(many_transfers_leave_nothing, 300) {
	struct bench b;
	setup(&b, "wlroots");
	unsigned fds = clipboard_rig_fds();
	for (unsigned i = 0; i < 20; i++) {
		copy(&b, TEXT, "there", 5);
		expect_copied(&b, CLIPBOARD_TEXT, "there", 5);
		for (unsigned k = 0; k < 10; k++) {
			clipboard_rig_set(&b.rig, CLIPBOARD_TEXT, "back", 4);
		}
		expect_pasted(&b, TEXT, "back", 4);
	}
	check_int(clipboard_rig_fds(), ==, fds);
	teardown(&b);
}

static int post(const struct rig *r, const char *body) {
	char request[512], answer[512];
	size_t size;
	(void)snprintf(request, sizeof(request),
		"POST /clipboard HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
		"Content-Length: %zu\r\n\r\n%s",
		strlen(body), body);
	return http_ask(r->port, request, answer, sizeof(answer), &size);
}

static struct ws_clipboard next_state(struct watch *w) {
	struct ws_message m;
	struct ws_clipboard state;
	ws_expect(&w->ws, WS_CLIPBOARD, &m, 20000);
	check_int(ws_decode_clipboard(m.data, m.size, &state), ==, WS_CLIPBOARD_SIZE);
	return state;
}

/* The whole bridge: what its viewers are told, and its route. */
TEST_TIMEOUT(viewers, 120) {
	static const char *const options[] = {"--input", "auto", NULL};
	struct bench b;
	struct rig r;
	struct watch w;
	struct ws_clipboard state;
	char answer[1024];
	size_t size;
	setup(&b, NULL);
	check_int(setenv("WAYLAND_DISPLAY", path_of(&b, b.desk.socket), 1), ==, 0);
	rig_start(&r, SHOW_STILL, options);
	watch_open(&w, &r, "\"extensions\":[\"clipboard\"]");
	do {
		state = next_state(&w);
	} while (!(state.flags & WS_CLIPBOARD_AVAILABLE));
	start_copier(&b, TEXT, "copied", 6);
	do {
		state = next_state(&w);
	} while (!(state.flags & WS_CLIPBOARD_TEXT));
	check(!(state.flags & WS_CLIPBOARD_OURS));
	check_int(http_get(r.port, "/clipboard", answer, sizeof(answer), &size), ==, 200);
	check(strstr(answer, "{\"type\":\"text\",\"data\":\"copied\"}"));
	check_int(post(&r, "{\"type\":\"text\",\"data\":\"given\"}"), ==, 200);
	do {
		state = next_state(&w);
	} while (!(state.flags & WS_CLIPBOARD_OURS));
	expect_pasted(&b, TEXT, "given", 5);
	watch_close(&w);
	rig_stop(&r);
	teardown(&b);
}
