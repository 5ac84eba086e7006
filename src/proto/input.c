/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <linux/input-event-codes.h>
#include <string.h>

#include "input.h"
#include "wire.h"

static bool read_header(struct reader *r, uint8_t *ret_type) {
	uint32_t magic = read_u32(r);
	*ret_type = read_u8(r);
	uint32_t zeroes = read_u8(r);
	zeroes |= read_u16(r);
	return !r->missing && magic == INPUT_MAGIC && zeroes == 0;
}

static void write_header(struct writer *w, uint8_t type) {
	write_u32(w, INPUT_MAGIC);
	write_u8(w, type);
	write_zeroes(w, 3);
}

int input_decode_header(const uint8_t *buf, size_t len, uint8_t *ret_type) {
	struct reader r = {.p = buf, .left = len};
	uint8_t type;
	if (!read_header(&r, &type)) {
		return -EBADMSG;
	}
	*ret_type = type;
	return INPUT_HEADER_SIZE;
}

int input_decode_create(const uint8_t *buf, size_t len, struct input_create *ret) {
	struct reader r = {.p = buf, .left = len};
	struct input_create msg;
	msg.kinds = read_u32(&r);
	read_text(&r, msg.name, sizeof(msg.name));
	if (r.missing) {
		return -EBADMSG;
	}
	*ret = msg;
	return 0;
}

int input_decode_attach(const uint8_t *buf, size_t len, struct input_attach *ret) {
	if (len < INPUT_ATTACH_SIZE) {
		return -EBADMSG;
	}
	memcpy(ret->token, buf, sizeof(ret->token));
	return 0;
}

int input_decode_events(
	const uint8_t *buf, size_t len, struct input_record ret[INPUT_RECORDS_MAX]) {
	struct reader r = {.p = buf, .left = len};
	size_t count = len / INPUT_RECORD_SIZE;
	if (count == 0 || count > INPUT_RECORDS_MAX || len % INPUT_RECORD_SIZE != 0) {
		return -EBADMSG;
	}
	for (size_t i = 0; i < count; i++) {
		ret[i].kind = read_u8(&r);
		ret[i].type = read_u16(&r);
		ret[i].code = read_u16(&r);
		ret[i].value = read_i32(&r);
	}
	return (int)count;
}

static struct input_reply read_reply(struct reader *r) {
	struct input_reply msg;
	msg.code = read_u32(r);
	read_text(r, msg.text, sizeof(msg.text));
	return msg;
}

int input_decode_reply(const uint8_t *buf, size_t len, struct input_reply *ret) {
	struct reader r = {.p = buf, .left = len};
	struct input_reply msg = read_reply(&r);
	if (r.missing) {
		return -EBADMSG;
	}
	*ret = msg;
	return 0;
}

int input_decode_attached(const uint8_t *buf, size_t len, uint32_t *ret_kinds) {
	struct reader r = {.p = buf, .left = len};
	struct input_reply msg = read_reply(&r);
	uint32_t kinds = read_u32(&r);
	if (r.missing || msg.code != INPUT_OK) {
		return -EBADMSG;
	}
	*ret_kinds = kinds;
	return 0;
}

/* Of `size` bytes; a later version's may be longer. */
static bool read_entry(struct reader *r, uint32_t size, struct input_entry *ret) {
	ret->kind = read_u32(r);
	ret->major = read_u32(r);
	ret->minor = read_u32(r);
	read_text(r, ret->sysname, sizeof(ret->sysname));
	read_text(r, ret->properties, sizeof(ret->properties));
	(void)read_bytes(r, size - INPUT_ENTRY_SIZE);
	return !r->missing && ret->kind < _INPUT_KIND_MAX;
}

int input_decode_created(const uint8_t *buf, size_t len, struct input_created *ret) {
	struct reader r = {.p = buf, .left = len};
	struct input_created msg = {0};
	struct input_reply reply = read_reply(&r);
	memcpy(msg.token, read_bytes(&r, sizeof(msg.token)), sizeof(msg.token));
	msg.count = read_u32(&r);
	uint32_t entry_size = read_u32(&r);
	if (r.missing || reply.code != INPUT_OK || msg.count > _INPUT_KIND_MAX ||
		entry_size < INPUT_ENTRY_SIZE) {
		return -EBADMSG;
	}
	for (uint32_t i = 0; i < msg.count; i++) {
		if (!read_entry(&r, entry_size, &msg.entries[i])) {
			return -EBADMSG;
		}
	}
	*ret = msg;
	return 0;
}

ssize_t input_encode_create(uint8_t *buf, size_t size, const struct input_create *msg) {
	struct writer w = {.p = buf, .left = size};
	write_header(&w, INPUT_CREATE);
	write_u32(&w, msg->kinds);
	write_text(&w, msg->name, sizeof(msg->name));
	return writer_written(&w);
}

static void write_token(struct writer *w, const uint8_t token[INPUT_TOKEN_SIZE]) {
	uint8_t *p = write_bytes(w, INPUT_TOKEN_SIZE);
	if (p) {
		memcpy(p, token, INPUT_TOKEN_SIZE);
	}
}

ssize_t input_encode_attach(uint8_t *buf, size_t size, const struct input_attach *msg) {
	struct writer w = {.p = buf, .left = size};
	write_header(&w, INPUT_ATTACH);
	write_token(&w, msg->token);
	return writer_written(&w);
}

ssize_t input_encode_events(
	uint8_t *buf, size_t size, const struct input_record *records, size_t count) {
	struct writer w = {.p = buf, .left = size};
	write_header(&w, INPUT_EVENTS);
	for (size_t i = 0; i < count; i++) {
		write_u8(&w, records[i].kind);
		write_u16(&w, records[i].type);
		write_u16(&w, records[i].code);
		write_u32(&w, (uint32_t)records[i].value);
	}
	return writer_written(&w);
}

static void write_reply(struct writer *w, uint8_t type, uint32_t code, const char *text) {
	write_header(w, type | INPUT_REPLY_BIT);
	write_u32(w, code);
	write_text(w, text, INPUT_TEXT_SIZE);
}

ssize_t input_encode_error(uint8_t *buf, size_t size, uint8_t type, const struct input_reply *msg) {
	struct writer w = {.p = buf, .left = size};
	write_reply(&w, type, msg->code, msg->text);
	return writer_written(&w);
}

ssize_t input_encode_attached(uint8_t *buf, size_t size, uint32_t kinds) {
	struct writer w = {.p = buf, .left = size};
	write_reply(&w, INPUT_ATTACH, INPUT_OK, "");
	write_u32(&w, kinds);
	return writer_written(&w);
}

ssize_t input_encode_created(uint8_t *buf, size_t size, const struct input_created *msg) {
	struct writer w = {.p = buf, .left = size};
	write_reply(&w, INPUT_CREATE, INPUT_OK, "");
	write_token(&w, msg->token);
	write_u32(&w, msg->count);
	write_u32(&w, INPUT_ENTRY_SIZE);
	for (uint32_t i = 0; i < msg->count; i++) {
		const struct input_entry *e = &msg->entries[i];
		write_u32(&w, e->kind);
		write_u32(&w, e->major);
		write_u32(&w, e->minor);
		write_text(&w, e->sysname, sizeof(e->sysname));
		write_text(&w, e->properties, sizeof(e->properties));
	}
	return writer_written(&w);
}

/* Not the keys that a machine's own system acts on. */
static bool keyboard_has(uint16_t key) {
	return key > KEY_RESERVED && key <= KEY_MICMUTE && key != KEY_POWER && key != KEY_SLEEP &&
		key != KEY_WAKEUP && key != KEY_SUSPEND;
}

static bool pointer_has(uint16_t type, uint16_t code) {
	switch (type) {
	case EV_KEY:
		return code >= BTN_LEFT && code <= BTN_TASK;
	case EV_REL:
		return code == REL_X || code == REL_Y || code == REL_WHEEL || code == REL_HWHEEL ||
			code == REL_WHEEL_HI_RES || code == REL_HWHEEL_HI_RES;
	case EV_ABS:
		return code == ABS_X || code == ABS_Y;
	default:
		return false;
	}
}

static bool touch_has(uint16_t type, uint16_t code) {
	switch (type) {
	case EV_KEY:
		return code == BTN_TOUCH;
	case EV_ABS:
		/* The first two are there because libinput wants a touch screen to have them. */
		return code == ABS_X || code == ABS_Y || code == ABS_MT_SLOT ||
			code == ABS_MT_TRACKING_ID || code == ABS_MT_POSITION_X ||
			code == ABS_MT_POSITION_Y;
	default:
		return false;
	}
}

bool input_kind_has(uint32_t kind, uint16_t type, uint16_t code) {
	switch (kind) {
	case INPUT_KEYBOARD:
		return type == EV_KEY && keyboard_has(code);
	case INPUT_POINTER:
		return pointer_has(type, code);
	case INPUT_TOUCH:
		return touch_has(type, code);
	default:
		return false;
	}
}

static bool is_touch_record_valid(const struct input_record *record) {
	if (record->type != EV_ABS) {
		return false;
	}
	switch (record->code) {
	case ABS_MT_SLOT:
		return record->value >= 0 && record->value < (int32_t)INPUT_SLOTS;
	case ABS_MT_TRACKING_ID:
		return record->value >= -1 && record->value <= INPUT_TRACKING_ID_MAX;
	case ABS_MT_POSITION_X:
	case ABS_MT_POSITION_Y:
		return record->value >= 0 && record->value <= INPUT_POSITION_MAX;
	default:
		return false;
	}
}

bool input_record_is_valid(const struct input_record *record) {
	if (record->kind == INPUT_TOUCH) {
		return is_touch_record_valid(record);
	}
	if (!input_kind_has(record->kind, record->type, record->code)) {
		return false;
	}
	switch (record->type) {
	case EV_KEY:
		return record->value == 0 || record->value == 1;
	case EV_ABS:
		return record->value >= 0 && record->value <= INPUT_POSITION_MAX;
	default:
		return record->value >= -INPUT_RELATIVE_MAX && record->value <= INPUT_RELATIVE_MAX;
	}
}

const char *input_code_to_string(uint32_t code) {
	static const char *const names[_INPUT_CODE_MAX] = {
		[INPUT_OK] = "ok",
		[INPUT_DENIED] = "not allowed",
		[INPUT_LIMIT] = "too many devices",
		[INPUT_KERNEL] = "the kernel made no device",
		[INPUT_TIMEOUT] = "the device's node did not appear",
		[INPUT_NO_SET] = "no devices have that token",
		[INPUT_INVALID] = "malformed request",
		[INPUT_UNSUPPORTED] = "unknown request",
	};
	return code < _INPUT_CODE_MAX ? names[code] : "unknown error";
}

static const char *const kind_names[_INPUT_KIND_MAX] = {
	[INPUT_KEYBOARD] = "keyboard",
	[INPUT_POINTER] = "pointer",
	[INPUT_TOUCH] = "touch",
};

const char *input_kind_to_string(uint32_t kind) {
	return kind < _INPUT_KIND_MAX ? kind_names[kind] : "?";
}

int input_kind_from_string(const char *name) {
	for (int i = 0; i < _INPUT_KIND_MAX; i++) {
		if (strcmp(kind_names[i], name) == 0) {
			return i;
		}
	}
	return -EINVAL;
}
