/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages between exporter and renderer: what a check lets pass keeps its promises. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "renderer/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct render_message m;
	unsigned n_fds = size > 0 ? data[0] % (RENDER_MAX_FDS + 2) : 0;
	const uint8_t *message = size > 0 ? data + 1 : data;
	size -= size > 0;
	bool request = render_request_check(message, size, n_fds) == 0;
	bool reply = render_reply_check(message, size, n_fds) == 0;
	if (!request && !reply) {
		return 0;
	}
	if (size != sizeof(m) || (request && reply)) {
		abort();
	}
	memcpy(&m, message, sizeof(m));
	if (request &&
		(m.payload_size > RENDER_MAX_PAYLOAD ||
			(uint64_t)m.payload_offset + m.payload_size > RENDER_RING_SIZE ||
			strcmp(render_type_name(m.type), "?") == 0)) {
		abort();
	}
	if (reply && m.type == RENDER_HELLO && m.u.hello.n_capsets > RENDER_MAX_CAPSETS) {
		abort();
	}
	return 0;
}
