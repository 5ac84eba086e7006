/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helix-vm's options, and the command lines and the libvirt domain that it makes of them. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "libvirt.h"
#include "log.h"
#include "plan.h"
#include "test.h"

static char dir[] = "/tmp/helix-plan-XXXXXX";
static const char *const files[] = {
	"vmlinuz", "initrd.img", "disk.img", "other,disk", "key", "helix-frame-export"};

static void write_file(const char *name, const char *text) {
	char path[128];
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *f = fopen(path, "we");
	check(f);
	(void)fputs(text, f);
	(void)fclose(f);
}

/* A directory that looks like an image, and the current one. */
static void make_image(void) {
	check(mkdtemp(dir));
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		write_file(files[i], "");
	}
	write_file("other,disk", "QFI\xfb");
	check(chdir(dir) == 0);
	(void)setenv("XDG_RUNTIME_DIR", "/run/user/1", 1);
	log_set_level(LOG_LEVEL_ERROR);
}

static void remove_image(void) {
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		check(unlink(files[i]) == 0);
	}
	check(chdir("/") == 0 && rmdir(dir) == 0);
}

#define ARGV_MAX 32

static enum options_result parse(const char *const *args, struct vm_options *ret) {
	char *argv[ARGV_MAX] = {(char[]){"helix-vm"}};
	int argc = 1;
	for (; args[argc - 1]; argc++) {
		check_int(argc, <, ARGV_MAX - 1);
		argv[argc] = (char *)(uintptr_t)args[argc - 1];
	}
	return vm_options_parse(argc, argv, ret);
}

/* A line for each word of what QEMU and the exporters are started with; to be freed. */
static char *commands(const char *const *args, bool supervised) {
	static struct vm_options options;
	static struct plan plan;
	char *text = NULL;
	size_t size;
	check(parse(args, &options) == OPTIONS_RUN);
	check_ok(plan_init(&plan, &options));
	FILE *f = open_memstream(&text, &size);
	check(f);
	for (unsigned i = 0; i <= options.gpus; i++) {
		struct args a = {0};
		if (i < options.gpus) {
			plan_exporter_command(&plan, i, supervised, &a);
		} else {
			plan_qemu_command(&plan, supervised, &a);
		}
		check_ok(a.error);
		for (size_t k = 0; k < a.n; k++) {
			/* It differs from machine to machine. */
			char *mac = strstr(a.v[k], plan.mac);
			int n = mac ? (int)(mac - a.v[k]) : (int)strlen(a.v[k]);
			(void)fprintf(f, "%.*s%s%s\n", n, a.v[k], mac ? "MAC" : "",
				mac ? mac + strlen(plan.mac) : "");
		}
		args_finish(&a);
	}
	(void)fclose(f);
	return text;
}

static void check_commands(const char *const *args, bool supervised, const char *wanted) {
	char *text = commands(args, supervised);
	const char *a = text, *b = wanted;
	while (*a || *b) {
		size_t n = strcspn(a, "\n"), k = strcspn(b, "\n");
		if (n != k || strncmp(a, b, n) != 0) {
			fail("'%.*s', not '%.*s'", (int)n, a, (int)k, b);
		}
		a += n + (a[n] != '\0');
		b += k + (b[k] != '\0');
	}
	free(text);
}

#define TCG_OPTIONS                                                                        \
	"mitigations=off nowatchdog tsc=reliable no_timer_check rcupdate.rcu_expedited=1 " \
	"random.trust_cpu=on audit=0"
#define SANDBOX "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"

TEST(an_image_by_hand) {
	static const char *const args[] = {"--image=.", "--accel=tcg",
		"--desktop=desktop-1:gnome:1280x720@60", "--desktop=d2", "--forward=8080=80",
		"--forward=0.0.0.0:2222=22", "--snapshot", "--append=debug", "--serial=a,b",
		"--exporter=/x/helix-frame-export", NULL};
	make_image();
	check_commands(args, false,
		"/x/helix-frame-export\n"
		"--socket-path=/run/user/1/helix-vm-helix/gpu0.sock\n"
		"--qmp=/run/user/1/helix-vm-helix/qmp-gpu.sock\n--device-id=gpu0\n"
		"--listen=127.0.0.1:15937\n"
		"--max-outputs=16\n"
		"qemu-system-x86_64\n"
		"-name\nhelix\n-nodefaults\n-no-user-config\n-sandbox\n" SANDBOX "\n"
		"-machine\nq35,memory-backend=mem\n-accel\ntcg,thread=multi\n-cpu\nmax\n"
		"-smp\n2\n-m\n4096M\n-object\nmemory-backend-memfd,id=mem,size=4096M,share=on\n"
		"-kernel\n./vmlinuz\n-initrd\n./initrd.img\n-append\n"
		"root=/dev/vda rw console=ttyS0 quiet panic=-1 vt.global_cursor_default=0 " TCG_OPTIONS
		" helix.exporter=10.0.2.2:15937 "
		"helix.desktops=desktop-1:gnome:1280x720@60,d2 debug\n"
		"-drive\nif=none,id=disk,format=raw,discard=unmap,snapshot=on,cache=unsafe,"
		"file=./disk.img\n"
		"-device\nvirtio-blk-pci,drive=disk\n"
		"-vga\nnone\n-display\ndbus,p2p=yes\n"
		"-qmp\nunix:/run/user/1/helix-vm-helix/qmp-gpu.sock,server=on,wait=off\n"
		"-chardev\nsocket,id=gpu0,path=/run/user/1/helix-vm-helix/gpu0.sock\n"
		"-device\nvhost-user-gpu-pci,id=gpu0,chardev=gpu0,max_outputs=16,bus=pcie.0,addr=0x10\n"
		"-netdev\nuser,id=net,hostfwd=tcp:127.0.0.1:8080-:80,hostfwd=tcp:0.0.0.0:2222-:22\n"
		"-device\nvirtio-net-pci,netdev=net,mac=MAC,romfile=\n"
		"-chardev\nfile,id=serial,path=a,,b\n-serial\nchardev:serial\n"
		"-device\nvirtio-rng-pci\n"
		"-qmp\nunix:/run/user/1/helix-vm-helix/qmp.sock,server=on,wait=off\n");
	remove_image();
}

/* A device with 3D wants a display with GL, which wants a render node, or what passes for one. */
TEST(with_3d) {
	static const struct {
		const char *args[4];
		const char *exporter, *display; /* NULL: nothing of it */
	} cases[] = {
		{{"--image=."}, NULL, "\ndbus,p2p=yes\n"},
		{{"--image=.", "--gl=auto"}, "\n--gl=auto\n",
			"\ndbus,p2p=yes,gl=on,rendernode=/dev/null\n"},
		{{"--image=.", "--gl=on", "--render-node=/dev/dri/renderD128"},
			"\n--gl=on\n--render-node=/dev/dri/renderD128\n",
			"\ndbus,p2p=yes,gl=on,rendernode=/dev/dri/renderD128\n"},
	};
	make_image();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *text = commands(cases[i].args, false);
		check(strstr(text, cases[i].display));
		if (cases[i].exporter) {
			check(strstr(text, cases[i].exporter));
		} else {
			check(!strstr(text, "--gl"));
		}
		free(text);
	}
	remove_image();
}

TEST(two_gpus_supervised) {
	static const char *const args[] = {"--kernel=vmlinuz", "--disk=other,disk", "--accel=tcg",
		"--gpus=2", "--outputs=8", "--name=two", "--net=bridge:br,0",
		"--listen=192.0.2.1:5000", "--manager-key=key", "--export-option=--require-token",
		"--export-option=-f30", "--memory=6G", "--cpus=4", "--runtime-dir=/r",
		"--serial=stdio", "--qemu=/q", "--exporter=e", NULL};
	make_image();
	check_commands(args, true,
		"e\n--fd=3\n--display-bus=unix:path=/r/bus.sock\n--device-id=gpu0\n"
		"--listen=192.0.2.1:5000\n--max-outputs=8\n"
		"--manager-key=key\n--require-token\n-f30\n"
		"e\n--fd=3\n--display-bus=unix:path=/r/bus.sock\n--device-id=gpu1\n"
		"--listen=192.0.2.1:5001\n--max-outputs=8\n"
		"--no-console\n--manager-key=key\n--require-token\n-f30\n"
		"/q\n-name\ntwo\n-nodefaults\n-no-user-config\n"
		"-machine\nq35,memory-backend=mem\n-accel\ntcg,thread=multi\n-cpu\nmax\n"
		"-smp\n4\n-m\n6144M\n-object\nmemory-backend-memfd,id=mem,size=6144M,share=on\n"
		"-kernel\nvmlinuz\n-append\n"
		"root=/dev/vda rw console=ttyS0 quiet panic=-1 vt.global_cursor_default=0 " TCG_OPTIONS
		" helix.exporter=192.0.2.1:5000,192.0.2.1:5001\n"
		"-drive\nif=none,id=disk,format=qcow2,discard=unmap,file=other,,disk\n"
		"-device\nvirtio-blk-pci,drive=disk\n"
		"-vga\nnone\n-display\ndbus,addr=unix:path=/r/bus.sock\n"
		"-chardev\nsocket,id=gpu0,fd=3,server=on,wait=on\n"
		"-device\nvhost-user-gpu-pci,id=gpu0,chardev=gpu0,max_outputs=8,bus=pcie.0,addr=0x10\n"
		"-chardev\nsocket,id=gpu1,fd=4,server=on,wait=on\n"
		"-device\nvhost-user-gpu-pci,id=gpu1,chardev=gpu1,max_outputs=8,bus=pcie.0,addr=0x11\n"
		"-netdev\nbridge,id=net,br=br,,0\n"
		"-device\nvirtio-net-pci,netdev=net,mac=MAC,romfile=\n"
		"-chardev\nstdio,id=serial,mux=on,signal=off\n-mon\nchardev=serial,mode=readline\n"
		"-serial\nchardev:serial\n-device\nvirtio-rng-pci\n"
		"-fw_cfg\nname=opt/io.systemd.credentials/helix.manager-key,file=key\n"
		"-qmp\nunix:/r/qmp.sock,server=on,wait=off\n"
		"-chardev\nsocket,id=control,fd=5,server=on,wait=off\n"
		"-mon\nchardev=control,mode=control\n");
	remove_image();
}

/* What the guest is told of the exporter depends on the network and on where that listens. */
TEST(exporter_address_for_the_guest) {
	static const struct {
		const char *net, *listen, *wanted; /* NULL: no such option */
	} cases[] = {
		{"user", "127.0.0.1:7", " helix.exporter=10.0.2.2:7"},
		{"user", "0.0.0.0:7", " helix.exporter=10.0.2.2:7"},
		{"user", "localhost:7", " helix.exporter=10.0.2.2:7"},
		{"user", "192.0.2.9:7", " helix.exporter=192.0.2.9:7"},
		{"bridge:br0", "[2001:db8::1]:7", " helix.exporter=[2001:db8::1]:7"},
		{"none", "127.0.0.1:7", NULL},
	};
	make_image();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char net[32], listen[64];
		(void)snprintf(net, sizeof(net), "--net=%s", cases[i].net);
		(void)snprintf(listen, sizeof(listen), "--listen=%s", cases[i].listen);
		const char *const args[] = {"--image=.", "--accel=tcg", net, listen, NULL};
		char *text = commands(args, true);
		const char *at =
			strstr(text, cases[i].wanted ? cases[i].wanted : " helix.exporter=");
		check(cases[i].wanted ? at && at[strlen(cases[i].wanted)] == '\n' : !at);
		free(text);
	}
	remove_image();
}

/* An image may say what its kernel should be told. */
TEST(cmdline_of_the_image) {
	static const char *const args[] = {"--image=.", "--accel=tcg", "--append=more", NULL};
	make_image();
	write_file("cmdline", "root=LABEL=x quiet\n");
	char *text = commands(args, true);
	check(strstr(text, "\nroot=LABEL=x quiet helix.exporter=10.0.2.2:15937 more\n"));
	free(text);
	check(unlink("cmdline") == 0);
	remove_image();
}

TEST(bad_options) {
	static const char *const cases[][4] = {
		{NULL},
		{"--image=", NULL},
		{"--disk=x", "--append=y", NULL},
		{"--disk=x", "--desktop=d", NULL},
		{"--image=.", "--memory=4T", NULL},
		{"--image=.", "--memory=64", NULL},
		{"--image=.", "--memory=", NULL},
		{"--image=.", "--cpus=0", NULL},
		{"--image=.", "--outputs=17", NULL},
		{"--image=.", "--gpus=3", NULL},
		{"--image=.", "--accel=xen", NULL},
		{"--image=.", "--net=tap", NULL},
		{"--image=.", "--net=bridge:", NULL},
		{"--image=.", "--net=bridge:br0", NULL},
		{"--image=.", "--net=bridge:br0", "--listen=0.0.0.0:5", NULL},
		{"--image=.", "--net=none", "--forward=1=1", NULL},
		{"--image=.", "--forward=80", NULL},
		{"--image=.", "--forward=0=80", NULL},
		{"--image=.", "--forward=80=65536", NULL},
		{"--image=.", "--forward=a,b:80=80", NULL},
		{"--image=.", "--desktop=", NULL},
		{"--image=.", "--desktop=a b", NULL},
		{"--image=.", "--desktop=-a", NULL},
		{"--image=.", "--desktop=a:", NULL},
		{"--image=.", "--desktop=a:gnome:1280", NULL},
		{"--image=.", "--desktop=a:gnome:1280x720@x", NULL},
		{"--image=.", "--desktop=a,b", NULL},
		{"--image=.", "--name=a/b", NULL},
		{"--image=.", "--name=..", NULL},
		{"--image=.", "--listen=65535", "--gpus=2", NULL},
		{"--image=.", "--log-level=loud", NULL},
		{"--image=.", "--shutdown-timeout=-1", NULL},
		{"--image=.", "--export-option=", NULL},
		{"--image=.", "more", NULL},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vm_options options;
		if (parse(cases[i], &options) != OPTIONS_ERROR) {
			fail("'%s %s' was taken", cases[i][0] ? cases[i][0] : "",
				cases[i][0] && cases[i][1] ? cases[i][1] : "");
		}
	}
}

TEST(missing_files_and_long_lines) {
	static const char *const missing[][3] = {
		{"--image=nowhere", NULL},
		{"--image=.", "--disk=none", NULL},
		{"--image=.", "--manager-key=none", NULL},
	};
	static char text[3000] = "--append=";
	static struct vm_options options;
	static struct plan plan;
	make_image();
	for (size_t i = 0; i < ARRAY_SIZE(missing); i++) {
		check(parse(missing[i], &options) == OPTIONS_RUN);
		check_int(plan_init(&plan, &options), ==, -ENOENT);
	}
	memset(text + strlen(text), 'x', 2500);
	const char *const too_long[] = {"--image=.", text, NULL};
	check(parse(too_long, &options) == OPTIONS_RUN);
	check_int(plan_init(&plan, &options), ==, -E2BIG);

	char path[128] = "--runtime-dir=/";
	memset(path + strlen(path), 'r', 100);
	const char *const deep[] = {"--image=.", path, NULL};
	check(parse(deep, &options) == OPTIONS_RUN);
	check_int(plan_init(&plan, &options), ==, -ENAMETOOLONG);
	remove_image();
}

/* A shell reads back what was printed for it. */
TEST(quoting) {
	static const char *const words[] = {"plain-word=1,2:3", "", "two words", "it's",
		"$HOME `x`", "a\nb", "\"", "\\", "*", "~", "-x;y"};
	struct args a = {0};
	char *text, got[512];
	size_t size;
	args_add(&a, "printf");
	args_add(&a, "[%%s]");
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		args_add(&a, "%s", words[i]);
	}
	FILE *f = open_memstream(&text, &size);
	check(f && a.error == 0);
	args_print_shell(&a, f);
	(void)fclose(f);
	check(!strstr(text, "'plain-word"));
	FILE *shell = popen(text, "re"); /* that is what is tested */
	check(shell);
	size_t n = fread(got, 1, sizeof(got) - 1, shell);
	got[n] = '\0';
	check(pclose(shell) == 0);
	const char *at = got;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		n = strlen(words[i]);
		check(at[0] == '[' && strncmp(at + 1, words[i], n) == 0 && at[n + 1] == ']');
		at += n + 2;
	}
	free(text);
	args_finish(&a);
}

static char *domain(const char *const *args) {
	static struct vm_options options;
	static struct plan plan;
	char *text = NULL;
	size_t size;
	check(parse(args, &options) == OPTIONS_RUN);
	check_ok(plan_init(&plan, &options));
	FILE *f = open_memstream(&text, &size);
	check(f);
	check_ok(libvirt_print(&plan, f));
	(void)fclose(f);
	return text;
}

/* Runs a checker over it, if there is one. */
static void check_xml(const char *text, const char *program, const char *arguments) {
	char command[256];
	(void)snprintf(command, sizeof(command), "command -v %s >/dev/null", program);
	if (system(command) != 0) {
		(void)fprintf(stderr, "# %s is not installed\n", program);
		return;
	}
	write_file("domain.xml", text);
	(void)snprintf(command, sizeof(command), "%s %s >&2", program, arguments);
	int status = system(command);
	check(unlink("domain.xml") == 0);
	check_int(status, ==, 0);
}

TEST(libvirt_domain) {
	static const char *const full[] = {"--image=.", "--accel=tcg", "--gpus=2", "--snapshot",
		"--append=a<b & 'c' \"d\"", "--forward=8080=80", "--manager-key=key",
		"--serial=con.log", "--desktop=one:gnome", NULL};
	static const char *const bridge[] = {"--image=.", "--accel=tcg", "--net=bridge:br0",
		"--listen=192.0.2.1:5000", "--disk=other,disk", "--serial=stdio", NULL};
	static const char *const wanted[] = {"<domain type='qemu'", "<source type='memfd'/>",
		"<access mode='shared'/>", "machine='q35'", "/vmlinuz</kernel>",
		"/initrd.img</initrd>",
		"helix.exporter=10.0.2.2:15937,10.0.2.2:15938 helix.desktops=one:gnome ",
		" a&lt;b &amp; &apos;c&apos; &quot;d&quot;</cmdline>",
		"<entry name='opt/io.systemd.credentials/helix.manager-key' file='/tmp/",
		"<graphics type='dbus' address='unix:path=/run/user/1/helix-vm-helix/bus.sock'/>",
		"<transient/>", "<model type='none'/>",
		"value='vhost-user-gpu-pci,id=gpu0,chardev=gpu0,max_outputs=16,bus=pcie.0,addr=0x10'/>",
		"value='vhost-user-gpu-pci,id=gpu1,chardev=gpu1,max_outputs=16,bus=pcie.0,addr=0x11'/>",
		"value='socket,id=gpu1,path=/run/user/1/helix-vm-helix/gpu1.sock'/>",
		"qmp.sock,server=on,wait=off'/>", "hostfwd=tcp:127.0.0.1:8080-:80'/>"};
	make_image();
	char *text = domain(full);
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		if (!strstr(text, wanted[i])) {
			fail("no %s in %s", wanted[i], text);
		}
	}
	check(!strstr(text, "<interface")); /* it would be a second one */
	check_xml(text, "xmllint", "--noout domain.xml");
	check_xml(text, "virt-xml-validate", "domain.xml domain");
	free(text);

	text = domain(bridge);
	check(strstr(text, "<source bridge='br0'/>") && strstr(text, "type='qcow2'") &&
		strstr(text, "<serial type='pty'/>") &&
		strstr(text, "<graphics type='dbus' p2p='yes'/>") &&
		strstr(text, "/other,disk'/>"));
	check(!strstr(text, "-netdev") && !strstr(text, "virtio-net-pci") &&
		!strstr(text, "virtio-blk") && !strstr(text, "virtio-rng"));
	check_xml(text, "xmllint", "--noout domain.xml");
	check_xml(text, "virt-xml-validate", "domain.xml domain");
	free(text);
	remove_image();
}
