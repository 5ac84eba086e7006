/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes the seeds of fuzz-vhost-user and fuzz-virtio-gpu: sessions and command streams as a real
 * driver makes them, in the scripts that those programs read. `make-device-corpus DIR` fills
 * DIR/vhost-user and DIR/virtio-gpu, which must exist.
 */
#include <linux/virtio_gpu.h>
#include <linux/virtio_ring.h>
#include <stdio.h>
#include <string.h>

#include "bytes.h"
#include "util.h"
#include "vhost-user.h"

#define XRGB 2u /* VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM */

struct out {
	uint8_t bytes[65536];
	size_t size;
};

static void put(struct out *o, const void *p, size_t size) {
	if (size > 0 && o->size + size <= sizeof(o->bytes)) {
		memcpy(o->bytes + o->size, p, size);
		o->size += size;
	}
}

static void put_number(struct out *o, uint64_t v, unsigned bytes) {
	uint8_t b[8];
	put_le64(b, v);
	put(o, b, bytes);
}

static int save(const struct out *o, const char *dir, const char *kind, const char *name) {
	char path[4096];
	(void)snprintf(path, sizeof(path), "%s/%s/seed-%s", dir, kind, name);
	FILE *file = fopen(path, "we");
	if (!file) {
		perror(path);
		return -1;
	}
	size_t n = fwrite(o->bytes, 1, o->size, file);
	return fclose(file) == 0 && n == o->size ? 0 : -1;
}

/* Commands of fuzz-virtio-gpu. */

static void command(struct out *o, unsigned how, const void *request, size_t size) {
	put_number(o, how, 1);
	put_number(o, size, 2);
	put(o, request, size);
}

static struct virtio_gpu_ctrl_hdr header(uint32_t type, bool fenced) {
	return (struct virtio_gpu_ctrl_hdr){
		.type = type, .flags = fenced ? VIRTIO_GPU_FLAG_FENCE : 0, .fence_id = fenced};
}

static void create(struct out *o, unsigned how, uint32_t id, uint32_t w, uint32_t h) {
	struct virtio_gpu_resource_create_2d c = {
		.hdr = header(VIRTIO_GPU_CMD_RESOURCE_CREATE_2D, 0),
		.resource_id = id,
		.format = XRGB,
		.width = w,
		.height = h};
	command(o, how, &c, sizeof(c));
}

static void attach(struct out *o, unsigned how, uint32_t id, uint32_t pages, uint32_t odd) {
	struct {
		struct virtio_gpu_resource_attach_backing c;
		struct virtio_gpu_mem_entry e[16];
	} m = {.c = {.hdr = header(VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING, 0),
		       .resource_id = id,
		       .nr_entries = pages}};
	for (uint32_t i = 0; i < pages && i < 16; i++) {
		m.e[i] = (struct virtio_gpu_mem_entry){
			0x100000 + 0x2000 * i % 0x20000 + odd, 4096 - odd, 0};
	}
	command(o, how, &m, sizeof(m.c) + MIN(pages, 16u) * sizeof(m.e[0]));
}

static void simple(struct out *o, unsigned how, uint32_t type, uint32_t id) {
	struct virtio_gpu_resource_unref c = {.hdr = header(type, 0), .resource_id = id};
	command(o, how, &c, sizeof(c));
}

static void show(struct out *o, unsigned how, uint32_t scanout, uint32_t id, uint32_t w, uint32_t h,
	bool fenced) {
	const struct virtio_gpu_rect r = {0, 0, w, h};
	struct virtio_gpu_set_scanout set = {.hdr = header(VIRTIO_GPU_CMD_SET_SCANOUT, 0),
		.r = r,
		.scanout_id = scanout,
		.resource_id = id};
	struct virtio_gpu_transfer_to_host_2d transfer = {
		.hdr = header(VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D, 0), .r = r, .resource_id = id};
	struct virtio_gpu_resource_flush flush = {
		.hdr = header(VIRTIO_GPU_CMD_RESOURCE_FLUSH, fenced), .r = r, .resource_id = id};
	command(o, how, &set, sizeof(set));
	command(o, how, &transfer, sizeof(transfer));
	command(o, how, &flush, sizeof(flush));
}

static void cursor(struct out *o, uint32_t type, uint32_t id) {
	struct virtio_gpu_update_cursor c = {.hdr = header(type, 0),
		.pos = {.scanout_id = 0, .x = 10, .y = 20},
		.resource_id = id,
		.hot_x = 1,
		.hot_y = 2};
	command(o, 0x31, &c, sizeof(c));
}

static void blob(struct out *o, unsigned how, uint32_t id) {
	struct {
		struct virtio_gpu_resource_create_blob c;
		struct virtio_gpu_mem_entry e[4];
	} m = {.c = {.hdr = header(VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB, 0),
		       .resource_id = id,
		       .blob_mem = VIRTIO_GPU_BLOB_MEM_GUEST,
		       .nr_entries = 4,
		       .size = 16384}};
	for (uint32_t i = 0; i < 4; i++) {
		m.e[i] = (struct virtio_gpu_mem_entry){0x100000 + 0x2000 * i, 4096, 0};
	}
	command(o, how, &m, sizeof(m));
	struct virtio_gpu_set_scanout_blob set = {.hdr = header(VIRTIO_GPU_CMD_SET_SCANOUT_BLOB, 0),
		.r = {0, 0, 32, 32},
		.resource_id = id,
		.width = 32,
		.height = 32,
		.format = XRGB,
		.strides = {256},
		.offsets = {4096}};
	command(o, how, &set, sizeof(set));
	struct virtio_gpu_resource_flush flush = {.hdr = header(VIRTIO_GPU_CMD_RESOURCE_FLUSH, 1),
		.r = {0, 0, 32, 32},
		.resource_id = id};
	command(o, how, &flush, sizeof(flush));
}

static void queries(struct out *o, unsigned how) {
	struct virtio_gpu_ctrl_hdr info = header(VIRTIO_GPU_CMD_GET_DISPLAY_INFO, 1);
	struct virtio_gpu_cmd_get_edid edid = {
		.hdr = header(VIRTIO_GPU_CMD_GET_EDID, 0), .scanout = 0};
	command(o, how | 0x10, &info, sizeof(info));
	command(o, how | 0x20, &edid, sizeof(edid));
}

static void life(struct out *o, unsigned how, uint32_t odd) {
	create(o, how, 1, 64, 64);
	attach(o, how, 1, 8, odd);
	show(o, how, 0, 1, 64, 64, true);
	show(o, how, 1, 1, 32, 32, false);
	put_number(o, 0x86, 1);
	put_number(o, odd & 1, 1);
	create(o, how, 2, 64, 64);
	attach(o, how, 2, 8, 0);
	cursor(o, VIRTIO_GPU_CMD_UPDATE_CURSOR, 2);
	cursor(o, VIRTIO_GPU_CMD_MOVE_CURSOR, 0);
	simple(o, how, VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING, 1);
	simple(o, how, VIRTIO_GPU_CMD_RESOURCE_UNREF, 1);
	put_number(o, 0x87, 1);
	put_number(o, 0x82, 1);
	create(o, how, 1, 16, 16);
}

static int write_gpu_seeds(const char *dir) {
	static struct out o;
	int r = 0;
	for (unsigned i = 0; i < 12; i++) {
		/* Features, captures, shapes of chains, odd pieces. */
		unsigned how = (i % 4) << 1 | (i & 4 ? 8 : 0);
		char name[32];
		o.size = 0;
		put_number(&o, (i % 4) | (i & 1 ? 4 : 0) | 0xf0, 1);
		queries(&o, how);
		life(&o, how, i % 3 * 17);
		if (i % 3 == 0) {
			blob(&o, how, 9);
			simple(&o, how, VIRTIO_GPU_CMD_RESOURCE_UNREF, 9);
		}
		if (i % 4 == 3) {
			put_number(&o, 0x84, 1);
			life(&o, how, 0);
			put_number(&o, 0x83, 1);
		}
		(void)snprintf(name, sizeof(name), "commands-%02u", i);
		r |= save(&o, dir, "virtio-gpu", name);
	}
	/* A ring written by hand: one good chain, and a loop. */
	const struct vring_desc chain[2] = {
		{0x8000, 24, VRING_DESC_F_NEXT, 1}, {0xa000, 408, VRING_DESC_F_WRITE, 0}};
	const struct vring_desc loop[1] = {{0x8000, 24, VRING_DESC_F_NEXT, 0}};
	struct virtio_gpu_ctrl_hdr info = header(VIRTIO_GPU_CMD_GET_DISPLAY_INFO, 0);
	o.size = 0;
	put_number(&o, 3, 1);
	for (unsigned i = 0; i < 3; i++) {
		const void *parts[3] = {chain, &info, loop};
		const size_t sizes[3] = {sizeof(chain), sizeof(info), sizeof(loop)};
		const uint32_t at[3] = {0, 0x8000, 0};
		put_number(&o, 0x80, 1);
		put_number(&o, at[i], 3);
		put_number(&o, sizes[i], 2);
		put(&o, parts[i], sizes[i]);
		if (i > 0) {
			put_number(&o, 0x81, 1);
			put_number(&o, 0, 2);
		}
	}
	put_number(&o, 0x85, 1);
	put_number(&o, 100, 2);
	return r | save(&o, dir, "virtio-gpu", "rings");
}

/* Messages of fuzz-vhost-user. Kinds of fds: 0 memory, 1 and 2 kicks, 3 another eventfd. */

static void message(struct out *o, uint32_t request, unsigned how, const uint8_t *kinds,
	const void *payload, size_t size) {
	put_number(o, request, 1);
	put_number(o, how, 1);
	put(o, kinds, how & 15);
	put_number(o, size, 2);
	put(o, payload, size);
}

static void message_u64(struct out *o, uint32_t request, unsigned how, uint8_t kind, uint64_t v) {
	message(o, request, how, &kind, &v, sizeof(v));
}

static void state(struct out *o, uint32_t request, unsigned how, uint32_t index, uint32_t num) {
	struct vhost_user_vring_state s = {index, num};
	message(o, request, how, NULL, &s, sizeof(s));
}

static void handshake(struct out *o) {
	message(o, VHOST_USER_GET_FEATURES, 0, NULL, NULL, 0);
	message(o, VHOST_USER_GET_PROTOCOL_FEATURES, 0, NULL, NULL, 0);
	message_u64(o, VHOST_USER_SET_PROTOCOL_FEATURES, 0, 0, 0x2209);
	message(o, VHOST_USER_GET_QUEUE_NUM, 0, NULL, NULL, 0);
	message(o, VHOST_USER_SET_OWNER, 0, NULL, NULL, 0);
	for (uint64_t i = 0; i < 2; i++) {
		message_u64(o, VHOST_USER_SET_VRING_CALL, 1, 3, i);
		message_u64(o, VHOST_USER_SET_VRING_ERR, 1, 3, i);
	}
	message(o, VHOST_USER_RESET_DEVICE, 0, NULL, NULL, 0);
}

static void start(struct out *o, uint64_t features) {
	static const uint8_t kinds[2] = {0, 0};
	message(o, VHOST_USER_GPU_SET_SOCKET, 1, (const uint8_t[]){6}, NULL, 0);
	message_u64(o, VHOST_USER_SET_FEATURES, 0, 0, features);
	struct vhost_user_memory_table table = {.n_regions = 2,
		.regions = {
			{0, 0x20000, 0x7000000000, 0}, {0x100000, 0x20000, 0x7000020000, 0x20000}}};
	message(o, VHOST_USER_SET_MEM_TABLE, 0x12, kinds, &table, 8 + 2 * sizeof(table.regions[0]));
	for (uint32_t i = 0; i < 2; i++) {
		uint64_t at = 0x7000000000 + 0x2000ull * i;
		struct vhost_user_vring_addr addr = {.index = i,
			.descriptor = at,
			.available = at + 0x1000,
			.used = at + 0x1800};
		state(o, VHOST_USER_SET_VRING_NUM, 0, i, 64);
		state(o, VHOST_USER_SET_VRING_BASE, 0, i, 0);
		message(o, VHOST_USER_SET_VRING_ADDR, 0, NULL, &addr, sizeof(addr));
		message_u64(o, VHOST_USER_SET_VRING_KICK, 1, (uint8_t)(1 + i), i);
		message_u64(o, VHOST_USER_SET_VRING_CALL, 1, 3, i);
	}
	state(o, VHOST_USER_SET_VRING_ENABLE, 0x10, 0, 1);
	state(o, VHOST_USER_SET_VRING_ENABLE, 0x10, 1, 1);
}

static void memory(struct out *o, uint32_t at, const void *p, size_t size) {
	put_number(o, 0x80, 1);
	put_number(o, at, 3);
	put_number(o, size, 2);
	put(o, p, size);
}

/* One command on ring 0 by hand. */
static void kick_command(struct out *o) {
	const struct vring_desc chain[2] = {
		{0x8000, 24, VRING_DESC_F_NEXT, 1}, {0xa000, 408, VRING_DESC_F_WRITE, 0}};
	struct virtio_gpu_ctrl_hdr info = header(VIRTIO_GPU_CMD_GET_DISPLAY_INFO, 0);
	const uint16_t avail[3] = {0, 1, 0};
	memory(o, 0, chain, sizeof(chain));
	memory(o, 0x8000, &info, sizeof(info));
	memory(o, 0x1000, avail, sizeof(avail));
	put_number(o, 0x81, 1);
}

static void stop(struct out *o) {
	for (uint32_t i = 0; i < 2; i++) {
		state(o, VHOST_USER_SET_VRING_ENABLE, 0x10, i, 0);
	}
	for (uint32_t i = 0; i < 2; i++) {
		state(o, VHOST_USER_GET_VRING_BASE, 0, i, 0);
	}
}

static int write_vhost_seeds(const char *dir) {
	static struct out o;
	struct {
		struct vhost_user_config c;
		struct virtio_gpu_config config;
	} get = {{0, sizeof(get.config), 0}, {0}};
	int r = 0;
	for (unsigned i = 0; i < 8; i++) {
		char name[32];
		o.size = 0;
		handshake(&o);
		message(&o, VHOST_USER_GET_CONFIG, 0, NULL, &get, sizeof(get));
		if (i > 0) {
			start(&o, UINT64_C(0x140000000) | (uint64_t)(i & 3) << 28 | (i & 1) << 1);
			kick_command(&o);
		}
		if (i > 2) {
			stop(&o);
		}
		if (i > 3) {
			start(&o, UINT64_C(0x140000000));
			kick_command(&o);
		}
		if (i > 5) {
			message(&o, VHOST_USER_RESET_DEVICE, 0, NULL, NULL, 0);
			put_number(&o, 0x85, 1);
			handshake(&o);
		}
		(void)snprintf(name, sizeof(name), "session-%u", i);
		r |= save(&o, dir, "vhost-user", name);
	}
	/* fds where none belong, a message in two parts, a flood of lies. */
	o.size = 0;
	handshake(&o);
	message(&o, VHOST_USER_SET_OWNER, 8, (const uint8_t[]){0, 1, 2, 3, 4, 5, 6, 7}, NULL, 0);
	message(&o, VHOST_USER_GET_FEATURES, 0x40, NULL, NULL, 0);
	put_number(&o, 0x83, 1);
	put_number(&o, 4, 2);
	put_number(&o, 1, 4);
	return r | save(&o, dir, "vhost-user", "odd");
}

int main(int argc, char *argv[]) {
	if (argc != 2) {
		fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
		return 2;
	}
	return write_gpu_seeds(argv[1]) | write_vhost_seeds(argv[1]) ? 1 : 0;
}
