/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Encoders of libavcodec behind the encoder seam: hardware. What differs between them is in
 * `struct avcodec_kind`; the code is one, and the tests run it with a kind of their own, whose codec
 * is libavcodec's libx264.
 *
 * One picture in, one access unit out: an encoder that holds a picture back, or does not write an
 * IDR when it is told to, counts as broken. What comes out is as all of our streams are: start codes
 * of four bytes, SPS and PPS before an IDR, no reordering and an SPS that says so.
 *
 * Pictures are uploaded from memory, or, if they are dmabufs and its ops say `imports`, taken where
 * they are (avcodec-import.h). A device that refuses that is given copies.
 */
#ifndef HELIX_FRAME_EXPORT_AVCODEC_H
#define HELIX_FRAME_EXPORT_AVCODEC_H

#include <libavcodec/avcodec.h>
#include <libavutil/hwcontext.h>

#include "encoder.h"

#define AVCODEC_ATTEMPTS 2u

struct avcodec_kind {
	const struct encoder_ops *ops;
	const char *codec; /* its name in libavcodec */
	/* Opened for each encoder, and given to it; NONE: the codec opens what it needs. */
	enum AVHWDeviceType device;
	const char
		*device_option; /* key that takes the render node; NULL: it is the device's name */
	bool va_surfaces;       /* takes frames of the VA-API device, not of memory */
	/*
	 * Options, "key=value:key=value"; one that a libavcodec does not know is passed over. If
	 * it does not open with the first, the second is tried.
	 */
	const char *options[AVCODEC_ATTEMPTS];
	const char *quality_options; // NULL: it knows no constant quality, only a bitrate
	const char *bitrate_options;
	bool scaled_quality;         /* the quantiser is given as global_quality */
	unsigned dynamic_bitrate;    /* libavcodec's major version since which it obeys a new one */
	unsigned surfaces_in_flight; /* pictures that it may keep memory for; for the budget */
};

/* As encoder_ops has them; `create` of a kind calls this with itself. */
int avcodec_encoder_create(
	const struct avcodec_kind *kind, const struct encoder_config *config, struct encoder **ret);
void avcodec_encoder_destroy(struct encoder *encoder);
int avcodec_encoder_encode(
	struct encoder *encoder, const struct encode_request *request, struct access_unit **ret);
int avcodec_encoder_set_bitrate(struct encoder *encoder, uint32_t bitrate);
unsigned avcodec_encoder_refine_passes(const struct encoder *encoder);

/* Of all encoders of this process; more are refused with -EBUSY. */
void avcodec_set_max_sessions(unsigned n);
/* How many there are now, and the bytes of surfaces that are booked for them. */
unsigned avcodec_sessions(size_t *ret_surface_bytes);

/*
 * A packet as the access unit that goes out: see the top. `extradata` (Annex B, may be NULL) is
 * where SPS and PPS are if the packet has none. -EIO if there is no slice, or no SPS or PPS for an
 * IDR; -ENOMEM.
 */
int avcodec_make_access_unit(const uint8_t *data, size_t size, const uint8_t *extradata,
	size_t extradata_size, struct access_unit **ret);

#endif
