/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "parse.h"
#include "stub-options.h"

#define PROGRAM "logind-stub"

/* Strings of the user database are copied: the next look-up overwrites them. */
static char user_name[64];

static int set_fd(const char *value, int *ret) {
	uint32_t fd;
	int r = parse_u32(value, 3, INT32_MAX, &fd);
	if (r < 0) {
		return r;
	}
	/* It was inherited, and is for us alone. */
	if (fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0) {
		return -EINVAL;
	}
	*ret = (int)fd;
	return 0;
}

static int set_lease_fd(const char *value, void *data) {
	return set_fd(value, &((struct stub_config *)data)->lease_fd);
}

static int set_control_fd(const char *value, void *data) {
	return set_fd(value, &((struct stub_config *)data)->control_fd);
}

static int set_bus_fd(const char *value, void *data) {
	return set_fd(value, &((struct stub_config *)data)->bus_fd);
}

static int set_text(const char *value, const char **ret) {
	*ret = value;
	return value[0] ? 0 : -EINVAL;
}

static int set_bus(const char *value, void *data) {
	return set_text(value, &((struct stub_config *)data)->bus);
}

static int set_seatd_socket(const char *value, void *data) {
	return set_text(value, &((struct stub_config *)data)->seatd_socket);
}

static int set_input_socket(const char *value, void *data) {
	return set_text(value, &((struct stub_config *)data)->input_socket);
}

static int set_udev_dir(const char *value, void *data) {
	return set_text(value, &((struct stub_config *)data)->udev_dir);
}

static int set_card(const char *value, void *data) {
	return set_text(value, &((struct stub_config *)data)->card);
}

static void use_user(struct stub_config *c, const struct passwd *pw) {
	(void)snprintf(user_name, sizeof(user_name), "%s", pw->pw_name);
	c->user_name = user_name;
	c->uid = pw->pw_uid;
	c->gid = pw->pw_gid;
}

/* By number or name; a number needs no entry in the user database. */
static int set_user(const char *value, void *data) {
	struct stub_config *c = data;
	uint32_t uid;
	bool number = parse_u32(value, 0, UINT32_MAX - 1, &uid) == 0;
	const struct passwd *pw = number ? getpwuid(uid) : getpwnam(value);
	if (pw) {
		use_user(c, pw);
		return 0;
	}
	if (!number) {
		return -EINVAL;
	}
	(void)snprintf(user_name, sizeof(user_name), "%u", (unsigned)uid);
	c->user_name = user_name;
	c->uid = uid;
	c->gid = uid;
	return 0;
}

static const struct option_spec options[] = {
	{"lease-fd", 0, "FD", "the DRM lease, inherited; needed", set_lease_fd},
	{"control-fd", 0, "FD", "socket of the supervisor, inherited", set_control_fd},
	{"card", 'c', "PATH", "node of the lease's card (default /dev/dri/card0)", set_card},
	{"user", 'u', "USER", "whose session it is (default: our own user)", set_user},
	{"bus", 'b', "ADDRESS", "D-Bus address, 'system' or 'none' (default system)", set_bus},
	{"bus-fd", 0, "FD", "socket of the only D-Bus client, inherited; no bus then", set_bus_fd},
	{"seatd-socket", 's', "PATH", "serve libseat's clients here (default: nowhere)",
		set_seatd_socket},
	{"input-socket", 'i', "PATH", "socket of the input manager (default: no input devices)",
		set_input_socket},
	{"udev-dir", 0, "PATH", "where the udev database is (default /run/udev)", set_udev_dir},
	{"log-level", 0, "LEVEL", "error, warn, info or debug (default info)",
		options_set_log_level},
	{0},
};

static const char *environment(const char *name) {
	const char *value = getenv(name);
	return value && *value ? value : NULL;
}

static void set_own_user(struct stub_config *c) {
	char uid[16];
	(void)snprintf(uid, sizeof(uid), "%u", (unsigned)getuid());
	(void)set_user(uid, c);
}

enum options_result stub_options_parse(int argc, char *argv[], struct stub_config *ret) {
	static const struct program_spec program = {
		.name = PROGRAM,
		.summary = "Hands a DRM lease to a compositor, as logind and seatd hand out cards.",
		.options = options,
	};
	*ret = (struct stub_config){
		.lease_fd = -1,
		.control_fd = -1,
		.bus_fd = -1,
		.bus = "system",
		.udev_dir = "/run/udev",
		.card = "/dev/dri/card0",
		.runtime_dir = environment("XDG_RUNTIME_DIR"),
		.desktop = environment("XDG_SESSION_DESKTOP"),
	};
	set_own_user(ret);
	int index;
	enum options_result result = options_parse(&program, argc, argv, ret, &index);
	if (result == OPTIONS_RUN && ret->lease_fd < 0) {
		(void)fprintf(stderr, PROGRAM ": --lease-fd is needed\n");
		result = OPTIONS_ERROR;
	}
	if (result == OPTIONS_RUN && strcmp(ret->bus, "none") == 0) {
		ret->bus = NULL;
	}
	return result;
}
