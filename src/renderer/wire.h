/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What helix-frame-export and its helix-renderer say to each other (docs/protocol/renderer.md):
 * messages of one size on a SOCK_SEQPACKET socket. What is larger lies in a ring of shared memory
 * that only the exporter writes. Both ends are of one build, so it is the machine's byte order and
 * this header; still each end checks what it is sent as if the other had been taken over.
 */
#ifndef HELIX_RENDERER_WIRE_H
#define HELIX_RENDERER_WIRE_H

#include <stddef.h>
#include <stdint.h>

#define RENDER_VERSION     3u
#define RENDER_RING_SIZE   (16u << 20) /* bytes of the ring */
#define RENDER_MAX_PAYLOAD (4u << 20)  /* of one message: four such are under way at once */
#define RENDER_MAX_REGIONS 8u          /* of guest memory */
#define RENDER_MAX_FDS     RENDER_MAX_REGIONS
#define RENDER_MAX_CAPSETS 4u
#define RENDER_MAX_SHADOWS 1024u

enum render_type {
	/* To the renderer. Each is answered with one RENDER_DONE, in any case. */
	RENDER_NOP = 1,
	RENDER_MEMORY, /* fds: one per region; payload: struct render_region[] */
	RENDER_CONTEXT_CREATE,
	RENDER_CONTEXT_DESTROY,
	RENDER_CONTEXT_ATTACH,
	RENDER_CONTEXT_DETACH,
	RENDER_RESOURCE_CREATE,
	RENDER_RESOURCE_UNREF,
	RENDER_BACKING_ATTACH, /* payload: struct render_piece[] */
	RENDER_BACKING_DETACH,
	RENDER_TRANSFER_TO_HOST,
	RENDER_TRANSFER_FROM_HOST,
	RENDER_SUBMIT,     /* payload: the command stream */
	RENDER_SHADOW_ADD, /* fds: its memory, and, for NV12, a dmabuf of it to draw into */
	RENDER_SHADOW_REMOVE,
	RENDER_READ,    /* from a resource into a shadow */
	RENDER_WRITE,   /* from a shadow into a resource */
	RENDER_CONVERT, /* the same, as NV12; needs RENDER_CAN_CONVERT; -EOPNOTSUPP: not this one */
	_RENDER_REQUEST_MAX,
	/* To the exporter. */
	RENDER_HELLO = 64, /* once, when it is ready; fd: the capsets, one behind the other */
	RENDER_DONE,
	_RENDER_REPLY_MAX,
};

#define RENDER_FLAG_FENCE 1u /* done when the GPU is done with this and all before it */

struct render_region {
	uint64_t size, offset; /* of the region in its fd */
};

/* Guest memory that a resource's backing is made of. */
struct render_piece {
	uint32_t region, length;
	uint64_t offset; /* in the region */
};

struct render_create {
	uint32_t target, format, bind, width, height, depth, array_size, last_level, nr_samples,
		flags;
};

struct render_transfer {
	uint32_t x, y, z, width, height, depth;
	uint32_t level, stride, layer_stride;
	uint32_t padding;
	uint64_t offset;
};

/* Of RENDER_READ and RENDER_WRITE. */
struct render_read {
	uint32_t shadow;
	uint32_t x, y, width, height; /* in the resource */
	uint32_t stride;              /* of the shadow */
	uint32_t pixel;               /* bytes of one, at most */
	uint32_t padding;
	uint64_t offset; /* in the shadow, of the first pixel */
};

struct render_rect {
	uint32_t x, y, width, height;
};

/*
 * The shadow is luma, in rows of `stride` bytes, and behind it half as many rows of chroma, U and V
 * in turns; both in whole macroblocks, 16 rows and columns of luma.
 */
struct render_convert {
	uint32_t shadow, stride;
	struct render_rect view; /* the picture, in the resource */
	struct render_rect
		damage; /* what of the picture is to be written; widened to macroblocks */
};

struct render_shadow {
	uint32_t shadow;
	uint32_t stride, rows; /* bytes of a row and rows of luma; of a dmabuf */
	uint32_t padding;
	uint64_t size;
};

struct render_capset {
	uint32_t id, version, size;
};

#define RENDER_CAN_CONVERT 1u
#define RENDER_SOFTWARE    2u /* GL is drawn by the CPUs */

struct render_hello {
	uint32_t version, features, n_capsets;
	struct render_capset capsets[RENDER_MAX_CAPSETS];
};

struct render_done {
	int32_t error; /* 0 or -errno */
};

struct render_message {
	uint32_t type; /* enum render_type */
	uint32_t flags;
	uint64_t sequence; /* of a request; RENDER_DONE has it again */
	uint32_t context;
	uint32_t resource;
	uint32_t payload_offset, payload_size; /* in the ring */
	union {
		struct render_create create;
		struct render_transfer transfer;
		struct render_read read;
		struct render_convert convert;
		struct render_shadow shadow;
		struct render_hello hello;
		struct render_done done;
		char name[64]; /* of a context, ends with a NUL */
		uint8_t bytes[64];
	} u;
};

/*
 * Whether a message of `size` bytes with `n_fds` descriptors is one that its receiver may look at:
 * a type for it, the descriptors and the payload that the type has, within the ring. 0, -EBADMSG.
 */
int render_request_check(const void *message, size_t size, unsigned n_fds);
int render_reply_check(const void *message, size_t size, unsigned n_fds);
/* "submit" and so on; "?" for what is none. */
const char *render_type_name(uint32_t type);

/* Sends one message with fds (borrowed). 0, -errno; -EAGAIN only on a non-blocking socket. */
int render_send(int fd, const struct render_message *m, const int *fds, unsigned n_fds);
/*
 * Receives one into `m`, with up to RENDER_MAX_FDS descriptors, which are the caller's. Returns its
 * size, 0 at the end, -errno.
 */
int render_receive(int fd, struct render_message *m, int *fds, unsigned *ret_n_fds);

#endif
