/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The FADT, which says where the fixed hardware is, and the FACS; for acpi.c. [ACPI-6.5 5.2.9 Fixed
 * ACPI Description Table (FADT)]. Pure functions.
 */
#include "boot/acpi_fadt.h"

#include "boot/acpi_loader.h"
#include "boot/acpi_table.h"

#define FADT_REVISION       6u
#define FADT_MINOR_REVISION 5u
#define FADT_SIZE           276u
/* Offsets. */
#define FADT_FIRMWARE_CTRL  36u
#define FADT_DSDT           40u
#define FADT_SCI_INT        46u
#define FADT_PM1A_EVT_BLK   56u
#define FADT_PM1A_CNT_BLK   64u
#define FADT_PM_TMR_BLK     76u
#define FADT_PM1_EVT_LEN    88u
#define FADT_PM1_CNT_LEN    89u
#define FADT_PM_TMR_LEN     91u
#define FADT_P_LVL2_LAT     96u
#define FADT_P_LVL3_LAT     98u
#define FADT_CENTURY        108u
#define FADT_IAPC_BOOT_ARCH 109u
#define FADT_FLAGS          112u
#define FADT_RESET_REG      116u
#define FADT_RESET_VALUE    128u
#define FADT_MINOR          131u
#define FADT_X_DSDT         140u
#define FADT_X_PM1A_EVT_BLK 148u
#define FADT_X_PM1A_CNT_BLK 172u
#define FADT_X_PM_TMR_BLK   208u
#define FADT_HYPERVISOR_ID  268u

#define PM1_EVT_LEN 4u
#define PM1_CNT_LEN 2u
#define PM_TMR_LEN  4u

#define NO_C2_LATENCY 0x0fffu /* above 100 and 1000: there is no C2 and no C3 */
#define RTC_CENTURY   0x32u

#define BOOT_ARCH_LEGACY_DEVICES (1u << 0) /* COM1 */
#define BOOT_ARCH_NO_VGA         (1u << 2)
#define FLAG_WBINVD              (1u << 0)
#define FLAG_PROC_C1             (1u << 2)
#define FLAG_SLP_BUTTON          (1u << 5) /* no fixed sleep button; the power button is fixed */
#define FLAG_RESET_REG_SUP       (1u << 10)

/* Generic address structure. [ACPI-6.5 5.2.3.2 Generic Address Structure] */
#define GAS_SYSTEM_IO 1u
enum gas_access { GAS_BYTE = 1, GAS_WORD = 2, GAS_DWORD = 3 };

static void put_gas_io(struct buf *b, size_t off, enum gas_access access, unsigned len,
		       uint16_t port)
{
	buf_patch_le(b, off, 1, GAS_SYSTEM_IO);
	buf_patch_le(b, off + 1, 1, 8 * len);
	buf_patch_le(b, off + 3, 1, access);
	buf_patch_le(b, off + 4, 8, port);
}

/* [ACPI-6.5 5.2.10 Firmware ACPI Control Structure (FACS)] */
size_t acpi_facs(struct buf *b)
{
	size_t start;

	buf_align(b, ACPI_FACS_ALIGN);
	start = b->len;
	buf_text(b, "FACS", 4, '\0');
	buf_le(b, 4, 64);
	buf_zero(b, 24);
	buf_le(b, 1, 2); /* version */
	buf_zero(b, 31);
	return start;
}

size_t acpi_fadt(struct buf *b, struct buf *loader, const struct acpi_machine *m, size_t facs,
		 size_t dsdt)
{
	const uint16_t event = m->pm_base + ACPI_PM1_EVENT;
	const uint16_t control = m->pm_base + ACPI_PM1_CONTROL;
	const uint16_t timer = m->pm_base + ACPI_PM_TIMER;
	size_t start = acpi_table_begin(b, "FACP", FADT_REVISION);

	buf_zero(b, FADT_SIZE - ACPI_HEADER_SIZE);
	acpi_table_set_length(b, start);
	buf_patch_le(b, start + FADT_SCI_INT, 2, m->sci_gsi);
	buf_patch_le(b, start + FADT_PM1A_EVT_BLK, 4, event);
	buf_patch_le(b, start + FADT_PM1A_CNT_BLK, 4, control);
	buf_patch_le(b, start + FADT_PM_TMR_BLK, 4, timer);
	buf_patch_le(b, start + FADT_PM1_EVT_LEN, 1, PM1_EVT_LEN);
	buf_patch_le(b, start + FADT_PM1_CNT_LEN, 1, PM1_CNT_LEN);
	buf_patch_le(b, start + FADT_PM_TMR_LEN, 1, PM_TMR_LEN);
	buf_patch_le(b, start + FADT_P_LVL2_LAT, 2, NO_C2_LATENCY);
	buf_patch_le(b, start + FADT_P_LVL3_LAT, 2, NO_C2_LATENCY);
	buf_patch_le(b, start + FADT_CENTURY, 1, RTC_CENTURY);
	buf_patch_le(b, start + FADT_IAPC_BOOT_ARCH, 2,
		     BOOT_ARCH_LEGACY_DEVICES | BOOT_ARCH_NO_VGA);
	buf_patch_le(b, start + FADT_FLAGS, 4,
		     FLAG_WBINVD | FLAG_PROC_C1 | FLAG_SLP_BUTTON | FLAG_RESET_REG_SUP);
	put_gas_io(b, start + FADT_RESET_REG, GAS_BYTE, 1, m->reset_port);
	buf_patch_le(b, start + FADT_RESET_VALUE, 1, m->reset_value);
	buf_patch_le(b, start + FADT_MINOR, 1, FADT_MINOR_REVISION);
	put_gas_io(b, start + FADT_X_PM1A_EVT_BLK, GAS_WORD, PM1_EVT_LEN, event);
	put_gas_io(b, start + FADT_X_PM1A_CNT_BLK, GAS_WORD, PM1_CNT_LEN, control);
	put_gas_io(b, start + FADT_X_PM_TMR_BLK, GAS_DWORD, PM_TMR_LEN, timer);
	for (unsigned i = 0; i < strlen(ACPI_OEM_TABLE_ID); i++)
		buf_patch_le(b, start + FADT_HYPERVISOR_ID + i, 1, (uint8_t)ACPI_OEM_TABLE_ID[i]);

	buf_patch_le(b, start + FADT_FIRMWARE_CTRL, 4, facs);
	acpi_loader_pointer(loader, ACPI_TABLES_FILE, start + FADT_FIRMWARE_CTRL, 4,
			    ACPI_TABLES_FILE);
	buf_patch_le(b, start + FADT_DSDT, 4, dsdt);
	acpi_loader_pointer(loader, ACPI_TABLES_FILE, start + FADT_DSDT, 4, ACPI_TABLES_FILE);
	buf_patch_le(b, start + FADT_X_DSDT, 8, dsdt);
	acpi_loader_pointer(loader, ACPI_TABLES_FILE, start + FADT_X_DSDT, 8, ACPI_TABLES_FILE);
	acpi_loader_checksum(loader, ACPI_TABLES_FILE, start + ACPI_HEADER_CHECKSUM, start,
			     FADT_SIZE);
	return start;
}
