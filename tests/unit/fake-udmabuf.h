/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Instead of /dev/udmabuf, which few machines that build this have: the dmabuf is the memfd itself. */
#ifndef HELIX_TESTS_FAKE_UDMABUF_H
#define HELIX_TESTS_FAKE_UDMABUF_H

#include <stdbool.h>

/* There is a device; and it makes dmabufs. */
extern bool fake_udmabuf_there, fake_udmabuf_works;
extern unsigned fake_udmabuf_writing; /* begun and not ended */

#endif
