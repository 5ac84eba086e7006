/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The encoders that libavcodec has for hardware, and how each is told to be quick: no look-ahead, no
 * picture in flight when the next comes, IDRs where we say. From its documentation and source; none
 * of them could be run on the machines that this was made on.
 */
#include "avcodec.h"

/* The functions of a kind; all but the first are the same. */
#define KIND_OPS(id, text, takes_gpu_pictures)                                              \
	static int create_##id(const struct encoder_config *config, struct encoder **ret);  \
	const struct encoder_ops encoder_##id = {                                           \
		.name = text,                                                               \
		.imports = takes_gpu_pictures,                                              \
		.create = create_##id,                                                      \
		.destroy = avcodec_encoder_destroy,                                         \
		.encode = avcodec_encoder_encode,                                           \
		.set_bitrate = avcodec_encoder_set_bitrate,                                 \
		.refine_passes = avcodec_encoder_refine_passes,                             \
	};                                                                                  \
	static const struct avcodec_kind kind_##id;                                         \
	static int create_##id(const struct encoder_config *config, struct encoder **ret) { \
		return avcodec_encoder_create(&kind_##id, config, ret);                     \
	}

KIND_OPS(vaapi, "vaapi", true)
KIND_OPS(nvenc, "nvenc", false)
KIND_OPS(qsv, "qsv", false)
KIND_OPS(v4l2m2m, "v4l2m2m", false)
KIND_OPS(videotoolbox, "videotoolbox", false)
KIND_OPS(avcodec_x264, "avcodec:libx264", true)

/* Intel's later chips encode only by their low-power engine, and it must be asked for. */
static const struct avcodec_kind kind_vaapi = {
	.ops = &encoder_vaapi,
	.codec = "h264_vaapi",
	.device = AV_HWDEVICE_TYPE_VAAPI,
	.va_surfaces = true,
	.options =
		{
			"async_depth=1:coder=cavlc:sei=0:aud=0",
			"async_depth=1:coder=cavlc:sei=0:aud=0:low_power=1",
		},
	.quality_options = "rc_mode=CQP",
	.bitrate_options = "rc_mode=CBR",
	.surfaces_in_flight = 6, /* two of ours; source, reconstructed and reference of the codec */
};

/* Takes pictures from memory and uploads them itself. */
static const struct avcodec_kind kind_nvenc = {
	.ops = &encoder_nvenc,
	.codec = "h264_nvenc",
	.options = {"preset=p3:tune=ull:profile=baseline:zerolatency=1:delay=0:forced-idr=1:"
		    "surfaces=4:rc-lookahead=0:b_ref_mode=disabled:aud=0"},
	.quality_options = "rc=constqp",
	.bitrate_options = "rc=cbr",
	.dynamic_bitrate = 58,
	.surfaces_in_flight = 6,
};

static const struct avcodec_kind kind_qsv = {
	.ops = &encoder_qsv,
	.codec = "h264_qsv",
	.device = AV_HWDEVICE_TYPE_QSV,
	.device_option = "child_device",
	.options = {"preset=veryfast:async_depth=1:forced_idr=1:look_ahead=0:low_delay_brc=1:"
		    "pic_timing_sei=0:recovery_point_sei=0:aud=0:max_dec_frame_buffering=1"},
	.quality_options = "",
	.bitrate_options = "",
	.scaled_quality = true,
	.dynamic_bitrate = 60,
	.surfaces_in_flight = 6,
};

/* Finds its device among /dev/video* itself. */
static const struct avcodec_kind kind_v4l2m2m = {
	.ops = &encoder_v4l2m2m,
	.codec = "h264_v4l2m2m",
	.options = {"num_output_buffers=4:num_capture_buffers=4"},
	.bitrate_options = "",
	.surfaces_in_flight = 8,
};

static const struct avcodec_kind kind_videotoolbox = {
	.ops = &encoder_videotoolbox,
	.codec = "h264_videotoolbox",
	.options = {"realtime=1:prio_speed=1:allow_sw=0:coder=cavlc:profile=baseline"},
	.bitrate_options = "",
	.surfaces_in_flight = 6,
};

/* No hardware: what tests run the same code with. */
static const struct avcodec_kind kind_avcodec_x264 = {
	.ops = &encoder_avcodec_x264,
	.codec = "libx264",
	.options = {"preset=ultrafast:tune=zerolatency:profile=baseline:forced-idr=1"},
	.quality_options = "",
	.bitrate_options = "",
	.dynamic_bitrate = 58,
	.surfaces_in_flight = 2,
};
