/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A program of a guest that means no good by the host's GL, or has a bug: it goes around Mesa where
 * that would be in the way.
 *
 *   gl-hostile loop             a fragment shader that never ends
 *   gl-hostile contexts N       so many contexts, kept for 10 s
 *   gl-hostile textures N MIB   so many textures of so many MiB each, kept for 10 s
 *   gl-hostile noise N          so many command buffers of noise and of commands with wrong fields
 */
#include <EGL/egl.h>
#include <EGL/eglext.h>
#include <GLES2/gl2.h>
#include <fcntl.h>
#include <gbm.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <virtgpu_drm.h>
#include <xf86drm.h>

#include "gl-draw.h"
#include "parse.h"
#include "util.h"

#define RENDER_NODE "/dev/dri/renderD128"
#define KEEP_MS     10000

/* Of virgl's protocol and of Gallium, which have no public headers. */
#define TARGET_2D          2u
#define FORMAT_B8G8R8A8    1u
#define BIND_RENDER_TARGET 2u

static int open_node(void) {
	int fd = open(RENDER_NODE, O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		perror(RENDER_NODE);
		exit(1);
	}
	return fd;
}

/*
 * By GL
 */
static const char vertex[] = "attribute vec2 position;\n"
			     "void main() { gl_Position = vec4(position, 0.0, 1.0); }\n";
/* No driver knows that it never ends. Mesa's software ones end it after 65535 rounds, */
static const char fragment[] = "precision highp float;\n"
			       "uniform float step;\n"
			       "void main() {\n"
			       "	float x = 1.0;\n"
			       "	while (x > 0.0) { x += step * x; }\n"
			       "	gl_FragColor = vec4(x);\n"
			       "}\n";
/* for each pixel: with so many of them that is a quarter of an hour. */
#define LOOP_SIDE 4096

static void start_gl(void) {
	static const EGLint attributes[] = {EGL_CONTEXT_CLIENT_VERSION, 2, EGL_NONE};
	struct gbm_device *gbm = gbm_create_device(open_node());
	EGLDisplay display = eglGetPlatformDisplay(EGL_PLATFORM_GBM_KHR, gbm, NULL);
	if (!gbm || !eglInitialize(display, NULL, NULL) || !eglBindAPI(EGL_OPENGL_ES_API)) {
		(void)fprintf(stderr, "gl-hostile: no EGL\n");
		exit(1);
	}
	EGLContext context =
		eglCreateContext(display, EGL_NO_CONFIG_KHR, EGL_NO_CONTEXT, attributes);
	if (!eglMakeCurrent(display, EGL_NO_SURFACE, EGL_NO_SURFACE, context)) {
		(void)fprintf(stderr, "gl-hostile: no context\n");
		exit(1);
	}
}

static int loop_for_ever(void) {
	static const float corners[] = {-1, -1, 3, -1, -1, 3};
	GLuint buffer, target;
	start_gl();
	unsigned program = gl_program(vertex, fragment);
	if (!program) {
		return 1;
	}
	glGenFramebuffers(1, &buffer);
	glBindFramebuffer(GL_FRAMEBUFFER, buffer);
	glGenRenderbuffers(1, &target);
	glBindRenderbuffer(GL_RENDERBUFFER, target);
	glRenderbufferStorage(GL_RENDERBUFFER, GL_RGB565, LOOP_SIDE, LOOP_SIDE);
	glFramebufferRenderbuffer(GL_FRAMEBUFFER, GL_COLOR_ATTACHMENT0, GL_RENDERBUFFER, target);
	glViewport(0, 0, LOOP_SIDE, LOOP_SIDE);
	glUseProgram(program);
	glUniform1f(glGetUniformLocation(program, "step"), 0);
	glVertexAttribPointer(0, 2, GL_FLOAT, GL_FALSE, 0, corners);
	glEnableVertexAttribArray(0);
	glDrawArrays(GL_TRIANGLES, 0, 3);
	printf("looping\n");
	(void)fflush(stdout);
	glFinish();
	printf("the loop is over\n");
	return 0;
}

/*
 * By the kernel's calls
 */

/* The picture may be larger than the memory that the guest has for it. 0: refused by the kernel. */
static uint32_t create_texture(int fd, uint32_t width, uint32_t height) {
	struct drm_virtgpu_resource_create c = {
		.target = TARGET_2D,
		.format = FORMAT_B8G8R8A8,
		.bind = BIND_RENDER_TARGET,
		.width = width,
		.height = height,
		.depth = 1,
		.array_size = 1,
		.size = 4096,
	};
	return drmIoctl(fd, DRM_IOCTL_VIRTGPU_RESOURCE_CREATE, &c) < 0 ? 0 : c.bo_handle;
}

/* Submits, and waits for the answer if `wait`. -errno. */
static int submit(int fd, const uint32_t *words, size_t n, bool wait) {
	struct drm_virtgpu_execbuffer e = {
		.flags = wait ? VIRTGPU_EXECBUF_FENCE_FD_OUT : 0,
		.size = (uint32_t)(4 * n),
		.command = (uintptr_t)words,
		.fence_fd = -1,
	};
	if (drmIoctl(fd, DRM_IOCTL_VIRTGPU_EXECBUFFER, &e) < 0) {
		return -errno;
	}
	if (wait) {
		struct pollfd p = {e.fence_fd, POLLIN, 0};
		(void)poll(&p, 1, -1);
		(void)close_fd(e.fence_fd);
	}
	return 0;
}

static int make_contexts(uint32_t n) {
	static const uint32_t nop[1] = {0};
	uint32_t made = 0;
	for (uint32_t i = 0; i < n; i++) {
		int fd = open(RENDER_NODE, O_RDWR | O_CLOEXEC);
		made += fd >= 0 && submit(fd, nop, ARRAY_SIZE(nop), false) == 0;
	}
	printf("%u contexts\n", made);
	(void)fflush(stdout);
	(void)poll(NULL, 0, KEEP_MS);
	return 0;
}

static int make_textures(uint32_t n, uint32_t mib) {
	int fd = open_node();
	uint32_t made = 0;
	for (uint32_t i = 0; i < n; i++) {
		made += create_texture(fd, 1024, 256 * mib) != 0;
	}
	printf("%u textures\n", made);
	(void)fflush(stdout);
	(void)poll(NULL, 0, KEEP_MS);
	return 0;
}

static int make_noise(uint32_t n) {
	uint32_t words[256], state = n, refused = 0;
	int fd = -1;
	for (uint32_t i = 0; i < n; i++) {
		if (i % 16 == 0) {
			/* A stream with an error ends its context. */
			(void)close_fd(fd);
			fd = open_node();
		}
		for (size_t k = 0; k < ARRAY_SIZE(words); k++) {
			state = state * 1664525u + 1013904223u;
			words[k] = i % 2 ? state >> 7 : state >> 28;
		}
		/* Command, kind of object, and a length that is right, or not. */
		size_t used = 2 + (state >> 9) % (ARRAY_SIZE(words) - 2);
		words[0] = (state >> 10 & 63) | (state >> 17 & 15) << 8 |
			(uint32_t)(i % 3 ? used - 1 : state >> 18) << 16;
		refused += submit(fd, words, used, true) < 0;
	}
	(void)close_fd(fd);
	printf("%u buffers, %u refused\n", n, refused);
	return 0;
}

int main(int argc, char *argv[]) {
	const char *what = argc > 1 ? argv[1] : "";
	uint32_t n = 0, mib = 0;
	bool numbers = (argc < 3 || parse_u32(argv[2], 1, 1000000, &n) == 0) &&
		(argc < 4 || parse_u32(argv[3], 1, 64, &mib) == 0);
	if (strcmp(what, "loop") == 0 && argc == 2) {
		return loop_for_ever();
	} else if (strcmp(what, "contexts") == 0 && numbers && argc == 3) {
		return make_contexts(n);
	} else if (strcmp(what, "textures") == 0 && numbers && argc == 4) {
		return make_textures(n, mib);
	} else if (strcmp(what, "noise") == 0 && numbers && argc == 3) {
		return make_noise(n);
	}
	(void)fprintf(stderr, "usage: gl-hostile loop|contexts N|textures N MIB|noise N\n");
	return 2;
}
