/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Draws the test picture (gl-picture.h) with OpenGL ES 2, in whatever context is current. */
#ifndef HELIX_TESTS_GL_DRAW_H
#define HELIX_TESTS_GL_DRAW_H

#include <stdint.h>

/* Shaders, buffers, textures; once for each context. -EIO, with a message on stderr. */
int gl_draw_init(uint32_t width, uint32_t height);
/* All of frame `n`. */
void gl_draw_frame(uint32_t n);
/* Compiles and links both; 0, with a message on stderr, if that fails. */
unsigned gl_program(const char *vertex, const char *fragment);

#endif
