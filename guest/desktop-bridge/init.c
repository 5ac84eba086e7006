/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <jansson.h>
#include <string.h>

#include "init.h"
#include "proto/ws-messages.h"
#include "util.h"

#define FPS_DEFAULT 60

/* A text with a NUL in it is none. */
static void get_text(const json_t *object, const char *key, char *to, size_t size) {
	const json_t *value = json_object_get(object, key);
	const char *text = json_string_value(value);
	to[0] = '\0';
	if (text && json_string_length(value) == strlen(text)) {
		size_t n = ws_text_fit(text, size - 1);
		memcpy(to, text, n);
		to[n] = '\0';
	}
}

static uint64_t get_number(const json_t *object, const char *key, uint64_t max) {
	const json_t *value = json_object_get(object, key);
	double n = json_number_value(value); /* 0 for what is no number */
	return n >= (double)max ? max : n > 0 ? (uint64_t)n : 0;
}

static unsigned get_extensions(const json_t *object) {
	static const struct {
		const char *name;
		unsigned bit;
	} known[] = {
		{"frame-times", INIT_FRAME_TIMES},
		{"cursor-position", INIT_CURSOR_POSITION},
		{"clipboard", INIT_CLIPBOARD},
		{"audio", INIT_AUDIO},
		{"microphone", INIT_MICROPHONE},
	};
	const json_t *list = json_object_get(object, "extensions");
	unsigned bits = 0;
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *name = json_string_value(json_array_get(list, i));
		for (size_t k = 0; name && k < ARRAY_SIZE(known); k++) {
			bits |= strcmp(name, known[k].name) == 0 ? known[k].bit : 0;
		}
	}
	return bits;
}

int init_parse(const char *text, size_t size, struct viewer_init *ret) {
	json_t *root = json_loadb(text, size, 0, NULL);
	const char *type = json_string_value(json_object_get(root, "type"));
	if (!type || strcmp(type, "init") != 0) {
		json_decref(root);
		return -EBADMSG;
	}
	*ret = (struct viewer_init){
		.width = (uint16_t)get_number(root, "width", UINT16_MAX),
		.height = (uint16_t)get_number(root, "height", UINT16_MAX),
		.fps = (uint8_t)get_number(root, "fps", UINT8_MAX),
		.bitrate = 1000 * (uint32_t)get_number(root, "bitrate", 1000000),
		.user_retry = json_is_true(json_object_get(root, "user_retry")),
		.extensions = get_extensions(root),
	};
	ret->fps = ret->fps ? ret->fps : FPS_DEFAULT;
	get_text(root, "session_id", ret->session_id, sizeof(ret->session_id));
	get_text(root, "client_unique_id", ret->client_id, sizeof(ret->client_id));
	get_text(root, "user_id", ret->user_id, sizeof(ret->user_id));
	get_text(root, "user_name", ret->user_name, sizeof(ret->user_name));
	get_text(root, "avatar_url", ret->avatar_url, sizeof(ret->avatar_url));
	if (ret->user_name[0] == '\0') {
		memcpy(ret->user_name, "User", 5);
	}
	json_decref(root);
	return 0;
}

static int parse_switch(const char *text, size_t size, const char *key, bool *ret) {
	json_t *root = json_loadb(text, size, 0, NULL);
	const json_t *value = json_object_get(root, key);
	int r = !json_is_object(root) ? -EBADMSG : !json_is_boolean(value) ? -ENODATA : 0;
	if (r == 0) {
		*ret = json_is_true(value);
	}
	json_decref(root);
	return r;
}

int control_parse(const char *text, size_t size, bool *ret_video_enabled) {
	return parse_switch(text, size, "set_video_enabled", ret_video_enabled);
}

int control_parse_audio(const char *text, size_t size, bool *ret_audio_enabled) {
	return parse_switch(text, size, "set_audio_enabled", ret_audio_enabled);
}
