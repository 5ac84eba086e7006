/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One viewer on /ws/stream: from its handshake to its end. Destroyed only when its connection has
 * ended, by ws-conn's `closed`.
 */
#ifndef HELIX_BRIDGE_VIEWER_H
#define HELIX_BRIDGE_VIEWER_H

#include "bridge.h"
#include "init.h"
#include "viewer-queue.h"
#include "ws-conn.h"

struct viewer {
	struct list link; // bridge.viewers
	struct bridge *bridge;
	struct ws_conn *conn;
	sd_event_source *timer;
	uint64_t created_ns, pong_ns;
	uint64_t ping_ns; /* when the next one is due */
	bool started;     /* init came */
	bool closing;
	struct viewer_init init;
	uint32_t id; /* client id; 0 before init */
	char colour[WS_COLOUR_SIZE];
	uint64_t seen_ns; /* last message of any kind */

	struct source_watcher watcher;
	struct viewer_queue queue;
	struct audio_listener listener; /* linked while it hears something */
	struct audio_queue sound;
	struct audio_packet *sounding; // may be NULL
	struct unit *sending;          // may be NULL
	struct unit *next;             // what frame times were sent for; may be NULL
	unsigned cursor_dirty;         /* enum cursor_change */
	struct clipboard_watcher clipboard;
	bool clipboard_dirty;
	uint64_t moved; /* bit per slot: peers whose cursor moved */
	unsigned slot;  /* below 64; of bridge.viewers */
	double x, y;    /* of this viewer's pointer, 0 … 1 */
	struct input_client input;
	bool told_error;  /* StreamError was sent */
	uint8_t *scratch; /* of the small message being sent */
	uint64_t units_sent, bytes_sent;
	uint16_t pipeline_ms; /* flip to socket, of the last unit */
};

/* Takes over the socket, also if it fails. `early`: what came behind the handshake. */
int viewer_create(
	struct bridge *b, const struct ws_socket *socket, const uint8_t *early, size_t early_size);
/* All of them go away: the bridge ends. */
void viewers_destroy(struct bridge *b);
/* Says why, and shows it nothing any more. */
void viewer_close(struct viewer *v, uint16_t code, const char *reason);
void viewers_close(struct bridge *b, uint16_t code, const char *reason);

/* viewer-send.c: the source's side. */
extern const struct source_watcher_handler viewer_watcher_handler;
void viewer_clipboard_changed(struct clipboard_watcher *w);
bool viewer_pull(struct ws_bulk *ret, void *data);
void viewer_pulled(void *data);
void viewer_update_rate(struct viewer *v, uint64_t now);
void viewer_ask_keyframe(struct viewer *v, bool ask);
void viewer_arm(struct viewer *v);

/* viewer-sound.c: what it hears, and what it says. */
void viewer_hear(struct viewer *v, bool on);
bool viewer_pull_sound(struct viewer *v, struct ws_bulk *ret);
void viewer_sound_pulled(struct viewer *v);
void viewer_handle_microphone(struct viewer *v, const uint8_t *p, size_t size);
void viewer_sound_finish(struct viewer *v);

/* viewer-messages.c: what it says. */
void viewer_handle_message(bool text, const uint8_t *p, size_t size, void *data);
/* The real size of the picture where it is known, else what the viewer asked for. */
void viewer_picture_size(const struct viewer *v, uint16_t *ret_width, uint16_t *ret_height);

/* presence.c: who else is here. */
void presence_join(struct viewer *v);
void presence_leave(struct viewer *v);
void presence_moved(struct viewer *v);
int presence_handle_moved(sd_event_source *source, void *data);
void presence_touched(struct viewer *v, const struct ws_event *e);
/* The next RemoteCursor for `v` into `buf`; 0: none. */
size_t presence_next_cursor(struct viewer *v, uint8_t *buf, size_t size);

#endif
