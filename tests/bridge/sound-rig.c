/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sound-rig.h"
#include "test.h"
#include "util.h"

#define RATE       48000.0
#define TIMEOUT_MS 20000u

static void set_environment(const struct rig *r) {
	char text[160];
	(void)setenv("XDG_RUNTIME_DIR", r->dir, 1);
	(void)setenv("XDG_CONFIG_HOME", r->dir, 1);
	(void)setenv("XDG_STATE_HOME", r->dir, 1);
	(void)setenv("HOME", r->dir, 1);
	(void)snprintf(text, sizeof(text), "unix:path=%s/bus", r->dir);
	(void)setenv("DBUS_SESSION_BUS_ADDRESS", text, 1);
	/* Nothing of the machine's own. */
	(void)snprintf(text, sizeof(text), "unix:path=%s/no-bus", r->dir);
	(void)setenv("DBUS_SYSTEM_BUS_ADDRESS", text, 1);
	(void)unsetenv("PIPEWIRE_REMOTE");
	(void)unsetenv("DISPLAY");
}

pid_t sound_run(const struct sound_rig *s, const char *const *args, const char *output) {
	char path[160];
	(void)snprintf(path, sizeof(path), "%s/%s.log", s->rig->dir, strrchr(args[0], '/') + 1);
	pid_t pid = fork();
	check(pid >= 0);
	if (pid > 0) {
		return pid;
	}
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	set_environment(s->rig);
	int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	int out =
		open(output ? output : "/dev/null", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (log >= 0 && out >= 0 && dup2(log, STDERR_FILENO) >= 0 &&
		dup2(out, STDOUT_FILENO) >= 0) {
		(void)execv(args[0], (char *const *)(uintptr_t)args);
	}
	_exit(127);
}

static void wait_for_end(pid_t pid) {
	int status;
	check_int(waitpid(pid, &status, 0), ==, pid);
}

void sound_end(pid_t pid) {
	(void)kill(pid, SIGTERM);
	wait_for_end(pid);
}

/* Until somebody answers at the socket. */
static void wait_for_socket(const struct sound_rig *s, const char *name) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", s->rig->dir, name);
	for (unsigned ms = 0;; ms += 10) {
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		int r = connect(fd, (struct sockaddr *)&address, sizeof(address));
		(void)close(fd);
		if (r == 0) {
			return;
		}
		check_int(ms, <, TIMEOUT_MS);
		sleep_ms(10);
	}
}

/* Until the session manager has chosen the sink: it refuses streams before. */
static void wait_for_sink(const struct sound_rig *s) {
	static const char *const args[] = {"/usr/bin/pw-metadata", "0", "default.audio.sink", NULL};
	char path[160];
	(void)snprintf(path, sizeof(path), "%s/metadata", s->rig->dir);
	for (unsigned ms = 0;; ms += 50) {
		wait_for_end(sound_run(s, args, path));
		char *text = rig_read(path);
		bool chosen = strstr(text, "helix-desktop") != NULL;
		free(text);
		if (chosen) {
			return;
		}
		check_int(ms, <, TIMEOUT_MS);
		sleep_ms(50);
	}
}

void sound_restart(struct sound_rig *s) {
	static const char *const pipewire[] = {"/usr/bin/pipewire", NULL};
	static const char *const wireplumber[] = {"/usr/bin/wireplumber", NULL};
	s->pipewire = sound_run(s, pipewire, NULL);
	wait_for_socket(s, "pipewire-0");
	s->wireplumber = sound_run(s, wireplumber, NULL);
	wait_for_sink(s);
}

void sound_start(struct sound_rig *s, const struct rig *rig) {
	char path[160], address[160];
	*s = (struct sound_rig){.rig = rig};
	(void)snprintf(path, sizeof(path), "%s/pipewire", rig->dir);
	check_ok(mkdir(path, 0700));
	(void)snprintf(path, sizeof(path), "%s/pipewire/pipewire.conf.d", rig->dir);
	check_ok(mkdir(path, 0700));
	(void)snprintf(
		path, sizeof(path), "%s/pipewire/pipewire.conf.d/50-helix-desktop.conf", rig->dir);
	check_ok(symlink(getenv("HELIX_SOUND_CONF"), path));
	(void)snprintf(address, sizeof(address), "--address=unix:path=%s/bus", rig->dir);
	const char *const bus[] = {"/usr/bin/dbus-daemon", "--session", "--nofork", address, NULL};
	s->bus = sound_run(s, bus, NULL);
	wait_for_socket(s, "bus");
	sound_restart(s);
}

void sound_kill(struct sound_rig *s) {
	(void)kill(s->pipewire, SIGKILL);
	(void)kill(s->wireplumber, SIGKILL);
	wait_for_end(s->pipewire);
	wait_for_end(s->wireplumber);
}

void sound_stop(struct sound_rig *s) {
	sound_end(s->wireplumber);
	sound_end(s->pipewire);
	sound_end(s->bus);
}

pid_t sound_play(
	const struct sound_rig *s, const char *hertz, const char *silent_ms, const char *output) {
	const char *const args[] = {getenv("HELIX_SOUND_PLAYER"), hertz, silent_ms, NULL};
	return sound_run(s, args, output);
}

double sound_rms(const float *samples, size_t n, size_t step) {
	double sum = 0;
	for (size_t i = 0; i < n; i++) {
		sum += (double)samples[i * step] * (double)samples[i * step];
	}
	return n > 0 ? sqrt(sum / (double)n) : 0;
}

double sound_purity(const float *samples, size_t n, size_t step, double hertz) {
	double re = 0, im = 0, rms = sound_rms(samples, n, step);
	for (size_t i = 0; i < n; i++) {
		double phase = 2 * M_PI * hertz * (double)i / RATE;
		re += samples[i * step] * cos(phase);
		im += samples[i * step] * sin(phase);
	}
	return rms > 0 ? 2 * (re * re + im * im) / ((double)n * (double)n * rms * rms) : 0;
}
