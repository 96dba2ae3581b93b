/* SPDX-License-Identifier: Apache-2.0 */
/* The MADT, for acpi.c. */
#ifndef BOOT_ACPI_MADT_H
#define BOOT_ACPI_MADT_H

#include "boot/acpi.h"

/* Appends the table; returns where it begins. */
size_t acpi_madt(struct buf *b, const struct acpi_machine *m);

#endif
