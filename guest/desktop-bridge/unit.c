/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "proto/h264-sps.h"
#include "unit.h"
#include "util.h"

/* Of a parameter set that is worth a look; longer ones are just rewritten. */
#define SPS_MAX 256u

static bool sps_is_good(const struct h264_nal *nal) {
	uint8_t again[SPS_MAX + H264_SPS_GROWTH];
	return nal->size <= SPS_MAX && h264_sps_rewrite(again, nal->data, nal->size) == nal->size &&
		memcmp(again, nal->data, nal->size) == 0;
}

/* Whether decoders would hold pictures back, by one of the parameter sets before the picture. */
static bool needs_rewrite(const uint8_t *data, size_t size) {
	struct h264_nal nal;
	size_t pos = 0;
	while (h264_next_nal(data, size, &pos, &nal) && nal.type != H264_NAL_PPS &&
		nal.type != H264_NAL_IDR && nal.type != H264_NAL_SLICE) {
		if (nal.type == H264_NAL_SPS && !sps_is_good(&nal)) {
			return true;
		}
	}
	return false;
}

struct unit *unit_create(const uint8_t *data, size_t size, bool keyframe) {
	bool rewrite = keyframe && needs_rewrite(data, size);
	struct unit *u = malloc(sizeof(*u) + size + (rewrite ? H264_KEYFRAME_GROWTH : 0));
	if (!u) {
		return NULL;
	}
	*u = (struct unit){.refs = 1, .size = size, .keyframe = keyframe};
	if (rewrite) {
		u->size = h264_rewrite_keyframe(u->data, data, size);
	} else {
		memcpy(u->data, data, size);
	}
	return u;
}

struct unit *unit_ref(struct unit *u) {
	u->refs++;
	return u;
}

void unit_unref(struct unit *u) {
	if (u && --u->refs == 0) {
		free(u);
	}
}
