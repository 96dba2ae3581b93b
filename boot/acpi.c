/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The static ACPI tables and the script that links them; see acpi.h. [ACPI-6.5 5.2 ACPI System
 * Description Tables]. Pure functions.
 */
#include "boot/acpi.h"

#include <errno.h>

#include "boot/acpi_dsdt.h"
#include "boot/acpi_fadt.h"
#include "boot/acpi_loader.h"
#include "boot/acpi_madt.h"
#include "boot/acpi_srat.h"
#include "boot/acpi_table.h"
#include "core/err.h"

#define ECAM_BUS_SIZE MiB

static size_t build_dsdt(struct buf *b, const struct acpi_machine *m)
{
	size_t start = acpi_table_begin(b, "DSDT", 2); /* 2: integers have 64 bits */

	acpi_dsdt(b, m);
	acpi_table_end(b, start);
	return start;
}

static size_t build_mcfg(struct buf *b, const struct acpi_machine *m)
{
	size_t start = acpi_table_begin(b, "MCFG", 1);

	buf_zero(b, 8);
	buf_le(b, 8, m->ecam_base);
	buf_le(b, 2, 0); /* segment */
	buf_le(b, 1, 0); /* first bus */
	buf_le(b, 1, m->buses - 1);
	buf_zero(b, 4);
	acpi_table_end(b, start);
	return start;
}

static size_t build_xsdt(struct buf *b, struct buf *loader, const size_t *tables, unsigned count)
{
	size_t start = acpi_table_begin(b, "XSDT", 1);

	for (unsigned i = 0; i < count; i++) {
		acpi_loader_pointer(loader, ACPI_TABLES_FILE, b->len, 8, ACPI_TABLES_FILE);
		buf_le(b, 8, tables[i]);
	}
	acpi_table_set_length(b, start);
	acpi_loader_checksum(loader, ACPI_TABLES_FILE, start + ACPI_HEADER_CHECKSUM, start,
			     b->len - start);
	return start;
}

/* [ACPI-6.5 5.2.5.3 Root System Description Pointer (RSDP) Structure] */
static void build_rsdp(struct buf *b, struct buf *loader, size_t xsdt)
{
	buf_text(b, "RSD PTR ", 8, ' ');
	buf_le(b, 1, 0); /* checksum of the first 20 bytes */
	buf_text(b, ACPI_OEM_ID, 6, ' ');
	buf_le(b, 1, 2); /* revision */
	buf_le(b, 4, 0); /* no RSDT */
	buf_le(b, 4, 36);
	acpi_loader_pointer(loader, ACPI_RSDP_FILE, b->len, 8, ACPI_TABLES_FILE);
	buf_le(b, 8, xsdt);
	buf_le(b, 1, 0); /* checksum of all */
	buf_zero(b, 3);
	acpi_loader_checksum(loader, ACPI_RSDP_FILE, 8, 0, 20);
	acpi_loader_checksum(loader, ACPI_RSDP_FILE, 32, 0, 36);
}

static bool nodes_ok(const struct acpi_machine *m)
{
	if (m->nodes > ACPI_NODES_MAX)
		return false;
	for (unsigned i = 0; i < m->vcpus; i++) {
		if (m->vcpu_nodes[i] >= m->nodes)
			return false;
	}
	for (unsigned i = 0; i < m->memory_count; i++) {
		if (m->memory[i].node >= m->nodes)
			return false;
	}
	for (unsigned i = 0; i < m->nodes * m->nodes; i++) {
		const bool local = i % (m->nodes + 1) == 0;

		if (local ? m->distances[i] != ACPI_SLIT_LOCAL : m->distances[i] < ACPI_SLIT_LOCAL)
			return false;
	}
	return true;
}

static bool roots_ok(const struct acpi_machine *m)
{
	for (unsigned i = 0; i < m->root_count; i++) {
		const struct acpi_root *root = &m->roots[i];

		if (root->bus >= m->buses || root->bus <= (i ? root[-1].bus : 0))
			return false;
		if (root->node >= MAX(m->nodes, 1u))
			return false;
		for (unsigned w = 0; w < root->window_count; w++) {
			if (root->windows[w].base >= root->windows[w].end)
				return false;
		}
	}
	return true;
}

static bool machine_ok(const struct acpi_machine *m)
{
	if (!m->vcpus || m->vcpus > ACPI_VCPUS_MAX || !m->pci_gsi)
		return false;
	/* Ascending ids also keep the UID of a type 0 entry below 256. */
	for (unsigned i = 1; i < m->vcpus; i++) {
		if (m->apic_ids[i] <= m->apic_ids[i - 1])
			return false;
	}
	if (!m->ecam_size || m->ecam_size % ECAM_BUS_SIZE || m->ecam_size > 256 * ECAM_BUS_SIZE ||
	    !range_fits(m->ecam_base, m->ecam_size, 4 * GiB))
		return false;
	if (!m->buses || m->buses > m->ecam_size / ECAM_BUS_SIZE)
		return false;
	if (m->mmio32_base >= m->mmio32_end || m->mmio32_end > 4 * GiB)
		return false;
	if ((m->nodes > 1 && !nodes_ok(m)) || !roots_ok(m))
		return false;
	return m->mmio64_size <= UINT64_MAX - m->mmio64_base;
}

int acpi_build(const struct acpi_machine *m, struct acpi_tables *ret_tables)
{
	struct acpi_tables t;
	size_t listed[5];
	unsigned count = 0;
	size_t facs, dsdt, xsdt;
	int r;

	if (!machine_ok(m))
		return err_set(ERR_INTERNAL, -EINVAL, "ACPI: inconsistent machine description");

	buf_init(&t.tables);
	buf_init(&t.rsdp);
	buf_init(&t.loader);
	acpi_loader_allocate(&t.loader, ACPI_TABLES_FILE, ACPI_FACS_ALIGN);
	acpi_loader_allocate(&t.loader, ACPI_RSDP_FILE, ACPI_TABLE_ALIGN);
	facs = acpi_facs(&t.tables);
	dsdt = build_dsdt(&t.tables, m);
	listed[count++] = acpi_fadt(&t.tables, &t.loader, m, facs, dsdt);
	listed[count++] = acpi_madt(&t.tables, m);
	listed[count++] = build_mcfg(&t.tables, m);
	if (m->nodes > 1) {
		listed[count++] = acpi_srat(&t.tables, m);
		listed[count++] = acpi_slit(&t.tables, m);
	}
	xsdt = build_xsdt(&t.tables, &t.loader, listed, count);
	build_rsdp(&t.rsdp, &t.loader, xsdt);

	r = t.tables.error ? t.tables.error : t.rsdp.error ? t.rsdp.error : t.loader.error;
	if (r < 0) {
		acpi_tables_fini(&t);
		return err_sys(ERR_INTERNAL, r, "ACPI tables");
	}
	*ret_tables = t;
	return 0;
}

void acpi_tables_fini(struct acpi_tables *t)
{
	if (!t)
		return;
	buf_fini(&t->tables);
	buf_fini(&t->rsdp);
	buf_fini(&t->loader);
}
