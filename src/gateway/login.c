/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include "login.h"

#define FORM_MAX 2048u

/*
 * A link with "#token=…" logs in by itself: what is behind '#' stays in the browser, so the token is in
 * no log on the way. The policy allows this very script and style, by their nonces.
 */
static const char page[] =
	"<!DOCTYPE html>\n"
	"<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Helix Scanout: log in</title>\n"
	"<meta name=\"viewport\" content=\"width=device-width\">\n"
	"<style nonce=\"%s\">body{font:1rem system-ui,sans-serif;background:#1d2025;color:#e8e8e8;"
	"display:grid;place-items:center;min-height:90vh}form{display:grid;gap:.8rem;width:22rem;"
	"max-width:90vw}input,button{font:inherit;padding:.5rem;border-radius:.3rem;"
	"border:1px solid #666}button{background:#2d6cdf;color:#fff}p{color:#ff9c9c}</style>\n"
	"</head><body><form method=\"post\" action=\"/login\"><h1>Desktops</h1>\n"
	"<label for=\"token\">Access token</label>\n"
	"<input id=\"token\" name=\"token\" type=\"password\" required autofocus "
	"autocomplete=\"current-password\">\n"
	"<button>Log in</button>%s</form>\n"
	"<script nonce=\"%s\">function link(){"
	"const t=new URLSearchParams(location.hash.slice(1)).get('token');"
	"if(t){history.replaceState(null,'',location.pathname);"
	"document.getElementById('token').value=t;document.forms[0].submit()}}"
	"addEventListener('hashchange',link);link()</script>\n"
	"</body></html>\n";

void login_answer_page(struct conn *c, unsigned status) {
	char text[sizeof(page) + 256], headers[512], nonce[HEX_SIZE(16)];
	uint8_t bytes[16];
	if (random_bytes(bytes, sizeof(bytes)) < 0) {
		conn_answer_text(c, 500, "There is no randomness.\n");
		return;
	}
	hex_encode(bytes, sizeof(bytes), nonce);
	int n = snprintf(text, sizeof(text), page, nonce,
		status == 401 ? "<p role=\"alert\">This token is not known here.</p>" : "", nonce);
	(void)snprintf(headers, sizeof(headers),
		"Cache-Control: no-store\r\n"
		"Content-Security-Policy: default-src 'none'; style-src 'nonce-%s'; "
		"script-src 'nonce-%s'; base-uri 'none'; form-action 'self'; "
		"frame-ancestors 'none'\r\n",
		nonce, nonce);
	conn_answer(c, status, "text/html; charset=utf-8", headers, text, (size_t)n);
}

static void format_cookie(
	const struct gateway *g, const char *value, unsigned seconds, char *to, size_t size) {
	(void)snprintf(to, size,
		"Cache-Control: no-store\r\n"
		"Set-Cookie: " AUTH_COOKIE "=%s; Path=/; Max-Age=%u; HttpOnly; SameSite=Lax%s\r\n",
		value, seconds, g->tls ? "; Secure" : "");
}

enum routed login_answer(struct conn *c, bool api) {
	char token[AUTH_TOKEN_MAX + 1], cookie[AUTH_COOKIE_SIZE], headers[AUTH_COOKIE_SIZE + 256];
	uint64_t length;
	size_t n;
	const char *form = conn_early(c, &n);
	if (http_content_length(&c->head, &length) < 0) {
		conn_answer_text(c, 411, "A form with its length is needed.\n");
		return ROUTED;
	}
	if (length > FORM_MAX) {
		conn_answer_text(c, 413, "That is too long for a token.\n");
		return ROUTED;
	}
	if (n < length) {
		return ROUTED_MORE;
	}
	struct http_text text = {form, (size_t)length};
	struct identity *who = NULL;
	if (http_query(text, "token", token, sizeof(token)) == 0) {
		who = auth_check_token(c->gateway->auth, token, strlen(token));
	}
	if (!who || who->role == ROLE_RUNNER) {
		if (api) {
			conn_answer_text(c, 401, "This token is not known here.\n");
		} else {
			login_answer_page(c, 401);
		}
		return ROUTED;
	}
	auth_make_cookie(c->gateway->auth, who, cookie);
	format_cookie(c->gateway, cookie, AUTH_COOKIE_SECONDS, headers, sizeof(headers));
	if (!api) {
		n = strlen(headers);
		(void)snprintf(headers + n, sizeof(headers) - n, "Location: /\r\n");
	}
	conn_answer(c, api ? 204 : 303, NULL, headers, NULL, 0);
	return ROUTED;
}

void logout_answer(struct conn *c, bool api) {
	char headers[512];
	format_cookie(c->gateway, "", 0, headers, sizeof(headers));
	if (!api) {
		size_t n = strlen(headers);
		(void)snprintf(headers + n, sizeof(headers) - n, "Location: /login\r\n");
	}
	conn_answer(c, api ? 204 : 303, NULL, headers, NULL, 0);
}
