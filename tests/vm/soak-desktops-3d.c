/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Several GNOME desktops in a VM with 3D, started within seconds of each other, all drawing all the
 * time; then one after another is stopped and started. All keep moving, no fence is outstanding in
 * the end, and memory and descriptors of exporter, renderer, QEMU and guest stay what they were.
 *
 * scripts/soak.sh runs it. MINUTES, DESKTOPS and CYCLES say how long, how many and how often.
 */
#include <inttypes.h>
#include <linux/input-event-codes.h>
#include <stdio.h>
#include <string.h>

#include "farm.h"
#include "test.h"

/* Without a frame for so long a desktop is taken for stuck; the machine may be slow and busy. */
#define STUCK_SECONDS 120u
#define LOOK_SECONDS  10u
/* Growth that is no leak: caches that fill, a viewer's connection. */
#define SLACK_KIB 65536u
#define SLACK_FDS 16u

/* Processes of the host; of the guest, memory that nothing else could have, and its managers' files. */
enum part {
	EXPORTER,
	RENDERERS,
	QEMU,
	GUEST,
	N_PARTS
};
static const char *const part_names[] = {"exporter", "renderers", "QEMU", "guest"};

struct usage {
	uint64_t kib;
	unsigned fds;
};

static unsigned parameter(const char *name, unsigned fallback) {
	const char *text = getenv(name);
	return text && *text ? (unsigned)strtoul(text, NULL, 10) : fallback;
}

/*
 * What grows by itself, up to a bound: the guest's memory (QEMU has all that the guest has ever used, if
 * only for its page cache; the exporter what it has looked at), and code that QEMU has translated, under
 * emulation a cache of 1 GiB.
 */
static uint64_t bounded_kib(pid_t pid) {
	char path[64], line[512], access[5];
	uint64_t sum = 0, kib;
	bool bounded = false;
	(void)snprintf(path, sizeof(path), "/proc/%d/smaps", (int)pid);
	FILE *f = fopen(path, "re");
	check(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Rss: %" SCNu64, &kib) == 1) {
			sum += bounded ? kib : 0;
		} else if (sscanf(line, "%*x-%*x %4s", access) == 1) {
			bounded = strcmp(access, "rwxp") == 0 ||
				strstr(line, "/memfd:memory-backend-memfd");
		}
	}
	(void)fclose(f);
	return sum;
}

/* Not what is mapped of files: each renderer has the same libraries. */
static void add_usage(pid_t pid, struct usage *u) {
	uint64_t kib, sum = 0;
	char path[64], line[256];
	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	FILE *f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "RssAnon: %" SCNu64, &kib) == 1 ||
			sscanf(line, "RssShmem: %" SCNu64, &kib) == 1) {
			sum += kib;
		}
	}
	if (f) {
		(void)fclose(f);
	}
	uint64_t bounded = bounded_kib(pid);
	u->kib += sum - MIN(sum, bounded);
	u->fds += test_fds_of(pid);
}

static void add_guest(struct vm *vm, struct usage *u) {
	const char *text = vm_run_ok(vm, 60,
		"awk '/^MemTotal/{t=$2} /^MemAvailable/{print t-$2}' /proc/meminfo;"
		" for p in $(pidof helix-drm-manager helix-input-manager); do ls /proc/$p/fd; done | wc -l");
	check_int(sscanf(text, "%" SCNu64 " %u", &u->kib, &u->fds), ==, 2);
}

static void sample(const struct farm *f, const char *when, struct usage ret[N_PARTS]) {
	pid_t renderers[TEST_CHILDREN_MAX];
	unsigned n = test_children_of(f->vm->gpu.pid, renderers);
	memset(ret, 0, N_PARTS * sizeof(ret[0]));
	add_usage(f->vm->gpu.pid, &ret[EXPORTER]);
	for (unsigned i = 0; i < n; i++) {
		add_usage(renderers[i], &ret[RENDERERS]);
	}
	add_usage(f->vm->qemu.pid, &ret[QEMU]);
	add_guest(f->vm, &ret[GUEST]);
	printf("# %-12s", when);
	for (unsigned i = 0; i < N_PARTS; i++) {
		printf("  %s %4" PRIu64 " MiB %3u fds", part_names[i], ret[i].kib / 1024,
			ret[i].fds);
	}
	printf("  (%u renderers)\n", n);
	(void)fflush(stdout);
}

static void check_flat(const struct usage before[N_PARTS], const struct usage after[N_PARTS]) {
	for (unsigned i = 0; i < N_PARTS; i++) {
		if (after[i].kib > before[i].kib + SLACK_KIB ||
			after[i].fds > before[i].fds + SLACK_FDS) {
			fail("%s grew: %" PRIu64 " to %" PRIu64 " KiB, %u to %u descriptors",
				part_names[i], before[i].kib, after[i].kib, before[i].fds,
				after[i].fds);
		}
	}
}

/* Each has got a frame lately. */
static void check_moving(struct desktop *all, unsigned n) {
	for (unsigned i = 0; i < n; i++) {
		const struct viewer *v = &all[i].viewer;
		check(!v->closed);
		check_int(v->broken, ==, 0);
		if (now_ns() - v->last_ns > STUCK_SECONDS * NSEC_PER_SEC) {
			desktop_log(&all[i]);
			fail("%s stands still, after %" PRIu64 " frames", all[i].name, v->frames);
		}
	}
}

static void run_moving(struct desktop *all, unsigned n, unsigned seconds) {
	uint64_t end = now_ns() + seconds * NSEC_PER_SEC;
	while (now_ns() < end) {
		run_loop(all[0].farm->loop, LOOK_SECONDS * 1000);
		check_moving(all, n);
	}
}

/* Until it is up and its terminal is seen; out of the overview, where that is small. */
static void see(struct desktop *d) {
	desktop_watch(d);
	desktop_expect(d, farm_red, 5, FARM_START_SECONDS * 2, "terminal");
	desktop_key(d, KEY_ESC);
}

static void cycle(struct desktop *d) {
	desktop_end(d);
	vm_run_ok(d->farm->vm, FARM_START_SECONDS, "systemctl stop helix-desktop@%s", d->name);
	desktop_start(d, d->farm, d->number, "gnome", "1280x720");
	see(d);
}

/* The guest's number of the last fence reached, and of the last one given out. */
static void check_fences(struct farm *f) {
	unsigned long long reached = 0, given = 1;
	uint64_t deadline = now_ns() + 60 * NSEC_PER_SEC;
	while (reached != given && now_ns() < deadline) {
		const char *text =
			vm_run_ok(f->vm, 60, "cat /sys/kernel/debug/dri/0/virtio-gpu-irq-fence");
		check_int(sscanf(text, "fence %llu %llu", &reached, &given), ==, 2);
	}
	printf("# fences: %llu of %llu reached\n", reached, given);
	check_int(reached, ==, given);
}

TEST_TIMEOUT(desktops_keep_moving, 86400) {
	unsigned minutes = parameter("MINUTES", 10), n = parameter("DESKTOPS", 4);
	unsigned cycles = parameter("CYCLES", 50);
	struct farm f;
	struct desktop d[FARM_DESKTOPS_MAX];
	struct usage before[N_PARTS], after[N_PARTS];
	char when[64];
	check_int(n, >, 0);
	check_int(n, <=, FARM_DESKTOPS_MAX);
	farm_start_gl(&f, true);
	for (unsigned i = 0; i < n; i++) {
		desktop_start(&d[i], &f, i + 1, "gnome", "1280x720");
	}
	for (unsigned i = 0; i < n; i++) {
		see(&d[i]);
	}
	sample(&f, "all are up", before);
	for (unsigned i = 0; i < minutes; i++) {
		run_moving(d, n, 60);
		(void)snprintf(when, sizeof(when), "minute %u", i + 1);
		sample(&f, when, after);
		/* What the first minute fills is no leak. */
		if (i == 0) {
			memcpy(before, after, sizeof(before));
		}
	}
	if (minutes > 1) {
		check_flat(before, after);
	}
	for (unsigned i = 0; i < cycles; i++) {
		cycle(&d[i % n]);
		check_moving(d, n);
		(void)snprintf(when, sizeof(when), "cycle %u", i + 1);
		sample(&f, when, after);
		/* Leases go round the outputs: each keeps a thread here, its framebuffer in the guest. */
		if (i == FARM_DESKTOPS_MAX - 1) {
			memcpy(before, after, sizeof(before));
		}
	}
	if (cycles > FARM_DESKTOPS_MAX) {
		check_flat(before, after);
	}
	check(!process_logged(&f.vm->gpu, "made no progress"));
	check(!process_logged(&f.vm->gpu, "renderer is gone"));
	for (unsigned i = 0; i < n; i++) {
		desktop_end(&d[i]);
	}
	vm_run_ok(f.vm, 300, "systemctl stop 'helix-desktop@*'");
	check_fences(&f);
	farm_stop(&f);
}
