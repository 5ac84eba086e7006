/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <xf86drm.h>
#include <xf86drmMode.h>

#include "card.h"
#include "log.h"
#include "util.h"

LOG_MODULE("card");

/* Newer than Debian 12's libdrm. */
#ifndef DRM_CLIENT_CAP_CURSOR_PLANE_HOTSPOT
#define DRM_CLIENT_CAP_CURSOR_PLANE_HOTSPOT 6
#endif

/* What is already part of an output. */
struct taken {
	uint32_t crtcs;                            /* by index */
	uint32_t planes[2 * CARD_OUTPUTS_MAX + 1]; /* ids */
	size_t n_planes;
};

static bool is_driver(int fd, const char *driver) {
	drmVersion *version = drmGetVersion(fd);
	bool same = version && version->name && strcmp(version->name, driver) == 0;
	drmFreeVersion(version);
	return same;
}

/*
 * In this order: the third is refused before the second, and with the second but without the third
 * a driver of virtual machines hides its cursor planes. Kernels before 6.6 know no third.
 */
static int set_capabilities(int fd) {
	if (drmSetClientCap(fd, DRM_CLIENT_CAP_UNIVERSAL_PLANES, 1) < 0) {
		return -errno;
	}
	if (drmSetClientCap(fd, DRM_CLIENT_CAP_ATOMIC, 1) < 0) {
		return -errno;
	}
	(void)drmSetClientCap(fd, DRM_CLIENT_CAP_CURSOR_PLANE_HOTSPOT, 1);
	return 0;
}

/* DRM_PLANE_TYPE_…; -1 if it has no such property. */
static int plane_type(int fd, uint32_t plane) {
	drmModeObjectProperties *props =
		drmModeObjectGetProperties(fd, plane, DRM_MODE_OBJECT_PLANE);
	int type = -1;
	for (uint32_t i = 0; props && type < 0 && i < props->count_props; i++) {
		drmModePropertyRes *prop = drmModeGetProperty(fd, props->props[i]);
		if (prop && strcmp(prop->name, "type") == 0) {
			type = (int)props->prop_values[i];
		}
		drmModeFreeProperty(prop);
	}
	drmModeFreeObjectProperties(props);
	return type;
}

static bool is_taken(const struct taken *taken, uint32_t plane) {
	for (size_t i = 0; i < taken->n_planes; i++) {
		if (taken->planes[i] == plane) {
			return true;
		}
	}
	return false;
}

/* The first free plane of that type which can be on the CRTC; 0: none. */
static uint32_t find_plane(
	int fd, const drmModePlaneRes *planes, struct taken *taken, int crtc_index, int type) {
	for (uint32_t i = 0; i < planes->count_planes; i++) {
		uint32_t id = planes->planes[i];
		if (is_taken(taken, id)) {
			continue;
		}
		drmModePlane *plane = drmModeGetPlane(fd, id);
		bool fits = plane && (plane->possible_crtcs & 1u << crtc_index) &&
			plane_type(fd, id) == type;
		drmModeFreePlane(plane);
		if (fits && taken->n_planes < ARRAY_SIZE(taken->planes)) {
			taken->planes[taken->n_planes++] = id;
			return id;
		}
	}
	return 0;
}

/* The first free CRTC that one of the connector's encoders can drive; -1: none. */
static int find_crtc(int fd, const drmModeRes *res, const drmModeConnector *connector,
	const struct taken *taken) {
	uint32_t possible = 0;
	for (int i = 0; i < connector->count_encoders; i++) {
		drmModeEncoder *encoder = drmModeGetEncoder(fd, connector->encoders[i]);
		possible |= encoder ? encoder->possible_crtcs : 0;
		drmModeFreeEncoder(encoder);
	}
	possible &= ~taken->crtcs;
	for (int i = 0; i < MIN(res->count_crtcs, 32); i++) {
		if (possible & 1u << i) {
			return i;
		}
	}
	return -1;
}

static int add_output(struct card *card, const drmModeRes *res, const drmModePlaneRes *planes,
	uint32_t connector_id, struct taken *taken) {
	/* Not a probe: that would ask all connectors of the card. */
	drmModeConnector *connector = drmModeGetConnectorCurrent(card->fd, connector_id);
	if (!connector) {
		return -errno;
	}
	struct card_output *o = &card->outputs[card->n_outputs];
	int crtc = find_crtc(card->fd, res, connector, taken);
	*o = (struct card_output){.connector_id = connector_id};
	const char *type = drmModeGetConnectorTypeName(connector->connector_type);
	(void)snprintf(o->name, sizeof(o->name), "%s-%u", type ? type : "Unknown",
		connector->connector_type_id);
	drmModeFreeConnector(connector);
	if (crtc < 0) {
		log_err("%s: %s has no CRTC of its own", card->path, o->name);
		return -ENODEV;
	}
	taken->crtcs |= 1u << crtc;
	o->crtc_id = res->crtcs[crtc];
	o->primary_id = find_plane(card->fd, planes, taken, crtc, DRM_PLANE_TYPE_PRIMARY);
	if (o->primary_id == 0) {
		log_err("%s: %s has no primary plane of its own", card->path, o->name);
		return -ENODEV;
	}
	o->cursor_id = find_plane(card->fd, planes, taken, crtc, DRM_PLANE_TYPE_CURSOR);
	if (o->cursor_id == 0) {
		log_warn("%s: %s has no cursor plane", card->path, o->name);
	}
	card->n_outputs++;
	return 0;
}

static int enumerate(struct card *card) {
	struct taken taken = {0};
	drmModeRes *res = drmModeGetResources(card->fd);
	if (!res) {
		return errno == EOPNOTSUPP || errno == EINVAL ? -ENODEV : -errno;
	}
	drmModePlaneRes *planes = drmModeGetPlaneResources(card->fd);
	int r = planes ? 0 : -errno;
	card->n_outputs = 0;
	for (int i = 0; r == 0 && i < MIN(res->count_connectors, (int)CARD_OUTPUTS_MAX); i++) {
		r = add_output(card, res, planes, res->connectors[i], &taken);
	}
	drmModeFreePlaneResources(planes);
	drmModeFreeResources(res);
	return r == 0 && card->n_outputs == 0 ? -ENODEV : r;
}

static int set_up(struct card *card, const char *path) {
	struct stat st;
	(void)snprintf(card->path, sizeof(card->path), "%s", path);
	if (fstat(card->fd, &st) < 0) {
		return -errno;
	}
	card->minor = minor(st.st_rdev);
	/* Whoever opens a card first is its master from then on. */
	if (!drmIsMaster(card->fd) && drmSetMaster(card->fd) < 0) {
		return errno == EINVAL ? -EBUSY : -errno;
	}
	int r = set_capabilities(card->fd);
	return r < 0 ? r : enumerate(card);
}

int card_open(struct card *card, const char *path, const char *driver) {
	*card = (struct card){.fd = open(path, O_RDWR | O_CLOEXEC)};
	if (card->fd < 0) {
		return -errno;
	}
	int r = driver && !is_driver(card->fd, driver) ? -ENODEV : set_up(card, path);
	if (r < 0) {
		card_close(card);
	}
	return r;
}

int card_adopt(struct card *card, const char *path, int fd) {
	*card = (struct card){.fd = fd};
	int r = set_up(card, path);
	if (r < 0) {
		card_close(card);
	}
	return r;
}

void card_close(struct card *card) {
	card->fd = close_fd(card->fd);
}

int card_probe(const struct card *card, unsigned output, struct card_mode *ret) {
	drmModeConnector *c = drmModeGetConnector(card->fd, card->outputs[output].connector_id);
	if (!c) {
		return -errno;
	}
	const drmModeModeInfo *best = NULL;
	for (int i = 0; i < c->count_modes && !best; i++) {
		best = c->modes[i].type & DRM_MODE_TYPE_PREFERRED ? &c->modes[i] : NULL;
	}
	if (!best && c->count_modes > 0) {
		best = &c->modes[0];
	}
	*ret = (struct card_mode){
		.connected = c->connection == DRM_MODE_CONNECTED,
		.width = best ? best->hdisplay : 0,
		.height = best ? best->vdisplay : 0,
		.refresh = best ? best->vrefresh : 0,
	};
	drmModeFreeConnector(c);
	return 0;
}

int card_lease(const struct card *card, unsigned output, uint32_t *ret_lessee) {
	const struct card_output *o = &card->outputs[output];
	uint32_t objects[] = {o->connector_id, o->crtc_id, o->primary_id, o->cursor_id};
	int n = o->cursor_id ? 4 : 3;
	int fd = drmModeCreateLease(card->fd, objects, n, O_CLOEXEC, ret_lessee);
	return fd < 0 ? -errno : fd;
}

int card_revoke(const struct card *card, uint32_t lessee) {
	int r = drmModeRevokeLease(card->fd, lessee);
	/* It goes by itself with the last descriptor of the lease. */
	return r == 0 || errno == ENOENT ? 0 : -errno;
}

int card_list_lessees(const struct card *card, uint32_t ret[CARD_LESSEES_MAX]) {
	drmModeLesseeListRes *list = drmModeListLessees(card->fd);
	if (!list) {
		return -errno;
	}
	int n = (int)MIN(list->count, CARD_LESSEES_MAX);
	memcpy(ret, list->lessees, (size_t)n * sizeof(*ret));
	drmFree(list);
	return n;
}
