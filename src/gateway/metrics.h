/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the gateway counts, for Prometheus. */
#ifndef HELIX_GATEWAY_METRICS_H
#define HELIX_GATEWAY_METRICS_H

#include "gateway.h"

/* In the text format, version 0.0.4; to be freed. NULL: no memory. */
char *metrics_format(const struct gateway *g);

#endif
