/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What passes between capture, encoder and server of one scanout.
 *
 * A `picture` is the scanout's present content as NV12, in memory of ours that outlives any guest
 * buffer: capture writes damaged macroblocks into it, encoders read it. It keeps, for each
 * macroblock, the number of the update in which it last changed. So an encoder asks "what changed
 * since the update that I encoded last", and any number of encoders (one shared by all viewers as
 * x264 is, or one for each viewer) can ask it of the same picture, each with its own answer.
 */
#ifndef HELIX_FRAME_EXPORT_PICTURE_H
#define HELIX_FRAME_EXPORT_PICTURE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MB_SIZE 16 /* luma pixels of a macroblock side; ITU-T H.264, 3.86 */

/* Largest scanout side we take: 8K, as H.264 level 6.2 allows. */
#define PICTURE_MAX_SIDE 8192u

/* Most scanouts of a device: VIRTIO_GPU_MAX_SCANOUTS; virtio 1.2, 5.7.6.8. */
#define SCANOUTS_MAX 16u

struct rect {
	uint32_t x, y, width, height;
};

static inline bool rect_empty(const struct rect *r) {
	return r->width == 0 || r->height == 0;
}

/* The common part of both; empty (0 by 0) if there is none. Sums must not exceed 2^32. */
struct rect rect_intersect(const struct rect *a, const struct rect *b);
/* The smallest rectangle that holds both; an empty one adds nothing. */
struct rect rect_union(const struct rect *a, const struct rect *b);

/* Rows that every GPU takes; AMD's are the ones that want so much. */
#define GPU_STRIDE_ALIGN 256u

/*
 * NV12 where a GPU has it, which wrote it or is to read it: luma in rows of `stride` bytes and,
 * `chroma` bytes from the start, half as many rows of U and V in turns; both in whole macroblocks,
 * as in a picture. Complete when we get it.
 */
struct gpu_picture {
	int dmabuf;
	uint32_t stride;
	size_t chroma, size;
	const uint8_t *map; /* the same memory */
};

struct picture {
	/* Pixels shown. Rounded up to even numbers by picture_create, as 4:2:0 needs. */
	uint32_t width, height;
	/* Macroblocks across and down; planes are allocated whole macroblocks wide and high. */
	uint32_t mb_width, mb_height;
	uint32_t stride; /* bytes a row, of both planes; multiple of 64 */
	uint8_t *y;      /* BT.709 limited range luma; 64-byte aligned */
	uint8_t *uv;     /* interleaved U and V, half the rows */
	/*
	 * Number of the last update, counted from 1, and for each macroblock (raster order) the
	 * update that changed it last. 0: never drawn.
	 */
	uint32_t update;
	uint32_t *mb_update;
	uint64_t flip_ns; /* CLOCK_MONOTONIC of the flip that the content is of */
	/*
	 * NULL: the content is in `y` and `uv`. Else it is here, and they have it as of update
	 * `fetched`: who reads them calls picture_fetch before.
	 */
	const struct gpu_picture *gpu;
	uint32_t fetched;
	/* The memory of `y` and `uv`, of one made by picture_create_shared; else its dmabuf is -1. */
	struct gpu_picture shared;
};

/* A black picture in which all macroblocks count as changed by update 1. NULL with ENOMEM/EINVAL. */
struct picture *picture_create(uint32_t width, uint32_t height);
/*
 * The same in memory that is a dmabuf, too, for encoders that take pictures from there; where the
 * kernel makes none (/dev/udmabuf), as picture_create.
 */
struct picture *picture_create_shared(uint32_t width, uint32_t height);
void picture_destroy(struct picture *p);
/* Around writes to `y` and `uv`, for devices that read a shared one. */
void picture_begin_write(struct picture *p);
void picture_end_write(struct picture *p);
/* Where a GPU finds the present content; NULL: nowhere. */
const struct gpu_picture *picture_dmabuf(const struct picture *p);

/*
 * From now on the content is `gpu`, which must live as long as it is set and be of the picture's
 * size; what `damage` touches of it counts as changed. NULL: it is fetched, and in memory again.
 */
void picture_set_gpu(struct picture *p, const struct gpu_picture *gpu, const struct rect *damage);
/* Brings `y` and `uv` up to date. */
void picture_fetch(struct picture *p);

/*
 * Fills `dirty`, one byte a macroblock, with 1 where it changed after update `since`, else 0;
 * returns how many did. `dirty` and `ret_bounds` (in pixels) may be NULL.
 */
uint32_t picture_dirty_since(
	const struct picture *p, uint32_t since, uint8_t *dirty, struct rect *ret_bounds);

/*
 * One encoded picture as it goes to every subscriber of a scanout: H.264 Annex B with 4-byte start
 * codes, SPS and PPS before an IDR. Immutable once posted; shared by reference.
 */
struct access_unit {
	atomic_uint refs;
	uint32_t scanout_id;
	uint32_t width, height;
	bool keyframe;     /* starts with SPS, PPS, IDR */
	uint8_t refine;    /* 0: new content; 1, 2, …: pass that only raises quality */
	uint64_t sequence; /* 1, 2, … per scanout, no gaps */
	uint64_t
		pts_ns; /* strictly increasing per scanout; the flip's time where that is possible */
	uint64_t flip_ns;    /* CLOCK_MONOTONIC when the guest flushed this content */
	uint64_t encoded_ns; /* CLOCK_MONOTONIC when the encoder was done */
	uint32_t dirty_mbs;  /* macroblocks that differ from the previous access unit */
	struct rect damage;  /* bounds of these, in pixels */
	size_t size;
	uint8_t data[];
};

/* One reference, everything but `size` zero. NULL: out of memory. */
struct access_unit *access_unit_create(size_t size);
struct access_unit *access_unit_ref(struct access_unit *au);
void access_unit_unref(struct access_unit *au);

#endif
