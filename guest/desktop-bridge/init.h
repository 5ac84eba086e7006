/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The first message of a viewer: JSON (docs/protocol/websocket.md, section 2). */
#ifndef HELIX_BRIDGE_INIT_H
#define HELIX_BRIDGE_INIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <helix/ws.h>

#define INIT_ID_SIZE 128u

enum init_extension {
	INIT_FRAME_TIMES = 1u << 0,     /* "frame-times" */
	INIT_CURSOR_POSITION = 1u << 1, /* "cursor-position" */
	INIT_CLIPBOARD = 1u << 2,       /* "clipboard" */
	INIT_AUDIO = 1u << 3,           /* "audio" */
	INIT_MICROPHONE = 1u << 4,      /* "microphone" */
};

/* Texts are valid UTF-8, cut to their room. */
struct viewer_init {
	char session_id[INIT_ID_SIZE]; /* empty: no presence */
	char client_id[INIT_ID_SIZE];  /* client_unique_id; may be empty */
	char user_id[INIT_ID_SIZE];
	char user_name[WS_TEXT_MAX + 1];
	char avatar_url[WS_AVATAR_MAX + 1];
	uint16_t width, height; /* as asked for; 0 if not */
	uint8_t fps;            /* at least 1 */
	uint32_t bitrate;       /* bits/s; 0: no bound asked for */
	bool user_retry;
	unsigned extensions; /* enum init_extension */
};

/* -EBADMSG: no JSON object of type "init". Keys that are unknown or of another type are ignored. */
int init_parse(const char *text, size_t size, struct viewer_init *ret);

/* A control message's JSON. -EBADMSG if it is none, -ENODATA without the key. */
int control_parse(const char *text, size_t size, bool *ret_video_enabled);
int control_parse_audio(const char *text, size_t size, bool *ret_audio_enabled);

#endif
