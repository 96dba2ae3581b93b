/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The script that places ACPI tables and fills in their pointers and checksums: entries of 128
 * bytes, defined by QEMU and run by OVMF (OvmfPkg/AcpiPlatformDxe/QemuLoader.h) or, for direct
 * boot, by acpi_link. Build time, any one thread.
 */
#ifndef BOOT_ACPI_LOADER_H
#define BOOT_ACPI_LOADER_H

#include "boot/buf.h"

/* Places `file` in memory, once, before anything else names it. `align` is at most 4096. */
void acpi_loader_allocate(struct buf *loader, const char *file, uint32_t align);

/*
 * The field of `size` bytes (4 or 8) at `off` of `file` holds an offset into `pointee`; adds the
 * address of `pointee` to it.
 */
void acpi_loader_pointer(struct buf *loader, const char *file, size_t off, uint8_t size,
			 const char *pointee);

/* Makes the bytes [start, start + len) of `file` add up to 0 by the one at `result`, now 0. */
void acpi_loader_checksum(struct buf *loader, const char *file, size_t result, size_t start,
			  size_t len);

/* What has to be added to the sum of `len` bytes to give 0 modulo 256. */
uint8_t acpi_checksum(const uint8_t *data, size_t len);

#endif
