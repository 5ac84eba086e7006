/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a guest's programs can make the renderer do: its request handler with the real virglrenderer
 * on the GL that this machine has without a GPU. The input is a list of requests whose fields are
 * in the bounds that helix-frame-export checks; in particular command streams, of commands whose
 * kinds are near to those that there are and whose lengths are mostly right. GL is brought up once;
 * an input ends with all contexts and resources gone.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "renderer/renderer.h"
#include "script.h"
#include "util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void);

/*
 * Not ours, and of no consequence in a process that ends by _exit: what the GL driver, its shader
 * compiler and virglrenderer allocate once and keep.
 */
const char *__lsan_default_suppressions(void) {
	return "leak:libvirglrenderer\nleak:libEGL\nleak:_dri.so\nleak:libgallium\n"
	       "leak:libLLVM\nleak:libepoxy\nleak:dlopen\n";
}

#define CONTEXTS     4u
#define RESOURCES    64u
#define MEMORY_SIZE  (2u << 20) /* of the "guest" */
#define SHADOW_SIZE  (2u << 20)
#define PIXELS_MAX   (1u << 20) /* of one resource: memory is not what is tested here */
#define REQUESTS_MAX 512u
#define WORDS_MAX    4096u /* of one command stream */

/* Kinds of requests in an input. */
enum step {
	STEP_SUBMIT,
	STEP_CONTEXT_CREATE,
	STEP_CONTEXT_DESTROY,
	STEP_RESOURCE_CREATE,
	STEP_RESOURCE_UNREF,
	STEP_ATTACH,
	STEP_DETACH,
	STEP_BACKING_ATTACH,
	STEP_BACKING_DETACH,
	STEP_TRANSFER_TO_HOST,
	STEP_TRANSFER_FROM_HOST,
	STEP_READ,
	_STEP_MAX,
};

/*
 * A stream can keep any GL busy for as long as it likes; that is known, and what the exporter's
 * --gl-patience is for. Draws are kept small, so that inputs are fast.
 */
#define CMD_DRAW_VBO       8u
#define DRAW_COUNT         1u /* words of its body */
#define DRAW_INSTANCES     4u
#define DRAW_COUNT_MAX     4096u
#define DRAW_INSTANCES_MAX 4u

#define LIE 0x80u /* in a command's kind: its header has another length than it has */

static struct {
	struct renderer *renderer; // NULL: there is no GL here
	uint8_t *ring;
	int peer; /* our end of the socket */
} rig = {.peer = -1};

static int shared_memory(size_t size, uint8_t **ret) {
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, (off_t)size) < 0) {
		abort();
	}
	if (ret) {
		*ret = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	}
	return fd;
}

/* Hands over one request, and takes its answer. The descriptor is consumed; -1: none. */
static void request(struct render_message *m, int fd) {
	struct render_message answer;
	if (renderer_handle(rig.renderer, m, sizeof(*m), &fd, fd >= 0) < 0) {
		abort();
	}
	if (recv(rig.peer, &answer, sizeof(answer), MSG_DONTWAIT) != sizeof(answer) ||
		answer.type != RENDER_DONE) {
		abort();
	}
}

static void start(void) {
	int pair[2];
	static bool tried;
	if (tried) {
		return;
	}
	tried = true;
	(void)setenv("MESA_SHADER_CACHE_DISABLE", "true", 1);
	(void)setenv("LP_NUM_THREADS", "0", 1); /* where it is drawn, it crashes */
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		abort();
	}
	rig.peer = pair[1];
	int ring = shared_memory(RENDER_RING_SIZE, &rig.ring);
	const struct renderer_config config = {.socket = pair[0], .ring = ring};
	if (renderer_create(&config, &rig.renderer) < 0) {
		return;
	}
	const struct render_region region = {MEMORY_SIZE, 0};
	memcpy(rig.ring, &region, sizeof(region));
	struct render_message memory = {.type = RENDER_MEMORY, .payload_size = sizeof(region)};
	float *guest;
	int fd = shared_memory(MEMORY_SIZE, (uint8_t **)&guest);
	/* Places on the screen, if somebody takes it for vertices. */
	for (size_t i = 0; i < MEMORY_SIZE / sizeof(*guest); i++) {
		guest[i] = (float)(i % 17) / 8 - 1;
	}
	request(&memory, fd);
	struct render_message shadow = {
		.type = RENDER_SHADOW_ADD, .u.shadow = {.size = SHADOW_SIZE}};
	request(&shadow, shared_memory(SHADOW_SIZE, NULL));
}

static uint32_t take_context(struct script *s) {
	return 1 + take(s, 1) % CONTEXTS;
}

/* A transfer may be of no context. */
static uint32_t take_context_or_none(struct script *s) {
	return take(s, 1) % (CONTEXTS + 1);
}

static uint32_t take_resource(struct script *s) {
	return 1 + take(s, 1) % RESOURCES;
}

static void submit(struct script *s) {
	struct render_message m = {.type = RENDER_SUBMIT, .context = take_context(s)};
	uint32_t *words = (uint32_t *)(void *)rig.ring;
	uint32_t n = 0;
	for (uint32_t commands = take(s, 1); commands > 0 && s->p < s->end; commands--) {
		uint32_t kind = take(s, 1), object = take(s, 1), lie = kind & LIE ? take(s, 2) : 0;
		size_t bytes, wanted = 4 * (size_t)take(s, 2);
		const uint8_t *p = take_bytes(s, wanted, &bytes);
		uint32_t length = (uint32_t)(bytes / 4);
		if (n + 1 + length > WORDS_MAX) {
			break;
		}
		words[n++] = (kind & ~LIE) | object << 8 | (kind & LIE ? lie : length) << 16;
		memcpy(words + n, p, (size_t)4 * length);
		if (kind == CMD_DRAW_VBO && length > DRAW_INSTANCES) {
			words[n + DRAW_COUNT] %= DRAW_COUNT_MAX;
			words[n + DRAW_INSTANCES] %= DRAW_INSTANCES_MAX;
		}
		n += length;
	}
	m.payload_size = 4 * n;
	if (n > 0) {
		request(&m, -1);
	}
}

static void context(struct script *s, uint32_t type) {
	struct render_message m = {.type = type, .context = take_context(s), .u.name = "fuzz"};
	request(&m, -1);
}

static void resource_create(struct script *s) {
	struct render_message m = {.type = RENDER_RESOURCE_CREATE, .resource = take_resource(s)};
	struct render_create *c = &m.u.create;
	c->target = take(s, 1);
	c->format = take(s, 2);
	c->bind = take(s, 4);
	c->width = take(s, 4);
	c->height = take(s, 2);
	c->depth = take(s, 1);
	c->array_size = take(s, 1);
	c->last_level = take(s, 1);
	c->nr_samples = take(s, 1);
	c->flags = take(s, 1);
	uint64_t pixels = (uint64_t)MAX(c->width, 1u) * MAX(c->height, 1u) * MAX(c->depth, 1u) *
		MAX(c->array_size, 1u) * MAX(c->nr_samples, 1u);
	bool empty = c->target != 0 && (c->width == 0 || c->height == 0);
	if (!empty && pixels <= PIXELS_MAX) {
		request(&m, -1);
	}
}

static void resource(struct script *s, uint32_t type) {
	struct render_message m = {.type = type, .resource = take_resource(s)};
	request(&m, -1);
}

static void attach(struct script *s, uint32_t type) {
	struct render_message m = {.type = type};
	m.context = take_context(s);
	m.resource = take_resource(s);
	request(&m, -1);
}

static void backing_attach(struct script *s) {
	struct render_message m = {.type = RENDER_BACKING_ATTACH, .resource = take_resource(s)};
	struct render_piece pieces[8];
	uint32_t n = 1 + take(s, 1) % ARRAY_SIZE(pieces);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t offset = take(s, 3) % MEMORY_SIZE, length = take(s, 3);
		pieces[i] = (struct render_piece){0, MIN(length, MEMORY_SIZE - offset), offset};
	}
	m.payload_size = n * (uint32_t)sizeof(pieces[0]);
	memcpy(rig.ring, pieces, m.payload_size);
	request(&m, -1);
}

static void transfer(struct script *s, uint32_t type) {
	struct render_message m = {.type = type};
	m.context = take_context_or_none(s);
	m.resource = take_resource(s);
	struct render_transfer *t = &m.u.transfer;
	t->x = take(s, 4);
	t->y = take(s, 2);
	t->z = take(s, 1);
	t->width = take(s, 4);
	t->height = take(s, 2);
	t->depth = take(s, 1);
	t->level = take(s, 1);
	t->stride = take(s, 4);
	t->layer_stride = take(s, 4);
	t->offset = take(s, 4);
	request(&m, -1);
}

static void read_back(struct script *s) {
	struct render_message m = {.type = RENDER_READ, .resource = take_resource(s)};
	struct render_read *d = &m.u.read;
	d->x = take(s, 2);
	d->y = take(s, 2);
	d->width = take(s, 2);
	d->height = take(s, 2);
	d->stride = take(s, 4);
	d->offset = take(s, 4);
	d->pixel = 4;
	/* The other way, if it is that large. */
	if (d->stride >> 31) {
		m.type = RENDER_WRITE;
		d->stride &= UINT32_MAX >> 1;
	}
	request(&m, -1);
}

static void run(struct script *s) {
	switch ((enum step)(take(s, 1) % _STEP_MAX)) {
	case STEP_SUBMIT:
		submit(s);
		break;
	case STEP_CONTEXT_CREATE:
		context(s, RENDER_CONTEXT_CREATE);
		break;
	case STEP_CONTEXT_DESTROY:
		context(s, RENDER_CONTEXT_DESTROY);
		break;
	case STEP_RESOURCE_CREATE:
		resource_create(s);
		break;
	case STEP_RESOURCE_UNREF:
		resource(s, RENDER_RESOURCE_UNREF);
		break;
	case STEP_ATTACH:
		attach(s, RENDER_CONTEXT_ATTACH);
		break;
	case STEP_DETACH:
		attach(s, RENDER_CONTEXT_DETACH);
		break;
	case STEP_BACKING_ATTACH:
		backing_attach(s);
		break;
	case STEP_BACKING_DETACH:
		resource(s, RENDER_BACKING_DETACH);
		break;
	case STEP_TRANSFER_TO_HOST:
		transfer(s, RENDER_TRANSFER_TO_HOST);
		break;
	case STEP_TRANSFER_FROM_HOST:
		transfer(s, RENDER_TRANSFER_FROM_HOST);
		break;
	case STEP_READ:
		read_back(s);
		break;
	case _STEP_MAX:
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct script s = {data, data + size};
	start();
	if (!rig.renderer) {
		return 0;
	}
	for (unsigned n = 0; n < REQUESTS_MAX && s.p < s.end; n++) {
		run(&s);
	}
	for (uint32_t i = 1; i <= CONTEXTS; i++) {
		struct render_message m = {.type = RENDER_CONTEXT_DESTROY, .context = i};
		request(&m, -1);
	}
	for (uint32_t i = 1; i <= RESOURCES; i++) {
		struct render_message m = {.type = RENDER_RESOURCE_UNREF, .resource = i};
		request(&m, -1);
	}
	return 0;
}
