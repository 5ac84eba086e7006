/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "logind-bus.h"
#include "test.h"
#include "util.h"

#define NOT_THERE 127 /* exec failed */

static const char config[] =
	"<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\"\n"
	"\"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n"
	"<busconfig><type>system</type><listen>unix:path=%s/bus</listen><auth>EXTERNAL</auth>\n"
	"<policy context=\"default\"><allow user=\"*\"/><allow own=\"*\"/>\n"
	"<allow send_type=\"method_call\"/><allow send_destination=\"*\"/>\n"
	"<allow receive_sender=\"*\"/></policy></busconfig>\n";

/* A descriptor of a child that is to be started, under another number. */
static void place(int fd, int number) {
	if (fd == number) {
		(void)fcntl(fd, F_SETFD, 0);
	} else if (fd >= 0) {
		(void)dup2(fd, number);
	}
}

/*
 * `out`: becomes its standard output, and its errors go nowhere; -1: ours. `three` and `four` become
 * descriptors 3 and 4; -1: none.
 */
static pid_t spawn(const char *const argv[], int out, int three, int four) {
	pid_t pid = fork();
	check(pid >= 0);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (out >= 0) {
			(void)dup2(out, STDOUT_FILENO);
			(void)dup2(open("/dev/null", O_RDWR | O_CLOEXEC), STDERR_FILENO);
		}
		/* Out of the way of 3 first. */
		four = four >= 0 ? fcntl(four, F_DUPFD_CLOEXEC, 10) : -1;
		place(three, 3);
		place(four, 4);
		(void)execvp(argv[0], (char *const *)argv);
		_exit(NOT_THERE);
	}
	return pid;
}

void logind_bus_start(struct logind_bus *b) {
	char path[96], fd_option[32];
	int fds[2];
	*b = (struct logind_bus){.control = -1};
	(void)snprintf(b->dir, sizeof(b->dir), "/tmp/helix-bus-XXXXXX");
	check(mkdtemp(b->dir) != NULL);
	(void)snprintf(b->address, sizeof(b->address), "unix:path=%s/bus", b->dir);
	(void)snprintf(b->seatd_socket, sizeof(b->seatd_socket), "%s/seatd.sock", b->dir);
	(void)snprintf(path, sizeof(path), "%s/bus.conf", b->dir);
	FILE *f = fopen(path, "we");
	check(f != NULL);
	check_int(fprintf(f, config, b->dir), >, 0);
	check_int(fclose(f), ==, 0);

	char config_option[128];
	(void)snprintf(config_option, sizeof(config_option), "--config-file=%s", path);
	check_int(pipe2(fds, O_CLOEXEC), ==, 0);
	(void)snprintf(fd_option, sizeof(fd_option), "--print-address=1");
	const char *argv[] = {"dbus-daemon", config_option, "--nofork", fd_option, NULL};
	b->daemon = spawn(argv, fds[1], -1, -1);
	(void)close(fds[1]);
	/* It prints its address once it listens. */
	char line[256];
	ssize_t n = read(fds[0], line, sizeof(line));
	(void)close(fds[0]);
	if (n <= 0) {
		int status = 0;
		(void)waitpid(b->daemon, &status, 0);
		(void)unlink(path);
		(void)rmdir(b->dir);
		check(WIFEXITED(status) && WEXITSTATUS(status) == NOT_THERE);
		skip("dbus-daemon is not installed");
	}
	check_int(setenv("DBUS_SYSTEM_BUS_ADDRESS", b->address, 1), ==, 0);
}

static void stop(pid_t pid, bool check_status) {
	int status;
	check_int(kill(pid, SIGTERM), ==, 0);
	check_int(waitpid(pid, &status, 0), ==, pid);
	if (check_status) {
		check(WIFEXITED(status));
		check_int(WEXITSTATUS(status), ==, 0);
	}
}

void logind_bus_stop_service(struct logind_bus *b, bool check_status) {
	if (b->service > 0) {
		stop(b->service, check_status);
		b->service = 0;
		b->control = close_fd(b->control);
	}
}

void logind_bus_stop(struct logind_bus *b) {
	static const char *const files[] = {"bus.conf", "bus", "notify"};
	logind_bus_stop_service(b, true);
	stop(b->daemon, false);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		char path[96];
		(void)snprintf(path, sizeof(path), "%s/%s", b->dir, files[i]);
		(void)unlink(path);
	}
	check_int(rmdir(b->dir), ==, 0);
}

void logind_bus_start_stub(struct logind_bus *b) {
	const char *program = getenv("HELIX_LOGIND_STUB");
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char seatd_option[128], text[64];
	check(program != NULL);
	(void)snprintf(seatd_option, sizeof(seatd_option), "--seatd-socket=%s", b->seatd_socket);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/notify", b->dir);
	(void)unlink(address.sun_path);
	int notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	check_int(bind(notify, (struct sockaddr *)&address, sizeof(address)), ==, 0);
	check_int(setenv("NOTIFY_SOCKET", address.sun_path, 1), ==, 0);

	int control[2];
	check_int(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control), ==, 0);
	b->control = control[0];
	int lease = open("/dev/null", O_RDWR | O_CLOEXEC);
	const char *argv[] = {program, "--lease-fd=3", "--control-fd=4", "--card=/dev/null",
		"--user=" LOGIND_USER, "--log-level=error", seatd_option, NULL};
	b->service = spawn(argv, -1, lease, control[1]);
	(void)close(lease);
	(void)close(control[1]);
	(void)unsetenv("NOTIFY_SOCKET");
	ssize_t n = recv(notify, text, sizeof(text) - 1, 0);
	text[MAX(n, 0)] = '\0';
	check_str(text, "READY=1");
	(void)close(notify);
}

void logind_bus_pause(struct logind_bus *b) {
	check_int(send(b->control, "P", 1, MSG_NOSIGNAL), ==, 1);
}

void logind_bus_resume(struct logind_bus *b) {
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {.header = {.cmsg_level = SOL_SOCKET,
			     .cmsg_type = SCM_RIGHTS,
			     .cmsg_len = CMSG_LEN(sizeof(int))}};
	struct iovec iov = {(char[]){'R'}, 1};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space)};
	int fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
	check(fd >= 0);
	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	check_int(sendmsg(b->control, &msg, MSG_NOSIGNAL), ==, 1);
	(void)close(fd);
}

/* Whether somebody has the name by now. */
static bool wait_for_name(sd_bus *bus, pid_t pid) {
	for (;;) {
		int has_owner, status;
		sd_bus_message *m = NULL;
		check_ok(sd_bus_call_method(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus",
			"org.freedesktop.DBus", "NameHasOwner", NULL, &m, "s", LOGIN));
		check_ok(sd_bus_message_read(m, "b", &has_owner));
		sd_bus_message_unref(m);
		if (has_owner) {
			return true;
		}
		if (waitpid(pid, &status, WNOHANG) == pid) {
			return false;
		}
		/* NameOwnerChanged wakes us. */
		(void)sd_bus_process(bus, NULL);
		(void)sd_bus_wait(bus, 100 * 1000);
	}
}

void logind_bus_start_mock(struct logind_bus *b) {
	const char *argv[] = {"/usr/bin/python3", "-m", "dbusmock", "--system", "--template",
		"logind", "--parameters",
		"{\"CanPowerOff\": \"no\", \"CanReboot\": \"no\", \"CanSuspend\": \"no\","
		"\"CanHibernate\": \"no\", \"CanHybridSleep\": \"no\","
		"\"CanSuspendThenHibernate\": \"no\"}",
		NULL};
	sd_bus *bus = logind_bus_connect(b);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	check_ok(sd_bus_match_signal(bus, NULL, "org.freedesktop.DBus", "/org/freedesktop/DBus",
		"org.freedesktop.DBus", "NameOwnerChanged", NULL, NULL));
	b->service = spawn(argv, null, -1, -1);
	(void)close(null);
	if (!wait_for_name(bus, b->service)) {
		b->service = 0;
		sd_bus_close_unref(bus);
		logind_bus_stop(b);
		skip("python3-dbusmock is not installed");
	}
	check_ok(sd_bus_call_method(bus, LOGIN, LOGIN_PATH, "org.freedesktop.DBus.Mock",
		"AddSession", NULL, NULL, "ssusb", "auto", "seat0", LOGIND_UID, LOGIND_USER, true));
	sd_bus_close_unref(bus);
}

sd_bus *logind_bus_connect(const struct logind_bus *b) {
	sd_bus *bus = NULL;
	check_ok(sd_bus_new(&bus));
	check_ok(sd_bus_set_address(bus, b->address));
	check_ok(sd_bus_set_bus_client(bus, true));
	check_ok(sd_bus_negotiate_fds(bus, true));
	check_ok(sd_bus_start(bus));
	return bus;
}

unsigned logind_bus_fds(const struct logind_bus *b) {
	return test_fds_of(b->service);
}

size_t logind_bus_rss(const struct logind_bus *b) {
	char path[64];
	size_t pages = 0;
	(void)snprintf(path, sizeof(path), "/proc/%d/statm", (int)b->service);
	FILE *f = fopen(path, "re");
	check(f != NULL);
	check_int(fscanf(f, "%*u %zu", &pages), ==, 1);
	(void)fclose(f);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

void logind_bus_check_alive(const struct logind_bus *b) {
	int status;
	check_int(waitpid(b->service, &status, WNOHANG), ==, 0);
}
