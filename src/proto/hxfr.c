/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bytes.h"
#include "hxfr.h"
#include "util.h"
#include "wire.h"

static const struct hxfr_message_info messages[256] = {
	[HXFR_FRAME_REQUEST] = {"FRAME_REQUEST", true, HXFR_FRAME_REQUEST_SIZE},
	[HXFR_FRAME_RESPONSE] = {"FRAME_RESPONSE", false, HXFR_FRAME_RESPONSE_SIZE},
	[HXFR_KEYFRAME_REQ] = {"KEYFRAME_REQ", true, 0},
	[HXFR_CONFIG_REQ] = {"CONFIG_REQ", true, HXFR_CONFIG_REQ_SIZE},
	[HXFR_PING] = {"PING", true, 0},
	[HXFR_PONG] = {"PONG", false, 0},
	[HXFR_ENABLE_SCANOUT] = {"ENABLE_SCANOUT", true, HXFR_ENABLE_SCANOUT_SIZE},
	[HXFR_DISABLE_SCANOUT] = {"DISABLE_SCANOUT", true, HXFR_DISABLE_SCANOUT_SIZE},
	[HXFR_SCANOUT_RESP] = {"SCANOUT_RESP", false, HXFR_SCANOUT_RESP_SIZE},
	[HXFR_SUBSCRIBE] = {"SUBSCRIBE", true, HXFR_SUBSCRIBE_SIZE},
	[HXFR_SUBSCRIBE_RESP] = {"SUBSCRIBE_RESP", false, HXFR_SUBSCRIBE_RESP_SIZE},
	[HXFR_HELLO] = {"HELLO", true, HXFR_HELLO_SIZE},
	[HXFR_HELLO_RESP] = {"HELLO_RESP", false, HXFR_HELLO_RESP_SIZE},
	[HXFR_FLIP_INFO] = {"FLIP_INFO", false, HXFR_FLIP_INFO_SIZE},
	[HXFR_CURSOR_IMAGE] = {"CURSOR_IMAGE", false, HXFR_CURSOR_IMAGE_SIZE},
	[HXFR_CURSOR_POSITION] = {"CURSOR_POSITION", false, HXFR_CURSOR_POSITION_SIZE},
	[HXFR_SCANOUT_STATE] = {"SCANOUT_STATE", false, HXFR_SCANOUT_STATE_SIZE},
	[HXFR_STATS_REQ] = {"STATS_REQ", true, HXFR_STATS_REQ_SIZE},
	[HXFR_STATS_RESP] = {"STATS_RESP", false, HXFR_STATS_RESP_SIZE},
	[HXFR_AUTHENTICATE] = {"AUTHENTICATE", true, HXFR_AUTHENTICATE_SIZE},
	[HXFR_AUTHENTICATE_RESP] = {"AUTHENTICATE_RESP", false, HXFR_AUTHENTICATE_RESP_SIZE},
	[HXFR_ENABLE_LEASE] = {"ENABLE_LEASE", true, HXFR_ENABLE_LEASE_SIZE},
	[HXFR_LEASE_RESP] = {"LEASE_RESP", false, HXFR_LEASE_RESP_SIZE},
	[HXFR_SHOW_TOKEN] = {"SHOW_TOKEN", true, HXFR_SHOW_TOKEN_SIZE},
	[HXFR_ERROR] = {"ERROR", false, HXFR_ERROR_SIZE},
};

const struct hxfr_message_info *hxfr_message_info(uint8_t type) {
	return messages[type].name ? &messages[type] : NULL;
}

static struct writer begin(
	uint8_t *buf, size_t size, enum hxfr_type type, uint16_t session, size_t payload_size) {
	struct writer w = {.p = buf, .left = size};
	write_u32(&w, HXFR_MAGIC);
	write_u8(&w, (uint8_t)type);
	write_u8(&w, 0);
	write_u16(&w, session);
	write_u32(&w, (uint32_t)payload_size);
	return w;
}

ssize_t hxfr_decode_header(const uint8_t *buf, size_t len, struct hxfr_header *ret) {
	static const uint8_t magic[4] = {'H', 'X', 'F', 'R'};
	if (memcmp(buf, magic, MIN(len, sizeof(magic))) != 0) {
		return -EBADMSG;
	}
	struct reader r = {buf, len, false};
	(void)read_u32(&r);
	struct hxfr_header h = {
		.type = read_u8(&r),
		.flags = read_u8(&r),
		.session_id = read_u16(&r),
		.payload_size = read_u32(&r),
	};
	if (!r.missing) {
		*ret = h;
	}
	return reader_consumed(&r, len);
}

ssize_t hxfr_decode_frame_request(const uint8_t *buf, size_t len, struct hxfr_frame_request *ret) {
	struct reader r = {buf, len, false};
	struct hxfr_frame_request m;
	m.resource_id = read_u32(&r);
	m.width = read_u32(&r);
	m.height = read_u32(&r);
	m.format = read_u32(&r);
	m.stride = read_u32(&r);
	m.pts = read_i64(&r);
	m.duration = read_i64(&r);
	m.force_keyframe = read_u8(&r);
	(void)read_bytes(&r, 7);
	if (!r.missing) {
		*ret = m;
	}
	return reader_consumed(&r, len);
}

ssize_t hxfr_decode_frame_response(
	const uint8_t *buf, size_t len, struct hxfr_frame_response *ret) {
	struct reader r = {buf, len, false};
	struct hxfr_frame_response m;
	m.pts = read_i64(&r);
	m.dts = read_i64(&r);
	m.is_keyframe = read_u8(&r);
	(void)read_bytes(&r, 3);
	m.nal_count = read_u32(&r);
	if (!r.missing) {
		*ret = m;
	}
	return reader_consumed(&r, len);
}

ssize_t hxfr_decode_blob(
	const uint8_t *buf, size_t len, const uint8_t **ret_data, size_t *ret_size) {
	struct reader r = {buf, len, false};
	uint32_t size = read_u32(&r);
	if (!r.missing && size > HXFR_CLIENT_PAYLOAD_MAX) {
		return -EBADMSG;
	}
	const uint8_t *data = read_bytes(&r, size);
	if (!r.missing) {
		*ret_data = data;
		*ret_size = size;
	}
	return reader_consumed(&r, len);
}

ssize_t hxfr_decode_config_req(const uint8_t *buf, size_t len, struct hxfr_config_req *ret) {
	struct reader r = {buf, len, false};
	struct hxfr_config_req m;
	m.width = read_u32(&r);
	m.height = read_u32(&r);
	m.bitrate = read_u32(&r);
	m.framerate_num = read_u32(&r);
	m.framerate_den = read_u32(&r);
	m.profile = read_u8(&r);
	m.level = read_u8(&r);
	m.realtime = read_u8(&r);
	(void)read_bytes(&r, 5);
	if (!r.missing) {
		*ret = m;
	}
	return reader_consumed(&r, len);
}

ssize_t hxfr_decode_enable_scanout(
	const uint8_t *buf, size_t len, struct hxfr_enable_scanout *ret) {
	struct reader r = {buf, len, false};
	struct hxfr_enable_scanout m;
	m.scanout_id = read_u32(&r);
	m.width = read_u32(&r);
	m.height = read_u32(&r);
	m.refresh = read_u32(&r);
	if (!r.missing) {
		*ret = m;
	}
	return reader_consumed(&r, len);
}

ssize_t hxfr_decode_scanout_id(const uint8_t *buf, size_t len, uint32_t *ret) {
	struct reader r = {buf, len, false};
	uint32_t id = read_u32(&r);
	if (!r.missing) {
		*ret = id;
	}
	return reader_consumed(&r, len);
}

ssize_t hxfr_decode_scanout_resp(const uint8_t *buf, size_t len, struct hxfr_scanout_resp *ret) {
	struct reader r = {buf, len, false};
	struct hxfr_scanout_resp m;
	m.scanout_id = read_u32(&r);
	m.success = read_u32(&r);
	read_text(&r, m.connector, sizeof(m.connector));
	if (!r.missing) {
		*ret = m;
	}
	return reader_consumed(&r, len);
}

ssize_t hxfr_decode_subscribe_resp(
	const uint8_t *buf, size_t len, struct hxfr_subscribe_resp *ret) {
	struct reader r = {buf, len, false};
	struct hxfr_subscribe_resp m;
	m.scanout_id = read_u32(&r);
	m.success = read_u32(&r);
	if (!r.missing) {
		*ret = m;
	}
	return reader_consumed(&r, len);
}

ssize_t hxfr_decode_error(const uint8_t *buf, size_t len, struct hxfr_error *ret) {
	struct reader r = {buf, len, false};
	struct hxfr_error m;
	m.code = read_i32(&r);
	read_text(&r, m.message, sizeof(m.message));
	if (!r.missing) {
		*ret = m;
	}
	return reader_consumed(&r, len);
}

ssize_t hxfr_decode_hello(const uint8_t *buf, size_t len, struct hxfr_hello *ret) {
	struct reader r = {buf, len, false};
	struct hxfr_hello m;
	m.version = read_u32(&r);
	m.features = read_u32(&r);
	if (!r.missing) {
		*ret = m;
	}
	return reader_consumed(&r, len);
}

ssize_t hxfr_decode_hello_resp(const uint8_t *buf, size_t len, struct hxfr_hello_resp *ret) {
	struct reader r = {buf, len, false};
	struct hxfr_hello_resp m;
	m.version = read_u32(&r);
	m.features = read_u32(&r);
	m.n_scanouts = read_u32(&r);
	(void)read_u32(&r);
	m.server_id = read_u64(&r);
	m.now_ns = read_u64(&r);
	if (!r.missing) {
		*ret = m;
	}
	return reader_consumed(&r, len);
}

ssize_t hxfr_decode_flip_info(const uint8_t *buf, size_t len, struct hxfr_flip_info *ret) {
	struct reader r = {buf, len, false};
	struct hxfr_flip_info m;
	m.scanout_id = read_u32(&r);
	m.refine = read_u32(&r);
	m.sequence = read_u64(&r);
	m.flip_ns = read_u64(&r);
	m.encoded_ns = read_u64(&r);
	m.send_ns = read_u64(&r);
	m.dirty_mbs = read_u32(&r);
	m.damage_x = read_u32(&r);
	m.damage_y = read_u32(&r);
	m.damage_width = read_u32(&r);
	m.damage_height = read_u32(&r);
	m.width = read_u32(&r);
	m.height = read_u32(&r);
	m.dropped = read_u32(&r);
	if (!r.missing) {
		*ret = m;
	}
	return reader_consumed(&r, len);
}

ssize_t hxfr_decode_cursor_image(
	const uint8_t *buf, size_t len, struct hxfr_cursor_image *ret, const uint8_t **ret_pixels) {
	struct reader r = {buf, len, false};
	struct hxfr_cursor_image m;
	m.scanout_id = read_u32(&r);
	m.visible = read_u32(&r);
	m.x = read_i32(&r);
	m.y = read_i32(&r);
	m.hot_x = read_u32(&r);
	m.hot_y = read_u32(&r);
	m.width = read_u32(&r);
	m.height = read_u32(&r);
	if (m.width > HXFR_CURSOR_MAX_SIDE || m.height > HXFR_CURSOR_MAX_SIDE) {
		return -EBADMSG;
	}
	const uint8_t *pixels = read_bytes(&r, 4 * (size_t)m.width * m.height);
	if (!r.missing) {
		*ret = m;
		*ret_pixels = pixels;
	}
	return reader_consumed(&r, len);
}

ssize_t hxfr_decode_cursor_position(
	const uint8_t *buf, size_t len, struct hxfr_cursor_position *ret) {
	struct reader r = {buf, len, false};
	struct hxfr_cursor_position m;
	m.scanout_id = read_u32(&r);
	m.visible = read_u32(&r);
	m.x = read_i32(&r);
	m.y = read_i32(&r);
	if (!r.missing) {
		*ret = m;
	}
	return reader_consumed(&r, len);
}

ssize_t hxfr_decode_scanout_state(const uint8_t *buf, size_t len, struct hxfr_scanout_state *ret) {
	struct reader r = {buf, len, false};
	struct hxfr_scanout_state m;
	m.scanout_id = read_u32(&r);
	m.flags = read_u32(&r);
	m.width = read_u32(&r);
	m.height = read_u32(&r);
	m.refresh = read_u32(&r);
	m.generation = read_u32(&r);
	m.subscribers = read_u32(&r);
	(void)read_u32(&r);
	if (!r.missing) {
		*ret = m;
	}
	return reader_consumed(&r, len);
}

ssize_t hxfr_decode_stats_resp(const uint8_t *buf, size_t len, struct hxfr_stats_resp *ret) {
	struct reader r = {buf, len, false};
	struct hxfr_stats_resp m;
	m.count = read_u32(&r);
	m.entry_size = read_u32(&r);
	m.now_ns = read_u64(&r);
	if (!r.missing && m.entry_size < HXFR_STATS_ENTRY_MIN) {
		return -EBADMSG;
	}
	if (!r.missing) {
		*ret = m;
	}
	return reader_consumed(&r, len);
}

ssize_t hxfr_decode_stats(const uint8_t *buf, size_t len, struct hxfr_stats *ret) {
	struct reader r = {buf, len, false};
	struct hxfr_stats m = {0};
	m.scanout_id = read_u32(&r);
	m.watching = read_u32(&r);
	m.ready = read_u32(&r);
	(void)read_u32(&r);
	m.flips = read_u64(&r);
	m.captured = read_u64(&r);
	m.superseded = read_u64(&r);
	m.encoded = read_u64(&r);
	m.keyframes = read_u64(&r);
	m.encoded_bytes = read_u64(&r);
	m.dirty_mbs = read_u64(&r);
	m.convert_ns = read_u64(&r);
	m.encode_ns = read_u64(&r);
	m.sent_units = read_u64(&r);
	m.sent_bytes = read_u64(&r);
	m.dropped_units = read_u64(&r);
	if (!r.missing && len >= HXFR_STATS_ENTRY_SIZE) {
		m.torn = read_u64(&r);
		read_text(&r, m.encoder, sizeof(m.encoder));
		m.encoder_lost = read_u64(&r);
		m.encoder_recovered = read_u64(&r);
	}
	if (!r.missing) {
		*ret = m;
	}
	return reader_consumed(&r, len);
}

ssize_t hxfr_encode_header(uint8_t *buf, size_t size, const struct hxfr_header *header) {
	struct writer w = {.p = buf, .left = size};
	write_u32(&w, HXFR_MAGIC);
	write_u8(&w, header->type);
	write_u8(&w, header->flags);
	write_u16(&w, header->session_id);
	write_u32(&w, header->payload_size);
	return writer_written(&w);
}

ssize_t hxfr_encode_frame_request(uint8_t *buf, size_t size, uint16_t session,
	const struct hxfr_frame_request *msg, uint32_t pixel_bytes) {
	struct hxfr_header header = {
		.type = HXFR_FRAME_REQUEST,
		.flags = pixel_bytes ? HXFR_FLAG_PIXEL_DATA : 0,
		.session_id = session,
		.payload_size = HXFR_FRAME_REQUEST_SIZE + pixel_bytes,
	};
	ssize_t n = hxfr_encode_header(buf, size, &header);
	if (n < 0) {
		return n;
	}
	struct writer w = {.p = buf + n, .left = size - (size_t)n, .written = (size_t)n};
	write_u32(&w, msg->resource_id);
	write_u32(&w, msg->width);
	write_u32(&w, msg->height);
	write_u32(&w, msg->format);
	write_u32(&w, msg->stride);
	write_u64(&w, (uint64_t)msg->pts);
	write_u64(&w, (uint64_t)msg->duration);
	write_u8(&w, msg->force_keyframe);
	write_zeroes(&w, 7);
	return writer_written(&w);
}

ssize_t hxfr_encode_frame_response(uint8_t *buf, size_t size, uint16_t session,
	const struct hxfr_frame_response *msg, uint32_t au_size) {
	struct writer w = begin(
		buf, size, HXFR_FRAME_RESPONSE, session, (size_t)HXFR_FRAME_PREFIX_SIZE + au_size);
	write_u64(&w, (uint64_t)msg->pts);
	write_u64(&w, (uint64_t)msg->dts);
	write_u8(&w, msg->is_keyframe);
	write_zeroes(&w, 3);
	write_u32(&w, 1);
	write_u32(&w, au_size);
	return writer_written(&w);
}

ssize_t hxfr_encode_config_req(uint8_t *buf, size_t size, const struct hxfr_config_req *msg) {
	struct writer w = begin(buf, size, HXFR_CONFIG_REQ, 0, HXFR_CONFIG_REQ_SIZE);
	write_u32(&w, msg->width);
	write_u32(&w, msg->height);
	write_u32(&w, msg->bitrate);
	write_u32(&w, msg->framerate_num);
	write_u32(&w, msg->framerate_den);
	write_u8(&w, msg->profile);
	write_u8(&w, msg->level);
	write_u8(&w, msg->realtime);
	write_zeroes(&w, 5);
	return writer_written(&w);
}

ssize_t hxfr_encode_enable_scanout(
	uint8_t *buf, size_t size, uint16_t session, const struct hxfr_enable_scanout *msg) {
	struct writer w = begin(buf, size, HXFR_ENABLE_SCANOUT, session, HXFR_ENABLE_SCANOUT_SIZE);
	write_u32(&w, msg->scanout_id);
	write_u32(&w, msg->width);
	write_u32(&w, msg->height);
	write_u32(&w, msg->refresh);
	return writer_written(&w);
}

ssize_t hxfr_encode_scanout_id(
	uint8_t *buf, size_t size, enum hxfr_type type, uint16_t session, uint32_t scanout_id) {
	struct writer w = begin(buf, size, type, session, 4);
	write_u32(&w, scanout_id);
	return writer_written(&w);
}

ssize_t hxfr_encode_scanout_resp(
	uint8_t *buf, size_t size, uint16_t session, uint32_t scanout_id, bool success) {
	char name[HXFR_CONNECTOR_NAME_SIZE];
	(void)snprintf(name, sizeof(name), "Virtual-%" PRIu64, (uint64_t)scanout_id + 1);
	struct writer w = begin(buf, size, HXFR_SCANOUT_RESP, session, HXFR_SCANOUT_RESP_SIZE);
	write_u32(&w, scanout_id);
	write_u32(&w, success);
	write_text(&w, name, sizeof(name));
	return writer_written(&w);
}

ssize_t hxfr_encode_subscribe_resp(
	uint8_t *buf, size_t size, const struct hxfr_subscribe_resp *msg) {
	struct writer w = begin(buf, size, HXFR_SUBSCRIBE_RESP, (uint16_t)msg->scanout_id,
		HXFR_SUBSCRIBE_RESP_SIZE);
	write_u32(&w, msg->scanout_id);
	write_u32(&w, msg->success);
	return writer_written(&w);
}

ssize_t hxfr_encode_error(
	uint8_t *buf, size_t size, uint16_t session, int32_t code, const char *text) {
	struct writer w = begin(buf, size, HXFR_ERROR, session, HXFR_ERROR_SIZE);
	write_u32(&w, (uint32_t)code);
	write_text(&w, text, HXFR_ERROR_TEXT_SIZE);
	return writer_written(&w);
}

ssize_t hxfr_encode_hello(uint8_t *buf, size_t size, const struct hxfr_hello *msg) {
	struct writer w = begin(buf, size, HXFR_HELLO, 0, HXFR_HELLO_SIZE);
	write_u32(&w, msg->version);
	write_u32(&w, msg->features);
	return writer_written(&w);
}

ssize_t hxfr_encode_hello_resp(
	uint8_t *buf, size_t size, uint16_t session, const struct hxfr_hello_resp *msg) {
	struct writer w = begin(buf, size, HXFR_HELLO_RESP, session, HXFR_HELLO_RESP_SIZE);
	write_u32(&w, msg->version);
	write_u32(&w, msg->features);
	write_u32(&w, msg->n_scanouts);
	write_u32(&w, 0);
	write_u64(&w, msg->server_id);
	write_u64(&w, msg->now_ns);
	return writer_written(&w);
}

ssize_t hxfr_encode_flip_info(uint8_t *buf, size_t size, const struct hxfr_flip_info *msg) {
	struct writer w =
		begin(buf, size, HXFR_FLIP_INFO, (uint16_t)msg->scanout_id, HXFR_FLIP_INFO_SIZE);
	write_u32(&w, msg->scanout_id);
	write_u32(&w, msg->refine);
	write_u64(&w, msg->sequence);
	write_u64(&w, msg->flip_ns);
	write_u64(&w, msg->encoded_ns);
	write_u64(&w, msg->send_ns);
	write_u32(&w, msg->dirty_mbs);
	write_u32(&w, msg->damage_x);
	write_u32(&w, msg->damage_y);
	write_u32(&w, msg->damage_width);
	write_u32(&w, msg->damage_height);
	write_u32(&w, msg->width);
	write_u32(&w, msg->height);
	write_u32(&w, msg->dropped);
	return writer_written(&w);
}

ssize_t hxfr_encode_cursor_image(uint8_t *buf, size_t size, const struct hxfr_cursor_image *msg) {
	struct writer w = begin(buf, size, HXFR_CURSOR_IMAGE, (uint16_t)msg->scanout_id,
		HXFR_CURSOR_IMAGE_SIZE + 4 * (size_t)msg->width * msg->height);
	write_u32(&w, msg->scanout_id);
	write_u32(&w, msg->visible);
	write_u32(&w, (uint32_t)msg->x);
	write_u32(&w, (uint32_t)msg->y);
	write_u32(&w, msg->hot_x);
	write_u32(&w, msg->hot_y);
	write_u32(&w, msg->width);
	write_u32(&w, msg->height);
	return writer_written(&w);
}

ssize_t hxfr_encode_cursor_position(
	uint8_t *buf, size_t size, const struct hxfr_cursor_position *msg) {
	struct writer w = begin(buf, size, HXFR_CURSOR_POSITION, (uint16_t)msg->scanout_id,
		HXFR_CURSOR_POSITION_SIZE);
	write_u32(&w, msg->scanout_id);
	write_u32(&w, msg->visible);
	write_u32(&w, (uint32_t)msg->x);
	write_u32(&w, (uint32_t)msg->y);
	return writer_written(&w);
}

ssize_t hxfr_encode_scanout_state(uint8_t *buf, size_t size, const struct hxfr_scanout_state *msg) {
	struct writer w = begin(
		buf, size, HXFR_SCANOUT_STATE, (uint16_t)msg->scanout_id, HXFR_SCANOUT_STATE_SIZE);
	write_u32(&w, msg->scanout_id);
	write_u32(&w, msg->flags);
	write_u32(&w, msg->width);
	write_u32(&w, msg->height);
	write_u32(&w, msg->refresh);
	write_u32(&w, msg->generation);
	write_u32(&w, msg->subscribers);
	write_u32(&w, 0);
	return writer_written(&w);
}

static void write_stats(struct writer *w, const struct hxfr_stats *s) {
	write_u32(w, s->scanout_id);
	write_u32(w, s->watching);
	write_u32(w, s->ready);
	write_u32(w, 0);
	write_u64(w, s->flips);
	write_u64(w, s->captured);
	write_u64(w, s->superseded);
	write_u64(w, s->encoded);
	write_u64(w, s->keyframes);
	write_u64(w, s->encoded_bytes);
	write_u64(w, s->dirty_mbs);
	write_u64(w, s->convert_ns);
	write_u64(w, s->encode_ns);
	write_u64(w, s->sent_units);
	write_u64(w, s->sent_bytes);
	write_u64(w, s->dropped_units);
	write_u64(w, s->torn);
	write_text(w, s->encoder, sizeof(s->encoder));
	write_u64(w, s->encoder_lost);
	write_u64(w, s->encoder_recovered);
}

ssize_t hxfr_encode_stats_resp(uint8_t *buf, size_t size, uint16_t session, uint64_t now_ns,
	const struct hxfr_stats *entries, uint32_t count) {
	struct writer w = begin(buf, size, HXFR_STATS_RESP, session,
		HXFR_STATS_RESP_SIZE + (size_t)count * HXFR_STATS_ENTRY_SIZE);
	write_u32(&w, count);
	write_u32(&w, HXFR_STATS_ENTRY_SIZE);
	write_u64(&w, now_ns);
	for (uint32_t i = 0; i < count; i++) {
		write_stats(&w, &entries[i]);
	}
	return writer_written(&w);
}

/*
 * Leases and tokens
 */
static void read_token(struct reader *r, uint8_t ret[HXFR_TOKEN_SIZE]) {
	memcpy(ret, read_bytes(r, HXFR_TOKEN_SIZE), HXFR_TOKEN_SIZE);
}

static void write_token(struct writer *w, const uint8_t token[HXFR_TOKEN_SIZE]) {
	uint8_t *p = write_bytes(w, HXFR_TOKEN_SIZE);
	if (p) {
		memcpy(p, token, HXFR_TOKEN_SIZE);
	}
}

ssize_t hxfr_decode_authenticate(const uint8_t *buf, size_t len, uint8_t ret[HXFR_TOKEN_SIZE]) {
	struct reader r = {buf, len, false};
	const uint8_t *key = read_bytes(&r, HXFR_TOKEN_SIZE);
	if (!r.missing) {
		memcpy(ret, key, HXFR_TOKEN_SIZE);
	}
	return reader_consumed(&r, len);
}

ssize_t hxfr_decode_authenticate_resp(const uint8_t *buf, size_t len, uint32_t *ret_success) {
	return hxfr_decode_scanout_id(buf, len, ret_success);
}

ssize_t hxfr_decode_enable_lease(const uint8_t *buf, size_t len, struct hxfr_enable_lease *ret) {
	struct hxfr_enable_lease m;
	ssize_t n = hxfr_decode_enable_scanout(buf, len, &m.scanout);
	if (n <= 0) {
		return n;
	}
	struct reader r = {buf + n, len - (size_t)n, false};
	read_token(&r, m.token);
	if (!r.missing) {
		*ret = m;
	}
	/* From the first byte: what the cursor has left is left of the whole. */
	return reader_consumed(&r, len);
}

ssize_t hxfr_decode_lease_resp(const uint8_t *buf, size_t len, struct hxfr_lease_resp *ret) {
	struct hxfr_lease_resp m;
	ssize_t n = hxfr_decode_scanout_resp(buf, len, &m.scanout);
	if (n <= 0) {
		return n;
	}
	struct reader r = {buf + n, len - (size_t)n, false};
	read_token(&r, m.token);
	if (!r.missing) {
		*ret = m;
	}
	/* From the first byte: what the cursor has left is left of the whole. */
	return reader_consumed(&r, len);
}

ssize_t hxfr_decode_show_token(const uint8_t *buf, size_t len, struct hxfr_show_token *ret) {
	struct reader r = {buf, len, false};
	struct hxfr_show_token m = {.scanout_id = read_u32(&r)};
	read_token(&r, m.token);
	if (!r.missing) {
		*ret = m;
	}
	return reader_consumed(&r, len);
}

ssize_t hxfr_encode_authenticate(uint8_t *buf, size_t size, const uint8_t key[HXFR_TOKEN_SIZE]) {
	struct writer w = begin(buf, size, HXFR_AUTHENTICATE, 0, HXFR_AUTHENTICATE_SIZE);
	write_token(&w, key);
	return writer_written(&w);
}

ssize_t hxfr_encode_authenticate_resp(uint8_t *buf, size_t size, uint16_t session, bool success) {
	struct writer w =
		begin(buf, size, HXFR_AUTHENTICATE_RESP, session, HXFR_AUTHENTICATE_RESP_SIZE);
	write_u32(&w, success);
	return writer_written(&w);
}

ssize_t hxfr_encode_enable_lease(
	uint8_t *buf, size_t size, uint16_t session, const struct hxfr_enable_lease *msg) {
	struct writer w = begin(buf, size, HXFR_ENABLE_LEASE, session, HXFR_ENABLE_LEASE_SIZE);
	write_u32(&w, msg->scanout.scanout_id);
	write_u32(&w, msg->scanout.width);
	write_u32(&w, msg->scanout.height);
	write_u32(&w, msg->scanout.refresh);
	write_token(&w, msg->token);
	return writer_written(&w);
}

ssize_t hxfr_encode_lease_resp(uint8_t *buf, size_t size, uint16_t session, uint32_t scanout_id,
	bool success, const uint8_t token[HXFR_TOKEN_SIZE]) {
	char name[HXFR_CONNECTOR_NAME_SIZE];
	(void)snprintf(name, sizeof(name), "Virtual-%" PRIu64, (uint64_t)scanout_id + 1);
	struct writer w = begin(buf, size, HXFR_LEASE_RESP, session, HXFR_LEASE_RESP_SIZE);
	write_u32(&w, scanout_id);
	write_u32(&w, success);
	write_text(&w, name, sizeof(name));
	write_token(&w, token);
	return writer_written(&w);
}

ssize_t hxfr_encode_show_token(
	uint8_t *buf, size_t size, uint16_t session, const struct hxfr_show_token *msg) {
	struct writer w = begin(buf, size, HXFR_SHOW_TOKEN, session, HXFR_SHOW_TOKEN_SIZE);
	write_u32(&w, msg->scanout_id);
	write_token(&w, msg->token);
	return writer_written(&w);
}
