/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xf86drm.h>
#include <xf86drmMode.h>

#include "fake-libdrm.h"
#include "test.h"

#define CARDS_MAX    4
#define PROPERTY     900u /* "type" */
#define CAP_HOTSPOT  6
#define CONNECTOR_HZ 60

static struct fake_card *cards[CARDS_MAX];

void fake_card_init(struct fake_card *card, unsigned n_outputs, unsigned first_type_id) {
	*card = (struct fake_card){
		.n_outputs = n_outputs, .first_type_id = first_type_id, .next_lessee = 1};
	(void)snprintf(card->path, sizeof(card->path), "/tmp/helix-fake-card-XXXXXX");
	int fd = mkstemp(card->path);
	check(fd >= 0);
	(void)close(fd);
	for (unsigned i = 0; i < n_outputs; i++) {
		/* CRTCs and planes in the opposite order of connectors, and far apart. */
		unsigned j = n_outputs - 1 - i;
		card->outputs[i] = (struct fake_output){.connector = 500 - 3 * i,
			.encoder = 600 + i,
			.crtc = 100 + 7 * j,
			.primary = 300 + 5 * j,
			.cursor = 400 + 2 * j};
	}
	for (int i = 0; i < CARDS_MAX; i++) {
		if (!cards[i]) {
			cards[i] = card;
			return;
		}
	}
	fail("too many cards");
}

void fake_card_finish(struct fake_card *card) {
	(void)unlink(card->path);
	for (int i = 0; i < CARDS_MAX; i++) {
		cards[i] = cards[i] == card ? NULL : cards[i];
	}
}

unsigned fake_card_leases(const struct fake_card *card) {
	unsigned n = 0;
	for (unsigned i = 0; i < FAKE_LEASES_MAX; i++) {
		n += card->leases[i].lessee != 0;
	}
	return n;
}

const struct fake_lease *fake_card_lease_of(const struct fake_card *card, uint32_t connector) {
	for (unsigned i = 0; i < FAKE_LEASES_MAX; i++) {
		if (card->leases[i].lessee && card->leases[i].objects[0] == connector) {
			return &card->leases[i];
		}
	}
	return NULL;
}

static struct fake_card *card_of(int fd) {
	struct stat a, b;
	for (int i = 0; i < CARDS_MAX; i++) {
		if (cards[i] && fstat(fd, &a) == 0 && stat(cards[i]->path, &b) == 0 &&
			a.st_ino == b.st_ino) {
			return cards[i];
		}
	}
	fail("not a descriptor of a card");
}

static void *make(size_t size) {
	void *p = calloc(1, size);
	check(p);
	return p;
}

drmVersionPtr drmGetVersion(int fd) {
	drmVersion *v = make(sizeof(*v));
	(void)card_of(fd);
	v->name = strdup("virtio_gpu");
	return v;
}

void drmFreeVersion(drmVersionPtr v) {
	free(v->name);
	free(v);
}

int drmIsMaster(int fd) {
	return !card_of(fd)->no_master;
}

int drmSetMaster(int fd) {
	errno = EBUSY;
	return card_of(fd)->no_master ? -1 : 0;
}

int drmSetClientCap(int fd, uint64_t capability, uint64_t value) {
	struct fake_card *c = card_of(fd);
	/* As the kernel has it: atomic implies nothing here, hotspots need atomic. */
	if (capability == CAP_HOTSPOT && !(c->caps & 1u << DRM_CLIENT_CAP_ATOMIC)) {
		errno = EINVAL;
		return -1;
	}
	c->caps |= value ? 1u << capability : 0;
	return 0;
}

drmModeResPtr drmModeGetResources(int fd) {
	const struct fake_card *c = card_of(fd);
	drmModeRes *r = make(sizeof(*r));
	r->count_connectors = r->count_crtcs = (int)c->n_outputs;
	r->connectors = make(c->n_outputs * sizeof(uint32_t));
	r->crtcs = make(c->n_outputs * sizeof(uint32_t));
	for (unsigned i = 0; i < c->n_outputs; i++) {
		r->connectors[i] = c->outputs[i].connector;
		r->crtcs[c->n_outputs - 1 - i] = c->outputs[i].crtc;
	}
	return r;
}

void drmModeFreeResources(drmModeResPtr r) {
	if (r) {
		free(r->connectors);
		free(r->crtcs);
		free(r);
	}
}

static const struct fake_output *by_plane(const struct fake_card *c, uint32_t id) {
	for (unsigned i = 0; i < c->n_outputs; i++) {
		if (c->outputs[i].primary == id || c->outputs[i].cursor == id) {
			return &c->outputs[i];
		}
	}
	return NULL;
}

/* Cursors first: the type is in the property and nowhere else. */
drmModePlaneResPtr drmModeGetPlaneResources(int fd) {
	const struct fake_card *c = card_of(fd);
	drmModePlaneRes *r = make(sizeof(*r));
	check(c->caps & 1u << DRM_CLIENT_CAP_UNIVERSAL_PLANES);
	bool hidden = (c->caps & 1u << DRM_CLIENT_CAP_ATOMIC) && !(c->caps & 1u << CAP_HOTSPOT);
	r->planes = make(2 * c->n_outputs * sizeof(uint32_t));
	for (unsigned i = 0; i < c->n_outputs && !hidden; i++) {
		r->planes[r->count_planes++] = c->outputs[i].cursor;
	}
	for (unsigned i = 0; i < c->n_outputs; i++) {
		r->planes[r->count_planes++] = c->outputs[i].primary;
	}
	return r;
}

void drmModeFreePlaneResources(drmModePlaneResPtr r) {
	if (r) {
		free(r->planes);
		free(r);
	}
}

static uint32_t crtc_bit(const struct fake_card *c, const struct fake_output *o) {
	return 1u << (c->n_outputs - 1 - (unsigned)(o - c->outputs));
}

drmModePlanePtr drmModeGetPlane(int fd, uint32_t id) {
	const struct fake_card *c = card_of(fd);
	drmModePlane *p = make(sizeof(*p));
	p->plane_id = id;
	p->possible_crtcs = crtc_bit(c, by_plane(c, id));
	return p;
}

void drmModeFreePlane(drmModePlanePtr p) {
	free(p);
}

drmModeObjectPropertiesPtr drmModeObjectGetProperties(int fd, uint32_t id, uint32_t type) {
	const struct fake_output *o = by_plane(card_of(fd), id);
	drmModeObjectProperties *p = make(sizeof(*p));
	check_int(type, ==, DRM_MODE_OBJECT_PLANE);
	p->count_props = 1;
	p->props = make(sizeof(uint32_t));
	p->prop_values = make(sizeof(uint64_t));
	p->props[0] = PROPERTY;
	p->prop_values[0] = o->cursor == id ? DRM_PLANE_TYPE_CURSOR : DRM_PLANE_TYPE_PRIMARY;
	return p;
}

void drmModeFreeObjectProperties(drmModeObjectPropertiesPtr p) {
	free(p->props);
	free(p->prop_values);
	free(p);
}

drmModePropertyPtr drmModeGetProperty(int fd, uint32_t id) {
	drmModePropertyRes *p = make(sizeof(*p));
	check_int(id, ==, PROPERTY);
	(void)snprintf(p->name, sizeof(p->name), "type");
	return p;
}

void drmModeFreeProperty(drmModePropertyPtr p) {
	free(p);
}

drmModeEncoderPtr drmModeGetEncoder(int fd, uint32_t id) {
	const struct fake_card *c = card_of(fd);
	drmModeEncoder *e = make(sizeof(*e));
	e->possible_crtcs = crtc_bit(c, &c->outputs[id - 600]);
	return e;
}

void drmModeFreeEncoder(drmModeEncoderPtr e) {
	free(e);
}

drmModeConnectorPtr drmModeGetConnectorCurrent(int fd, uint32_t id) {
	const struct fake_card *card = card_of(fd);
	drmModeConnector *c = make(sizeof(*c));
	for (unsigned i = 0; i < card->n_outputs; i++) {
		const struct fake_output *o = &card->outputs[i];
		if (o->connector != id) {
			continue;
		}
		c->connector_id = id;
		c->connector_type = DRM_MODE_CONNECTOR_VIRTUAL;
		c->connector_type_id = card->first_type_id + i;
		c->count_encoders = 1;
		c->encoders = make(sizeof(uint32_t));
		c->encoders[0] = o->encoder;
		c->connection = o->connected ? DRM_MODE_CONNECTED : DRM_MODE_DISCONNECTED;
		c->count_modes = o->connected ? 2 : 0;
		c->modes = make(2 * sizeof(*c->modes));
		c->modes[0] = (drmModeModeInfo){.hdisplay = 320, .vdisplay = 200};
		c->modes[1] = (drmModeModeInfo){.hdisplay = (uint16_t)o->width,
			.vdisplay = (uint16_t)o->height,
			.vrefresh = CONNECTOR_HZ,
			.type = DRM_MODE_TYPE_PREFERRED};
	}
	return c;
}

drmModeConnectorPtr drmModeGetConnector(int fd, uint32_t id) {
	struct fake_card *card = card_of(fd);
	card->probes++;
	card->last_probed = id;
	return drmModeGetConnectorCurrent(fd, id);
}

void drmModeFreeConnector(drmModeConnectorPtr c) {
	if (c) {
		free(c->encoders);
		free(c->modes);
		free(c);
	}
}

const char *drmModeGetConnectorTypeName(uint32_t type) {
	return type == DRM_MODE_CONNECTOR_VIRTUAL ? "Virtual" : NULL;
}

int drmModeCreateLease(int fd, const uint32_t *objects, int n, int flags, uint32_t *ret_lessee) {
	struct fake_card *card = card_of(fd);
	check(flags & O_CLOEXEC);
	/* The kernel's answer to an object that is leased already. */
	if (card->lease_error || fake_card_lease_of(card, objects[0])) {
		errno = card->lease_error ? card->lease_error : EBUSY;
		return -errno;
	}
	for (unsigned i = 0; i < FAKE_LEASES_MAX; i++) {
		struct fake_lease *l = &card->leases[i];
		if (l->lessee == 0) {
			l->lessee = *ret_lessee = card->next_lessee++;
			l->n_objects = n;
			memcpy(l->objects, objects, (size_t)n * sizeof(*objects));
			return open("/dev/null", O_RDWR | O_CLOEXEC);
		}
	}
	fail("too many leases");
}

int drmModeRevokeLease(int fd, uint32_t lessee) {
	struct fake_card *card = card_of(fd);
	for (unsigned i = 0; i < FAKE_LEASES_MAX; i++) {
		if (card->leases[i].lessee == lessee) {
			card->leases[i].lessee = 0;
			return 0;
		}
	}
	errno = ENOENT;
	return -ENOENT;
}

drmModeLesseeListPtr drmModeListLessees(int fd) {
	const struct fake_card *card = card_of(fd);
	drmModeLesseeListRes *list =
		make(sizeof(*list) + FAKE_LEASES_MAX * sizeof(list->lessees[0]));
	for (unsigned i = 0; i < FAKE_LEASES_MAX; i++) {
		if (card->leases[i].lessee) {
			list->lessees[list->count++] = card->leases[i].lessee;
		}
	}
	return list;
}

void drmFree(void *p) {
	free(p);
}
