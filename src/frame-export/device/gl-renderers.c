/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The renderers: which context gets which, and what their end means for others. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "gl.h"
#include "gpu.h"
#include "log.h"
#include "render/reaper.h"
#include "render/spawn-renderer.h"
#include "util.h"

LOG_MODULE("gl");

/* Some 30 MiB each, of llvmpipe; contexts beyond that share the newest. */
#define RENDERERS_MAX 64u
/*
 * A guest's program can begin and end contexts as it likes, and a start takes a tenth of a second of
 * CPU: so many are made at once, and one more for each of these.
 */
#define STARTS_MAX        32u
#define START_INTERVAL_NS (250 * NSEC_PER_MSEC)
/* After this one that nobody uses any more must have got done what it was told. */
#define SWEEP_DELAY_NS (100 * NSEC_PER_MSEC)

/*
 * What others' fences are kept waiting for one renderer at most, and what of the time it may take
 * for ever; and not at all for one that gets nothing done for so long. See settle in gpu.c.
 */
#define CREDIT_MAX_NS  (5 * NSEC_PER_SEC)
#define CREDIT_DIVISOR 2u
#define HUNG_NS        NSEC_PER_SEC

/* Of the control queue's 256 places, those that a renderer may keep for as long as it likes. */
#define HELD_MAX 64u

/* After this, what a renderer without a context has is of no use to anybody. */
#define UNUSED_NS (5 * NSEC_PER_SEC)

/* Whose memory holds nothing of any desktop: one that had a context is not given to the next. */
static bool spare(const struct gl_renderer *r) {
	return !r->served && r->contexts == 0 && list_empty(&r->copies) && gl_renderer_alive(r) &&
		render_backlog(r->render) == 0;
}

/* By a context, a scanout, or a renderer that has a copy of what this one has. */
static bool used(const struct gl_renderer *r) {
	const struct gl_copy *copy;
	list_for_each(copy, &r->copies, of_renderer) {
		const struct list *all = &copy->resource->gl->copies;
		if (copy->resource->scanouts || all->next != all->prev) {
			return true;
		}
	}
	return r->contexts > 0;
}

void gl_sweep_soon(struct gl *gl) {
	(void)sd_event_source_set_time(gl->sweep, (now_ns() + SWEEP_DELAY_NS) / NSEC_PER_USEC);
	(void)sd_event_source_set_enabled(gl->sweep, SD_EVENT_ONESHOT);
}

static void handle_done(void *data, uint64_t tag, int error) {
	struct gl_renderer *r = data;
	if (!gl_read_done(r->gl, tag, error)) {
		gpu_render_done(r->gl->gpu, tag, error);
	}
}

static void handle_refused(void *data, uint32_t id) {
	struct gl_renderer *r = data;
	struct gl_context *context;
	list_for_each(context, &r->gl->contexts, link) {
		if (context->id == id && context->renderer == r && !context->broken) {
			log_debug("context %u is broken", id);
			context->broken = true;
			gl_tell_losses(r->gl);
			return;
		}
	}
}

/* Of what only this one had, nothing is left. */
static void lose(struct gl_renderer *r) {
	struct gl *gl = r->gl;
	gl_scanouts_forget(gl, r);
	while (!list_empty(&r->copies)) {
		struct gl_copy *copy = list_first(&r->copies, struct gl_copy, of_renderer);
		struct resource *resource = copy->resource;
		gl_copy_free(gl, copy);
		if (list_empty(&resource->gl->copies)) {
			resource->gl->lost = true;
			gl->budget += resource->gl->cost;
			resource->gl->cost = 0;
		}
	}
}

static void handle_lost(void *data) {
	struct gl_renderer *r = data;
	struct gl_context *context;
	list_for_each(context, &r->gl->contexts, link) {
		context->lost = context->lost || context->renderer == r;
	}
	lose(r);
	gl_tell_losses(r->gl);
	/* One that nobody used yet is not replaced at once: it may not be able to live. */
	if (r->contexts > 0) {
		gl_sweep_soon(r->gl);
	}
}

bool gl_renderer_alive(const struct gl_renderer *r) {
	return render_alive(r->render);
}

static int create(struct gl *gl, struct gl_renderer **ret) {
	struct gl_renderer *r = calloc(1, sizeof(*r));
	if (!r) {
		return -ENOMEM;
	}
	r->gl = gl;
	r->credit_ns = CREDIT_MAX_NS;
	r->credit_at_ns = now_ns();
	list_init(&r->copies);
	struct render_config config = {
		.program = gl->program,
		.render_node = gl->config.render_node,
		.reaper = gl->reaper,
		.patience_ns = gl->config.patience_ns,
		.done = handle_done,
		.refused = handle_refused,
		.lost = handle_lost,
		.data = r,
	};
	int result = render_create(gl->loop, &config, &r->render);
	if (result < 0) {
		free(r);
		return result;
	}
	list_append(&gl->renderers, &r->link);
	*ret = r;
	return 0;
}

static void destroy(struct gl_renderer *r) {
	struct gl *gl = r->gl;
	lose(r);
	render_destroy(r->render);
	guest_memory_unref(r->memory);
	gpu_renderer_gone(gl->gpu, r);
	list_remove(&r->link);
	free(r);
}

/* Contexts keep those that are gone until the guest takes them back. */
static unsigned alive(const struct gl *gl) {
	const struct gl_renderer *r;
	unsigned n = 0;
	list_for_each(r, &gl->renderers, link) {
		n += gl_renderer_alive(r) ? 1 : 0;
	}
	return n;
}

/* Within what may be started; -EAGAIN. */
static int start(struct gl *gl, struct gl_renderer **ret) {
	uint64_t now = now_ns(), earned = (now - gl->starts_at_ns) / START_INTERVAL_NS;
	gl->starts_at_ns += earned * START_INTERVAL_NS;
	gl->starts = (unsigned)MIN(gl->starts + earned, (uint64_t)STARTS_MAX);
	if (gl->starts == 0 || alive(gl) >= RENDERERS_MAX) {
		return -EAGAIN;
	}
	gl->starts--;
	return create(gl, ret);
}

/* One that nobody uses. Returns true if it is to be looked at again. */
static bool sweep(struct gl_renderer *r, uint64_t now) {
	r->unused_ns = r->unused_ns ? r->unused_ns : now;
	if (!list_empty(&r->copies) && now - r->unused_ns < UNUSED_NS) {
		return true;
	}
	if (gl_renderer_alive(r) && render_backlog(r->render) > 0) {
		/* Whoever still waits for an answer is told when it is killed. */
		render_give_up(r->render);
		return true;
	}
	destroy(r);
	return false;
}

/* Those that nobody uses go, but for one in reserve, so that the next context need not wait. */
static int handle_sweep(sd_event_source *source, uint64_t usec, void *data) {
	struct gl *gl = data;
	struct gl_renderer *r, *tmp;
	bool reserve = false, again = false;
	uint64_t now = now_ns();
	(void)source;
	(void)usec;
	list_for_each_safe(r, tmp, &gl->renderers, link) {
		if (used(r)) {
			r->unused_ns = 0;
			reserve = reserve || (gl->together && gl_renderer_alive(r));
		} else if (!reserve && spare(r)) {
			reserve = true;
		} else {
			again = sweep(r, now) || again;
		}
	}
	if (!reserve) {
		(void)start(gl, &r);
	}
	if (again) {
		gl_sweep_soon(gl);
	}
	return 0;
}

int gl_renderer_get(struct gl *gl, struct gl_renderer **ret) {
	struct gl_renderer *r, *found = NULL, *newest = NULL;
	list_for_each(r, &gl->renderers, link) {
		newest = gl_renderer_alive(r) ? r : newest;
		found = !found && spare(r) ? r : found;
	}
	found = gl->together ? newest : found;
	int result = found ? 0 : start(gl, &found);
	if (result == -EAGAIN && newest) {
		found = newest;
		result = 0;
	}
	if (result < 0) {
		return result;
	}
	found->served = true;
	if (found->contexts++ == 0) {
		render_hurry(found->render, false);
		gl_sweep_soon(gl);
	}
	*ret = found;
	return 0;
}

void gl_renderer_put(struct gl_renderer *r) {
	if (--r->contexts == 0) {
		gl_sweep_soon(r->gl);
	}
}

int gl_renderer_share_memory(struct gl_renderer *r, struct guest_memory *memory) {
	if (r->memory == memory) {
		return 0;
	}
	struct render_message m = {.type = RENDER_MEMORY};
	struct render_extra extra = {0};
	struct render_region *regions = calloc(memory->n_regions, sizeof(*regions));
	extra.iov = calloc(1, sizeof(*extra.iov));
	if (!regions || !extra.iov || memory->n_regions > RENDER_MAX_REGIONS) {
		free(regions);
		free(extra.iov);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < memory->n_regions; i++) {
		const struct guest_region *region = &memory->regions[i];
		regions[i] = (struct render_region){region->size, region->fd_offset};
		extra.fds[i] = fcntl(region->fd, F_DUPFD_CLOEXEC, 3);
		extra.n_fds += extra.fds[i] >= 0 ? 1 : 0;
	}
	extra.iov[0] = (struct iovec){regions, memory->n_regions * sizeof(*regions)};
	extra.n_iov = 1;
	extra.owner = regions;
	extra.release = free;
	int result = render_command(r->render, &m, &extra, 0);
	if (result < 0) {
		return result;
	}
	struct guest_memory *old = r->memory;
	r->memory = guest_memory_ref(memory);
	guest_memory_unref(old);
	return 0;
}

/* What others suffer. */

uint64_t gl_renderer_credit(struct gl_renderer *r, uint64_t now) {
	uint64_t earned = (now - r->credit_at_ns) / CREDIT_DIVISOR;
	r->credit_at_ns = now;
	r->credit_ns = MIN(r->credit_ns + earned, (uint64_t)CREDIT_MAX_NS);
	r->said = r->said && r->credit_ns < CREDIT_MAX_NS;
	uint64_t since = render_stuck_since(r->render);
	uint64_t stuck = since < now ? now - since : 0;
	return MIN(r->credit_ns, HUNG_NS - MIN(stuck, HUNG_NS));
}

static uint32_t context_in(const struct gl_renderer *r) {
	const struct gl_context *context;
	list_for_each(context, &r->gl->contexts, link) {
		if (context->renderer == r) {
			return context->id;
		}
	}
	return 0;
}

void gl_renderer_charge(struct gl_renderer *r, uint64_t now, uint64_t ns) {
	(void)gl_renderer_credit(r, now);
	r->credit_ns -= MIN(r->credit_ns, ns);
	if (gl_renderer_credit(r, now) == 0 && !r->said) {
		log_warn("context %u keeps others waiting: its fences are not waited for any more",
			context_in(r));
		r->said = true;
	}
}

void gl_renderer_holds(struct gl_renderer *r, int change) {
	bool before = r->held >= HELD_MAX;
	r->held = (unsigned)((int)r->held + change);
	bool on = r->held >= HELD_MAX;
	if (r->gl->together || on == before) {
		return;
	}
	render_hurry(r->render, on);
	/* And those that it may be waiting for. */
	struct gl_copy *mine, *other;
	list_for_each(mine, &r->copies, of_renderer) {
		list_for_each(other, &mine->resource->gl->copies, of_resource) {
			render_hurry(
				other->renderer->render, on || other->renderer->held >= HELD_MAX);
		}
	}
}

int gl_renderers_init(struct gl *gl) {
	struct gl_renderer *r;
	list_init(&gl->renderers);
	int result = spawn_find_program(gl->config.program, gl->program, sizeof(gl->program));
	if (result >= 0) {
		result = reaper_create(gl->loop, &gl->reaper);
	}
	if (result >= 0) {
		result = sd_event_add_time(
			gl->loop, &gl->sweep, CLOCK_MONOTONIC, 0, 0, handle_sweep, gl);
	}
	if (result < 0) {
		return result;
	}
	(void)sd_event_source_set_enabled(gl->sweep, SD_EVENT_OFF);
	gl->starts = STARTS_MAX;
	gl->starts_at_ns = now_ns();
	result = start(gl, &r);
	/* Whether there is 3D at all is to be known before a guest asks. */
	if (result >= 0) {
		result = render_wait(r->render, &gl->capsets);
	}
	bool software = gl->capsets.hello.features & RENDER_SOFTWARE;
	gl->together = gl->config.isolate == GL_ISOLATE_OFF ||
		(gl->config.isolate == GL_ISOLATE_AUTO && !software);
	return result;
}

void gl_renderers_clear(struct gl *gl, bool final) {
	struct gl_renderer *r;
	while (!list_empty(&gl->renderers)) {
		destroy(list_first(&gl->renderers, struct gl_renderer, link));
	}
	if (!final) {
		(void)start(gl, &r);
		return;
	}
	sd_event_source_disable_unref(gl->sweep);
	reaper_destroy(gl->reaper);
	render_capsets_finish(&gl->capsets);
}
