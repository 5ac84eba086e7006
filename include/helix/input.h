/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How the input manager makes a keyboard, a pointer and a touch screen for a desktop, and how
 * events come into them. This header is the protocol: messages, codes, sizes on the wire;
 * docs/protocol/input.md has the same with the rules of conversation, and section numbers below
 * are of that page.
 *
 * Everything on the wire is little-endian and packed; the structures here are not:
 * src/proto/input.h turns one into the other. Offsets count from the end of the header.
 */
#ifndef HELIX_INPUT_H
#define HELIX_INPUT_H

#include <stdint.h>

/* SOCK_SEQPACKET: each packet is one message. The directory is what containers mount. */
#define INPUT_SOCKET_DEFAULT "/run/helix-input/input.sock"

/* Section 2: u32 magic, u8 type, three zeroes. */
#define INPUT_HEADER_SIZE 8u
#define INPUT_MAGIC       0x31495848u /* "HXI1" in memory */

#define INPUT_REPLY_BIT 0x80u

enum input_message_type {
	INPUT_CREATE = 0x01,
	INPUT_ATTACH = 0x02,
	INPUT_EVENTS = 0x03, /* has no reply */
	INPUT_CREATED = INPUT_CREATE | INPUT_REPLY_BIT,
	INPUT_ATTACHED = INPUT_ATTACH | INPUT_REPLY_BIT,
};

#define INPUT_TOKEN_SIZE      32u
#define INPUT_NAME_SIZE       64u
#define INPUT_TEXT_SIZE       128u
#define INPUT_SYSNAME_SIZE    16u
#define INPUT_PROPERTIES_SIZE 256u

/* Section 3: the devices of a set, at most one of each kind. */
enum input_kind {
	INPUT_KEYBOARD = 0,
	INPUT_POINTER = 1, /* absolute, with buttons and wheels */
	INPUT_TOUCH = 2,
	_INPUT_KIND_MAX,
};

#define INPUT_KIND_BIT(kind) (UINT32_C(1) << (kind))
#define INPUT_KINDS_ALL      (INPUT_KIND_BIT(_INPUT_KIND_MAX) - 1)

/* Positions of pointer and touches: 0 is left or top, this is right or bottom. */
#define INPUT_POSITION_MAX 65535
#define INPUT_SLOTS        10
/* Any tracking id from 0 on begins a touch; the manager gives it one of its own. -1 ends it. */
#define INPUT_TRACKING_ID_MAX 65535
/* One notch of a wheel, in units of REL_WHEEL_HI_RES. */
#define INPUT_WHEEL_NOTCH 120
/* Most that one event scrolls or moves relatively; more is refused. */
#define INPUT_RELATIVE_MAX 32767

#define INPUT_CREATE_SIZE 68u

struct input_create {
	uint32_t kinds;             /* @0: INPUT_KIND_BIT()s; 0: all */
	char name[INPUT_NAME_SIZE]; /* @4: of the desktop; the devices' names begin with it */
};

#define INPUT_ATTACH_SIZE 32u

struct input_attach {
	uint8_t token[INPUT_TOKEN_SIZE]; /* @0 */
};

/* EVENTS: as many records as there are, without a count. */
#define INPUT_RECORD_SIZE 9u
#define INPUT_RECORDS_MAX 128u
#define INPUT_MESSAGE_MAX (INPUT_HEADER_SIZE + INPUT_RECORDS_MAX * INPUT_RECORD_SIZE)

/*
 * type and code are the kernel's (linux/input-event-codes.h). Clients send neither SYN_REPORT nor
 * BTN_TOUCH: the manager adds them.
 */
struct input_record {
	uint8_t kind;  /* @0 */
	uint16_t type; /* @1 */
	uint16_t code; /* @3 */
	int32_t value; /* @5 */
};

enum input_code {
	INPUT_OK = 0,
	INPUT_DENIED = 1,      /* by policy */
	INPUT_LIMIT = 2,       /* this peer, or all together, have too many already */
	INPUT_KERNEL = 3,      /* the kernel made no device */
	INPUT_TIMEOUT = 4,     /* its node did not appear in time */
	INPUT_NO_SET = 5,      /* there is none with this token */
	INPUT_INVALID = 6,     /* malformed */
	INPUT_UNSUPPORTED = 7, /* a request of a later version */
	_INPUT_CODE_MAX,
};

/* How all replies begin. */
#define INPUT_REPLY_SIZE 132u

struct input_reply {
	uint32_t code;              /* @0: enum input_code */
	char text[INPUT_TEXT_SIZE]; /* @4: of an error */
};

/*
 * After it, if the code is INPUT_OK:
 *   ATTACHED  u32 kinds @132
 *   CREATED   u8[32] token @132, u32 count @164, u32 entry size @168, entries @172;
 *             one fd for each entry, in the same order
 */
#define INPUT_ATTACHED_SIZE (INPUT_REPLY_SIZE + 4u)
#define INPUT_CREATED_SIZE  (INPUT_REPLY_SIZE + INPUT_TOKEN_SIZE + 8u)
#define INPUT_ENTRY_SIZE    284u

struct input_entry {
	uint32_t kind;         /* @0: enum input_kind */
	uint32_t major, minor; /* @4, @8: of its node */
	/* @12: "event5": the node is /dev/input/event5 */
	char sysname[INPUT_SYSNAME_SIZE];
	/* @28: for the udev database: "ID_INPUT=1\nID_INPUT_MOUSE=1\n" */
	char properties[INPUT_PROPERTIES_SIZE];
};

struct input_created {
	uint8_t token[INPUT_TOKEN_SIZE];
	uint32_t count;
	struct input_entry entries[_INPUT_KIND_MAX];
};

#endif
