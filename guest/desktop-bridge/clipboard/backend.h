/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A compositor's clipboard. A back end moves names of types and descriptors of pipes, and knows no
 * content; the clipboard (clipboard.h) does what is the same for all of them. Its events come from the loop,
 * never from within a call.
 */
#ifndef HELIX_BRIDGE_CLIPBOARD_BACKEND_H
#define HELIX_BRIDGE_CLIPBOARD_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct clipboard_backend;

struct clipboard_events {
	/* There is a way to the clipboard, or no more. What was under way is forgotten at the end. */
	void (*available)(bool available, void *data);
	/* Another program offers these types; none: the clipboard is empty. */
	void (*offered)(const char *const *types, size_t n, void *data);
	/* What was offered here is the clipboard's content now. */
	void (*owned)(void *data);
	/* A program wants it: into `fd`, which is consumed. Then `served` with this token. */
	void (*wanted)(const char *type, int fd, uint32_t token, void *data);
};

/* A descriptor, the callee's; or -errno. */
typedef void (*clipboard_fd_fn)(void *data, int fd);
typedef void (*clipboard_done_fn)(void *data, int error);

struct clipboard_backend_ops {
	const char *name;
	/* Says from now on what happens, beginning with how it is; NULL: to nobody. */
	void (*listen)(
		struct clipboard_backend *b, const struct clipboard_events *events, void *data);
	/* Asks for what another program offers, one at a time. -errno: `done` is not called. */
	int (*read)(
		struct clipboard_backend *b, const char *type, clipboard_fd_fn done, void *data);
	void (*cancel_read)(struct clipboard_backend *b);
	/* Offers these types to the others. -errno: `done` is not called. It ends an earlier offer. */
	int (*offer)(struct clipboard_backend *b, const char *const *types, size_t n,
		clipboard_done_fn done, void *data);
	void (*served)(struct clipboard_backend *b, uint32_t token, bool well); /* may be NULL */
};

/* First member of each. */
struct clipboard_backend {
	const struct clipboard_backend_ops *ops;
};

#endif
