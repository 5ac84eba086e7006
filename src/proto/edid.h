/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes the EDID of a virtual monitor: one preferred timing of exactly the size and refresh asked
 * for, a name and a serial number that say which scanout it is. Sources: VESA E-EDID Standard
 * Release A2 (EDID 1.4), VESA DisplayID 1.3 for timings that EDID cannot hold.
 */
#ifndef HELIX_PROTO_EDID_H
#define HELIX_PROTO_EDID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EDID_BLOCK_SIZE 128u
#define EDID_MAX_SIZE   (2 * EDID_BLOCK_SIZE) /* base block, and a DisplayID extension if needed */

/* Largest side of a mode; also what the Linux driver accepts (XRES_MAX, YRES_MAX). */
#define EDID_MAX_SIDE    8192u
#define EDID_MIN_SIDE    16u
#define EDID_MAX_REFRESH 1000u

struct edid_monitor {
	uint32_t width, height; /* pixels, EDID_MIN_SIDE … EDID_MAX_SIDE */
	uint32_t refresh;       /* Hz, 1 … EDID_MAX_REFRESH */
	uint32_t number;        /* of the scanout: in name and serial number */
};

/* Within the bounds above. */
bool edid_valid(const struct edid_monitor *monitor);

/* Writes one or two blocks and returns their size; -EINVAL for a monitor out of bounds. */
int edid_write(const struct edid_monitor *monitor, uint8_t edid[static EDID_MAX_SIZE]);

#endif
