/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which encoder this machine really has. What libavcodec has registered, and even what a driver
 * opens, says little; so each candidate encodes some pictures, and what it wrote is looked at and
 * decoded. It does so in a child process with a deadline: a driver may hang, crash, print and leak.
 *
 * Candidates follow from the hardware (PCI vendor of the render nodes, NVIDIA's device file), never
 * from which one happens to fail: a busy GPU does not become another's.
 *
 * To be called before there are threads.
 */
#ifndef HELIX_FRAME_EXPORT_PROBE_H
#define HELIX_FRAME_EXPORT_PROBE_H

#include <limits.h>

#include "encoder.h"

/* CUDA alone takes two seconds to start on a machine that has not used it since boot. */
#define PROBE_TIMEOUT_MS 5000u
/* Of all together. */
#define PROBE_TOTAL_MS 12000u

#define PROBE_CANDIDATES 8u
#define PROBE_NODE_MAX   64u
#define PROBE_WHY_MAX    128u

struct probe_candidate {
	const struct encoder_ops *ops;
	char render_node[PROBE_NODE_MAX]; /* "": it needs none */
	uint32_t vendor;                  /* PCI; 0: not known */
};

/*
 * What the hardware suggests, best first; returns their number. `name` is "auto" or one encoder's,
 * `render_node` may be NULL. `root` is "", or a directory instead of the file system's for tests.
 */
unsigned probe_find(const char *root, const char *name, const char *render_node,
	struct probe_candidate ret[static PROBE_CANDIDATES]);

/*
 * Encodes and decodes; in this process. 0; -errno with a reason. May do what drivers do.
 */
int probe_check(
	const struct encoder_ops *ops, const char *render_node, char ret_why[static PROBE_WHY_MAX]);

/* The same in a child. -ETIMEDOUT if it had to be killed, -EIO if it crashed. */
int probe_run(const struct encoder_ops *ops, const char *render_node, unsigned timeout_ms,
	char ret_why[static PROBE_WHY_MAX]);

/*
 * The encoder to use before x264, and its render node; says in one line of log what became of it.
 * NULL: x264 only. One that was asked for by name and fails in a way that may pass (not: hangs, or
 * does not exist) is returned nevertheless: encoder_fallback goes on trying it.
 */
const struct encoder_ops *probe_select(
	const char *name, const char *render_node, char ret_render_node[static PROBE_NODE_MAX]);

#endif
