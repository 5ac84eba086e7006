/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What others find us by: entries of the udev database, which libinput wants of a device before it
 * looks at it, and the token of the input set. Files are replaced in one piece.
 */
#ifndef HELIX_LOGIND_STUB_STATE_FILES_H
#define HELIX_LOGIND_STUB_STATE_FILES_H

#include <stdint.h>
#include <sys/types.h>

/* Replaces `path`; the directory must be there. */
int state_file_write(const char *path, const char *text, mode_t mode);

/*
 * The entry of a character device: `properties` are lines such as "ID_INPUT=1"; it gets the tag
 * `seat`. Directories below `dir` are made.
 */
int udev_entry_write(const char *dir, uint32_t major, uint32_t minor, const char *properties);
void udev_entry_remove(const char *dir, uint32_t major, uint32_t minor);
/* Removes all entries that somebody like us wrote and, killed, left behind. */
void udev_entries_clean(const char *dir);

#endif
