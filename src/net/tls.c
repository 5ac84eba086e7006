/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "net/tls.h"

/* 1.2 with forward secrecy and AEAD, and 1.3. */
#define PRIORITY                                                       \
	"NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA:-CIPHER-ALL:" \
	"+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305"
#define SELF_SIGNED_DAYS 30
#define SERIAL_SIZE      16

struct tls_config {
	unsigned refs;
	bool verify;
	gnutls_certificate_credentials_t credentials;
	gnutls_priority_t priority;
};

struct tls_session {
	struct tls_config *config;
	gnutls_session_t session;
	bool ready;       /* hands were shaken */
	bool half_sent;   /* a write returned -EAGAIN: it is continued, not begun again */
	bool wants_write; /* after -EAGAIN */
};

static struct tls_config *config_ref(const struct tls_config *config) {
	struct tls_config *c = (struct tls_config *)config;
	c->refs++;
	return c;
}

void tls_config_destroy(struct tls_config *c) {
	if (!c || --c->refs > 0) {
		return;
	}
	if (c->credentials) {
		gnutls_certificate_free_credentials(c->credentials);
	}
	if (c->priority) {
		gnutls_priority_deinit(c->priority);
	}
	free(c);
}

static int config_create(struct tls_config **ret) {
	struct tls_config *c = calloc(1, sizeof(*c));
	if (!c) {
		return -ENOMEM;
	}
	c->refs = 1;
	if (gnutls_certificate_allocate_credentials(&c->credentials) < 0 ||
		gnutls_priority_init(&c->priority, PRIORITY, NULL) < 0) {
		tls_config_destroy(c);
		return -ENOMEM;
	}
	*ret = c;
	return 0;
}

int tls_config_create_server(
	const char *cert, const char *key, struct tls_config **ret, const char **ret_why) {
	struct tls_config *c;
	*ret_why = "out of memory";
	int r = config_create(&c);
	if (r < 0) {
		return r;
	}
	r = gnutls_certificate_set_x509_key_file(c->credentials, cert, key, GNUTLS_X509_FMT_PEM);
	if (r < 0) {
		*ret_why = gnutls_strerror(r);
		tls_config_destroy(c);
		return -EINVAL;
	}
	*ret = c;
	return 0;
}

static int sign_certificate(gnutls_x509_crt_t crt, gnutls_x509_privkey_t key) {
	static const char name[] = "localhost";
	static const unsigned char loopback4[4] = {127, 0, 0, 1};
	static const unsigned char loopback6[16] = {[15] = 1};
	unsigned char serial[SERIAL_SIZE];
	time_t now = time(NULL);
	if (gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof(serial)) < 0) {
		return -EIO;
	}
	serial[0] &= 0x7f; /* positive */
	if (gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
		    GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0) < 0 ||
		gnutls_x509_crt_set_version(crt, 3) < 0 ||
		gnutls_x509_crt_set_serial(crt, serial, sizeof(serial)) < 0 ||
		gnutls_x509_crt_set_activation_time(crt, now - 3600) < 0 ||
		gnutls_x509_crt_set_expiration_time(crt, now + SELF_SIGNED_DAYS * 86400) < 0 ||
		gnutls_x509_crt_set_dn(crt, "CN=helix-gateway (self-signed)", NULL) < 0 ||
		gnutls_x509_crt_set_subject_alt_name(
			crt, GNUTLS_SAN_DNSNAME, name, sizeof(name) - 1, GNUTLS_FSAN_SET) < 0 ||
		gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, loopback4,
			sizeof(loopback4), GNUTLS_FSAN_APPEND) < 0 ||
		gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, loopback6,
			sizeof(loopback6), GNUTLS_FSAN_APPEND) < 0 ||
		gnutls_x509_crt_set_key_purpose_oid(crt, GNUTLS_KP_TLS_WWW_SERVER, 0) < 0 ||
		gnutls_x509_crt_set_basic_constraints(crt, 0, -1) < 0 ||
		gnutls_x509_crt_set_key(crt, key) < 0 ||
		gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0) < 0) {
		return -EIO;
	}
	return 0;
}

int tls_config_create_self_signed(struct tls_config **ret, char fingerprint[TLS_FINGERPRINT_SIZE]) {
	struct tls_config *c;
	gnutls_x509_crt_t crt = NULL;
	gnutls_x509_privkey_t key = NULL;
	unsigned char digest[32];
	size_t size = sizeof(digest);
	int r = config_create(&c);
	if (r < 0) {
		return r;
	}
	if (gnutls_x509_crt_init(&crt) < 0 || gnutls_x509_privkey_init(&key) < 0) {
		r = -ENOMEM;
	} else {
		r = sign_certificate(crt, key);
	}
	if (r == 0 &&
		(gnutls_certificate_set_x509_key(c->credentials, &crt, 1, key) < 0 ||
			gnutls_x509_crt_get_fingerprint(crt, GNUTLS_DIG_SHA256, digest, &size) <
				0)) {
		r = -EIO;
	}
	gnutls_x509_crt_deinit(crt);
	gnutls_x509_privkey_deinit(key);
	if (r < 0) {
		tls_config_destroy(c);
		return r;
	}
	for (size_t i = 0; i < sizeof(digest); i++) {
		(void)snprintf(fingerprint + 2 * i, 3, "%02x", digest[i]);
	}
	*ret = c;
	return 0;
}

int tls_config_create_client(const char *ca_file, bool verify, struct tls_config **ret) {
	struct tls_config *c;
	int r = config_create(&c);
	if (r < 0) {
		return r;
	}
	c->verify = verify;
	int n = !verify   ? 0
		: ca_file ? gnutls_certificate_set_x509_trust_file(
				    c->credentials, ca_file, GNUTLS_X509_FMT_PEM)
			  : gnutls_certificate_set_x509_system_trust(c->credentials);
	if (n < 0 || (ca_file && verify && n == 0)) {
		tls_config_destroy(c);
		return -EINVAL;
	}
	*ret = c;
	return 0;
}

/* Server names are no addresses: RFC 6066 section 3. */
static bool is_address(const char *host) {
	unsigned char address[16];
	return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

int tls_session_create(
	const struct tls_config *config, int fd, const char *host, struct tls_session **ret) {
	struct tls_session *s = calloc(1, sizeof(*s));
	if (!s) {
		return -ENOMEM;
	}
	s->config = config_ref(config);
	unsigned flags = (host ? GNUTLS_CLIENT : GNUTLS_SERVER) | GNUTLS_NONBLOCK |
		GNUTLS_NO_SIGNAL | GNUTLS_NO_TICKETS;
	if (gnutls_init(&s->session, flags) < 0 ||
		gnutls_priority_set(s->session, config->priority) < 0 ||
		gnutls_credentials_set(s->session, GNUTLS_CRD_CERTIFICATE, config->credentials) <
			0) {
		tls_session_destroy(s);
		return -ENOMEM;
	}
	if (host) {
		if (!is_address(host)) {
			(void)gnutls_server_name_set(
				s->session, GNUTLS_NAME_DNS, host, strlen(host));
		}
		if (config->verify) {
			gnutls_session_set_verify_cert(s->session, host, 0);
		}
	}
	gnutls_transport_set_int(s->session, fd);
	*ret = s;
	return 0;
}

void tls_session_destroy(struct tls_session *s) {
	if (!s) {
		return;
	}
	if (s->session) {
		if (s->ready && !s->half_sent) {
			/* Says that this end is meant; nobody waits for an answer. */
			(void)gnutls_bye(s->session, GNUTLS_SHUT_WR);
		}
		gnutls_deinit(s->session);
	}
	tls_config_destroy(s->config);
	free(s);
}

static ssize_t to_errno(struct tls_session *s, ssize_t r) {
	switch (r) {
	case GNUTLS_E_AGAIN:
	case GNUTLS_E_INTERRUPTED:
		s->wants_write = gnutls_record_get_direction(s->session) == 1;
		return -EAGAIN;
	case GNUTLS_E_PREMATURE_TERMINATION:
	case GNUTLS_E_PUSH_ERROR:
	case GNUTLS_E_PULL_ERROR:
		return -ECONNRESET;
	case GNUTLS_E_MEMORY_ERROR:
		return -ENOMEM;
	default:
		return -EPROTO;
	}
}

static int shake_hands(struct tls_session *s) {
	int r;
	do {
		r = gnutls_handshake(s->session);
	} while (r < 0 && r != GNUTLS_E_AGAIN && !gnutls_error_is_fatal(r));
	if (r < 0) {
		return (int)to_errno(s, r);
	}
	s->ready = true;
	return 0;
}

ssize_t tls_session_read(struct tls_session *s, void *p, size_t n) {
	int r = s->ready ? 0 : shake_hands(s);
	if (r < 0) {
		return r;
	}
	ssize_t got = gnutls_record_recv(s->session, p, n);
	/* A peer that closes without saying so: the protocols inside have ends of their own. */
	return got == GNUTLS_E_PREMATURE_TERMINATION ? 0 : got < 0 ? to_errno(s, got) : got;
}

ssize_t tls_session_write(struct tls_session *s, const void *p, size_t n) {
	int r = s->ready ? 0 : shake_hands(s);
	if (r < 0) {
		return r;
	}
	ssize_t sent = s->half_sent ? gnutls_record_send(s->session, NULL, 0)
				    : gnutls_record_send(s->session, p, n);
	if (sent < 0) {
		r = (int)to_errno(s, sent);
		s->half_sent = r == -EAGAIN;
		return r;
	}
	s->half_sent = false;
	return sent;
}

bool tls_session_ready(const struct tls_session *s) {
	return s->ready;
}

bool tls_session_wants_write(const struct tls_session *s) {
	return s->wants_write;
}

bool tls_session_pending(const struct tls_session *s) {
	return s->ready && gnutls_record_check_pending(s->session) > 0;
}
