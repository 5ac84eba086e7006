/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <string.h>

#include "args.h"

/* Room for one more and the NULL behind it. */
static bool grow(struct args *a) {
	if (a->n + 2 <= a->size) {
		return true;
	}
	size_t size = a->size ? 2 * a->size : 32;
	char **v = reallocarray(a->v, size, sizeof(*v));
	if (!v) {
		a->error = -ENOMEM;
		return false;
	}
	a->v = v;
	a->size = size;
	return true;
}

static void append_list(struct args *a, const char *fmt, va_list list) {
	char *more, *whole;
	if (a->error || a->n == 0) {
		return;
	}
	char **last = &a->v[a->n - 1];
	if (vasprintf(&more, fmt, list) < 0) {
		a->error = -ENOMEM;
		return;
	}
	if (asprintf(&whole, "%s%s", *last, more) < 0) {
		a->error = -ENOMEM;
	} else {
		free(*last);
		*last = whole;
	}
	free(more);
}

void args_append(struct args *a, const char *fmt, ...) {
	va_list list;
	va_start(list, fmt);
	append_list(a, fmt, list);
	va_end(list);
}

void args_add(struct args *a, const char *fmt, ...) {
	if (a->error || !grow(a)) {
		return;
	}
	va_list list;
	va_start(list, fmt);
	char *text;
	if (vasprintf(&text, fmt, list) < 0) {
		a->error = -ENOMEM;
	} else {
		a->v[a->n++] = text;
		a->v[a->n] = NULL;
	}
	va_end(list);
}

void args_append_value(struct args *a, const char *value) {
	for (const char *p = value; *p;) {
		size_t n = strcspn(p, ",");
		args_append(a, "%.*s%s", (int)n, p, p[n] ? ",," : "");
		p += n + (p[n] != '\0');
	}
}

void args_finish(struct args *a) {
	for (size_t i = 0; i < a->n; i++) {
		free(a->v[i]);
	}
	free(a->v);
	*a = (struct args){0};
}

void print_shell_word(const char *word, FILE *f) {
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "_-+=:,./@%";
	if (*word && word[strspn(word, plain)] == '\0') {
		(void)fputs(word, f);
		return;
	}
	(void)fputc('\'', f);
	for (; *word; word++) {
		(void)fputs(*word == '\'' ? "'\\''" : (char[]){*word, '\0'}, f);
	}
	(void)fputc('\'', f);
}

void args_print_shell(const struct args *a, FILE *f) {
	for (size_t i = 0; i < a->n; i++) {
		if (i > 0) {
			(void)fputs(a->v[i][0] == '-' ? " \\\n    " : " ", f);
		}
		print_shell_word(a->v[i], f);
	}
	(void)fputc('\n', f);
}
