/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <epoxy/egl.h>
#include <epoxy/gl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "list.h"
#include "log.h"
#include "nv12.h"
#include "util.h"

LOG_MODULE("nv12");

#define MB_SIZE 16u
/* Of the target, whose pixels are four bytes of luma, or two of chroma's pairs. */
#define TEXEL 4u

/* <drm_fourcc.h>: bytes R, G, B, A */
#define FORMAT_ABGR8888 0x34324241

/* Buffers kept for the next picture, over all scanouts. */
#define SPARE_MAX 8u

/* What is read back is luma of the damage and, behind it, its chroma, without gaps. */
struct nv12_readback {
	GLuint buffer; /* 0: it went to a target */
	size_t capacity;
	uint32_t rows;           /* of luma, of the whole picture */
	struct nv12_rect damage; /* in whole macroblocks */
	struct list link;        // nv12.spare
};

struct nv12_target {
	EGLImage image;
	GLuint texture, framebuffer;
	uint32_t width, height; /* in pixels of the target */
	uint32_t rows;          /* of luma */
};

struct nv12 {
	EGLDisplay display;
	EGLContext context;
	bool software;
	GLuint program, sampler, target, framebuffer;
	GLint view, rows, flip;
	uint32_t target_width, target_height;
	struct list spare; // struct nv12_readback.link
	unsigned n_spare;
};

static const char vertex_shader[] =
	"#version 330 core\n"
	"void main() {\n"
	"	gl_Position = vec4(vec2(gl_VertexID & 1, gl_VertexID >> 1) * 4.0 - 1.0, 0, 1);\n"
	"}\n";

/* The numbers are those of rgb-nv12.h, whose comments tell where they come from. */
static const char fragment_shader[] =
	"#version 330 core\n"
	"uniform sampler2D source;\n"
	"uniform ivec4 view;\n"
	"uniform int rows;\n" /* of luma */
	"uniform int flip;\n" /* height of a texture that is bottom up, or 0 */
	"out vec4 bytes;\n"
	"ivec3 pixel(int x, int y) {\n"
	"	ivec2 at = view.xy + min(ivec2(x, y), view.zw - 1);\n"
	"	at.y = flip > 0 ? flip - 1 - at.y : at.y;\n"
	"	return ivec3(texelFetch(source, at, 0).rgb * 255.0 + 0.5);\n"
	"}\n"
	"int luma(int x, int y) {\n"
	"	ivec3 p = pixel(x, y) * ivec3(29, 98, 10);\n"
	"	return (p.r + p.g + p.b + 2630) * 411 >> 16;\n"
	"}\n"
	"ivec2 chroma(int x, int y) {\n"
	"	ivec3 p = pixel(x, y) + pixel(x + 1, y) + pixel(x, y + 1) + pixel(x + 1, y + 1);\n"
	"	ivec3 u = p * ivec3(-3298, -11094, 14392);\n"
	"	ivec3 v = p * ivec3(14392, -13072, -1320);\n"
	"	return (ivec2(u.r + u.g + u.b, v.r + v.g + v.b) + (257 << 16)) >> 17;\n"
	"}\n"
	"void main() {\n"
	"	int x = int(gl_FragCoord.x) * 4, y = int(gl_FragCoord.y);\n"
	"	ivec4 value;\n"
	"	if (y < rows) {\n"
	"		value = ivec4(luma(x, y), luma(x + 1, y), luma(x + 2, y), luma(x + 3, y));\n"
	"	} else {\n"
	"		y = min(y - rows, (view.w - 1) / 2) * 2;\n"
	"		value = ivec4(chroma(x, y), chroma(x + 2, y));\n"
	"	}\n"
	"	bytes = vec4(value) / 255.0;\n"
	"}\n";

/* What was current, to be current again. */
struct current {
	EGLContext context;
	EGLSurface draw, read;
};

static bool enter(const struct nv12 *n, struct current *before) {
	*before = (struct current){
		eglGetCurrentContext(),
		eglGetCurrentSurface(EGL_DRAW),
		eglGetCurrentSurface(EGL_READ),
	};
	return eglMakeCurrent(n->display, EGL_NO_SURFACE, EGL_NO_SURFACE, n->context);
}

static void leave(const struct nv12 *n, const struct current *before) {
	(void)eglMakeCurrent(n->display, before->draw, before->read, before->context);
}

/* Later commands of the context that is current then come after what `sync` stands for. */
static void wait_for(GLsync sync) {
	if (sync) {
		glWaitSync(sync, 0, GL_TIMEOUT_IGNORED);
		glDeleteSync(sync);
	}
}

uint32_t nv12_row(uint32_t width) {
	return ALIGN_UP(width, MB_SIZE);
}

uint32_t nv12_rows(uint32_t height) {
	return ALIGN_UP(height, MB_SIZE);
}

static int compile(GLuint program, GLenum type, const char *text) {
	GLuint shader = glCreateShader(type);
	GLint good = 0;
	glShaderSource(shader, 1, &text, NULL);
	glCompileShader(shader);
	glGetShaderiv(shader, GL_COMPILE_STATUS, &good);
	if (!good) {
		char line[256] = "";
		glGetShaderInfoLog(shader, sizeof(line), NULL, line);
		log_err("shader: %s", line);
	}
	glAttachShader(program, shader);
	glDeleteShader(shader);
	return good ? 0 : -ENOTSUP;
}

static int make_program(struct nv12 *n) {
	GLint good = 0;
	n->program = glCreateProgram();
	if (compile(n->program, GL_VERTEX_SHADER, vertex_shader) < 0 ||
		compile(n->program, GL_FRAGMENT_SHADER, fragment_shader) < 0) {
		return -ENOTSUP;
	}
	glLinkProgram(n->program);
	glGetProgramiv(n->program, GL_LINK_STATUS, &good);
	if (!good) {
		return -ENOTSUP;
	}
	n->view = glGetUniformLocation(n->program, "view");
	n->rows = glGetUniformLocation(n->program, "rows");
	n->flip = glGetUniformLocation(n->program, "flip");
	glUseProgram(n->program);
	glUniform1i(glGetUniformLocation(n->program, "source"), 0);
	return 0;
}

static int set_up(struct nv12 *n) {
	GLuint vertices;
	if (epoxy_gl_version() < 33) {
		return -ENOTSUP;
	}
	const char *name = (const char *)glGetString(GL_RENDERER);
	n->software = name && (strstr(name, "llvmpipe") || strstr(name, "softpipe"));
	int r = make_program(n);
	if (r < 0) {
		return r;
	}
	glGenVertexArrays(1, &vertices); /* there are none, but a core profile wants an array */
	glBindVertexArray(vertices);
	/* Ours and not the texture's own parameters, which are the guest's. */
	glGenSamplers(1, &n->sampler);
	glSamplerParameteri(n->sampler, GL_TEXTURE_MIN_FILTER, GL_NEAREST);
	glSamplerParameteri(n->sampler, GL_TEXTURE_MAG_FILTER, GL_NEAREST);
	if (epoxy_has_gl_extension("GL_EXT_texture_sRGB_decode")) {
		glSamplerParameteri(n->sampler, GL_TEXTURE_SRGB_DECODE_EXT, GL_SKIP_DECODE_EXT);
	}
	glBindSampler(0, n->sampler);
	glGenFramebuffers(1, &n->framebuffer);
	glBindFramebuffer(GL_FRAMEBUFFER, n->framebuffer);
	glEnable(GL_SCISSOR_TEST);
	glDisable(GL_DITHER);
	return glGetError() == GL_NO_ERROR ? 0 : -ENOTSUP;
}

/* A context like the current one, which it shares objects with. */
static int make_context(struct nv12 *n) {
	EGLContext other = eglGetCurrentContext();
	EGLint config_id = 0, count = 0;
	EGLConfig config = NULL;
	n->display = eglGetCurrentDisplay();
	if (other == EGL_NO_CONTEXT || eglQueryAPI() != EGL_OPENGL_API ||
		!eglQueryContext(n->display, other, EGL_CONFIG_ID, &config_id)) {
		return -ENOTSUP;
	}
	const EGLint wanted[] = {EGL_CONFIG_ID, config_id, EGL_NONE};
	if (config_id != 0 &&
		(!eglChooseConfig(n->display, wanted, &config, 1, &count) || count == 0)) {
		return -ENOTSUP;
	}
	static const EGLint attributes[] = {EGL_CONTEXT_MAJOR_VERSION, 3, EGL_CONTEXT_MINOR_VERSION,
		3, EGL_CONTEXT_OPENGL_PROFILE_MASK, EGL_CONTEXT_OPENGL_CORE_PROFILE_BIT, EGL_NONE};
	n->context = eglCreateContext(n->display, config, other, attributes);
	return n->context != EGL_NO_CONTEXT ? 0 : -ENOTSUP;
}

int nv12_create(struct nv12 **ret) {
	struct current before;
	struct nv12 *n = calloc(1, sizeof(*n));
	if (!n) {
		return -ENOMEM;
	}
	list_init(&n->spare);
	int r = make_context(n);
	if (r >= 0) {
		r = enter(n, &before) ? set_up(n) : -ENOTSUP;
		leave(n, &before);
		if (r < 0) {
			(void)eglDestroyContext(n->display, n->context);
		}
	}
	if (r < 0) {
		free(n);
		return r;
	}
	*ret = n;
	return 0;
}

bool nv12_software(const struct nv12 *n) {
	return n->software;
}

/* The rest is done in our context. */

static int ensure_target(struct nv12 *n, uint32_t width, uint32_t height) {
	if (n->target && width <= n->target_width && height <= n->target_height) {
		return 0;
	}
	glDeleteTextures(1, &n->target);
	n->target_width = MAX(width, n->target_width);
	n->target_height = MAX(height, n->target_height);
	glGenTextures(1, &n->target);
	glBindTexture(GL_TEXTURE_2D, n->target);
	glTexImage2D(GL_TEXTURE_2D, 0, GL_RGBA8, (GLsizei)n->target_width,
		(GLsizei)n->target_height, 0, GL_RGBA, GL_UNSIGNED_BYTE, NULL);
	glFramebufferTexture2D(GL_FRAMEBUFFER, GL_COLOR_ATTACHMENT0, GL_TEXTURE_2D, n->target, 0);
	if (glGetError() == GL_NO_ERROR &&
		glCheckFramebufferStatus(GL_FRAMEBUFFER) == GL_FRAMEBUFFER_COMPLETE) {
		return 0;
	}
	glDeleteTextures(1, &n->target);
	n->target = 0;
	n->target_width = n->target_height = 0;
	return -ENOMEM;
}

static int make_target(struct nv12_target *t) {
	if (!epoxy_has_gl_extension("GL_OES_EGL_image")) {
		return -ENOTSUP;
	}
	glGenTextures(1, &t->texture);
	glBindTexture(GL_TEXTURE_2D, t->texture);
	glEGLImageTargetTexture2DOES(GL_TEXTURE_2D, t->image);
	glGenFramebuffers(1, &t->framebuffer);
	glBindFramebuffer(GL_FRAMEBUFFER, t->framebuffer);
	glFramebufferTexture2D(GL_FRAMEBUFFER, GL_COLOR_ATTACHMENT0, GL_TEXTURE_2D, t->texture, 0);
	glBindTexture(GL_TEXTURE_2D, 0);
	return glGetError() == GL_NO_ERROR &&
			glCheckFramebufferStatus(GL_FRAMEBUFFER) == GL_FRAMEBUFFER_COMPLETE
		? 0
		: -ENOTSUP;
}

void nv12_target_destroy(struct nv12 *n, struct nv12_target *t) {
	struct current before;
	if (!t) {
		return;
	}
	if (enter(n, &before)) {
		glDeleteFramebuffers(1, &t->framebuffer);
		glDeleteTextures(1, &t->texture);
	}
	leave(n, &before);
	(void)eglDestroyImageKHR(n->display, t->image);
	free(t);
}

int nv12_target_create(
	struct nv12 *n, int dmabuf, uint32_t stride, uint32_t rows, struct nv12_target **ret) {
	struct current before;
	uint32_t width = stride / TEXEL, height = rows + rows / 2;
	const EGLint attributes[] = {EGL_WIDTH, (EGLint)width, EGL_HEIGHT, (EGLint)height,
		EGL_LINUX_DRM_FOURCC_EXT, FORMAT_ABGR8888, EGL_DMA_BUF_PLANE0_FD_EXT, dmabuf,
		EGL_DMA_BUF_PLANE0_OFFSET_EXT, 0, EGL_DMA_BUF_PLANE0_PITCH_EXT, (EGLint)stride,
		EGL_NONE};
	if (!epoxy_has_egl_extension(n->display, "EGL_KHR_image_base") ||
		!epoxy_has_egl_extension(n->display, "EGL_EXT_image_dma_buf_import")) {
		return -ENOTSUP;
	}
	struct nv12_target *t = calloc(1, sizeof(*t));
	if (!t) {
		return -ENOMEM;
	}
	*t = (struct nv12_target){.width = width, .height = height, .rows = rows};
	t->image = eglCreateImageKHR(
		n->display, EGL_NO_CONTEXT, EGL_LINUX_DMA_BUF_EXT, NULL, attributes);
	if (!t->image) {
		free(t);
		return -ENOTSUP;
	}
	int r = enter(n, &before) ? make_target(t) : -EIO;
	leave(n, &before);
	if (r < 0) {
		nv12_target_destroy(n, t);
		return r;
	}
	*ret = t;
	return 0;
}

static void readback_free(struct nv12_readback *readback) {
	glDeleteBuffers(1, &readback->buffer);
	free(readback);
}

void nv12_destroy(struct nv12 *n) {
	struct current before;
	if (enter(n, &before)) {
		while (!list_empty(&n->spare)) {
			struct nv12_readback *readback =
				list_first(&n->spare, struct nv12_readback, link);
			list_remove(&readback->link);
			readback_free(readback);
		}
		/* These are shared; all else goes with the context. */
		glDeleteTextures(1, &n->target);
		glDeleteSamplers(1, &n->sampler);
		glDeleteProgram(n->program);
	}
	leave(n, &before);
	(void)eglDestroyContext(n->display, n->context);
	free(n);
}

/* One with a buffer for so many bytes, bound to be written. */
static struct nv12_readback *take_readback(struct nv12 *n, size_t size) {
	struct nv12_readback *readback;
	if (!list_empty(&n->spare)) {
		readback = list_first(&n->spare, struct nv12_readback, link);
		list_remove(&readback->link);
		n->n_spare--;
	} else {
		readback = calloc(1, sizeof(*readback));
		if (!readback) {
			return NULL;
		}
		glGenBuffers(1, &readback->buffer);
	}
	glBindBuffer(GL_PIXEL_PACK_BUFFER, readback->buffer);
	if (readback->capacity < size) {
		glBufferData(GL_PIXEL_PACK_BUFFER, (GLsizeiptr)size, NULL, GL_STREAM_READ);
		readback->capacity = size;
	}
	if (glGetError() != GL_NO_ERROR) {
		readback_free(readback);
		return NULL;
	}
	return readback;
}

static void give_readback(struct nv12 *n, struct nv12_readback *readback) {
	if (n->n_spare == SPARE_MAX) {
		readback_free(readback);
		return;
	}
	list_append(&n->spare, &readback->link);
	n->n_spare++;
}

/* Where the damage is in a target, in its pixels. */
static void planes_of(const struct nv12_rect *damage, uint32_t rows, struct nv12_rect *ret_luma,
	struct nv12_rect *ret_chroma) {
	uint32_t x = damage->x / TEXEL, width = damage->width / TEXEL;
	*ret_luma = (struct nv12_rect){x, damage->y, width, damage->height};
	*ret_chroma = (struct nv12_rect){x, rows + damage->y / 2, width, damage->height / 2};
}

/* Damage in whole macroblocks, within the picture; false: there is none. */
static bool widen(const struct nv12_source *s, struct nv12_rect *ret) {
	const struct nv12_rect *d = &s->damage;
	if (d->x >= s->view.width || d->y >= s->view.height || d->width == 0 || d->height == 0) {
		return false;
	}
	uint32_t right = d->x + MIN(d->width, s->view.width - d->x);
	uint32_t bottom = d->y + MIN(d->height, s->view.height - d->y);
	ret->x = d->x / MB_SIZE * MB_SIZE;
	ret->y = d->y / MB_SIZE * MB_SIZE;
	ret->width = ALIGN_UP(right, MB_SIZE) - ret->x;
	ret->height = ALIGN_UP(bottom, MB_SIZE) - ret->y;
	return true;
}

/* Draws the damage, of both planes. */
static void draw(const struct nv12 *n, const struct nv12_source *s, const struct nv12_rect *damage,
	uint32_t width, uint32_t height, uint32_t rows) {
	glViewport(0, 0, (GLsizei)width, (GLsizei)height);
	glUniform4i(n->view, (GLint)s->view.x, (GLint)s->view.y, (GLint)s->view.width,
		(GLint)s->view.height);
	glUniform1i(n->rows, (GLint)rows);
	glUniform1i(n->flip, s->bottom_up ? (GLint)s->texture_height : 0);
	glBindTexture(GL_TEXTURE_2D, s->texture);
	struct nv12_rect luma, chroma;
	planes_of(damage, rows, &luma, &chroma);
	glScissor((GLint)luma.x, (GLint)luma.y, (GLsizei)luma.width, (GLsizei)luma.height);
	glDrawArrays(GL_TRIANGLES, 0, 3);
	glScissor((GLint)chroma.x, (GLint)chroma.y, (GLsizei)chroma.width, (GLsizei)chroma.height);
	glDrawArrays(GL_TRIANGLES, 0, 3);
	/* Or the texture would live as long as we do not look at another. */
	glBindTexture(GL_TEXTURE_2D, 0);
}

static void ask_for(const struct nv12_rect *r, size_t offset) {
	glReadPixels((GLint)r->x, (GLint)r->y, (GLsizei)r->width, (GLsizei)r->height, GL_RGBA,
		GL_UNSIGNED_BYTE,
		(void *)offset); // NOLINT(performance-no-int-to-ptr): an offset in the buffer
}

static int start_readback(struct nv12 *n, const struct nv12_source *s,
	const struct nv12_rect *damage, struct nv12_readback **ret) {
	uint32_t rows = nv12_rows(s->view.height);
	size_t size = (size_t)damage->width * damage->height;
	int r = ensure_target(n, nv12_row(s->view.width) / TEXEL, rows + rows / 2);
	if (r < 0) {
		return r;
	}
	struct nv12_readback *readback = take_readback(n, size + size / 2);
	if (!readback) {
		return -ENOMEM;
	}
	readback->rows = rows;
	readback->damage = *damage;
	struct nv12_rect luma, chroma;
	planes_of(damage, rows, &luma, &chroma);
	glBindFramebuffer(GL_FRAMEBUFFER, n->framebuffer);
	draw(n, s, damage, n->target_width, n->target_height, rows);
	ask_for(&luma, 0);
	ask_for(&chroma, size);
	if (glGetError() != GL_NO_ERROR) {
		readback_free(readback);
		return -EIO;
	}
	*ret = readback;
	return 0;
}

static int start_target(struct nv12 *n, const struct nv12_source *s, const struct nv12_rect *damage,
	const struct nv12_target *target, struct nv12_readback **ret) {
	if (target->rows != nv12_rows(s->view.height) ||
		target->width * TEXEL < nv12_row(s->view.width)) {
		return -EINVAL;
	}
	struct nv12_readback *readback = calloc(1, sizeof(*readback));
	if (!readback) {
		return -ENOMEM;
	}
	glBindFramebuffer(GL_FRAMEBUFFER, target->framebuffer);
	draw(n, s, damage, target->width, target->height, target->rows);
	if (glGetError() != GL_NO_ERROR) {
		free(readback);
		return -EIO;
	}
	*ret = readback;
	return 0;
}

int nv12_start(struct nv12 *n, const struct nv12_source *source, const struct nv12_target *target,
	struct nv12_readback **ret) {
	struct nv12_rect damage;
	struct current before;
	if (!widen(source, &damage)) {
		return -EINVAL;
	}
	GLsync drawn = glFenceSync(GL_SYNC_GPU_COMMANDS_COMPLETE, 0);
	glFlush();
	if (!enter(n, &before)) {
		leave(n, &before);
		glDeleteSync(drawn);
		return -EIO;
	}
	wait_for(drawn);
	int r = target ? start_target(n, source, &damage, target, ret)
		       : start_readback(n, source, &damage, ret);
	GLsync converted = glFenceSync(GL_SYNC_GPU_COMMANDS_COMPLETE, 0);
	glFlush();
	leave(n, &before);
	wait_for(converted);
	return r;
}

static void copy_plane(
	uint8_t *to, uint32_t stride, const uint8_t *from, uint32_t width, uint32_t height) {
	for (uint32_t y = 0; y < height; y++) {
		memcpy(to + (size_t)y * stride, from + (size_t)y * width, width);
	}
}

int nv12_finish(struct nv12 *n, struct nv12_readback *readback, uint8_t *picture, uint32_t stride) {
	const struct nv12_rect *d = &readback->damage;
	size_t luma = (size_t)d->width * d->height;
	struct current before;
	int r = -EIO;
	if (readback->buffer == 0) {
		free(readback);
		return 0;
	}
	if (!enter(n, &before)) {
		leave(n, &before);
		return r;
	}
	glBindBuffer(GL_PIXEL_PACK_BUFFER, readback->buffer);
	const uint8_t *bytes = picture ? glMapBufferRange(GL_PIXEL_PACK_BUFFER, 0,
						 (GLsizeiptr)(luma + luma / 2), GL_MAP_READ_BIT)
				       : NULL;
	if (bytes) {
		uint8_t *chroma = picture + (size_t)readback->rows * stride;
		copy_plane(
			picture + (size_t)d->y * stride + d->x, stride, bytes, d->width, d->height);
		copy_plane(chroma + (size_t)d->y / 2 * stride + d->x, stride, bytes + luma,
			d->width, d->height / 2);
		r = glUnmapBuffer(GL_PIXEL_PACK_BUFFER) ? 0 : -EIO;
	}
	give_readback(n, readback);
	leave(n, &before);
	return r;
}
