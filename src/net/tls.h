/* SPDX-License-Identifier: GPL-2.0-or-later */
/* TLS 1.2 and 1.3 by GnuTLS, and the few other things of its that are needed here. */
#ifndef HELIX_NET_TLS_H
#define HELIX_NET_TLS_H

#include "util.h"

struct tls_config;
struct tls_session;

#define TLS_FINGERPRINT_SIZE 65u /* SHA-256 in hexadecimal, and NUL */

/* A server with its certificate chain and key, PEM files. `*ret_why` says what is wrong with them. */
int tls_config_create_server(
	const char *cert, const char *key, struct tls_config **ret, const char **ret_why);
/* A server with a certificate made now, for localhost; nobody has a reason to trust it. */
int tls_config_create_self_signed(struct tls_config **ret, char fingerprint[TLS_FINGERPRINT_SIZE]);
/*
 * A client that trusts the system's authorities, or those of a PEM file; or, with `verify` false,
 * everybody.
 */
int tls_config_create_client(const char *ca_file, bool verify, struct tls_config **ret);
/* Sessions may outlive it. */
void tls_config_destroy(struct tls_config *config);

/* On a connected socket, which is borrowed. `host`: see stream_create_tls(). */
int tls_session_create(
	const struct tls_config *config, int fd, const char *host, struct tls_session **ret);
void tls_session_destroy(struct tls_session *s);

/* As stream_read() and stream_write(); they shake hands first. -EPROTO for what is no good TLS. */
ssize_t tls_session_read(struct tls_session *s, void *p, size_t n);
ssize_t tls_session_write(struct tls_session *s, const void *p, size_t n);
/* Whether hands were shaken. */
bool tls_session_ready(const struct tls_session *s);
/* Whether the last -EAGAIN waits for the socket to become writable. */
bool tls_session_wants_write(const struct tls_session *s);
/* Whether bytes can be read that are no longer in the socket. */
bool tls_session_pending(const struct tls_session *s);

#endif
