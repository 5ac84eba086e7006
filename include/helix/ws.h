/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The messages between desktop-bridge and its viewers over WebSocket: docs/protocol/websocket.md.
 * This header has the types, sizes and decoded forms; src/proto/ws-messages.h turns bytes into them
 * and back. Section numbers below are of that page.
 *
 * Byte order is mixed, for the sake of the clients that there are: video and control messages are
 * big-endian, cursor and presence messages little-endian. Offsets count from the type byte, which
 * is at 0.
 */
#ifndef HELIX_WS_H
#define HELIX_WS_H

#include <stdbool.h>
#include <stdint.h>

#define BRIDGE_PORT_DEFAULT 9876

enum ws_type {
	/* Server to client, section 4. */
	WS_VIDEO_FRAME = 0x01,
	WS_AUDIO_FRAME = 0x02, /* section 4.9: only for clients that asked for it */
	WS_STREAM_INIT = 0x30,
	WS_STREAM_ERROR = 0x31,
	WS_PONG = 0x41,
	WS_CURSOR_IMAGE = 0x50,
	WS_CURSOR_NAME = 0x51,
	WS_REMOTE_CURSOR = 0x53,
	WS_REMOTE_USER = 0x54,
	WS_AGENT_CURSOR = 0x55,
	WS_REMOTE_TOUCH = 0x56,
	WS_SELF_ID = 0x58,
	WS_FRAME_TIMES = 0x5A, /* section 4.8: only for clients that asked for it */
	WS_CLIPBOARD = 0x5B,   /* section 4.10: likewise */
	/* Client to server, section 5. */
	WS_KEYBOARD = 0x10,
	WS_MOUSE_BUTTON = 0x11, /* and wheel */
	WS_MOUSE_ABSOLUTE = 0x12,
	WS_MOUSE_RELATIVE = 0x13,
	WS_TOUCH = 0x14,
	WS_MICROPHONE = 0x17, /* only from clients that said they would */
	WS_CONTROL = 0x20,
	WS_PING = 0x40,
};

/* The other socket, /ws/input, section 6: the payloads of the types above, other numbers. */
enum ws_input_type {
	WS_INPUT_KEYBOARD = 0x01,
	WS_INPUT_BUTTON = 0x02,
	WS_INPUT_ABSOLUTE = 0x03,
	WS_INPUT_RELATIVE = 0x04,
	WS_INPUT_SCROLL = 0x05,
	WS_INPUT_TOUCH = 0x06,
};

/* Close codes of ours, section 3.3; 1000 … 1015 are those of RFC 6455 and its registry. */
enum ws_close {
	WS_CLOSE_NORMAL = 1000,
	WS_CLOSE_GOING_AWAY = 1001,
	WS_CLOSE_PROTOCOL = 1002,
	WS_CLOSE_BAD_DATA = 1007,
	WS_CLOSE_POLICY = 1008,
	WS_CLOSE_TOO_BIG = 1009,
	WS_CLOSE_INTERNAL = 1011,
	WS_CLOSE_RESTART = 1012,
	WS_CLOSE_TRY_LATER = 1013,
	WS_CLOSE_SUPERSEDED = 4000,
};

/* Sizes on the wire; of messages with a variable tail, the fixed part before it. */
#define WS_VIDEO_FRAME_SIZE    15u /* then one access unit */
#define WS_AUDIO_FRAME_SIZE    10u /* then one Opus packet */
#define WS_STREAM_INIT_SIZE    13u
#define WS_STREAM_ERROR_SIZE   3u /* then the text */
#define WS_PONG_SIZE           29u
#define WS_CURSOR_IMAGE_SIZE   25u /* then, if there is a bitmap, 16 and its bytes */
#define WS_CURSOR_BITMAP_SIZE  16u
#define WS_CURSOR_NAME_SIZE    14u /* then the name */
#define WS_REMOTE_CURSOR_SIZE  14u /* then the colour */
#define WS_REMOTE_USER_SIZE    6u  /* then, if joined, three texts with lengths */
#define WS_AGENT_CURSOR_SIZE   11u
#define WS_REMOTE_TOUCH_SIZE   23u /* then the colour */
#define WS_SELF_ID_SIZE        5u
#define WS_FRAME_TIMES_SIZE    29u
#define WS_CLIPBOARD_SIZE      6u
#define WS_PING_SIZE           13u
#define WS_KEY_SIZE            6u
#define WS_KEYSYM_SIZE         8u
#define WS_KEYSYM_TAP_SIZE     7u
#define WS_BUTTON_SIZE         4u
#define WS_WHEEL_SIZE          10u
#define WS_WHEEL_STEPS_SIZE    4u
#define WS_MOUSE_ABSOLUTE_SIZE 10u
#define WS_MOUSE_RELATIVE_SIZE 6u
#define WS_TOUCH_SIZE          11u
#define WS_INPUT_SCROLL_SIZE   11u
#define WS_MICROPHONE_SIZE     1u /* then samples */

#define WS_AUDIO_RATE     48000u
#define WS_MICROPHONE_MAX 4800u /* samples in a message: 100 ms */

/* Texts in messages carry their length in one byte. */
#define WS_TEXT_MAX   255u
#define WS_AVATAR_MAX 2048u /* of an avatar's URL; the wire could hold more */

enum ws_codec {
	WS_CODEC_H264 = 0x01,
};

#define WS_FRAME_KEY    (1u << 0)
#define WS_FRAME_REPLAY (1u << 1) /* decode, do not show; never sent by this bridge */

struct ws_video_frame {
	uint8_t codec;          /* @1: enum ws_codec */
	uint8_t flags;          /* @2: WS_FRAME_… */
	uint64_t pts_us;        /* @3: time of the flip, by the clock of Pong's server_us */
	uint16_t width, height; /* @11, @13: of the picture; then the access unit */
};

struct ws_audio_frame {
	uint8_t channels; /* @1 */
	uint64_t
		pts_us; /* @2: when its first sample is heard, on the clock of video; then the packet */
};

struct ws_stream_init {
	uint8_t codec;          /* @1 */
	uint16_t width, height; /* @2, @4 */
	uint8_t fps;            /* @6 */
	uint8_t channels;       /* @7: of sound, 0 without */
	uint32_t sample_rate;   /* @8 */
	uint8_t touch;          /* @12: 1, touch messages are taken */
};

struct ws_pong {
	uint32_t seq;         /* @1: of the Ping */
	uint64_t client_us;   /* @5: of the Ping */
	uint64_t server_us;   /* @13: µs since 1970 */
	uint16_t pipeline_ms; /* @21: flip to socket, of the last frame */
	uint16_t late_p50_ms; /* @23: how late a timer of the server runs */
	uint16_t late_p99_ms; /* @25 */
	uint16_t late_max_ms; /* @27 */
};

/* DRM fourcc of R,G,B,A bytes in this message; see section 4.5. */
#define WS_CURSOR_RGBA 0x34324241u

struct ws_cursor_image {
	uint32_t last_mover;    /* @1: client id, 0: nobody */
	int32_t x, y;           /* @5, @9 */
	int32_t hot_x, hot_y;   /* @13, @17 */
	uint32_t bitmap_size;   /* @21: 0, or 16 + bytes of pixels */
	uint32_t fourcc;        /* @25 */
	uint32_t width, height; /* @29, @33 */
	int32_t stride;         /* @37: bytes; then pixels */
};

struct ws_cursor_name {
	uint32_t last_mover;        /* @1 */
	int32_t hot_x, hot_y;       /* @5, @9 */
	char name[WS_TEXT_MAX + 1]; /* @13 length, @14: a CSS cursor name */
};

#define WS_COLOUR_SIZE 8u /* "#RRGGBB" and NUL */

struct ws_remote_cursor {
	uint32_t client_id;          /* @1 */
	int32_t x, y;                /* @5, @9: pixels of the desktop */
	char colour[WS_COLOUR_SIZE]; /* @13 length, @14 */
};

enum ws_user_action {
	WS_USER_LEFT = 0,
	WS_USER_JOINED = 1,
};

struct ws_remote_user {
	uint8_t action;     /* @1: enum ws_user_action */
	uint32_t client_id; /* @2; if joined these follow, the avatar's length in two bytes: */
	char name[WS_TEXT_MAX + 1];
	char colour[WS_COLOUR_SIZE];
	char avatar[WS_AVATAR_MAX + 1];
};

struct ws_agent_cursor {
	uint32_t agent_id; /* @1 */
	uint16_t x, y;     /* @5, @7 */
	uint8_t action;    /* @9: 0 idle, 1 move, 2 click, 3 type, 4 scroll, 5 drag */
	uint8_t visible;   /* @10 */
};

struct ws_remote_touch {
	uint32_t client_id;          /* @1 */
	uint32_t touch_id;           /* @5 */
	uint8_t event;               /* @9: 0 start, 1 move, 2 end, 3 cancel */
	int32_t x, y;                /* @10, @14 */
	uint32_t pressure;           /* @18: times 65535 */
	char colour[WS_COLOUR_SIZE]; /* @22 length, @23 */
};

/* Directly before the VideoFrame that it is about; big-endian. Times after pts_us, in µs. */
struct ws_frame_times {
	uint64_t pts_us;      /* @1 */
	uint32_t sequence;    /* @9: of the scanout; a gap: what this viewer was not sent */
	uint32_t encoded_us;  /* @13: encoder was done */
	uint32_t received_us; /* @17: here in the bridge */
	uint32_t sent_us;     /* @21: handed to the kernel */
	uint32_t skipped;     /* @25: units that this viewer missed so far */
};

enum ws_clipboard_flag {
	WS_CLIPBOARD_AVAILABLE = 1u << 0, /* there is a way to it */
	WS_CLIPBOARD_TEXT = 1u << 1,
	WS_CLIPBOARD_IMAGE = 1u << 2,
	WS_CLIPBOARD_OURS = 1u << 3, /* a viewer put it there */
};

/* The desktop's clipboard has something else now; big-endian. */
struct ws_clipboard {
	uint32_t generation; /* @1: another one with each content */
	uint8_t flags;       /* @5: enum ws_clipboard_flag */
};

struct ws_ping {
	uint32_t seq;       /* @1 */
	uint64_t client_us; /* @5 */
};

enum ws_modifier {
	WS_MOD_SHIFT = 1u << 0,
	WS_MOD_CTRL = 1u << 1,
	WS_MOD_ALT = 1u << 2,
	WS_MOD_META = 1u << 3,
};

enum ws_event_kind {
	WS_EVENT_KEY,        /* code, down */
	WS_EVENT_KEYSYM,     /* keysym, down */
	WS_EVENT_KEYSYM_TAP, /* keysym, modifiers */
	WS_EVENT_BUTTON,     /* code, down */
	WS_EVENT_SCROLL,     /* dx, dy, wheel */
	WS_EVENT_ABSOLUTE,   /* x, y */
	WS_EVENT_RELATIVE,   /* dx, dy */
	WS_EVENT_TOUCH,      /* touch, slot, x, y */
};

enum ws_touch {
	WS_TOUCH_DOWN = 0,
	WS_TOUCH_MOVE = 1,
	WS_TOUCH_UP = 2,
	WS_TOUCH_CANCEL = 3,
};

#define WS_TOUCH_SLOTS 10u

/* One event of a person, as either socket sends it; checked: every number is finite and in range. */
struct ws_event {
	enum ws_event_kind kind;
	bool down;
	bool wheel;        /* SCROLL: steps of a wheel rather than fingers */
	uint8_t modifiers; /* enum ws_modifier */
	uint8_t slot;      /* below WS_TOUCH_SLOTS */
	uint8_t touch;     /* enum ws_touch */
	uint16_t code;     /* evdev code of the key or button */
	uint32_t keysym;   /* X11 */
	double x, y;       /* 0 … 1 of the desktop */
	double dx,
		dy; /* SCROLL: 15 is a notch of a wheel, down and right positive; RELATIVE: pixels */
};

/* A motion of the pointer. */
static inline bool ws_event_is_move(const struct ws_event *e) {
	return e->kind == WS_EVENT_ABSOLUTE || e->kind == WS_EVENT_RELATIVE;
}

#endif
