/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * QEMU's D-Bus display as a test needs it: monitors plugged in and out of QEMU's own virtio-gpu,
 * and a listener that takes all pictures and throws them away. (With our device the exporter does
 * the plugging, and there must be no listener.)
 */
#ifndef HELIX_TEST_DISPLAY_H
#define HELIX_TEST_DISPLAY_H

#include "vm.h"

struct display;

struct display *display_open(struct vm *vm);
void display_close(struct display *d);

/* What the guest sees on an output; 0 by 0: nothing plugged in. */
void display_set_ui_info(struct display *d, unsigned console, unsigned width, unsigned height);

/* A thread of its own takes the pictures of one console until display_close(). */
void display_listen(struct display *d, unsigned console);
/* How many it took. */
uint64_t display_updates(const struct display *d);

#endif
