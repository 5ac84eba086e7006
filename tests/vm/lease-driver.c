/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What clients of the DRM manager may do to it, run in the test guest:
 *
 *   cycles N PARALLEL   leases and releases N times, by so many processes; prints how long requests
 *                       took until the fd was there
 *   isolate             holds two leases, and tries from one what concerns the other
 *   other UID           takes a lease as that user
 *   stall N             flips on N leases by atomic commits, and measures how long each took while
 *                       others come and go
 *   kill                how soon a killed holder's output is free, and how soon somebody has it
 *   half|garbage|fds|chatter|connections N   behaves badly so many times
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <xf86drm.h>
#include <xf86drmMode.h>

#include <helix/lease-client.h>

#include "parse.h"
#include "util.h"

#define CYCLES_MAX 100000u

static _Noreturn void die(const char *what, const char *why) {
	(void)fprintf(stderr, "lease-driver: %s: %s\n", what, why);
	exit(1);
}

static void acquire(struct lease *ret, uint32_t scanout, uint32_t wait_ms, const char *name) {
	char error[LEASE_ERROR_SIZE] = "";
	struct lease_wish wish = {.width = 640,
		.height = 480,
		.scanout = scanout,
		.wait_ms = wait_ms,
		.timeout_ms = 20000,
		.name = name};
	if (lease_acquire(&wish, ret, error) < 0) {
		die("no lease", error);
	}
}

static int compare(const void *a, const void *b) {
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

static void cycles(uint32_t n, uint32_t parallel) {
	uint32_t *times = mmap(NULL, CYCLES_MAX * sizeof(*times), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (times == MAP_FAILED || n > CYCLES_MAX) {
		die("cycles", "no memory");
	}
	for (uint32_t k = 0; k < parallel; k++) {
		if (fork() != 0) {
			continue;
		}
		for (uint32_t i = k; i < n; i += parallel) {
			struct lease lease;
			uint64_t start = now_ns();
			acquire(&lease, 0, parallel > 1 ? 30000 : 0, "cycles");
			times[i] = (uint32_t)((now_ns() - start) / 1000);
			lease_finish(&lease);
		}
		_exit(0);
	}
	int status, bad = 0;
	while (wait(&status) > 0) {
		bad += status != 0;
	}
	qsort(times, n, sizeof(*times), compare);
	printf("cycles %u bad %d p50 %.1f p95 %.1f p99 %.1f max %.1f ms\n", n, bad,
		times[n / 2] / 1e3, times[n * 95 / 100] / 1e3, times[n * 99 / 100] / 1e3,
		times[n - 1] / 1e3);
	exit(bad != 0);
}

static void expect_refusal(const char *what, int r) {
	if (r == 0) {
		die("isolate", what);
	}
	printf("refused: %s (%s)\n", what, strerror(errno));
}

static void isolate(void) {
	struct lease a, b;
	acquire(&a, 0, 0, "a");
	acquire(&b, 0, 0, "b");
	(void)drmSetClientCap(a.fd, DRM_CLIENT_CAP_UNIVERSAL_PLANES, 1);
	drmModeRes *res = drmModeGetResources(a.fd);
	drmModePlaneRes *planes = drmModeGetPlaneResources(a.fd);
	if (!res || !planes || res->count_connectors != 1 || res->count_crtcs != 1 ||
		res->connectors[0] != a.about.connector_id || res->crtcs[0] != a.about.crtc_id) {
		die("isolate", "the lease shows what is not its own");
	}
	if (planes->count_planes != 2 || a.about.cursor_plane_id == 0) {
		die("isolate", "not exactly one primary and one cursor plane");
	}
	for (uint32_t i = 0; i < planes->count_planes; i++) {
		if (planes->planes[i] == b.about.primary_plane_id ||
			planes->planes[i] == b.about.cursor_plane_id) {
			die("isolate", "the lease shows another's plane");
		}
	}
	drmModeConnector *connector = drmModeGetConnector(a.fd, b.about.connector_id);
	expect_refusal("look at the other's connector", connector ? 0 : -1);
	drmModeCrtc *crtc = drmModeGetCrtc(a.fd, b.about.crtc_id);
	expect_refusal("look at the other's CRTC", crtc ? 0 : -1);
	drmModePlane *plane = drmModeGetPlane(a.fd, b.about.primary_plane_id);
	expect_refusal("look at the other's plane", plane ? 0 : -1);
	expect_refusal("switch the other's CRTC off",
		drmModeSetCrtc(a.fd, b.about.crtc_id, 0, 0, 0, NULL, 0, NULL));
	expect_refusal("switch the other's plane off",
		drmModeSetPlane(a.fd, b.about.primary_plane_id, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0));
	expect_refusal("move the other's cursor", drmModeMoveCursor(a.fd, b.about.crtc_id, 1, 1));
	uint32_t lessee, object = b.about.connector_id;
	expect_refusal("lease the other's connector",
		drmModeCreateLease(a.fd, &object, 1, 0, &lessee) >= 0 ? 0 : -1);
	expect_refusal("revoke a lease", drmModeRevokeLease(a.fd, 2));
	printf("isolated\n");
	exit(0);
}

/*
 * Atomic flips, each waited for
 */
struct flip_target {
	struct lease lease;
	uint32_t fb[2], mode_blob;
	uint32_t width, height;
};

static uint32_t property(int fd, uint32_t object, uint32_t type, const char *name) {
	drmModeObjectProperties *props = drmModeObjectGetProperties(fd, object, type);
	uint32_t id = 0;
	for (uint32_t i = 0; props && i < props->count_props; i++) {
		drmModePropertyRes *p = drmModeGetProperty(fd, props->props[i]);
		id = p && strcmp(p->name, name) == 0 ? p->prop_id : id;
		drmModeFreeProperty(p);
	}
	drmModeFreeObjectProperties(props);
	if (id == 0) {
		die("stall: no property", name);
	}
	return id;
}

static void set(drmModeAtomicReq *request, int fd, uint32_t object, uint32_t type, const char *name,
	uint64_t value) {
	if (drmModeAtomicAddProperty(request, object, property(fd, object, type, name), value) <
		0) {
		die("stall", "no memory");
	}
}

static void make_buffers(struct flip_target *t) {
	for (int i = 0; i < 2; i++) {
		uint32_t handle, pitch;
		uint64_t size;
		if (drmModeCreateDumbBuffer(
			    t->lease.fd, t->width, t->height, 32, 0, &handle, &pitch, &size) < 0 ||
			drmModeAddFB(t->lease.fd, t->width, t->height, 24, 32, pitch, handle,
				&t->fb[i]) < 0) {
			die("stall: buffer", strerror(errno));
		}
	}
}

static void start_output(struct flip_target *t) {
	int fd = t->lease.fd;
	const struct lease_ext_reply *a = &t->lease.about;
	(void)drmSetClientCap(fd, DRM_CLIENT_CAP_UNIVERSAL_PLANES, 1);
	if (drmSetClientCap(fd, DRM_CLIENT_CAP_ATOMIC, 1) < 0) {
		die("stall", "no atomic modesetting");
	}
	drmModeConnector *c = drmModeGetConnector(fd, a->connector_id);
	if (!c || c->count_modes == 0) {
		die("stall", "no mode");
	}
	t->width = c->modes[0].hdisplay;
	t->height = c->modes[0].vdisplay;
	(void)drmModeCreatePropertyBlob(fd, &c->modes[0], sizeof(c->modes[0]), &t->mode_blob);
	drmModeFreeConnector(c);
	make_buffers(t);
	drmModeAtomicReq *r = drmModeAtomicAlloc();
	const uint32_t plane = DRM_MODE_OBJECT_PLANE;
	set(r, fd, a->connector_id, DRM_MODE_OBJECT_CONNECTOR, "CRTC_ID", a->crtc_id);
	set(r, fd, a->crtc_id, DRM_MODE_OBJECT_CRTC, "MODE_ID", t->mode_blob);
	set(r, fd, a->crtc_id, DRM_MODE_OBJECT_CRTC, "ACTIVE", 1);
	set(r, fd, a->primary_plane_id, plane, "CRTC_ID", a->crtc_id);
	set(r, fd, a->primary_plane_id, plane, "FB_ID", t->fb[0]);
	set(r, fd, a->primary_plane_id, plane, "SRC_W", (uint64_t)t->width << 16);
	set(r, fd, a->primary_plane_id, plane, "SRC_H", (uint64_t)t->height << 16);
	set(r, fd, a->primary_plane_id, plane, "CRTC_W", t->width);
	set(r, fd, a->primary_plane_id, plane, "CRTC_H", t->height);
	if (drmModeAtomicCommit(fd, r, DRM_MODE_ATOMIC_ALLOW_MODESET, NULL) < 0) {
		die("stall: modeset", strerror(errno));
	}
	drmModeAtomicFree(r);
}

static void handle_flip(
	int fd, unsigned sequence, unsigned sec, unsigned usec, unsigned crtc, void *data) {
	*(bool *)data = true;
}

struct stall_shared {
	volatile bool measure, stop;
	volatile uint32_t ready;
	volatile uint64_t longest[16], flips[16], over[16];
};

static void flip_forever(struct stall_shared *shared, unsigned index) {
	struct flip_target t = {.lease.fd = -1};
	acquire(&t.lease, index + 1, 0, "flips");
	start_output(&t);
	int fd = t.lease.fd;
	uint32_t fb_id =
		property(fd, t.lease.about.primary_plane_id, DRM_MODE_OBJECT_PLANE, "FB_ID");
	drmEventContext context = {.version = 3, .page_flip_handler2 = handle_flip};
	(void)__sync_add_and_fetch(&shared->ready, 1);
	for (unsigned i = 1; !shared->stop; i++) {
		bool flipped = false;
		uint64_t start = now_ns();
		drmModeAtomicReq *r = drmModeAtomicAlloc();
		(void)drmModeAtomicAddProperty(
			r, t.lease.about.primary_plane_id, fb_id, t.fb[i % 2]);
		if (drmModeAtomicCommit(fd, r, DRM_MODE_PAGE_FLIP_EVENT | DRM_MODE_ATOMIC_NONBLOCK,
			    &flipped) < 0) {
			die("stall: flip", strerror(errno));
		}
		drmModeAtomicFree(r);
		while (!flipped) {
			struct pollfd p = {.fd = fd, .events = POLLIN};
			if (poll(&p, 1, 10000) <= 0) {
				die("stall", "a flip never ended");
			}
			(void)drmHandleEvent(fd, &context);
		}
		uint64_t took = now_ns() - start;
		if (shared->measure) {
			shared->longest[index] = MAX(shared->longest[index], took);
			shared->over[index] += took > 50 * NSEC_PER_MSEC;
			shared->flips[index]++;
		}
		/* A desktop's pace; leaves the machine to others. */
		(void)poll(NULL, 0, 50);
	}
	_exit(0);
}

static void print_stalls(struct stall_shared *s, const char *when) {
	uint64_t longest = 0, flips = 0, over = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(s->longest); i++) {
		longest = MAX(longest, s->longest[i]);
		flips += s->flips[i];
		over += s->over[i];
		s->longest[i] = s->flips[i] = s->over[i] = 0;
	}
	printf("%s: longest %.1f ms of %llu flips, %llu above 50 ms\n", when, (double)longest / 1e6,
		(unsigned long long)flips, (unsigned long long)over);
	(void)fflush(stdout);
}

static void stall(uint32_t n) {
	struct stall_shared *s =
		mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (s == MAP_FAILED || n > ARRAY_SIZE(s->longest)) {
		die("stall", "too many");
	}
	for (uint32_t i = 0; i < n; i++) {
		if (fork() == 0) {
			flip_forever(s, i);
		}
	}
	while (s->ready < n) {
		if (waitpid(-1, NULL, WNOHANG) > 0) {
			die("stall", "a flipper ended");
		}
		(void)poll(NULL, 0, 10);
	}
	s->measure = true;
	(void)poll(NULL, 0, 10000);
	s->measure = false;
	print_stalls(s, "before");
	s->measure = true;
	pid_t pid = fork();
	if (pid == 0) {
		cycles(100, 7);
	}
	int status;
	(void)waitpid(pid, &status, 0);
	s->measure = false;
	print_stalls(s, "stalls while");
	s->stop = true;
	int bad = status;
	while (wait(&status) > 0) {
		bad |= status;
	}
	exit(bad != 0);
}

static void other(uint32_t uid) {
	struct lease lease;
	if (setgid(uid) < 0 || setuid(uid) < 0) {
		die("other", strerror(errno));
	}
	acquire(&lease, 0, 0, "other");
	printf("served\n");
	exit(0);
}

static double ms_since(uint64_t start) {
	return (double)(now_ns() - start) / 1e6;
}

static bool is_free(uint32_t scanout) {
	struct lease_ext_entry *entries;
	size_t n;
	bool result = false;
	if (lease_list(NULL, 1000, &entries, &n, NULL) < 0) {
		return false;
	}
	for (size_t i = 0; i < n; i++) {
		result = result ||
			(entries[i].scanout == scanout && entries[i].state == LEASE_STATE_FREE);
	}
	free(entries);
	return result;
}

/* A child that holds a lease on the scanout until it is killed. */
static pid_t start_holder(uint32_t scanout) {
	int ready[2];
	char byte = 0;
	if (pipe2(ready, O_CLOEXEC) < 0) {
		die("kill", strerror(errno));
	}
	pid_t pid = fork();
	if (pid == 0) {
		struct lease lease;
		acquire(&lease, scanout, 0, "victim");
		(void)!write(ready[1], "x", 1);
		for (;;) {
			(void)pause();
		}
	}
	(void)close_fd(ready[1]);
	if (read(ready[0], &byte, 1) != 1) {
		die("kill", "the holder got no lease");
	}
	(void)close_fd(ready[0]);
	return pid;
}

static void measure_kill(void) {
	const uint32_t scanout = 15;
	pid_t pid = start_holder(scanout);
	uint64_t start = now_ns();
	(void)kill(pid, SIGKILL);
	while (!is_free(scanout)) {
		if (ms_since(start) > 5000) {
			die("kill", "the output never became free");
		}
	}
	printf("free after %.1f ms\n", ms_since(start));
	(void)waitpid(pid, NULL, 0);

	pid = start_holder(scanout);
	int ready[2];
	if (pipe2(ready, O_CLOEXEC) < 0) {
		die("kill", strerror(errno));
	}
	pid_t waiter = fork();
	if (waiter == 0) {
		struct lease lease;
		(void)!write(ready[1], "x", 1);
		acquire(&lease, scanout, 10000, "waiter");
		_exit(0);
	}
	char byte;
	(void)!read(ready[0], &byte, 1);
	/* For the request to be there: it cannot be seen from here. */
	(void)poll(NULL, 0, 300);
	start = now_ns();
	(void)kill(pid, SIGKILL);
	int status;
	(void)waitpid(waiter, &status, 0);
	printf("passed on after %.1f ms\n", ms_since(start));
	exit(status != 0);
}

static int dial(void) {
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = LEASE_SOCKET_DEFAULT};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		return close_fd(fd);
	}
	return fd;
}

static void send_with_fds(int fd) {
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(8 * sizeof(int))];
	} control = {0};
	uint8_t request[LEASE_REQUEST_SIZE] = {LEASE_CMD_LEASE};
	struct iovec iov = {request, sizeof(request)};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space)};
	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(8 * sizeof(int));
	int fds[8] = {fd, fd, fd, fd, fd, fd, fd, fd};
	memcpy(CMSG_DATA(&control.header), fds, sizeof(fds));
	(void)sendmsg(fd, &msg, MSG_NOSIGNAL);
}

static void misbehave(const char *kind, uint32_t n) {
	struct rlimit limit = {n + 64, n + 64};
	(void)setrlimit(RLIMIT_NOFILE, &limit);
	int *fds = calloc(n, sizeof(*fds));
	uint32_t refused = 0;
	for (uint32_t i = 0; fds && i < n; i++) {
		uint8_t noise[600];
		fds[i] = dial();
		refused += fds[i] < 0;
		if (fds[i] < 0) {
			continue;
		}
		if (strcmp(kind, "half") == 0) {
			(void)send(fds[i], "\001\000\000", 3, MSG_NOSIGNAL);
		} else if (strcmp(kind, "garbage") == 0) {
			(void)!getrandom(noise, sizeof(noise), 0);
			/* Not by chance a request. */
			noise[0] |= 0x40;
			(void)send(fds[i], noise, sizeof(noise), MSG_NOSIGNAL);
		} else if (strcmp(kind, "fds") == 0) {
			send_with_fds(fds[i]);
		} else if (strcmp(kind, "chatter") == 0) {
			static const uint8_t list[] = {
				LEASE_EXT_LIST, 'H', 'X', 'L', '1', 0, 0, 0, 0};
			(void)send(fds[i], list, sizeof(list), MSG_NOSIGNAL);
		}
		if (strcmp(kind, "connections") != 0 && strcmp(kind, "half") != 0) {
			(void)close_fd(fds[i]);
		}
	}
	printf("%s: %u done, %u not connected\n", kind, n, refused);
	/* Held until we are told to go. */
	(void)fflush(stdout);
	if (strcmp(kind, "connections") == 0 || strcmp(kind, "half") == 0) {
		(void)pause();
	}
	exit(0);
}

int main(int argc, char *argv[]) {
	uint32_t n = 1, parallel = 1;
	(void)signal(SIGPIPE, SIG_IGN);
	if (argc < 2 || (argc > 2 && parse_u32(argv[2], 1, CYCLES_MAX, &n) < 0) ||
		(argc > 3 && parse_u32(argv[3], 1, 1000, &parallel) < 0)) {
		die("usage", "lease-driver COMMAND [N [PARALLEL]]");
	}
	if (strcmp(argv[1], "cycles") == 0) {
		cycles(n, parallel);
	} else if (strcmp(argv[1], "isolate") == 0) {
		isolate();
	} else if (strcmp(argv[1], "stall") == 0) {
		stall(n);
	} else if (strcmp(argv[1], "other") == 0) {
		other(n);
	} else if (strcmp(argv[1], "kill") == 0) {
		measure_kill();
	}
	misbehave(argv[1], n);
}
