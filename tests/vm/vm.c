/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "qemu-command.h"
#include "test.h"
#include "vm.h"

#define QEMU_MAJOR_MIN 8 /* older ones refuse vhost-user-gpu without KVM */

static const char *env_or(const char *name, const char *fallback) {
	const char *value = getenv(name);
	return value && *value ? value : fallback;
}

/*
 * What the machine must have
 */
static const char *qemu_program(void) {
	return env_or("QEMU", "qemu-system-x86_64");
}

static const char *gpu_program(enum vm_gpu gpu) {
	return gpu == VM_GPU_EXPORT
		? env_or("HELIX_FRAME_EXPORT", "")
		: env_or("HELIX_VHOST_USER_GPU", "/usr/lib/qemu/vhost-user-gpu");
}

void vm_require(enum vm_gpu gpu) {
	static char why[256];
	const char *guest = getenv("HELIX_TEST_GUEST");
	char path[512], line[256] = "";
	if (!guest || !*guest) {
		skip("HELIX_TEST_GUEST is not set (vm/make-test-guest.sh makes the guest)");
	}
	(void)snprintf(path, sizeof(path), "%s/initrd.img", guest);
	if (access(path, R_OK) < 0) {
		(void)snprintf(why, sizeof(why), "no test guest in %s", guest);
		skip(why);
	}
	if (gpu != VM_GPU_QEMU && access(gpu_program(gpu), X_OK) < 0) {
		skip(gpu == VM_GPU_EXPORT ? "HELIX_FRAME_EXPORT is not set to a program"
					  : "QEMU's contrib vhost-user-gpu is not installed");
	}
	(void)snprintf(path, sizeof(path), "%s --version 2>/dev/null", qemu_program());
	FILE *f = popen(path, "re"); /* the tester's own setting goes to the shell */
	check(f);
	unsigned major = 0;
	bool read = fgets(line, sizeof(line), f) &&
		sscanf(line, "QEMU emulator version %u.", &major) == 1;
	(void)pclose(f);
	if (!read || major < QEMU_MAJOR_MIN) {
		(void)snprintf(why, sizeof(why), "%s is %s; %u or newer is needed", qemu_program(),
			read ? "too old" : "not installed", QEMU_MAJOR_MIN);
		skip(why);
	}
}

/*
 * Sockets
 */
static struct sockaddr_un unix_address(const struct vm *vm, const char *name) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int n = snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", vm->dir, name);
	check_int(n, <, sizeof(address.sun_path));
	return address;
}

/* QEMU connects to us: then there is no moment at which its sockets are not there yet. */
static int listen_unix(const struct vm *vm, const char *name) {
	struct sockaddr_un address = unix_address(vm, name);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	check(fd >= 0);
	check(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	check(listen(fd, 1) == 0);
	return fd;
}

static int accept_from_qemu(struct vm *vm, int listener) {
	struct pollfd fds[2] = {
		{.fd = listener, .events = POLLIN}, {.fd = vm->qemu.pidfd, .events = POLLIN}};
	check_int(poll(fds, 2, 30000), >, 0);
	if (!fds[0].revents) {
		char *log = process_log(&vm->qemu);
		fail("QEMU ended at once: %s", test_log_end(log, 400));
	}
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	check(fd >= 0);
	return fd;
}

/* That port of 127.0.0.1, or any if it is 0; 0: somebody has it. */
static uint16_t bind_once(uint16_t port) {
	struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	CLEANUP_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	check(fd >= 0);
	if (bind(fd, (struct sockaddr *)&address, size) < 0) {
		check_int(errno, ==, EADDRINUSE);
		return 0;
	}
	check(getsockname(fd, (struct sockaddr *)&address, &size) == 0);
	return ntohs(address.sin_port);
}

bool vm_port_is_free(uint16_t port) {
	return port != 0 && bind_once(port) == port;
}

uint16_t vm_free_port(void) {
	static bool given[UINT16_MAX + 1];
	uint16_t port;
	do {
		port = bind_once(0);
		check_int(port, !=, 0);
	} while (given[port]);
	given[port] = true;
	return port;
}

static bool socket_exists(const struct vm *vm, const char *name) {
	struct sockaddr_un address = unix_address(vm, name);
	struct stat st;
	return stat(address.sun_path, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* Waits until a process has made its socket. */
static void wait_socket(const struct vm *vm, struct process *p, const char *name) {
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	check(fd >= 0 && inotify_add_watch(fd, vm->dir, IN_CREATE | IN_MOVED_TO) >= 0);
	uint64_t deadline = now_ns() + 20 * NSEC_PER_SEC;
	while (!socket_exists(vm, name)) {
		char buffer[4096];
		struct pollfd fds[2] = {
			{.fd = fd, .events = POLLIN}, {.fd = p->pidfd, .events = POLLIN}};
		int n = poll(fds, 2, ms_until(deadline));
		if (n == 0 || fds[1].revents) {
			char *log = process_log(p);
			fail("%s makes no socket: %s", p->name, test_log_end(log, 400));
		}
		(void)!read(fd, buffer, sizeof(buffer));
	}
	(void)close_fd(fd);
}

/*
 * Starting
 */
static void log_path(const struct vm *vm, const char *name, char *ret, size_t size) {
	(void)snprintf(ret, size, "%s/%s.log", vm->dir, name);
}

void vm_host_start(struct vm *vm, struct process *p, const char *name, const char *const argv[]) {
	char log[256];
	log_path(vm, name, log, sizeof(log));
	process_start(p, name, log, argv);
}

/* QEMU's display, for the processes of both cards. */
static void start_bus(struct vm *vm) {
	char address[160];
	(void)snprintf(address, sizeof(address), "--address=%s", vm->bus_address);
	const char *const argv[] = {"dbus-daemon", "--session", "--nofork", address, NULL};
	vm_host_start(vm, &vm->bus, "bus", argv);
	wait_socket(vm, &vm->bus, "bus.sock");
}

/* The n-th card's process. */
static void start_gpu(struct vm *vm, unsigned n, struct process *p, uint16_t port) {
	static const char *const names[] = {"gpu0", "gpu1"}; /* of their logs, and for QEMU */
	char socket_name[32], socket[128], qmp[128], listen[32], outputs[16];
	(void)snprintf(socket_name, sizeof(socket_name), "%s.sock", names[n]);
	(void)snprintf(socket, sizeof(socket), "%s/%s", vm->dir, socket_name);
	(void)snprintf(qmp, sizeof(qmp), "%s/qmp-gpu.sock", vm->dir);
	(void)snprintf(listen, sizeof(listen), "127.0.0.1:%u", port);
	(void)snprintf(outputs, sizeof(outputs), "%u", vm->config.outputs);
	(void)unlink(socket);
	bool shared = vm->config.two_gpus;
	const char *const fixed[] = {"--listen", listen, "--max-outputs", outputs,
		shared ? "--display-bus" : "--qmp", shared ? vm->bus_address : qmp, "--device-id",
		names[n],
		n > 0                   ? "--no-console"
			: vm->config.gl ? "--gl=on"
					: NULL};
	const char *argv[32] = {gpu_program(vm->config.gpu), "--socket-path", socket};
	size_t used = 3;
	if (vm->config.gpu == VM_GPU_EXPORT) {
		for (size_t i = 0; i < ARRAY_SIZE(fixed) && fixed[i]; i++) {
			argv[used++] = fixed[i];
		}
		if (vm->config.gl) {
			argv[used++] = "--gl=on";
		}
		for (const char *const *arg = vm->config.export_args; arg && *arg; arg++) {
			check_int(used, <, ARRAY_SIZE(argv) - 1);
			argv[used++] = *arg;
		}
	}
	vm_host_start(vm, p, names[n], argv);
	wait_socket(vm, p, socket_name);
}

void vm_start_gpu(struct vm *vm) {
	if (vm->config.gpu == VM_GPU_QEMU) {
		return;
	}
	if (vm->config.two_gpus) {
		start_bus(vm);
	}
	start_gpu(vm, 0, &vm->gpu, vm->port);
	if (vm->config.two_gpus) {
		start_gpu(vm, 1, &vm->second_gpu, vm->second_port);
	}
}

void vm_start_qemu(struct vm *vm) {
	struct qemu_command c;
	qemu_command_make(&c, vm, qemu_program(), getenv("HELIX_TEST_GUEST"));
	vm_host_start(vm, &vm->qemu, "qemu", c.argv);
	vm->qmp_fd = accept_from_qemu(vm, vm->qmp_listener);
	vm->qmp_used = 0;
	agent_link_connect(&vm->agent, accept_from_qemu(vm, vm->agent_listener));
	json_decref(vm_qmp(vm, "qmp_capabilities", NULL));
}

struct vm *vm_create(const struct vm_config *config) {
	vm_require(config->gpu);
	struct vm *vm = calloc(1, sizeof(*vm));
	check(vm);
	vm->config = *config;
	vm->config.outputs = config->outputs ? config->outputs : 16;
	vm->config.memory_mib = config->memory_mib ? config->memory_mib : 1024;
	vm->qemu.pidfd = vm->gpu.pidfd = vm->second_gpu.pidfd = vm->bus.pidfd = vm->qmp_fd = -1;
	vm->events = json_array();
	(void)snprintf(vm->dir, sizeof(vm->dir), "/tmp/helix-vm-XXXXXX");
	check(mkdtemp(vm->dir));
	(void)fprintf(stderr, "# logs of the virtual machine: %s\n", vm->dir);
	agent_link_init(&vm->agent);
	vm->agent_listener = listen_unix(vm, "agent.sock");
	vm->qmp_listener = listen_unix(vm, "qmp.sock");
	vm->port = vm_free_port();
	vm->second_port = vm->config.two_gpus ? vm_free_port() : 0;
	(void)snprintf(vm->bus_address, sizeof(vm->bus_address), "unix:path=%s/bus.sock", vm->dir);
	(void)snprintf(vm->address, sizeof(vm->address), "127.0.0.1:%u", vm->port);
	vm_start_gpu(vm);
	vm_start_qemu(vm);
	vm_wait_boot(vm, VM_BOOT_TIMEOUT);
	return vm;
}

void vm_kill_qemu(struct vm *vm) {
	process_kill(&vm->qemu, SIGKILL);
	vm->qmp_fd = close_fd(vm->qmp_fd);
	agent_link_disconnect(&vm->agent);
}

static void remove_directory(const char *path) {
	DIR *dir = opendir(path);
	char file[512];
	for (struct dirent *e; dir && (e = readdir(dir));) {
		(void)snprintf(file, sizeof(file), "%s/%s", path, e->d_name);
		(void)unlink(file);
	}
	if (dir) {
		(void)closedir(dir);
	}
	(void)rmdir(path);
}

void vm_destroy(struct vm *vm) {
	if (!vm) {
		return;
	}
	vm_kill_qemu(vm);
	process_kill(&vm->gpu, SIGTERM);
	process_kill(&vm->second_gpu, SIGTERM);
	process_kill(&vm->bus, SIGTERM);
	(void)close_fd(vm->agent_listener);
	(void)close_fd(vm->qmp_listener);
	agent_link_finish(&vm->agent);
	json_decref(vm->qmp_reply);
	json_decref(vm->events);
	if (!getenv("HELIX_TEST_KEEP")) {
		remove_directory(vm->dir);
	}
	free(vm->output);
	free(vm);
}

/*
 * Events
 */
static void read_qmp(struct vm *vm) {
	char *input = vm->qmp_input;
	ssize_t n = recv(vm->qmp_fd, input + vm->qmp_used, sizeof(vm->qmp_input) - vm->qmp_used,
		MSG_DONTWAIT);
	if (n <= 0) {
		vm->qmp_fd = n == 0 ? close_fd(vm->qmp_fd) : vm->qmp_fd;
		return;
	}
	vm->qmp_used += (size_t)n;
	char *end;
	while ((end = memchr(input, '\n', vm->qmp_used))) {
		size_t line = (size_t)(end - input) + 1;
		json_t *object = json_loadb(input, line, 0, NULL);
		if (json_object_get(object, "event")) {
			(void)json_array_append(vm->events, object);
		} else if (json_object_get(object, "return") || json_object_get(object, "error")) {
			json_decref(vm->qmp_reply);
			vm->qmp_reply = json_incref(object);
		}
		json_decref(object);
		memmove(input, input + line, vm->qmp_used - line);
		vm->qmp_used -= line;
	}
}

/* Handles what comes until then; the test fails at the deadline, saying `what` was waited for. */
static void pump(struct vm *vm, uint64_t deadline, const char *what) {
	struct pollfd fds[3] = {{.fd = vm->agent.fd, .events = POLLIN},
		{.fd = vm->qmp_fd, .events = POLLIN}, {.fd = vm->qemu.pidfd, .events = POLLIN}};
	int n = poll(fds, ARRAY_SIZE(fds), ms_until(deadline));
	if (n == 0) {
		fail("%s: no end in time; logs are in %s", what, vm->dir);
	}
	if (fds[0].revents) {
		(void)agent_link_read(&vm->agent);
	}
	if (fds[1].revents) {
		read_qmp(vm);
	}
	if (fds[2].revents) {
		fail("%s: QEMU ended (%d); logs are in %s", what, process_wait(&vm->qemu, 1000),
			vm->dir);
	}
}

void vm_wait_boot(struct vm *vm, unsigned timeout_s) {
	uint64_t deadline = now_ns() + timeout_s * NSEC_PER_SEC;
	while (!vm->agent.synced || strcmp(vm->agent.boot_id, vm->boot_id) == 0) {
		pump(vm, deadline, "boot of the guest");
	}
	(void)snprintf(vm->boot_id, sizeof(vm->boot_id), "%s", vm->agent.boot_id);
}

/*
 * Commands in the guest
 */
static uint32_t start_job(struct vm *vm, const char *fmt, va_list args) {
	char command[8192];
	int n = vsnprintf(command, sizeof(command), fmt, args);
	check_int(n, <, sizeof(command));
	if (!vm->agent.synced) {
		fail("the guest's agent is not there for: %s", command);
	}
	uint32_t job = agent_link_run(&vm->agent, command);
	check(job != 0);
	return job;
}

uint32_t vm_spawn(struct vm *vm, const char *fmt, ...) {
	va_list args;
	va_start(args, fmt);
	uint32_t job = start_job(vm, fmt, args);
	va_end(args);
	return job;
}

int vm_job_wait(struct vm *vm, uint32_t id, unsigned timeout_s) {
	uint64_t deadline = now_ns() + timeout_s * NSEC_PER_SEC;
	struct agent_job *job = agent_link_job(&vm->agent, id);
	check(job);
	while (!job->exited) {
		pump(vm, deadline, "command in the guest");
	}
	return (int)job->status;
}

void vm_job_expect(struct vm *vm, uint32_t id, const char *text, unsigned timeout_s) {
	uint64_t deadline = now_ns() + timeout_s * NSEC_PER_SEC;
	struct agent_job *job = agent_link_job(&vm->agent, id);
	check(job);
	while (!strstr(job->output, text)) {
		if (job->exited) {
			fail("the job ended (%u) without '%s': %.300s", job->status, text,
				job->output);
		}
		pump(vm, deadline, text);
	}
}

const char *vm_job_output(struct vm *vm, uint32_t id) {
	while (vm->agent.fd >= 0) {
		struct pollfd pollfd = {.fd = vm->agent.fd, .events = POLLIN};
		if (poll(&pollfd, 1, 0) <= 0 || agent_link_read(&vm->agent) < 0) {
			break;
		}
	}
	struct agent_job *job = agent_link_job(&vm->agent, id);
	check(job);
	return job->output;
}

void vm_job_signal(struct vm *vm, uint32_t job, int signal) {
	agent_link_signal(&vm->agent, job, signal);
}

void vm_job_forget(struct vm *vm, uint32_t job) {
	agent_link_forget(&vm->agent, job);
}

static int run_command(struct vm *vm, unsigned timeout_s, const char *fmt, va_list args) {
	uint32_t id = start_job(vm, fmt, args);
	int status = vm_job_wait(vm, id, timeout_s);
	struct agent_job *job = agent_link_job(&vm->agent, id);
	free(vm->output);
	vm->output = job->output;
	job->output = NULL;
	agent_link_forget(&vm->agent, id);
	return status;
}

int vm_run(struct vm *vm, unsigned timeout_s, const char *fmt, ...) {
	va_list args;
	va_start(args, fmt);
	int status = run_command(vm, timeout_s, fmt, args);
	va_end(args);
	return status;
}

const char *vm_run_ok(struct vm *vm, unsigned timeout_s, const char *fmt, ...) {
	va_list args;
	va_start(args, fmt);
	int status = run_command(vm, timeout_s, fmt, args);
	va_end(args);
	if (status != 0) {
		fail("'%s' in the guest: %d: %.300s", fmt, status, vm->output);
	}
	return vm->output;
}

const char *vm_output(const struct vm *vm) {
	return vm->output ? vm->output : "";
}

void vm_reboot(struct vm *vm) {
	(void)vm_spawn(vm, "reboot -f");
	vm_wait_boot(vm, VM_BOOT_TIMEOUT);
	/* Jobs of the last boot are of no more use. */
	for (size_t i = 0; i < AGENT_JOBS_MAX; i++) {
		agent_link_forget(&vm->agent, vm->agent.jobs[i].id);
	}
}

/*
 * QMP
 */
static void send_line(struct vm *vm, const char *line, int fd) {
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {(char *)(uintptr_t)line, strlen(line)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	if (fd >= 0) {
		msg.msg_control = control.space;
		msg.msg_controllen = sizeof(control.space);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	}
	check_int(sendmsg(vm->qmp_fd, &msg, MSG_NOSIGNAL), ==, strlen(line));
}

/* Takes over the arguments; borrows the descriptor, which goes along unless it is -1. */
static json_t *execute(struct vm *vm, const char *command, json_t *arguments, int fd) {
	json_t *object = json_object();
	check(json_object_set_new(object, "execute", json_string(command)) == 0);
	if (arguments) {
		check(json_object_set_new(object, "arguments", arguments) == 0);
	}
	char *line = json_dumps(object, JSON_COMPACT);
	check(line);
	json_decref(object);
	json_decref(vm->qmp_reply);
	vm->qmp_reply = NULL;
	send_line(vm, line, fd);
	free(line);
	uint64_t deadline = now_ns() + 30 * NSEC_PER_SEC;
	while (!vm->qmp_reply) {
		pump(vm, deadline, command);
	}
	json_t *result = json_object_get(vm->qmp_reply, "return");
	if (!result) {
		fail("%s: %s", command,
			json_string_value(
				json_object_get(json_object_get(vm->qmp_reply, "error"), "desc")));
	}
	return json_incref(result);
}

json_t *vm_qmp(struct vm *vm, const char *command, json_t *arguments) {
	return execute(vm, command, arguments, -1);
}

void vm_screendump(struct vm *vm, unsigned head, const char *path) {
	json_decref(vm_qmp(vm, "screendump",
		json_pack("{s:s, s:s, s:i, s:s}", "filename", path, "device", "gpu0", "head",
			(int)head, "format", "png")));
}

int vm_open_display(struct vm *vm) {
	int pair[2];
	check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	json_decref(execute(vm, "getfd", json_pack("{s:s}", "fdname", "display"), pair[1]));
	(void)close_fd(pair[1]);
	json_decref(vm_qmp(vm, "add_client",
		json_pack("{s:s, s:s}", "protocol", "@dbus-display", "fdname", "display")));
	return pair[0];
}

/*
 * Programs of the host
 */
int vm_host_run(struct vm *vm, unsigned timeout_s, char **ret_output, const char *const argv[]) {
	static unsigned count;
	char name[32];
	struct process p;
	(void)snprintf(name, sizeof(name), "host-%u", count++);
	vm_host_start(vm, &p, name, argv);
	int status = process_wait(&p, timeout_s * 1000);
	if (status == -ETIMEDOUT) {
		fail("%s: no end in %u s; logs are in %s", argv[0], timeout_s, vm->dir);
	}
	if (ret_output) {
		*ret_output = process_log(&p);
	}
	return status;
}
