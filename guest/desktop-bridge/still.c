/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "log.h"
#include "still.h"
#include "util.h"

LOG_MODULE("still");

#define WAITING_MAX   16u
#define FIRST_WAIT_NS (5 * NSEC_PER_SEC)  /* for a picture */
#define KEEP_NS       (10 * NSEC_PER_SEC) /* after the last request */
/* What is kept undecoded: beyond it only an IDR helps. */
#define UNITS_MAX 900u
#define BYTES_MAX (8u * 1024 * 1024)

struct request {
	struct list link; // still.waiting
	struct still_wish wish;
	still_done_fn done;
	void *data;
	uint64_t deadline_ns;
};

/* What the thread is given, and gives back. */
struct job {
	struct request *request;
	struct unit **units; /* each with a reference */
	unsigned n_units;
	bool forget; /* free the decoder; there is no request */
	struct cursor cursor;
	int error;
	uint8_t *file;
	size_t size;
};

struct still {
	sd_event *loop;
	struct source *source;
	struct source_watcher watcher;
	bool watching;
	sd_event_source *timer, *finished;
	struct list waiting; // struct request.link
	unsigned n_waiting;
	uint64_t last_request_ns;

	struct unit *units[UNITS_MAX];
	unsigned n_units;
	size_t bytes;
	bool decodable; /* what is kept follows what was decoded, or begins with an IDR */
	bool decoded;   /* the thread has a picture */

	pthread_t thread;
	bool has_thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	/* Under the lock. */
	struct job *job;  /* for the thread; NULL: none */
	struct job *done; /* of the thread */
	bool stop;
	/* The loop's. */
	bool busy;
	int event_fd;
};

static void free_job(struct job *job) {
	if (!job) {
		return;
	}
	for (unsigned i = 0; i < job->n_units; i++) {
		unit_unref(job->units[i]);
	}
	free(job->units);
	free(job->cursor.rgba);
	free(job->file);
	free(job->request);
	free(job);
}

/* On the thread. */
static void do_job(struct picture_decoder **decoder, struct job *job) {
	int r = 0;
	if (job->forget) {
		picture_decoder_destroy(*decoder);
		*decoder = NULL;
		return;
	}
	if (!*decoder) {
		r = picture_decoder_create(decoder);
	}
	for (unsigned i = 0; i < job->n_units && r == 0; i++) {
		r = picture_decoder_feed(*decoder, job->units[i]);
	}
	const struct still_wish *wish = &job->request->wish;
	if (r == 0) {
		r = picture_decoder_write(*decoder, wish->format, wish->quality,
			job->cursor.rgba ? &job->cursor : NULL, &job->file, &job->size);
	}
	job->error = r;
}

static void *run_thread(void *data) {
	struct still *s = data;
	struct picture_decoder *decoder = NULL;
	(void)pthread_mutex_lock(&s->lock);
	while (!s->stop) {
		struct job *job = s->job;
		if (!job) {
			(void)pthread_cond_wait(&s->wake, &s->lock);
			continue;
		}
		s->job = NULL;
		(void)pthread_mutex_unlock(&s->lock);
		do_job(&decoder, job);
		(void)pthread_mutex_lock(&s->lock);
		s->done = job;
		(void)eventfd_write(s->event_fd, 1);
	}
	(void)pthread_mutex_unlock(&s->lock);
	picture_decoder_destroy(decoder);
	return NULL;
}

static void post(struct still *s, struct job *job) {
	s->busy = true;
	(void)pthread_mutex_lock(&s->lock);
	s->job = job;
	(void)pthread_cond_signal(&s->wake);
	(void)pthread_mutex_unlock(&s->lock);
}

static void drop_units(struct still *s) {
	for (unsigned i = 0; i < s->n_units; i++) {
		unit_unref(s->units[i]);
	}
	s->n_units = 0;
	s->bytes = 0;
}

static void answer(struct still *s, struct request *rq, int error, uint8_t *file, size_t size) {
	list_remove(&rq->link);
	s->n_waiting--;
	rq->done(rq->data, error, file, size);
}

static void copy_cursor(const struct cursor *from, struct cursor *to) {
	size_t n = 4 * (size_t)from->width * from->height;
	*to = *from;
	to->rgba = from->visible && n > 0 ? malloc(n) : NULL;
	if (to->rgba) {
		memcpy(to->rgba, from->rgba, n);
	}
}

static void arm(struct still *s) {
	const struct request *rq;
	uint64_t next = s->watching ? s->last_request_ns + KEEP_NS : UINT64_MAX;
	list_for_each(rq, &s->waiting, link) {
		next = MIN(next, rq->deadline_ns);
	}
	(void)sd_event_source_set_time(s->timer, next / NSEC_PER_USEC);
	(void)sd_event_source_set_enabled(
		s->timer, next == UINT64_MAX ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
}

/* Gives the thread the first of who waits, if there is a picture to be had. */
static void serve(struct still *s) {
	if (s->busy || list_empty(&s->waiting) || !s->decodable || (!s->n_units && !s->decoded)) {
		return;
	}
	struct request *rq = list_first(&s->waiting, struct request, link);
	struct job *job = calloc(1, sizeof(*job));
	struct unit **units = calloc(s->n_units + 1, sizeof(struct unit *));
	if (!job || !units) {
		free(job);
		free(units);
		answer(s, rq, -ENOMEM, NULL, 0);
		free(rq);
		return;
	}
	memcpy(units, s->units, s->n_units * sizeof(struct unit *));
	*job = (struct job){.request = rq, .units = units, .n_units = s->n_units};
	s->n_units = 0;
	s->bytes = 0;
	if (rq->wish.cursor) {
		copy_cursor(source_cursor(s->source), &job->cursor);
	}
	/* It is the job's now. */
	list_remove(&rq->link);
	s->n_waiting--;
	post(s, job);
}

static int handle_finished(sd_event_source *source, int fd, uint32_t revents, void *data) {
	struct still *s = data;
	eventfd_t n;
	(void)eventfd_read(fd, &n);
	(void)pthread_mutex_lock(&s->lock);
	struct job *job = s->done;
	s->done = NULL;
	(void)pthread_mutex_unlock(&s->lock);
	if (!job) {
		return 0;
	}
	s->busy = false;
	if (job->error) {
		/* A stream that cannot be decoded may be all right from the next IDR on. */
		s->decodable = s->decoded = false;
		drop_units(s);
		source_want_keyframe(s->source);
	} else {
		s->decoded = !job->forget;
	}
	if (job->request) {
		job->request->done(job->request->data, job->error, job->file, job->size);
		job->file = NULL;
	}
	free_job(job);
	serve(s);
	arm(s);
	return 0;
}

static void handle_unit(struct unit *u, bool gap, void *data) {
	struct still *s = data;
	if (gap) {
		s->decodable = false;
	}
	if (u->keyframe) {
		drop_units(s);
		s->decodable = true;
	}
	if (s->decodable && (s->n_units == UNITS_MAX || s->bytes + u->size > BYTES_MAX)) {
		s->decodable = false;
	}
	if (!s->decodable) {
		drop_units(s);
		return;
	}
	s->units[s->n_units++] = unit_ref(u);
	s->bytes += u->size;
	serve(s);
}

static const struct source_watcher_handler watcher_handler = {.unit = handle_unit};

static void stop_watching(struct still *s) {
	source_leave(s->source, &s->watcher);
	s->watching = s->decodable = s->decoded = false;
	drop_units(s);
	struct job *job = s->busy ? NULL : calloc(1, sizeof(*job));
	if (job) {
		job->forget = true;
		post(s, job);
	}
}

static int handle_timer(sd_event_source *source, uint64_t usec, void *data) {
	struct still *s = data;
	struct request *rq, *tmp;
	uint64_t now = now_ns();
	list_for_each_safe(rq, tmp, &s->waiting, link) {
		if (now >= rq->deadline_ns) {
			answer(s, rq, -ETIMEDOUT, NULL, 0);
			free(rq);
		}
	}
	if (s->watching && list_empty(&s->waiting) && now >= s->last_request_ns + KEEP_NS) {
		stop_watching(s);
	}
	arm(s);
	return 0;
}

void still_request(struct still *s, const struct still_wish *wish, still_done_fn done, void *data) {
	struct request *rq = s->n_waiting < WAITING_MAX ? calloc(1, sizeof(*rq)) : NULL;
	if (!rq) {
		done(data, -EBUSY, NULL, 0);
		return;
	}
	s->last_request_ns = now_ns();
	*rq = (struct request){.wish = *wish, .done = done, .data = data};
	rq->deadline_ns = s->last_request_ns + FIRST_WAIT_NS;
	list_append(&s->waiting, &rq->link);
	s->n_waiting++;
	if (!s->watching) {
		s->watching = true;
		s->watcher.passive = true;
		source_join(s->source, &s->watcher, &watcher_handler, s);
	} else if (!s->decodable) {
		source_want_keyframe(s->source);
	}
	serve(s);
	arm(s);
}

static int start(struct still *s) {
	s->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->event_fd < 0) {
		return -errno;
	}
	int r = sd_event_add_io(s->loop, &s->finished, s->event_fd, EPOLLIN, handle_finished, s);
	if (r >= 0) {
		r = sd_event_add_time(s->loop, &s->timer, CLOCK_MONOTONIC, 0, 0, handle_timer, s);
	}
	if (r >= 0) {
		r = sd_event_source_set_enabled(s->timer, SD_EVENT_OFF);
	}
	if (r >= 0) {
		/* Signals are the loop's: they are blocked by now, and the thread inherits that. */
		r = -pthread_create(&s->thread, NULL, run_thread, s);
		s->has_thread = r == 0;
	}
	return r;
}

int still_create(sd_event *loop, struct source *source, struct still **ret) {
	struct still *s = calloc(1, sizeof(*s));
	if (!s) {
		return -ENOMEM;
	}
	s->loop = sd_event_ref(loop);
	s->source = source;
	s->event_fd = -1;
	list_init(&s->waiting);
	(void)pthread_mutex_init(&s->lock, NULL);
	(void)pthread_cond_init(&s->wake, NULL);
	int r = start(s);
	if (r < 0) {
		still_destroy(s);
		return r;
	}
	*ret = s;
	return 0;
}

static void cancel_job(struct job *job) {
	if (job && job->request) {
		job->request->done(job->request->data, -ECANCELED, NULL, 0);
	}
	free_job(job);
}

void still_destroy(struct still *s) {
	struct request *rq, *tmp;
	if (!s) {
		return;
	}
	if (s->has_thread) {
		(void)pthread_mutex_lock(&s->lock);
		s->stop = true;
		(void)pthread_cond_signal(&s->wake);
		(void)pthread_mutex_unlock(&s->lock);
		(void)pthread_join(s->thread, NULL);
	}
	cancel_job(s->job);
	cancel_job(s->done);
	list_for_each_safe(rq, tmp, &s->waiting, link) {
		answer(s, rq, -ECANCELED, NULL, 0);
		free(rq);
	}
	if (s->watching) {
		source_leave(s->source, &s->watcher);
	}
	drop_units(s);
	sd_event_source_disable_unref(s->finished);
	sd_event_source_disable_unref(s->timer);
	(void)close_fd(s->event_fd);
	(void)pthread_cond_destroy(&s->wake);
	(void)pthread_mutex_destroy(&s->lock);
	sd_event_unref(s->loop);
	free(s);
}
