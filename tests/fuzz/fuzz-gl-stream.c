/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What guests' command streams say of where they draw. The input is a list of streams, each with a
 * byte for the context and how many words it has. Checked besides what sanitizers see: a stream
 * writes only what is in its own renderer.
 */
#include <stdlib.h>
#include <string.h>

#include "gl.h"
#include "gpu-stub.h"
#include "script.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CONTEXTS  2u
#define RESOURCES 8u

struct world {
	struct gpu gpu;
	struct gl gl;
	struct gl_renderer renderers[CONTEXTS];
	struct gl_context contexts[CONTEXTS];
	struct gl_copy copies[RESOURCES][CONTEXTS];
	struct resource *resources[RESOURCES];
};

/* The even ones are in both renderers, the odd ones in the second. */
static void make_resource(struct world *w, unsigned i) {
	struct resource *r;
	if (resource_create(&w->gpu.resources, i + 1, &r) < 0 ||
		!(r->gl = calloc(1, sizeof(*r->gl)))) {
		abort();
	}
	list_init(&r->gl->copies);
	for (unsigned k = i % 2; k < CONTEXTS; k++) {
		struct gl_copy *copy = &w->copies[i][k];
		copy->resource = r;
		copy->renderer = &w->renderers[k];
		list_append(&r->gl->copies, &copy->of_resource);
		r->gl->latest = copy;
	}
	w->resources[i] = r;
}

static void check_written(const struct world *w, const uint64_t *before, unsigned context) {
	for (unsigned i = 0; i < RESOURCES; i++) {
		const struct resource_gl *g = w->resources[i]->gl;
		if (g->version != before[i] && g->latest != &w->copies[i][context]) {
			abort();
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct world *w = calloc(1, sizeof(*w));
	struct script s = {data, data + size};
	if (!w || gpu_init(&w->gpu, &(struct gpu_config){1, 1u << 20, NULL, gpu_stub_ops}) < 0) {
		abort();
	}
	w->gl.gpu = &w->gpu;
	for (unsigned i = 0; i < CONTEXTS; i++) {
		w->contexts[i].renderer = &w->renderers[i];
		gl_streams_init(&w->contexts[i].streams);
	}
	for (unsigned i = 0; i < RESOURCES; i++) {
		make_resource(w, i);
	}
	while (s.p < s.end) {
		uint64_t before[RESOURCES];
		unsigned context = take(&s, 1) % CONTEXTS;
		size_t got, wanted = take(&s, 1) * 4;
		const uint8_t *bytes = take_bytes(&s, wanted, &got);
		/* Exactly as large as it is: reading past its end is then seen. */
		size_t n = got / 4;
		uint32_t *words = malloc(n > 0 ? n * 4 : 1);
		if (!words) {
			abort();
		}
		memcpy(words, bytes, n * 4);
		for (unsigned i = 0; i < RESOURCES; i++) {
			before[i] = w->resources[i]->gl->version;
		}
		gl_stream_follow(&w->gl, &w->contexts[context], words, n);
		check_written(w, before, context);
		free(words);
	}
	for (unsigned i = 0; i < CONTEXTS; i++) {
		gl_streams_finish(&w->contexts[i].streams);
	}
	gpu_finish(&w->gpu);
	free(w);
	return 0;
}
