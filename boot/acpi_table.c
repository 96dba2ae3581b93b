/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a static ACPI table begins and ends; see acpi_table.h. [ACPI-6.5 5.2.6 System Description
 * Table Header]. Pure functions.
 */
#include "boot/acpi_table.h"

#include "boot/acpi_loader.h"

#define OEM_REVISION    1u
#define CREATOR_ID      "TVMM"
#define CREATOR_VERSION 1u

#define HEADER_LENGTH 4u

size_t acpi_table_begin(struct buf *b, const char *signature, unsigned revision)
{
	size_t start;

	buf_align(b, ACPI_TABLE_ALIGN);
	start = b->len;
	buf_text(b, signature, 4, '\0');
	buf_le(b, 4, 0); /* length: acpi_table_end */
	buf_le(b, 1, revision);
	buf_le(b, 1, 0); /* checksum: as well, or the script where it patches the table */
	buf_text(b, ACPI_OEM_ID, 6, ' ');
	buf_text(b, ACPI_OEM_TABLE_ID, 8, ' ');
	buf_le(b, 4, OEM_REVISION);
	buf_text(b, CREATOR_ID, 4, ' ');
	buf_le(b, 4, CREATOR_VERSION);
	return start;
}

void acpi_table_set_length(struct buf *b, size_t start)
{
	buf_patch_le(b, start + HEADER_LENGTH, 4, b->len - start);
}

void acpi_table_end(struct buf *b, size_t start)
{
	acpi_table_set_length(b, start);
	if (!b->error) {
		b->data[start + ACPI_HEADER_CHECKSUM] =
			acpi_checksum(b->data + start, b->len - start);
	}
}

void acpi_table_entry(struct buf *b, unsigned type, unsigned len)
{
	buf_le(b, 1, type);
	buf_le(b, 1, len);
}
