/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HELIX_BRIDGE_OPTIONS_H
#define HELIX_BRIDGE_OPTIONS_H

#include "bridge.h"
#include "options.h"

/* Fills `ret` from the environment, then from the arguments. Errors are reported on stderr. */
enum options_result bridge_options_parse(int argc, char *argv[], struct bridge_config *ret);

#endif
