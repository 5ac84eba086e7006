/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <virtgpu_drm.h>
#include <xf86drm.h>
#include <xf86drmMode.h>

#include "lease-probe.h"
#include "util.h"

/* DRM_PLANE_TYPE_…; -1 if the object is no plane. */
static int plane_type(int fd, uint32_t id) {
	drmModeObjectProperties *props = drmModeObjectGetProperties(fd, id, DRM_MODE_OBJECT_PLANE);
	int type = -1;
	for (uint32_t i = 0; props && type < 0 && i < props->count_props; i++) {
		drmModePropertyRes *prop = drmModeGetProperty(fd, props->props[i]);
		if (prop && strcmp(prop->name, "type") == 0) {
			type = (int)props->prop_values[i];
		}
		drmModeFreeProperty(prop);
	}
	if (props) {
		drmModeFreeObjectProperties(props);
	}
	return type;
}

/* Not a probe of the hardware: the manager has done that, and it would hold others up. */
static void look_at_connector(int fd, uint32_t id, struct lease_facts *facts) {
	drmModeConnector *c = drmModeGetConnectorCurrent(fd, id);
	if (!c) {
		return;
	}
	for (int i = 0; c->connection == DRM_MODE_CONNECTED && i < c->count_modes; i++) {
		if (i == 0 || (c->modes[i].type & DRM_MODE_TYPE_PREFERRED)) {
			facts->width = c->modes[i].hdisplay;
			facts->height = c->modes[i].vdisplay;
		}
	}
	facts->connected = facts->connected || c->connection == DRM_MODE_CONNECTED;
	drmModeFreeConnector(c);
}

static bool has_mode(int fd, uint32_t id) {
	drmModeCrtc *c = drmModeGetCrtc(fd, id);
	bool valid = c && c->mode_valid;
	if (c) {
		drmModeFreeCrtc(c);
	}
	return valid;
}

/* Others' drivers are not known to lease, and so not asked. */
static bool has_3d(int fd, const char *driver) {
	int value = 0;
	struct drm_virtgpu_getparam param = {
		.param = VIRTGPU_PARAM_3D_FEATURES, .value = (uintptr_t)&value};
	return strcmp(driver, "virtio_gpu") == 0 &&
		drmIoctl(fd, DRM_IOCTL_VIRTGPU_GETPARAM, &param) == 0 && value != 0;
}

int lease_probe(int fd, struct lease_facts *ret) {
	struct lease_facts facts = {0};
	drmModeObjectListPtr objects = drmModeGetLease(fd);
	if (!objects) {
		return errno > 0 ? -errno : -EIO;
	}
	for (uint32_t i = 0; i < objects->count; i++) {
		int type = plane_type(fd, objects->objects[i]);
		facts.primaries += type == DRM_PLANE_TYPE_PRIMARY;
		facts.cursors += type == DRM_PLANE_TYPE_CURSOR;
	}
	drmFree(objects);
	drmModeRes *res = drmModeGetResources(fd);
	if (res) {
		facts.connectors = (unsigned)res->count_connectors;
		facts.crtcs = (unsigned)res->count_crtcs;
		for (int i = 0; i < res->count_connectors; i++) {
			look_at_connector(fd, res->connectors[i], &facts);
		}
		for (int i = 0; i < res->count_crtcs; i++) {
			facts.drawing = facts.drawing || has_mode(fd, res->crtcs[i]);
		}
		drmModeFreeResources(res);
	}
	drmVersion *version = drmGetVersion(fd);
	if (version) {
		(void)snprintf(facts.driver, sizeof(facts.driver), "%s",
			version->name ? version->name : "");
		drmFreeVersion(version);
	}
	facts.has_3d = has_3d(fd, facts.driver);
	char *node = facts.has_3d ? drmGetRenderDeviceNameFromFd(fd) : NULL;
	(void)snprintf(facts.render_node, sizeof(facts.render_node), "%s", node ? node : "");
	free(node);
	*ret = facts;
	return 0;
}

bool lease_is_alive(int fd) {
	drmModeObjectListPtr objects = drmModeGetLease(fd);
	bool alive = objects && objects->count > 0;
	if (objects) {
		drmFree(objects);
	}
	return alive;
}
