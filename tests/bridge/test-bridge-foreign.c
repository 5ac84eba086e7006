/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The bridge on an exporter of somebody else: without our extensions, and with a bare SPS. */
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#include "bytes.h"
#include "proto/h264-sps.h"
#include "proto/ws-messages.h"
#include "rig.h"
#include "test.h"
#include "util.h"

#define TIMEOUT_MS 10000
#define HEADER     12u
#define SAMPLES    384u /* of one macroblock, 4:2:0 */

/* Baseline, level 1.0, 16x16, no VUI; one macroblock I_PCM, all grey. */
static const uint8_t head[] = {0, 0, 0, 1, 0x67, 0x42, 0x00, 0x0a, 0xda, 0x79, 0, 0, 0, 1, 0x68,
	0xce, 0x38, 0x80, 0, 0, 0, 1, 0x65, 0x88, 0x84, 0x86, 0x80};

static int listen_any(uint16_t *ret_port) {
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	check(fd >= 0 && bind(fd, (struct sockaddr *)&address, size) == 0 && listen(fd, 4) == 0 &&
		getsockname(fd, (struct sockaddr *)&address, &size) == 0);
	*ret_port = ntohs(address.sin_port);
	return fd;
}

static void say(int fd, uint8_t type, const uint8_t *payload, size_t size) {
	uint8_t header[HEADER] = {'H', 'X', 'F', 'R', type};
	put_le32(header + 8, (uint32_t)size);
	check_int(send(fd, header, HEADER, MSG_NOSIGNAL), ==, HEADER);
	check_int(send(fd, payload, size, MSG_NOSIGNAL), ==, (ssize_t)size);
}

/* Reads on until the bridge subscribes; what else it wants is not known here. */
static int serve_until_subscribed(int listener) {
	uint8_t header[HEADER], payload[256];
	struct pollfd p = {listener, POLLIN, 0};
	check_int(poll(&p, 1, TIMEOUT_MS), ==, 1);
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	check(fd >= 0);
	do {
		check_int(recv(fd, header, HEADER, MSG_WAITALL), ==, HEADER);
		uint32_t size = get_le32(header + 8);
		check_int(size, <=, sizeof(payload));
		check_int(recv(fd, payload, size, MSG_WAITALL), ==, size);
	} while (header[4] != 0x30);
	memcpy(payload + 4, "\1\0\0\0", 4);
	say(fd, 0x31, payload, 8);
	return fd;
}

static void send_keyframe(int fd) {
	uint8_t payload[28 + sizeof(head) + SAMPLES + 1] = {[0] = 1, [16] = 1, [20] = 1};
	uint8_t *at = payload + 28;
	put_le32(payload + 24, sizeof(head) + SAMPLES + 1);
	memcpy(at, head, sizeof(head));
	memset(at + sizeof(head), 0x80, SAMPLES + 1); /* the last one is the stop bit */
	say(fd, 0x02, payload, sizeof(payload));
}

TEST(bare_parameter_set) {
	struct rig r;
	struct ws_client c;
	struct ws_message m;
	struct ws_video_frame frame;
	struct decoded picture = {0};
	uint16_t port;
	struct h264_nal nal;
	size_t pos = 0;
	int listener = listen_any(&port);
	rig_start_on(&r, port, 0, NULL);
	check(ws_open(&c, r.port, "/ws/stream", NULL));
	ws_send_init(&c, NULL);
	int fd = serve_until_subscribed(listener);
	send_keyframe(fd);
	ws_expect(&c, WS_VIDEO_FRAME, &m, TIMEOUT_MS);
	check_int(ws_decode_video_frame(m.data, m.size, &frame), ==, WS_VIDEO_FRAME_SIZE);
	const uint8_t *au = m.data + WS_VIDEO_FRAME_SIZE;
	size_t size = m.size - WS_VIDEO_FRAME_SIZE;

	/* The promise is there, and what follows is as it was. */
	check(h264_next_nal(au, size, &pos, &nal) && nal.type == H264_NAL_SPS);
	check_int(nal.data[2] & 0x10, ==, 0x10);
	check_int(nal.size, >, 6);
	check_int(size, ==, sizeof(head) + SAMPLES + 1 + nal.size - 6);
	check_int(memcmp(nal.data + nal.size, head + 10, sizeof(head) - 10), ==, 0);
	struct decoder *decoder = decode_create();
	check(decoder);
	check_ok(decode_feed(decoder, au, size, &picture));
	check_int(picture.width, ==, 16);
	check_int(picture.height, ==, 16);
	decode_destroy(decoder);
	ws_close(&c);
	(void)close(fd);
	(void)close(listener);
	rig_stop(&r);
}
