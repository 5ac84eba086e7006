/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Writes down what would be done. */
#include "backend.h"
#include "util.h"

struct log_input {
	struct input_backend base;
	FILE *file;
};

static FILE *file_of(struct input_backend *b) {
	return ((struct log_input *)b)->file;
}

static void log_key(struct input_backend *b, uint16_t code, bool down) {
	(void)fprintf(file_of(b), "key %u %s\n", code, down ? "down" : "up");
}

static void log_button(struct input_backend *b, uint16_t code, bool down) {
	(void)fprintf(file_of(b), "button %u %s\n", code, down ? "down" : "up");
}

static void log_absolute(struct input_backend *b, double x, double y) {
	(void)fprintf(file_of(b), "absolute %.4f %.4f\n", x, y);
}

static void log_relative(struct input_backend *b, double dx, double dy) {
	(void)fprintf(file_of(b), "relative %.1f %.1f\n", dx, dy);
}

static void log_scroll(struct input_backend *b, double dx, double dy, bool wheel) {
	(void)fprintf(file_of(b), "scroll %.2f %.2f %s\n", dx, dy, wheel ? "wheel" : "fingers");
}

static void log_touch(
	struct input_backend *b, enum ws_touch touch, unsigned slot, double x, double y) {
	static const char *const names[] = {"down", "move", "up", "cancel"};
	(void)fprintf(file_of(b), "touch %s %u %.4f %.4f\n", names[touch], slot, x, y);
}

static void log_flush(struct input_backend *b) {
	(void)fflush(file_of(b));
}

static void log_destroy(struct input_backend *b) {
	free(b);
}

static const struct input_backend_ops log_ops = {
	.name = "log",
	.key = log_key,
	.button = log_button,
	.absolute = log_absolute,
	.relative = log_relative,
	.scroll = log_scroll,
	.touch = log_touch,
	.flush = log_flush,
	.destroy = log_destroy,
};

int input_log_create(FILE *file, struct input_backend **ret) {
	struct log_input *b = malloc(sizeof(*b));
	if (!b) {
		return -ENOMEM;
	}
	*b = (struct log_input){.base = {.ops = &log_ops}, .file = file};
	*ret = &b->base;
	return 0;
}
