/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What desktop-bridge answers at which path: docs/protocol/http.md. */
#ifndef HELIX_BRIDGE_HTTP_ROUTES_H
#define HELIX_BRIDGE_HTTP_ROUTES_H

#include "http-server.h"

/* Their data is the struct bridge. */
extern const struct http_route bridge_routes[];

#endif
