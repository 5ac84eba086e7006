/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intrusive doubly linked list. A head and a link are the same type; an empty head points at
 * itself, and so does a link that is in no list. Annotate heads with what they hold
 * (`struct list clients; // struct client.link`) and links with where they hang.
 */
#ifndef HELIX_COMMON_LIST_H
#define HELIX_COMMON_LIST_H

#include <stdbool.h>

#include "util.h"

struct list {
	struct list *prev, *next;
};

static inline void list_init(struct list *l) {
	l->prev = l->next = l;
}

static inline bool list_empty(const struct list *l) {
	return l->next == l;
}

/* Links `elem` in behind `pos`: first of the list, if `pos` is its head. */
static inline void list_insert(struct list *pos, struct list *elem) {
	elem->prev = pos;
	elem->next = pos->next;
	pos->next->prev = elem;
	pos->next = elem;
}

static inline void list_append(struct list *head, struct list *elem) {
	list_insert(head->prev, elem);
}

/* Unlinks `elem`; does nothing to one that is in no list. */
static inline void list_remove(struct list *elem) {
	elem->prev->next = elem->next;
	elem->next->prev = elem->prev;
	list_init(elem);
}

#define list_first(head, type, member) container_of((head)->next, type, member)

#define list_for_each(pos, head, member)                                                         \
	for (pos = container_of((head)->next, __typeof__(*pos), member); &pos->member != (head); \
		pos = container_of(pos->member.next, __typeof__(*pos), member))

/* As list_for_each; the body may unlink or free `pos`. */
#define list_for_each_safe(pos, tmp, head, member)                          \
	for (pos = container_of((head)->next, __typeof__(*pos), member),    \
	    tmp = container_of(pos->member.next, __typeof__(*pos), member); \
		&pos->member != (head);                                     \
		pos = tmp, tmp = container_of(pos->member.next, __typeof__(*pos), member))

#endif
