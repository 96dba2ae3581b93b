/* SPDX-License-Identifier: Apache-2.0 */
/* The SRAT and the SLIT, for acpi.c: of a machine with several nodes. */
#ifndef BOOT_ACPI_SRAT_H
#define BOOT_ACPI_SRAT_H

#include "boot/acpi.h"

#define ACPI_SLIT_LOCAL 10u /* the distance of a node from itself */

/* Append the table; return where it begins. */
size_t acpi_srat(struct buf *b, const struct acpi_machine *m);
size_t acpi_slit(struct buf *b, const struct acpi_machine *m);

#endif
