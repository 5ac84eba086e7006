/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "checks.h"
#include "files.h"
#include "test.h"
#include "util.h"

static char dir[64];

static const char *in_dir(const char *name) {
	static char path[256];
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void make_dir(void) {
	(void)snprintf(dir, sizeof(dir), "/tmp/helix-files-XXXXXX");
	check(mkdtemp(dir));
}

static void check_content(const char *name, const char *wanted, mode_t mode) {
	char text[256] = "";
	struct stat st;
	int fd = open(in_dir(name), O_RDONLY | O_CLOEXEC);
	check(fd >= 0);
	check(read(fd, text, sizeof(text) - 1) >= 0);
	check(fstat(fd, &st) == 0);
	(void)close(fd);
	check_str(text, wanted);
	check_int(st.st_mode & 0777, ==, mode);
}

static bool exists(const char *name) {
	return access(in_dir(name), F_OK) == 0;
}

TEST(files_of_a_lease) {
	struct lease_ext_reply about = {.scanout = 17, .exporter = "[::1]:15937"};
	memset(about.token, 0x5f, sizeof(about.token));
	make_dir();
	(void)umask(0077);
	check_ok(lease_files_write(dir, &about, true));
	check_content(FILE_SCANOUT_ID, "17", 0644);
	check_content(FILE_LEASE_TOKEN,
		"5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f", 0600);
	check_content(FILE_EXPORTER, "[::1]:15937", 0644);
	/* A lease of an older manager has no token: the one of before must not stay. */
	about.scanout = 2;
	check_ok(lease_files_write(dir, &about, false));
	check_content(FILE_SCANOUT_ID, "2", 0644);
	check(!exists(FILE_LEASE_TOKEN));
	check(!exists(FILE_EXPORTER));
	lease_files_remove(dir);
	check(!exists(FILE_SCANOUT_ID));
	check(rmdir(dir) == 0);
}

/* Somebody put a link where our file goes: what it points to is not written. */
TEST(links_are_not_followed) {
	make_dir();
	int fd = open(in_dir("target"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	(void)close(fd);
	char target[256];
	(void)snprintf(target, sizeof(target), "%s", in_dir("target"));
	check(symlink(target, in_dir("x.new")) == 0);
	check(symlink(target, in_dir("x")) == 0);
	check_ok(file_write(dir, "x", 0644, "text"));
	check_content("target", "", 0600);
	check_content("x", "text", 0644);
	(void)unlink(in_dir("x"));
	(void)unlink(target);
	check(rmdir(dir) == 0);
	check_int(file_write(dir, "x", 0644, "text"), ==, -ENOENT);
}

TEST(udev_entry_and_index) {
	struct udev_files files;
	make_dir();
	check_ok(udev_files_make(dir, makedev(226, 3), &files));
	check_content("data/c226:3", "G:seat\nQ:seat\nV:1\n", 0644);
	check_content("tags/seat/c226:3", "", 0644);
	check_content("control", "", 0644);
	udev_files_remove(&files);
	check(!exists("data/c226:3"));
	check(!exists("tags/seat/c226:3"));
	check(!exists("control"));
	/* Again is nothing, and takes nothing away. */
	udev_files_remove(&files);
	check(rmdir(in_dir("tags/seat")) == 0);
	check(rmdir(in_dir("tags")) == 0);
	check(rmdir(in_dir("data")) == 0);
	check(rmdir(dir) == 0);
}

TEST(udev_entries_of_others_stay) {
	struct udev_files files;
	make_dir();
	check(mkdir(in_dir("data"), 0700) == 0);
	check_ok(file_write(dir, "data/c226:0", 0644, "G:seat\nE:ID_X=1\n"));
	check_ok(udev_files_make(dir, makedev(226, 0), &files));
	/* The index was what was missing. */
	check(exists("tags/seat/c226:0"));
	udev_files_remove(&files);
	check(!exists("tags/seat/c226:0"));
	check_content("data/c226:0", "G:seat\nE:ID_X=1\n", 0644);
	(void)unlink(in_dir("data/c226:0"));
	(void)rmdir(in_dir("tags/seat"));
	(void)rmdir(in_dir("tags"));
	(void)rmdir(in_dir("data"));
	check(rmdir(dir) == 0);
	check(udev_files_make("/proc/nowhere", makedev(226, 0), &files) < 0);
	udev_files_remove(&files);
}

TEST(runtime_dir_is_made_and_mended) {
	struct report r = {0};
	struct stat st;
	make_dir();
	char path[256];
	(void)snprintf(path, sizeof(path), "%s", in_dir("run"));
	check_runtime_dir(&r, path);
	check(stat(path, &st) == 0);
	check_int(st.st_mode & 0777, ==, 0700);
	check(chmod(path, 0755) == 0);
	check_runtime_dir(&r, path);
	check(stat(path, &st) == 0);
	check_int(st.st_mode & 0777, ==, 0700);
	check_int(r.problems, ==, 0);
	check(rmdir(path) == 0);

	check_runtime_dir(&r, "/proc/nowhere/run");
	check_int(r.problems, ==, 1);
	char name[128];
	memset(name, 'a', sizeof(name) - 1);
	name[0] = '/';
	name[sizeof(name) - 1] = '\0';
	check_runtime_dir(&r, name);
	check_int(r.problems, ==, 2);
	if (geteuid() == 0) {
		check(mkdir(path, 0700) == 0);
		check(chown(path, 12345, 12345) == 0);
		check_runtime_dir(&r, path);
		check_int(r.problems, ==, 3);
		check(rmdir(path) == 0);
	}
	check(rmdir(dir) == 0);
}

TEST(card_is_found_by_its_number) {
	struct report r = {0};
	char path[256];
	check_card(&r, "/dev/null", makedev(1, 3), path, sizeof(path));
	check_str(path, "/dev/null");
	check_int(r.problems, ==, 0);
	check_card(&r, "/dev/null", makedev(226, 0), path, sizeof(path));
	check_int(r.problems, ==, 1);
	check_card(&r, "/dev/nonexistent", makedev(226, 0), path, sizeof(path));
	check_int(r.problems, ==, 2);
	check_card(&r, NULL, makedev(226, 250), path, sizeof(path));
	check_int(r.problems, ==, 3);
	check_str(path, "/dev/dri/card250");
}

TEST(each_fault_of_a_lease_is_a_finding) {
	static const struct {
		struct lease_facts facts;
		unsigned problems, warnings;
	} cases[] = {
		{{1, 1, 1, 1, true, 640, 480, false, "", false, ""}, 0, 0},
		{{1, 1, 1, 0, true, 640, 480, false, "", false, ""}, 0, 1},
		{{1, 1, 0, 0, true, 640, 480, false, "", false, ""}, 1, 0},
		{{1, 1, 1, 1, false, 640, 480, false, "", false, ""}, 1, 0},
		{{0, 0, 0, 0, false, 0, 0, false, "", false, ""}, 1, 0},
	};
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct report r = {0};
		check_lease(&r, 0, &cases[i].facts);
		check_int(r.problems, ==, cases[i].problems);
		check_int(r.warnings, ==, cases[i].warnings);
	}
	struct report quiet = {0};
	struct lease_facts none = {0}, card = {.has_3d = true, .render_node = "/dev/null"};
	check_3d(&quiet, &none);
	check_3d(&quiet, &card);
	check_int(quiet.warnings, ==, 0);
	card.render_node[0] = '\0';
	check_3d(&quiet, &card);
	check_int(quiet.warnings, ==, 1);
	check_int(quiet.problems, ==, 0);
	struct report r = {0};
	check_lease(&r, -ENOTTY, &none);
	check_int(r.problems, ==, 1);
	check_user(&r, 3999999999u);
	check_int(r.problems, ==, 2);
	check_user(&r, 0);
	check_program(&r, "helix-nonexistent", "nothing", NULL);
	check_int(r.problems, ==, 3);
	check_program(&r, "helix-nonexistent", "nothing", "no loss");
	check_program(&r, "sh", "dash", NULL);
	check_manager(&r, "/nonexistent");
	check_udev(&r, "/run/udev", makedev(226, 0), -EACCES, false);
	check_int(r.problems, ==, 3);
	check_int(r.warnings, ==, 3);
	check_udev(&r, "/run/udev", makedev(226, 0), -EACCES, true);
	check_int(r.problems, ==, 4);
}
