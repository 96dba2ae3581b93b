/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kernel that is started without a disk: its image, its initrd and its command line. What can be
 * wrong with them is found when they are opened; they are read, straight into guest memory, each
 * time that the machine starts: here, or when firmware asks for them. Main thread.
 */
#ifndef BOOT_KERNEL_H
#define BOOT_KERNEL_H

#include "boot/bzimage.h"
#include "boot/elf_pvh.h"
#include "boot/memmap.h"
#include "core/arch.h"
#include "core/mem.h"

/* Strings are borrowed for as long as the kernel is open. */
struct kernel_config {
	const char *path;
	const char *initrd;  /* NULL: none */
	const char *cmdline; /* NULL: KERNEL_CMDLINE_DEFAULT, or what an EFI program has in it */
	uint64_t low_ram;    /* bytes of RAM from 0 up, where all of it has to fit */
	bool low_ram_max;    /* a guest with more memory has no more there */
	bool by_firmware;    /* it has to be an EFI program, which may also lie in RAM elsewhere */
	uint64_t ram;        /* all of it */
};

/* Where the guest's output goes: the serial console. */
#define KERNEL_CMDLINE_DEFAULT "console=ttyS0"

enum kernel_format {
	KERNEL_BZIMAGE, /* with an EFI stub, if firmware starts it */
	KERNEL_ELF,
	KERNEL_EFI, /* an EFI program that is no bzImage: a unified kernel image */
};

struct kernel {
	int fd, initrd_fd; /* -1: not open */
	enum kernel_format format;
	union {
		struct bzimage bzimage;
		struct elf_pvh elf;
	};
	const char *path, *initrd, *cmdline;
	uint64_t size;
	uint32_t setup_size;  /* of a bzImage: in front of what kernel_load loads */
	uint64_t initrd_size; /* 0: none */
	uint64_t initrd_gpa;  /* not by firmware */
};

/*
 * Opens and checks everything. ERR_FILE for what is no kernel that can be started (with what it is
 * instead), ERR_USAGE for a command line that is longer than this kernel takes, ERR_LIMIT if memory
 * is too small. On failure *ret_kernel can be passed to kernel_close.
 */
int MUST_CHECK kernel_open(const struct kernel_config *config, struct kernel *ret_kernel);
void kernel_close(struct kernel *kernel); /* accepts a zeroed one that was never opened */

/* What the machine says of itself, and where the kernel shall be told. */
struct kernel_machine {
	const struct memmap *memmap;
	bool fresh; /* nothing has run yet: its memory is all zeroes */
	uint64_t rsdp;
	/* Free pages below 1 MiB: one for the information, KERNEL_CMDLINE_ROOM for the text. */
	uint64_t info_gpa, cmdline_gpa;
};
#define KERNEL_CMDLINE_ROOM (64 * KiB)

/* Without firmware: fills guest memory; *ret_boot is how the first vCPU starts. */
int MUST_CHECK kernel_load(const struct kernel *kernel, const struct guest_mem *mem,
			   const struct kernel_machine *machine, struct arch_boot *ret_boot);

#endif
