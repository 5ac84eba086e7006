/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "auth.h"
#include "log.h"
#include "parse.h"

LOG_MODULE("auth");

#define IDENTITIES_MAX 4096u
#define HASH_PREFIX    "sha256:"
#define BLANKS         " \t\r\n"

struct table {
	struct identity **entries;
	size_t n;
};

struct auth {
	struct table table;
	struct identity *everybody; // NULL: tokens are needed
	char *path;                 // of the tokens
	uint8_t cookie_key[SHA256_SIZE];
};

static const char *const role_names[] = {
	[ROLE_RUNNER] = "runner",
	[ROLE_VIEW] = "view",
	[ROLE_CONTROL] = "control",
};

const char *auth_role_to_string(enum auth_role role) {
	return role < _ROLE_MAX ? role_names[role] : NULL;
}

struct identity *identity_ref(struct identity *who) {
	who->refs++;
	return who;
}

void identity_unref(struct identity *who) {
	if (who && --who->refs == 0) {
		free(who->desktops);
		free(who);
	}
}

bool identity_may_see(const struct identity *who, const char *desktop) {
	const char *p = who->desktops;
	while (*p) {
		char pattern[256];
		size_t n = strcspn(p, ",");
		/* parse_line() made sure that it fits. */
		(void)snprintf(pattern, sizeof(pattern), "%.*s", (int)n, p);
		if (fnmatch(pattern, desktop, 0) == 0) {
			return true;
		}
		p += n + (p[n] == ',');
	}
	return false;
}

static struct identity *identity_create(
	enum auth_role role, const char *name, const char *desktops) {
	struct identity *who = calloc(1, sizeof(*who));
	if (!who) {
		return NULL;
	}
	who->refs = 1;
	who->role = role;
	(void)snprintf(who->name, sizeof(who->name), "%s", name);
	who->desktops = strdup(desktops);
	if (!who->desktops) {
		identity_unref(who);
		return NULL;
	}
	return who;
}

static void table_finish(struct table *t) {
	for (size_t i = 0; i < t->n; i++) {
		identity_unref(t->entries[i]);
	}
	free(t->entries);
	*t = (struct table){0};
}

static bool patterns_are_valid(const char *p) {
	while (*p) {
		size_t n = strcspn(p, ",");
		if (n == 0 || n >= 256) {
			return false;
		}
		p += n + (p[n] == ',');
	}
	return true;
}

/* Names go into headers and logs. */
static bool name_is_valid(const char *name) {
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@+-";
	return name[0] != '\0' && strlen(name) < AUTH_NAME_SIZE &&
		strspn(name, letters) == strlen(name);
}

/*
 * "user NAME view|control DESKTOPS sha256:HASH" or "runner DESKTOPS sha256:HASH". NULL if that was
 * good, else what is wrong with it.
 */
static const char *parse_line(char *line, struct identity **ret) {
	char *save, *words[6];
	size_t n = 0;
	*ret = NULL;
	for (char *w = strtok_r(line, BLANKS, &save); w && n < ARRAY_SIZE(words);
		w = strtok_r(NULL, BLANKS, &save)) {
		words[n++] = w;
	}
	enum auth_role role = ROLE_RUNNER;
	const char *name = "runner", *desktops, *hash;
	if (n == 5 && strcmp(words[0], "user") == 0) {
		name = words[1];
		desktops = words[3];
		hash = words[4];
		if (strcmp(words[2], "view") != 0 && strcmp(words[2], "control") != 0) {
			return "the role is neither view nor control";
		}
		role = strcmp(words[2], "view") == 0 ? ROLE_VIEW : ROLE_CONTROL;
	} else if (n == 3 && strcmp(words[0], "runner") == 0) {
		desktops = words[1];
		hash = words[2];
	} else {
		return "neither 'user NAME ROLE DESKTOPS HASH' nor 'runner DESKTOPS HASH'";
	}
	uint8_t bytes[SHA256_SIZE];
	if (!name_is_valid(name)) {
		return "bad name";
	}
	if (!patterns_are_valid(desktops)) {
		return "bad list of desktops";
	}
	if (strncmp(hash, HASH_PREFIX, strlen(HASH_PREFIX)) != 0 ||
		hex_decode(hash + strlen(HASH_PREFIX), bytes, sizeof(bytes)) < 0) {
		return "the hash is not sha256: and 64 hexadecimal digits";
	}
	*ret = identity_create(role, name, desktops);
	if (!*ret) {
		return "out of memory";
	}
	memcpy((*ret)->hash, bytes, sizeof(bytes));
	return NULL;
}

static const char *add_line(struct table *t, char *line) {
	struct identity *who;
	size_t n = strspn(line, BLANKS);
	if (line[n] == '\0' || line[n] == '#') {
		return NULL;
	}
	if (t->n == IDENTITIES_MAX) {
		return "too many entries";
	}
	const char *why = parse_line(line, &who);
	if (!why) {
		t->entries[t->n++] = who;
	}
	return why;
}

static int read_table(const char *path, struct table *ret) {
	struct table t = {.entries = calloc(IDENTITIES_MAX, sizeof(*t.entries))};
	FILE *f = t.entries ? fopen(path, "re") : NULL;
	int r = f ? 0 : t.entries ? -errno : -ENOMEM;
	if (r < 0) {
		log_err_errno(r, "%s", path);
		free(t.entries);
		return r;
	}
	char *line = NULL;
	size_t size = 0;
	for (unsigned number = 1; r == 0 && getline(&line, &size, f) >= 0; number++) {
		const char *why = add_line(&t, line);
		if (why) {
			log_err("%s:%u: %s", path, number, why);
			r = -EINVAL;
		}
	}
	if (r == 0 && ferror(f)) {
		r = -EIO;
		log_err_errno(r, "%s", path);
	}
	free(line);
	(void)fclose(f);
	if (r < 0) {
		table_finish(&t);
		return r;
	}
	*ret = t;
	return 0;
}

static int read_key(const char *path, uint8_t key[SHA256_SIZE]) {
	char text[HEX_SIZE(SHA256_SIZE) + 1] = "";
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return -errno;
	}
	ssize_t n = read(fd, text, sizeof(text) - 1);
	if (n < 0) {
		return -errno;
	}
	text[strcspn(text, BLANKS)] = '\0';
	return hex_decode(text, key, SHA256_SIZE);
}

static int write_key(const char *path, const uint8_t key[SHA256_SIZE]) {
	char text[HEX_SIZE(SHA256_SIZE)];
	hex_encode(key, SHA256_SIZE, text);
	text[sizeof(text) - 1] = '\n';
	CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0) {
		return -errno;
	}
	ssize_t n = write(fd, text, sizeof(text));
	return n < 0 ? -errno : n == sizeof(text) ? 0 : -EIO;
}

static int make_cookie_key(struct auth *a, const char *path) {
	int r = path ? read_key(path, a->cookie_key) : -ENOENT;
	if (r == -ENOENT) {
		r = random_bytes(a->cookie_key, sizeof(a->cookie_key));
		if (r == 0 && path) {
			r = write_key(path, a->cookie_key);
		}
	}
	if (r < 0) {
		log_err_errno(r, "the key of cookies, %s", path ? path : "at random");
	}
	return r;
}

int auth_create_open(struct auth **ret) {
	struct auth *a = calloc(1, sizeof(*a));
	if (!a) {
		return -ENOMEM;
	}
	a->everybody = identity_create(ROLE_CONTROL, "everybody", "*");
	if (!a->everybody) {
		auth_destroy(a);
		return -ENOMEM;
	}
	*ret = a;
	return 0;
}

int auth_create(const char *tokens, const char *cookie_key, struct auth **ret) {
	struct auth *a = calloc(1, sizeof(*a));
	if (!a) {
		return -ENOMEM;
	}
	a->path = strdup(tokens);
	int r = a->path ? read_table(tokens, &a->table) : -ENOMEM;
	if (r >= 0) {
		r = make_cookie_key(a, cookie_key);
	}
	if (r < 0) {
		auth_destroy(a);
		return r;
	}
	*ret = a;
	return 0;
}

void auth_destroy(struct auth *a) {
	if (!a) {
		return;
	}
	table_finish(&a->table);
	identity_unref(a->everybody);
	free(a->path);
	free(a);
}

int auth_reload(struct auth *a) {
	struct table t;
	if (!a->path) {
		return 0;
	}
	int r = read_table(a->path, &t);
	if (r == 0) {
		table_finish(&a->table);
		a->table = t;
	}
	return r;
}

bool auth_knows(const struct auth *a, const struct identity *who) {
	if (who == a->everybody) {
		return true;
	}
	for (size_t i = 0; i < a->table.n; i++) {
		const struct identity *e = a->table.entries[i];
		if (e->role == who->role && strcmp(e->name, who->name) == 0 &&
			strcmp(e->desktops, who->desktops) == 0 &&
			memcmp(e->hash, who->hash, sizeof(e->hash)) == 0) {
			return true;
		}
	}
	return false;
}

/* All entries are looked at, whichever it is. */
struct identity *auth_check_token(const struct auth *a, const char *token, size_t n) {
	uint8_t hash[SHA256_SIZE];
	struct identity *found = NULL;
	if (n == 0 || n > AUTH_TOKEN_MAX) {
		return NULL;
	}
	sha256(token, n, hash);
	for (size_t i = 0; i < a->table.n; i++) {
		if (same_bytes(a->table.entries[i]->hash, hash, sizeof(hash))) {
			found = a->table.entries[i];
		}
	}
	return found;
}

struct identity *auth_everybody(const struct auth *a) {
	return a->everybody;
}

/* The cookie is "expiry.name.signature": the signature is over the two and the token's hash. */
static void sign(const struct auth *a, const struct identity *who, uint64_t expiry,
	char ret[HEX_SIZE(SHA256_SIZE)]) {
	uint8_t message[8 + AUTH_NAME_SIZE + SHA256_SIZE + 1] = {0}, mac[SHA256_SIZE];
	for (unsigned i = 0; i < 8; i++) {
		message[i] = (uint8_t)(expiry >> 8 * i);
	}
	memcpy(message + 8, who->name, AUTH_NAME_SIZE);
	memcpy(message + 8 + AUTH_NAME_SIZE, who->hash, SHA256_SIZE);
	message[sizeof(message) - 1] = (uint8_t)who->role;
	hmac_sha256(a->cookie_key, message, sizeof(message), mac);
	hex_encode(mac, sizeof(mac), ret);
}

void auth_make_cookie(
	const struct auth *a, const struct identity *who, char ret[AUTH_COOKIE_SIZE]) {
	char signature[HEX_SIZE(SHA256_SIZE)];
	uint64_t expiry = (uint64_t)time(NULL) + AUTH_COOKIE_SECONDS;
	sign(a, who, expiry, signature);
	(void)snprintf(ret, AUTH_COOKIE_SIZE, "%" PRIu64 ".%s.%s", expiry, signature, who->name);
}

struct identity *auth_check_cookie(const struct auth *a, const char *cookie) {
	char text[AUTH_COOKIE_SIZE], signature[HEX_SIZE(SHA256_SIZE)];
	uint64_t expiry;
	struct identity *found = NULL;
	if (snprintf(text, sizeof(text), "%s", cookie) >= (int)sizeof(text)) {
		return NULL;
	}
	char *given = strchr(text, '.'), *name = given ? strchr(given + 1, '.') : NULL;
	if (!name) {
		return NULL;
	}
	*given++ = '\0';
	*name++ = '\0';
	if (strlen(given) != sizeof(signature) - 1 || parse_u64(text, 0, UINT64_MAX, &expiry) < 0 ||
		expiry < (uint64_t)time(NULL)) {
		return NULL;
	}
	for (size_t i = 0; i < a->table.n; i++) {
		struct identity *who = a->table.entries[i];
		if (who->role == ROLE_RUNNER || strcmp(who->name, name) != 0) {
			continue;
		}
		sign(a, who, expiry, signature);
		if (same_bytes(signature, given, sizeof(signature) - 1)) {
			found = who;
		}
	}
	return found;
}
