/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Strict parsing of numbers and sizes typed by people. */
#ifndef HELIX_COMMON_PARSE_H
#define HELIX_COMMON_PARSE_H

#include <stdint.h>

/*
 * The whole of `s` as a decimal (or 0x…) number within [min, max]. Returns 0; -EINVAL if `s` is
 * not a number; -ERANGE if it is out of bounds. `*ret` is untouched on failure.
 */
int parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *ret);
int parse_u32(const char *s, uint32_t min, uint32_t max, uint32_t *ret);
/* Number of an inherited descriptor, likewise. */
int parse_fd(const char *s, int *ret);

/* "1920x1080" or "1920x1080@60"; `*ret_hz` is left alone without the second part. */
int parse_mode(const char *s, uint32_t *ret_width, uint32_t *ret_height, uint32_t *ret_hz);

/* "host:port", "[v6]:port" or "port" alone. Cuts `host` to the buffer: -ENAMETOOLONG. */
int parse_host_port(const char *s, char *ret_host, unsigned long host_size, uint16_t *ret_port);

#endif
