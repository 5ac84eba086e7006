/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HELIX_INPUT_MANAGER_OPTIONS_H
#define HELIX_INPUT_MANAGER_OPTIONS_H

#include "input-manager.h"
#include "options.h"

/* Errors are reported on stderr. */
enum options_result input_options_parse(int argc, char *argv[], struct manager_config *ret);

#endif
