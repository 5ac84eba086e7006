/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "launcher.h"
#include "log.h"
#include "util.h"

LOG_MODULE("launcher");

#define BACKOFF_MIN_MS 100u
#define BACKOFF_MAX_MS 30000u
#define STABLE_NS      (60 * NSEC_PER_SEC) /* after so long a failure is a new one */
#define GIVE_UP_MS     5000u               /* for what was killed to be gone */
#define ACCURACY_USEC  1000

static const char *const state_names[] = {
	[STEP_IDLE] = "waiting",
	[STEP_STARTING] = "starting",
	[STEP_READY] = "ready",
	[STEP_STOPPING] = "stopping",
	[STEP_OFF] = "off",
};

const char *step_state_to_string(enum step_state state) {
	return (unsigned)state < _STEP_STATE_MAX ? state_names[state] : "unknown";
}

static const char *describe_pending(unsigned pending) {
	static const struct {
		unsigned condition;
		const char *text;
	} texts[] = {
		{UNTIL_LEASE, "the DRM manager gave no lease"},
		{UNTIL_PROBED, "the bus does not answer"},
		{UNTIL_LINE, "it printed no address"},
		{UNTIL_NOTIFY, "it did not say that it is ready"},
		{UNTIL_CHECKED, "it does not answer on the system bus"},
		{UNTIL_SOCKET, "its socket did not appear in the runtime directory"},
		{UNTIL_NAME, "its name did not appear on the session bus"},
		{UNTIL_EXPORTED, "the session bus took no environment"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		if (pending & texts[i].condition) {
			return texts[i].text;
		}
	}
	return "nothing is missing";
}

static unsigned id_of(const struct step *s) {
	return (unsigned)(s - s->launcher->steps);
}

static bool is_active(const struct step *s) {
	return s->state == STEP_STARTING || s->state == STEP_READY || s->state == STEP_STOPPING;
}

static void advance_later(struct launcher *l) {
	(void)sd_event_source_set_enabled(l->advance, SD_EVENT_ONESHOT);
}

static void forget_events(struct step *s) {
	s->timer = sd_event_source_disable_unref(s->timer);
	s->again = sd_event_source_disable_unref(s->again);
	bus_errand_destroy(s->errand);
	bus_errand_destroy(s->exporter);
	line_reader_destroy(s->line);
	s->errand = s->exporter = NULL;
	s->line = NULL;
	s->pending = 0;
}

/* It is gone, with all that belongs to it. */
static void set_stopped(struct step *s) {
	forget_events(s);
	s->pid = 0;
	s->told = s->killed = false;
	if (s->state != STEP_OFF) {
		s->state = STEP_IDLE;
	}
	if (s->spec->stopped) {
		s->spec->stopped(s->launcher, s);
	}
	advance_later(s->launcher);
}

static void stop(struct step *s) {
	if (s->state == STEP_STARTING || s->state == STEP_READY) {
		forget_events(s);
		s->state = STEP_STOPPING;
		advance_later(s->launcher);
	}
}

static void stop_dependants(struct step *s) {
	struct launcher *l = s->launcher;
	for (unsigned i = 0; i < _STEP_MAX; i++) {
		struct step *d = &l->steps[i];
		if (!(d->spec->needs & STEP_BIT(id_of(s)))) {
			continue;
		}
		if (d->state == STEP_STARTING || d->state == STEP_READY) {
			stop(d);
			stop_dependants(d);
		} else if (d->state == STEP_OFF && l->config.action == ACTION_RUN) {
			/* A session that was over begins anew on another compositor. */
			d->state = STEP_IDLE;
		}
	}
}

void step_restart(struct step *s) {
	stop_dependants(s);
	stop(s);
}

void step_off(struct step *s) {
	s->state = STEP_OFF;
	set_stopped(s);
}

void step_unready(struct step *s, unsigned pending) {
	if (s->state == STEP_READY) {
		s->state = STEP_STARTING;
	}
	s->pending |= pending;
	stop_dependants(s);
}

static void set_ready(struct step *s) {
	struct launcher *l = s->launcher;
	s->timer = sd_event_source_disable_unref(s->timer);
	s->state = STEP_READY;
	s->ready_ns = now_ns();
	if (s->first_ready_ns == 0) {
		s->first_ready_ns = s->ready_ns;
	}
	log_info("%s: ready after %.1f ms (at %.1f ms)", s->spec->name,
		(double)(s->ready_ns - s->started_ns) / 1e6,
		(double)(s->ready_ns - l->started_ns) / 1e6);
	advance_later(l);
}

void step_met(struct step *s, enum step_condition condition) {
	if (s->state != STEP_STARTING || !(s->pending & condition)) {
		return;
	}
	s->pending &= ~(unsigned)condition;
	if (s->pending == 0) {
		set_ready(s);
	}
}

void steps_end(struct launcher *l, int status) {
	if (l->ending) {
		return;
	}
	l->ending = true;
	l->status = status;
	for (unsigned i = 0; i < _STEP_MAX; i++) {
		stop(&l->steps[i]);
	}
	advance_later(l);
}

/* It was up long enough for its failure to be a new one. */
static bool was_stable(const struct step *s) {
	return s->ready_ns > 0 && now_ns() - s->ready_ns > STABLE_NS;
}

static void start_again(struct step *s) {
	if (s->backoff_ms == 0 || was_stable(s)) {
		s->backoff_ms = BACKOFF_MIN_MS;
	}
	s->restarts++;
	s->not_before_ns = now_ns() + s->backoff_ms * NSEC_PER_MSEC;
	log_info("%s: started again in %u ms", s->spec->name, s->backoff_ms);
	s->backoff_ms = MIN(2 * s->backoff_ms, BACKOFF_MAX_MS);
	stop_dependants(s);
	stop(s);
}

static void chain_failed(struct step *s, int status) {
	struct launcher *l = s->launcher;
	if (was_stable(s)) {
		l->failures = 0;
	}
	if (l->failures++ >= l->config.restarts) {
		log_err("%s: failed %u times in a row: giving up", s->spec->name, l->failures);
		steps_end(l, status ? status : 1);
		return;
	}
	start_again(s);
}

static void session_ended(struct step *s, int status) {
	enum session_policy policy = s->launcher->config.session_policy;
	if (policy == SESSION_END) {
		steps_end(s->launcher, status);
	} else if (policy == SESSION_RESTART || status != 0) {
		start_again(s);
	} else {
		s->state = STEP_OFF;
	}
}

/* By its own doing, not ours. */
static void handle_failure(struct step *s, int status) {
	if (s->launcher->ending) {
		return;
	}
	switch (s->spec->policy) {
	case POLICY_CHAIN:
		chain_failed(s, status);
		break;
	case POLICY_ALONE:
		start_again(s);
		break;
	case POLICY_SESSION:
		session_ended(s, status);
		break;
	}
}

void step_failed(struct step *s, const char *why) {
	if (s->state != STEP_STARTING && s->state != STEP_READY) {
		return;
	}
	log_err("%s: %s", s->spec->name, why);
	if (s->pid == 0) {
		steps_end(s->launcher, 1);
	} else {
		handle_failure(s, 1);
	}
}

static unsigned start_limit_ms(const struct step *s) {
	return s->spec->timeout_ms ? s->spec->timeout_ms : s->launcher->config.start_timeout_ms;
}

static int handle_start_timeout(sd_event_source *source, uint64_t usec, void *data) {
	struct step *s = data;
	log_err("%s: not up within %u ms: %s", s->spec->name, start_limit_ms(s),
		describe_pending(s->pending));
	if (s->spec->policy == POLICY_CHAIN) {
		/* It would not be quicker the next time. */
		steps_end(s->launcher, 1);
	} else {
		handle_failure(s, 1);
	}
	return 0;
}

static int handle_stop_timeout(sd_event_source *source, uint64_t usec, void *data) {
	struct step *s = data;
	struct launcher *l = s->launcher;
	s->timer = sd_event_source_disable_unref(s->timer);
	if (s->killed) {
		log_err("%s: process %d cannot be killed", s->spec->name, (int)s->pid);
		set_stopped(s);
		return 0;
	}
	log_warn("%s: did not end within %u ms: killed", s->spec->name, l->config.stop_timeout_ms);
	s->killed = true;
	process_signal(s->pid, SIGKILL);
	(void)sd_event_add_time_relative(l->loop, &s->timer, CLOCK_MONOTONIC, GIVE_UP_MS * 1000u,
		ACCURACY_USEC, handle_stop_timeout, s);
	return 0;
}

static void tell_to_stop(struct step *s) {
	struct launcher *l = s->launcher;
	s->told = true;
	if (s->pid == 0) {
		set_stopped(s);
		return;
	}
	log_debug("%s: ending process %d", s->spec->name, (int)s->pid);
	process_signal(s->pid, SIGTERM);
	(void)sd_event_add_time_relative(l->loop, &s->timer, CLOCK_MONOTONIC,
		l->config.stop_timeout_ms * UINT64_C(1000), ACCURACY_USEC, handle_stop_timeout, s);
}

static void start(struct step *s) {
	struct launcher *l = s->launcher;
	unsigned ms = start_limit_ms(s);
	s->state = STEP_STARTING;
	s->started_ns = now_ns();
	s->ready_ns = 0;
	if (s->first_started_ns == 0) {
		s->first_started_ns = s->started_ns;
	}
	(void)sd_event_add_time_relative(l->loop, &s->timer, CLOCK_MONOTONIC, ms * UINT64_C(1000),
		ACCURACY_USEC, handle_start_timeout, s);
	int r = s->spec->start(l, s);
	if (r < 0) {
		log_err_errno(r, "%s: cannot be started", s->spec->name);
		if (s->spec->policy == POLICY_CHAIN) {
			steps_end(l, 1);
		} else {
			handle_failure(s, 1);
		}
	} else if (s->state == STEP_STARTING && s->pending == 0) {
		set_ready(s);
	}
}

static bool can_start(const struct step *s) {
	const struct launcher *l = s->launcher;
	for (unsigned i = 0; i < _STEP_MAX; i++) {
		const struct step *o = &l->steps[i];
		unsigned bit = STEP_BIT(i);
		if ((s->spec->needs & bit) && o->state != STEP_READY) {
			return false;
		}
		if ((s->spec->after & bit) && o->state != STEP_READY && o->state != STEP_OFF) {
			return false;
		}
	}
	return true;
}

/* It cannot be had without what is not there. */
static bool is_pointless(const struct step *s) {
	const struct launcher *l = s->launcher;
	for (unsigned i = 0; i < _STEP_MAX; i++) {
		if ((s->spec->needs & STEP_BIT(i)) && l->steps[i].state == STEP_OFF) {
			return true;
		}
	}
	return false;
}

static bool may_stop(const struct step *s) {
	const struct launcher *l = s->launcher;
	for (unsigned i = 0; i < _STEP_MAX; i++) {
		const struct step *o = &l->steps[i];
		if (((o->spec->needs | o->spec->after) & STEP_BIT(id_of(s))) &&
			o->state == STEP_STOPPING) {
			return false;
		}
	}
	return true;
}

static int handle_wake(sd_event_source *source, uint64_t usec, void *data) {
	advance_later(data);
	return 0;
}

static void wake_at(struct launcher *l, uint64_t ns) {
	l->wake = sd_event_source_disable_unref(l->wake);
	(void)sd_event_add_time(l->loop, &l->wake, CLOCK_MONOTONIC, DIV_ROUND_UP(ns, 1000),
		ACCURACY_USEC, handle_wake, l);
}

static int handle_sweep_timeout(sd_event_source *source, uint64_t usec, void *data) {
	struct launcher *l = data;
	l->wake = sd_event_source_disable_unref(l->wake);
	if (l->killing) {
		log_err("there are processes left that cannot be killed");
		(void)sd_event_exit(l->loop, l->status);
		return 0;
	}
	l->killing = true;
	process_signal_all(SIGKILL);
	(void)sd_event_add_time_relative(l->loop, &l->wake, CLOCK_MONOTONIC, GIVE_UP_MS * 1000u,
		ACCURACY_USEC, handle_sweep_timeout, l);
	return 0;
}

/* Children of our children that were left to us. */
static void sweep(struct launcher *l) {
	if (!l->sweeping) {
		l->sweeping = true;
		process_signal_all(SIGTERM);
		l->wake = sd_event_source_disable_unref(l->wake);
		(void)sd_event_add_time_relative(l->loop, &l->wake, CLOCK_MONOTONIC,
			l->config.stop_timeout_ms * UINT64_C(1000), ACCURACY_USEC,
			handle_sweep_timeout, l);
	}
	int status;
	if (process_ended(&status) == -ECHILD) {
		(void)sd_event_exit(l->loop, l->status);
	} else if (l->killing) {
		/* Children of those that were killed. */
		process_signal_all(SIGKILL);
	}
}

static void look_whether_done(struct launcher *l) {
	bool all_ready = true, all_stopped = true;
	uint64_t next = UINT64_MAX;
	for (unsigned i = 0; i < _STEP_MAX; i++) {
		const struct step *s = &l->steps[i];
		all_ready = all_ready && (s->state == STEP_READY || s->state == STEP_OFF);
		all_stopped = all_stopped && !is_active(s);
		if (s->state == STEP_IDLE && s->not_before_ns > now_ns()) {
			next = MIN(next, s->not_before_ns);
		}
	}
	if (l->ending) {
		if (all_stopped) {
			sweep(l);
		}
		return;
	}
	if (next != UINT64_MAX) {
		wake_at(l, next);
	}
	if (!all_ready) {
		l->all_ready_ns = 0;
	} else if (l->all_ready_ns == 0) {
		l->all_ready_ns = now_ns();
		services_announce(l);
	}
}

static int handle_advance(sd_event_source *source, void *data) {
	struct launcher *l = data;
	for (unsigned i = 0; i < _STEP_MAX; i++) {
		struct step *s = &l->steps[i];
		if (s->state != STEP_IDLE || l->ending || now_ns() < s->not_before_ns) {
			continue;
		}
		if (is_pointless(s)) {
			step_off(s);
		} else if (can_start(s)) {
			start(s);
		}
	}
	for (unsigned i = _STEP_MAX; i-- > 0;) {
		struct step *s = &l->steps[i];
		if (s->state == STEP_STOPPING && !s->told && may_stop(s)) {
			tell_to_stop(s);
		}
	}
	look_whether_done(l);
	return 0;
}

static void handle_child(struct step *s, int status) {
	bool asked = s->state == STEP_STOPPING;
	if (s->spec->policy != POLICY_SESSION || asked) {
		/* What it left behind; it is not reaped yet, so the number is still its own. */
		process_signal(s->pid, s->killed ? SIGKILL : SIGTERM);
	}
	if (!asked) {
		log_warn("%s: process %d ended with status %d", s->spec->name, (int)s->pid, status);
		s->pid = 0;
		handle_failure(s, status);
	}
	if (asked || s->state == STEP_OFF) {
		set_stopped(s);
	}
}

void steps_reap(struct launcher *l) {
	int status;
	for (pid_t pid; (pid = process_ended(&status)) > 0;) {
		for (unsigned i = 0; i < _STEP_MAX; i++) {
			if (l->steps[i].pid == pid) {
				handle_child(&l->steps[i], status);
			}
		}
		process_reap(pid);
	}
	if (l->sweeping) {
		advance_later(l);
	}
}

int steps_init(struct launcher *l) {
	for (unsigned i = 0; i < _STEP_MAX; i++) {
		/* A check does not go beyond the stub. */
		bool off = l->config.action == ACTION_CHECK && i > STEP_STUB;
		l->steps[i] = (struct step){
			.spec = &step_specs[i], .launcher = l, .state = off ? STEP_OFF : STEP_IDLE};
	}
	/* Changes come in callbacks of what they change: acted upon when all those have returned. */
	return sd_event_add_defer(l->loop, &l->advance, handle_advance, l);
}

void steps_finish(struct launcher *l) {
	for (unsigned i = 0; i < _STEP_MAX; i++) {
		if (l->steps[i].spec) {
			forget_events(&l->steps[i]);
		}
	}
	l->advance = sd_event_source_disable_unref(l->advance);
	l->wake = sd_event_source_disable_unref(l->wake);
}
