/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "test.h"
#include "util.h"
#include "ws-client.h"

#define KEY    "dGhlIHNhbXBsZSBub25jZQ==" /* RFC 6455, section 1.3 */
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

#define READ_SLOWLY 1024u /* bytes at once, of one who reads at a given rate */

int tcp_open(uint16_t port, int receive_buffer) {
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	check(fd >= 0);
	if (receive_buffer) {
		(void)setsockopt(
			fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	check_int(connect(fd, (struct sockaddr *)&address, sizeof(address)), ==, 0);
	return fd;
}

void ws_send_raw(struct ws_client *c, const void *data, size_t size) {
	const uint8_t *p = data;
	while (size > 0) {
		ssize_t n = send(c->fd, p, size, MSG_NOSIGNAL);
		if (n < 0) {
			check(errno == EPIPE || errno == ECONNRESET); /* it closed, and may */
			return;
		}
		p += n;
		size -= (size_t)n;
	}
}

/* More bytes into `in`: 1; 0 at the time limit; -1: the connection ended. */
static int fill(struct ws_client *c, uint64_t until) {
	struct pollfd p = {c->fd, POLLIN, 0};
	(void)poll(NULL, 0, ms_until(MIN(c->next_read_ns, until)));
	if (c->next_read_ns > until || poll(&p, 1, ms_until(until)) == 0) {
		return 0;
	}
	if (c->in_capacity - c->in_size < 65536) {
		c->in_capacity = 2 * c->in_capacity + 131072;
		c->in = realloc(c->in, c->in_capacity);
		check(c->in);
	}
	size_t size = c->in_capacity - c->in_size;
	if (c->bytes_per_s) {
		size = MIN(size, READ_SLOWLY);
	}
	ssize_t n = recv(c->fd, c->in + c->in_size, size, 0);
	if (n <= 0) {
		return -1;
	}
	if (c->bytes_per_s) {
		c->next_read_ns = now_ns() + (uint64_t)n * NSEC_PER_SEC / c->bytes_per_s;
	}
	c->in_size += (size_t)n;
	return 1;
}

static void drop(struct ws_client *c, size_t n) {
	c->in_size -= n;
	memmove(c->in, c->in + n, c->in_size);
}

static bool handshake(struct ws_client *c, uint16_t port, const char *path, const char *headers) {
	char text[2048];
	const uint8_t *end = NULL;
	int n = snprintf(text, sizeof(text),
		"GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUpgrade: websocket\r\n"
		"Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: " KEY "\r\n"
		"Sec-WebSocket-Version: 13\r\n%s\r\n",
		path, port, headers ? headers : "");
	ws_send_raw(c, text, (size_t)n);
	uint64_t until = now_ns() + 10 * NSEC_PER_SEC;
	while (!end) {
		check_int(fill(c, until), ==, 1);
		end = memmem(c->in, c->in_size, "\r\n\r\n", 4);
	}
	size_t size = (size_t)(end - c->in) + 4;
	check_int(sscanf((const char *)c->in, "HTTP/1.1 %d ", &c->status), ==, 1);
	bool good = c->status == 101;
	check(!good || memmem(c->in, size, "Sec-WebSocket-Accept: " ACCEPT "\r\n", 52));
	drop(c, size);
	return good;
}

bool ws_open(struct ws_client *c, uint16_t port, const char *path, const char *headers) {
	*c = (struct ws_client){.fd = tcp_open(port, 0)};
	return handshake(c, port, path, headers);
}

bool ws_open_small(struct ws_client *c, uint16_t port, const char *path, int receive_buffer) {
	*c = (struct ws_client){.fd = tcp_open(port, receive_buffer)};
	return handshake(c, port, path, NULL);
}

void ws_close(struct ws_client *c) {
	c->fd = close_fd(c->fd);
	free(c->in);
	c->in = NULL;
}

size_t ws_frame(uint8_t *to, unsigned first_byte, const void *data, size_t size) {
	static const uint8_t mask[4] = {0x12, 0x34, 0x56, 0x78};
	const uint8_t *from = data;
	size_t n = 0;
	to[n++] = (uint8_t)first_byte;
	if (size < 126) {
		to[n++] = (uint8_t)(0x80 | size);
	} else if (size < 65536) {
		to[n++] = 0x80 | 126;
		to[n++] = (uint8_t)(size >> 8);
		to[n++] = (uint8_t)size;
	} else {
		to[n++] = 0x80 | 127;
		for (int shift = 56; shift >= 0; shift -= 8) {
			to[n++] = (uint8_t)((uint64_t)size >> shift);
		}
	}
	memcpy(to + n, mask, 4);
	n += 4;
	for (size_t i = 0; i < size; i++) {
		to[n++] = from[i] ^ mask[i % 4];
	}
	return n;
}

void ws_send(struct ws_client *c, unsigned opcode, const void *data, size_t size) {
	uint8_t *frame = malloc(size + 14);
	check(frame);
	ws_send_raw(c, frame, ws_frame(frame, 0x80 | opcode, data, size));
	free(frame);
}

void ws_send_text(struct ws_client *c, const char *text) {
	ws_send(c, OP_TEXT, text, strlen(text));
}

void ws_send_init(struct ws_client *c, const char *more) {
	char text[1024];
	(void)snprintf(text, sizeof(text),
		"{\"type\":\"init\",\"width\":640,\"height\":480,\"fps\":60%s%s}", more ? "," : "",
		more ? more : "");
	ws_send_text(c, text);
}

/* The size of the frame at the front with its head, if all of it is there; else 0. */
static size_t whole_frame(const struct ws_client *c, size_t *ret_head) {
	size_t head = 2, size;
	if (c->in_size < 2) {
		return 0;
	}
	check_int(c->in[0] & 0xF0, ==, 0x80); /* one frame a message, no extensions */
	check_int(c->in[1] & 0x80, ==, 0);    /* a server does not mask */
	size = c->in[1];
	if (size >= 126) {
		head += size == 126 ? 2 : 8;
		if (c->in_size < head) {
			return 0;
		}
		size = 0;
		for (size_t i = 2; i < head; i++) {
			size = size << 8 | c->in[i];
		}
		check_int(size, <, 64 << 20);
	}
	*ret_head = head;
	return c->in_size >= head + size ? head + size : 0;
}

bool ws_receive(struct ws_client *c, struct ws_message *ret, unsigned timeout_ms) {
	static uint8_t *last; /* of the message given out */
	uint64_t until = now_ns() + timeout_ms * NSEC_PER_MSEC;
	size_t head, size;
	free(last);
	last = NULL;
	while ((size = whole_frame(c, &head)) == 0) {
		int r = fill(c, until);
		if (r < 0) {
			*ret = (struct ws_message){.opcode = OP_CLOSE, .close_code = 1006};
			return true;
		}
		if (r == 0) {
			return false;
		}
	}
	last = malloc(size);
	check(last);
	memcpy(last, c->in, size);
	drop(c, size);
	*ret = (struct ws_message){
		.opcode = last[0] & 0x0F, .data = last + head, .size = size - head};
	if (ret->opcode == OP_CLOSE && ret->size >= 2) {
		ret->close_code = (unsigned)(ret->data[0] << 8 | ret->data[1]);
	}
	if (ret->opcode == OP_PING && !c->mute) {
		ws_send(c, OP_PONG, ret->data, ret->size);
	}
	return true;
}

void ws_expect(struct ws_client *c, uint8_t type, struct ws_message *ret, unsigned timeout_ms) {
	uint64_t until = now_ns() + timeout_ms * NSEC_PER_MSEC;
	while (now_ns() < until && ws_receive(c, ret, timeout_ms)) {
		if (ret->opcode == OP_BINARY && ret->size > 0 && ret->data[0] == type) {
			return;
		}
		if (ret->opcode == OP_CLOSE) {
			fail("closed with %u instead of message 0x%02x", ret->close_code, type);
		}
	}
	fail("no message 0x%02x within %u ms", type, timeout_ms);
}

unsigned ws_expect_close(struct ws_client *c, unsigned timeout_ms) {
	struct ws_message m;
	uint64_t until = now_ns() + timeout_ms * NSEC_PER_MSEC;
	while (now_ns() < until && ws_receive(c, &m, timeout_ms)) {
		if (m.opcode == OP_CLOSE) {
			return m.close_code;
		}
	}
	fail("not closed within %u ms", timeout_ms);
}
