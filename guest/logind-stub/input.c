/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The only file that knows the input manager's client library. When the connection ends (the
 * manager was restarted) the devices are gone, and a new set is asked for, with growing pauses.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "input-client.h"
#include "input.h"
#include "log.h"
#include "state-files.h"

LOG_MODULE("input");

/* At start the compositor waits for us anyhow; later on the session must not stand still. */
#define CREATE_TIMEOUT_MS   5000u
#define RECREATE_TIMEOUT_MS 1000u
#define RETRY_FIRST_US      UINT64_C(500000)
#define RETRY_MAX_US        UINT64_C(30000000)

struct input {
	sd_event *loop;
	struct session *session;
	char *socket, *udev_dir;
	char *token_path; // may be NULL
	struct input_set set;
	sd_event_source *io;    // of set.connection; may be NULL
	sd_event_source *timer; // of the next attempt; may be NULL
	uint64_t retry_us;
	bool warned;
};

static void write_token(const struct input *input) {
	char text[2 * INPUT_TOKEN_SIZE + 1];
	for (size_t i = 0; i < INPUT_TOKEN_SIZE; i++) {
		(void)snprintf(text + 2 * i, 3, "%02x", input->set.token[i]);
	}
	int r = input->token_path ? state_file_write(input->token_path, text, 0600) : 0;
	if (r < 0) {
		log_warn_errno(
			r, "%s: the bridge will not find the input devices", input->token_path);
	}
}

static void add_device(struct input *input, struct input_device *device) {
	const struct input_entry *about = &device->about;
	char path[DEVICE_PATH_MAX];
	(void)snprintf(path, sizeof(path), "/dev/input/%s", about->sysname);
	int fd = take_fd(&device->fd);
	int r = devices_add(
		input->session->devices, DEVICE_INPUT, about->major, about->minor, path, fd);
	if (r < 0) {
		log_warn_errno(r, "%s cannot be used", path);
		return;
	}
	r = udev_entry_write(input->udev_dir, about->major, about->minor, about->properties);
	if (r < 0) {
		log_warn_errno(r, "%s: no entry for %s: compositors will not find it",
			input->udev_dir, path);
	}
	log_info("%s is this desktop's", path);
}

static void drop_set(struct input *input) {
	const struct devices *d = input->session->devices;
	for (unsigned i = 0; i < d->n; i++) {
		if (d->entries[i].kind == DEVICE_INPUT) {
			udev_entry_remove(
				input->udev_dir, d->entries[i].major, d->entries[i].minor);
		}
	}
	session_drop_input(input->session);
	if (input->token_path) {
		(void)unlink(input->token_path);
	}
	input->io = sd_event_source_disable_unref(input->io);
	input_set_finish(&input->set);
}

static int handle_retry(sd_event_source *source, uint64_t usec, void *data);

static void retry_later(struct input *input) {
	input->timer = sd_event_source_disable_unref(input->timer);
	int r = sd_event_add_time_relative(input->loop, &input->timer, CLOCK_MONOTONIC,
		input->retry_us, 0, handle_retry, input);
	if (r < 0) {
		log_warn_errno(r, "no new input devices");
	}
	input->retry_us = MIN(2 * input->retry_us, RETRY_MAX_US);
}

static int handle_gone(sd_event_source *source, int fd, uint32_t events, void *data) {
	struct input *input = data;
	log_warn("the input devices are gone");
	drop_set(input);
	retry_later(input);
	return 0;
}

static int create_set(struct input *input, unsigned timeout_ms) {
	char error[INPUT_ERROR_SIZE] = "";
	char name[HOST_NAME_MAX + 1] = "";
	(void)gethostname(name, sizeof(name) - 1);
	struct input_wish wish = {.socket = input->socket, .name = name, .timeout_ms = timeout_ms};
	int r = input_set_create(&wish, &input->set, error);
	if (r < 0) {
		input->set.connection = -1;
		/* Once: it may be that there is no manager, and never will be. */
		log_write(input->warned ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARN, log_module, 0,
			"no input devices for this desktop: %s", error);
		input->warned = true;
		return r;
	}
	/* The manager says nothing more: whatever happens on it is its end. */
	r = sd_event_add_io(
		input->loop, &input->io, input->set.connection, EPOLLIN, handle_gone, input);
	if (r < 0) {
		input_set_finish(&input->set);
		return r;
	}
	for (unsigned i = 0; i < input->set.n_devices; i++) {
		add_device(input, &input->set.devices[i]);
	}
	write_token(input);
	input->retry_us = RETRY_FIRST_US;
	input->warned = false;
	return 0;
}

static int handle_retry(sd_event_source *source, uint64_t usec, void *data) {
	struct input *input = data;
	if (create_set(input, RECREATE_TIMEOUT_MS) < 0) {
		retry_later(input);
	}
	return 0;
}

int input_create(sd_event *loop, struct session *session, const struct input_config *config,
	struct input **ret) {
	char token_path[PATH_MAX];
	struct input *input = calloc(1, sizeof(*input));
	if (!input) {
		return -ENOMEM;
	}
	input->loop = loop;
	input->session = session;
	input->set.connection = -1;
	input->retry_us = RETRY_FIRST_US;
	input->socket = strdup(config->socket);
	input->udev_dir = strdup(config->udev_dir);
	if (config->runtime_dir) {
		(void)snprintf(token_path, sizeof(token_path), "%s/" INPUT_TOKEN_FILE,
			config->runtime_dir);
		input->token_path = strdup(token_path);
	}
	if (!input->socket || !input->udev_dir || (config->runtime_dir && !input->token_path)) {
		input_destroy(input);
		return -ENOMEM;
	}
	udev_entries_clean(input->udev_dir);
	if (create_set(input, CREATE_TIMEOUT_MS) < 0) {
		retry_later(input);
	}
	*ret = input;
	return 0;
}

void input_destroy(struct input *input) {
	if (!input) {
		return;
	}
	input->timer = sd_event_source_disable_unref(input->timer);
	drop_set(input);
	free(input->socket);
	free(input->udev_dir);
	free(input->token_path);
	free(input);
}
