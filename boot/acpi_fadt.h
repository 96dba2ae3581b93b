/* SPDX-License-Identifier: Apache-2.0 */
/* The FADT and the FACS, for acpi.c. */
#ifndef BOOT_ACPI_FADT_H
#define BOOT_ACPI_FADT_H

#include "boot/acpi.h"

#define ACPI_FACS_ALIGN 64u

/* Append the table; return where it begins. */
size_t acpi_facs(struct buf *b);
size_t acpi_fadt(struct buf *b, struct buf *loader, const struct acpi_machine *m, size_t facs,
		 size_t dsdt);

#endif
