/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * HXFR: encoded pictures of scanouts over TCP. This header is the protocol: message types, sizes on
 * the wire and the decoded form of each message. docs/protocol/hxfr.md has the same with the rules
 * of conversation; section numbers below are of that page.
 *
 * Everything on the wire is little-endian and packed; the structures here are not: src/proto/hxfr.h
 * turns one into the other. Offsets in the comments count from the first byte after the header.
 */
#ifndef HELIX_HXFR_H
#define HELIX_HXFR_H

#include <stdbool.h>
#include <stdint.h>

/* Section 1: transport and header. */
#define HXFR_PORT_DEFAULT 15937
#define HXFR_MAGIC        0x52465848u /* "HXFR" in memory */
#define HXFR_HEADER_SIZE  12u

/* Payloads of this size and more are refused by a server; section 2. */
#define HXFR_PAYLOAD_LIMIT (64u * 1024 * 1024)
/* Largest payload that a client takes; section 2. */
#define HXFR_CLIENT_PAYLOAD_MAX (16u * 1024 * 1024)

enum hxfr_type {
	HXFR_FRAME_REQUEST = 0x01,  /* C→S, section 3.8 */
	HXFR_FRAME_RESPONSE = 0x02, /* S→C, section 3.2 */
	HXFR_KEYFRAME_REQ = 0x03,   /* C→S, section 3.3 */
	HXFR_CONFIG_REQ = 0x04,     /* C→S, section 3.4 */
	HXFR_CONFIG_RESP = 0x05,    /* never sent */
	HXFR_PING = 0x10,           /* C→S, section 3.5 */
	HXFR_PONG = 0x11,           /* S→C */
	HXFR_ENABLE_SCANOUT = 0x20, /* C→S, section 3.6 */
	HXFR_DISABLE_SCANOUT = 0x21,
	HXFR_SCANOUT_RESP = 0x22, /* S→C */
	HXFR_SUBSCRIBE = 0x30,    /* C→S, section 3.1 */
	HXFR_SUBSCRIBE_RESP = 0x31,
	/* The extension, section 4: only for clients that said HELLO. */
	HXFR_HELLO = 0x40,           /* C→S, section 4.1 */
	HXFR_HELLO_RESP = 0x41,      /* S→C */
	HXFR_FLIP_INFO = 0x42,       /* S→C, section 4.2 */
	HXFR_CURSOR_IMAGE = 0x43,    /* S→C, section 4.3 */
	HXFR_CURSOR_POSITION = 0x44, /* S→C */
	HXFR_SCANOUT_STATE = 0x45,   /* S→C, section 4.4 */
	HXFR_STATS_REQ = 0x46,       /* C→S, section 4.5 */
	HXFR_STATS_RESP = 0x47,      /* S→C */
	/* Leases and their tokens, section 4.6. */
	HXFR_AUTHENTICATE = 0x48,      /* C→S */
	HXFR_AUTHENTICATE_RESP = 0x49, /* S→C */
	HXFR_ENABLE_LEASE = 0x4A,      /* C→S */
	HXFR_LEASE_RESP = 0x4B,        /* S→C */
	HXFR_SHOW_TOKEN = 0x4C,        /* C→S */
	/* 0x4D … 0x4F are reserved. */
	HXFR_ERROR = 0xFF, /* S→C, section 3.7 */
};

/* Payload sizes; of messages with a variable tail, the fixed part before it. */
#define HXFR_FRAME_REQUEST_SIZE     44u
#define HXFR_FRAME_RESPONSE_SIZE    24u /* then nal_count × (u32 size, bytes) */
#define HXFR_CONFIG_REQ_SIZE        28u
#define HXFR_ENABLE_SCANOUT_SIZE    16u
#define HXFR_DISABLE_SCANOUT_SIZE   4u
#define HXFR_SCANOUT_RESP_SIZE      72u
#define HXFR_SUBSCRIBE_SIZE         4u
#define HXFR_SUBSCRIBE_RESP_SIZE    8u
#define HXFR_HELLO_SIZE             8u
#define HXFR_HELLO_RESP_SIZE        32u
#define HXFR_FLIP_INFO_SIZE         72u
#define HXFR_CURSOR_IMAGE_SIZE      32u /* then 4·width·height bytes */
#define HXFR_CURSOR_POSITION_SIZE   16u
#define HXFR_SCANOUT_STATE_SIZE     32u
#define HXFR_STATS_REQ_SIZE         4u
#define HXFR_STATS_RESP_SIZE        16u  /* then count entries of entry_size bytes */
#define HXFR_STATS_ENTRY_MIN        112u /* up to dropped_units, as first servers had it */
#define HXFR_STATS_ENTRY_SIZE       152u
#define HXFR_AUTHENTICATE_SIZE      32u
#define HXFR_AUTHENTICATE_RESP_SIZE 4u
#define HXFR_ENABLE_LEASE_SIZE      48u
#define HXFR_LEASE_RESP_SIZE        104u
#define HXFR_SHOW_TOKEN_SIZE        36u
#define HXFR_ERROR_SIZE             260u

/* Of a lease's token, and of the manager's key; section 4.6. */
#define HXFR_TOKEN_SIZE 32u

/* What precedes the bytes of the only access unit in a FRAME_RESPONSE: 24 and its u32 size. */
#define HXFR_FRAME_PREFIX_SIZE 28u

#define HXFR_CONNECTOR_NAME_SIZE 64u
#define HXFR_ERROR_TEXT_SIZE     256u
/* Largest side of a cursor on the wire, pixels. */
#define HXFR_CURSOR_MAX_SIDE 512u

struct hxfr_header {
	uint8_t type;          /* @4, after the magic */
	uint8_t flags;         /* @5: bit 0 of FRAME_REQUEST, else 0 */
	uint16_t session_id;   /* @6 */
	uint32_t payload_size; /* @8: bytes after the header */
};

#define HXFR_FLAG_PIXEL_DATA 0x01u /* FRAME_REQUEST: pixels follow the 44 bytes */

struct hxfr_frame_request {
	uint32_t resource_id;   /* @0 */
	uint32_t width, height; /* @4, @8 */
	uint32_t format;        /* @12: DRM fourcc */
	uint32_t stride;        /* @16 */
	int64_t pts, duration;  /* @20, @28: ns */
	uint8_t force_keyframe; /* @36, then 7 reserved */
};

struct hxfr_frame_response {
	int64_t pts;         /* @0: ns */
	int64_t dts;         /* @8: ns; from other servers possibly garbage */
	uint8_t is_keyframe; /* @16, then 3 reserved */
	uint32_t nal_count;  /* @20: 1 from this server */
};

struct hxfr_config_req {
	uint32_t width, height; /* @0, @4: ignored */
	uint32_t bitrate;       /* @8: bits/s; 0 or above INT32_MAX: ignored */
	uint32_t framerate_num; /* @12 */
	uint32_t framerate_den; /* @16 */
	uint8_t profile;        /* @20: 66, 77, 100 */
	uint8_t level;          /* @21: times 10 */
	uint8_t realtime;       /* @22, then 5 reserved */
};

struct hxfr_enable_scanout {
	uint32_t scanout_id;    /* @0 */
	uint32_t width, height; /* @4, @8: pixels */
	uint32_t refresh;       /* @12: Hz */
};

struct hxfr_scanout_resp {
	uint32_t scanout_id;                      /* @0 */
	uint32_t success;                         /* @4: 0 or 1; take any but 0 as success */
	char connector[HXFR_CONNECTOR_NAME_SIZE]; /* @8: "Virtual-<id+1>"; NUL-terminated here */
};

struct hxfr_subscribe_resp {
	uint32_t scanout_id; /* @0 */
	uint32_t success;    /* @4 */
};

/* Codes of ERROR, section 3.7. */
enum hxfr_error_code {
	HXFR_OK = 0,
	HXFR_ERR_INVALID = -1,
	HXFR_ERR_NOT_FOUND = -2,
	HXFR_ERR_NOT_METAL = -3,
	HXFR_ERR_NO_IOSURFACE = -4,
	HXFR_ERR_ENCODE_FAILED = -5,
	HXFR_ERR_NOT_CONFIGURED = -6,
	HXFR_ERR_INTERNAL = -99,
};

struct hxfr_error {
	int32_t code;                       /* @0 */
	char message[HXFR_ERROR_TEXT_SIZE]; /* @4: NUL-terminated here */
};

/* Section 4: the extension. */
#define HXFR_EXTENSION_VERSION 1u

enum hxfr_feature {
	HXFR_FEATURE_FLIP_INFO = 1u << 0,
	HXFR_FEATURE_CURSOR = 1u << 1,
	HXFR_FEATURE_STATE = 1u << 2,
	HXFR_FEATURE_STATS = 1u << 3,
	HXFR_FEATURE_TOKENS = 1u << 4, /* granted: the server knows the messages of section 4.6 */
	HXFR_FEATURES_ALL = 0x1F,
};

struct hxfr_hello {
	uint32_t version;  /* @0 */
	uint32_t features; /* @4: wanted */
};

struct hxfr_hello_resp {
	uint32_t version;    /* @0: the lower of both sides' */
	uint32_t features;   /* @4: granted */
	uint32_t n_scanouts; /* @8, then 4 reserved */
	uint64_t server_id;  /* @16: another one after each start of the server */
	uint64_t now_ns;     /* @24: the clock of all times below, as the reply was made */
};

/* Sent right before the FRAME_RESPONSE that it is about. Times: ns of the server's clock. */
struct hxfr_flip_info {
	uint32_t scanout_id; /* @0 */
	uint32_t refine;     /* @4: 0 new content, else pass */
	uint64_t sequence;   /* @8 */
	uint64_t flip_ns;    /* @16: guest's flush */
	uint64_t encoded_ns; /* @24 */
	uint64_t send_ns;    /* @32: first byte to the kernel */
	uint32_t dirty_mbs;  /* @40 */
	uint32_t damage_x, damage_y, damage_width, damage_height; /* @44 … @56: pixels */
	uint32_t width, height;                                   /* @60, @64: of the picture */
	uint32_t dropped; /* @68: units of this subscription that this client missed so far */
};

struct hxfr_cursor_image {
	uint32_t scanout_id;    /* @0 */
	uint32_t visible;       /* @4: 0 or 1 */
	int32_t x, y;           /* @8, @12: position of the image's top left corner */
	uint32_t hot_x, hot_y;  /* @16, @20 */
	uint32_t width, height; /* @24, @28: 0 if not visible; then B,G,R,A rows, premultiplied */
};

struct hxfr_cursor_position {
	uint32_t scanout_id; /* @0 */
	uint32_t visible;    /* @4 */
	int32_t x, y;        /* @8, @12 */
};

#define HXFR_STATE_ENABLED (1u << 0)
#define HXFR_STATE_LOST    (1u << 1) /* what drew the picture has lost its 3D: it stays as it is */

struct hxfr_scanout_state {
	uint32_t scanout_id;    /* @0 */
	uint32_t flags;         /* @4: HXFR_STATE_… */
	uint32_t width, height; /* @8, @12: of what is shown; 0: nothing */
	uint32_t refresh;       /* @16: Hz, as asked for */
	uint32_t generation;    /* @20: counts guest resets */
	uint32_t subscribers;   /* @24, then 4 reserved */
};

struct hxfr_enable_lease {
	struct hxfr_enable_scanout scanout; /* @0 */
	uint8_t token[HXFR_TOKEN_SIZE];     /* @16: zeroes: make a new one */
};

struct hxfr_lease_resp {
	struct hxfr_scanout_resp scanout; /* @0 */
	uint8_t token[HXFR_TOKEN_SIZE];   /* @72: zeroes on failure */
};

struct hxfr_show_token {
	uint32_t scanout_id;            /* @0 */
	uint8_t token[HXFR_TOKEN_SIZE]; /* @4 */
};

#define HXFR_ENCODER_SIZE 16u
#define HXFR_STATS_ALL    UINT32_MAX /* STATS_REQ: every scanout */

struct hxfr_stats_resp {
	uint32_t count;      /* @0 */
	uint32_t entry_size; /* @4: at least HXFR_STATS_ENTRY_MIN; skip what is unknown */
	uint64_t now_ns;     /* @8 */
};

/* Counters since the server started. */
struct hxfr_stats {
	uint32_t scanout_id;    /* @0 */
	uint32_t watching;      /* @4: subscribers */
	uint32_t ready;         /* @8: of these, able to take a frame; then 4 reserved */
	uint64_t flips;         /* @16: flushes by the guest */
	uint64_t captured;      /* @24: of these, converted */
	uint64_t superseded;    /* @32: of these, dropped for a newer one before encoding */
	uint64_t encoded;       /* @40: access units */
	uint64_t keyframes;     /* @48 */
	uint64_t encoded_bytes; /* @56 */
	uint64_t dirty_mbs;     /* @64 */
	uint64_t convert_ns;    /* @72: time spent */
	uint64_t encode_ns;     /* @80 */
	uint64_t sent_units;    /* @88: to all clients together */
	uint64_t sent_bytes;    /* @96 */
	uint64_t dropped_units; /* @104: missed by clients that were too slow */
	/* Older servers do not send the rest: 0 then. */
	uint64_t torn; /* @112: readings thrown away, for the guest drew meanwhile */
	char encoder[HXFR_ENCODER_SIZE]; /* @120: name, ended by zeros; empty: none at work */
	uint64_t encoder_lost;           /* @136: times that hardware failed and x264 went on */
	uint64_t encoder_recovered;      /* @144: times that it came back */
};

#endif
