/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A virtual machine with desktops in containers, as users run it: the image of vm/make-vm-image.sh
 * (HELIX_TEST_VM_IMAGE), helix-desktop@.service, unmodified compositors; each seen by a viewer on the
 * host. Functions end the test when something fails or takes too long, and print the desktop's log.
 */
#ifndef HELIX_TESTS_FARM_H
#define HELIX_TESTS_FARM_H

#include <systemd/sd-event.h>

#include "viewer.h"
#include "vm.h"

#define FARM_DESKTOPS_MAX 15u

/* Seconds to a desktop's first picture when others start too, all under emulation. */
#define FARM_START_SECONDS 240u

struct farm {
	struct vm *vm;
	sd_event *loop;
	char forward[1024];
	uint16_t ports[FARM_DESKTOPS_MAX + 1]; /* of the host, to each desktop's bridge */
};

struct desktop {
	struct farm *farm;
	unsigned number;
	char name[32];
	unsigned scanout;
	struct viewer viewer; /* once watched */
};

/* Colours that the session program of each desktop fills its terminal with. */
extern const uint8_t farm_red[3], farm_green[3], farm_blue[3], farm_yellow[3];

/* Skips the test without an image, or without one that has GNOME. */
void farm_start(struct farm *f, bool with_gnome);
/* The same with 3D. */
void farm_start_gl(struct farm *f, bool with_gnome);
void farm_stop(struct farm *f);
/* Outputs that nobody has leased. */
unsigned farm_count_free(struct farm *f);

/*
 * Starts one; it may still be on its way then. Its terminal is red, green after the key g, blue after
 * b and yellow after a click, and counts upwards; so there is always something to see.
 */
void desktop_start(struct desktop *d, struct farm *f, unsigned number, const char *compositor,
	const char *size);
/* Waits for its lease, and begins to look at it. */
void desktop_watch(struct desktop *d);
/* One that was started again may have another output than the one that was still its own before. */
void desktop_follow(struct desktop *d);
void desktop_end(struct desktop *d);
void desktop_log(struct desktop *d);

/* Waits until so much of the picture has that colour; `what` names it, and a saved picture. */
void desktop_expect(struct desktop *d, const uint8_t colour[3], double percent, unsigned seconds,
	const char *what);
/* Share of the picture's rows [from, to) that has a colour, in percent. */
double desktop_share(const struct desktop *d, const uint8_t colour[3], uint32_t from, uint32_t to,
	unsigned slack);
/* As PPM into the directory HELIX_TEST_PICTURES, if that is set. */
void desktop_save(const struct desktop *d, const char *what);

/* Runs a command in its container, as its user. */
const char *desktop_run(struct desktop *d, unsigned seconds, const char *command);
/* Presses and releases a key (evdev's code), through the bridge's /ws/input. */
void desktop_key(struct desktop *d, uint16_t code);
/* Moves the pointer, in the same way, until the exporter says that it is there. */
void desktop_point(struct desktop *d, uint32_t x, uint32_t y);
/* Moves to the middle of what has the colour and clicks, all at once; in the same way. */
void desktop_click(struct desktop *d, const uint8_t colour[3]);
/* Touches the middle of what has the colour, with one finger and for no time. */
void desktop_tap(struct desktop *d, const uint8_t colour[3]);
/* Moves the window in the picture's middle around, with Super and the left button, for so long. */
void desktop_drag(struct desktop *d, unsigned seconds);

#endif
