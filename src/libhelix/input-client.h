/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A client of the input manager (docs/protocol/input.md). Two parts:
 *
 *   a set   a desktop's keyboard, pointer and touch screen. Who creates it gets an evdev descriptor
 *           of each, for the compositor; the devices live as long as the connection. Poll that for
 *           POLLHUP to learn that they are gone.
 *   a link  sends events into a set, whoever has its token. What is still held down when the link
 *           ends is released by the manager.
 *
 * Creating and opening wait for the answer, as long as they are told; they need no loop. Sending
 * never waits. Functions return 0 or -errno:
 *   -EREMOTEIO  the manager refused; `error` says why
 *   -ENOENT     likewise: there is no set with that token. Also: there is no socket
 *   -EBADMSG    what came was no answer
 */
#ifndef HELIX_INPUT_CLIENT_H
#define HELIX_INPUT_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include <helix/input.h>

#define INPUT_ERROR_SIZE 192u

struct input_wish {
	const char *socket;  /* NULL: INPUT_SOCKET_DEFAULT */
	const char *name;    /* of the desktop; may be NULL */
	uint32_t kinds;      /* INPUT_KIND_BIT()s; 0: all */
	unsigned timeout_ms; /* 0: 10 s */
};

struct input_device {
	/*
	 * Read only, non-blocking, grabbed. It is one open file for all who have it: never
	 * EVIOCREVOKE it, nor let go of the grab; either ends the set.
	 */
	int fd;
	struct input_entry about; /* kind, node and udev properties */
};

struct input_set {
	int connection; /* the devices live as long as this is open; -1: none */
	uint8_t token[INPUT_TOKEN_SIZE];
	unsigned n_devices;
	struct input_device devices[_INPUT_KIND_MAX];
};

/* `error` (INPUT_ERROR_SIZE bytes, may be NULL) is set on failure. All fds are CLOEXEC. */
int input_set_create(const struct input_wish *wish, struct input_set *ret, char *error);
/* Closes everything, which ends the devices. Nothing to do for one that was never created. */
void input_set_finish(struct input_set *set);

struct input_link {
	int fd;         /* owned; readable or POLLHUP: the set has ended. -1: none */
	uint32_t kinds; /* devices that are there: INPUT_KIND_BIT()s */
	/* queued by what follows, sent by input_link_flush() */
	unsigned n_records;
	struct input_record records[INPUT_RECORDS_MAX];
	int32_t wheel_rest, hwheel_rest; /* scrolled less than a notch so far */
};

int input_link_open(struct input_link *ret, const char *socket,
	const uint8_t token[INPUT_TOKEN_SIZE], unsigned timeout_ms, char *error);
void input_link_close(struct input_link *link);

/*
 * These queue one thing: all of it, or -ENOBUFS if there is no room until the next flush; -EINVAL
 * for what no device has, -ENODEV for a device that the set lacks. Order is kept; each key and each
 * button becomes a report of its own, so a press and its release may be queued together.
 */
int input_link_key(struct input_link *link, uint16_t key, bool down);       /* KEY_… of evdev */
int input_link_button(struct input_link *link, uint16_t button, bool down); /* BTN_LEFT … */
/* To 0 … INPUT_POSITION_MAX; beyond is clamped. */
int input_link_move(struct input_link *link, int32_t x, int32_t y);
int input_link_move_relative(struct input_link *link, int32_t dx, int32_t dy);
/*
 * In 1/120 of a notch; to the right and down are positive, as in browsers. libinput tells nobody of
 * less than half a notch, until more follows.
 */
int input_link_scroll(struct input_link *link, int32_t dx, int32_t dy);
/* Down or moved, in 0 … INPUT_POSITION_MAX; beyond is clamped. */
int input_link_touch(struct input_link *link, unsigned slot, bool begins, int32_t x, int32_t y);
int input_link_touch_end(struct input_link *link, unsigned slot);

/*
 * Sends what is queued in one message. -EAGAIN: the manager is behind; nothing was sent and
 * everything is still queued: poll for POLLOUT. Other errors: the link is dead.
 */
int input_link_flush(struct input_link *link);

#endif
