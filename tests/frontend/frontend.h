/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A fake front end for tests: vhost-user front end and virtio-gpu driver in one process, with its
 * own memory file for guest RAM. It sends what QEMU 10 sends for vhost-user-gpu-pci, in that order
 * (docs/protocol/vhost-user-gpu.md), and everything that QEMU never would when asked to.
 *
 * One thread uses a front end at a time. Nothing here ends the process: errors are -errno, and a
 * back end that does not answer is -ETIMEDOUT. Callers may write guest memory and rings directly.
 */
#ifndef HELIX_TESTS_FRONTEND_H
#define HELIX_TESTS_FRONTEND_H

#include <linux/virtio_gpu.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vhost-user.h"

#define FRONTEND_QUEUES     2u /* virtio 1.2, 5.7.2: 0 controlq, 1 cursorq */
#define FRONTEND_CONTROL    0u
#define FRONTEND_CURSOR     1u
#define FRONTEND_TIMEOUT_MS 5000u /* for every answer that must come */
#define GUEST_PAGE          4096u

/* Feature bits as masks, for the options below. */
#define FEATURE(bit)          (UINT64_C(1) << (bit))
#define FRONTEND_FEATURES_ALL UINT64_MAX
#define FRONTEND_PROTOCOL_QEMU                                                          \
	(FEATURE(VHOST_USER_PROTOCOL_F_MQ) | FEATURE(VHOST_USER_PROTOCOL_F_REPLY_ACK) | \
		FEATURE(VHOST_USER_PROTOCOL_F_BACKEND_REQ) |                            \
		FEATURE(VHOST_USER_PROTOCOL_F_CONFIG) |                                 \
		FEATURE(VHOST_USER_PROTOCOL_F_RESET_DEVICE) |                           \
		FEATURE(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS) |                    \
		FEATURE(VHOST_USER_PROTOCOL_F_STATUS))

struct frontend_options {
	uint64_t ram_size;      /* bytes; 0: 256 MiB */
	uint64_t high_ram_size; /* bytes of a second memory file at 4 GiB; 0: none */
	uint64_t features;      /* virtio features taken if offered; 0: all that is known here */
	uint64_t protocol_features;           /* the same; 0: as QEMU */
	uint32_t queue_size[FRONTEND_QUEUES]; /* 0: 64 and 16, QEMU's for the 2D device */
	uint32_t outputs;     /* of GET_DISPLAY_INFO on the GPU socket, 1280x800; 0: one */
	bool mute_gpu_socket; /* never answer on the GPU socket */
};

/* A stretch of guest memory, as ATTACH_BACKING names it. */
struct guest_piece {
	uint64_t address;
	uint32_t length;
};

enum guest_layout {
	GUEST_CONTIGUOUS, /* one piece */
	GUEST_SCATTERED,  /* single pages, out of order, from both ends of memory */
	GUEST_UNALIGNED,  /* pieces of odd lengths that meet at no page boundary */
};

/* Guest memory that holds pixels. */
struct guest_buffer {
	struct frontend *fe;
	size_t size; /* bytes asked for */
	uint8_t *
		pixels; /* all of it in one piece. GUEST_UNALIGNED: a copy, see guest_buffer_commit */
	struct guest_piece *pieces;
	unsigned n_pieces;
	enum guest_layout layout;
	void *map; // NULL unless scattered
	uint64_t *pages;
	unsigned n_pages;
};

/* A request in flight or answered. Belongs to the caller: gpu_call_destroy when it is done. */
struct gpu_call {
	bool done;
	uint32_t written; /* as the used ring says */
	uint64_t submitted_ns, done_ns;
	const uint8_t *response; /* in guest memory: valid until destroyed */
	uint32_t response_size;  /* room that there was */
	/* Private from here. */
	struct frontend *fe;
	unsigned queue;
	uint16_t head;
	uint32_t n_desc; /* descriptors to give back */
	uint64_t memory; /* guest address of its pages */
	unsigned n_pages;
	bool forgotten;
};

struct frontend_queue {
	uint32_t size;
	uint64_t desc_address, avail_address, used_address; /* guest physical */
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t avail_idx, last_used, kicked_idx;
	uint16_t *free; /* stack of free descriptors */
	unsigned n_free;
	struct gpu_call **in_flight; /* by head */
	unsigned n_in_flight;
	int kick_fd, call_fd;
	uint64_t kicks, interrupts; /* counted, for tests of their suppression */
};

struct frontend {
	struct frontend_options options;
	int fd;         /* vhost-user socket */
	int gpu_fd;     /* our end of the GPU socket; -1 unless started */
	int backend_fd; /* our end of SET_BACKEND_REQ_FD; -1 if not negotiated */
	uint64_t features, protocol_features; /* as negotiated */
	uint64_t offered_features, offered_protocol_features;
	bool running, memory_sent;
	uint16_t bases[FRONTEND_QUEUES]; /* of stopped rings */
	int ram_fd, high_fd;
	uint8_t *ram, *high; /* mapped */
	uint64_t ram_size, high_size;
	uint8_t *page_used; /* one byte a page of ram */
	size_t n_pages, page_hint, pages_free;
	struct frontend_queue queues[FRONTEND_QUEUES];
	uint32_t gpu_requests; /* that the back end made on the GPU socket */
	uint32_t next_resource_id;
};

/* Where the memory regions of the guest are: QEMU's, for a q35 machine. */
#define GUEST_LOW_END    UINT64_C(0xc0000)
#define GUEST_MAIN_START UINT64_C(0x100000)
#define GUEST_HIGH_START UINT64_C(0x100000000)

/*
 * Connects and does what QEMU does before a guest runs: features, owner, early call fds, and the
 * reset. `options` NULL: all default. frontend_adopt consumes a connected socket.
 */
int frontend_connect(
	const char *path, const struct frontend_options *options, struct frontend **ret);
int frontend_adopt(int fd, const struct frontend_options *options, struct frontend **ret);
/* Memory and a socket, but not one message sent: for tests that send their own. */
int frontend_connect_silent(
	const char *path, const struct frontend_options *options, struct frontend **ret);
/* The messages that frontend_connect sends after connecting. */
int frontend_handshake(struct frontend *fe);
/* Closes the socket without a word, as a killed QEMU does. */
void frontend_destroy(struct frontend *fe);

/* The guest's driver starts: rings are made anew, unless the guest was only stopped. */
int frontend_start(struct frontend *fe);
/* QMP `stop`: rings halt and keep their place. Calls in flight are answered first. */
int frontend_stop(struct frontend *fe);
int frontend_resume(struct frontend *fe);
/* The guest resets: what QEMU sends for `system_reset`. All calls in flight are forgotten. */
int frontend_reset(struct frontend *fe);

/* Device configuration space by GET_CONFIG (virtio 1.2, 5.7.4). */
int frontend_get_config(struct frontend *fe, struct virtio_gpu_config *ret);

/*
 * One vhost-user message with what fds there are (borrowed). _call waits for the reply of `request`
 * and returns its payload's size; _ack asks for an acknowledgement if that was negotiated, and
 * returns -EPROTO if it says failure.
 */
int frontend_send(struct frontend *fe, uint32_t request, uint32_t flags, const void *payload,
	size_t size, const int *fds, unsigned n_fds);
int frontend_call(struct frontend *fe, uint32_t request, const void *payload, size_t size,
	void *reply, size_t reply_size);
int frontend_ack(struct frontend *fe, uint32_t request, const void *payload, size_t size,
	const int *fds, unsigned n_fds);
/* Memory table (or single regions) of the whole guest. */
int frontend_send_memory(struct frontend *fe);
/* NUM, BASE, ADDR, KICK of one ring, as it is. */
int frontend_send_ring(struct frontend *fe, unsigned queue, uint16_t base);
/* Waits until `fd` is readable or hung up, answering on the GPU socket meanwhile. 0, -ETIMEDOUT. */
int frontend_wait(struct frontend *fe, int fd, unsigned timeout_ms);
/* True once the back end has closed the connection; waits up to `timeout_ms` for that. */
bool frontend_hung_up(struct frontend *fe, unsigned timeout_ms);

/* Guest memory: host pointer of a guest physical address (NULL if it is none of ours). */
void *guest_at(struct frontend *fe, uint64_t address);
/* Contiguous pages, zeroed; 0 if there is no room. */
uint64_t guest_alloc(struct frontend *fe, unsigned n_pages);
void guest_free(struct frontend *fe, uint64_t address, unsigned n_pages);
int guest_buffer_create(
	struct frontend *fe, size_t size, enum guest_layout layout, struct guest_buffer **ret);
void guest_buffer_destroy(struct guest_buffer *b);
/* GUEST_UNALIGNED: writes `pixels` to the guest's pages. Others: nothing to do. */
void guest_buffer_commit(struct guest_buffer *b);

/* Driver's side of a queue. */
int queue_setup(struct frontend *fe, unsigned queue);
void queue_forget(struct frontend *fe, unsigned queue);
/*
 * Submits a request with room for a response; nothing is copied out later than this call.
 * `split` > 0 cuts the request into descriptors of at most that many bytes. Takes a table
 * (INDIRECT_DESC) if that was negotiated. Does not kick. -ENOSPC: ring or memory full.
 */
int gpu_submit(struct frontend *fe, unsigned queue, const void *request, size_t size,
	size_t response_size, size_t split, struct gpu_call **ret);
/* Tells the back end, if it wants to be told. */
void gpu_kick(struct frontend *fe, unsigned queue);
/* Takes what was answered; returns how many, or -EBADMSG for an answer to nothing. */
int gpu_reap(struct frontend *fe, unsigned queue);
/* -EREMOTEIO: an answer is there but no interrupt was raised for it. */
int gpu_wait(struct gpu_call *call, unsigned timeout_ms);
/* One not answered yet is let go of, and freed when it is answered or the ring is gone. */
void gpu_call_destroy(struct gpu_call *call);
/* VIRTIO_GPU_RESP_… of an answered call; -EBADMSG if there was no room for a header in it. */
int gpu_call_type(const struct gpu_call *call);

/* Raw access, for hostile drivers: puts `head` on the available ring whatever it is. */
void queue_push_raw(struct frontend *fe, unsigned queue, uint16_t head);
void queue_kick_raw(struct frontend *fe, unsigned queue);

/*
 * Whole commands, one at a time: each returns the response's type (VIRTIO_GPU_RESP_OK_NODATA, …
 * or VIRTIO_GPU_RESP_ERR_…), or -errno.
 */
int gpu_command(struct frontend *fe, unsigned queue, const void *request, size_t size,
	void *response, size_t response_size);
int gpu_get_display_info(struct frontend *fe, struct virtio_gpu_resp_display_info *ret);
int gpu_get_edid(struct frontend *fe, uint32_t scanout, struct virtio_gpu_resp_edid *ret);
int gpu_resource_create_2d(
	struct frontend *fe, uint32_t id, uint32_t format, uint32_t width, uint32_t height);
int gpu_resource_attach_backing(
	struct frontend *fe, uint32_t id, const struct guest_piece *pieces, uint32_t n_pieces);
int gpu_resource_detach_backing(struct frontend *fe, uint32_t id);
int gpu_resource_unref(struct frontend *fe, uint32_t id);
int gpu_resource_create_blob(struct frontend *fe, uint32_t id, uint64_t size,
	const struct guest_piece *pieces, uint32_t n_pieces);
int gpu_transfer(
	struct frontend *fe, uint32_t id, const struct virtio_gpu_rect *rect, uint64_t offset);
int gpu_set_scanout(
	struct frontend *fe, uint32_t scanout, uint32_t id, const struct virtio_gpu_rect *rect);
int gpu_set_scanout_blob(struct frontend *fe, uint32_t scanout, uint32_t id,
	const struct virtio_gpu_rect *rect, uint32_t format, uint32_t width, uint32_t height,
	uint32_t stride, uint32_t offset);
/* `ret_ns` (may be NULL): from the kick to the answer. */
int gpu_flush(struct frontend *fe, uint32_t id, const struct virtio_gpu_rect *rect, bool fenced,
	uint64_t *ret_ns);
int gpu_update_cursor(struct frontend *fe, uint32_t scanout, uint32_t id, uint32_t x, uint32_t y,
	uint32_t hot_x, uint32_t hot_y);
int gpu_move_cursor(struct frontend *fe, uint32_t scanout, uint32_t x, uint32_t y);

/* The requests themselves, for those who submit many at once. */
void gpu_header(struct virtio_gpu_ctrl_hdr *hdr, uint32_t type, uint64_t fence); /* 0: no fence */
struct virtio_gpu_transfer_to_host_2d gpu_transfer_request(
	uint32_t id, const struct virtio_gpu_rect *rect, uint64_t offset);
struct virtio_gpu_set_scanout gpu_set_scanout_request(
	uint32_t scanout, uint32_t id, const struct virtio_gpu_rect *rect);
struct virtio_gpu_resource_flush gpu_flush_request(
	uint32_t id, const struct virtio_gpu_rect *rect, uint64_t fence);

/*
 * A desktop's screen: buffers that are drawn into in turn and flipped as the Linux driver does it
 * for dumb buffers: TRANSFER_TO_HOST_2D, SET_SCANOUT, RESOURCE_FLUSH in one go.
 */
#define FAKE_SCREEN_BUFFERS 3u

struct fake_screen {
	struct frontend *fe;
	uint32_t scanout, width, height, format;
	unsigned n_buffers, front; /* index of the buffer shown; n_buffers: none yet */
	struct guest_buffer *buffers[FAKE_SCREEN_BUFFERS];
	uint32_t ids[FAKE_SCREEN_BUFFERS];
	bool fenced;
	uint64_t fence;
	struct gpu_call *calls[3]; // NULL unless a flip is under way
	uint64_t flips;
};

int fake_screen_create(struct frontend *fe, uint32_t scanout, uint32_t width, uint32_t height,
	uint32_t format, unsigned n_buffers, enum guest_layout layout, struct fake_screen **ret);
/* Turns the scanout off and frees the resources, unless the front end is not running. */
void fake_screen_destroy(struct fake_screen *s);
/* The buffer to draw into; 4·width bytes a row. It has the content of n_buffers flips ago. */
uint8_t *fake_screen_back(struct fake_screen *s);
/* What is shown now. */
uint8_t *fake_screen_front(struct fake_screen *s);
/* Shows the back buffer. `damage` NULL: all of it. Returns as the commands above. */
int fake_screen_flip(struct fake_screen *s, const struct virtio_gpu_rect *damage, uint64_t *ret_ns);
/* The same in two halves, for many screens at once: submit does not wait. */
int fake_screen_submit(struct fake_screen *s, const struct virtio_gpu_rect *damage);
int fake_screen_finish(struct fake_screen *s, uint64_t *ret_ns);

#endif
