/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Access units to a picture in a file: what /screenshot gives. Blocks, for milliseconds to tenths of
 * a second: not for the loop's thread. Not thread-safe.
 */
#ifndef HELIX_BRIDGE_PICTURE_FILE_H
#define HELIX_BRIDGE_PICTURE_FILE_H

#include "source.h"
#include "unit.h"

struct picture_decoder;

enum picture_format {
	PICTURE_JPEG,
	PICTURE_PNG,
};

int picture_decoder_create(struct picture_decoder **ret);
void picture_decoder_destroy(struct picture_decoder *d);
/* The picture of the last unit fed is kept. -EBADMSG: this is not H.264. */
int picture_decoder_feed(struct picture_decoder *d, const struct unit *u);
/*
 * The kept picture as a file, in memory that the caller frees. `cursor` is drawn into it; may be
 * NULL. `quality`: of JPEG, 1 to 100. -ENODATA: there is no picture.
 */
int picture_decoder_write(struct picture_decoder *d, enum picture_format format, unsigned quality,
	const struct cursor *cursor, uint8_t **ret_file, size_t *ret_size);

#endif
