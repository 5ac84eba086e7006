/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stands in for libFuzzer's main: runs a fuzz target on each file of the corpora named (files or
 * directories), and on nothing at all. What a fuzzer once found stays tested, with any compiler.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path) {
	FILE *f = fopen(path, "re");
	if (!f) {
		perror(path);
		return -errno;
	}
	struct stat st;
	int r = fstat(fileno(f), &st) < 0 ? -errno : 0;
	/* Exactly as large as the input: reading past its end is then seen by ASan. */
	size_t size = r == 0 ? (size_t)st.st_size : 0;
	uint8_t *data = malloc(size ? size : 1);
	if (r == 0 && (!data || fread(data, 1, size, f) != size)) {
		r = -EIO;
	}
	(void)fclose(f);
	if (r == 0) {
		(void)LLVMFuzzerTestOneInput(data, size);
	} else {
		fprintf(stderr, "%s: %s\n", path, strerror(-r));
	}
	free(data);
	return r;
}

static int replay_directory(const char *path, unsigned *n) {
	DIR *dir = opendir(path);
	if (!dir) {
		return errno == ENOTDIR ? 0 : -errno;
	}
	int r = 0;
	const struct dirent *entry;
	while (r == 0 && (entry = readdir(dir))) {
		if (entry->d_name[0] != '.') {
			char file[4096];
			(void)snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
			r = replay_file(file);
			(*n)++;
		}
	}
	(void)closedir(dir);
	return r;
}

int main(int argc, char *argv[]) {
	unsigned n = 0;
	(void)LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
	for (int i = 1; i < argc; i++) {
		struct stat st;
		int r = stat(argv[i], &st) < 0 ? -errno : 0;
		if (r == 0 && S_ISDIR(st.st_mode)) {
			r = replay_directory(argv[i], &n);
		} else if (r == 0) {
			r = replay_file(argv[i]);
			n++;
		}
		if (r < 0) {
			fprintf(stderr, "%s: %s\n", argv[i], strerror(-r));
			return 1;
		}
	}
	printf("%u inputs\n", n);
	return 0;
}
