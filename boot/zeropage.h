/* SPDX-License-Identifier: Apache-2.0 */
/*
 * boot_params, the page that tells a Linux kernel what firmware would have.
 * [Linux Documentation/arch/x86/zero-page.rst]. Any one thread.
 */
#ifndef BOOT_ZEROPAGE_H
#define BOOT_ZEROPAGE_H

#include "boot/bzimage.h"
#include "boot/memmap.h"

#define ZEROPAGE_SIZE 4096u

struct zeropage {
	const struct bzimage *image;
	const struct memmap *memmap;
	uint64_t rsdp;
	uint64_t cmdline;
	uint64_t initrd, initrd_size;
};

void zeropage_fill(const struct zeropage *z, uint8_t ret_page[ZEROPAGE_SIZE]);

#endif
