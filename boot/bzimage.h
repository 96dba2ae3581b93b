/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Linux kernel as distributions ship it, started at its 64-bit entry, where it unpacks itself.
 * [Linux Documentation/arch/x86/boot.rst]. The image is not trusted: all of its numbers are checked
 * against the file and memory. Main thread.
 */
#ifndef BOOT_BZIMAGE_H
#define BOOT_BZIMAGE_H

#include "core/mem.h"

#define BZIMAGE_HEADER_OFF 0x1f1u /* of the setup header, in the file and in boot_params */
#define BZIMAGE_HEADER_MAX 0x9fu  /* up to the e820 table's neighbours at 0x290 */
#define BZIMAGE_HEAD_SIZE  4096u  /* what bzimage_parse looks at, at most */

struct bzimage {
	uint8_t header[BZIMAGE_HEADER_MAX];
	uint64_t file_off, size; /* the part of the file that goes to memory */
	uint64_t gpa;            /* where to */
	uint64_t room;           /* what the kernel needs from there on */
	uint64_t initrd_last;    /* the highest address that an initrd may have */
	uint32_t cmdline_max;    /* characters */
};

/* True if the file that begins with `head` calls itself one. */
bool bzimage_detect(const uint8_t *head, size_t len);

/*
 * `head` is the file's beginning, `size` its length, `low_ram` the RAM from address 0 up. ERR_FILE
 * or, for too little memory, ERR_LIMIT; without the file's name.
 */
int MUST_CHECK bzimage_parse(const uint8_t *head, size_t len, uint64_t size, uint64_t low_ram,
			     struct bzimage *ret_image);

/* Reads the kernel into memory and gives its 64-bit entry. */
int MUST_CHECK bzimage_load(const struct bzimage *image, int fd, const struct guest_mem *mem,
			    uint64_t *ret_entry);

#endif
