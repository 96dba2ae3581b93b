/* SPDX-License-Identifier: Apache-2.0 */
/* What the static ACPI tables have in common, for acpi.c and the files of its tables. */
#ifndef BOOT_ACPI_TABLE_H
#define BOOT_ACPI_TABLE_H

#include "boot/buf.h"

#define ACPI_OEM_ID       "TINYVM"
#define ACPI_OEM_TABLE_ID "TINYVMM"

#define ACPI_HEADER_SIZE     36u
#define ACPI_HEADER_CHECKSUM 9u
#define ACPI_TABLE_ALIGN     16u

/* An APIC ID above it needs the longer form of an entry. */
#define ACPI_LAPIC_ID_MAX 254u

/* Appends the header; returns where the table begins. */
size_t acpi_table_begin(struct buf *b, const char *signature, unsigned revision);

/* For a table that the script patches, and so gives its checksum. */
void acpi_table_set_length(struct buf *b, size_t start);

/* Length and checksum. */
void acpi_table_end(struct buf *b, size_t start);

/* The first two bytes of an entry, of a table that has such. */
void acpi_table_entry(struct buf *b, unsigned type, unsigned len);

#endif
