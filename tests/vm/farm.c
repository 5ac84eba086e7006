/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <linux/input-event-codes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "farm.h"
#include "test.h"

#define MEMORY_MIB   4096u
#define BOOT_SECONDS 180u
/* The VM's port of desktop N's bridge is this plus N: data/helix-desktop. */
#define BRIDGE_PORT 9876u
/* How far colours may be off, being coded. */
#define SLACK 12u
/* How often one that shows nothing of what is expected is looked for at another output. */
#define FOLLOW_NS     (10 * NSEC_PER_SEC)
#define POINT_SECONDS 60u

const uint8_t farm_red[3] = {200, 30, 30};
const uint8_t farm_green[3] = {30, 180, 60};
const uint8_t farm_blue[3] = {40, 60, 220};
const uint8_t farm_yellow[3] = {230, 200, 30};

static const char session_script[] =
	"#!/bin/bash\n"
	"paint() { printf '\\e[0m\\e[48;2;%sm\\e[2J\\e[3;3H\\e[1m%s' \"$1\" \"$HOSTNAME\"; }\n"
	"mouse() {\n"
	"	local all='' one\n"
	"	while IFS= read -rsn1 -t 1 one && all=$all$one && [[ $one != [Mm] ]]; do :; done\n"
	"	[[ $all != *'<0;'*M ]] || paint '230;200;30'\n"
	"}\n"
	"printf '\\e[?25l\\e[?1000h\\e[?1006h'\n"
	"paint '200;30;30'\n"
	"(n=0; while sleep 0.3; do n=$((n+1)); printf '\\e[5;3H%6d' $n; done) &\n"
	"while IFS= read -rsn1 key; do\n"
	"	case $key in\n"
	"	r) paint '200;30;30' ;;\n"
	"	g) paint '30;180;60' ;;\n"
	"	b) paint '40;60;220' ;;\n"
	"	$'\\e') mouse ;;\n"
	"	esac\n"
	"done\n";

static const char terminal_script[] =
	"#!/bin/sh\n"
	"exec foot --font=DejaVuSansMono:size=12 --window-size-chars=60x16 /etc/helix/session\n";

static void require_image(bool with_gnome) {
	const char *image = getenv("HELIX_TEST_VM_IMAGE");
	char path[512], about[64] = "";
	if (!image || !*image) {
		skip("HELIX_TEST_VM_IMAGE is not set (vm/make-vm-image.sh makes the image)");
	}
	(void)snprintf(path, sizeof(path), "%s/about", image);
	FILE *f = fopen(path, "re");
	bool full = f && fgets(about, sizeof(about), f) && strstr(about, "full");
	if (f) {
		(void)fclose(f);
	}
	if (with_gnome && !full) {
		skip("the image has no GNOME (make test-full)");
	}
	check(setenv("HELIX_TEST_GUEST", image, 1) == 0);
}

static void put_file(struct vm *vm, const char *path, const char *text) {
	vm_run_ok(vm, 60, "mkdir -p $(dirname %s); cat >%s <<'END'\n%sEND\nchmod 755 %s", path,
		path, text, path);
}

static void start(struct farm *f, bool with_gnome, bool gl) {
	require_image(with_gnome);
	*f = (struct farm){0};
	size_t used = 0;
	for (unsigned i = 1; i <= FARM_DESKTOPS_MAX; i++) {
		f->ports[i] = vm_free_port();
		used += (size_t)snprintf(f->forward + used, sizeof(f->forward) - used,
			"%stcp:127.0.0.1:%u-:%u", i > 1 ? ",hostfwd=" : "", f->ports[i],
			BRIDGE_PORT + i);
	}
	struct vm_config config = {.gpu = VM_GPU_EXPORT,
		.network = true,
		.memory_mib = MEMORY_MIB,
		.forward = f->forward,
		.gl = gl};
	f->vm = vm_create(&config);
	check_ok(sd_event_new(&f->loop));
	(void)vm_run(f->vm, BOOT_SECONDS, "systemctl is-system-running --wait");
	put_file(f->vm, "/etc/helix/session", session_script);
	put_file(f->vm, "/etc/helix/terminal", terminal_script);
}

void farm_start(struct farm *f, bool with_gnome) {
	start(f, with_gnome, false);
}

void farm_start_gl(struct farm *f, bool with_gnome) {
	start(f, with_gnome, true);
}

void farm_stop(struct farm *f) {
	(void)vm_run(f->vm, 120, "systemctl stop 'helix-desktop@*'");
	sd_event_unref(f->loop);
	vm_destroy(f->vm);
}

unsigned farm_count_free(struct farm *f) {
	unsigned n = 0;
	const char *list = vm_run_ok(f->vm, 90, "helix-lease --list");
	for (const char *p = strstr(list, " free "); p; p = strstr(p + 1, " free ")) {
		n++;
	}
	return n;
}

void desktop_log(struct desktop *d) {
	(void)fprintf(stderr, "# log of %s:\n%s\n", d->name,
		vm_run_ok(d->farm->vm, 60,
			"journalctl -b -o short-monotonic --no-hostname -u helix-desktop@%s | tail -n 80",
			d->name));
}

void desktop_start(struct desktop *d, struct farm *f, unsigned number, const char *compositor,
	const char *size) {
	char path[128], text[1024];
	*d = (struct desktop){.farm = f, .number = number};
	(void)snprintf(d->name, sizeof(d->name), "desktop-%u", number);
	(void)snprintf(path, sizeof(path), "/etc/helix/desktops/%s.env", d->name);
	(void)snprintf(text, sizeof(text),
		"HELIX_COMPOSITOR=%s\nHELIX_SIZE=%s\n"
		"HELIX_COMMAND=mutter-lease-launcher --print-times --exec /etc/helix/terminal\n"
		"HELIX_PODMAN_ARGS=--volume /etc/helix/terminal:/etc/helix/terminal:ro "
		"--volume /etc/helix/session:/etc/helix/session:ro\n",
		compositor, size);
	put_file(f->vm, path, text);
	if (vm_run(f->vm, FARM_START_SECONDS, "systemctl start helix-desktop@%s", d->name) != 0) {
		desktop_log(d);
		fail("%s does not start", d->name);
	}
}

/* The scanout that a desktop has; 0 as long as it has none. */
static unsigned find_scanout(struct desktop *d) {
	const char *list =
		vm_run_ok(d->farm->vm, 90, "helix-lease --list | grep -w '%s'; true", d->name);
	unsigned scanout;
	return sscanf(list, "%u", &scanout) == 1 ? scanout : 0;
}

void desktop_watch(struct desktop *d) {
	uint64_t deadline = now_ns() + FARM_START_SECONDS * NSEC_PER_SEC;
	while ((d->scanout = find_scanout(d)) == 0) {
		if (now_ns() > deadline) {
			desktop_log(d);
			fail("%s has no lease", d->name);
		}
		run_loop(d->farm->loop, 500);
	}
	viewer_init(&d->viewer, d->farm->loop, d->farm->vm, d->scanout);
}

void desktop_follow(struct desktop *d) {
	unsigned scanout = find_scanout(d);
	if (scanout != 0 && scanout != d->scanout) {
		desktop_end(d);
		desktop_watch(d);
	}
}

void desktop_end(struct desktop *d) {
	viewer_finish(&d->viewer);
}

static bool has_colour(
	const struct decoded *p, uint32_t x, uint32_t y, const uint8_t colour[3], unsigned slack) {
	uint8_t rgb[3];
	bool same = true;
	decode_pixel(p, x, y, rgb);
	for (unsigned i = 0; i < 3; i++) {
		same = same && abs(rgb[i] - colour[i]) <= (int)slack;
	}
	return same;
}

double desktop_share(const struct desktop *d, const uint8_t colour[3], uint32_t from, uint32_t to,
	unsigned slack) {
	const struct decoded *p = &d->viewer.picture;
	unsigned matches = 0, all = 0;
	for (uint32_t y = from; y < MIN(to, p->height); y += 4) {
		for (uint32_t x = 0; x < p->width; x += 4) {
			matches += has_colour(p, x, y, colour, slack);
			all++;
		}
	}
	return all ? 100.0 * matches / all : 0;
}

void desktop_save(const struct desktop *d, const char *what) {
	const char *dir = getenv("HELIX_TEST_PICTURES");
	const struct decoded *p = &d->viewer.picture;
	char path[512];
	if (!dir || !*dir || d->viewer.frames == 0) {
		return;
	}
	(void)snprintf(path, sizeof(path), "%s/%s-%s.ppm", dir, d->name, what);
	FILE *f = fopen(path, "we");
	check(f);
	(void)fprintf(f, "P6\n%u %u\n255\n", p->width, p->height);
	for (uint32_t y = 0; y < p->height; y++) {
		for (uint32_t x = 0; x < p->width; x++) {
			uint8_t rgb[3];
			decode_pixel(p, x, y, rgb);
			(void)fwrite(rgb, 1, 3, f);
		}
	}
	(void)fclose(f);
}

void desktop_expect(struct desktop *d, const uint8_t colour[3], double percent, unsigned seconds,
	const char *what) {
	uint64_t deadline = now_ns() + seconds * NSEC_PER_SEC, followed = now_ns();
	double share = 0;
	do {
		run_loop(d->farm->loop, 200);
		check(!d->viewer.closed);
		if (now_ns() - followed > FOLLOW_NS) {
			desktop_follow(d);
			followed = now_ns();
		}
		share = d->viewer.frames ? desktop_share(d, colour, 0, UINT32_MAX, SLACK) : 0;
	} while (share < percent && now_ns() < deadline);
	desktop_save(d, what);
	/* In it stands the desktop's name, in white. */
	static const uint8_t white[3] = {255, 255, 255};
	if (share >= percent && desktop_share(d, white, 0, UINT32_MAX, 40) < 0.02) {
		fail("%s: %s: no text", d->name, what);
	}
	if (share < percent) {
		desktop_log(d);
		fail("%s: %s: %.1f %% of the picture, after %llu frames", d->name, what, share,
			(unsigned long long)d->viewer.frames);
	}
	check_int(d->viewer.broken, ==, 0);
}

const char *desktop_run(struct desktop *d, unsigned seconds, const char *command) {
	return vm_run_ok(d->farm->vm, seconds, "podman exec %s sh -c '%s'", d->name, command);
}

/*
 * /ws/input (docs/protocol/websocket.md): by hand, so that what is tested is not also the tester
 */
/* -1 if the bridge is not there, or not yet. */
static int try_connect_input(const struct desktop *d) {
	struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_port = htons(d->farm->ports[d->number]),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const char request[] = "GET /ws/input HTTP/1.1\r\nHost: localhost:9876\r\n"
			       "Connection: Upgrade\r\nUpgrade: websocket\r\n"
			       "Sec-WebSocket-Version: 13\r\n"
			       "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
	char reply[1024] = "";
	size_t used = 0;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	check(fd >= 0);
	struct timeval timeout = {.tv_sec = 20};
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	/* QEMU's network accepts at once; whether there is a server shows later. */
	check(connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0);
	ssize_t n = send(fd, request, strlen(request), MSG_NOSIGNAL);
	while (n > 0 && !strstr(reply, "\r\n\r\n")) {
		n = recv(fd, reply + used, sizeof(reply) - 1 - used, 0);
		used += n > 0 ? (size_t)n : 0;
		reply[used] = '\0';
	}
	return n > 0 && strstr(reply, "101 ") ? fd : close_fd(fd);
}

static int connect_input(struct desktop *d) {
	uint64_t deadline = now_ns() + 60 * NSEC_PER_SEC;
	int fd;
	while ((fd = try_connect_input(d)) < 0) {
		if (now_ns() > deadline) {
			desktop_log(d);
			fail("%s: no bridge", d->name);
		}
		run_loop(d->farm->loop, 500);
	}
	return fd;
}

/* Masked with zeroes. */
static void send_event(int fd, const uint8_t *event, uint8_t size) {
	uint8_t frame[32] = {0x82, 0x80 | size};
	memcpy(frame + 6, event, size);
	check_int(send(fd, frame, 6u + size, MSG_NOSIGNAL), ==, 6 + size);
}

/* A key as evdev's code: type 1, kind 0, down, modifiers, code. */
static void send_key(int fd, uint16_t code, bool down) {
	const uint8_t event[] = {0x01, 0, down, 0, (uint8_t)(code >> 8), (uint8_t)code};
	send_event(fd, event, sizeof(event));
}

/* Until the bridge has read all: closing with what it sent unread would lose it. */
static void close_input(int fd) {
	uint8_t byte;
	check(shutdown(fd, SHUT_WR) == 0);
	while (recv(fd, &byte, 1, 0) > 0) {
	}
	(void)close_fd(fd);
}

void desktop_key(struct desktop *d, uint16_t code) {
	int fd = connect_input(d);
	send_key(fd, code, true);
	send_key(fd, code, false);
	close_input(fd);
}

/* A position: type 3, kind 1, x, y, width, height. */
static void send_position(int fd, const struct decoded *p, uint32_t x, uint32_t y) {
	const uint8_t event[] = {0x03, 1, (uint8_t)(x >> 8), (uint8_t)x, (uint8_t)(y >> 8),
		(uint8_t)y, (uint8_t)(p->width >> 8), (uint8_t)p->width, (uint8_t)(p->height >> 8),
		(uint8_t)p->height};
	send_event(fd, event, sizeof(event));
}

/* The left button: type 2, kind 2, down, number. */
static void send_button(int fd, bool down) {
	const uint8_t event[] = {0x02, 2, down, 1};
	send_event(fd, event, sizeof(event));
}

void desktop_point(struct desktop *d, uint32_t x, uint32_t y) {
	const struct viewer *v = &d->viewer;
	uint64_t deadline = now_ns() + POINT_SECONDS * NSEC_PER_SEC;
	int fd = connect_input(d);
	send_position(fd, &v->picture, x, y);
	close_input(fd);
	while (!v->pointer_moves || v->pointer_x != (int32_t)x || v->pointer_y != (int32_t)y) {
		if (now_ns() > deadline) {
			fail("%s: the pointer is at %d, %d, not %u, %u", d->name, v->pointer_x,
				v->pointer_y, x, y);
		}
		run_loop(d->farm->loop, 20);
	}
}

static void find_middle(
	const struct desktop *d, const uint8_t colour[3], uint32_t *ret_x, uint32_t *ret_y) {
	const struct decoded *p = &d->viewer.picture;
	uint64_t n = 0, sum_x = 0, sum_y = 0;
	for (uint32_t y = 0; y < p->height; y += 4) {
		for (uint32_t x = 0; x < p->width; x += 4) {
			if (has_colour(p, x, y, colour, SLACK)) {
				n++;
				sum_x += x;
				sum_y += y;
			}
		}
	}
	check(n > 0);
	*ret_x = (uint32_t)(sum_x / n);
	*ret_y = (uint32_t)(sum_y / n);
}

void desktop_click(struct desktop *d, const uint8_t colour[3]) {
	uint32_t x, y;
	find_middle(d, colour, &x, &y);
	int fd = connect_input(d);
	send_position(fd, &d->viewer.picture, x, y);
	send_button(fd, true);
	send_button(fd, false);
	close_input(fd);
}

/* Of slot 0: type 6, 0 down or 2 up, slot, x and y as parts of the sides, little-endian floats. */
static void send_touch(int fd, uint8_t what, float x, float y) {
	uint8_t event[11] = {0x06, what, 0};
	memcpy(event + 3, &x, sizeof(x));
	memcpy(event + 7, &y, sizeof(y));
	send_event(fd, event, sizeof(event));
}

void desktop_tap(struct desktop *d, const uint8_t colour[3]) {
	const struct decoded *p = &d->viewer.picture;
	uint32_t x, y;
	find_middle(d, colour, &x, &y);
	int fd = connect_input(d);
	send_touch(fd, 0, (float)x / (float)p->width, (float)y / (float)p->height);
	send_touch(fd, 2, 0, 0);
	close_input(fd);
}

void desktop_drag(struct desktop *d, unsigned seconds) {
	const struct decoded *p = &d->viewer.picture;
	uint64_t end = now_ns() + seconds * NSEC_PER_SEC;
	int fd = connect_input(d);
	send_position(fd, p, p->width / 2, p->height / 2);
	send_key(fd, KEY_LEFTMETA, true);
	send_button(fd, true);
	for (uint32_t i = 0; now_ns() < end; i++) {
		uint32_t step = i % 64 < 32 ? i % 64 : 64 - i % 64;
		send_position(fd, p, p->width / 2 + 4 * step, p->height / 2 + 2 * step);
		run_loop(d->farm->loop, 20);
	}
	send_button(fd, false);
	send_key(fd, KEY_LEFTMETA, false);
	close_input(fd);
}
