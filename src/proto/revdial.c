/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "proto/revdial.h"
#include "util.h"

static const char *const command_names[] = {
	[REVDIAL_KEEP_ALIVE] = "keep-alive",
	[REVDIAL_CONN_READY] = "conn-ready",
	[REVDIAL_PICKUP_FAILED] = "pickup-failed",
};

static enum revdial_command command_from_string(const char *name) {
	for (unsigned i = 0; i < ARRAY_SIZE(command_names); i++) {
		if (strcmp(name, command_names[i]) == 0) {
			return (enum revdial_command)i;
		}
	}
	return REVDIAL_UNKNOWN;
}

static int read_fields(const json_t *object, struct revdial_message *ret) {
	const char *command = json_string_value(json_object_get(object, "command"));
	const char *path = json_string_value(json_object_get(object, "connPath"));
	const char *err = json_string_value(json_object_get(object, "err"));
	if (!command) {
		return -EBADMSG;
	}
	*ret = (struct revdial_message){.command = command_from_string(command)};
	if (path && strlen(path) >= sizeof(ret->path)) {
		return -EBADMSG;
	}
	if (ret->command == REVDIAL_CONN_READY && (!path || path[0] == '\0')) {
		return -EBADMSG;
	}
	(void)snprintf(ret->path, sizeof(ret->path), "%s", path ? path : "");
	(void)snprintf(ret->err, sizeof(ret->err), "%s", err ? err : "");
	return 0;
}

ssize_t revdial_decode(const char *p, size_t len, struct revdial_message *ret) {
	const char *end = len > 0 ? memchr(p, '\n', MIN(len, REVDIAL_LINE_MAX)) : NULL;
	if (!end) {
		return len < REVDIAL_LINE_MAX ? 0 : -EBADMSG;
	}
	json_t *object = json_loadb(p, (size_t)(end - p), JSON_REJECT_DUPLICATES, NULL);
	if (!object) {
		return -EBADMSG;
	}
	int r = read_fields(object, ret);
	json_decref(object);
	return r < 0 ? r : end + 1 - p;
}

ssize_t revdial_encode(char *p, size_t size, const struct revdial_message *m) {
	if (m->command >= ARRAY_SIZE(command_names)) {
		return -EINVAL;
	}
	/* json_pack would refuse an err that is not UTF-8: then it goes without. */
	json_t *object = json_pack("{s:s}", "command", command_names[m->command]);
	if (!object) {
		return -ENOMEM;
	}
	if (m->path[0] != '\0') {
		(void)json_object_set_new(object, "connPath", json_string(m->path));
	}
	if (m->err[0] != '\0') {
		(void)json_object_set_new(object, "err", json_string(m->err));
	}
	size_t n = json_dumpb(object, p, size, JSON_COMPACT);
	json_decref(object);
	if (n == 0 || n >= size || n >= REVDIAL_LINE_MAX) {
		return -ENOBUFS;
	}
	p[n] = '\n';
	return (ssize_t)n + 1;
}

void revdial_format_path(char ret[REVDIAL_PATH_MAX], const char *dialer, const char *request) {
	(void)snprintf(ret, REVDIAL_PATH_MAX, REVDIAL_CONN_PATH "?revdial.dialer=%s&revdial.req=%s",
		dialer, request);
}

int revdial_dial_path(const char *path, char ret[REVDIAL_PATH_MAX]) {
	size_t n = strlen(REVDIAL_CONN_PATH);
	if (strncmp(path, REVDIAL_CONN_PATH, n) != 0 || (path[n] != '\0' && path[n] != '?')) {
		return -EBADMSG;
	}
	/* It becomes part of a request line. */
	for (const char *c = path; *c; c++) {
		if (*c <= ' ' || *c == 0x7f) {
			return -EBADMSG;
		}
	}
	int size = snprintf(ret, REVDIAL_PATH_MAX, REVDIAL_PATH "%s", path + n);
	return size < 0 || size >= (int)REVDIAL_PATH_MAX ? -EBADMSG : 0;
}

bool revdial_id_is_valid(const char *id) {
	return strspn(id, "0123456789abcdef") == REVDIAL_ID_SIZE - 1 &&
		id[REVDIAL_ID_SIZE - 1] == '\0';
}

bool revdial_runner_is_valid(const char *runner) {
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	size_t prefix = strlen(REVDIAL_RUNNER_PREFIX), n = strnlen(runner, REVDIAL_RUNNER_MAX + 1);
	if (n > REVDIAL_RUNNER_MAX || strncmp(runner, REVDIAL_RUNNER_PREFIX, prefix) != 0) {
		return false;
	}
	const char *name = runner + prefix;
	return name[0] != '\0' && !strchr("._-", name[0]) && strspn(name, letters) == n - prefix;
}
