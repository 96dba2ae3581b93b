/* SPDX-License-Identifier: Apache-2.0 */
/* The AML of the DSDT, for acpi.c. */
#ifndef BOOT_ACPI_DSDT_H
#define BOOT_ACPI_DSDT_H

#include "boot/acpi.h"

/* Appends the definition block's contents. `m` was checked. */
void acpi_dsdt(struct buf *b, const struct acpi_machine *m);

#endif
