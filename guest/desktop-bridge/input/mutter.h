/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What input and clipboard share of a session with Mutter. */
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

struct mutter {
	struct input_backend base;
	sd_event *loop;
	sd_bus *bus;            // may be NULL
	sd_event_source *timer; /* to try again; then the steps of priming */
	sd_bus_slot *owner_match, *closed_match, *disconnected_match;
	sd_bus_slot *call;      /* the one that is under way */
	char *session, *stream; /* object paths; NULL without */
	enum mutter_step {
		MUTTER_AWAY, /* not on the bus, or a failure to get over */
		MUTTER_STARTING,
		MUTTER_PRIMING,
		MUTTER_PRIMED,
		MUTTER_READY,
	} step;
	bool complained;
	bool without_stream;    /* there is no PipeWire: no absolute positions */
	uint32_t width, height; /* 0: not known, and no position is sent */
	unsigned waits;         /* for them */
	struct clipboard_backend *clipboard;
};

#endif
