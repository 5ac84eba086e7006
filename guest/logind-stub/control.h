/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The supervisor's line to us, a SOCK_SEQPACKET socket of one byte messages: 'P', the lease was
 * revoked; 'R', with a descriptor, there is a new one. Its end is our end.
 */
#ifndef HELIX_LOGIND_STUB_CONTROL_H
#define HELIX_LOGIND_STUB_CONTROL_H

#include <systemd/sd-event.h>

#include "session.h"

struct control_line {
	struct session *session;
	int fd;
	sd_event_source *io;
};

/* Consumes `fd`. The loop is left with 0 when the other end closes. */
int control_line_init(struct control_line *c, sd_event *loop, struct session *session, int fd);
void control_line_finish(struct control_line *c);

#endif
