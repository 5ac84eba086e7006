/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>

#include "mailbox.h"
#include "util.h"

int mailbox_create(struct mailbox **ret) {
	struct mailbox *mb = calloc(1, sizeof(*mb));
	if (!mb) {
		return -ENOMEM;
	}
	(void)pthread_mutex_init(&mb->lock, NULL);
	mb->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int r = mb->event_fd < 0 ? -errno : 0;
	mb->in = calloc(1, sizeof(*mb->in));
	mb->idle = calloc(1, sizeof(*mb->idle));
	if (r == 0 && (!mb->in || !mb->idle)) {
		r = -ENOMEM;
	}
	if (r < 0) {
		mailbox_destroy(mb);
		return r;
	}
	*ret = mb;
	return 0;
}

static void drop_mail(struct mail *mail) {
	if (!mail) {
		return;
	}
	for (unsigned i = 0; i < mail->n_units; i++) {
		access_unit_unref(mail->units[i]);
	}
	for (unsigned i = 0; i < SCANOUTS_MAX; i++) {
		cursor_image_unref(mail->cursors[i].image);
	}
	free(mail);
}

void mailbox_destroy(struct mailbox *mb) {
	if (!mb) {
		return;
	}
	drop_mail(mb->in);
	drop_mail(mb->idle);
	(void)close_fd(mb->event_fd);
	(void)pthread_mutex_destroy(&mb->lock);
	free(mb);
}

/*
 * The first post since the last take wakes the server; whoever posts later need not. The write is
 * made without the lock: it is a system call.
 */
static void unlock_and_wake(struct mailbox *mb, bool was_empty) {
	(void)pthread_mutex_unlock(&mb->lock);
	if (was_empty) {
		static const uint64_t one = 1;
		(void)!write(mb->event_fd, &one, sizeof(one));
	}
}

static bool is_empty(const struct mail *mail) {
	if (mail->n_units > 0 || mail->lost || mail->states_changed) {
		return false;
	}
	for (unsigned i = 0; i < SCANOUTS_MAX; i++) {
		if (mail->cursors[i].changed) {
			return false;
		}
	}
	return true;
}

void mailbox_post_unit(struct mailbox *mb, struct access_unit *au) {
	(void)pthread_mutex_lock(&mb->lock);
	bool was_empty = is_empty(mb->in);
	if (mb->in->n_units < MAILBOX_UNITS) {
		mb->in->units[mb->in->n_units++] = au;
		au = NULL;
	} else {
		mb->in->lost |= 1u << au->scanout_id;
	}
	unlock_and_wake(mb, was_empty);
	access_unit_unref(au);
}

void mailbox_post_state(struct mailbox *mb, uint32_t scanout) {
	(void)pthread_mutex_lock(&mb->lock);
	bool was_empty = is_empty(mb->in);
	mb->in->states_changed |= 1u << scanout;
	unlock_and_wake(mb, was_empty);
}

void mailbox_post_cursor(
	struct mailbox *mb, uint32_t scanout, struct cursor_image *image, uint32_t x, uint32_t y) {
	(void)pthread_mutex_lock(&mb->lock);
	bool was_empty = is_empty(mb->in);
	struct cursor_mail *cursor = &mb->in->cursors[scanout];
	struct cursor_image *replaced = cursor->image;
	cursor->image = image;
	cursor->x = x;
	cursor->y = y;
	cursor->changed = CURSOR_IMAGE_CHANGED | CURSOR_MOVED;
	unlock_and_wake(mb, was_empty);
	cursor_image_unref(replaced);
}

void mailbox_post_cursor_position(struct mailbox *mb, uint32_t scanout, uint32_t x, uint32_t y) {
	(void)pthread_mutex_lock(&mb->lock);
	bool was_empty = is_empty(mb->in);
	struct cursor_mail *cursor = &mb->in->cursors[scanout];
	cursor->x = x;
	cursor->y = y;
	cursor->changed |= CURSOR_MOVED;
	unlock_and_wake(mb, was_empty);
}

struct mail *mailbox_take(struct mailbox *mb) {
	uint64_t count;
	/* Before the exchange: a post in between is taken now and leaves one needless wake-up. */
	(void)!read(mb->event_fd, &count, sizeof(count));
	(void)pthread_mutex_lock(&mb->lock);
	struct mail *mail = mb->in;
	mb->in = mb->idle;
	mb->idle = mail;
	(void)pthread_mutex_unlock(&mb->lock);
	return mail;
}

void mail_clear(struct mail *mail) {
	mail->n_units = 0;
	mail->lost = 0;
	mail->states_changed = 0;
	memset(mail->cursors, 0, sizeof(mail->cursors));
}
