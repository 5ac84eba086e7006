/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HELIX_LOGIND_STUB_STUB_OPTIONS_H
#define HELIX_LOGIND_STUB_STUB_OPTIONS_H

#include "options.h"
#include "stub.h"

/* What `ret` points to lives as long as the program. */
enum options_result stub_options_parse(int argc, char *argv[], struct stub_config *ret);

#endif
