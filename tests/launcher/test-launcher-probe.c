/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is asked of the kernel about a lease, against calls of libdrm that only know one lease. */
#include <stdio.h>
#include <string.h>
#include <virtgpu_drm.h>
#include <xf86drm.h>
#include <xf86drmMode.h>

#include "lease-probe.h"
#include "test.h"
#include "util.h"

#define CONNECTOR   37u
#define CRTC        36u
#define PRIMARY     32u
#define CURSOR      33u
#define PROPERTY    9u
#define OTHER       8u
#define MODES       3
#define OBJECTS_MAX 8

static uint32_t leased[OBJECTS_MAX];
static uint32_t n_leased;
static bool is_lease = true, is_connected = true, is_drawing, has_3d;

static void lease(const uint32_t *objects, uint32_t n) {
	memcpy(leased, objects, n * sizeof(*objects));
	n_leased = n;
}

static bool has(uint32_t id) {
	for (uint32_t i = 0; i < n_leased; i++) {
		if (leased[i] == id) {
			return true;
		}
	}
	return false;
}

drmModeObjectListPtr drmModeGetLease(int fd) {
	if (!is_lease) {
		errno = ENOTTY;
		return NULL;
	}
	drmModeObjectListPtr list = calloc(1, sizeof(*list) + sizeof(leased));
	list->count = n_leased;
	memcpy(list->objects, leased, sizeof(leased));
	return list;
}

void drmFree(void *p) {
	free(p);
}

/* The capability for this was never set: an object that is no plane has no such properties. */
drmModeObjectPropertiesPtr drmModeObjectGetProperties(int fd, uint32_t id, uint32_t type) {
	check_int(type, ==, DRM_MODE_OBJECT_PLANE);
	if (!has(id) || (id != PRIMARY && id != CURSOR)) {
		return NULL;
	}
	drmModeObjectProperties *p = calloc(1, sizeof(*p));
	p->count_props = 2;
	p->props = calloc(2, sizeof(uint32_t));
	p->prop_values = calloc(2, sizeof(uint64_t));
	p->props[0] = OTHER;
	p->prop_values[0] = DRM_PLANE_TYPE_CURSOR;
	p->props[1] = PROPERTY;
	p->prop_values[1] = id == CURSOR ? DRM_PLANE_TYPE_CURSOR : DRM_PLANE_TYPE_PRIMARY;
	return p;
}

void drmModeFreeObjectProperties(drmModeObjectPropertiesPtr p) {
	free(p->props);
	free(p->prop_values);
	free(p);
}

drmModePropertyPtr drmModeGetProperty(int fd, uint32_t id) {
	drmModePropertyRes *p = calloc(1, sizeof(*p));
	(void)snprintf(p->name, sizeof(p->name), "%s", id == PROPERTY ? "type" : "zpos");
	return p;
}

void drmModeFreeProperty(drmModePropertyPtr p) {
	free(p);
}

drmModeResPtr drmModeGetResources(int fd) {
	drmModeRes *r = calloc(1, sizeof(*r));
	r->count_connectors = has(CONNECTOR);
	r->count_crtcs = has(CRTC);
	r->connectors = calloc(1, sizeof(uint32_t));
	r->connectors[0] = CONNECTOR;
	r->crtcs = calloc(1, sizeof(uint32_t));
	r->crtcs[0] = CRTC;
	return r;
}

void drmModeFreeResources(drmModeResPtr r) {
	free(r->connectors);
	free(r->crtcs);
	free(r);
}

drmModeConnectorPtr drmModeGetConnectorCurrent(int fd, uint32_t id) {
	drmModeConnector *c = calloc(1, sizeof(*c));
	check_int(id, ==, CONNECTOR);
	c->connection = is_connected ? DRM_MODE_CONNECTED : DRM_MODE_DISCONNECTED;
	c->count_modes = MODES;
	c->modes = calloc(MODES, sizeof(*c->modes));
	for (uint16_t i = 0; i < MODES; i++) {
		c->modes[i].hdisplay = (uint16_t)(100 * (i + 1));
		c->modes[i].vdisplay = (uint16_t)(10 * (i + 1));
	}
	c->modes[1].type = DRM_MODE_TYPE_PREFERRED;
	return c;
}

void drmModeFreeConnector(drmModeConnectorPtr c) {
	free(c->modes);
	free(c);
}

drmModeCrtcPtr drmModeGetCrtc(int fd, uint32_t id) {
	drmModeCrtc *c = calloc(1, sizeof(*c));
	check_int(id, ==, CRTC);
	c->mode_valid = is_drawing;
	return c;
}

void drmModeFreeCrtc(drmModeCrtcPtr c) {
	free(c);
}

drmVersionPtr drmGetVersion(int fd) {
	drmVersion *v = calloc(1, sizeof(*v));
	v->name = strdup("virtio_gpu");
	return v;
}

void drmFreeVersion(drmVersionPtr v) {
	free(v->name);
	free(v);
}

int drmIoctl(int fd, unsigned long request, void *arg) {
	const struct drm_virtgpu_getparam *param = arg;
	int value = has_3d;
	check(request == DRM_IOCTL_VIRTGPU_GETPARAM);
	check_int(param->param, ==, VIRTGPU_PARAM_3D_FEATURES);
	memcpy((void *)(uintptr_t)param->value, &value, sizeof(value));
	return 0;
}

char *drmGetRenderDeviceNameFromFd(int fd) {
	return strdup("/dev/dri/renderD128");
}

TEST(a_card_that_draws) {
	struct lease_facts f;
	check_ok(lease_probe(0, &f));
	check(!f.has_3d);
	check_str(f.render_node, "");
	has_3d = true;
	check_ok(lease_probe(0, &f));
	check(f.has_3d);
	check_str(f.render_node, "/dev/dri/renderD128");
}

TEST(a_whole_lease) {
	struct lease_facts f;
	lease((const uint32_t[]){CONNECTOR, CRTC, PRIMARY, CURSOR}, 4);
	check_ok(lease_probe(0, &f));
	check_int(f.connectors, ==, 1);
	check_int(f.crtcs, ==, 1);
	check_int(f.primaries, ==, 1);
	check_int(f.cursors, ==, 1);
	check(f.connected);
	check_int(f.width, ==, 200);
	check_int(f.height, ==, 20);
	check_str(f.driver, "virtio_gpu");
	check(!f.drawing);
	is_drawing = true;
	check_ok(lease_probe(0, &f));
	check(f.drawing);
	check(lease_is_alive(0));
}

TEST(planes_that_are_missing) {
	struct lease_facts f;
	lease((const uint32_t[]){CONNECTOR, CRTC, PRIMARY}, 3);
	check_ok(lease_probe(0, &f));
	check_int(f.primaries, ==, 1);
	check_int(f.cursors, ==, 0);
	is_connected = false;
	lease((const uint32_t[]){CONNECTOR, CRTC}, 2);
	check_ok(lease_probe(0, &f));
	check_int(f.primaries, ==, 0);
	check(!f.connected);
	check_int(f.width, ==, 0);
}

TEST(one_that_was_revoked_or_is_none) {
	struct lease_facts f = {.connectors = 77};
	check_ok(lease_probe(0, &f));
	check_int(f.connectors, ==, 0);
	check(!lease_is_alive(0));
	is_lease = false;
	f.connectors = 77;
	check_int(lease_probe(0, &f), ==, -ENOTTY);
	check_int(f.connectors, ==, 77);
	check(!lease_is_alive(0));
}
