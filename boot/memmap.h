/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory map that a kernel is told: ranges, ascending, that do not overlap. Their types are
 * those of the BIOS call E820. [ACPI-6.5 15.1 INT 15H, E820H - Query System Address Map]
 */
#ifndef BOOT_MEMMAP_H
#define BOOT_MEMMAP_H

#include "core/util.h"

#define MEMMAP_MAX 16u

enum memmap_type { MEMMAP_RAM = 1, MEMMAP_RESERVED = 2, MEMMAP_ACPI = 3 };

struct memmap_range {
	uint64_t base, size;
	enum memmap_type type;
};

struct memmap {
	struct memmap_range ranges[MEMMAP_MAX];
	unsigned count;
};

#endif
