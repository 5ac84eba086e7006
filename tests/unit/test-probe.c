/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Encoders that are tried, good and bad; and what hardware suggests which. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "encoder-rig.h"
#include "probe.h"
#include "test.h"
#include "util.h"

/* libavcodec's x264, with one fault. */
enum fault {
	NONE,
	CRASHES,
	HANGS_IN_CREATE,
	HANGS_IN_ENCODE,
	IS_NOT_THERE,
	WRITES_NO_IDR,
	SHOWS_ANOTHER_PICTURE,
	WRITES_NONSENSE,
	FAILS_LATER,
};

static enum fault fault;

struct faulty {
	struct encoder base;
	struct encoder *inner;
	struct picture *other;
	unsigned n;
};

static const struct encoder_ops faulty_ops;

static int faulty_create(const struct encoder_config *config, struct encoder **ret) {
	if (fault == CRASHES) {
		(void)fprintf(stderr, "a driver's last words\n");
		(void)raise(SIGKILL);
	} else if (fault == IS_NOT_THERE) {
		return -ENODEV;
	}
	while (fault == HANGS_IN_CREATE) {
		(void)pause();
	}
	struct faulty *f = calloc(1, sizeof(*f));
	check(f != NULL);
	f->base.ops = &faulty_ops;
	f->other = picture_create(config->width, config->height);
	check_ok(encoder_avcodec_x264.create(config, &f->inner));
	*ret = &f->base;
	return 0;
}

static void faulty_destroy(struct encoder *encoder) {
	if (encoder) {
		struct faulty *f = container_of(encoder, struct faulty, base);
		f->inner->ops->destroy(f->inner);
		picture_destroy(f->other);
		free(f);
	}
}

static int faulty_encode(
	struct encoder *encoder, const struct encode_request *request, struct access_unit **ret) {
	struct faulty *f = container_of(encoder, struct faulty, base);
	struct encode_request q = *request;
	while (fault == HANGS_IN_ENCODE) {
		(void)pause();
	}
	if (fault == FAILS_LATER && f->n++ == 2) {
		return -EIO;
	}
	if (fault == WRITES_NO_IDR) {
		q.idr = false;
	} else if (fault == SHOWS_ANOTHER_PICTURE) {
		q.picture = f->other;
	}
	int r = f->inner->ops->encode(f->inner, &q, ret);
	if (r >= 0 && fault == WRITES_NONSENSE && !request->idr) {
		memset((*ret)->data + 5, 0x55, (*ret)->size - 5);
	}
	return r;
}

static const struct encoder_ops faulty_ops = {
	.name = "faulty",
	.create = faulty_create,
	.destroy = faulty_destroy,
	.encode = faulty_encode,
};

TEST(good_one) {
	char why[PROBE_WHY_MAX];
	check_ok(probe_run(&faulty_ops, NULL, 30000, why));
	check_str(why, "");
	check_ok(probe_run(&encoder_avcodec_x264, NULL, 30000, why));
	check_ok(probe_run(&encoder_x264, NULL, 30000, why));
	check_int(waitpid(-1, NULL, WNOHANG), ==, -1); /* no child is left */
}

TEST(bad_ones) {
	static const struct {
		enum fault fault;
		int result;
		const char *why;
	} cases[] = {
		{CRASHES, -EIO, "its driver crashed"},
		{IS_NOT_THERE, -ENODEV, "it cannot be opened"},
		{WRITES_NO_IDR, -EIO, "it writes no IDR when asked"},
		{SHOWS_ANOTHER_PICTURE, -EIO, "its pictures are not ours"},
		{WRITES_NONSENSE, -EIO, NULL},
		{FAILS_LATER, -EIO, "it fails to encode, or holds pictures back"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char why[PROBE_WHY_MAX];
		fault = cases[i].fault;
		check_int(probe_run(&faulty_ops, NULL, 30000, why), ==, cases[i].result);
		check(why[0] != '\0');
		if (cases[i].why) {
			check_str(why, cases[i].why);
		}
	}
	check_int(waitpid(-1, NULL, WNOHANG), ==, -1);
}

TEST(hung_ones_end_at_the_deadline) {
	for (fault = HANGS_IN_CREATE; fault <= HANGS_IN_ENCODE; fault++) {
		char why[PROBE_WHY_MAX];
		uint64_t begin = now_ns();
		check_int(probe_run(&faulty_ops, NULL, 300, why), ==, -ETIMEDOUT);
		uint64_t ms = (now_ns() - begin) / NSEC_PER_MSEC;
		check_str(why, "its driver hangs");
		check_int(ms, >=, 300);
		check_int(ms, <, 10000);
	}
	check_int(waitpid(-1, NULL, WNOHANG), ==, -1);
}

/* What is registered in libavcodec is not what the machine has. */
TEST(hardware_of_this_machine) {
	char why[PROBE_WHY_MAX];
	if (access("/dev/dri", F_OK) == 0 || access("/dev/nvidia0", F_OK) == 0) {
		skip("there is a GPU");
	}
	check_int(probe_run(&encoder_vaapi, "/dev/dri/renderD128", 30000, why), <, 0);
	check_int(probe_run(&encoder_nvenc, NULL, 30000, why), <, 0);
}

TEST(by_name_or_not_at_all) {
	char node[PROBE_NODE_MAX];
	check(probe_select("avcodec:libx264", NULL, node) == &encoder_avcodec_x264);
	check_str(node, "");
	check(probe_select("vaapi", "/dev/null", node) != &encoder_x264);
}

static char root[64];

static void make(const char *path, const char *text) {
	char full[256];
	(void)snprintf(full, sizeof(full), "%s%s", root, path);
	for (char *p = full + strlen(root) + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		(void)mkdir(full, 0700);
		*p = '/';
	}
	FILE *f = fopen(full, "we");
	check(f != NULL);
	(void)fputs(text, f);
	(void)fclose(f);
}

static void make_node(const char *name, const char *vendor) {
	char path[128];
	(void)snprintf(path, sizeof(path), "/dev/dri/%s", name);
	make(path, "");
	if (vendor) {
		(void)snprintf(path, sizeof(path), "/sys/class/drm/%s/device/vendor", name);
		make(path, vendor);
	}
}

static void make_root(void) {
	(void)snprintf(root, sizeof(root), "/tmp/probe-XXXXXX");
	check(mkdtemp(root) != NULL);
	make_node("card0", "0x8086\n");
}

static void remove_root(void) {
	char command[128];
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", root);
	check_int(system(command), ==, 0);
}

/* "vaapi:/dev/dri/renderD128 qsv:…" */
static void check_found(const char *name, const char *node, const char *want) {
	struct probe_candidate found[PROBE_CANDIDATES];
	unsigned n = probe_find(root, name, node, found);
	char text[512] = "";
	size_t len = 0;
	for (unsigned i = 0; i < n; i++) {
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s:%s", i ? " " : "",
			found[i].ops->name, found[i].render_node);
	}
	check_str(text, want);
}

TEST(the_hardware_says_which) {
	make_root();
	check_found("auto", NULL, "");
	check_found("vaapi", NULL, "");
	check_found("x264", NULL, "");
	check_found("nvenc", NULL, "");
	check_found("v4l2m2m", NULL, "v4l2m2m:");
	make_node("renderD128", "0x1002\n");
	check_found("auto", NULL, "vaapi:/dev/dri/renderD128");
	check_found("qsv", NULL, "qsv:/dev/dri/renderD128");
	/* Intel beside it, as in many laptops. */
	make_node("renderD129", "0x8086\n");
	check_found("auto", NULL,
		"vaapi:/dev/dri/renderD128 vaapi:/dev/dri/renderD129 qsv:/dev/dri/renderD129");
	check_found("qsv", NULL, "qsv:/dev/dri/renderD129");
	check_found(
		"auto", "/dev/dri/renderD129", "vaapi:/dev/dri/renderD129 qsv:/dev/dri/renderD129");
	remove_root();
}

TEST(nvidia_stays_nvidia) {
	make_root();
	make_node("renderD128", "0x10de\n");
	check_found("auto", NULL, "");
	make("/dev/nvidiactl", "");
	check_found("nvenc", NULL, "");
	make("/dev/nvidia0", "");
	check_found("nvenc", NULL, "nvenc:");
	check_found("auto", NULL, "nvenc:");
	make_node("renderD129", "0x8086\n");
	check_found("auto", NULL, "nvenc: vaapi:/dev/dri/renderD129 qsv:/dev/dri/renderD129");
	check_found("vaapi", NULL, "vaapi:/dev/dri/renderD129");
	remove_root();
}

TEST(without_pci) {
	make_root();
	make_node("renderD128", NULL);
	make_node("renderD129", "nonsense");
	make("/dev/video11", "");
	check_found("auto", NULL, "vaapi:/dev/dri/renderD128 vaapi:/dev/dri/renderD129 v4l2m2m:");
	remove_root();
}
