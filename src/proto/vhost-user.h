/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The vhost-user protocol as a GPU back end needs it, and the vhost-user-gpu side channel.
 * Sources: QEMU's docs/interop/vhost-user.rst and docs/interop/vhost-user-gpu.rst; section names
 * below are theirs. Integers are in host byte order: both ends are on one machine.
 */
#ifndef HELIX_PROTO_VHOST_USER_H
#define HELIX_PROTO_VHOST_USER_H

#include <stdint.h>

/* "Message Specification", "Header": request, flags, size; then `size` bytes of payload. */
struct vhost_user_header {
	uint32_t request;
	uint32_t flags;
	uint32_t size;
};

#define VHOST_USER_VERSION         0x1u
#define VHOST_USER_VERSION_MASK    0x3u
#define VHOST_USER_FLAG_REPLY      (1u << 2)
#define VHOST_USER_FLAG_NEED_REPLY (1u << 3)

/* Our own bounds. The largest message of those below is a memory table of 8 regions (264 bytes). */
#define VHOST_USER_PAYLOAD_MAX 1024u
#define VHOST_USER_FDS_MAX     8u /* "SET_MEM_TABLE": VHOST_MEMORY_BASELINE_NREGIONS */

/* "Front-end message types". */
enum vhost_user_request {
	VHOST_USER_GET_FEATURES = 1,
	VHOST_USER_SET_FEATURES = 2,
	VHOST_USER_SET_OWNER = 3,
	VHOST_USER_RESET_OWNER = 4,
	VHOST_USER_SET_MEM_TABLE = 5,
	VHOST_USER_SET_LOG_BASE = 6,
	VHOST_USER_SET_LOG_FD = 7,
	VHOST_USER_SET_VRING_NUM = 8,
	VHOST_USER_SET_VRING_ADDR = 9,
	VHOST_USER_SET_VRING_BASE = 10,
	VHOST_USER_GET_VRING_BASE = 11,
	VHOST_USER_SET_VRING_KICK = 12,
	VHOST_USER_SET_VRING_CALL = 13,
	VHOST_USER_SET_VRING_ERR = 14,
	VHOST_USER_GET_PROTOCOL_FEATURES = 15,
	VHOST_USER_SET_PROTOCOL_FEATURES = 16,
	VHOST_USER_GET_QUEUE_NUM = 17,
	VHOST_USER_SET_VRING_ENABLE = 18,
	VHOST_USER_SET_BACKEND_REQ_FD = 21,
	VHOST_USER_GET_CONFIG = 24,
	VHOST_USER_SET_CONFIG = 25,
	VHOST_USER_GPU_SET_SOCKET = 33,
	VHOST_USER_RESET_DEVICE = 34,
	VHOST_USER_GET_MAX_MEM_SLOTS = 36,
	VHOST_USER_ADD_MEM_REG = 37,
	VHOST_USER_REM_MEM_REG = 38,
	VHOST_USER_SET_STATUS = 39,
	VHOST_USER_GET_STATUS = 40,
};

/* Bit of GET_FEATURES, beside the virtio ones ("Feature negotiation"). */
#define VHOST_USER_F_PROTOCOL_FEATURES 30

/* Bits of GET_PROTOCOL_FEATURES ("Protocol features"). */
enum vhost_user_protocol_feature {
	VHOST_USER_PROTOCOL_F_MQ = 0,
	VHOST_USER_PROTOCOL_F_REPLY_ACK = 3,
	VHOST_USER_PROTOCOL_F_BACKEND_REQ = 5,
	VHOST_USER_PROTOCOL_F_CONFIG = 9,
	VHOST_USER_PROTOCOL_F_RESET_DEVICE = 13,
	VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS = 15,
	VHOST_USER_PROTOCOL_F_STATUS = 16,
};

/* "Memory region description". An fd accompanies each region. */
struct vhost_user_memory_region {
	uint64_t guest_address; /* guest physical */
	uint64_t size;
	uint64_t user_address; /* of the front end: SET_VRING_ADDR speaks in these */
	uint64_t mmap_offset;  /* of the region's first byte in its fd */
};

struct vhost_user_memory_table {
	uint32_t n_regions;
	uint32_t padding;
	struct vhost_user_memory_region regions[VHOST_USER_FDS_MAX];
};

/* "Single memory region description": ADD_MEM_REG, REM_MEM_REG. */
struct vhost_user_single_region {
	uint64_t padding;
	struct vhost_user_memory_region region;
};

/* "A vring state description": SET_VRING_NUM, SET_VRING_BASE, GET_VRING_BASE, SET_VRING_ENABLE. */
struct vhost_user_vring_state {
	uint32_t index;
	uint32_t num;
};

/* "A vring address description". Addresses are the front end's own. */
struct vhost_user_vring_addr {
	uint32_t index;
	uint32_t flags;
	uint64_t descriptor;
	uint64_t used;
	uint64_t available;
	uint64_t log;
};

/* SET_VRING_KICK, _CALL, _ERR: a u64, "Vring index" in the low byte, this bit if there is no fd. */
#define VHOST_USER_VRING_INDEX_MASK 0xffu
#define VHOST_USER_VRING_NO_FD      (UINT64_C(1) << 8)

/* "Virtio device config space": GET_CONFIG, SET_CONFIG; `size` bytes follow. */
struct vhost_user_config {
	uint32_t offset;
	uint32_t size;
	uint32_t flags;
};
#define VHOST_USER_CONFIG_MAX 256u

/* vhost-user-gpu.rst, "Communication": same header layout, other flags, back end asks. */
#define VHOST_USER_GPU_FLAG_REPLY (1u << 2)

enum vhost_user_gpu_request {
	VHOST_USER_GPU_GET_PROTOCOL_FEATURES = 1,
	VHOST_USER_GPU_SET_PROTOCOL_FEATURES = 2,
	VHOST_USER_GPU_GET_DISPLAY_INFO = 3,
	VHOST_USER_GPU_CURSOR_POS = 4,
	VHOST_USER_GPU_CURSOR_POS_HIDE = 5,
	VHOST_USER_GPU_CURSOR_UPDATE = 6,
	VHOST_USER_GPU_SCANOUT = 7,
	VHOST_USER_GPU_UPDATE = 8,
	VHOST_USER_GPU_DMABUF_SCANOUT = 9,
	VHOST_USER_GPU_DMABUF_UPDATE = 10,
	VHOST_USER_GPU_GET_EDID = 11,
	VHOST_USER_GPU_DMABUF_SCANOUT2 = 12,
};

#endif
