/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "inhibit.h"
#include "util.h"

/* org.freedesktop.login1(5), Inhibit(), in the order in which logind lists them. */
static const char *const words[] = {
	"shutdown",
	"sleep",
	"idle",
	"handle-power-key",
	"handle-suspend-key",
	"handle-hibernate-key",
	"handle-lid-switch",
	"handle-reboot-key",
};

void inhibit_mask_to_string(uint32_t mask, char ret[INHIBIT_WHAT_MAX]) {
	size_t used = 0;
	ret[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (mask & (1u << i)) {
			used += (size_t)snprintf(ret + used, INHIBIT_WHAT_MAX - used, "%s%s",
				used > 0 ? ":" : "", words[i]);
		}
	}
}

static uint32_t find_word(const char *text, size_t len) {
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strlen(words[i]) == len && memcmp(words[i], text, len) == 0) {
			return 1u << i;
		}
	}
	return 0;
}

int inhibit_mask_from_string(const char *what, uint32_t *ret) {
	uint32_t mask = 0;
	for (const char *p = what;;) {
		size_t len = strcspn(p, ":");
		uint32_t bit = find_word(p, len);
		if (bit == 0) {
			return -EINVAL;
		}
		mask |= bit;
		if (p[len] == '\0') {
			break;
		}
		p += len + 1;
	}
	*ret = mask;
	return 0;
}

uint32_t inhibitors_mask(const struct inhibitors *i, bool delay) {
	const struct inhibitor *one;
	uint32_t mask = 0;
	list_for_each(one, &i->list, link) {
		if (one->delay == delay) {
			mask |= one->what;
		}
	}
	return mask;
}

void inhibitors_init(struct inhibitors *i, sd_event *loop) {
	*i = (struct inhibitors){.loop = loop};
	list_init(&i->list);
}

static void destroy(struct inhibitor *one) {
	if (!one) {
		return;
	}
	list_remove(&one->link);
	(void)sd_event_source_disable_unref(one->io);
	(void)close_fd(one->fd);
	free(one->who);
	free(one->why);
	free(one);
}

void inhibitors_finish(struct inhibitors *i) {
	while (!list_empty(&i->list)) {
		destroy(list_first(&i->list, struct inhibitor, link));
	}
	i->n = 0;
}

static int handle_closed(sd_event_source *source, int fd, uint32_t events, void *data) {
	struct inhibitor *one = data;
	struct inhibitors *i = one->owner;
	destroy(one);
	i->n--;
	if (i->changed) {
		i->changed(i->data);
	}
	return 0;
}

static int create(
	struct inhibitors *i, int fd, const char *who, const char *why, struct inhibitor **ret) {
	struct inhibitor *one = calloc(1, sizeof(*one));
	if (!one) {
		(void)close_fd(fd);
		return -ENOMEM;
	}
	one->owner = i;
	one->fd = fd;
	list_init(&one->link);
	one->who = strdup(who);
	one->why = strdup(why);
	/* No events: that the other end is closed is always told. What is written is not read. */
	int r = one->who && one->why ? sd_event_add_io(i->loop, &one->io, fd, 0, handle_closed, one)
				     : -ENOMEM;
	if (r < 0) {
		destroy(one);
		return r;
	}
	*ret = one;
	return 0;
}

int inhibitors_add(struct inhibitors *i, const char *what, const char *who, const char *why,
	const char *mode, int *ret_fd) {
	struct inhibitor *one;
	uint32_t mask;
	int fds[2];
	bool delay = strcmp(mode, "delay") == 0;
	int r = inhibit_mask_from_string(what, &mask);
	if (r < 0) {
		return r;
	}
	if (!delay && strcmp(mode, "block") != 0) {
		return -EINVAL;
	}
	if (delay && (mask & ~(uint32_t)(INHIBIT_SHUTDOWN | INHIBIT_SLEEP))) {
		return -EOPNOTSUPP;
	}
	if (strlen(who) > INHIBIT_TEXT_MAX || strlen(why) > INHIBIT_TEXT_MAX) {
		return -E2BIG;
	}
	if (i->n >= INHIBITORS_MAX) {
		return -ENOSPC;
	}
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0) {
		return -errno;
	}
	r = create(i, fds[0], who, why, &one);
	if (r < 0) {
		(void)close_fd(fds[1]);
		return r;
	}
	one->what = mask;
	one->delay = delay;
	list_append(&i->list, &one->link);
	i->n++;
	*ret_fd = fds[1];
	if (i->changed) {
		i->changed(i->data);
	}
	return 0;
}
