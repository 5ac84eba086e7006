/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Process 1 of the test guest: runs commands for the test on the other end of a virtio console
 * port and sends back their output, as it comes, and their exit status. See agent-protocol.h.
 *
 * Writes to the port block while nobody reads at the other end; a job then waits on its pipe.
 * Without the port it only buries children, so that the guest serves by hand as well.
 */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "agent-protocol.h"
#include "bytes.h"
#include "util.h"

struct job {
	pid_t pid; /* 0: slot is free */
	uint32_t id;
	int out[2]; /* read ends of its standard output and error */
};

struct agent {
	int port;
	int signals;
	bool synced; /* a host spoke to us since we started */
	struct job jobs[AGENT_JOBS_MAX];
	size_t used;
	uint8_t input[AGENT_HEADER_SIZE + AGENT_PAYLOAD_MAX];
};

static struct agent agent = {.port = -1, .signals = -1};

static int write_all(int fd, const void *data, size_t size) {
	const uint8_t *p = data;
	while (size > 0) {
		ssize_t n = write(fd, p, size);
		if (n < 0 && errno != EINTR) {
			return -errno;
		}
		p += n > 0 ? n : 0;
		size -= n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static void send_frame(uint32_t type, uint32_t id, const void *payload, size_t size) {
	uint8_t header[AGENT_HEADER_SIZE];
	put_le32(header, (uint32_t)size);
	put_le32(header + 4, type);
	put_le32(header + 8, id);
	if (write_all(agent.port, header, sizeof(header)) == 0) {
		(void)write_all(agent.port, payload, size);
	}
}

static void read_line(const char *path, char *ret, size_t size) {
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, ret, size - 1) : 0;
	ret[n > 0 ? n : 0] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
	(void)close_fd(fd);
}

static void send_hello(uint32_t nonce) {
	char boot_id[64];
	read_line("/proc/sys/kernel/random/boot_id", boot_id, sizeof(boot_id));
	(void)write_all(agent.port, AGENT_MARKER, AGENT_MARKER_SIZE);
	send_frame(AGENT_HELLO, nonce, boot_id, strlen(boot_id));
}

/* Passes on what one pipe of the job holds now; closes it at its end. */
static void forward(struct job *job, int which) {
	uint8_t data[16384];
	ssize_t n = 0;
	while (job->out[which] >= 0 && (n = read(job->out[which], data, sizeof(data))) > 0) {
		send_frame(which ? AGENT_ERROR : AGENT_OUTPUT, job->id, data, (size_t)n);
	}
	if (n == 0 || errno != EAGAIN) {
		job->out[which] = close_fd(job->out[which]);
	}
}

static void finish_job(struct job *job) {
	job->out[0] = close_fd(job->out[0]);
	job->out[1] = close_fd(job->out[1]);
	job->pid = 0;
}

static void send_exit(uint32_t id, uint32_t status) {
	uint8_t payload[4];
	put_le32(payload, status);
	send_frame(AGENT_EXIT, id, payload, sizeof(payload));
}

static void reap(void) {
	int status;
	pid_t pid;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (size_t i = 0; i < AGENT_JOBS_MAX; i++) {
			struct job *job = &agent.jobs[i];
			if (job->pid != pid) {
				continue;
			}
			forward(job, 0);
			forward(job, 1);
			uint32_t id = job->id;
			finish_job(job);
			send_exit(id,
				(uint32_t)(WIFSIGNALED(status) ? 128 + WTERMSIG(status)
							       : WEXITSTATUS(status)));
		}
	}
}

static _Noreturn void run_child(const char *command, int out, int err) {
	sigset_t none;
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)setsid();
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	(void)dup2(null, STDIN_FILENO);
	(void)dup2(out, STDOUT_FILENO);
	(void)dup2(err, STDERR_FILENO);
	execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	_exit(127);
}

static int start_job(uint32_t id, const char *command) {
	struct job *job = NULL;
	for (size_t i = 0; i < AGENT_JOBS_MAX && !job; i++) {
		job = agent.jobs[i].pid == 0 ? &agent.jobs[i] : NULL;
	}
	if (!job) {
		return -EAGAIN;
	}
	int out[2] = {-1, -1}, err[2] = {-1, -1};
	if (pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0) {
		int r = -errno;
		(void)close_fd(out[0]);
		(void)close_fd(out[1]);
		return r;
	}
	pid_t pid = fork();
	if (pid == 0) {
		run_child(command, out[1], err[1]);
	}
	int r = pid < 0 ? -errno : 0;
	(void)close_fd(out[1]);
	(void)close_fd(err[1]);
	(void)fcntl(out[0], F_SETFL, O_NONBLOCK);
	(void)fcntl(err[0], F_SETFL, O_NONBLOCK);
	*job = (struct job){.pid = pid, .id = id, .out = {out[0], err[0]}};
	if (r < 0) {
		finish_job(job);
	}
	return r;
}

static void sync_with_host(uint32_t nonce) {
	for (size_t i = 0; i < AGENT_JOBS_MAX; i++) {
		if (agent.jobs[i].pid > 0) {
			(void)kill(-agent.jobs[i].pid, SIGKILL);
			finish_job(&agent.jobs[i]);
		}
	}
	agent.synced = true;
	send_hello(nonce);
}

static void handle_frame(uint32_t type, uint32_t id, uint8_t *payload, size_t size) {
	if (type == AGENT_SYNC) {
		sync_with_host(id);
	} else if (type == AGENT_RUN) {
		payload[size] = '\0'; /* there is always room for it, see handle_input */
		int r = start_job(id, (const char *)payload);
		if (r < 0) {
			send_frame(AGENT_ERROR, id, strerror(-r), strlen(strerror(-r)));
			send_exit(id, 127);
		}
	} else if (type == AGENT_SIGNAL && size >= 4) {
		for (size_t i = 0; i < AGENT_JOBS_MAX; i++) {
			if (agent.jobs[i].pid > 0 && agent.jobs[i].id == id) {
				(void)kill(-agent.jobs[i].pid, (int)get_le32(payload));
			}
		}
	}
}

static void consume(size_t n) {
	memmove(agent.input, agent.input + n, agent.used - n);
	agent.used -= n;
}

static void parse_input(void) {
	for (;;) {
		uint8_t *marker = memmem(agent.input, agent.used, AGENT_MARKER, AGENT_MARKER_SIZE);
		if (marker) {
			consume((size_t)(marker - agent.input) + AGENT_MARKER_SIZE);
			agent.synced = true;
			continue;
		}
		if (!agent.synced) {
			/* Of no use to us, but for the beginning of a marker at its end. */
			consume(agent.used > AGENT_MARKER_SIZE ? agent.used - AGENT_MARKER_SIZE
							       : 0);
			return;
		}
		if (agent.used < AGENT_HEADER_SIZE) {
			return;
		}
		size_t size = get_le32(agent.input);
		if (size > AGENT_PAYLOAD_MAX - 1) {
			agent.synced = false;
			continue;
		}
		if (agent.used < AGENT_HEADER_SIZE + size) {
			return;
		}
		uint8_t after = agent.input[AGENT_HEADER_SIZE + size];
		handle_frame(get_le32(agent.input + 4), get_le32(agent.input + 8),
			agent.input + AGENT_HEADER_SIZE, size);
		agent.input[AGENT_HEADER_SIZE + size] = after;
		consume(AGENT_HEADER_SIZE + size);
	}
}

/* Returns false when the other end of the port is gone. */
static bool handle_input(void) {
	ssize_t n = read(agent.port, agent.input + agent.used, sizeof(agent.input) - agent.used);
	if (n > 0) {
		agent.used += (size_t)n;
		parse_input();
	}
	return n != 0;
}

/* The device node of the port: there is no udev here that would make a link of its name. */
static int open_port(void) {
	DIR *dir = opendir("/sys/class/virtio-ports");
	int fd = -1;
	for (struct dirent *e; dir && fd < 0 && (e = readdir(dir));) {
		char path[512], name[64];
		(void)snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name", e->d_name);
		read_line(path, name, sizeof(name));
		if (strcmp(name, AGENT_PORT_NAME) == 0) {
			(void)snprintf(path, sizeof(path), "/dev/%s", e->d_name);
			fd = open(path, O_RDWR | O_CLOEXEC);
		}
	}
	if (dir) {
		closedir(dir);
	}
	return fd;
}

static void serve(void) {
	struct pollfd fds[2 + 2 * AGENT_JOBS_MAX];
	for (;;) {
		fds[0] = (struct pollfd){.fd = agent.port, .events = POLLIN};
		fds[1] = (struct pollfd){.fd = agent.signals, .events = POLLIN};
		for (size_t i = 0; i < AGENT_JOBS_MAX; i++) {
			const struct job *job = &agent.jobs[i];
			for (size_t k = 0; k < 2; k++) {
				fds[2 + 2 * i + k] = (struct pollfd){
					.fd = job->pid > 0 ? job->out[k] : -1, .events = POLLIN};
			}
		}
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0) {
			continue;
		}
		for (size_t i = 0; i < 2 * AGENT_JOBS_MAX; i++) {
			if (fds[2 + i].revents) {
				forward(&agent.jobs[i / 2], (int)(i % 2));
			}
		}
		if (fds[1].revents) {
			struct signalfd_siginfo info;
			(void)!read(agent.signals, &info, sizeof(info));
			reap();
		}
		if (fds[0].revents && !handle_input()) {
			/* This write waits for the next host. */
			agent.used = 0;
			agent.synced = false;
			send_hello(0);
		}
	}
}

int main(void) {
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	agent.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	agent.port = open_port();
	/* For the console's log: how far a boot came. */
	(void)fprintf(stderr, "guest-agent: %s\n",
		agent.port < 0 ? "there is no port " AGENT_PORT_NAME : "ready");
	if (agent.port >= 0) {
		send_hello(0);
	}
	serve();
}
