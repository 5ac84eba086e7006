/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "clipboard.h"
#include "log.h"
#include "transfer.h"
#include "util.h"

LOG_MODULE("clipboard");

#define READERS_MAX   16u
#define SERVINGS_MAX  32u
#define READ_TIME_US  (10 * UINT64_C(1000000)) /* also for whoever waits */
#define SERVE_TIME_US (30 * UINT64_C(1000000))
/* A program that changes the clipboard all the time is not worth more messages than these. */
#define TELL_EVERY_NS    (100 * NSEC_PER_MSEC)
#define TELL_ACCURACY_US 1000u

/* By what is liked best. */
static const char *const text_types[] = {"text/plain;charset=utf-8", "UTF8_STRING", "text/plain"};
static const char *const image_types[] = {"image/png"};

struct reader {
	struct list link; // clipboard.readers
	clipboard_read_fn done;
	void *data;
	uint64_t deadline_ns;
};

struct serving {
	struct list link; // clipboard.servings
	struct clipboard *clipboard;
	struct transfer *transfer;
	uint32_t token;
};

/* What clipboard_set waits for. */
struct setting {
	struct clipboard *clipboard;
	clipboard_done_fn done; // NULL: nobody waits
	void *data;
};

struct clipboard {
	sd_event *loop;
	struct clipboard_backend *backend; // may be NULL
	bool available;
	bool owned;                    /* `set` is the clipboard's content */
	const char *text, *image;      /* types that another program offers; NULL without */
	struct clipboard_content *set; /* by a viewer; may be NULL */
	bool offering;                 /* the back end did not answer yet */
	bool restore;                  /* offer `set` anew if the clipboard turns out to be empty */
	struct setting setting;
	uint32_t generation;

	struct list readers; // struct reader.link
	unsigned n_readers;
	bool asked; /* the back end for a descriptor */
	enum clipboard_kind kind;
	struct transfer *reading; // may be NULL
	sd_event_source *deadline;

	struct list servings; // struct serving.link
	unsigned n_servings;

	struct list watchers; // struct clipboard_watcher.link
	sd_event_source *tell;
	uint64_t told_ns;
	struct clipboard_stats stats;
};

static void begin_read(struct clipboard *c);

static const char *choose(
	const char *const *known, size_t n_known, const char *const *types, size_t n) {
	for (size_t i = 0; i < n_known; i++) {
		for (size_t k = 0; k < n; k++) {
			if (strcmp(known[i], types[k]) == 0) {
				return known[i];
			}
		}
	}
	return NULL;
}

static int handle_tell(sd_event_source *source, uint64_t usec, void *data) {
	struct clipboard *c = data;
	struct clipboard_watcher *w, *tmp;
	c->told_ns = now_ns();
	list_for_each_safe(w, tmp, &c->watchers, link) {
		w->changed(w);
	}
	return 0;
}

static void tell(struct clipboard *c) {
	uint64_t now = now_ns(), due = c->told_ns ? c->told_ns + TELL_EVERY_NS : now;
	int armed = SD_EVENT_OFF;
	c->generation++;
	(void)sd_event_source_get_enabled(c->tell, &armed);
	if (armed != SD_EVENT_OFF) {
		return; /* setting it again would put it off */
	}
	(void)sd_event_source_set_time(c->tell, MAX(now, due) / NSEC_PER_USEC);
	(void)sd_event_source_set_enabled(c->tell, SD_EVENT_ONESHOT);
}

/* Reading. All who wait get the same. */

static void stop_reading(struct clipboard *c) {
	if (c->asked) {
		c->backend->ops->cancel_read(c->backend);
		c->asked = false;
	}
	transfer_destroy(c->reading);
	c->reading = NULL;
}

static void arm_deadline(struct clipboard *c) {
	struct reader *first = list_first(&c->readers, struct reader, link);
	bool any = !list_empty(&c->readers);
	if (any) { /* they are in the order of their deadlines */
		(void)sd_event_source_set_time(c->deadline, first->deadline_ns / NSEC_PER_USEC);
	}
	(void)sd_event_source_set_enabled(c->deadline, any ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
}

static void answer(
	struct clipboard *c, struct reader *rd, int error, struct clipboard_content *content) {
	list_remove(&rd->link);
	c->n_readers--;
	c->stats.reads_failed += error != 0;
	rd->done(rd->data, error, content);
	free(rd);
}

static void answer_all(struct clipboard *c, int error, struct clipboard_content *content) {
	struct reader *rd, *tmp;
	struct list all;
	list_init(&all);
	/* Who asks again from within `done` is not among them. */
	list_for_each_safe(rd, tmp, &c->readers, link) {
		list_remove(&rd->link);
		list_append(&all, &rd->link);
	}
	list_for_each_safe(rd, tmp, &all, link) {
		answer(c, rd, error, content);
	}
	arm_deadline(c);
}

static int handle_deadline(sd_event_source *source, uint64_t usec, void *data) {
	struct clipboard *c = data;
	struct reader *rd, *tmp;
	uint64_t now = now_ns();
	list_for_each_safe(rd, tmp, &c->readers, link) {
		if (now >= rd->deadline_ns) {
			answer(c, rd, -ETIMEDOUT, NULL);
		}
	}
	if (list_empty(&c->readers)) {
		stop_reading(c);
	}
	arm_deadline(c);
	return 0;
}

static void handle_read(void *user, int error, uint8_t *data, size_t size) {
	struct clipboard *c = user;
	struct clipboard_content *content = NULL;
	transfer_destroy(c->reading);
	c->reading = NULL;
	if (error == 0) {
		error = clipboard_content_create(c->kind, data, size, &content);
	}
	if (error < 0) {
		log_debug("a program's %s: %s", c->kind == CLIPBOARD_TEXT ? "text" : "picture",
			strerror(-error));
	}
	answer_all(c, error, content);
	clipboard_content_unref(content);
}

static void handle_read_fd(void *data, int fd) {
	struct clipboard *c = data;
	c->asked = false;
	int r = fd < 0 ? fd
		       : transfer_read(c->loop, fd, clipboard_size_max(c->kind), READ_TIME_US,
				 handle_read, c, &c->reading);
	if (r < 0) {
		answer_all(c, r, NULL);
	}
}

/* For those who wait, what the clipboard has now. */
static void begin_read(struct clipboard *c) {
	if (list_empty(&c->readers) || c->asked || c->reading) {
		return;
	}
	if (!c->available) {
		answer_all(c, -ENOTSUP, NULL);
	} else if (c->owned) {
		struct clipboard_content *content = clipboard_content_ref(c->set);
		answer_all(c, 0, content);
		clipboard_content_unref(content);
	} else if (!c->text && !c->image) {
		answer_all(c, 0, NULL);
	} else {
		c->kind = c->text ? CLIPBOARD_TEXT : CLIPBOARD_IMAGE;
		int r = c->backend->ops->read(
			c->backend, c->text ? c->text : c->image, handle_read_fd, c);
		c->asked = r >= 0;
		if (r < 0) {
			answer_all(c, r, NULL);
		}
	}
}

void clipboard_read(struct clipboard *c, clipboard_read_fn done, void *data) {
	struct reader *rd = c->n_readers < READERS_MAX ? calloc(1, sizeof(*rd)) : NULL;
	c->stats.reads++;
	if (!rd) {
		c->stats.reads_failed++;
		done(data, -EBUSY, NULL);
		return;
	}
	*rd = (struct reader){.done = done, .data = data};
	rd->deadline_ns = now_ns() + READ_TIME_US * NSEC_PER_USEC;
	list_append(&c->readers, &rd->link);
	c->n_readers++;
	arm_deadline(c);
	begin_read(c);
}

/* Setting, and serving what was set. */

static void answer_setting(struct clipboard *c, int error) {
	struct setting s = c->setting;
	c->setting.done = NULL;
	if (s.done) {
		s.done(s.data, error);
	}
}

static void forget_set(struct clipboard *c) {
	c->owned = false;
	clipboard_content_unref(c->set);
	c->set = NULL;
}

static void handle_offer_done(void *data, int error) {
	struct clipboard *c = data;
	c->offering = false;
	if (error < 0) {
		forget_set(c);
	}
	answer_setting(c, error);
}

static void offer(struct clipboard *c) {
	bool text = c->set->kind == CLIPBOARD_TEXT;
	c->offering = true;
	int r = c->backend->ops->offer(c->backend, text ? text_types : image_types,
		text ? ARRAY_SIZE(text_types) : ARRAY_SIZE(image_types), handle_offer_done, c);
	if (r < 0) {
		handle_offer_done(c, r);
	}
}

void clipboard_set(struct clipboard *c, struct clipboard_content *content, clipboard_done_fn done,
	void *data) {
	if (!c->available) {
		done(data, -ENOTSUP);
		return;
	}
	/* Whoever waits was overtaken: it was there for no time at all. */
	answer_setting(c, 0);
	clipboard_content_unref(c->set);
	c->set = clipboard_content_ref(content);
	c->setting.done = done;
	c->setting.data = data;
	c->stats.sets++;
	offer(c);
}

static void free_serving(struct serving *s) {
	list_remove(&s->link);
	s->clipboard->n_servings--;
	transfer_destroy(s->transfer);
	free(s);
}

static void handle_served(void *user, int error, uint8_t *data, size_t size) {
	struct serving *s = user;
	struct clipboard *c = s->clipboard;
	c->stats.served += error == 0;
	c->stats.served_failed += error != 0;
	if (c->backend->ops->served) {
		c->backend->ops->served(c->backend, s->token, error == 0);
	}
	free_serving(s);
}

static void refuse(struct clipboard *c, uint32_t token) {
	c->stats.served_failed++;
	if (c->backend->ops->served) {
		c->backend->ops->served(c->backend, token, false);
	}
}

/* Consumes `fd`. */
static int serve(struct clipboard *c, enum clipboard_kind kind, int fd, uint32_t token) {
	struct serving *s = c->set && c->set->kind == kind && c->n_servings < SERVINGS_MAX
		? calloc(1, sizeof(*s))
		: NULL;
	if (!s) {
		(void)close_fd(fd);
		return -ENOENT;
	}
	*s = (struct serving){.clipboard = c, .token = token};
	list_append(&c->servings, &s->link);
	c->n_servings++;
	int r = transfer_write(c->loop, fd, c->set, SERVE_TIME_US, handle_served, s, &s->transfer);
	if (r < 0) {
		free_serving(s);
	}
	return r;
}

static void handle_wanted(const char *type, int fd, uint32_t token, void *data) {
	struct clipboard *c = data;
	bool text = choose(text_types, ARRAY_SIZE(text_types), &type, 1) != NULL;
	if (!text && !choose(image_types, ARRAY_SIZE(image_types), &type, 1)) {
		(void)close_fd(fd);
		refuse(c, token);
	} else if (serve(c, text ? CLIPBOARD_TEXT : CLIPBOARD_IMAGE, fd, token) < 0) {
		refuse(c, token);
	}
}

/* What happens in the desktop. */

static void changed(struct clipboard *c) {
	stop_reading(c);
	tell(c);
	begin_read(c);
}

static void handle_available(bool available, void *data) {
	struct clipboard *c = data;
	struct serving *s, *tmp;
	c->available = available;
	c->owned = false;
	c->text = c->image = NULL;
	/* A compositor that was started again has nothing: what was set is still the newest. */
	c->restore = available && c->set;
	if (!available) {
		/* The back end has forgotten them. */
		c->asked = c->offering = false;
		answer_setting(c, -ECONNRESET);
		list_for_each_safe(s, tmp, &c->servings, link) {
			free_serving(s);
		}
	}
	changed(c);
}

static void handle_offered(const char *const *types, size_t n, void *data) {
	struct clipboard *c = data;
	bool restore = c->restore && n == 0;
	c->owned = c->restore = false;
	c->text = choose(text_types, ARRAY_SIZE(text_types), types, n);
	c->image = choose(image_types, ARRAY_SIZE(image_types), types, n);
	if (restore) {
		offer(c);
	} else if (!c->offering) {
		forget_set(c);
	}
	changed(c);
}

static void handle_owned(void *data) {
	struct clipboard *c = data;
	c->owned = c->set != NULL;
	c->text = c->image = NULL;
	changed(c);
}

static const struct clipboard_events events = {
	.available = handle_available,
	.offered = handle_offered,
	.owned = handle_owned,
	.wanted = handle_wanted,
};

int clipboard_create(sd_event *loop, struct clipboard_backend *backend, struct clipboard **ret) {
	struct clipboard *c = calloc(1, sizeof(*c));
	if (!c) {
		return -ENOMEM;
	}
	c->loop = sd_event_ref(loop);
	list_init(&c->readers);
	list_init(&c->servings);
	list_init(&c->watchers);
	int r = sd_event_add_time(
		loop, &c->tell, CLOCK_MONOTONIC, 0, TELL_ACCURACY_US, handle_tell, c);
	if (r >= 0) {
		r = sd_event_add_time(
			loop, &c->deadline, CLOCK_MONOTONIC, 0, 0, handle_deadline, c);
	}
	if (r < 0) {
		clipboard_destroy(c);
		return r;
	}
	(void)sd_event_source_set_enabled(c->tell, SD_EVENT_OFF);
	(void)sd_event_source_set_enabled(c->deadline, SD_EVENT_OFF);
	c->backend = backend;
	if (backend) {
		backend->ops->listen(backend, &events, c);
	}
	*ret = c;
	return 0;
}

void clipboard_destroy(struct clipboard *c) {
	struct serving *s, *tmp;
	if (!c) {
		return;
	}
	c->available = false;
	stop_reading(c);
	answer_all(c, -ECANCELED, NULL);
	answer_setting(c, -ECANCELED);
	list_for_each_safe(s, tmp, &c->servings, link) {
		free_serving(s);
	}
	if (c->backend) {
		c->backend->ops->listen(c->backend, NULL, NULL);
	}
	sd_event_source_disable_unref(c->tell);
	sd_event_source_disable_unref(c->deadline);
	clipboard_content_unref(c->set);
	sd_event_unref(c->loop);
	free(c);
}

void clipboard_get_state(const struct clipboard *c, struct clipboard_state *ret) {
	*ret = (struct clipboard_state){
		.available = c->available,
		.text = c->owned ? c->set->kind == CLIPBOARD_TEXT : c->text != NULL,
		.image = c->owned ? c->set->kind == CLIPBOARD_IMAGE : c->image != NULL,
		.ours = c->owned,
		.generation = c->generation,
	};
}

void clipboard_get_stats(const struct clipboard *c, struct clipboard_stats *ret) {
	*ret = c->stats;
}

void clipboard_watch(struct clipboard *c, struct clipboard_watcher *w) {
	list_append(&c->watchers, &w->link);
}

void clipboard_unwatch(struct clipboard_watcher *w) {
	list_remove(&w->link);
}
