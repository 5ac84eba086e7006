/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mutter-lease-launcher's parts:
 *
 *   steps.c     the steps of a desktop and how they depend on each other: starts what can start,
 *               notices what ends, starts that and what rests on it again, ends all in reverse
 *   services.c  how each step is started and stopped, and which events make it ready
 *   keeper.c    the lease: taking it, claiming it again, replacing it, resizing it
 *   process.c   child processes        watch.c  sockets, READY=1 and lines that children make
 *   bus.c       errands on a bus       checks.c, lease-probe.c  the self-test
 *   files.c     files for others       control.c  the socket of --resize and --status
 *
 * One loop, one thread (and one more while the DRM manager is asked something). What children
 * need to know, the launcher puts into its own environment as it learns it.
 */
#ifndef HELIX_LAUNCHER_H
#define HELIX_LAUNCHER_H

#include <limits.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "bus.h"
#include "checks.h"
#include "files.h"
#include "keeper.h"
#include "launcher-options.h"
#include "presets.h"
#include "process.h"
#include "watch.h"

/* Names in the runtime directory, besides those of files.h. */
#define CONTROL_SOCKET    "helix-launcher.sock"
#define NOTIFY_SOCKET     "helix-notify.sock"
#define SEATD_SOCKET      "seatd.sock"
#define SYSTEM_BUS_SOCKET "helix-system-bus"
#define SYSTEM_BUS_CONFIG "helix-system-bus.conf"

/* In this order they are started, if they can, and printed. */
enum step_id {
	STEP_LEASE,
	STEP_SYSTEM_BUS,
	STEP_STUB,
	STEP_SESSION_BUS,
	STEP_PIPEWIRE,
	STEP_WIREPLUMBER,
	STEP_PIPEWIRE_PULSE,
	STEP_COMPOSITOR,
	STEP_BRIDGE,
	STEP_SESSION,
	_STEP_MAX,
};

#define STEP_BIT(id) (1u << (id))

enum step_state {
	STEP_IDLE,     /* to be started when what it needs is there */
	STEP_STARTING, /* until nothing is pending */
	STEP_READY,
	STEP_STOPPING, /* when nothing that is stopping rests on it: told to end, then killed */
	STEP_OFF,      /* not wanted, not installed, or over */
	_STEP_STATE_MAX,
};

/* What a step that is starting waits for. */
enum step_condition {
	UNTIL_LEASE = 1 << 0,
	UNTIL_PROBED = 1 << 1, /* whether a bus that is there will do */
	UNTIL_LINE = 1 << 2,   /* the bus printed its address */
	UNTIL_NOTIFY = 1 << 3,
	UNTIL_CHECKED = 1 << 4, /* the login stub answers as it should */
	UNTIL_SOCKET = 1 << 5,
	UNTIL_NAME = 1 << 6,     /* on the session bus */
	UNTIL_EXPORTED = 1 << 7, /* the session bus has the environment */
};

/* What happens when it ends by itself. */
enum step_policy {
	POLICY_CHAIN,   /* again, with all that needs it, a few times in a row; then all ends */
	POLICY_ALONE,   /* again, with all that needs it, ever more slowly */
	POLICY_SESSION, /* as --session-exit says */
};

struct launcher;
struct step;

struct step_spec {
	const char *name;
	unsigned needs; /* STEP_BIT()s: must be ready; when they restart, so does this */
	unsigned after; /* must have been ready, or off, when it starts */
	enum step_policy policy;
	unsigned timeout_ms; /* to become ready; 0: --start-timeout */
	/* Sets `pending` and `pid`, or step_off(). An error ends everything (or see policy). */
	int (*start)(struct launcher *l, struct step *s);
	/* Besides ending its process; may be NULL. */
	void (*stopped)(struct launcher *l, struct step *s);
};

struct step {
	const struct step_spec *spec;
	struct launcher *launcher;
	enum step_state state;
	unsigned pending; /* enum step_condition */
	pid_t pid;        /* 0: none */
	bool told, killed;
	sd_event_source *timer; /* of starting or stopping */
	sd_event_source *again; /* a socket is there, yet nobody answers */
	uint64_t not_before_ns; /* back-off */
	unsigned backoff_ms, restarts;
	uint64_t started_ns, ready_ns;
	uint64_t first_started_ns, first_ready_ns; /* for --print-times */
	struct bus_errand *errand;                 // may be NULL
	struct bus_errand *exporter;               // may be NULL
	struct line_reader *line;                  // may be NULL
};

struct launcher {
	struct launcher_config config;
	const struct preset *preset; // NULL: a command line
	sd_event *loop;
	char runtime_dir[PATH_MAX];
	const char *notify_address; /* of who supervises us; NULL: nobody */
	uint64_t started_ns;

	struct step steps[_STEP_MAX];
	sd_event_source *advance; /* something changed: see what can go on */
	sd_event_source *wake;    /* the next back-off is over */
	bool announced, ending, sweeping, killing;
	int status;
	unsigned failures; /* of the chain, in a row */
	uint64_t all_ready_ns;

	struct keeper *keeper; // may be NULL
	struct report report;
	char card[PATH_MAX];
	bool has_3d; /* the card */
	struct udev_files udev;
	int stub_control;       /* our end; -1: none */
	unsigned nudges_left;   /* to make the compositor look at its outputs */
	sd_event_source *nudge; /* the next time */
	const char *external_system_bus, *external_session_bus; // NULL: our own
	bool system_bus_decided;
	bool external_pipewire;
	char display[96]; /* name of the compositor's socket, once known */
	struct command compositor;

	struct dir_watch *dir_watch;
	struct notify_socket *notify;
	struct control *control;
};

/* steps.c */
extern const struct step_spec step_specs[_STEP_MAX]; /* in services.c */
const char *step_state_to_string(enum step_state state);
int steps_init(struct launcher *l);
void steps_finish(struct launcher *l);
/* One of the conditions of a step is fulfilled. Does nothing to a step that does not wait for it. */
void step_met(struct step *s, enum step_condition condition);
/* Its conditions are no longer so: what needs it stops until they are again. */
void step_unready(struct step *s, unsigned pending);
/* It is not to be had, and not needed: its dependants go on without. */
void step_off(struct step *s);
/* It will not become ready, or is no good any more. `why` is logged. */
void step_failed(struct step *s, const char *why);
/* Stops it, and what needs it; it starts again when it can. Not counted as a failure. */
void step_restart(struct step *s);
/* Ends everything, with that exit status; the first one counts. */
void steps_end(struct launcher *l, int status);
/* SIGCHLD. */
void steps_reap(struct launcher *l);

/* services.c */
int services_init(struct launcher *l);
void services_finish(struct launcher *l);
/* A file appeared in the runtime directory. */
void services_handle_file(const char *name, void *data);
void services_handle_ready(pid_t pid, void *data);
/* All is up. */
void services_announce(struct launcher *l);
/* The output has another size now. */
void services_resized(struct launcher *l);

/* control.c */
struct control;
int control_create(struct launcher *l, struct control **ret);
void control_destroy(struct control *c);
/* One line to the launcher that runs in `dir`; prints its answer. 0 if that is a good one. */
int control_ask(const char *dir, const char *line);

#endif
