/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "log.h"
#include "stub.h"

LOG_MODULE("stub");

/* Linux's devices.txt: DRM has major 226; the first card is minor 0. */
#define DRM_MAJOR 226u

static int add_card(struct stub *stub, const char *path, int lease_fd) {
	struct stat st;
	uint32_t card_major = DRM_MAJOR, card_minor = 0;
	if (stat(path, &st) == 0 && S_ISCHR(st.st_mode)) {
		card_major = major(st.st_rdev);
		card_minor = minor(st.st_rdev);
	} else {
		log_warn("%s is no device node: compositors may not find it; it is taken for %u:%u",
			path, card_major, card_minor);
	}
	if (fstat(lease_fd, &st) < 0 || !S_ISCHR(st.st_mode) || major(st.st_rdev) != card_major) {
		log_warn("descriptor %d is not of a device as %s is", lease_fd, path);
	}
	return devices_add(&stub->devices, DEVICE_CARD, card_major, card_minor, path, lease_fd);
}

static void add_input(struct stub *stub, const struct stub_config *config) {
	struct input_config input = {
		.socket = config->input_socket,
		.udev_dir = config->udev_dir,
		.runtime_dir = config->runtime_dir,
	};
	int r = input_create(stub->loop, &stub->session, &input, &stub->input);
	if (r < 0) {
		log_warn_errno(r, "%s: this desktop has no input devices", input.socket);
	}
}

static int add_faces(struct stub *stub, const struct stub_config *config, void (*ready)(void *data),
	void *data) {
	int r = 0;
	if (config->seatd_socket) {
		r = seatd_listen(&stub->seatd, config->seatd_socket);
		if (r < 0) {
			log_err_errno(r, "cannot listen at %s", config->seatd_socket);
			return r;
		}
	}
	if (config->bus_fd >= 0) {
		r = bus_face_init_peer(&stub->bus, stub->loop, &stub->session, config->bus_fd);
	} else if (config->bus) {
		r = bus_face_init(&stub->bus, stub->loop, &stub->session, config->bus);
		stub->bus.ready = ready;
		stub->bus.ready_data = data;
	}
	if (r < 0) {
		log_err_errno(r, "cannot reach the bus%s%s", config->bus ? " " : "",
			config->bus ? config->bus : "");
	} else if (ready && !stub->bus.ready) {
		ready(data);
	}
	return r;
}

int stub_init(struct stub *stub, sd_event *loop, const struct stub_config *config,
	void (*ready)(void *data), void *data) {
	*stub = (struct stub){.loop = sd_event_ref(loop)};
	devices_init(&stub->devices);
	session_init(&stub->session, &stub->devices);
	(void)snprintf(
		stub->session.user_name, sizeof(stub->session.user_name), "%s", config->user_name);
	stub->session.uid = config->uid;
	stub->session.gid = config->gid;
	stub->session.leader = getpid();
	stub->session.desktop = config->desktop ? config->desktop : "";
	stub->session.runtime_dir = config->runtime_dir ? config->runtime_dir : "";
	seatd_init(&stub->seatd, loop, &stub->session);

	int r = add_card(stub, config->card, config->lease_fd);
	if (r >= 0 && config->control_fd >= 0) {
		r = control_line_init(&stub->control, loop, &stub->session, config->control_fd);
		if (r < 0) {
			log_err_errno(r, "the supervisor's descriptor is of no use");
		}
	}
	if (r >= 0 && config->input_socket) {
		add_input(stub, config);
	}
	return r < 0 ? r : add_faces(stub, config, ready, data);
}

void stub_finish(struct stub *stub) {
	if (!stub->loop) {
		return;
	}
	seatd_finish(&stub->seatd);
	bus_face_finish(&stub->bus);
	input_destroy(stub->input);
	control_line_finish(&stub->control);
	devices_finish(&stub->devices);
	stub->loop = sd_event_unref(stub->loop);
}
