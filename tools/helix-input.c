/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Drives a desktop's keyboard, pointer and touch screen by hand, or makes a set of them and shows
 * what comes out: for tests, and for people who want to know why nothing happens.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/input.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "input-client.h"
#include "options.h"
#include "parse.h"
#include "proto/input.h"
#include "proto/lease.h"
#include "us-layout.h"
#include "util.h"

#define SYSFS_DIR  "/sys/class/input"
#define TOKEN_FILE "helix-input-token"
/* Most keys that are pressed together. */
#define CHORD_MAX 8u

enum mode {
	MODE_ACT,
	MODE_CREATE,
	MODE_WATCH,
	MODE_LIST,
};

struct config {
	enum mode mode;
	struct input_wish wish;
	uint8_t token[INPUT_TOKEN_SIZE];
	bool has_token;
};

static int set_socket(const char *value, void *data) {
	((struct config *)data)->wish.socket = value;
	return value[0] ? 0 : -EINVAL;
}

static int set_timeout(const char *value, void *data) {
	return parse_u32(value, 1, 3600000, &((struct config *)data)->wish.timeout_ms);
}

static int set_name(const char *value, void *data) {
	((struct config *)data)->wish.name = value;
	return strlen(value) < INPUT_NAME_SIZE ? 0 : -ERANGE;
}

static int set_device(const char *value, void *data) {
	int kind = input_kind_from_string(value);
	if (kind >= 0) {
		((struct config *)data)->wish.kinds |= INPUT_KIND_BIT(kind);
	}
	return MIN(kind, 0);
}

static int set_token(const char *value, void *data) {
	struct config *c = data;
	c->has_token = true;
	return lease_token_from_string(value, c->token);
}

static int set_create(const char *value, void *data) {
	((struct config *)data)->mode = MODE_CREATE;
	return 0;
}

static int set_watch(const char *value, void *data) {
	((struct config *)data)->mode = MODE_WATCH;
	return 0;
}

static int set_list(const char *value, void *data) {
	((struct config *)data)->mode = MODE_LIST;
	return 0;
}

static const struct option_spec options[] = {
	{"token", 't', "HEX",
		"of the desktop's devices; default: $HELIX_INPUT_TOKEN, else the desktop's own",
		set_token},
	{"create", 'c', NULL, "make devices and run a COMMAND, or hold them until a signal",
		set_create},
	{"watch", 'w', NULL, "make devices and print what comes out of them", set_watch},
	{"name", 'n', "NAME", "what to call them; default: desktop", set_name},
	{"device", 'd', "KIND", "only a keyboard, pointer or touch; repeatable; default: all",
		set_device},
	{"list", 'l', NULL, "print the devices that there are, of all desktops", set_list},
	{"socket", 's', "PATH",
		"the manager's socket; default: $HELIX_INPUT_SOCKET, else " INPUT_SOCKET_DEFAULT,
		set_socket},
	{"timeout", 0, "MS", "wait so long for the manager's answer; default 10000", set_timeout},
	{0},
};

static const struct program_spec program = {
	.name = "helix-input",
	.summary = "Types, points and touches in a desktop, or makes the devices for that.\n"
		   "ACTION: type TEXT | key CODE... | down CODE | up CODE | move X Y | by DX DY |\n"
		   "  click BUTTON | scroll DX DY | tap X Y | wait MS",
	.arguments = "ACTION... | --create [COMMAND [ARG]...] | --watch | --list",
	.options = options,
};

static int complain(int r, const char *text) {
	(void)fprintf(stderr, "helix-input: %s\n", text);
	return r;
}

/*
 * Actions
 */

static int flush(struct input_link *link) {
	int r;
	while ((r = input_link_flush(link)) == -EAGAIN) {
		struct pollfd p = {.fd = link->fd, .events = POLLOUT};
		(void)poll(&p, 1, -1);
	}
	return r;
}

/* So that what one character or gesture takes fits into the queue. */
static int make_room(struct input_link *link) {
	return link->n_records + 2 * CHORD_MAX > INPUT_RECORDS_MAX ? flush(link) : 0;
}

/* One after the other, and up again in the opposite order. */
static int press_chord(struct input_link *link, const uint16_t *keys, unsigned n) {
	int r = make_room(link);
	for (unsigned i = 0; r == 0 && i < n; i++) {
		r = input_link_key(link, keys[i], true);
	}
	for (unsigned i = n; r == 0 && i > 0; i--) {
		r = input_link_key(link, keys[i - 1], false);
	}
	return r;
}

static int act_type(struct input_link *link, char *args[]) {
	int r = 0;
	for (const char *p = args[0]; r == 0 && *p; p++) {
		bool shift;
		uint16_t keys[2] = {KEY_LEFTSHIFT, us_layout_key(*p, &shift)};
		if (keys[1] == 0) {
			return -EILSEQ;
		}
		r = press_chord(link, keys + !shift, shift ? 2 : 1);
	}
	return r;
}

static int parse_code(const char *text, uint16_t *ret) {
	uint32_t code;
	int r = parse_u32(text, 1, KEY_MAX, &code);
	if (r == 0) {
		*ret = (uint16_t)code;
	}
	return r;
}

/* "29+46": Ctrl and C. */
static int act_key(struct input_link *link, char *args[]) {
	uint16_t keys[CHORD_MAX];
	unsigned n = 0;
	char *rest = args[0];
	for (char *part; (part = strsep(&rest, "+"));) {
		if (n == CHORD_MAX || parse_code(part, &keys[n++]) < 0) {
			return -EINVAL;
		}
	}
	return press_chord(link, keys, n);
}

/* Codes from BTN_MISC on are buttons. */
static int press(struct input_link *link, const char *text, bool down) {
	uint16_t code;
	int r = parse_code(text, &code);
	if (r == 0) {
		r = make_room(link);
	}
	if (r == 0) {
		r = code < BTN_MISC ? input_link_key(link, code, down)
				    : input_link_button(link, code, down);
	}
	return r;
}

static int act_down(struct input_link *link, char *args[]) {
	return press(link, args[0], true);
}

static int act_up(struct input_link *link, char *args[]) {
	return press(link, args[0], false);
}

static int parse_two(char *args[], int32_t min, int32_t max, int32_t ret[2]) {
	for (unsigned i = 0; i < 2; i++) {
		uint32_t v;
		bool negative = args[i][0] == '-';
		int r = parse_u32(args[i] + negative, 0, (uint32_t)max, &v);
		ret[i] = r < 0 ? 0 : negative ? -(int32_t)v : (int32_t)v;
		if (r < 0 || ret[i] < min) {
			return -EINVAL;
		}
	}
	return 0;
}

static int act_move(struct input_link *link, char *args[]) {
	int32_t v[2];
	int r = parse_two(args, 0, INPUT_POSITION_MAX, v);
	if (r == 0) {
		r = make_room(link);
	}
	return r == 0 ? input_link_move(link, v[0], v[1]) : r;
}

static int act_by(struct input_link *link, char *args[]) {
	int32_t v[2];
	int r = parse_two(args, -INPUT_RELATIVE_MAX, INPUT_RELATIVE_MAX, v);
	if (r == 0) {
		r = make_room(link);
	}
	return r == 0 ? input_link_move_relative(link, v[0], v[1]) : r;
}

static int act_scroll(struct input_link *link, char *args[]) {
	int32_t v[2];
	int r = parse_two(args, -INPUT_RELATIVE_MAX, INPUT_RELATIVE_MAX, v);
	if (r == 0) {
		r = make_room(link);
	}
	return r == 0 ? input_link_scroll(link, v[0], v[1]) : r;
}

static int act_click(struct input_link *link, char *args[]) {
	static const struct {
		const char *name;
		uint16_t code;
	} buttons[] = {{"left", BTN_LEFT}, {"right", BTN_RIGHT}, {"middle", BTN_MIDDLE},
		{"side", BTN_SIDE}, {"extra", BTN_EXTRA}};
	uint16_t code = 0;
	for (size_t i = 0; i < ARRAY_SIZE(buttons); i++) {
		code = strcmp(args[0], buttons[i].name) == 0 ? buttons[i].code : code;
	}
	int r = code ? make_room(link) : -EINVAL;
	if (r == 0) {
		r = input_link_button(link, code, true);
	}
	return r == 0 ? input_link_button(link, code, false) : r;
}

static int act_tap(struct input_link *link, char *args[]) {
	int32_t v[2];
	int r = parse_two(args, 0, INPUT_POSITION_MAX, v);
	if (r == 0) {
		r = make_room(link);
	}
	if (r == 0) {
		r = input_link_touch(link, 0, true, v[0], v[1]);
	}
	return r == 0 ? input_link_touch_end(link, 0) : r;
}

/* For people: what is held down in the meantime stays so. */
static int act_wait(struct input_link *link, char *args[]) {
	uint32_t ms;
	int r = parse_u32(args[0], 0, 3600000, &ms);
	if (r == 0) {
		r = flush(link);
	}
	if (r == 0) {
		struct pollfd p = {.fd = link->fd, .events = POLLIN};
		r = poll(&p, 1, (int)ms) > 0 ? -EPIPE : 0;
	}
	return r;
}

static const struct action {
	const char *name;
	int n_args;
	int (*act)(struct input_link *link, char *args[]);
} actions[] = {
	{"type", 1, act_type},
	{"key", 1, act_key},
	{"down", 1, act_down},
	{"up", 1, act_up},
	{"move", 2, act_move},
	{"by", 2, act_by},
	{"click", 1, act_click},
	{"scroll", 2, act_scroll},
	{"tap", 2, act_tap},
	{"wait", 1, act_wait},
};

static const struct action *find_action(const char *name) {
	for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
		if (strcmp(actions[i].name, name) == 0) {
			return &actions[i];
		}
	}
	return NULL;
}

static int act(struct input_link *link, int argc, char *argv[]) {
	int r = 0;
	for (int i = 0; r == 0 && i < argc;) {
		const struct action *a = find_action(argv[i]);
		const char *name = argv[i++];
		r = a->act(link, argv + i);
		i += a->n_args;
		if (r < 0) {
			(void)fprintf(stderr, "helix-input: %s: %s\n", name,
				r == -EILSEQ ? "only what a US keyboard can type" : strerror(-r));
		}
	}
	if (r == 0) {
		r = flush(link);
		if (r < 0) {
			(void)complain(r, "the devices are gone");
		}
	}
	return r;
}

/* Before anything happens. */
static int check_actions(int argc, char *argv[]) {
	for (int i = 0; i < argc;) {
		const struct action *a = find_action(argv[i]);
		if (!a) {
			(void)fprintf(stderr, "helix-input: there is no action '%s'\n", argv[i]);
			return -EINVAL;
		}
		i += 1 + a->n_args;
		if (i > argc) {
			(void)fprintf(stderr, "helix-input: %s wants more\n", a->name);
			return -EINVAL;
		}
	}
	return argc > 0 ? 0
			: complain(-EINVAL, "an ACTION is needed, or --create, --watch, --list");
}

/* The desktop's own, as its session finds it. */
static int read_own_token(struct config *c) {
	const char *hex = getenv("HELIX_INPUT_TOKEN"), *dir = getenv("XDG_RUNTIME_DIR");
	char path[256], text[2 * INPUT_TOKEN_SIZE + 1];
	if (hex) {
		return lease_token_from_string(hex, c->token);
	}
	if (!dir) {
		return -ENOENT;
	}
	(void)snprintf(path, sizeof(path), "%s/" TOKEN_FILE, dir);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;
	(void)close_fd(fd);
	text[MAX(n, 0)] = '\0';
	return lease_token_from_string(text, c->token);
}

static int run_actions(struct config *c, int argc, char *argv[]) {
	char error[INPUT_ERROR_SIZE] = "";
	struct input_link link;
	int r = input_link_open(&link, c->wish.socket, c->token, c->wish.timeout_ms, error);
	if (r < 0) {
		return complain(r, error);
	}
	r = act(&link, argc, argv);
	input_link_close(&link);
	return r;
}

/*
 * Sets
 */

static void print_set(const struct input_set *set) {
	char token[2 * INPUT_TOKEN_SIZE + 1];
	for (unsigned i = 0; i < set->n_devices; i++) {
		const struct input_entry *e = &set->devices[i].about;
		printf("%s: /dev/input/%s %u:%u", input_kind_to_string(e->kind), e->sysname,
			e->major, e->minor);
		const char *p = e->properties;
		while (*p) {
			int n = (int)strcspn(p, "\n");
			printf(" %.*s", n, p);
			p += n + (p[n] != '\0');
		}
		printf("\n");
	}
	lease_token_to_string(set->token, token);
	printf("token %s\n", token);
	(void)fflush(stdout);
}

static void print_events(const struct input_device *d) {
	struct input_event events[64];
	ssize_t n;
	while ((n = read(d->fd, events, sizeof(events))) > 0) {
		for (size_t i = 0; i < (size_t)n / sizeof(*events); i++) {
			const struct input_event *e = &events[i];
			const char *what = e->type != EV_SYN ? NULL
				: e->code == SYN_REPORT      ? "report"
							     : "dropped";
			if (what) {
				printf("%s %s\n", input_kind_to_string(d->about.kind), what);
			} else {
				printf("%s %u %u %d\n", input_kind_to_string(d->about.kind),
					e->type, e->code, e->value);
			}
		}
	}
	(void)fflush(stdout);
}

/* Until the manager ends them, or a signal ends us. */
static int watch(const struct input_set *set, bool print) {
	for (;;) {
		struct pollfd p[_INPUT_KIND_MAX + 1] = {{.fd = set->connection, .events = POLLIN}};
		for (unsigned i = 0; i < set->n_devices; i++) {
			p[i + 1] = (struct pollfd){
				.fd = print ? set->devices[i].fd : -1, .events = POLLIN};
		}
		if (poll(p, set->n_devices + 1, -1) < 0 && errno != EINTR) {
			return -errno;
		}
		if (p[0].revents) {
			return complain(-ECONNRESET, "the manager ended the devices");
		}
		for (unsigned i = 0; i < set->n_devices; i++) {
			if (p[i + 1].revents & POLLIN) {
				print_events(&set->devices[i]);
			}
		}
	}
}

/* As a child, which does not get our descriptors. */
static int run_command(const struct input_set *set, char *argv[]) {
	char token[2 * INPUT_TOKEN_SIZE + 1];
	lease_token_to_string(set->token, token);
	if (setenv("HELIX_INPUT_TOKEN", token, 1) < 0) {
		return -ENOMEM;
	}
	pid_t pid = fork();
	if (pid < 0) {
		return -errno;
	}
	if (pid == 0) {
		(void)execvp(argv[0], argv);
		(void)fprintf(stderr, "helix-input: %s: %s\n", argv[0], strerror(errno));
		_exit(127);
	}
	int status;
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR) {
			return -errno;
		}
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Exit status, or -errno. */
static int create(const struct config *c, char *argv[]) {
	char error[INPUT_ERROR_SIZE] = "";
	struct input_set set;
	int r = input_set_create(&c->wish, &set, error);
	if (r < 0) {
		return complain(r, error);
	}
	if (*argv) {
		r = run_command(&set, argv);
	} else {
		print_set(&set);
		r = watch(&set, c->mode == MODE_WATCH);
	}
	input_set_finish(&set);
	return r;
}

static bool read_line(const char *name, const char *attribute, char *ret, size_t size) {
	char path[320];
	(void)snprintf(path, sizeof(path), SYSFS_DIR "/%s/device/%s", name, attribute);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, ret, size - 1) : -1;
	(void)close_fd(fd);
	ret[MAX(n, 0)] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
	return n > 0;
}

/* Those of the manager have a telling "phys". */
static int list(void) {
	static const char prefix[] = "helix-input/";
	char phys[64], name[128];
	DIR *dir = opendir(SYSFS_DIR);
	if (!dir) {
		return errno == ENOENT ? 0 : complain(-errno, SYSFS_DIR " cannot be read");
	}
	const struct dirent *e;
	while ((e = readdir(dir))) {
		if (strncmp(e->d_name, "event", 5) == 0 &&
			read_line(e->d_name, "phys", phys, sizeof(phys)) &&
			strncmp(phys, prefix, strlen(prefix)) == 0 &&
			read_line(e->d_name, "name", name, sizeof(name))) {
			printf("%-10s %-24s %s\n", e->d_name, phys + strlen(prefix), name);
		}
	}
	(void)closedir(dir);
	return 0;
}

int main(int argc, char *argv[]) {
	struct config c = {.wish.socket = getenv("HELIX_INPUT_SOCKET")};
	int index;
	enum options_result parsed = options_parse(&program, argc, argv, &c, &index);
	if (parsed != OPTIONS_RUN) {
		return parsed == OPTIONS_EXIT ? 0 : 2;
	}
	if (c.mode == MODE_LIST) {
		return list() < 0 ? 1 : 0;
	}
	if (c.mode != MODE_ACT) {
		int r = create(&c, argv + index);
		return r < 0 ? 1 : r;
	}
	if (check_actions(argc - index, argv + index) < 0) {
		return 2;
	}
	if (!c.has_token && read_own_token(&c) < 0) {
		(void)complain(0, "--token or $HELIX_INPUT_TOKEN is needed");
		return 2;
	}
	return run_actions(&c, argc - index, argv + index) < 0 ? 1 : 0;
}
