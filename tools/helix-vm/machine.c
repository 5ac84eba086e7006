/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * First the message bus, if one is needed, and the exporters; when all are ready, QEMU; then they
 * are watched.
 *
 * The vhost-user sockets are made here, and QEMU listens on them: a QEMU that connects cannot
 * connect a second time (its vhost-user-gpu has no notion of it), but one that listens takes the
 * next connection. So when an exporter dies the VM is stopped, by QMP: as nobody answers, QEMU takes
 * the guest's rings to be where the guest saw them. Then a new exporter is started on a new
 * connection, and the VM goes on: QEMU begins with it as with a guest's driver that starts. What the
 * guest had in the old one, its resources, is lost: whoever draws has to start anew.
 *
 * Our own monitor, and the exporters' first connections, are connected before QEMU runs: they wait
 * in the queue of a socket that QEMU inherits, so nobody has to look whether it is there yet.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "child.h"
#include "log.h"
#include "machine.h"
#include "notify.h"
#include "qmp.h"
#include "runtime-dir.h"

LOG_MODULE("helix-vm");

#define START_TIMEOUT_USEC (60 * 1000000ull) /* exporters get ready, or QEMU answers */
#define END_TIMEOUT_USEC   (5 * 1000000ull)  /* from SIGTERM to SIGKILL */
/* How long the VM may stand still while an exporter is replaced: then that one is given up too. */
#define REPLACE_TIMEOUT_USEC (10 * 1000000ull)
/* An exporter that dies this often, each time sooner than STABLE_NS, is not started again. */
#define RESTARTS_MAX 5u
#define STABLE_NS    (60 * NSEC_PER_SEC)
/* Before the second restart; doubled for each further one. The first is at once. */
#define RETRY_USEC (200 * 1000ull)

enum phase {
	PHASE_EXPORTERS, /* until all are ready */
	PHASE_QEMU,      /* until it answers */
	PHASE_RUNNING,
	PHASE_POWERDOWN, /* the guest was asked to shut down */
	PHASE_QUIT,      /* QEMU was sent SIGTERM */
	PHASE_KILL,      /* QEMU was sent SIGKILL */
	PHASE_END,       /* QEMU is gone, exporters are ending */
};

struct gpu {
	struct machine *machine;
	unsigned index;
	struct child exporter;
	bool ready;
	unsigned restarts;
	uint64_t started_ns;
};

struct machine {
	const struct plan *plan;
	sd_event *loop;
	struct notify notify;
	enum phase phase;
	int status;             /* for our own exit */
	sd_event_source *timer; // the phase's deadline; may be NULL
	sd_event_source *retry; // the next try to start exporters; may be NULL
	struct gpu gpus[GPUS_MAX];
	int gpu_listeners[GPUS_MAX]; // until QEMU has them, else -1
	struct child bus;            // only if there are several GPUs
	struct child qemu;
	struct qmp *qmp; // NULL: not connected
	bool stopped;    /* by us, while an exporter is started again */
};

static void quit(struct machine *m);

/* And the bus that they are on. */
static void signal_exporters(const struct machine *m, int signal) {
	for (unsigned i = 0; i < m->plan->options->gpus; i++) {
		child_signal(&m->gpus[i].exporter, signal);
	}
	child_signal(&m->bus, signal);
}

/*
 * Timers
 */
static int handle_deadline(sd_event_source *source, uint64_t usec, void *data) {
	struct machine *m = data;
	m->timer = sd_event_source_disable_unref(m->timer);
	switch (m->phase) {
	case PHASE_EXPORTERS:
	case PHASE_QEMU:
		log_err("%s not ready after %llu s",
			m->phase == PHASE_QEMU ? "QEMU is" : "the exporters are",
			START_TIMEOUT_USEC / 1000000);
		m->status = EXIT_FAILURE;
		quit(m);
		break;
	case PHASE_POWERDOWN:
		log_warn("the guest did not shut down in %u s: ending QEMU",
			m->plan->options->shutdown_timeout_s);
		quit(m);
		break;
	case PHASE_QUIT:
		log_err("QEMU does not end: killing it");
		m->status = EXIT_FAILURE;
		m->phase = PHASE_KILL;
		child_signal(&m->qemu, SIGKILL);
		break;
	case PHASE_END:
		signal_exporters(m, SIGKILL);
		break;
	case PHASE_RUNNING:
		for (unsigned i = 0; i < m->plan->options->gpus; i++) {
			if (!m->gpus[i].ready) {
				log_err("the exporter of GPU %u does not get ready", i);
				child_signal(&m->gpus[i].exporter, SIGKILL);
			}
		}
		break;
	case PHASE_KILL:
		break;
	}
	return 0;
}

static void set_phase(struct machine *m, enum phase phase, uint64_t timeout_usec) {
	m->phase = phase;
	m->timer = sd_event_source_disable_unref(m->timer);
	if (timeout_usec > 0) {
		int r = sd_event_add_time_relative(m->loop, &m->timer, CLOCK_MONOTONIC,
			timeout_usec, timeout_usec / 10, handle_deadline, m);
		if (r < 0) {
			log_err_errno(r, "no timer");
		}
	}
}

/*
 * The end
 */
static void end_if_alone(struct machine *m) {
	bool alone = m->qemu.pid == 0 && m->bus.pid == 0;
	for (unsigned i = 0; i < m->plan->options->gpus; i++) {
		alone &= m->gpus[i].exporter.pid == 0;
	}
	if (alone) {
		(void)sd_event_exit(m->loop, m->status);
	}
}

static void end_exporters(struct machine *m) {
	set_phase(m, PHASE_END, END_TIMEOUT_USEC);
	m->retry = sd_event_source_disable_unref(m->retry);
	signal_exporters(m, SIGTERM);
	end_if_alone(m);
}

static void quit(struct machine *m) {
	(void)sd_notify(0, "STOPPING=1");
	m->retry = sd_event_source_disable_unref(m->retry);
	if (m->qemu.pid == 0) {
		end_exporters(m);
		return;
	}
	set_phase(m, PHASE_QUIT, END_TIMEOUT_USEC);
	child_signal(&m->qemu, SIGTERM);
}

static void handle_continued(const char *error, void *data) {
	struct machine *m = data;
	if (error) {
		log_err("cont: %s", error);
	} else {
		m->stopped = false;
		if (m->phase == PHASE_RUNNING) {
			set_phase(m, PHASE_RUNNING, 0);
		}
		log_info("the VM goes on; what draws in it must start anew");
	}
}

static void handle_powerdown(const char *error, void *data) {
	if (error) {
		log_warn("system_powerdown: %s", error);
		quit(data);
	}
}

/* Asks the guest; who asks a second time gets the VM ended at once. */
static void shut_down(struct machine *m) {
	uint32_t timeout = m->plan->options->shutdown_timeout_s;
	if (m->phase > PHASE_POWERDOWN) {
		return; /* already on its way */
	}
	if (m->phase != PHASE_RUNNING || !m->qmp || timeout == 0) {
		quit(m);
		return;
	}
	log_info("asking the guest to shut down, and waiting for up to %u s", timeout);
	(void)sd_notifyf(0, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%llu",
		timeout * 1000000ull + 2 * END_TIMEOUT_USEC);
	set_phase(m, PHASE_POWERDOWN, timeout * 1000000ull);
	m->retry = sd_event_source_disable_unref(m->retry);
	int r = m->stopped ? qmp_execute(m->qmp, "cont", NULL, -1, handle_continued, m) : 0;
	if (r >= 0) {
		r = qmp_execute(m->qmp, "system_powerdown", NULL, -1, handle_powerdown, m);
	}
	if (r < 0) {
		log_warn_errno(r, "system_powerdown");
		quit(m);
	}
}

static int handle_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *data) {
	struct machine *m = data;
	if (m->phase < PHASE_POWERDOWN) {
		m->status = EXIT_SUCCESS;
	}
	shut_down(m);
	return 0;
}

static void handle_qemu_ended(int status, void *data) {
	struct machine *m = data;
	if (m->phase < PHASE_POWERDOWN) {
		m->status = status;
		if (status == 0) {
			log_info("the VM has ended");
		} else {
			log_err("QEMU ended with status %d", status);
		}
	} else {
		log_info("the VM has ended");
	}
	qmp_destroy(m->qmp);
	m->qmp = NULL;
	end_exporters(m);
}

/*
 * Exporters
 */
static int start_exporter(struct gpu *g) {
	struct machine *m = g->machine;
	struct args args = {0};
	char notify[108];
	plan_socket_path(m->plan, NOTIFY_SOCKET, 0, notify);
	CLEANUP_CLOSE int fd = runtime_dir_connect(m->plan, GPU_SOCKET, g->index);
	if (fd < 0) {
		return fd;
	}
	plan_exporter_command(m->plan, g->index, true, &args);
	struct child_config config = {
		.argv = args.v, .fds = &fd, .n_fds = 1, .notify_socket = notify};
	int r = args.error ? args.error : child_start(&g->exporter, m->loop, &config);
	args_finish(&args);
	g->ready = false;
	g->started_ns = now_ns();
	if (r < 0) {
		log_err_errno(r, "cannot start %s", m->plan->exporter);
	}
	return r;
}

/* At the start. */
static int start_exporters(struct machine *m) {
	int r = 0;
	for (unsigned i = 0; r >= 0 && i < m->plan->options->gpus; i++) {
		r = start_exporter(&m->gpus[i]);
	}
	return r;
}

static int start_bus(struct machine *m) {
	struct args args = {0};
	char notify[108];
	plan_socket_path(m->plan, NOTIFY_SOCKET, 0, notify);
	plan_bus_command(m->plan, &args);
	struct child_config config = {.argv = args.v, .notify_socket = notify};
	int r = args.error ? args.error : child_start(&m->bus, m->loop, &config);
	args_finish(&args);
	return r;
}

static void handle_bus_ended(int status, void *data) {
	struct machine *m = data;
	if (m->phase < PHASE_RUNNING) {
		log_err("dbus-daemon, for several GPUs, ended with status %d", status);
		m->status = EXIT_FAILURE;
		quit(m);
	} else if (m->phase < PHASE_END) {
		/* QEMU does not join another one. */
		log_err("dbus-daemon ended with status %d: no output can be plugged in until the VM "
			"is started anew",
			status);
	} else {
		end_if_alone(m);
	}
}

static void start_again(struct gpu *g);

/* The VM is stopped: no exporter is asked for anything. */
static void handle_stopped(const char *error, void *data) {
	struct machine *m = data;
	if (error) {
		log_warn("stop: %s", error);
	}
	m->stopped = true;
	if (m->phase == PHASE_RUNNING) {
		set_phase(m, PHASE_RUNNING, REPLACE_TIMEOUT_USEC);
	}
	for (unsigned i = 0; i < m->plan->options->gpus && m->phase == PHASE_RUNNING; i++) {
		struct gpu *g = &m->gpus[i];
		if (g->exporter.pid == 0 && start_exporter(g) < 0) {
			start_again(g);
		}
	}
}

static int handle_retry(sd_event_source *source, uint64_t usec, void *data) {
	struct machine *m = data;
	m->retry = sd_event_source_disable_unref(m->retry);
	if (!m->qmp) {
		return 0; /* QEMU is ending, or is of no more use */
	}
	int r = qmp_execute(m->qmp, "stop", NULL, -1, handle_stopped, m);
	if (r < 0) {
		log_warn_errno(r, "stop");
	}
	return 0;
}

static void start_again(struct gpu *g) {
	struct machine *m = g->machine;
	g->restarts = now_ns() - g->started_ns > STABLE_NS ? 1 : g->restarts + 1;
	if (g->restarts > RESTARTS_MAX) {
		log_err("the exporter of GPU %u ended %u times in a row", g->index, g->restarts);
		shut_down(m);
		m->status = EXIT_FAILURE;
		return;
	}
	if (m->retry) {
		return; /* for the other GPU's, and it looks at all */
	}
	uint64_t delay = g->restarts == 1 ? 0 : RETRY_USEC << (g->restarts - 2);
	int r = sd_event_add_time_relative(
		m->loop, &m->retry, CLOCK_MONOTONIC, delay, 1000, handle_retry, m);
	if (r < 0) {
		log_err_errno(r, "no timer");
	}
}

static void handle_exporter_ended(int status, void *data) {
	struct gpu *g = data;
	struct machine *m = g->machine;
	g->ready = false;
	switch (m->phase) {
	case PHASE_EXPORTERS:
	case PHASE_QEMU:
		if (m->phase == PHASE_QEMU && status == 0) {
			break; /* QEMU is ending, and says why itself */
		}
		log_err("the exporter of GPU %u ended, with status %d, before the VM ran", g->index,
			status);
		m->status = EXIT_FAILURE;
		quit(m);
		break;
	case PHASE_RUNNING:
		if (status == 0) {
			/* QEMU closed the connection, mostly because it ends itself. */
			log_debug("the exporter of GPU %u ended", g->index);
		} else {
			log_err("the exporter of GPU %u ended with status %d: starting another one",
				g->index, status);
		}
		start_again(g);
		break;
	case PHASE_POWERDOWN:
	case PHASE_QUIT:
	case PHASE_KILL:
		break;
	case PHASE_END:
		end_if_alone(m);
		break;
	}
}

/*
 * QEMU
 */
static void handle_qmp_ready(void *data) {
	struct machine *m = data;
	char address[sizeof(m->plan->options->listen_host) + 16], path[108];
	plan_listen_address(m->plan, 0, address, sizeof(address));
	plan_socket_path(m->plan, QMP_SOCKET, 0, path);
	set_phase(m, PHASE_RUNNING, 0);
	log_info("the VM '%s' runs: HXFR on %s, QMP on %s", m->plan->options->name, address, path);
	(void)sd_notifyf(0, "READY=1\nSTATUS=HXFR on %s", address);
}

static void handle_qmp_closed(int error, void *data) {
	struct machine *m = data;
	if (m->qemu.pid > 0) {
		log_debug("QMP: %s", strerror(-error));
	}
	qmp_destroy(m->qmp);
	m->qmp = NULL;
}

static const struct qmp_handler qmp_handler = {
	.ready = handle_qmp_ready,
	.closed = handle_qmp_closed,
};

static void log_command(const char *what, const struct args *args) {
	char *text = NULL;
	size_t size;
	FILE *f = log_enabled(LOG_LEVEL_DEBUG) ? open_memstream(&text, &size) : NULL;
	if (f) {
		args_print_shell(args, f);
		(void)fclose(f);
		(void)fprintf(stderr, "debug: %s: %s", what, text);
		free(text);
	}
}

static int start_qemu(struct machine *m) {
	const struct vm_options *o = m->plan->options;
	struct args args = {0};
	char path[108];
	int fds[GPUS_MAX + 1];
	CLEANUP_CLOSE int control = runtime_dir_listen(m->plan, CONTROL_SOCKET, 0);
	if (control < 0) {
		return control;
	}
	plan_socket_path(m->plan, CONTROL_SOCKET, 0, path);
	int r = qmp_connect(m->loop, path, &qmp_handler, m, &m->qmp);
	if (r < 0) {
		log_err_errno(r, "%s", path);
		return r;
	}
	memcpy(fds, m->gpu_listeners, o->gpus * sizeof(*fds));
	fds[o->gpus] = control;
	plan_qemu_command(m->plan, true, &args);
	log_command("qemu", &args);
	struct child_config config = {.argv = args.v,
		.fds = fds,
		.n_fds = o->gpus + 1,
		.foreground = o->serial == VM_SERIAL_STDIO};
	r = args.error ? args.error : child_start(&m->qemu, m->loop, &config);
	args_finish(&args);
	if (r < 0) {
		log_err_errno(r, "cannot start %s", o->qemu);
		return r;
	}
	/* QEMU has them: when it is gone nobody listens any more. */
	for (unsigned i = 0; i < o->gpus; i++) {
		m->gpu_listeners[i] = close_fd(m->gpu_listeners[i]);
	}
	set_phase(m, PHASE_QEMU, START_TIMEOUT_USEC);
	return 0;
}

/*
 * Going on
 */
/*
 * QEMU has seen the exporter's connection by now: it was there before this command, and one turn of
 * QEMU's loop takes both.
 */
static void handle_turn(const char *error, void *data) {
	struct machine *m = data;
	if (m->phase == PHASE_RUNNING && m->qmp) {
		(void)qmp_execute(m->qmp, "cont", NULL, -1, handle_continued, m);
	}
}

static void handle_ready(pid_t pid, void *data) {
	struct machine *m = data;
	bool all = true;
	int r = 0;
	if (pid == m->bus.pid) {
		r = start_exporters(m);
		all = false;
	}
	for (unsigned i = 0; i < m->plan->options->gpus; i++) {
		m->gpus[i].ready |= m->gpus[i].exporter.pid == pid;
		all &= m->gpus[i].ready;
	}
	if (all && m->phase == PHASE_EXPORTERS) {
		r = start_qemu(m);
	} else if (all && m->phase == PHASE_RUNNING && m->stopped && m->qmp) {
		(void)qmp_execute(m->qmp, "query-status", NULL, -1, handle_turn, m);
	}
	if (r < 0) {
		m->status = EXIT_FAILURE;
		quit(m);
	}
}

static int start(struct machine *m) {
	static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
	char path[108];
	int r = sd_event_default(&m->loop);
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(signals); i++) {
		r = sd_event_add_signal(m->loop, NULL, signals[i], handle_signal, m);
	}
	if (r >= 0) {
		(void)sd_event_set_watchdog(m->loop, true);
		m->notify = (struct notify){.ready = handle_ready, .data = m};
		plan_socket_path(m->plan, NOTIFY_SOCKET, 0, path);
		r = notify_listen(&m->notify, m->loop, path);
	}
	if (r < 0) {
		log_err_errno(r, "cannot start");
		return r;
	}
	set_phase(m, PHASE_EXPORTERS, START_TIMEOUT_USEC);
	for (unsigned i = 0; r >= 0 && i < m->plan->options->gpus; i++) {
		m->gpu_listeners[i] = r = runtime_dir_listen(m->plan, GPU_SOCKET, i);
	}
	if (r >= 0) {
		r = plan_has_bus(m->plan) ? start_bus(m) : start_exporters(m);
	}
	return r;
}

int machine_run(const struct plan *plan) {
	struct machine m = {.plan = plan,
		.gpu_listeners = {-1, -1},
		.bus = {.ended = handle_bus_ended, .data = &m},
		.qemu = {.ended = handle_qemu_ended, .data = &m}};
	for (unsigned i = 0; i < GPUS_MAX; i++) {
		m.gpus[i] = (struct gpu){.machine = &m,
			.index = i,
			.exporter = {.ended = handle_exporter_ended, .data = &m.gpus[i]}};
	}
	if (start(&m) < 0) {
		m.status = EXIT_FAILURE;
		if (m.loop) {
			end_exporters(&m);
		}
	}
	int r = m.loop ? sd_event_loop(m.loop) : EXIT_FAILURE;
	if (r < 0) {
		log_err_errno(r, "event loop");
	}
	/* Only after an error of the loop does any still run; they end with us. */
	for (unsigned i = 0; i < GPUS_MAX; i++) {
		child_finish(&m.gpus[i].exporter);
		m.gpu_listeners[i] = close_fd(m.gpu_listeners[i]);
	}
	child_finish(&m.bus);
	child_finish(&m.qemu);
	qmp_destroy(m.qmp);
	notify_finish(&m.notify);
	m.timer = sd_event_source_disable_unref(m.timer);
	m.retry = sd_event_source_disable_unref(m.retry);
	sd_event_unref(m.loop);
	return r < 0 ? EXIT_FAILURE : r;
}
