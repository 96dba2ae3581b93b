/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SRAT, which says on what node a processor or memory is, and the SLIT, which says how far the
 * nodes are from each other; for acpi.c. [ACPI-6.5 5.2.16 System Resource Affinity Table (SRAT)].
 * Pure functions.
 */
#include "boot/acpi_srat.h"

#include "boot/acpi_table.h"

#define SRAT_REVISION 3u
#define SRAT_LAPIC    0u
#define SRAT_MEMORY   1u
#define SRAT_X2APIC   2u
#define SRAT_ENABLED  (1u << 0)
#define SLIT_REVISION 1u

/* The entry has the form of the vCPU's in the MADT. */
static void srat_vcpu(struct buf *b, unsigned node, uint32_t apic_id)
{
	if (apic_id <= ACPI_LAPIC_ID_MAX) {
		acpi_table_entry(b, SRAT_LAPIC, 16);
		buf_le(b, 1, node);
		buf_le(b, 1, apic_id);
		buf_le(b, 4, SRAT_ENABLED);
		buf_zero(b, 8); /* no SAPIC; the node's upper bytes; clock domain 0 */
	} else {
		acpi_table_entry(b, SRAT_X2APIC, 24);
		buf_zero(b, 2);
		buf_le(b, 4, node);
		buf_le(b, 4, apic_id);
		buf_le(b, 4, SRAT_ENABLED);
		buf_zero(b, 8);
	}
}

static void srat_memory(struct buf *b, const struct acpi_memory *memory)
{
	acpi_table_entry(b, SRAT_MEMORY, 40);
	buf_le(b, 4, memory->node);
	buf_zero(b, 2);
	buf_le(b, 8, memory->gpa);
	buf_le(b, 8, memory->size);
	buf_zero(b, 4);
	buf_le(b, 4, SRAT_ENABLED);
	buf_zero(b, 8);
}

size_t acpi_srat(struct buf *b, const struct acpi_machine *m)
{
	size_t start = acpi_table_begin(b, "SRAT", SRAT_REVISION);

	buf_le(b, 4, 1); /* reserved, and 1 for old readers */
	buf_zero(b, 8);
	for (unsigned i = 0; i < m->vcpus; i++)
		srat_vcpu(b, m->vcpu_nodes[i], m->apic_ids[i]);
	for (unsigned i = 0; i < m->memory_count; i++)
		srat_memory(b, &m->memory[i]);
	acpi_table_end(b, start);
	return start;
}

/* [ACPI-6.5 5.2.17 System Locality Information Table (SLIT)] */
size_t acpi_slit(struct buf *b, const struct acpi_machine *m)
{
	size_t start = acpi_table_begin(b, "SLIT", SLIT_REVISION);

	buf_le(b, 8, m->nodes);
	for (unsigned i = 0; i < m->nodes * m->nodes; i++)
		buf_le(b, 1, m->distances[i]);
	acpi_table_end(b, start);
	return start;
}
