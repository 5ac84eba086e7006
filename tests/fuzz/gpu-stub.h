/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stands for what is around the virtio-gpu device: has one output, and looks at what it is told. */
#ifndef HELIX_TESTS_GPU_STUB_H
#define HELIX_TESTS_GPU_STUB_H

#include "gpu.h"

extern const struct gpu_ops gpu_stub_ops;

#endif
