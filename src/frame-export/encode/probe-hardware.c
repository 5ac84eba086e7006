/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "probe.h"
#include "util.h"

/* PCI vendors, as pci.ids has them. */
#define VENDOR_AMD    0x1002u
#define VENDOR_NVIDIA 0x10deu
#define VENDOR_INTEL  0x8086u

#define MAX_NODES 8u

struct hardware {
	struct node {
		char path[PROBE_NODE_MAX];
		uint32_t vendor; /* 0: not on PCI */
	} nodes[MAX_NODES];
	unsigned n_nodes;
	bool nvidia; /* its device file is there, with or without a render node */
	bool video;  /* there is a V4L2 device */
};

/* The vendor of a render node, from sysfs; 0 if it is not on PCI. */
static uint32_t read_vendor(const char *root, const char *name) {
	char path[PATH_MAX];
	unsigned vendor = 0;
	int n = snprintf(path, sizeof(path), "%s/sys/class/drm/%s/device/vendor", root, name);
	FILE *f = n > 0 && (size_t)n < sizeof(path) ? fopen(path, "re") : NULL;
	if (f) {
		if (fscanf(f, "%x", &vendor) != 1) {
			vendor = 0;
		}
		(void)fclose(f);
	}
	return vendor;
}

static void add_node(struct hardware *h, const char *root, const char *path) {
	const char *name = strrchr(path, '/');
	if (h->n_nodes < MAX_NODES && name && strlen(path) < PROBE_NODE_MAX) {
		struct node *node = &h->nodes[h->n_nodes++];
		(void)snprintf(node->path, sizeof(node->path), "%s", path);
		node->vendor = read_vendor(root, name + 1);
	}
}

static int is_render_node(const struct dirent *entry) {
	return strncmp(entry->d_name, "renderD", 7) == 0;
}

static int is_nvidia(const struct dirent *entry) {
	return strncmp(entry->d_name, "nvidia", 6) == 0 && isdigit((uint8_t)entry->d_name[6]);
}

static int is_video_node(const struct dirent *entry) {
	return strncmp(entry->d_name, "video", 5) == 0;
}

/* Names in a directory under `root`, in order of their numbers; the caller frees all. */
static int list(const char *root, const char *dir, int (*filter)(const struct dirent *),
	struct dirent ***ret) {
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s%s", root, dir);
	n = n > 0 && (size_t)n < sizeof(path) ? scandir(path, ret, filter, versionsort) : -1;
	if (n < 0) {
		*ret = NULL;
	}
	return n;
}

static bool has(const char *root, int (*filter)(const struct dirent *)) {
	struct dirent **names;
	int n = list(root, "/dev", filter, &names);
	for (int i = 0; i < n; i++) {
		free(names[i]);
	}
	free(names);
	return n > 0;
}

static void find_nodes(const char *root, struct hardware *h) {
	struct dirent **names;
	int n = list(root, "/dev/dri", is_render_node, &names);
	for (int i = 0; i < n; i++) {
		char path[PATH_MAX];
		(void)snprintf(path, sizeof(path), "/dev/dri/%s", names[i]->d_name);
		add_node(h, root, path);
		free(names[i]);
	}
	free(names);
}

static void look_around(const char *root, const char *render_node, struct hardware *h) {
	*h = (struct hardware){.nvidia = has(root, is_nvidia), .video = has(root, is_video_node)};
	if (render_node) {
		add_node(h, root, render_node);
	} else {
		find_nodes(root, h);
	}
}

struct candidates {
	struct probe_candidate *list;
	unsigned n;
};

static void add(struct candidates *c, const struct encoder_ops *ops, const struct node *node,
	uint32_t vendor) {
	if (c->n < PROBE_CANDIDATES) {
		struct probe_candidate *new = &c->list[c->n++];
		*new = (struct probe_candidate){.ops = ops, .vendor = vendor};
		if (node) {
			(void)snprintf(
				new->render_node, sizeof(new->render_node), "%s", node->path);
		}
	}
}

static void add_by_vendor(struct candidates *c, const struct hardware *h) {
	if (h->nvidia) {
		add(c, &encoder_nvenc, NULL, VENDOR_NVIDIA);
	}
	for (unsigned i = 0; i < h->n_nodes; i++) {
		const struct node *node = &h->nodes[i];
		switch (node->vendor) {
		case VENDOR_NVIDIA: /* its VA-API driver only decodes */
			break;
		case VENDOR_INTEL:
			add(c, &encoder_vaapi, node, node->vendor);
			add(c, &encoder_qsv, node, node->vendor);
			break;
		default: /* AMD, and whatever has a VA-API driver */
			add(c, &encoder_vaapi, node, node->vendor);
			break;
		}
	}
	if (h->video) {
		add(c, &encoder_v4l2m2m, NULL, 0);
	}
#ifdef __APPLE__
	add(c, &encoder_videotoolbox, NULL, 0);
#endif
}

/* The first node that an encoder of this name is for; any, if none is; NULL without nodes. */
static const struct node *node_for(const struct hardware *h, const struct encoder_ops *ops) {
	for (unsigned i = 0; i < h->n_nodes; i++) {
		uint32_t vendor = h->nodes[i].vendor;
		if ((ops == &encoder_qsv && vendor == VENDOR_INTEL) ||
			(ops == &encoder_vaapi && vendor != VENDOR_NVIDIA)) {
			return &h->nodes[i];
		}
	}
	return h->n_nodes > 0 ? &h->nodes[0] : NULL;
}

unsigned probe_find(const char *root, const char *name, const char *render_node,
	struct probe_candidate ret[static PROBE_CANDIDATES]) {
	struct hardware h;
	struct candidates c = {.list = ret};
	look_around(root, render_node, &h);
	if (strcmp(name, "auto") == 0) {
		add_by_vendor(&c, &h);
		return c.n;
	}
	const struct encoder_ops *ops = encoder_by_name(name);
	if (!ops || ops == &encoder_x264) {
		return 0;
	}
	bool needs_node = ops == &encoder_vaapi || ops == &encoder_qsv;
	const struct node *node = needs_node ? node_for(&h, ops) : NULL;
	if ((needs_node && !node) || (ops == &encoder_nvenc && !h.nvidia)) {
		return 0;
	}
	uint32_t vendor = ops == &encoder_nvenc ? VENDOR_NVIDIA : node ? node->vendor : 0;
	add(&c, ops, node, vendor);
	return c.n;
}
