/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What gl-flipper draws with OpenGL ES, and where the tests find it. From the top, in pixels:
 *
 *   0         a square of 16 in each corner of the picture, all of different colours
 *   32        the frame counter (libhelix/counter.h); it is again at height - 48
 *   64 … 160  red, green and blue, each from none at the left edge to full at the right one
 *   160       at the left edge grey, from white down to black at height - 64; beside it a texture
 *             of four colours, made by the guest's CPU; beside that a triangle that turns
 */
#ifndef HELIX_TESTS_GL_PICTURE_H
#define HELIX_TESTS_GL_PICTURE_H

#include <stdint.h>

#define GL_PICTURE_MIN_WIDTH  640u
#define GL_PICTURE_MIN_HEIGHT 320u

#define GL_PICTURE_CORNER    16u
#define GL_PICTURE_RAMPS_Y   64u
#define GL_PICTURE_RAMP      32u  /* height of one */
#define GL_PICTURE_GREY_Y    160u /* ends at height - 64 */
#define GL_PICTURE_GREY      64u  /* its width */
#define GL_PICTURE_TEXTURE   64u  /* its sides; its quarters have a colour each */
#define GL_PICTURE_TEXTURE_X 96u
#define GL_PICTURE_TEXTURE_Y 176u

struct gl_colour {
	uint8_t r, g, b;
};

/* Top left, top right, bottom left, bottom right. */
static const struct gl_colour gl_picture_corners[4] = {
	{255, 128, 0}, {0, 160, 160}, {160, 0, 255}, {255, 255, 255}};
static const struct gl_colour gl_picture_texture[4] = {
	{200, 40, 40}, {40, 200, 40}, {40, 40, 200}, {220, 220, 80}};

#endif
