/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Flips pages drawn with OpenGL ES on one output, as a compositor does it: GBM, EGL and legacy mode
 * setting, on a DRM lease or on the card itself. By default GL is on the card's descriptor, also if
 * that is a lease; with --render-node on a device of its own, and buffers go to the card as dmabufs.
 */
#include <EGL/egl.h>
#include <EGL/eglext.h>
#include <GLES2/gl2.h>
#include <fcntl.h>
#include <gbm.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <xf86drm.h>
#include <xf86drmMode.h>

#include "gl-draw.h"
#include "gl-picture.h"
#include "options.h"
#include "parse.h"
#include "util.h"

struct config {
	const char *device, *render_node;
	int lease_fd;
	double rate; /* flips a second; 0: as fast as they go */
	uint32_t seconds;
};

struct flipper {
	struct config config;
	int card, signals;
	int render; /* what GL runs on; the same as `card` without --render-node */
	uint32_t connector_id, crtc_id;
	drmModeModeInfo mode;
	struct gbm_device *gbm;
	struct gbm_surface *surface;
	EGLDisplay display;
	EGLSurface target;
	struct gbm_bo *shown, *next; /* on the screen; on its way there */
	uint32_t frame;
	uint64_t flips, last_flip_ns, longest_ns;
	bool stop;
};

static int set_device(const char *value, void *data) {
	((struct config *)data)->device = value;
	return 0;
}

static int set_render_node(const char *value, void *data) {
	((struct config *)data)->render_node = value;
	return 0;
}

static int set_lease_fd(const char *value, void *data) {
	return parse_fd(value, &((struct config *)data)->lease_fd);
}

static int set_rate(const char *value, void *data) {
	char *end;
	double rate = strtod(value, &end);
	((struct config *)data)->rate = rate;
	return end == value || *end || !(rate >= 0 && rate < 100000) ? -EINVAL : 0;
}

static int set_seconds(const char *value, void *data) {
	return parse_u32(value, 0, UINT32_MAX, &((struct config *)data)->seconds);
}

static const struct option_spec options[] = {
	{"device", 'd', "PATH", "card to use (default /dev/dri/card0)", set_device},
	{"lease-fd", 0, "N", "use the DRM lease in file descriptor N instead", set_lease_fd},
	{"render-node", 0, "PATH", "draw with this device (default: the card)", set_render_node},
	{"rate", 'r', "FPS", "flips per second, 0: no limit (default 0)", set_rate},
	{"seconds", 's', "N", "stop after so long, 0: never (default 0)", set_seconds},
	{0},
};

static int complain(const char *what) {
	int r = errno ? -errno : -EIO;
	(void)fprintf(stderr, "gl-flipper: %s: %s\n", what, strerror(-r));
	return r;
}

/*
 * Mode setting
 */
static uint32_t choose_crtc(int card, const drmModeRes *res, const drmModeConnector *c) {
	for (int i = 0; i < c->count_encoders; i++) {
		drmModeEncoder *e = drmModeGetEncoder(card, c->encoders[i]);
		uint32_t possible = e ? e->possible_crtcs : 0;
		drmModeFreeEncoder(e);
		for (int k = 0; k < res->count_crtcs && k < 32; k++) {
			if (possible >> k & 1) {
				return res->crtcs[k];
			}
		}
	}
	return 0;
}

/* The first connected output. */
static int find_output(struct flipper *f) {
	drmModeRes *res = drmModeGetResources(f->card);
	if (!res) {
		return complain("the card has no outputs");
	}
	for (int i = 0; i < res->count_connectors && !f->crtc_id; i++) {
		drmModeConnector *c = drmModeGetConnector(f->card, res->connectors[i]);
		if (c && c->connection == DRM_MODE_CONNECTED && c->count_modes > 0) {
			f->connector_id = c->connector_id;
			f->crtc_id = choose_crtc(f->card, res, c);
			f->mode = c->modes[0];
		}
		drmModeFreeConnector(c);
	}
	drmModeFreeResources(res);
	errno = ENOTCONN;
	return f->crtc_id ? 0 : complain("no output is connected");
}

/* The buffer's handle on the card: by way of a dmabuf, if it was made elsewhere. */
static int card_handle(const struct flipper *f, struct gbm_bo *bo, uint32_t *ret) {
	if (f->render == f->card) {
		*ret = gbm_bo_get_handle(bo).u32;
		return 0;
	}
	CLEANUP_CLOSE int fd = gbm_bo_get_fd(bo);
	return fd < 0 || drmPrimeFDToHandle(f->card, fd, ret) < 0 ? -EIO : 0;
}

static void forget_framebuffer(struct gbm_bo *bo, void *data) {
	free(data);
}

/* The framebuffer of a buffer; made when it is seen first. 0: it could not be. */
static uint32_t framebuffer_of(const struct flipper *f, struct gbm_bo *bo) {
	uint32_t *known = gbm_bo_get_user_data(bo), handles[4] = {0};
	if (known) {
		return *known;
	}
	const uint32_t pitches[4] = {gbm_bo_get_stride(bo)}, offsets[4] = {0};
	known = calloc(1, sizeof(*known));
	if (!known || card_handle(f, bo, &handles[0]) < 0 ||
		drmModeAddFB2(f->card, gbm_bo_get_width(bo), gbm_bo_get_height(bo),
			GBM_FORMAT_XRGB8888, handles, pitches, offsets, known, 0) < 0) {
		free(known);
		return 0;
	}
	gbm_bo_set_user_data(bo, known, forget_framebuffer);
	return *known;
}

/*
 * GL
 */
static EGLConfig choose_config(EGLDisplay display) {
	static const EGLint wanted[] = {EGL_SURFACE_TYPE, EGL_WINDOW_BIT, EGL_RED_SIZE, 8,
		EGL_GREEN_SIZE, 8, EGL_BLUE_SIZE, 8, EGL_RENDERABLE_TYPE, EGL_OPENGL_ES2_BIT,
		EGL_NONE};
	EGLConfig configs[64];
	EGLint n = 0, format;
	(void)eglChooseConfig(display, wanted, configs, ARRAY_SIZE(configs), &n);
	for (EGLint i = 0; i < n; i++) {
		if (eglGetConfigAttrib(display, configs[i], EGL_NATIVE_VISUAL_ID, &format) &&
			format == (EGLint)GBM_FORMAT_XRGB8888) {
			return configs[i];
		}
	}
	return NULL;
}

static int start_gl(struct flipper *f) {
	static const EGLint attributes[] = {EGL_CONTEXT_CLIENT_VERSION, 2, EGL_NONE};
	f->gbm = gbm_create_device(f->render);
	f->surface = f->gbm
		? gbm_surface_create(f->gbm, f->mode.hdisplay, f->mode.vdisplay,
			  GBM_FORMAT_XRGB8888, GBM_BO_USE_SCANOUT | GBM_BO_USE_RENDERING)
		: NULL;
	if (!f->surface) {
		return complain("no GBM");
	}
	f->display = eglGetPlatformDisplay(EGL_PLATFORM_GBM_KHR, f->gbm, NULL);
	if (!eglInitialize(f->display, NULL, NULL) || !eglBindAPI(EGL_OPENGL_ES_API)) {
		return complain("no EGL");
	}
	EGLConfig config = choose_config(f->display);
	EGLContext context = config
		? eglCreateContext(f->display, config, EGL_NO_CONTEXT, attributes)
		: EGL_NO_CONTEXT;
	f->target = context
		? eglCreateWindowSurface(f->display, config, (EGLNativeWindowType)f->surface, NULL)
		: EGL_NO_SURFACE;
	if (!f->target || !eglMakeCurrent(f->display, f->target, f->target, context)) {
		return complain("no context");
	}
	printf("%ux%u, drawn by %s\n", f->mode.hdisplay, f->mode.vdisplay,
		(const char *)glGetString(GL_RENDERER));
	(void)fflush(stdout);
	return gl_draw_init(f->mode.hdisplay, f->mode.vdisplay);
}

/* Draws the next frame into `next`; its framebuffer, or -errno. */
static int64_t draw_next(struct flipper *f) {
	gl_draw_frame(f->frame);
	if (!eglSwapBuffers(f->display, f->target)) {
		return complain("swap");
	}
	f->next = gbm_surface_lock_front_buffer(f->surface);
	uint32_t fb = f->next ? framebuffer_of(f, f->next) : 0;
	return fb ? (int64_t)fb : complain("framebuffer");
}

/*
 * Flipping
 */
static void handle_flip(
	int fd, unsigned sequence, unsigned sec, unsigned usec, unsigned crtc, void *data) {
	struct flipper *f = data;
	uint64_t now = now_ns();
	if (f->flips > 0) {
		f->longest_ns = MAX(f->longest_ns, now - f->last_flip_ns);
	}
	f->last_flip_ns = now;
	f->flips++;
	gbm_surface_release_buffer(f->surface, f->shown);
	f->shown = f->next;
	f->next = NULL;
}

/* Until the flip under way is over and `until` is reached; at once when told to stop. */
static int wait_events(struct flipper *f, uint64_t until) {
	drmEventContext context = {.version = 3, .page_flip_handler2 = handle_flip};
	for (;;) {
		uint64_t now = now_ns(), left = until > now ? until - now : 0;
		if (!f->next && left == 0) {
			return 0;
		}
		struct pollfd fds[] = {{f->card, POLLIN, 0}, {f->signals, POLLIN, 0}};
		struct timespec ts = {(time_t)(left / NSEC_PER_SEC), (long)(left % NSEC_PER_SEC)};
		if (ppoll(fds, ARRAY_SIZE(fds), f->next ? NULL : &ts, NULL) < 0 && errno != EINTR) {
			return -errno;
		}
		if (fds[1].revents) {
			f->stop = true;
			return 0;
		}
		if (fds[0].revents & POLLIN) {
			(void)drmHandleEvent(f->card, &context);
		} else if (fds[0].revents) {
			return -ENODEV;
		}
	}
}

static int flip(struct flipper *f, uint64_t start) {
	const uint64_t end = f->config.seconds ? start + f->config.seconds * NSEC_PER_SEC : 0;
	const uint64_t period = f->config.rate > 0 ? (uint64_t)(1e9 / f->config.rate) : 0;
	uint64_t next = start;
	while (!f->stop && (!end || now_ns() < end)) {
		f->frame++;
		int64_t fb = draw_next(f);
		if (fb < 0) {
			return (int)fb;
		}
		if (drmModePageFlip(
			    f->card, f->crtc_id, (uint32_t)fb, DRM_MODE_PAGE_FLIP_EVENT, f) < 0) {
			return complain("flip");
		}
		next = MAX(next + period, now_ns());
		int r = wait_events(f, period ? next : 0);
		if (r < 0) {
			return r;
		}
	}
	return 0;
}

static int run(struct flipper *f) {
	int r = find_output(f);
	if (r == 0) {
		r = start_gl(f);
	}
	int64_t fb = r == 0 ? draw_next(f) : r;
	if (fb < 0) {
		return (int)fb;
	}
	if (drmModeSetCrtc(f->card, f->crtc_id, (uint32_t)fb, 0, 0, &f->connector_id, 1, &f->mode) <
		0) {
		return complain("mode");
	}
	f->shown = f->next;
	f->next = NULL;
	uint64_t start = now_ns();
	r = flip(f, start);
	double seconds = (double)(now_ns() - start) / 1e9;
	printf("%llu flips in %.2f s, %.1f flips/s, longest gap %.0f ms\n",
		(unsigned long long)f->flips, seconds, (double)f->flips / seconds,
		(double)f->longest_ns / 1e6);
	(void)drmModeSetCrtc(f->card, f->crtc_id, 0, 0, 0, NULL, 0, NULL);
	return r;
}

int main(int argc, char *argv[]) {
	static const struct program_spec program = {
		.name = "gl-flipper",
		.summary = "Flips pages drawn with OpenGL ES on the output of a DRM card.",
		.options = options,
	};
	static struct flipper f;
	int index;
	f.config = (struct config){.lease_fd = -1, .device = "/dev/dri/card0"};
	enum options_result parsed = options_parse(&program, argc, argv, &f.config, &index);
	if (parsed != OPTIONS_RUN) {
		return parsed == OPTIONS_EXIT ? 0 : 2;
	}
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	f.signals = signalfd(-1, &set, SFD_CLOEXEC);
	f.card = f.config.lease_fd >= 0 ? f.config.lease_fd
					: open(f.config.device, O_RDWR | O_CLOEXEC);
	f.render = f.config.render_node ? open(f.config.render_node, O_RDWR | O_CLOEXEC) : f.card;
	if (f.card < 0 || f.render < 0) {
		(void)complain("device");
		return 1;
	}
	/* The process ends, and with it all that it has of GL. */
	return run(&f) < 0 ? 1 : 0;
}
