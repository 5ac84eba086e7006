/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The GPU's conversion against the CPU's, to the byte, on whatever GL this machine has. */
#include <epoxy/egl.h>
#include <epoxy/gl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "convert.h"
#include "nv12.h"
#include "test.h"
#include "udmabuf.h"
#include "util.h"

/* GL as virglrenderer has it, in a context that is not the converter's. */
struct gl {
	EGLDisplay display;
	EGLContext context;
};

static void gl_start(struct gl *g) {
	static const EGLint attributes[] = {EGL_CONTEXT_MAJOR_VERSION, 3, EGL_CONTEXT_MINOR_VERSION,
		3, EGL_CONTEXT_OPENGL_PROFILE_MASK, EGL_CONTEXT_OPENGL_CORE_PROFILE_BIT, EGL_NONE};
	/* As helix-renderer has it; the cache's thread would have files open when the test ends. */
	(void)setenv("MESA_SHADER_CACHE_DISABLE", "true", 1);
	g->display =
		eglGetPlatformDisplayEXT(EGL_PLATFORM_SURFACELESS_MESA, EGL_DEFAULT_DISPLAY, NULL);
	check(eglInitialize(g->display, NULL, NULL));
	check(eglBindAPI(EGL_OPENGL_API));
	g->context = eglCreateContext(g->display, NULL, EGL_NO_CONTEXT, attributes);
	check(g->context != EGL_NO_CONTEXT);
	check(eglMakeCurrent(g->display, EGL_NO_SURFACE, EGL_NO_SURFACE, g->context));
	test_keep_fds(); /* the display's, since Mesa 25 */
}

static void gl_stop(struct gl *g) {
	(void)eglMakeCurrent(g->display, EGL_NO_SURFACE, EGL_NO_SURFACE, EGL_NO_CONTEXT);
	(void)eglDestroyContext(g->display, g->context);
	/* The display stays: Mesa loses some of its memory when it is terminated. */
}

static void ignore(struct surface *s) {
	(void)s;
}

/* Noise, in memory from the top down, and as a texture. */
struct image {
	struct surface surface;
	uint32_t *pixels;
	GLuint texture;
	bool bottom_up;
};

static void image_create(struct image *m, uint32_t width, uint32_t height, bool bottom_up) {
	static uint32_t state = 1;
	*m = (struct image){.pixels = malloc((size_t)4 * width * height), .bottom_up = bottom_up};
	for (size_t i = 0; i < (size_t)width * height; i++) {
		state = state * 1664525u + 1013904223u;
		m->pixels[i] = state;
	}
	m->surface = (struct surface){.refs = 1,
		.width = width,
		.height = height,
		.stride = 4 * width,
		.order = PIXEL_ORDER_RGBA,
		.pixels = (const uint8_t *)m->pixels,
		.release = ignore};
	glGenTextures(1, &m->texture);
	glBindTexture(GL_TEXTURE_2D, m->texture);
	/* Parameters as a guest might leave them: without the converter's own, nothing is sampled. */
	glTexParameteri(GL_TEXTURE_2D, GL_TEXTURE_MIN_FILTER, GL_LINEAR_MIPMAP_LINEAR);
	glTexImage2D(GL_TEXTURE_2D, 0, GL_RGBA8, (GLsizei)width, (GLsizei)height, 0, GL_RGBA,
		GL_UNSIGNED_BYTE, NULL);
	for (uint32_t y = 0; y < height; y++) {
		glTexSubImage2D(GL_TEXTURE_2D, 0, 0, (GLint)(bottom_up ? height - 1 - y : y),
			(GLsizei)width, 1, GL_RGBA, GL_UNSIGNED_BYTE,
			m->pixels + (size_t)y * width);
	}
}

static void image_destroy(struct image *m) {
	glDeleteTextures(1, &m->texture);
	free(m->pixels);
}

static struct nv12_readback *start(struct nv12 *n, const struct image *m, const struct rect *view,
	const struct rect *damage, const struct nv12_target *target) {
	struct nv12_readback *readback;
	const struct nv12_source source = {
		.texture = m->texture,
		.bottom_up = m->bottom_up,
		.texture_height = m->surface.height,
		.view = {view->x, view->y, view->width, view->height},
		.damage = {damage->x, damage->y, damage->width, damage->height},
	};
	check_ok(nv12_start(n, &source, target, &readback));
	return readback;
}

/* The CPU's picture of the view; where the damage touches no macroblock it is 0xee. */
static uint8_t *expected(
	const struct image *m, const struct rect *view, const struct rect *damage) {
	uint32_t row = nv12_row(view->width), rows = nv12_rows(view->height);
	struct converter *c = converter_create(view->width);
	struct picture *p = picture_create(view->width, view->height);
	uint8_t *bytes = malloc((size_t)row * rows * 3 / 2);
	check(c && p && bytes);
	check(converter_update(c, p, &m->surface, view, damage, NULL, 0) >= 0);
	memset(bytes, 0xee, (size_t)row * rows * 3 / 2);
	for (uint32_t y = damage->y / MB_SIZE * MB_SIZE;
		y < ALIGN_UP(damage->y + damage->height, 16u); y++) {
		uint32_t x = damage->x / MB_SIZE * MB_SIZE;
		size_t n = ALIGN_UP(damage->x + damage->width, 16u) - x;
		memcpy(bytes + (size_t)y * row + x, p->y + (size_t)y * p->stride + x, n);
		memcpy(bytes + (size_t)(rows + y / 2) * row + x,
			p->uv + (size_t)(y / 2) * p->stride + x, n);
	}
	picture_destroy(p);
	converter_destroy(c);
	return bytes;
}

static void compare(const uint8_t *got, uint32_t stride, const struct image *m,
	const struct rect *view, const struct rect *damage) {
	uint32_t row = nv12_row(view->width), rows = nv12_rows(view->height);
	uint8_t *want = expected(m, view, damage);
	for (uint32_t y = 0; y < rows * 3 / 2; y++) {
		for (uint32_t x = 0; x < row; x++) {
			unsigned a = got[(size_t)y * stride + x], b = want[(size_t)y * row + x];
			if (a != b) {
				fail("%ux%u: byte %u of row %u is %u, not %u", view->width,
					view->height, x, y, a, b);
			}
		}
	}
	free(want);
}

static void finish_and_check(struct nv12 *n, struct nv12_readback *readback, const struct image *m,
	const struct rect *view, const struct rect *damage) {
	uint32_t row = nv12_row(view->width);
	size_t size = (size_t)row * nv12_rows(view->height) * 3 / 2;
	uint8_t *got = malloc(size);
	memset(got, 0xee, size);
	check_ok(nv12_finish(n, readback, got, row));
	compare(got, row, m, view, damage);
	free(got);
}

TEST(same_bytes) {
	static const uint32_t sizes[][2] = {
		{1, 1}, {2, 2}, {15, 17}, {16, 16}, {33, 31}, {640, 362}};
	struct gl g;
	struct nv12 *n;
	gl_start(&g);
	check_ok(nv12_create(&n));
	for (size_t i = 0; i < 2 * ARRAY_SIZE(sizes); i++) {
		struct image m;
		const uint32_t *size = sizes[i / 2];
		struct rect view = {0, 0, size[0], size[1]};
		image_create(&m, size[0], size[1], i % 2);
		finish_and_check(n, start(n, &m, &view, &view, NULL), &m, &view, &view);
		image_destroy(&m);
	}
	nv12_destroy(n);
	gl_stop(&g);
}

TEST(only_damage) {
	struct gl g;
	struct nv12 *n;
	struct image m;
	const struct rect view = {7, 5, 301, 203}, all = {0, 0, 301, 203};
	const struct rect parts[] = {
		{0, 0, 1, 1}, {300, 202, 1, 1}, {17, 40, 100, 3}, {0, 16, 301, 16}};
	gl_start(&g);
	check_ok(nv12_create(&n));
	image_create(&m, 320, 240, false);
	struct nv12_readback *readbacks[ARRAY_SIZE(parts)];
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		readbacks[i] = start(n, &m, &view, &parts[i], NULL);
	}
	for (size_t i = ARRAY_SIZE(parts); i-- > 0;) {
		finish_and_check(n, readbacks[i], &m, &view, &parts[i]);
	}
	/* Dropped ones, and none at all. */
	for (unsigned i = 0; i < 20; i++) {
		check_int(nv12_finish(n, start(n, &m, &view, &all, NULL), NULL, 0), <, 0);
	}
	const struct nv12_source nothing = {.texture = m.texture,
		.texture_height = 240,
		.view = {0, 0, 320, 240},
		.damage = {320, 0, 5, 5}};
	check_int(nv12_start(n, &nothing, NULL, &readbacks[0]), ==, -EINVAL);
	finish_and_check(n, start(n, &m, &view, &all, NULL), &m, &view, &all);
	image_destroy(&m);
	nv12_destroy(n);
	gl_stop(&g);
}

/* Drawn where an encoder would take it: the bytes are there when the fence is reached. */
TEST(into_a_dmabuf) {
	struct gl g;
	struct nv12 *n;
	struct image m;
	struct nv12_target *target;
	const struct rect view = {7, 5, 301, 203}, all = {0, 0, 301, 203},
			  corner = {290, 190, 11, 13};
	const uint32_t stride = 512, rows = 208;
	const size_t size = ALIGN_UP((size_t)stride * rows * 3 / 2, (size_t)4096);
	int device = udmabuf_open();
	if (device < 0) {
		skip("no /dev/udmabuf");
	}
	int memfd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	check_ok(ftruncate(memfd, (off_t)size));
	check_ok(fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK));
	uint8_t *pixels = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	int dmabuf = udmabuf_create(device, memfd, size);
	check_ok(dmabuf);
	gl_start(&g);
	check_ok(nv12_create(&n));
	int r = nv12_target_create(n, dmabuf, stride, rows, &target);
	if (r == -ENOTSUP) {
		skip("GL here draws into no dmabuf");
	}
	check_ok(r);
	for (unsigned i = 0; i < 2; i++) {
		const struct rect *damage = i ? &corner : &all;
		image_create(&m, 320, 240, i);
		memset(pixels, 0xee, size);
		struct nv12_readback *readback = start(n, &m, &view, damage, target);
		glFinish();
		check_ok(nv12_finish(n, readback, NULL, 0));
		compare(pixels, stride, &m, &view, damage);
		image_destroy(&m);
	}
	nv12_target_destroy(n, target);
	nv12_destroy(n);
	gl_stop(&g);
	(void)close(dmabuf);
	(void)close(memfd);
	(void)close(device);
	(void)munmap(pixels, size);
}

/* Later drawing does not change what was begun; the other's context and state are as they were. */
TEST(shares_no_state) {
	struct gl g;
	struct nv12 *n;
	struct image m;
	struct rect view = {0, 0, 64, 64};
	GLint box[4], texture, framebuffer;
	GLuint framebuffers[1];
	gl_start(&g);
	check_ok(nv12_create(&n));
	image_create(&m, 64, 64, false);
	glGenFramebuffers(1, framebuffers);
	glBindFramebuffer(GL_FRAMEBUFFER, framebuffers[0]);
	glFramebufferTexture2D(GL_FRAMEBUFFER, GL_COLOR_ATTACHMENT0, GL_TEXTURE_2D, m.texture, 0);
	glViewport(1, 2, 3, 4);

	struct nv12_readback *readback = start(n, &m, &view, &view, NULL);
	check(eglGetCurrentContext() == g.context);
	glClearColor(0.5f, 0, 0, 1);
	glClear(GL_COLOR_BUFFER_BIT);
	glFinish();
	finish_and_check(n, readback, &m, &view, &view);
	check(eglGetCurrentContext() == g.context);

	glGetIntegerv(GL_VIEWPORT, box);
	check(box[0] == 1 && box[1] == 2 && box[2] == 3 && box[3] == 4);
	glGetIntegerv(GL_TEXTURE_BINDING_2D, &texture);
	check_int(texture, ==, (GLint)m.texture);
	glGetIntegerv(GL_FRAMEBUFFER_BINDING, &framebuffer);
	check_int(framebuffer, ==, (GLint)framebuffers[0]);
	check(!glIsEnabled(GL_SCISSOR_TEST));
	check_int(glGetError(), ==, GL_NO_ERROR);
	image_destroy(&m);
	nv12_destroy(n);
	gl_stop(&g);
}
