/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HELIX_DRM_MANAGER_OPTIONS_H
#define HELIX_DRM_MANAGER_OPTIONS_H

#include "manager.h"
#include "options.h"

/*
 * Fills `ret` from the environment (DRM_DEVICE, DRM_SOCKET, QEMU_ADDR), then from the arguments.
 * Errors are reported on stderr.
 */
enum options_result manager_options_parse(int argc, char *argv[], struct manager_config *ret);

#endif
