/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>

#include "kvm.h"
#include "util.h"

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>

/* Intel SDM, volume 2, CPUID: leaf 1, ECX bit 5, VMX. AMD APM, volume 3, appendix E: leaf
 * 0x80000001, ECX bit 2, SVM. */
static bool has_virtualization(void) {
	unsigned a, b, c, d;
	return (__get_cpuid(1, &a, &b, &c, &d) && (c & 1u << 5)) ||
		(__get_cpuid(0x80000001, &a, &b, &c, &d) && (c & 1u << 2));
}
#else
static bool has_virtualization(void) {
	return true; /* there is no KVM without */
}
#endif

int kvm_check(void) {
	CLEANUP_CLOSE int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		return -errno;
	}
	return has_virtualization() ? 0 : -ENODEV;
}

const char *kvm_hint(int error) {
	switch (error) {
	case -ENOENT:
		return "the processor's virtualization is off, or kvm.ko is not loaded";
	case -EACCES:
		return "are you in group kvm?";
	case -ENODEV:
		return "there is no VT-x or AMD-V behind it";
	default:
		return "";
	}
}
