/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Logging in with a token, for which a browser gets a cookie. */
#ifndef HELIX_GATEWAY_LOGIN_H
#define HELIX_GATEWAY_LOGIN_H

#include "conn.h"

/* GET /login */
void login_answer_page(struct conn *c, unsigned status);
/* POST /login and /api/v1/login: a form with `token`. ROUTED_MORE: it is not all there. */
enum routed login_answer(struct conn *c, bool api);
void logout_answer(struct conn *c, bool api);

#endif
