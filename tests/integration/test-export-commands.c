/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The device as a well-behaved front end and driver see it: sessions, rings, answers. */
#include <stdlib.h>
#include <unistd.h>

#include "exporter.h"
#include "test.h"
#include "util.h"

#define XRGB VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM
#define OK   VIRTIO_GPU_RESP_OK_NODATA

TEST(session_goes_through_all_states) {
	struct exporter e;
	exporter_start(&e, NULL);
	struct frontend *fe = exporter_connect(&e, NULL);
	check(fe->offered_features & FEATURE(32)); /* VIRTIO_F_VERSION_1 */
	check(fe->offered_features & FEATURE(VIRTIO_GPU_F_EDID));
	check(fe->protocol_features & FEATURE(VHOST_USER_PROTOCOL_F_REPLY_ACK));
	check(fe->protocol_features & FEATURE(VHOST_USER_PROTOCOL_F_CONFIG));
	check(fe->protocol_features & FEATURE(VHOST_USER_PROTOCOL_F_RESET_DEVICE));

	check_ok(frontend_start(fe));
	struct fake_screen *s;
	check_ok(fake_screen_create(fe, 0, 800, 600, XRGB, 2, GUEST_CONTIGUOUS, &s));
	check_int(fake_screen_flip(s, NULL, NULL), ==, OK);

	/* A pause keeps everything: the same resources go on being flipped. */
	for (int i = 0; i < 3; i++) {
		check_ok(frontend_stop(fe));
		check_ok(frontend_resume(fe));
		check_int(fake_screen_flip(s, NULL, NULL), ==, OK);
	}

	/* A reset keeps nothing: the resources' ids are free again. */
	uint32_t id = s->ids[0];
	check_ok(frontend_reset(fe));
	check_ok(frontend_start(fe));
	check_int(gpu_flush(fe, id, &(struct virtio_gpu_rect){0, 0, 8, 8}, true, NULL), ==,
		VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID);
	check_int(gpu_resource_create_2d(fe, id, XRGB, 800, 600), ==, OK);
	s->front = s->n_buffers;
	fake_screen_destroy(s);
	check_ok(frontend_stop(fe));
	frontend_destroy(fe);
	exporter_stop(&e);
}

TEST(session_works_without_protocol_features_of_newer_front_ends) {
	static const uint64_t sets[] = {
		FEATURE(VHOST_USER_PROTOCOL_F_CONFIG),
		FEATURE(VHOST_USER_PROTOCOL_F_REPLY_ACK),
		FEATURE(VHOST_USER_PROTOCOL_F_RESET_DEVICE) | FEATURE(VHOST_USER_PROTOCOL_F_MQ),
	};
	struct exporter e;
	exporter_start(&e, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
		struct frontend_options options = {.protocol_features = sets[i]};
		struct frontend *fe = exporter_start_guest(&e, &options);
		struct virtio_gpu_resp_display_info info;
		check_int(gpu_get_display_info(fe, &info), ==, VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
		check_ok(frontend_reset(fe));
		check_ok(frontend_start(fe));
		check_int(gpu_get_display_info(fe, &info), ==, VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
		frontend_destroy(fe);
	}
	exporter_stop(&e);
}

TEST(session_does_not_hang_on_a_mute_gpu_socket) {
	struct exporter e;
	exporter_start(&e, NULL);
	struct frontend_options options = {.mute_gpu_socket = true};
	struct frontend *fe = exporter_start_guest(&e, &options);
	struct virtio_gpu_resp_display_info info;
	check_int(gpu_get_display_info(fe, &info), ==, VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
	frontend_destroy(fe);
	exporter_stop(&e);
}

TEST(session_enables_a_ring_that_was_never_set_up) {
	/* Firmware has no cursor queue, and QEMU enables it all the same. */
	struct exporter e;
	exporter_start(&e, NULL);
	struct frontend *fe = exporter_connect(&e, NULL);
	fe->features = FEATURE(32) | FEATURE(VHOST_USER_F_PROTOCOL_FEATURES);
	check_ok(frontend_send(
		fe, VHOST_USER_SET_FEATURES, VHOST_USER_VERSION, &fe->features, 8, NULL, 0));
	check_ok(queue_setup(fe, FRONTEND_CONTROL));
	check_ok(frontend_send_memory(fe));
	check_ok(frontend_send_ring(fe, FRONTEND_CONTROL, 0));
	for (uint32_t i = 0; i < FRONTEND_QUEUES; i++) {
		struct vhost_user_vring_state state = {i, 1};
		check_ok(frontend_ack(
			fe, VHOST_USER_SET_VRING_ENABLE, &state, sizeof(state), NULL, 0));
	}
	uint64_t vring = FRONTEND_CONTROL;
	check_ok(frontend_send(fe, VHOST_USER_SET_VRING_CALL, VHOST_USER_VERSION, &vring, 8,
		&fe->queues[0].call_fd, 1));
	struct virtio_gpu_resp_display_info info;
	check_int(gpu_get_display_info(fe, &info), ==, VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
	frontend_destroy(fe);
	exporter_stop(&e);
}

/* Keeps the ring full of commands; each must be answered exactly once, in whatever order. */
static void check_many_in_flight(struct frontend *fe, unsigned n) {
	struct gpu_call **calls = calloc(n, sizeof(struct gpu_call *));
	struct virtio_gpu_ctrl_hdr request;
	unsigned submitted = 0, done = 0;
	check(calls);
	while (done < n) {
		int r = 0;
		while (submitted < n && r == 0) {
			uint64_t fence = submitted % 2 ? submitted : 0;
			gpu_header(&request, VIRTIO_GPU_CMD_GET_DISPLAY_INFO, fence);
			r = gpu_submit(fe, FRONTEND_CONTROL, &request, sizeof(request),
				sizeof(struct virtio_gpu_resp_display_info), 16, &calls[submitted]);
			submitted += r == 0;
		}
		check(r == 0 || r == -ENOSPC);
		gpu_kick(fe, FRONTEND_CONTROL);
		check_ok(gpu_wait(calls[done], FRONTEND_TIMEOUT_MS));
		check_int(gpu_call_type(calls[done]), ==, VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
		const struct virtio_gpu_ctrl_hdr *hdr =
			(const struct virtio_gpu_ctrl_hdr *)calls[done]->response;
		check_int(hdr->flags, ==, done % 2 ? VIRTIO_GPU_FLAG_FENCE : 0);
		check_int(hdr->fence_id, ==, done % 2 ? done : 0);
		gpu_call_destroy(calls[done++]);
	}
	free(calls);
	check_int(fe->queues[0].n_in_flight, ==, 0);
	check_int(fe->queues[0].n_free, ==, fe->queues[0].size);
	/* Nothing comes twice. */
	check_int(gpu_reap(fe, FRONTEND_CONTROL), ==, 0);
}

TEST(rings_of_every_kind_answer_each_command_once) {
	static const uint32_t sizes[] = {8, 64, 1024};
	struct exporter e;
	exporter_start(&e, NULL);
	for (unsigned flavour = 0; flavour < 4; flavour++) {
		uint64_t without = (flavour & 1 ? 0 : FEATURE(VIRTIO_RING_F_INDIRECT_DESC)) |
			(flavour & 2 ? 0 : FEATURE(VIRTIO_RING_F_EVENT_IDX));
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
			struct frontend_options options = {
				.features = FRONTEND_FEATURES_ALL & ~without,
				.queue_size = {sizes[i], 16}};
			struct frontend *fe = exporter_start_guest(&e, &options);
			check_int(fe->features & without, ==, 0);
			check_many_in_flight(fe, 3000);
			frontend_destroy(fe);
		}
	}
	exporter_stop(&e);
}

/* The 16-bit indices of a ring wrap; nothing must notice. */
TEST(rings_wrap_around) {
	struct exporter e;
	exporter_start(&e, NULL);
	struct frontend *fe = exporter_start_guest(&e, NULL);
	check_many_in_flight(fe, 70000);
	check_int(fe->queues[0].avail_idx, ==, (uint16_t)70000);
	check_ok(frontend_stop(fe));
	check_int(fe->bases[0], ==, (uint16_t)70000);
	check_ok(frontend_resume(fe));
	check_many_in_flight(fe, 100);
	frontend_destroy(fe);
	exporter_stop(&e);
}

TEST(display_info_and_edid_describe_the_outputs) {
	struct exporter e;
	static const char *const args[] = {"--max-outputs", "4", "--mode", "1920x1080@75", NULL};
	exporter_start(&e, args);
	struct frontend *fe = exporter_start_guest(&e, NULL);
	struct virtio_gpu_config config;
	check_ok(frontend_get_config(fe, &config));
	check_int(config.num_scanouts, ==, 4);
	check_int(config.num_capsets, ==, 0);

	struct virtio_gpu_resp_display_info info;
	check_int(gpu_get_display_info(fe, &info), ==, VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
	check_int(info.pmodes[0].enabled, ==, 1);
	check_int(info.pmodes[0].r.width, ==, 1920);
	check_int(info.pmodes[0].r.height, ==, 1080);
	for (int i = 1; i < 16; i++) {
		check_int(info.pmodes[i].enabled, ==, 0);
	}

	struct virtio_gpu_resp_edid edid;
	check_int(gpu_get_edid(fe, 0, &edid), ==, VIRTIO_GPU_RESP_OK_EDID);
	check_int(edid.size, >=, 128);
	check_int(edid.size % 128, ==, 0);
	static const uint8_t magic[8] = {0, 255, 255, 255, 255, 255, 255, 0};
	check(memcmp(edid.edid, magic, sizeof(magic)) == 0);
	for (uint32_t block = 0; block < edid.size / 128; block++) {
		uint8_t sum = 0;
		for (int i = 0; i < 128; i++) {
			sum = (uint8_t)(sum + edid.edid[128 * block + (uint32_t)i]);
		}
		check_int(sum, ==, 0);
	}
	check_int(gpu_get_edid(fe, 4, &edid), >=, VIRTIO_GPU_RESP_ERR_UNSPEC);
	check_int(gpu_get_edid(fe, UINT32_MAX, &edid), >=, VIRTIO_GPU_RESP_ERR_UNSPEC);
	frontend_destroy(fe);
	exporter_stop(&e);
}

TEST(commands_have_the_errors_of_the_specification) {
	const struct virtio_gpu_rect r64 = {0, 0, 64, 64};
	struct exporter e;
	exporter_start(&e, NULL);
	struct frontend *fe = exporter_start_guest(&e, NULL);
	struct guest_buffer *b;
	check_ok(guest_buffer_create(fe, 64 * 64 * 4, GUEST_CONTIGUOUS, &b));

	check_int(gpu_resource_create_2d(fe, 0, XRGB, 64, 64), ==,
		VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID);
	check_int(gpu_resource_create_2d(fe, 7, XRGB, 64, 64), ==, OK);
	check_int(gpu_resource_create_2d(fe, 7, XRGB, 64, 64), ==,
		VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID);
	check_int(gpu_resource_create_2d(fe, 8, 5, 64, 64), ==,
		VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER);
	check_int(gpu_resource_create_2d(fe, 8, XRGB, 0, 64), ==,
		VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER);
	check_int(gpu_resource_attach_backing(fe, 8, b->pieces, 1), ==,
		VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID);
	check_int(gpu_resource_attach_backing(fe, 7, b->pieces, 1), ==, OK);
	check_int(gpu_resource_attach_backing(fe, 7, b->pieces, 1), >=, VIRTIO_GPU_RESP_ERR_UNSPEC);
	check_int(gpu_set_scanout(fe, 16, 7, &r64), ==, VIRTIO_GPU_RESP_ERR_INVALID_SCANOUT_ID);
	check_int(gpu_set_scanout(fe, 0, 8, &r64), ==, VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID);
	check_int(gpu_set_scanout(fe, 0, 7, &(struct virtio_gpu_rect){0, 0, 65, 64}), ==,
		VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER);
	check_int(gpu_set_scanout(fe, 0, 7, &r64), ==, OK);
	check_int(gpu_transfer(fe, 7, &r64, 0), ==, OK);
	check_int(gpu_flush(fe, 7, &r64, true, NULL), ==, OK);
	check_int(gpu_flush(fe, 7, &(struct virtio_gpu_rect){1, 0, 64, 64}, true, NULL), ==,
		VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER);
	check_int(gpu_resource_detach_backing(fe, 7), ==, OK);
	check_int(gpu_resource_detach_backing(fe, 7), >=, VIRTIO_GPU_RESP_ERR_UNSPEC);
	check_int(gpu_resource_unref(fe, 7), ==, OK);
	check_int(gpu_resource_unref(fe, 7), ==, VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID);

	/* Unknown commands, and known ones on the other queue, get an error and no silence. */
	struct virtio_gpu_ctrl_hdr request, response;
	gpu_header(&request, 0x01ff, 0);
	check_int(gpu_command(fe, FRONTEND_CONTROL, &request, sizeof(request), &response,
			  sizeof(response)),
		==, VIRTIO_GPU_RESP_ERR_UNSPEC);
	gpu_header(&request, VIRTIO_GPU_CMD_GET_DISPLAY_INFO, 0);
	check_int(gpu_command(fe, FRONTEND_CURSOR, &request, sizeof(request), &response,
			  sizeof(response)),
		==, VIRTIO_GPU_RESP_ERR_UNSPEC);

	guest_buffer_destroy(b);
	frontend_destroy(fe);
	exporter_stop(&e);
}

TEST(cursor_commands_are_answered) {
	struct exporter e;
	exporter_start(&e, NULL);
	struct frontend *fe = exporter_start_guest(&e, NULL);
	struct guest_buffer *b;
	check_ok(guest_buffer_create(fe, 64 * 64 * 4, GUEST_SCATTERED, &b));
	check_int(gpu_resource_create_2d(fe, 9, VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM, 64, 64), ==, OK);
	check_int(gpu_resource_attach_backing(fe, 9, b->pieces, b->n_pieces), ==, OK);
	check_int(gpu_update_cursor(fe, 0, 9, 100, 100, 4, 4), ==, OK);
	for (uint32_t i = 0; i < 100; i++) {
		check_int(gpu_move_cursor(fe, 0, i, 2 * i), ==, OK);
	}
	check_int(gpu_update_cursor(fe, 0, 0, 0, 0, 0, 0), ==, OK);
	guest_buffer_destroy(b);
	frontend_destroy(fe);
	exporter_stop(&e);
}

TEST(a_second_front_end_is_turned_away_and_the_first_goes_on) {
	struct exporter e;
	exporter_start(&e, NULL);
	struct frontend *first = exporter_start_guest(&e, NULL), *second;
	struct virtio_gpu_resp_display_info info;
	check_int(frontend_connect(e.socket_path, NULL, &second), <, 0);
	check_int(gpu_get_display_info(first, &info), ==, VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
	frontend_destroy(first);
	exporter_check_serves(&e);
	exporter_stop(&e);
}

TEST(a_front_end_that_dies_is_followed_by_the_next_at_once) {
	struct exporter e;
	exporter_start(&e, NULL);
	for (int i = 0; i < 200; i++) {
		struct frontend *fe = exporter_connect(&e, NULL);
		frontend_destroy(fe);
	}
	exporter_check_serves(&e);
	exporter_stop(&e);
}
