/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How the DRM manager hands out outputs over its Unix socket. This header is the protocol:
 * requests, replies, sizes on the wire; docs/protocol/lease.md has the same with the rules of
 * conversation, and section numbers below are of that page.
 *
 * Everything on the wire is little-endian and packed; the structures here are not: src/proto/lease.h
 * turns one into the other. Offsets count from the first byte of the message (section 1) or of the
 * payload (section 2).
 */
#ifndef HELIX_LEASE_H
#define HELIX_LEASE_H

#include <stdint.h>

/* The directory is what containers mount; the older path is served only if asked for. */
#define LEASE_SOCKET_DEFAULT "/run/helix-drm/drm.sock"
#define LEASE_SOCKET_OLD     "/run/helix-drm.sock"

/* Section 1: requests and replies that all clients know. */
#define LEASE_REQUEST_SIZE  9u
#define LEASE_RESPONSE_SIZE 69u
#define LEASE_TEXT_SIZE     64u

enum lease_command {
	LEASE_CMD_LEASE = 1,
	LEASE_CMD_RELEASE = 2,
	/* Section 2: the extension. Its replies have bit 7 set. */
	LEASE_EXT_LEASE = 0x10,
	LEASE_EXT_RECLAIM = 0x11,
	LEASE_EXT_RESIZE = 0x12,
	LEASE_EXT_RELEASE = 0x13,
	LEASE_EXT_LIST = 0x14,
};

#define LEASE_REPLY_BIT 0x80u

struct lease_request {
	uint8_t command; /* @0 */
	/* LEASE: size, 0 for the default. RELEASE: a is the scanout. Extension: magic and size. */
	uint32_t a, b; /* @1, @5 */
};

#define LEASE_STATUS_OK    0u
#define LEASE_STATUS_ERROR 1u

struct lease_response {
	uint8_t status;             /* @0 */
	uint32_t scanout;           /* @1: 0 on error */
	char text[LEASE_TEXT_SIZE]; /* @5: connector, or what went wrong; NUL-terminated here */
};

/* Section 2: "HXL1" in memory, where older managers expect a width. */
#define LEASE_EXT_MAGIC 0x314c5848u
/* Largest payload of a request. */
#define LEASE_EXT_REQUEST_MAX 512u
/* Largest payload of a reply that a client takes. */
#define LEASE_EXT_REPLY_MAX 65536u

#define LEASE_TOKEN_SIZE 32u
#define LEASE_NAME_SIZE  64u

#define LEASE_EXT_LEASE_SIZE      88u
#define LEASE_EXT_RECLAIM_SIZE    32u
#define LEASE_EXT_RESIZE_SIZE     44u
#define LEASE_EXT_RELEASE_SIZE    32u
#define LEASE_EXT_REPLY_SIZE      328u
#define LEASE_EXT_LIST_REPLY_SIZE 8u /* then count entries of entry_size bytes */
#define LEASE_EXT_ENTRY_SIZE      164u

struct lease_ext_lease {
	uint32_t flags;             /* @0: none so far */
	uint32_t width, height;     /* @4, @8: 0 for the default */
	uint32_t refresh;           /* @12: Hz, 0 for the default */
	uint32_t scanout;           /* @16: the one wished for; 0: any */
	uint32_t wait_ms;           /* @20: how long to wait for an output to become free */
	char name[LEASE_NAME_SIZE]; /* @24: of the desktop, for people */
};

struct lease_ext_resize {
	uint8_t token[LEASE_TOKEN_SIZE]; /* @0: zeroes for the lease of this connection */
	uint32_t width, height, refresh; /* @32 */
};

enum lease_code {
	LEASE_OK = 0,
	LEASE_NO_OUTPUT = 1,   /* all of them, or the one wished for, are in use */
	LEASE_EXPORTER = 2,    /* the exporter refused, or is not there */
	LEASE_TIMEOUT = 3,     /* the output did not come up in time */
	LEASE_KERNEL = 4,      /* the kernel made no lease */
	LEASE_DENIED = 5,      /* by policy */
	LEASE_LIMIT = 6,       /* this peer has too many already */
	LEASE_NO_LEASE = 7,    /* there is none with this token, or of this connection */
	LEASE_INVALID = 8,     /* malformed */
	LEASE_UNSUPPORTED = 9, /* a request of a later version */
	_LEASE_CODE_MAX,
};

/* To all extended requests but LIST. A lease's fd comes with the first byte. */
struct lease_ext_reply {
	uint32_t code;                   /* @0: enum lease_code; not 0: only text counts */
	uint32_t scanout;                /* @4: unambiguous in this VM */
	uint32_t width, height, refresh; /* @8, @12, @16: as plugged in */
	uint32_t connector_id, crtc_id;  /* @20, @24: kernel objects in the lease */
	uint32_t primary_plane_id;       /* @28 */
	uint32_t cursor_plane_id;        /* @32: 0: none */
	uint32_t export_id;              /* @36: the scanout's number for its exporter */
	uint8_t token[LEASE_TOKEN_SIZE]; /* @40 */
	char connector[LEASE_TEXT_SIZE]; /* @72 */
	char exporter[LEASE_TEXT_SIZE];  /* @136: "HOST:PORT" of HXFR, as the manager sees it */
	char text[2 * LEASE_TEXT_SIZE];  /* @200: of an error */
};

enum lease_state {
	LEASE_STATE_FREE = 0,
	LEASE_STATE_STARTING = 1, /* being plugged in */
	LEASE_STATE_LEASED = 2,
	LEASE_STATE_ORPHANED = 3, /* its holder must come back with the token, or lose it */
	_LEASE_STATE_MAX,
};

struct lease_ext_entry {
	uint32_t scanout;                /* @0 */
	uint32_t state;                  /* @4: enum lease_state */
	uint32_t width, height, refresh; /* @8, @12, @16 */
	uint32_t uid, pid;               /* @20, @24: of the holder, as the manager sees it */
	uint32_t age_s;                  /* @28: since the request */
	uint32_t lessee;                 /* @32: the kernel's number */
	char name[LEASE_NAME_SIZE];      /* @36 */
	char peer[LEASE_TEXT_SIZE];      /* @100: container or control group of the holder */
};

#endif
