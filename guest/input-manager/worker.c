/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "worker.h"

struct worker {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t posted;
	struct list queue;    // work.link; under lock
	struct list finished; // work.link; under lock
	unsigned n_open;      /* posted and not done yet; of the loop's thread */
	bool quit;            /* under lock */
	int eventfd;
	sd_event_source *io;
};

static struct work *take_first(struct list *head) {
	if (list_empty(head)) {
		return NULL;
	}
	struct work *work = list_first(head, struct work, link);
	list_remove(&work->link);
	return work;
}

static void *run_thread(void *data) {
	struct worker *w = data;
	pthread_mutex_lock(&w->lock);
	for (;;) {
		struct work *work = take_first(&w->queue);
		if (work) {
			pthread_mutex_unlock(&w->lock);
			work->run(work);
			pthread_mutex_lock(&w->lock);
			list_append(&w->finished, &work->link);
			(void)eventfd_write(w->eventfd, 1);
		} else if (w->quit) {
			break;
		} else {
			pthread_cond_wait(&w->posted, &w->lock);
		}
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

static void finish_done(struct worker *w) {
	for (;;) {
		pthread_mutex_lock(&w->lock);
		struct work *work = take_first(&w->finished);
		pthread_mutex_unlock(&w->lock);
		if (!work) {
			return;
		}
		w->n_open--;
		work->done(work);
	}
}

static int handle_done(sd_event_source *source, int fd, uint32_t events, void *data) {
	eventfd_t n;
	(void)eventfd_read(fd, &n);
	finish_done(data);
	return 0;
}

static int start_thread(struct worker *w) {
	sigset_t all, before;
	sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	int r = -pthread_create(&w->thread, NULL, run_thread, w);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r;
}

int worker_create(sd_event *loop, struct worker **ret) {
	struct worker *w = calloc(1, sizeof(*w));
	if (!w) {
		return -ENOMEM;
	}
	list_init(&w->queue);
	list_init(&w->finished);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->posted, NULL);
	w->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int r = w->eventfd < 0 ? -errno : 0;
	if (r == 0) {
		r = sd_event_add_io(loop, &w->io, w->eventfd, EPOLLIN, handle_done, w);
	}
	if (r >= 0) {
		r = start_thread(w);
	}
	if (r < 0) {
		sd_event_source_disable_unref(w->io);
		(void)close_fd(w->eventfd);
		free(w);
		return r;
	}
	*ret = w;
	return 0;
}

void worker_post(struct worker *w, struct work *work) {
	w->n_open++;
	pthread_mutex_lock(&w->lock);
	list_append(&w->queue, &work->link);
	pthread_cond_signal(&w->posted);
	pthread_mutex_unlock(&w->lock);
}

void worker_destroy(struct worker *w) {
	if (!w) {
		return;
	}
	sd_event_source_disable_unref(w->io);
	while (w->n_open > 0) {
		struct pollfd p = {.fd = w->eventfd, .events = POLLIN};
		eventfd_t n;
		(void)poll(&p, 1, -1);
		(void)eventfd_read(w->eventfd, &n);
		finish_done(w);
	}
	pthread_mutex_lock(&w->lock);
	w->quit = true;
	pthread_cond_signal(&w->posted);
	pthread_mutex_unlock(&w->lock);
	(void)pthread_join(w->thread, NULL);
	pthread_cond_destroy(&w->posted);
	pthread_mutex_destroy(&w->lock);
	(void)close_fd(w->eventfd);
	free(w);
}
