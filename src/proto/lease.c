/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lease.h"
#include "wire.h"

ssize_t lease_decode_request(const uint8_t *buf, size_t len, struct lease_request *ret) {
	struct reader r = {.p = buf, .left = len};
	struct lease_request m = {.command = read_u8(&r), .a = 0};
	m.a = read_u32(&r);
	m.b = read_u32(&r);
	ssize_t n = reader_consumed(&r, len);
	if (n > 0) {
		*ret = m;
	}
	return n;
}

ssize_t lease_encode_request(uint8_t *buf, size_t size, const struct lease_request *msg) {
	struct writer w = {.p = buf, .left = size};
	write_u8(&w, msg->command);
	write_u32(&w, msg->a);
	write_u32(&w, msg->b);
	return writer_written(&w);
}

ssize_t lease_decode_response(const uint8_t *buf, size_t len, struct lease_response *ret) {
	struct reader r = {.p = buf, .left = len};
	struct lease_response m = {.status = read_u8(&r)};
	m.scanout = read_u32(&r);
	read_text(&r, m.text, sizeof(m.text));
	ssize_t n = reader_consumed(&r, len);
	if (n > 0) {
		*ret = m;
	}
	return n;
}

ssize_t lease_encode_response(uint8_t *buf, size_t size, const struct lease_response *msg) {
	struct writer w = {.p = buf, .left = size};
	write_u8(&w, msg->status);
	write_u32(&w, msg->scanout);
	write_text(&w, msg->text, LEASE_TEXT_SIZE);
	return writer_written(&w);
}

bool lease_is_extended(const struct lease_request *request, uint32_t *ret_size) {
	bool extended = request->a == LEASE_EXT_MAGIC && request->command >= LEASE_EXT_LEASE &&
		request->command < LEASE_REPLY_BIT;
	if (extended) {
		*ret_size = request->b;
	}
	return extended;
}

int lease_ext_min_payload(uint8_t command) {
	switch (command) {
	case LEASE_EXT_LEASE:
		return LEASE_EXT_LEASE_SIZE;
	case LEASE_EXT_RECLAIM:
		return LEASE_EXT_RECLAIM_SIZE;
	case LEASE_EXT_RESIZE:
		return LEASE_EXT_RESIZE_SIZE;
	case LEASE_EXT_RELEASE:
		return LEASE_EXT_RELEASE_SIZE;
	case LEASE_EXT_LIST:
		return 0;
	default:
		return -EBADMSG;
	}
}

static void read_token(struct reader *r, uint8_t ret[LEASE_TOKEN_SIZE]) {
	memcpy(ret, read_bytes(r, LEASE_TOKEN_SIZE), LEASE_TOKEN_SIZE);
}

static void write_token(struct writer *w, const uint8_t token[LEASE_TOKEN_SIZE]) {
	uint8_t *p = write_bytes(w, LEASE_TOKEN_SIZE);
	if (p) {
		memcpy(p, token, LEASE_TOKEN_SIZE);
	}
}

static void write_header(struct writer *w, uint8_t command, uint32_t payload) {
	write_u8(w, command);
	write_u32(w, LEASE_EXT_MAGIC);
	write_u32(w, payload);
}

ssize_t lease_decode_ext_lease(const uint8_t *buf, size_t len, struct lease_ext_lease *ret) {
	struct reader r = {.p = buf, .left = len};
	struct lease_ext_lease m = {.flags = read_u32(&r)};
	m.width = read_u32(&r);
	m.height = read_u32(&r);
	m.refresh = read_u32(&r);
	m.scanout = read_u32(&r);
	m.wait_ms = read_u32(&r);
	read_text(&r, m.name, sizeof(m.name));
	ssize_t n = reader_consumed(&r, len);
	if (n > 0) {
		*ret = m;
	}
	return n;
}

ssize_t lease_encode_ext_lease(uint8_t *buf, size_t size, const struct lease_ext_lease *msg) {
	struct writer w = {.p = buf, .left = size};
	write_header(&w, LEASE_EXT_LEASE, LEASE_EXT_LEASE_SIZE);
	write_u32(&w, msg->flags);
	write_u32(&w, msg->width);
	write_u32(&w, msg->height);
	write_u32(&w, msg->refresh);
	write_u32(&w, msg->scanout);
	write_u32(&w, msg->wait_ms);
	write_text(&w, msg->name, LEASE_NAME_SIZE);
	return writer_written(&w);
}

ssize_t lease_decode_ext_resize(const uint8_t *buf, size_t len, struct lease_ext_resize *ret) {
	struct reader r = {.p = buf, .left = len};
	struct lease_ext_resize m;
	read_token(&r, m.token);
	m.width = read_u32(&r);
	m.height = read_u32(&r);
	m.refresh = read_u32(&r);
	ssize_t n = reader_consumed(&r, len);
	if (n > 0) {
		*ret = m;
	}
	return n;
}

ssize_t lease_encode_ext_resize(uint8_t *buf, size_t size, const struct lease_ext_resize *msg) {
	struct writer w = {.p = buf, .left = size};
	write_header(&w, LEASE_EXT_RESIZE, LEASE_EXT_RESIZE_SIZE);
	write_token(&w, msg->token);
	write_u32(&w, msg->width);
	write_u32(&w, msg->height);
	write_u32(&w, msg->refresh);
	return writer_written(&w);
}

ssize_t lease_decode_ext_token(const uint8_t *buf, size_t len, uint8_t ret[LEASE_TOKEN_SIZE]) {
	if (len < LEASE_TOKEN_SIZE) {
		return 0;
	}
	memcpy(ret, buf, LEASE_TOKEN_SIZE);
	return (ssize_t)LEASE_TOKEN_SIZE;
}

ssize_t lease_encode_ext_token(
	uint8_t *buf, size_t size, uint8_t command, const uint8_t token[LEASE_TOKEN_SIZE]) {
	struct writer w = {.p = buf, .left = size};
	write_header(&w, command, LEASE_TOKEN_SIZE);
	write_token(&w, token);
	return writer_written(&w);
}

ssize_t lease_encode_ext_list(uint8_t *buf, size_t size) {
	struct writer w = {.p = buf, .left = size};
	write_header(&w, LEASE_EXT_LIST, 0);
	return writer_written(&w);
}

ssize_t lease_decode_ext_reply_header(
	const uint8_t *buf, size_t len, uint8_t command, uint32_t *ret_size) {
	struct lease_request m;
	ssize_t n = lease_decode_request(buf, len, &m);
	if (n > 0) {
		if (m.command != (command | LEASE_REPLY_BIT) || m.a != LEASE_EXT_MAGIC ||
			m.b > LEASE_EXT_REPLY_MAX) {
			return -EBADMSG;
		}
		*ret_size = m.b;
	}
	return n;
}

ssize_t lease_decode_ext_reply(const uint8_t *buf, size_t len, struct lease_ext_reply *ret) {
	struct reader r = {.p = buf, .left = len};
	struct lease_ext_reply m = {.code = read_u32(&r)};
	m.scanout = read_u32(&r);
	m.width = read_u32(&r);
	m.height = read_u32(&r);
	m.refresh = read_u32(&r);
	m.connector_id = read_u32(&r);
	m.crtc_id = read_u32(&r);
	m.primary_plane_id = read_u32(&r);
	m.cursor_plane_id = read_u32(&r);
	m.export_id = read_u32(&r);
	read_token(&r, m.token);
	read_text(&r, m.connector, sizeof(m.connector));
	read_text(&r, m.exporter, sizeof(m.exporter));
	read_text(&r, m.text, sizeof(m.text));
	ssize_t n = reader_consumed(&r, len);
	if (n > 0) {
		*ret = m;
	}
	return n;
}

ssize_t lease_encode_ext_reply(
	uint8_t *buf, size_t size, uint8_t command, const struct lease_ext_reply *msg) {
	struct writer w = {.p = buf, .left = size};
	write_header(&w, (uint8_t)(command | LEASE_REPLY_BIT), LEASE_EXT_REPLY_SIZE);
	write_u32(&w, msg->code);
	write_u32(&w, msg->scanout);
	write_u32(&w, msg->width);
	write_u32(&w, msg->height);
	write_u32(&w, msg->refresh);
	write_u32(&w, msg->connector_id);
	write_u32(&w, msg->crtc_id);
	write_u32(&w, msg->primary_plane_id);
	write_u32(&w, msg->cursor_plane_id);
	write_u32(&w, msg->export_id);
	write_token(&w, msg->token);
	write_text(&w, msg->connector, sizeof(msg->connector));
	write_text(&w, msg->exporter, sizeof(msg->exporter));
	write_text(&w, msg->text, sizeof(msg->text));
	return writer_written(&w);
}

ssize_t lease_decode_ext_list(
	const uint8_t *buf, size_t len, uint32_t *ret_count, uint32_t *ret_entry_size) {
	struct reader r = {.p = buf, .left = len};
	uint32_t count = read_u32(&r), entry_size = read_u32(&r);
	ssize_t n = reader_consumed(&r, len);
	if (n > 0) {
		if (entry_size < LEASE_EXT_ENTRY_SIZE) {
			return -EBADMSG;
		}
		*ret_count = count;
		*ret_entry_size = entry_size;
	}
	return n;
}

ssize_t lease_decode_ext_entry(const uint8_t *buf, size_t len, struct lease_ext_entry *ret) {
	struct reader r = {.p = buf, .left = len};
	struct lease_ext_entry m = {.scanout = read_u32(&r)};
	m.state = read_u32(&r);
	m.width = read_u32(&r);
	m.height = read_u32(&r);
	m.refresh = read_u32(&r);
	m.uid = read_u32(&r);
	m.pid = read_u32(&r);
	m.age_s = read_u32(&r);
	m.lessee = read_u32(&r);
	read_text(&r, m.name, sizeof(m.name));
	read_text(&r, m.peer, sizeof(m.peer));
	ssize_t n = reader_consumed(&r, len);
	if (n > 0) {
		*ret = m;
	}
	return n;
}

ssize_t lease_encode_ext_list_reply(
	uint8_t *buf, size_t size, const struct lease_ext_entry *entries, uint32_t count) {
	struct writer w = {.p = buf, .left = size};
	if (count > (LEASE_EXT_REPLY_MAX - LEASE_EXT_LIST_REPLY_SIZE) / LEASE_EXT_ENTRY_SIZE) {
		return -ENOBUFS;
	}
	write_header(&w, LEASE_EXT_LIST | LEASE_REPLY_BIT,
		LEASE_EXT_LIST_REPLY_SIZE + count * LEASE_EXT_ENTRY_SIZE);
	write_u32(&w, count);
	write_u32(&w, LEASE_EXT_ENTRY_SIZE);
	for (uint32_t i = 0; i < count; i++) {
		const struct lease_ext_entry *e = &entries[i];
		write_u32(&w, e->scanout);
		write_u32(&w, e->state);
		write_u32(&w, e->width);
		write_u32(&w, e->height);
		write_u32(&w, e->refresh);
		write_u32(&w, e->uid);
		write_u32(&w, e->pid);
		write_u32(&w, e->age_s);
		write_u32(&w, e->lessee);
		write_text(&w, e->name, sizeof(e->name));
		write_text(&w, e->peer, sizeof(e->peer));
	}
	return writer_written(&w);
}

const char *lease_code_to_string(uint32_t code) {
	static const char *const names[_LEASE_CODE_MAX] = {
		[LEASE_OK] = "ok",
		[LEASE_NO_OUTPUT] = "no output is free",
		[LEASE_EXPORTER] = "the exporter does not enable it",
		[LEASE_TIMEOUT] = "the output did not come up",
		[LEASE_KERNEL] = "the kernel made no lease",
		[LEASE_DENIED] = "not allowed",
		[LEASE_LIMIT] = "too many leases",
		[LEASE_NO_LEASE] = "no such lease",
		[LEASE_INVALID] = "malformed request",
		[LEASE_UNSUPPORTED] = "unknown command",
	};
	return code < _LEASE_CODE_MAX ? names[code] : "unknown error";
}

const char *lease_state_to_string(uint32_t state) {
	static const char *const names[_LEASE_STATE_MAX] = {
		[LEASE_STATE_FREE] = "free",
		[LEASE_STATE_STARTING] = "starting",
		[LEASE_STATE_LEASED] = "leased",
		[LEASE_STATE_ORPHANED] = "orphaned",
	};
	return state < _LEASE_STATE_MAX ? names[state] : "?";
}

void lease_token_to_string(
	const uint8_t token[LEASE_TOKEN_SIZE], char ret[2 * LEASE_TOKEN_SIZE + 1]) {
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < LEASE_TOKEN_SIZE; i++) {
		ret[2 * i] = digits[token[i] >> 4];
		ret[2 * i + 1] = digits[token[i] & 15];
	}
	ret[2 * LEASE_TOKEN_SIZE] = '\0';
}

static int hex_digit(char c) {
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	if (c >= 'a' && c <= 'f') {
		return c - 'a' + 10;
	}
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int lease_token_from_string(const char *text, uint8_t ret[LEASE_TOKEN_SIZE]) {
	uint8_t token[LEASE_TOKEN_SIZE];
	if (strlen(text) != 2 * LEASE_TOKEN_SIZE) {
		return -EINVAL;
	}
	for (size_t i = 0; i < LEASE_TOKEN_SIZE; i++) {
		int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
		if (high < 0 || low < 0) {
			return -EINVAL;
		}
		token[i] = (uint8_t)(high << 4 | low);
	}
	memcpy(ret, token, sizeof(token));
	return 0;
}

bool lease_token_equal(const uint8_t a[LEASE_TOKEN_SIZE], const uint8_t b[LEASE_TOKEN_SIZE]) {
	uint8_t difference = 0;
	for (size_t i = 0; i < LEASE_TOKEN_SIZE; i++) {
		difference = (uint8_t)(difference | (a[i] ^ b[i]));
	}
	return difference == 0;
}

bool lease_token_is_zero(const uint8_t token[LEASE_TOKEN_SIZE]) {
	static const uint8_t zeroes[LEASE_TOKEN_SIZE];
	return lease_token_equal(token, zeroes);
}
