/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>

#include "encoder-rig.h"
#include "test.h"
#include "util.h"

void encoder_rig_init(struct encoder_rig *r, uint32_t width, uint32_t height) {
	*r = (struct encoder_rig){.pts_ns = NSEC_PER_SEC};
	r->picture = picture_create(width, height);
	r->decoder = decode_create();
	check(r->picture && r->decoder);
	encoder_rig_draw(r, false);
}

void encoder_rig_finish(struct encoder_rig *r) {
	access_unit_unref(r->au);
	decode_destroy(r->decoder);
	picture_destroy(r->picture);
}

void encoder_rig_draw(struct encoder_rig *r, bool noise) {
	struct picture *p = r->picture;
	unsigned n = r->drawn++;
	uint32_t seed = n * 2654435761u + 1;
	for (uint32_t y = 0; y < p->height; y++) {
		for (uint32_t x = 0; x < p->width; x++) {
			uint8_t v = (uint8_t)(40 + (x / 4 + y / 2 + 3 * n) % 160);
			if (noise) {
				seed = seed * 1664525 + 1013904223;
				v = (uint8_t)(32 + (seed >> 25));
			} else if ((x + 5 * n) % 48 < 3 || y % 24 < 2) {
				v = 220;
			}
			p->y[(size_t)y * p->stride + x] = v;
			p->uv[(size_t)(y / 2) * p->stride + x] = (uint8_t)(100 + (x / 8 + n) % 50);
		}
	}
	p->update++;
	for (size_t i = 0; i < (size_t)p->mb_width * p->mb_height; i++) {
		p->mb_update[i] = p->update;
	}
}

static void check_well_formed(const struct access_unit *au) {
	const uint8_t *nal;
	size_t size, pos = 0;
	unsigned code, seen = 0;
	while (decode_next_nal(au->data, au->size, &pos, &nal, &size, &code)) {
		unsigned type = nal[0] & 31;
		check_int(code, ==, 4);
		check(type == NAL_TYPE_SLICE || type == NAL_TYPE_IDR || type == NAL_TYPE_SPS ||
			type == NAL_TYPE_PPS);
		seen |= 1u << type;
	}
	check_int(pos, ==, au->size);
	check_int((seen & 1u << NAL_TYPE_IDR) != 0, ==, au->keyframe);
	if (au->keyframe) {
		struct stream_info info;
		check_ok(decode_stream_info(au->data, au->size, &info));
		check_int(info.width, ==, au->width);
		check_int(info.height, ==, au->height);
		check(info.has_restriction && info.num_reorder_frames == 0);
		check_int(info.max_dec_frame_buffering, ==, MAX(1u, info.num_ref_frames));
		check(info.has_colour && info.matrix == 1 && !info.full_range);
	}
}

void encoder_rig_encode(struct encoder_rig *r, struct encoder *encoder, bool idr, unsigned refine) {
	struct picture *p = r->picture;
	struct encode_request request = {
		.picture = p, .pts_ns = r->pts_ns, .idr = idr, .refine = refine};
	access_unit_unref(r->au);
	r->au = NULL;
	check_ok(encoder->ops->encode(encoder, &request, &r->au));
	check(r->au->keyframe || !idr);
	check_int(r->au->pts_ns, ==, r->pts_ns);
	check_int(r->au->width, ==, p->width);
	check_int(r->au->height, ==, p->height);
	check(r->au->encoded_ns > 0);
	check_well_formed(r->au);
	check_ok(decode_feed(r->decoder, r->au->data, r->au->size, &r->shown));
	check_int(r->shown.key, ==, r->au->keyframe);
	check_int(r->shown.width, ==, p->width);
	check_int(r->shown.height, ==, p->height);
	r->psnr = decode_psnr(r->shown.y, r->shown.y_stride, p->y, p->stride, p->width, p->height);
	r->frames++;
	r->keyframes += r->au->keyframe;
	r->pts_ns += NSEC_PER_SEC / 60;
}

struct encoder_config encoder_rig_config(const struct encoder_rig *r) {
	return (struct encoder_config){
		.width = r->picture->width,
		.height = r->picture->height,
		.fps = 60,
		.quality = ENCODER_QUALITY_DEFAULT,
		.threads = 1,
		.use_damage = true,
	};
}
