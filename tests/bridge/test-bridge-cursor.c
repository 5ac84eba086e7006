/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest's hardware cursor, from its virtio-gpu commands to a viewer's messages. */
#include <stdlib.h>

#include "proto/ws-messages.h"
#include "rig.h"
#include "test.h"
#include "util.h"

#define OK   VIRTIO_GPU_RESP_OK_NODATA
#define SIDE 64u

static struct guest_buffer *make_cursor(struct frontend *fe, uint32_t id) {
	struct guest_buffer *b;
	check_ok(guest_buffer_create(fe, 4 * SIDE * SIDE, GUEST_SCATTERED, &b));
	memset(b->pixels, 0, 4 * SIDE * SIDE);
	/* One opaque pixel, and one half transparent; B, G, R, A, premultiplied. */
	memcpy(b->pixels, "\x10\x20\x30\xff", 4);
	memcpy(b->pixels + 4, "\x00\x40\x80\x80", 4);
	check_int(gpu_resource_create_2d(fe, id, VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM, SIDE, SIDE), ==,
		OK);
	check_int(gpu_resource_attach_backing(fe, id, b->pieces, b->n_pieces), ==, OK);
	check_int(gpu_transfer(fe, id, &(struct virtio_gpu_rect){0, 0, SIDE, SIDE}, 0), ==, OK);
	return b;
}

static struct ws_cursor_image expect_image(struct ws_client *c, const uint8_t **ret_pixels) {
	struct ws_message m;
	struct ws_cursor_image image;
	ws_expect(c, WS_CURSOR_IMAGE, &m, 5000);
	check_int(ws_decode_cursor_image(m.data, m.size, &image, ret_pixels), ==, m.size);
	return image;
}

TEST(shape_and_position) {
	struct exporter e;
	struct rig r;
	struct ws_client c, plain;
	struct ws_message m;
	struct ws_cursor_name name;
	const uint8_t *pixels;
	exporter_start(&e, NULL);
	struct frontend *fe = exporter_start_guest(&e, NULL);
	struct guest_buffer *b = make_cursor(fe, 90);
	check_int(gpu_update_cursor(fe, 0, 90, 100, 50, 3, 4), ==, OK);
	rig_start_on(&r, e.port, 0, NULL);
	check(ws_open(&c, r.port, "/ws/stream", NULL));
	ws_send_init(&c, "\"extensions\":[\"cursor-position\"]");
	struct ws_cursor_image image = expect_image(&c, &pixels);
	check_int(image.x, ==, 100);
	check_int(image.y, ==, 50);
	check_int(image.hot_x, ==, 3);
	check_int(image.hot_y, ==, 4);
	check_int(image.width, ==, SIDE);
	check_int(image.height, ==, SIDE);
	check_int(image.stride, ==, 4 * SIDE);
	check_int(image.fourcc, ==, WS_CURSOR_RGBA);
	/* R, G, B, A, not premultiplied. */
	check_int(memcmp(pixels, "\x30\x20\x10\xff", 4), ==, 0);
	check_int(memcmp(pixels + 4, "\xff\x80\x00\x80", 4), ==, 0);
	check_int(memcmp(pixels + 8, "\0\0\0\0", 4), ==, 0);
	/* Who comes later gets it, too; without the extension shapes only. */
	check(ws_open(&plain, r.port, "/ws/stream", NULL));
	ws_send_init(&plain, NULL);
	image = expect_image(&plain, &pixels);
	check_int(image.bitmap_size, ==, 16 + 4 * SIDE * SIDE);
	check_int(gpu_move_cursor(fe, 0, 300, 200), ==, OK);
	image = expect_image(&c, &pixels);
	check_int(image.bitmap_size, ==, 0);
	check_int(image.x, ==, 300);
	check_int(image.y, ==, 200);
	check_int(gpu_update_cursor(fe, 0, 0, 0, 0, 0, 0), ==, OK);
	ws_expect(&c, WS_CURSOR_NAME, &m, 5000);
	check_int(ws_decode_cursor_name(m.data, m.size, &name), ==, m.size);
	check_str(name.name, "none");
	do { /* the first one that `plain` gets behind its shape */
		check(ws_receive(&plain, &m, 5000));
		check(m.opcode != OP_BINARY || m.data[0] != WS_CURSOR_IMAGE);
	} while (m.opcode != OP_BINARY || m.data[0] != WS_CURSOR_NAME);
	ws_close(&c);
	ws_close(&plain);
	rig_stop(&r);
	guest_buffer_destroy(b);
	frontend_destroy(fe);
	exporter_stop(&e);
}
