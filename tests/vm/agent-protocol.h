/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How a test talks to the agent in its guest, over the virtio console port AGENT_PORT_NAME. Tests
 * only; both ends are of the same build.
 *
 * Frames, both ways: u32 length of the payload, u32 type, u32 job, payload; little-endian. Either
 * end may vanish in the middle of a frame (a guest reset, a test that died), and the port keeps
 * what was under way; so a conversation begins with AGENT_MARKER, which both ends look for before
 * anything else in what they have not parsed yet:
 *
 *   guest   AGENT_MARKER  HELLO(nonce 0)     when the agent starts, or loses a host
 *   host    AGENT_MARKER  SYNC(nonce)        on connecting, and on a HELLO that is not its own
 *   guest   AGENT_MARKER  HELLO(nonce)       jobs of an earlier conversation are killed
 */
#ifndef HELIX_TEST_AGENT_PROTOCOL_H
#define HELIX_TEST_AGENT_PROTOCOL_H

#define AGENT_PORT_NAME "org.helix.test"

/* 16 bytes; the compiler's NUL is not one of them. */
#define AGENT_MARKER \
	"\x00\xff"   \
	"helix agent\x1a\n\x00"
#define AGENT_MARKER_SIZE 16u

#define AGENT_HEADER_SIZE 12u
#define AGENT_PAYLOAD_MAX (256u * 1024u)
#define AGENT_JOBS_MAX    64u

enum agent_frame {
	/* host to guest */
	AGENT_SYNC = 1, /* job: nonce */
	AGENT_RUN,      /* payload: a command for sh -c; job: any number that is not in use */
	AGENT_SIGNAL,   /* payload: u32 signal, for the job's process group */
	/* guest to host */
	AGENT_HELLO = 16, /* job: nonce; payload: the boot's id, another one after each reset */
	AGENT_OUTPUT,     /* payload: bytes of the job's standard output */
	AGENT_ERROR,      /* payload: bytes of its standard error */
	AGENT_EXIT,       /* payload: u32 exit status, 128 + n after signal n. Last of its job. */
};

#endif
