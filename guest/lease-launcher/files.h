/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the launcher leaves for others to read, and takes away again: files of the lease in the
 * runtime directory, and what a container without udevd lacks for the card to be found.
 */
#ifndef HELIX_LAUNCHER_FILES_H
#define HELIX_LAUNCHER_FILES_H

#include <stdbool.h>
#include <sys/types.h>

#include <helix/lease.h>

#define FILE_SCANOUT_ID  "helix-scanout-id"  /* decimal */
#define FILE_LEASE_TOKEN "helix-lease-token" /* 64 hexadecimal digits */
#define FILE_EXPORTER    "helix-exporter"    /* HOST:PORT */

/* Whole or not at all; no newline is added. */
int file_write(const char *dir, const char *name, mode_t mode, const char *text);

/* Those of a lease. `extended`: there are a token and an exporter. */
int lease_files_write(const char *dir, const struct lease_ext_reply *about, bool extended);
void lease_files_remove(const char *dir);

/* What we made of the udev database, and nothing that was there before. */
struct udev_files {
	char dir[128];
	char device[32]; /* "c226:0" */
	bool made_entry, made_tag, made_control;
};

/*
 * Compositors find cards by libudev, and that by nothing but the index of the tag `seat`; without
 * the file `control` it takes it that nobody will ever tell of a hot-plug. What is missing of entry,
 * index and `control` is made. On failure `*ret` says what was made before.
 */
int udev_files_make(const char *dir, dev_t card, struct udev_files *ret);
void udev_files_remove(struct udev_files *files);

#endif
