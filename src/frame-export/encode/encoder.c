/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "encoder.h"
#include "util.h"

static const struct encoder_ops *const encoders[] = {
	&encoder_x264,
	&encoder_vaapi,
	&encoder_nvenc,
	&encoder_qsv,
	&encoder_v4l2m2m,
	&encoder_videotoolbox,
	&encoder_avcodec_x264,
};

const struct encoder_ops *encoder_by_name(const char *name) {
	for (size_t i = 0; i < ARRAY_SIZE(encoders); i++) {
		if (strcmp(encoders[i]->name, name) == 0) {
			return encoders[i];
		}
	}
	return NULL;
}
