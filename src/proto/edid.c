/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bytes.h"
#include "edid.h"
#include "util.h"

/* E-EDID 3.4.1: three letters of five bits, 'A' = 1. "HLX" is not a registered vendor. */
#define VENDOR_ID    ((uint16_t)(('H' - '@') << 10 | ('L' - '@') << 5 | ('X' - '@')))
#define PRODUCT_CODE 1

/* E-EDID 3.10.2: what an 18-byte detailed timing can hold. */
#define DTD_SIZE      18
#define DTD_MAX_SIDE  4095u
#define DTD_MAX_CLOCK 65535u /* units of 10 kHz */
#define DTD_FIRST     54

/* E-EDID 3.10.3, display descriptor tags. */
#define DESCRIPTOR_SERIAL 0xff
#define DESCRIPTOR_NAME   0xfc
#define DESCRIPTOR_DUMMY  0x10
#define DESCRIPTOR_TEXT   13

/* DisplayID 1.3: 2.1 section header, 4.4.1 Type I timing. */
#define DISPLAYID_EXTENSION  0x70
#define DISPLAYID_VERSION    0x13
#define DISPLAYID_TYPE_I     0x03
#define DISPLAYID_PREFERRED  0x88 /* and the aspect ratio is not defined */
#define DISPLAYID_TIMING_LEN 20

/* 96 dots per inch, so that compositors choose scale 1: millimetres of a number of pixels. */
#define PIXELS_TO_MM(px) ((px)*254 / 960)

struct timing {
	uint32_t clock; /* 10 kHz */
	uint32_t hactive, hblank, hsync_offset, hsync_width;
	uint32_t vactive, vblank, vsync_offset, vsync_width;
};

/*
 * Reduced blanking in the manner of VESA CVT 1.2 (RB v2): nothing of this reaches a wire, it only
 * has to give the right refresh rate when the guest divides clock by total.
 */
static struct timing timing_of(const struct edid_monitor *m) {
	struct timing t = {
		.hactive = m->width,
		.hblank = 80,
		.hsync_offset = 8,
		.hsync_width = 32,
		.vactive = m->height,
		.vblank = 23,
		.vsync_offset = 1,
		.vsync_width = 8,
	};
	uint64_t total = (uint64_t)(t.hactive + t.hblank) * (t.vactive + t.vblank);
	t.clock = (uint32_t)((total * m->refresh + 5000) / 10000);
	return t;
}

static bool fits_dtd(const struct timing *t) {
	return t->hactive <= DTD_MAX_SIDE && t->vactive <= DTD_MAX_SIDE &&
		t->clock <= DTD_MAX_CLOCK;
}

/* E-EDID 3.10.2. */
static void write_dtd(const struct timing *t, uint8_t *d) {
	uint32_t mm_x = MIN(PIXELS_TO_MM(t->hactive), 4095u);
	uint32_t mm_y = MIN(PIXELS_TO_MM(t->vactive), 4095u);
	put_le16(d, (uint16_t)t->clock);
	d[2] = (uint8_t)t->hactive;
	d[3] = (uint8_t)t->hblank;
	d[4] = (uint8_t)((t->hactive >> 8) << 4 | t->hblank >> 8);
	d[5] = (uint8_t)t->vactive;
	d[6] = (uint8_t)t->vblank;
	d[7] = (uint8_t)((t->vactive >> 8) << 4 | t->vblank >> 8);
	d[8] = (uint8_t)t->hsync_offset;
	d[9] = (uint8_t)t->hsync_width;
	d[10] = (uint8_t)((t->vsync_offset & 15) << 4 | (t->vsync_width & 15));
	d[11] = 0;
	d[12] = (uint8_t)mm_x;
	d[13] = (uint8_t)mm_y;
	d[14] = (uint8_t)((mm_x >> 8) << 4 | mm_y >> 8);
	d[17] = 0x1a; /* digital separate sync, hsync positive, vsync negative */
}

static void write_text(uint8_t *d, uint8_t tag, const char *text) {
	d[3] = tag;
	if (tag == DESCRIPTOR_DUMMY) {
		return;
	}
	size_t n = MIN(strlen(text), (size_t)DESCRIPTOR_TEXT);
	memset(d + 5, ' ', DESCRIPTOR_TEXT);
	memcpy(d + 5, text, n);
	if (n < DESCRIPTOR_TEXT) {
		d[5 + n] = '\n';
	}
}

static uint8_t checksum(const uint8_t *p, size_t n) {
	uint8_t sum = 0;
	for (size_t i = 0; i < n; i++) {
		sum = (uint8_t)(sum + p[i]);
	}
	return (uint8_t)-sum;
}

static void write_base(const struct edid_monitor *m, const struct timing *t, uint8_t *e) {
	static const uint8_t magic[8] = {0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00};
	memcpy(e, magic, sizeof(magic));
	e[8] = (uint8_t)(VENDOR_ID >> 8);
	e[9] = (uint8_t)VENDOR_ID;
	put_le16(e + 10, PRODUCT_CODE);
	put_le32(e + 12, m->number + 1); /* 0 would mean "no serial number" */
	e[16] = 0;
	e[17] = 2026 - 1990; /* year of manufacture, 3.4.4 */
	e[18] = 1;
	e[19] = 4;
	e[20] = 0xa5; /* digital, 8 bits a colour, DisplayPort (3.6.1): the nearest to no cable */
	uint32_t cm_x = PIXELS_TO_MM(m->width) / 10, cm_y = PIXELS_TO_MM(m->height) / 10;
	if (cm_x <= 255 && cm_y <= 255) {
		e[21] = (uint8_t)MAX(cm_x, 1u);
		e[22] = (uint8_t)MAX(cm_y, 1u);
	}
	e[23] = 120;  /* gamma 2.2 */
	e[24] = 0x06; /* sRGB; the first timing is the native one */
	/* 3.7: chromaticity of sRGB. */
	static const uint8_t srgb[10] = {
		0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54};
	memcpy(e + 25, srgb, sizeof(srgb));
	memset(e + 38, 0x01, 16); /* 3.9: no standard timings */

	char name[DESCRIPTOR_TEXT + 1], serial[DESCRIPTOR_TEXT + 1];
	(void)snprintf(name, sizeof(name), "Helix %u", m->number % 1000);
	(void)snprintf(serial, sizeof(serial), "SCANOUT-%02u", m->number % 1000);
	uint8_t *d = e + DTD_FIRST;
	if (fits_dtd(t)) {
		write_dtd(t, d);
		d += DTD_SIZE;
	}
	write_text(d, DESCRIPTOR_NAME, name);
	write_text(d + DTD_SIZE, DESCRIPTOR_SERIAL, serial);
	for (d += 2 * DTD_SIZE; d < e + 126; d += DTD_SIZE) {
		write_text(d, DESCRIPTOR_DUMMY, "");
	}
}

/* One DisplayID section with one Type I timing. */
static void write_displayid(const struct timing *t, uint8_t *x) {
	x[0] = DISPLAYID_EXTENSION;
	uint8_t *section = x + 1;
	section[0] = DISPLAYID_VERSION;
	section[1] = 3 + DISPLAYID_TIMING_LEN;
	section[2] = 3; /* a display device */
	section[3] = 0; /* no further sections */
	uint8_t *block = section + 4;
	block[0] = DISPLAYID_TYPE_I;
	block[1] = 0;
	block[2] = DISPLAYID_TIMING_LEN;
	uint8_t *d = block + 3;
	uint32_t clock = t->clock - 1;
	put_le16(d, (uint16_t)clock);
	d[2] = (uint8_t)(clock >> 16);
	d[3] = DISPLAYID_PREFERRED;
	put_le16(d + 4, (uint16_t)(t->hactive - 1));
	put_le16(d + 6, (uint16_t)(t->hblank - 1));
	put_le16(d + 8, (uint16_t)((t->hsync_offset - 1) | 0x8000));
	put_le16(d + 10, (uint16_t)(t->hsync_width - 1));
	put_le16(d + 12, (uint16_t)(t->vactive - 1));
	put_le16(d + 14, (uint16_t)(t->vblank - 1));
	put_le16(d + 16, (uint16_t)(t->vsync_offset - 1));
	put_le16(d + 18, (uint16_t)(t->vsync_width - 1));
	size_t covered = 4 + (size_t)section[1];
	section[covered] = checksum(section, covered);
}

bool edid_valid(const struct edid_monitor *m) {
	return m->width >= EDID_MIN_SIDE && m->width <= EDID_MAX_SIDE &&
		m->height >= EDID_MIN_SIDE && m->height <= EDID_MAX_SIDE && m->refresh >= 1 &&
		m->refresh <= EDID_MAX_REFRESH;
}

int edid_write(const struct edid_monitor *m, uint8_t edid[static EDID_MAX_SIZE]) {
	if (!edid_valid(m)) {
		return -EINVAL;
	}
	struct timing t = timing_of(m);
	memset(edid, 0, EDID_MAX_SIZE);
	write_base(m, &t, edid);
	size_t size = EDID_BLOCK_SIZE;
	if (!fits_dtd(&t)) {
		edid[126] = 1;
		write_displayid(&t, edid + EDID_BLOCK_SIZE);
		edid[2 * EDID_BLOCK_SIZE - 1] =
			checksum(edid + EDID_BLOCK_SIZE, EDID_BLOCK_SIZE - 1);
		size = EDID_MAX_SIZE;
	}
	edid[127] = checksum(edid, 127);
	return (int)size;
}
