/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "exporter.h"
#include "test.h"
TEST(placeholder) { }
