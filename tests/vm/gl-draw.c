/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <GLES2/gl2.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "gl-draw.h"
#include "gl-picture.h"
#include "libhelix/counter.h"
#include "util.h"

#define QUADS_MAX    80u
#define VERTICES_MAX (6 * QUADS_MAX + 3)

/* Pixels, y downwards; the vertex shader turns it up. */
struct vertex {
	float x, y;
	float r, g, b;
};

struct colour {
	float r, g, b;
};

static struct {
	float width, height;
	GLuint plain, textured; /* programs */
	GLuint vertices, texture_vertices, texture;
	struct vertex list[VERTICES_MAX];
	size_t n;
} draw;

static const char plain_vertex[] =
	"uniform vec2 size;\n"
	"attribute vec2 position;\n"
	"attribute vec3 colour;\n"
	"varying vec3 c;\n"
	"void main() {\n"
	"	c = colour;\n"
	"	gl_Position = vec4(position.x * 2.0 / size.x - 1.0, 1.0 - position.y * 2.0 / size.y, "
	"0.0, 1.0);\n"
	"}\n";
static const char plain_fragment[] = "precision mediump float;\n"
				     "varying vec3 c;\n"
				     "void main() { gl_FragColor = vec4(c, 1.0); }\n";
/* Here the "colour" is a place in the texture. */
static const char textured_fragment[] =
	"precision mediump float;\n"
	"uniform sampler2D image;\n"
	"varying vec3 c;\n"
	"void main() { gl_FragColor = vec4(texture2D(image, c.xy).rgb, 1.0); }\n";

static GLuint shader(GLenum type, const char *source) {
	GLuint s = glCreateShader(type);
	GLint good = 0;
	glShaderSource(s, 1, &source, NULL);
	glCompileShader(s);
	glGetShaderiv(s, GL_COMPILE_STATUS, &good);
	if (!good) {
		char log[512] = "";
		glGetShaderInfoLog(s, sizeof(log), NULL, log);
		(void)fprintf(stderr, "shader: %s\n", log);
		return 0;
	}
	return s;
}

unsigned gl_program(const char *vertex, const char *fragment) {
	GLuint v = shader(GL_VERTEX_SHADER, vertex), f = shader(GL_FRAGMENT_SHADER, fragment);
	GLuint p = glCreateProgram();
	GLint good = 0;
	if (!v || !f) {
		return 0;
	}
	glAttachShader(p, v);
	glAttachShader(p, f);
	glBindAttribLocation(p, 0, "position");
	glBindAttribLocation(p, 1, "colour");
	glLinkProgram(p);
	glGetProgramiv(p, GL_LINK_STATUS, &good);
	if (!good) {
		(void)fprintf(stderr, "the shaders do not link\n");
		return 0;
	}
	return p;
}

static void add(float x, float y, struct colour c) {
	if (draw.n < VERTICES_MAX) {
		draw.list[draw.n++] = (struct vertex){x, y, c.r, c.g, c.b};
	}
}

/* Corners: top left, top right, bottom left, bottom right. */
static void quad(float x, float y, float w, float h, const struct colour c[static 4]) {
	add(x, y, c[0]);
	add(x + w, y, c[1]);
	add(x, y + h, c[2]);
	add(x, y + h, c[2]);
	add(x + w, y, c[1]);
	add(x + w, y + h, c[3]);
}

static void flat(float x, float y, float w, float h, struct colour c) {
	const struct colour all[4] = {c, c, c, c};
	quad(x, y, w, h, all);
}

static void counter_row(uint32_t y, uint32_t n) {
	const float side = COUNTER_SQUARE;
	flat(COUNTER_X, (float)y, side, side, (struct colour){1, 0, 0});
	flat(COUNTER_X + side, (float)y, side, side, (struct colour){0, 1, 0});
	for (uint32_t bit = 0; bit < 32; bit++) {
		float on = (float)(n >> (31 - bit) & 1);
		flat(COUNTER_X + (float)(2 + bit) * side, (float)y, side, side,
			(struct colour){on, on, on});
	}
}

static struct colour colour_of(struct gl_colour c) {
	return (struct colour){c.r / 255.0f, c.g / 255.0f, c.b / 255.0f};
}

static void still_parts(void) {
	const float w = draw.width, h = draw.height, side = GL_PICTURE_CORNER;
	const float grey = h - 64 - GL_PICTURE_GREY_Y;
	const struct colour black = {0, 0, 0}, white = {1, 1, 1};
	const struct colour full[3] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}};
	flat(0, 0, w, h, (struct colour){0.25f, 0.25f, 0.25f});
	for (unsigned i = 0; i < 4; i++) {
		flat(i % 2 ? w - side : 0, i / 2 ? h - side : 0, side, side,
			colour_of(gl_picture_corners[i]));
	}
	for (unsigned i = 0; i < 3; i++) {
		const struct colour c[4] = {black, full[i], black, full[i]};
		quad(0, (float)(GL_PICTURE_RAMPS_Y + i * GL_PICTURE_RAMP), w, GL_PICTURE_RAMP, c);
	}
	const struct colour down[4] = {white, white, black, black};
	quad(0, GL_PICTURE_GREY_Y, GL_PICTURE_GREY, grey, down);
}

static void triangle(uint32_t n) {
	const struct colour c[3] = {{1, 1, 0}, {0, 1, 1}, {1, 0, 1}};
	float y = (GL_PICTURE_GREY_Y + draw.height - 64) / 2, size = y - GL_PICTURE_GREY_Y - 8;
	for (unsigned i = 0; i < 3; i++) {
		float angle = (float)(n % 360) * 0.0174533f + (float)i * 2.0943951f;
		add(draw.width * 0.6f + size * sinf(angle), y - size * cosf(angle), c[i]);
	}
}

static void make_texture(void) {
	uint8_t pixels[GL_PICTURE_TEXTURE][GL_PICTURE_TEXTURE][4];
	for (unsigned y = 0; y < GL_PICTURE_TEXTURE; y++) {
		for (unsigned x = 0; x < GL_PICTURE_TEXTURE; x++) {
			unsigned half = GL_PICTURE_TEXTURE / 2;
			struct gl_colour c = gl_picture_texture[2 * (y >= half) + (x >= half)];
			const uint8_t pixel[4] = {c.r, c.g, c.b, 255};
			memcpy(pixels[y][x], pixel, sizeof(pixel));
		}
	}
	glGenTextures(1, &draw.texture);
	glBindTexture(GL_TEXTURE_2D, draw.texture);
	glTexParameteri(GL_TEXTURE_2D, GL_TEXTURE_MIN_FILTER, GL_NEAREST);
	glTexParameteri(GL_TEXTURE_2D, GL_TEXTURE_MAG_FILTER, GL_NEAREST);
	glTexParameteri(GL_TEXTURE_2D, GL_TEXTURE_WRAP_S, GL_CLAMP_TO_EDGE);
	glTexParameteri(GL_TEXTURE_2D, GL_TEXTURE_WRAP_T, GL_CLAMP_TO_EDGE);
	glTexImage2D(GL_TEXTURE_2D, 0, GL_RGBA, GL_PICTURE_TEXTURE, GL_PICTURE_TEXTURE, 0, GL_RGBA,
		GL_UNSIGNED_BYTE, pixels);
	/* Its place in the picture never changes. */
	const struct colour corners[4] = {{0, 0, 0}, {1, 0, 0}, {0, 1, 0}, {1, 1, 0}};
	draw.n = 0;
	quad(GL_PICTURE_TEXTURE_X, GL_PICTURE_TEXTURE_Y, GL_PICTURE_TEXTURE, GL_PICTURE_TEXTURE,
		corners);
	glGenBuffers(1, &draw.texture_vertices);
	glBindBuffer(GL_ARRAY_BUFFER, draw.texture_vertices);
	glBufferData(GL_ARRAY_BUFFER, (GLsizeiptr)(draw.n * sizeof(draw.list[0])), draw.list,
		GL_STATIC_DRAW);
}

int gl_draw_init(uint32_t width, uint32_t height) {
	draw.width = (float)width;
	draw.height = (float)height;
	draw.plain = gl_program(plain_vertex, plain_fragment);
	draw.textured = gl_program(plain_vertex, textured_fragment);
	if (!draw.plain || !draw.textured) {
		return -EIO;
	}
	const GLuint programs[] = {draw.plain, draw.textured};
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		glUseProgram(programs[i]);
		glUniform2f(glGetUniformLocation(programs[i], "size"), draw.width, draw.height);
	}
	glUniform1i(glGetUniformLocation(draw.textured, "image"), 0);
	make_texture();
	glGenBuffers(1, &draw.vertices);
	glViewport(0, 0, (GLsizei)width, (GLsizei)height);
	glEnableVertexAttribArray(0);
	glEnableVertexAttribArray(1);
	return glGetError() == GL_NO_ERROR ? 0 : -EIO;
}

static void draw_list(GLuint program, GLuint buffer, size_t n) {
	glUseProgram(program);
	glBindBuffer(GL_ARRAY_BUFFER, buffer);
	glVertexAttribPointer(0, 2, GL_FLOAT, GL_FALSE, sizeof(struct vertex), NULL);
	glVertexAttribPointer(1, 3, GL_FLOAT, GL_FALSE, sizeof(struct vertex),
		(const void *)offsetof(struct vertex, r));
	glDrawArrays(GL_TRIANGLES, 0, (GLsizei)n);
}

void gl_draw_frame(uint32_t n) {
	draw.n = 0;
	still_parts();
	triangle(n);
	counter_row(COUNTER_TOP_Y, n);
	counter_row(counter_bottom_y((uint32_t)draw.height), n);
	glBindBuffer(GL_ARRAY_BUFFER, draw.vertices);
	glBufferData(GL_ARRAY_BUFFER, (GLsizeiptr)(draw.n * sizeof(draw.list[0])), draw.list,
		GL_STREAM_DRAW);
	draw_list(draw.plain, draw.vertices, draw.n);
	draw_list(draw.textured, draw.texture_vertices, 6);
}
