/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a clipboard holds: a text or a picture, checked, shared by those who serve and send it. Both sides
 * of the bridge are strangers to it, so what comes from either passes clipboard_content_create.
 */
#ifndef HELIX_BRIDGE_CLIPBOARD_CONTENT_H
#define HELIX_BRIDGE_CLIPBOARD_CONTENT_H

#include <stddef.h>
#include <stdint.h>

/* docs/protocol/http.md, section 2.3. */
#define CLIPBOARD_TEXT_MAX  (1u << 20)
#define CLIPBOARD_IMAGE_MAX (8u << 20)
#define CLIPBOARD_SIDE_MAX  16384u /* pixels */
#define CLIPBOARD_AREA_MAX  (64u << 20)

enum clipboard_kind {
	CLIPBOARD_TEXT,  /* UTF-8 without NUL */
	CLIPBOARD_IMAGE, /* PNG */
};

struct clipboard_content {
	unsigned refs;
	enum clipboard_kind kind;
	size_t size;
	uint8_t *data;
};

/*
 * Consumes `data`, which malloc made (NULL if `size` is 0), also if it fails: -EFBIG: too large; -EBADMSG:
 * not what it is said to be. A text ends at its first NUL.
 */
int clipboard_content_create(
	enum clipboard_kind kind, uint8_t *data, size_t size, struct clipboard_content **ret);
struct clipboard_content *clipboard_content_ref(struct clipboard_content *c);
void clipboard_content_unref(struct clipboard_content *c);
size_t clipboard_size_max(enum clipboard_kind kind);

#endif
