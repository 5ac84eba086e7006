/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stands for every program that the launcher starts, by the name it is called by. What it does is
 * written to $HELIX_TEST_LOG, a line each; how it misbehaves stands in $HELIX_TEST_DIR/NAME.does:
 *
 *   exit N     ends at once with that status        mute      makes no socket, says no READY=1
 *   stubborn   ignores SIGTERM                      orphan    leaves a child that ignores SIGTERM
 *   late       makes its socket when it is ended
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-daemon.h>

#include "parse.h"
#include "util.h"

static const char *name;

__attribute__((format(printf, 1, 2))) static void say(const char *fmt, ...) {
	char text[1024];
	const char *path = getenv("HELIX_TEST_LOG");
	int n = snprintf(text, sizeof(text), "%s ", name);
	va_list args;
	va_start(args, fmt);
	n += vsnprintf(text + n, sizeof(text) - (size_t)n - 1, fmt, args);
	va_end(args);
	text[n++] = '\n';
	int fd = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
	if (fd < 0 || write(fd, text, (size_t)n) < 0) {
		_exit(99);
	}
	(void)close(fd);
}

/* "exit 3" if that is what it does and `verb` is "exit"; NULL otherwise. */
static const char *does(const char *verb) {
	static char text[64];
	char path[256];
	(void)snprintf(path, sizeof(path), "%s/%s.does", getenv("HELIX_TEST_DIR"), name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;
	(void)close_fd(fd);
	text[MAX(n, 0)] = '\0';
	return strncmp(text, verb, strlen(verb)) == 0 ? text : NULL;
}

/* All descriptors but the three that everybody has, in order. */
static void say_fds(void) {
	char list[256] = "";
	DIR *dir = opendir("/proc/self/fd");
	for (struct dirent *e; dir && (e = readdir(dir));) {
		uint32_t fd;
		if (parse_u32(e->d_name, 3, INT32_MAX, &fd) == 0 && (int)fd != dirfd(dir)) {
			size_t n = strlen(list);
			(void)snprintf(list + n, sizeof(list) - n, " %u", fd);
		}
	}
	if (dir) {
		(void)closedir(dir);
	}
	say("fds%s", list);
}

static const char *value_of(int argc, char *argv[], const char *option) {
	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], option, strlen(option)) == 0) {
			return argv[i] + strlen(option);
		}
	}
	return NULL;
}

static void make_socket(const char *file) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s",
		getenv("XDG_RUNTIME_DIR"), file);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		say("cannot bind %s: %s", file, strerror(errno));
		_exit(98);
	}
	/* The launcher must not take the name for the thing. */
	struct timespec moment = {.tv_nsec = 20000000};
	(void)nanosleep(&moment, NULL);
	(void)listen(fd, 4);
}

/* Kept until the end. */
static void own_name(const char *bus_name) {
	static sd_bus *bus;
	int r = sd_bus_open_user(&bus);
	if (r >= 0) {
		r = sd_bus_request_name(bus, bus_name, 0);
	}
	say("owns %s: %s", bus_name, r < 0 ? strerror(-r) : "yes");
}

static _Noreturn void leave_orphan(void) {
	static const int none[] = {SIGTERM, SIGINT, SIGHUP};
	for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
		(void)signal(none[i], SIG_IGN);
	}
	(void)setsid();
	say("orphan %d", (int)getpid());
	for (;;) {
		(void)pause();
	}
}

/* What the launcher tells the login stub. */
static _Noreturn void serve_control(void) {
	for (;;) {
		char command;
		union {
			struct cmsghdr header;
			char space[CMSG_SPACE(sizeof(int))];
		} control;
		struct iovec iov = {&command, 1};
		struct msghdr msg = {.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control.space,
			.msg_controllen = sizeof(control.space)};
		ssize_t n = recvmsg(4, &msg, MSG_CMSG_CLOEXEC);
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			say("control ended");
			_exit(0);
		}
		say("control %c%s", command, msg.msg_controllen > 0 ? " fd" : "");
	}
}

static const char *display; /* a compositor's socket */

static void handle_term(int signal) {
	if (does("late")) {
		make_socket(display);
	}
	say("end");
	_exit(0);
}

int main(int argc, char *argv[]) {
	name = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
	/* First of all: who reads that it has started may end it. */
	(void)signal(SIGTERM, does("stubborn") ? SIG_IGN : handle_term);
	say("start %d", (int)getpid());
	say_fds();
	const char *how = does("exit");
	if (how) {
		uint32_t status = 0;
		(void)parse_u32(how + 5, 0, 255, &status);
		return (int)status;
	}
	if (does("orphan") && fork() == 0) {
		leave_orphan();
	}
	display = value_of(argc, argv, "--wayland-display=");
	display = display ? display : value_of(argc, argv, "--socket=");
	bool late = does("late"), mute = late || does("mute");
	if (late) {
		say("late");
	}
	if (strcmp(name, "pipewire") == 0 && !mute) {
		make_socket("pipewire-0");
	} else if (display && !mute) {
		make_socket(display);
	} else if (strcmp(name, "logind-stub") == 0 && !mute) {
		(void)sd_notify(false, "READY=1");
		serve_control();
	} else if (strcmp(name, "client") == 0) {
		say("display %s bus %s", getenv("WAYLAND_DISPLAY"),
			getenv("DBUS_SESSION_BUS_ADDRESS"));
	}
	if (strcmp(name, "gnome-shell") == 0 && !mute) {
		own_name("org.gnome.Shell");
	}
	for (;;) {
		(void)pause();
	}
}
