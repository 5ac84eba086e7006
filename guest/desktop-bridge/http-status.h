/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HELIX_BRIDGE_HTTP_STATUS_H
#define HELIX_BRIDGE_HTTP_STATUS_H

#include "http-server.h"

/* Routes; `data` is the struct bridge. */
void http_clients(struct http_request *rq, void *data);
void http_video_stats(struct http_request *rq, void *data);
void http_metrics(struct http_request *rq, void *data);

#endif
