/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dirent.h>
#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include "checks.h"
#include "log.h"
#include "process.h"
#include "util.h"

LOG_MODULE("check");

#define DRM_MAJOR 226u
/* What names of sockets in the runtime directory may add to a path. */
#define SOCKET_NAME_MAX 24u
#define TEXT_MAX        512u

static void say(const struct report *r, enum log_level level, const char *kind, const char *text,
	const char *advice) {
	if (r->print) {
		printf("%-8s %s%s%s\n", kind, text, advice ? "\n         -> " : "",
			advice ? advice : "");
	} else if (level != LOG_LEVEL_DEBUG || log_enabled(level)) {
		log_write(level, log_module, 0, "%s%s%s", text, advice ? " -> " : "",
			advice ? advice : "");
	}
}

void report_problem(struct report *r, const char *advice, const char *fmt, ...) {
	char text[TEXT_MAX];
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	r->problems++;
	say(r, LOG_LEVEL_ERROR, "PROBLEM", text, advice);
}

void report_warning(struct report *r, const char *advice, const char *fmt, ...) {
	char text[TEXT_MAX];
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	r->warnings++;
	say(r, LOG_LEVEL_WARN, "warning", text, advice);
}

void report_fine(struct report *r, const char *fmt, ...) {
	char text[TEXT_MAX];
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	say(r, LOG_LEVEL_DEBUG, "ok", text, NULL);
}

void check_runtime_dir(struct report *r, const char *dir) {
	struct stat st;
	if (strlen(dir) + SOCKET_NAME_MAX > sizeof(((struct sockaddr_un *)0)->sun_path)) {
		report_problem(r, "set XDG_RUNTIME_DIR to a shorter path",
			"%s is too long for sockets in it", dir);
		return;
	}
	if (mkdir(dir, 0700) < 0 && errno != EEXIST) {
		report_problem(r,
			"make it before, as a directory of this user (in the image, or a tmpfs), or "
			"set XDG_RUNTIME_DIR to another",
			"the runtime directory %s cannot be made: %s", dir, strerror(errno));
		return;
	}
	if (stat(dir, &st) < 0 || !S_ISDIR(st.st_mode)) {
		report_problem(r, "set XDG_RUNTIME_DIR to a directory",
			"the runtime directory %s is none", dir);
		return;
	}
	if (st.st_uid != geteuid()) {
		report_problem(r, "give it to the user that runs the desktop (chown)",
			"the runtime directory %s belongs to uid %u, not to %u", dir,
			(unsigned)st.st_uid, (unsigned)geteuid());
		return;
	}
	if ((st.st_mode & 0777) != 0700) {
		if (chmod(dir, 0700) < 0) {
			report_problem(r, "chmod 0700",
				"the runtime directory %s has mode %o, not 700", dir,
				(unsigned)st.st_mode & 0777);
			return;
		}
		log_info("%s had mode %o: now 700", dir, (unsigned)st.st_mode & 0777);
	}
	if (access(dir, W_OK | X_OK) < 0) {
		report_problem(r, "mount it writable", "the runtime directory %s: %s", dir,
			strerror(errno));
		return;
	}
	report_fine(r, "runtime directory %s", dir);
}

void check_user(struct report *r, uid_t uid) {
	if (!getpwuid(uid)) {
		report_problem(r, "add the user to /etc/passwd of the image",
			"uid %u has no name: dbus-daemon will refuse it", (unsigned)uid);
		return;
	}
	report_fine(r, "uid %u has a name", (unsigned)uid);
}

void check_manager(struct report *r, const char *path) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 &&
		(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 ||
			errno == EAGAIN)) {
		report_fine(r, "the DRM manager listens at %s", path);
		return;
	}
	int error = errno;
	report_warning(r,
		error == EACCES || error == EPERM
			? "let this user connect: the socket's mode, and the manager's --allow-uid"
			: error == ECONNREFUSED
			? "nobody listens there (any more): is helix-drm-manager running in the VM? "
			  "Mount the directory, never the socket itself"
			: "mount the directory /run/helix-drm of the VM into the container, and run "
			  "helix-drm-manager in the VM",
		"the DRM manager's socket %s: %s", path, strerror(error));
}

void check_program(struct report *r, const char *name, const char *package, const char *optional) {
	char path[PATH_MAX], advice[256];
	if (process_find(name, path, sizeof(path)) == 0) {
		report_fine(r, "%s", path);
		return;
	}
	(void)snprintf(advice, sizeof(advice), "install %s in the image", package);
	if (optional) {
		report_warning(r, advice, "%s is missing: %s", name, optional);
	} else {
		report_problem(r, advice, "%s is missing", name);
	}
}

/* -ENOENT if no node of /dev/dri is of that device. */
static int find_node(dev_t device, char *ret, size_t size) {
	DIR *dir = opendir("/dev/dri");
	int r = -ENOENT;
	for (struct dirent *e; dir && r < 0 && (e = readdir(dir));) {
		struct stat st;
		char path[PATH_MAX];
		(void)snprintf(path, sizeof(path), "/dev/dri/%s", e->d_name);
		if (stat(path, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == device &&
			(size_t)snprintf(ret, size, "%s", path) < size) {
			r = 0;
		}
	}
	if (dir) {
		(void)closedir(dir);
	}
	return r;
}

void check_card(struct report *r, const char *wanted, dev_t device, char *ret, size_t size) {
	struct stat st;
	char sys[64];
	unsigned major_ = major(device), minor_ = minor(device);
	(void)snprintf(ret, size, "%s", wanted ? wanted : "");
	if (!wanted && find_node(device, ret, size) < 0) {
		(void)snprintf(ret, size, "/dev/dri/card%u", minor_);
		report_problem(r,
			"bind-mount the card's node into the container (it needs no permission to "
			"open it)",
			"no node in /dev/dri is the card of the lease, %u:%u", major_, minor_);
		return;
	}
	if (stat(ret, &st) < 0) {
		report_problem(r, "bind-mount it, and let this user search the directory", "%s: %s",
			ret, strerror(errno));
		return;
	}
	if (!S_ISCHR(st.st_mode) || st.st_rdev != device) {
		report_problem(r, "use the node of the card that the DRM manager leases from",
			"%s is %u:%u; the lease is of %u:%u", ret, major(st.st_rdev),
			minor(st.st_rdev), major_, minor_);
		return;
	}
	(void)snprintf(sys, sizeof(sys), "/sys/dev/char/%u:%u", major_, minor_);
	if (major_ == DRM_MAJOR && access(sys, F_OK) < 0) {
		report_problem(r, "mount sysfs (read-only is enough)",
			"%s: %s: libudev cannot describe the card", sys, strerror(errno));
		return;
	}
	report_fine(r, "%s is the card of the lease", ret);
}

void check_udev(struct report *r, const char *dir, dev_t device, int made, bool needed) {
	char advice[384];
	if (made == 0) {
		report_fine(
			r, "the udev database %s has the card and the index of the tag seat", dir);
		return;
	}
	(void)snprintf(advice, sizeof(advice),
		"make %s a directory of uid %u in the image, or mount one that has "
		"data/c%u:%u, tags/seat/c%u:%u and control",
		dir, (unsigned)geteuid(), major(device), minor(device), major(device),
		minor(device));
	if (needed) {
		report_problem(r, advice,
			"the udev database %s lacks the card or its tag index, and cannot be "
			"completed (%s): compositors would find no GPU",
			dir, strerror(-made));
	} else {
		report_warning(r, advice, "the udev database %s cannot be completed: %s", dir,
			strerror(-made));
	}
}

void check_lease(struct report *r, int probed, const struct lease_facts *f) {
	if (probed < 0) {
		report_problem(r, "is the manager's card a DRM device?",
			"what came as a lease is none: %s", strerror(-probed));
		return;
	}
	if (f->connectors == 0 || f->crtcs == 0) {
		report_problem(r, "look at the log of helix-drm-manager",
			"the lease has %u connectors and %u CRTCs: it was revoked at once",
			f->connectors, f->crtcs);
		return;
	}
	if (f->primaries == 0) {
		report_problem(r, "the manager must set DRM_CLIENT_CAP_UNIVERSAL_PLANES first",
			"the lease has no primary plane");
		return;
	}
	if (!f->connected) {
		report_problem(r,
			"the manager must probe the connector after the hot-plug; look at its log",
			"the connector of the lease is not connected: a compositor would draw nothing");
		return;
	}
	if (f->cursors == 0) {
		report_warning(r,
			"the manager must set the cursor hotspot capability after the atomic one",
			"the lease has no cursor plane: the pointer will be part of the picture");
	}
	report_fine(r, "the lease: %s, %ux%u, with %s cursor plane", f->driver, f->width, f->height,
		f->cursors > 0 ? "a" : "no");
}

void check_3d(struct report *r, const struct lease_facts *f) {
	if (!f->has_3d) {
		report_fine(r, "the card has no 3D: all is drawn by the CPU");
	} else if (access(f->render_node, R_OK | W_OK) < 0) {
		report_warning(r, "run helix-cdi in the VM anew, or add the node as a device",
			"the card has 3D, but its render node cannot be opened (%s: %s): the "
			"desktop's programs draw with the CPU",
			f->render_node[0] ? f->render_node : "none", strerror(errno));
	} else {
		report_fine(r, "the card has 3D, by %s", f->render_node);
	}
}
