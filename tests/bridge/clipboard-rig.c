/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <signal.h>
#include <string.h>

#include "clipboard-rig.h"

const uint8_t clipboard_rig_png[69] = {0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00,
	0x00, 0x0d, 0x49, 0x48, 0x44, 0x52, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x01, 0x08,
	0x02, 0x00, 0x00, 0x00, 0x90, 0x77, 0x53, 0xde, 0x00, 0x00, 0x00, 0x0c, 0x49, 0x44, 0x41,
	0x54, 0x78, 0x9c, 0x63, 0xf8, 0xcf, 0xc0, 0x00, 0x00, 0x03, 0x01, 0x01, 0x00, 0xc9, 0xfe,
	0x92, 0xef, 0x00, 0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82};

static void handle_changed(struct clipboard_watcher *w) {
	container_of(w, struct clipboard_rig, watcher)->told++;
}

void clipboard_rig_init(
	struct clipboard_rig *c, sd_event *loop, struct clipboard_backend *backend) {
	*c = (struct clipboard_rig){.loop = loop, .watcher.changed = handle_changed};
	(void)signal(SIGPIPE, SIG_IGN);
	check_ok(clipboard_create(loop, backend, &c->clipboard));
	check(!clipboard_rig_state(c).available);
	clipboard_watch(c->clipboard, &c->watcher);
}

void clipboard_rig_finish(struct clipboard_rig *c) {
	clipboard_destroy(c->clipboard);
	clipboard_content_unref(c->got);
}

struct clipboard_state clipboard_rig_state(const struct clipboard_rig *c) {
	struct clipboard_state state;
	clipboard_get_state(c->clipboard, &state);
	return state;
}

static void handle_read(void *data, int error, struct clipboard_content *content) {
	struct clipboard_rig *c = data;
	c->reads_done++;
	c->error = error;
	clipboard_content_unref(c->got);
	c->got = content ? clipboard_content_ref(content) : NULL;
}

void clipboard_rig_read_more(struct clipboard_rig *c) {
	clipboard_read(c->clipboard, handle_read, c);
}

void clipboard_rig_begin_read(struct clipboard_rig *c) {
	c->reads_done = 0;
	clipboard_rig_read_more(c);
}

static void handle_set(void *data, int error) {
	struct clipboard_rig *c = data;
	c->sets_done++;
	c->set_error = error;
}

void clipboard_rig_set(
	struct clipboard_rig *c, enum clipboard_kind kind, const void *data, size_t size) {
	struct clipboard_content *content;
	uint8_t *copy = malloc(MAX(size, 1u));
	check(copy);
	memcpy(copy, data, size);
	check_ok(clipboard_content_create(kind, copy, size, &content));
	c->sets_done = 0;
	clipboard_set(c->clipboard, content, handle_set, c);
	clipboard_content_unref(content);
	RUN_UNTIL(c->loop, c->sets_done > 0);
}

void clipboard_rig_expect(
	const struct clipboard_rig *c, enum clipboard_kind kind, const void *data, size_t size) {
	check_int(c->error, ==, 0);
	check(c->got);
	check_int(c->got->kind, ==, kind);
	check_int(c->got->size, ==, size);
	check(size == 0 || memcmp(c->got->data, data, size) == 0);
}

unsigned clipboard_rig_fds(void) {
	return test_fds_of(getpid());
}
