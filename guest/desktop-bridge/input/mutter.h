/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Mutter's private remote desktop interface: a session of it has a keyboard, a pointer and a touch
 * screen of its own. Absolute positions are those of a screen cast stream, so one is recorded,
 * though nobody takes its pictures (which then cost nothing). Mutter closes the stream, and says
 * nothing, when its monitor goes, as it does at each change of size; then another is recorded.
 *
 * Clients bind the session's keyboard and pointer when their first event shows that they are there,
 * and miss that event. So a Shift and a move by one and back go first, and the session is made when
 * the bridge starts, not when somebody types. With the touch screen it is the same; the corner of that
 * is touched, where nothing is, but not before somebody touches it, since desktops look different then.
 * (Mutter 48 crashes when it is touched beside the screen.)
 */
#ifndef HELIX_BRIDGE_INPUT_MUTTER_H
#define HELIX_BRIDGE_INPUT_MUTTER_H

#include <systemd/sd-bus.h>

#include "backend.h"

struct clipboard_backend;

#define MUTTER_RD         "org.gnome.Mutter.RemoteDesktop"
#define MUTTER_RD_PATH    "/org/gnome/Mutter/RemoteDesktop"
#define MUTTER_RD_SESSION "org.gnome.Mutter.RemoteDesktop.Session"
#define MUTTER_SC         "org.gnome.Mutter.ScreenCast"
#define MUTTER_SC_PATH    "/org/gnome/Mutter/ScreenCast"
#define MUTTER_SC_SESSION "org.gnome.Mutter.ScreenCast.Session"
#define MUTTER_SC_STREAM  "org.gnome.Mutter.ScreenCast.Stream"
#define MUTTER_DC         "org.gnome.Mutter.DisplayConfig"
#define MUTTER_DC_PATH    "/org/gnome/Mutter/DisplayConfig"

struct mutter {
	struct input_backend base;
	sd_event *loop;
	sd_bus *bus;            // may be NULL
	sd_event_source *timer; /* to try again; then the steps of priming */
	sd_bus_slot *owner_match, *closed_match, *disconnected_match, *monitors_match;
	sd_bus_slot *call; /* the one that is under way */
	sd_bus_slot *look; /* for a stream, in a session that has begun; NULL: none is */
	char *session, *cast, *stream; /* object paths; NULL without */
	enum mutter_step {
		MUTTER_AWAY, /* not on the bus, or a failure to get over */
		MUTTER_STARTING,
		MUTTER_PRIMING,
		MUTTER_PRIMED,
		MUTTER_READY,
		MUTTER_TOUCHED, /* for the first time */
		MUTTER_LIFTED,  /* the finger; then ready again */
	} step;
	bool complained;
	bool without_stream;    /* there is no PipeWire: no absolute positions */
	uint32_t width, height; /* 0: not known, and no position is sent */
	unsigned waits;         /* for them */
	bool touched;           /* the session has a touch screen */
	struct mutter_touch {
		unsigned slot;
		double x, y; /* pixels */
		bool over;   /* the finger is up again already */
	} first_touch;
	struct clipboard_backend *clipboard;
};

/* Begins to look for Mutter; `loop` is set. */
int mutter_session_open(struct mutter *m);
void mutter_session_close(struct mutter *m);
/*
 * Calls a method of the session, with arguments as sd_bus_message_append takes them. Nothing is waited
 * for: what goes wrong shows when the session is closed. Does nothing without one.
 */
void mutter_notify(struct mutter *m, const char *member, const char *types, ...);
/* A finger goes down for the first time in the session; what comes next waits until it has. */
void mutter_touch_first(struct mutter *m, const struct mutter_touch *touch);
void mutter_touch_up(struct mutter *m, unsigned slot);

#endif
