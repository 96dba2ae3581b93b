/* SPDX-License-Identifier: Apache-2.0 */
/* What a file is by its first bytes; see file_kind.h. */
#include "boot/file_kind.h"

#include <elf.h>
#include <errno.h>

#include "boot/bzimage.h"
#include "boot/efi_image.h"
#include "boot/elf_pvh.h"
#include "core/err.h"

#define OTHER_MACHINE "this machine is an x86-64"

struct kind {
	unsigned off, len;
	const char *magic;
	const char *what, *hint;
};

/* In place of a kernel. */
static const struct kind no_kernels[] = {
	{ 0, 2, "\x1f\x8b", "a gzip file",
	  "unpack it with gunzip if it is a kernel; an initrd is given with --initrd" },
	{ 0, 6,
	  "\xfd"
	  "7zXZ",
	  "an xz file", "unpack it with unxz if it is a kernel" },
	{ 0, 4, "\x28\xb5\x2f\xfd", "a zstd file",
	  "unpack it with unzstd if it is a kernel; an initrd is given with --initrd" },
	{ 0, 4, "\x04\x22\x4d\x18", "an lz4 file", "unpack it with lz4 -d" },
	{ 0, 4, "\x02\x21\x4c\x18", "an lz4 file", "unpack it with lz4 -d" },
	{ 0, 3, "BZh", "a bzip2 file", "unpack it with bunzip2" },
	{ 0, 4, "\x89LZO", "an lzop file", "unpack it with lzop -d" },
	{ 0, 3, "\x5d\0\0", "an lzma file", "unpack it with unlzma" },
	{ 0, 5, "07070", "a cpio archive, as an initrd is", "it is given with --initrd" },
	{ 0, 4, "\x27\x05\x19\x56", "an image for U-Boot", "give a bzImage (vmlinuz)" },
	{ 0, 4, "QFI\xfb", "a qcow2 disk", "disks are given with --disk" },
	{ 0x38, 4, "ARM\x64", "a kernel for arm64", OTHER_MACHINE },
	{ 0x38, 4, "RSC\x05", "a kernel for RISC-V", OTHER_MACHINE },
	{ 0, 2, "MZ", "an EFI program, not a Linux kernel",
	  "it needs firmware: name it with --firmware, or boot it from a --disk" },
};

static bool is_kind(const struct kind *kind, const uint8_t *head, size_t len)
{
	return range_fits(kind->off, kind->len, len) &&
	       memcmp(head + kind->off, kind->magic, kind->len) == 0;
}

int file_kind_no_kernel(const uint8_t *head, size_t len)
{
	const char *machine = efi_image_machine(head, len);

	if (machine && strcmp(machine, "x86-64") != 0) {
		err_set(ERR_FILE, -EINVAL, "it is an EFI program for %s", machine);
		err_hint(OTHER_MACHINE);
		return -EINVAL;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(no_kernels); i++) {
		if (is_kind(&no_kernels[i], head, len)) {
			err_set(ERR_FILE, -EINVAL, "it is %s", no_kernels[i].what);
			err_hint("%s", no_kernels[i].hint);
			return -EINVAL;
		}
	}
	err_set(ERR_FILE, -EINVAL, len ? "it is not a kernel" : "it is empty");
	err_hint("give a bzImage (vmlinuz) or an ELF file (vmlinux) for x86-64");
	return -EINVAL;
}

int file_kind_check_initrd(const uint8_t *head, size_t len)
{
	static const struct kind qcow2 = { 0, 4, "QFI\xfb", NULL, NULL };
	static const struct kind gpt = { 512, 8, "EFI PART", NULL, NULL };
	const char *what = NULL;

	if (bzimage_detect(head, len))
		what = "a Linux kernel";
	else if (elf_pvh_detect(head, len))
		what = "an ELF file: a program or a kernel";
	else if (efi_image_detect(head, len))
		what = "an EFI program or a kernel";
	else if (is_kind(&qcow2, head, len))
		what = "a qcow2 disk";
	else if (is_kind(&gpt, head, len))
		what = "a disk";
	if (!what)
		return 0;
	err_set(ERR_FILE, -EINVAL, "it is %s", what);
	err_hint("an initrd is a cpio archive, compressed or not (/boot/initrd.img-...)");
	return -EINVAL;
}
