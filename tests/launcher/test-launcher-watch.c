/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "test.h"
#include "util.h"
#include "watch.h"

struct seen {
	char text[512];
	unsigned n;
	pid_t pid;
};

static void turn(sd_event *loop, unsigned ms) {
	while (sd_event_run(loop, ms * UINT64_C(1000)) > 0) {
		ms = 50;
	}
}

static void handle_name(const char *name, void *data) {
	struct seen *s = data;
	size_t n = strlen(s->text);
	(void)snprintf(s->text + n, sizeof(s->text) - n, "%s ", name);
	s->n++;
}

static void handle_pid(pid_t pid, void *data) {
	struct seen *s = data;
	s->pid = pid;
	s->n++;
}

static void handle_line(const char *line, void *data) {
	struct seen *s = data;
	(void)snprintf(s->text, sizeof(s->text), "%s", line ? line : "(end)");
	s->n++;
}

static void make(const char *dir, const char *name) {
	char path[128];
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	(void)close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
}

static void drop(const char *dir, const char *name) {
	char path[128];
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	check(unlink(path) == 0);
}

TEST(names_that_appear) {
	sd_event *loop;
	struct dir_watch *w;
	struct seen seen = {0};
	char dir[] = "/tmp/helix-watch-XXXXXX", from[64], to[64];
	check(mkdtemp(dir));
	check_ok(sd_event_new(&loop));
	make(dir, "before");
	check_ok(dir_watch_create(loop, dir, handle_name, &seen, &w));
	make(dir, "one");
	make(dir, "a-rather-long-name-of-a-file-0123456789");
	(void)snprintf(from, sizeof(from), "%s/one", dir);
	(void)snprintf(to, sizeof(to), "%s/two", dir);
	check(rename(from, to) == 0);
	turn(loop, 500);
	check_str(seen.text, "one a-rather-long-name-of-a-file-0123456789 two ");
	dir_watch_destroy(w);
	drop(dir, "before");
	drop(dir, "two");
	drop(dir, "a-rather-long-name-of-a-file-0123456789");
	check_int(dir_watch_create(loop, "/nonexistent", handle_name, &seen, &w), ==, -ENOENT);
	sd_event_unref(loop);
	check(rmdir(dir) == 0);
}

TEST(sockets_that_answer) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char dir[] = "/tmp/helix-watch-XXXXXX";
	check(mkdtemp(dir));
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", dir);
	check(!socket_answers(address.sun_path));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	check(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	/* A name is not enough. */
	check(!socket_answers(address.sun_path));
	check(listen(fd, 1) == 0);
	check(socket_answers(address.sun_path));
	(void)close(fd);
	check(!socket_answers(address.sun_path));
	drop(dir, "s");
	check(rmdir(dir) == 0);
}

static void send_text(const char *path, const char *text) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	check_int(sendto(fd, text, strlen(text), 0, (struct sockaddr *)&address, sizeof(address)),
		==, strlen(text));
	(void)close(fd);
}

TEST(ready_and_from_whom) {
	sd_event *loop;
	struct notify_socket *n;
	struct seen seen = {0};
	char dir[] = "/tmp/helix-watch-XXXXXX", path[64];
	check(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/n", dir);
	check_ok(sd_event_new(&loop));
	/* One of before is in nobody's way. */
	make(dir, "n");
	check_ok(notify_socket_create(loop, path, handle_pid, &seen, &n));
	send_text(path, "STATUS=READY=1");
	send_text(path, "READY=10");
	send_text(path, "xREADY=1\nREADY=0");
	send_text(path, "");
	turn(loop, 200);
	check_int(seen.n, ==, 0);
	send_text(path, "STATUS=up\nREADY=1");
	turn(loop, 500);
	check_int(seen.n, ==, 1);
	check_int(seen.pid, ==, getpid());
	pid_t child = fork();
	if (child == 0) {
		send_text(path, "READY=1\nSTATUS=up");
		_exit(0);
	}
	turn(loop, 500);
	check_int(seen.n, ==, 2);
	check_int(seen.pid, ==, child);
	check_int(waitpid(child, NULL, 0), ==, child);
	notify_socket_destroy(n);
	check(access(path, F_OK) < 0);
	sd_event_unref(loop);
	check(rmdir(dir) == 0);
}

static void check_line(const char *sent, const char *wanted) {
	sd_event *loop;
	struct line_reader *l;
	struct seen seen = {0};
	int p[2];
	check_ok(sd_event_new(&loop));
	check(pipe2(p, O_CLOEXEC) == 0);
	check_ok(line_reader_create(loop, p[0], handle_line, &seen, &l));
	for (const char *c = sent; *c; c++) {
		check_int(write(p[1], c, 1), ==, 1);
		turn(loop, 0);
	}
	(void)close(p[1]);
	turn(loop, 200);
	check_int(seen.n, ==, 1);
	check_str(seen.text, wanted);
	line_reader_destroy(l);
	sd_event_unref(loop);
}

TEST(one_line_in_pieces) {
	char endless[700];
	check_line("unix:path=/x,guid=1\nmore\n", "unix:path=/x,guid=1");
	check_line("no end", "(end)");
	check_line("", "(end)");
	memset(endless, 'x', sizeof(endless) - 1);
	endless[sizeof(endless) - 1] = '\0';
	/* What follows stays in the pipe. */
	check_line(endless, "(end)");
}
