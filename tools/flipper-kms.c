/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <drm_fourcc.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "bytes.h"
#include "flipper-kms.h"

#define CARDS_MAX 16 /* nodes /dev/dri/card… that are tried */

/*
 * Cards
 */
static int open_first_card(char *ret_path, size_t size) {
	for (int i = 0; i < CARDS_MAX; i++) {
		(void)snprintf(ret_path, size, "/dev/dri/card%d", i);
		int fd = open(ret_path, O_RDWR | O_CLOEXEC);
		if (fd < 0) {
			continue;
		}
		drmModeRes *res = drmModeGetResources(fd);
		int n = res ? res->count_connectors : 0;
		drmModeFreeResources(res);
		if (n > 0) {
			return fd;
		}
		(void)close_fd(fd);
	}
	(void)snprintf(ret_path, size, "no card with connectors in /dev/dri");
	return -ENODEV;
}

int card_open(struct card *card, const char *path, int lease_fd) {
	char found[64] = "the lease";
	*card = (struct card){.fd = lease_fd, .leased = lease_fd >= 0};
	if (card->leased) {
		(void)fcntl(lease_fd, F_SETFD, FD_CLOEXEC);
	} else if (path) {
		card->fd = open(path, O_RDWR | O_CLOEXEC);
		card->fd = card->fd < 0 ? -errno : card->fd;
		(void)snprintf(found, sizeof(found), "%s", path);
	} else {
		card->fd = open_first_card(found, sizeof(found));
	}
	int r = MIN(card->fd, 0);
	if (r == 0 && drmSetClientCap(card->fd, DRM_CLIENT_CAP_UNIVERSAL_PLANES, 1) < 0) {
		r = -errno;
	}
	if (r < 0) {
		(void)fprintf(stderr, "drm-flipper: %s: %s\n", found, strerror(-r));
		card->fd = close_fd(card->fd);
		return r;
	}
	card->master = card->leased || drmIsMaster(card->fd) || drmSetMaster(card->fd) == 0;
	return 0;
}

void card_close(struct card *card) {
	card->fd = close_fd(card->fd);
}

/*
 * Connectors
 */
void connector_name(const drmModeConnector *connector, char *ret, size_t size) {
	const char *type = drmModeGetConnectorTypeName(connector->connector_type);
	(void)snprintf(ret, size, "%s-%u", type ? type : "Unknown", connector->connector_type_id);
}

static double mode_hz(const drmModeModeInfo *m) {
	double pixels = (double)m->htotal * m->vtotal;
	return pixels > 0 ? m->clock * 1000.0 / pixels : 0;
}

/* The text of an EDID descriptor (EDID 1.4, 3.10.3), which ends with a line feed; "" if none. */
static void edid_text(const uint8_t *edid, uint8_t tag, char ret[14]) {
	ret[0] = '\0';
	for (size_t at = 54; at < 126; at += 18) {
		if (get_le16(edid + at) == 0 && edid[at + 3] == tag) {
			size_t n = 0;
			while (n < 13 && edid[at + 5 + n] >= ' ' && edid[at + 5 + n] < 0x7f) {
				ret[n] = (char)edid[at + 5 + n];
				n++;
			}
			ret[n] = '\0';
		}
	}
}

static void print_edid(const struct card *card, const drmModeConnector *connector) {
	for (int i = 0; i < connector->count_props; i++) {
		drmModePropertyRes *prop = drmModeGetProperty(card->fd, connector->props[i]);
		bool found = prop && strcmp(prop->name, "EDID") == 0;
		drmModeFreeProperty(prop);
		drmModePropertyBlobRes *blob = found && connector->prop_values[i] != 0
			? drmModeGetPropertyBlob(card->fd, (uint32_t)connector->prop_values[i])
			: NULL;
		if (blob && blob->length >= 128) {
			const uint8_t *edid = blob->data;
			unsigned vendor = (unsigned)edid[8] << 8 | edid[9];
			char name[14], serial[14];
			edid_text(edid, 0xfc, name);
			edid_text(edid, 0xff, serial);
			printf(" vendor %c%c%c name \"%s\" serial \"%s\"",
				'@' + (vendor >> 10 & 31), '@' + (vendor >> 5 & 31),
				'@' + (vendor & 31), name, serial);
		}
		drmModeFreePropertyBlob(blob);
	}
}

int card_list(const struct card *card) {
	drmModeRes *res = drmModeGetResources(card->fd);
	if (!res) {
		int r = -errno;
		(void)fprintf(stderr, "drm-flipper: cannot list connectors: %s\n", strerror(-r));
		return r;
	}
	if (!card->master) {
		(void)fprintf(stderr,
			"drm-flipper: another program holds the card: "
			"this is what it last saw\n");
	}
	for (int i = 0; i < res->count_connectors; i++) {
		drmModeConnector *c = drmModeGetConnector(card->fd, res->connectors[i]);
		if (!c) {
			continue;
		}
		char name[32];
		connector_name(c, name, sizeof(name));
		bool connected = c->connection == DRM_MODE_CONNECTED;
		printf("%s %s id %u", name, connected ? "connected" : "disconnected",
			c->connector_id);
		print_edid(card, c);
		printf("\n");
		for (int k = 0; k < c->count_modes; k++) {
			const drmModeModeInfo *m = &c->modes[k];
			printf("    %ux%u@%.2f%s\n", m->hdisplay, m->vdisplay, mode_hz(m),
				m->type & DRM_MODE_TYPE_PREFERRED ? " preferred" : "");
		}
		drmModeFreeConnector(c);
	}
	drmModeFreeResources(res);
	return 0;
}

/*
 * Buffers
 */
static void buffer_finish(struct buffer *b, int fd) {
	if (b->map != MAP_FAILED) {
		(void)munmap(b->map, b->size);
	}
	if (b->fb_id) {
		(void)drmModeRmFB(fd, b->fb_id);
	}
	if (b->handle) {
		struct drm_mode_destroy_dumb destroy = {.handle = b->handle};
		(void)drmIoctl(fd, DRM_IOCTL_MODE_DESTROY_DUMB, &destroy);
	}
	*b = (struct buffer){.map = MAP_FAILED};
}

static int buffer_init(struct buffer *b, int fd, uint32_t width, uint32_t height,
	const struct pixel_layout *layout) {
	*b = (struct buffer){.map = MAP_FAILED};
	struct drm_mode_create_dumb create = {.width = width, .height = height, .bpp = 32};
	if (drmIoctl(fd, DRM_IOCTL_MODE_CREATE_DUMB, &create) < 0) {
		return -errno;
	}
	b->handle = create.handle;
	b->size = create.size;

	struct drm_mode_map_dumb map = {.handle = b->handle};
	uint32_t handles[4] = {b->handle}, pitches[4] = {create.pitch}, offsets[4] = {0};
	int r = drmModeAddFB2(fd, width, height, layout->fourcc, handles, pitches, offsets,
			&b->fb_id, 0) < 0
		? -errno
		: 0;
	if (r == 0 && drmIoctl(fd, DRM_IOCTL_MODE_MAP_DUMB, &map) < 0) {
		r = -errno;
	}
	if (r == 0) {
		b->map = mmap(
			NULL, b->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)map.offset);
		r = b->map == MAP_FAILED ? -errno : 0;
	}
	if (r < 0) {
		buffer_finish(b, fd);
		return r;
	}
	b->canvas = (struct canvas){b->map, width, height, create.pitch / 4, layout};
	return 0;
}

/* Brings the buffer to the frame; `*ret_damage` is what differs from what it showed. */
static void buffer_draw(
	struct buffer *b, const struct show *show, uint32_t frame, struct rect *ret_damage) {
	if (show->pattern == PATTERN_STATIC) {
		frame = 0;
	}
	if (b->drawn) {
		draw_advance(&b->canvas, show->pattern, show->counter, b->frame, frame, ret_damage);
	} else {
		draw_frame(&b->canvas, show->pattern, show->counter, frame);
		*ret_damage = (struct rect){0, 0, b->canvas.width, b->canvas.height};
	}
	b->frame = frame;
	b->drawn = true;
}

/*
 * Outputs
 */
static const drmModeModeInfo *choose_mode(const struct show *show, const drmModeConnector *c) {
	const drmModeModeInfo *best = NULL;
	for (int i = 0; i < c->count_modes; i++) {
		const drmModeModeInfo *m = &c->modes[i];
		if (show->width && (m->hdisplay != show->width || m->vdisplay != show->height)) {
			continue;
		}
		double off = mode_hz(m) - show->hz;
		if (show->hz && (off < -0.5 || off > 0.5)) {
			continue;
		}
		if (!best || (m->type & ~best->type & DRM_MODE_TYPE_PREFERRED)) {
			best = m;
		}
	}
	return best;
}

bool output_mode_changed(const struct output *o, const drmModeConnector *connector) {
	const drmModeModeInfo *m = choose_mode(o->show, connector);
	return m &&
		(m->hdisplay != o->mode.hdisplay || m->vdisplay != o->mode.vdisplay ||
			m->clock != o->mode.clock);
}

static bool crtc_taken(uint32_t id, const struct output *taken, size_t n) {
	for (size_t i = 0; i < n; i++) {
		if (taken[i].running && taken[i].crtc_id == id) {
			return true;
		}
	}
	return false;
}

/* A CRTC that can feed the connector, its index in `*ret_index`; 0: none is free. */
static uint32_t choose_crtc(int fd, const drmModeRes *res, const drmModeConnector *c,
	const struct output *taken, size_t n_taken, int *ret_index) {
	for (int i = 0; i < c->count_encoders; i++) {
		drmModeEncoder *e = drmModeGetEncoder(fd, c->encoders[i]);
		uint32_t possible = e ? e->possible_crtcs : 0;
		drmModeFreeEncoder(e);
		for (int k = 0; k < res->count_crtcs && k < 32; k++) {
			if (possible >> k & 1 && !crtc_taken(res->crtcs[k], taken, n_taken)) {
				*ret_index = k;
				return res->crtcs[k];
			}
		}
	}
	return 0;
}

static bool is_primary(int fd, uint32_t plane_id) {
	drmModeObjectProperties *props =
		drmModeObjectGetProperties(fd, plane_id, DRM_MODE_OBJECT_PLANE);
	bool primary = false;
	for (uint32_t i = 0; props && i < props->count_props; i++) {
		drmModePropertyRes *prop = drmModeGetProperty(fd, props->props[i]);
		if (prop && strcmp(prop->name, "type") == 0) {
			primary = props->prop_values[i] == DRM_PLANE_TYPE_PRIMARY;
		}
		drmModeFreeProperty(prop);
	}
	drmModeFreeObjectProperties(props);
	return primary;
}

/* Whether the CRTC's primary plane shows the format; -ENOTSUP, with a list of those it does. */
static int check_format(int fd, int crtc_index, uint32_t fourcc, const char *name) {
	drmModePlaneRes *res = drmModeGetPlaneResources(fd);
	int r = 0;
	for (uint32_t i = 0; res && i < res->count_planes; i++) {
		drmModePlane *p = drmModeGetPlane(fd, res->planes[i]);
		if (p && p->possible_crtcs >> crtc_index & 1 && is_primary(fd, p->plane_id)) {
			bool found = false;
			for (uint32_t k = 0; k < p->count_formats; k++) {
				found = found || p->formats[k] == fourcc;
			}
			if (!found) {
				(void)fprintf(
					stderr, "drm-flipper: %s: its plane offers only", name);
				for (uint32_t k = 0; k < p->count_formats; k++) {
					(void)fprintf(
						stderr, " %.4s", (const char *)&p->formats[k]);
				}
				(void)fprintf(stderr, "\n");
				r = -ENOTSUP;
			}
		}
		drmModeFreePlane(p);
	}
	drmModeFreePlaneResources(res);
	return r;
}

static int start_cursor(struct output *o) {
	const struct pixel_layout *argb = pixel_layout_from_string("AR24");
	int r = buffer_init(&o->cursor, o->card->fd, CURSOR_SIZE, CURSOR_SIZE, argb);
	if (r < 0) {
		return r;
	}
	draw_cursor(o->cursor.canvas.pixels, o->cursor.canvas.pitch);
	r = drmModeSetCursor2(o->card->fd, o->crtc_id, o->cursor.handle, CURSOR_SIZE, CURSOR_SIZE,
		(int)CURSOR_HOT, (int)CURSOR_HOT);
	return r < 0 ? -errno : 0;
}

/* From corner to corner and back, a few pixels each frame. */
static void move_cursor(const struct output *o) {
	unsigned w = o->mode.hdisplay, h = o->mode.vdisplay, t = o->frame * 4;
	unsigned x = t % (2 * w), y = t % (2 * h);
	(void)drmModeMoveCursor(o->card->fd, o->crtc_id, (int)(x < w ? x : 2 * w - x),
		(int)(y < h ? y : 2 * h - y));
}

static int set_up(struct output *o) {
	int fd = o->card->fd;
	const struct show *show = o->show;
	for (unsigned i = 0; i < show->n_buffers; i++) {
		int r = buffer_init(
			&o->buffers[i], fd, o->mode.hdisplay, o->mode.vdisplay, show->layout);
		if (r < 0) {
			return r;
		}
	}
	struct rect damage;
	buffer_draw(&o->buffers[0], show, o->frame, &damage);
	o->current = 0;
	if (drmModeSetCrtc(
		    fd, o->crtc_id, o->buffers[0].fb_id, 0, 0, &o->connector_id, 1, &o->mode) < 0) {
		return -errno;
	}
	o->running = true;
	return show->cursor ? start_cursor(o) : 0;
}

int output_start(struct output *o, const drmModeConnector *connector, const struct output *taken,
	size_t n_taken) {
	int fd = o->card->fd, index = 0;
	const drmModeModeInfo *mode = choose_mode(o->show, connector);
	if (!mode) {
		(void)fprintf(stderr, "drm-flipper: %s: no such mode (see --list)\n", o->name);
		return -ENOENT;
	}
	drmModeRes *res = drmModeGetResources(fd);
	uint32_t crtc = res ? choose_crtc(fd, res, connector, taken, n_taken, &index) : 0;
	drmModeFreeResources(res);
	int r = crtc ? check_format(fd, index, o->show->layout->fourcc, o->name) : -EBUSY;
	if (r == -ENOTSUP) {
		return r;
	}
	o->mode = *mode;
	o->connector_id = connector->connector_id;
	o->crtc_id = crtc;
	o->pending = false;
	for (size_t i = 0; i < BUFFERS_MAX; i++) {
		o->buffers[i] = (struct buffer){.map = MAP_FAILED};
	}
	o->cursor = (struct buffer){.map = MAP_FAILED};
	r = r == 0 ? set_up(o) : r;
	if (r < 0) {
		(void)fprintf(stderr, "drm-flipper: %s: %s\n", o->name,
			crtc ? strerror(-r) : "no CRTC is free for it");
		output_stop(o);
		return r;
	}
	o->started_ns = o->next_ns = now_ns();
	printf("%s: %ux%u@%.2f\n", o->name, o->mode.hdisplay, o->mode.vdisplay, mode_hz(&o->mode));
	(void)fflush(stdout);
	return 0;
}

void output_stop(struct output *o) {
	int fd = o->card->fd;
	if (o->running) {
		o->running_ns += now_ns() - o->started_ns;
		if (o->show->cursor) {
			(void)drmModeSetCursor(fd, o->crtc_id, 0, 0, 0);
		}
		(void)drmModeSetCrtc(fd, o->crtc_id, 0, 0, 0, NULL, 0, NULL);
	}
	for (size_t i = 0; o->crtc_id && i < BUFFERS_MAX; i++) {
		buffer_finish(&o->buffers[i], fd);
	}
	if (o->crtc_id) {
		buffer_finish(&o->cursor, fd);
	}
	o->running = o->pending = false;
	o->crtc_id = 0;
}

int output_show_next(struct output *o) {
	const struct show *show = o->show;
	int fd = o->card->fd;
	unsigned next = show->dirty ? 0 : (o->current + 1) % show->n_buffers;
	struct buffer *b = &o->buffers[next];
	struct rect damage;
	int r;

	buffer_draw(b, show, o->frame + 1, &damage);
	if (show->dirty) {
		drmModeClip clip = {(uint16_t)damage.x, (uint16_t)damage.y,
			(uint16_t)(damage.x + damage.width), (uint16_t)(damage.y + damage.height)};
		r = drmModeDirtyFB(fd, b->fb_id, &clip, damage.width ? 1 : 0);
	} else {
		r = drmModePageFlip(fd, o->crtc_id, b->fb_id, DRM_MODE_PAGE_FLIP_EVENT, o);
	}
	if (r < 0) {
		return -errno;
	}
	o->frame++;
	o->current = next;
	if (show->cursor) {
		move_cursor(o);
	}
	if (show->dirty) {
		o->flips++;
	} else {
		o->pending = true;
	}
	return 0;
}

void output_flipped(struct output *o) {
	o->pending = false;
	o->flips++;
}
