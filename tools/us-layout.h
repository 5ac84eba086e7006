/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where characters are on a US keyboard. */
#ifndef HELIX_TOOLS_US_LAYOUT_H
#define HELIX_TOOLS_US_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

/* evdev's code, and whether Shift goes with it; 0: no key has it. */
uint16_t us_layout_key(char c, bool *ret_shift);

#endif
