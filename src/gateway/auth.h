/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who may do what: tokens from a file (docs/operations/gateway.md), and the cookies that browsers
 * get for one. Only hashes of tokens are kept.
 */
#ifndef HELIX_GATEWAY_AUTH_H
#define HELIX_GATEWAY_AUTH_H

#include "net/crypto.h"
#include "util.h"

#define AUTH_NAME_SIZE   64u
#define AUTH_TOKEN_MAX   512u
#define AUTH_COOKIE      "helix_session"
#define AUTH_COOKIE_SIZE 256u
/* A login lasts this long. */
#define AUTH_COOKIE_SECONDS (12 * 3600)

enum auth_role {
	ROLE_RUNNER, /* a desktop's bridge: RevDial and nothing else */
	ROLE_VIEW,
	ROLE_CONTROL,
	_ROLE_MAX,
};

const char *auth_role_to_string(enum auth_role role);

struct identity {
	unsigned refs;
	enum auth_role role;
	char name[AUTH_NAME_SIZE];
	char *desktops; /* patterns, separated by commas */
	uint8_t hash[SHA256_SIZE];
};

struct identity *identity_ref(struct identity *who);
void identity_unref(struct identity *who);
bool identity_may_see(const struct identity *who, const char *desktop);

struct auth;

/* Everybody is one identity with control over all desktops. */
int auth_create_open(struct auth **ret);
/*
 * From a file of tokens. `cookie_key` (may be NULL) is a file with a key for cookies, made if it does
 * not exist. Complains in the log.
 */
int auth_create(const char *tokens, const char *cookie_key, struct auth **ret);
void auth_destroy(struct auth *a);

/* Reads the file of tokens again; if it is bad, says so, and what was read before stays. */
int auth_reload(struct auth *a);
/* Whether this identity is still in the file, word for word. */
bool auth_knows(const struct auth *a, const struct identity *who);

/* Whose token or cookie this is; NULL: nobody's. A borrowed reference. */
struct identity *auth_check_token(const struct auth *a, const char *token, size_t n);
struct identity *auth_check_cookie(const struct auth *a, const char *cookie);
/* The identity of everybody; NULL unless it is open. */
struct identity *auth_everybody(const struct auth *a);
void auth_make_cookie(const struct auth *a, const struct identity *who, char ret[AUTH_COOKIE_SIZE]);

#endif
