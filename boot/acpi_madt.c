/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The MADT, which lists the processors and the interrupt controllers; for acpi.c. [ACPI-6.5 5.2.12
 * Multiple APIC Description Table (MADT)]. Pure functions.
 */
#include "boot/acpi_madt.h"

#include "boot/acpi_table.h"

#define MADT_REVISION    6u
#define MADT_PCAT_COMPAT (1u << 0)
#define MADT_LAPIC       0u
#define MADT_IOAPIC      1u
#define MADT_OVERRIDE    2u
#define MADT_LAPIC_NMI   4u
#define MADT_X2APIC      9u
#define MADT_X2APIC_NMI  10u
#define MADT_ENABLED     (1u << 0)
#define MADT_LINT1       1u
#define MADT_ACTIVE_HIGH (1u << 0)
#define MADT_LEVEL       (3u << 2)
#define ISA_IRQ_TIMER    0u
#define GSI_TIMER        2u

/* The processor UID is the vCPU's number, as in the DSDT. */
static void madt_vcpu(struct buf *b, unsigned uid, uint32_t apic_id)
{
	if (apic_id <= ACPI_LAPIC_ID_MAX) {
		acpi_table_entry(b, MADT_LAPIC, 8);
		buf_le(b, 1, uid);
		buf_le(b, 1, apic_id);
		buf_le(b, 4, MADT_ENABLED);
	} else {
		acpi_table_entry(b, MADT_X2APIC, 16);
		buf_zero(b, 2);
		buf_le(b, 4, apic_id);
		buf_le(b, 4, MADT_ENABLED);
		buf_le(b, 4, uid);
	}
}

static void madt_override(struct buf *b, uint8_t irq, uint32_t gsi, uint16_t flags)
{
	acpi_table_entry(b, MADT_OVERRIDE, 10);
	buf_le(b, 1, 0); /* ISA */
	buf_le(b, 1, irq);
	buf_le(b, 4, gsi);
	buf_le(b, 2, flags);
}

size_t acpi_madt(struct buf *b, const struct acpi_machine *m)
{
	size_t start = acpi_table_begin(b, "APIC", MADT_REVISION);

	buf_le(b, 4, m->lapic_base);
	buf_le(b, 4, m->no_isa ? 0 : MADT_PCAT_COMPAT);
	for (unsigned i = 0; i < m->vcpus; i++)
		madt_vcpu(b, i, m->apic_ids[i]);

	acpi_table_entry(b, MADT_IOAPIC, 12);
	buf_le(b, 1, 0); /* id */
	buf_zero(b, 1);
	buf_le(b, 4, m->ioapic_base);
	buf_le(b, 4, 0); /* first GSI */

	if (!m->no_isa)
		madt_override(b, ISA_IRQ_TIMER, GSI_TIMER, 0);
	madt_override(b, m->sci_gsi, m->sci_gsi, MADT_ACTIVE_HIGH | MADT_LEVEL);

	/* NMIs of all processors arrive at LINT1, edge and active high as the bus has them. */
	acpi_table_entry(b, MADT_LAPIC_NMI, 6);
	buf_le(b, 1, UINT8_MAX);
	buf_le(b, 2, 0);
	buf_le(b, 1, MADT_LINT1);
	if (m->apic_ids[m->vcpus - 1] > ACPI_LAPIC_ID_MAX) {
		acpi_table_entry(b, MADT_X2APIC_NMI, 12);
		buf_le(b, 2, 0);
		buf_le(b, 4, UINT32_MAX);
		buf_le(b, 1, MADT_LINT1);
		buf_zero(b, 3);
	}
	acpi_table_end(b, start);
	return start;
}
