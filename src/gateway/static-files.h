/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The viewer's files. */
#ifndef HELIX_GATEWAY_STATIC_FILES_H
#define HELIX_GATEWAY_STATIC_FILES_H

#include "conn.h"

/* Answers with the file at a request's path (still escaped). */
void static_files_answer(struct conn *c, struct http_text path);

#endif
