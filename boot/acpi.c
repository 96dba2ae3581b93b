/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The static ACPI tables and the script that links them; see acpi.h. [ACPI-6.5 5.2 ACPI System
 * Description Tables]. Pure functions.
 */
#include "boot/acpi.h"

#include <errno.h>

#include "boot/acpi_dsdt.h"
#include "boot/acpi_loader.h"
#include "core/err.h"

#define OEM_ID          "TINYVM"
#define OEM_TABLE_ID    "TINYVMM"
#define OEM_REVISION    1u
#define CREATOR_ID      "TVMM"
#define CREATOR_VERSION 1u

#define HEADER_SIZE     36u
#define HEADER_LENGTH   4u
#define HEADER_CHECKSUM 9u
#define TABLE_ALIGN     16u
#define FACS_ALIGN      64u

/* FADT offsets. [ACPI-6.5 5.2.9 Fixed ACPI Description Table (FADT)] */
#define FADT_REVISION       6u
#define FADT_MINOR_REVISION 5u
#define FADT_SIZE           276u
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

/* [ACPI-6.5 5.2.12 Multiple APIC Description Table (MADT)] */
#define MADT_REVISION     6u
#define MADT_PCAT_COMPAT  (1u << 0)
#define MADT_LAPIC        0u
#define MADT_IOAPIC       1u
#define MADT_OVERRIDE     2u
#define MADT_LAPIC_NMI    4u
#define MADT_X2APIC       9u
#define MADT_X2APIC_NMI   10u
#define MADT_ENABLED      (1u << 0)
#define MADT_LAPIC_ID_MAX 254u
#define MADT_LINT1        1u
#define MADT_ACTIVE_HIGH  (1u << 0)
#define MADT_LEVEL        (3u << 2)
#define ISA_IRQ_TIMER     0u
#define GSI_TIMER         2u

/* [ACPI-6.5 5.2.16 System Resource Affinity Table (SRAT)] */
#define SRAT_REVISION 3u
#define SRAT_LAPIC    0u
#define SRAT_MEMORY   1u
#define SRAT_X2APIC   2u
#define SRAT_ENABLED  (1u << 0)
#define SLIT_REVISION 1u
#define SLIT_LOCAL    10u

#define ECAM_BUS_SIZE MiB

static size_t table_begin(struct buf *b, const char *signature, unsigned revision)
{
	size_t start;

	buf_align(b, TABLE_ALIGN);
	start = b->len;
	buf_text(b, signature, 4, '\0');
	buf_le(b, 4, 0); /* length: table_end */
	buf_le(b, 1, revision);
	buf_le(b, 1, 0); /* checksum: table_end, or the script where it patches the table */
	buf_text(b, OEM_ID, 6, ' ');
	buf_text(b, OEM_TABLE_ID, 8, ' ');
	buf_le(b, 4, OEM_REVISION);
	buf_text(b, CREATOR_ID, 4, ' ');
	buf_le(b, 4, CREATOR_VERSION);
	return start;
}

static void table_set_length(struct buf *b, size_t start)
{
	buf_patch_le(b, start + HEADER_LENGTH, 4, b->len - start);
}

static void table_end(struct buf *b, size_t start)
{
	table_set_length(b, start);
	if (!b->error) {
		b->data[start + HEADER_CHECKSUM] = acpi_checksum(b->data + start, b->len - start);
	}
}

static void put_gas_io(struct buf *b, size_t off, enum gas_access access, unsigned len,
		       uint16_t port)
{
	buf_patch_le(b, off, 1, GAS_SYSTEM_IO);
	buf_patch_le(b, off + 1, 1, 8 * len);
	buf_patch_le(b, off + 3, 1, access);
	buf_patch_le(b, off + 4, 8, port);
}

/* [ACPI-6.5 5.2.10 Firmware ACPI Control Structure (FACS)] */
static size_t build_facs(struct buf *b)
{
	size_t start;

	buf_align(b, FACS_ALIGN);
	start = b->len;
	buf_text(b, "FACS", 4, '\0');
	buf_le(b, 4, 64);
	buf_zero(b, 24);
	buf_le(b, 1, 2); /* version */
	buf_zero(b, 31);
	return start;
}

static size_t build_dsdt(struct buf *b, const struct acpi_machine *m)
{
	size_t start = table_begin(b, "DSDT", 2); /* 2: integers have 64 bits */

	acpi_dsdt(b, m);
	table_end(b, start);
	return start;
}

static size_t build_fadt(struct buf *b, struct buf *loader, const struct acpi_machine *m,
			 size_t facs, size_t dsdt)
{
	const uint16_t event = m->pm_base + ACPI_PM1_EVENT;
	const uint16_t control = m->pm_base + ACPI_PM1_CONTROL;
	const uint16_t timer = m->pm_base + ACPI_PM_TIMER;
	size_t start = table_begin(b, "FACP", FADT_REVISION);

	buf_zero(b, FADT_SIZE - HEADER_SIZE);
	table_set_length(b, start);
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
	for (unsigned i = 0; i < strlen(OEM_TABLE_ID); i++)
		buf_patch_le(b, start + FADT_HYPERVISOR_ID + i, 1, (uint8_t)OEM_TABLE_ID[i]);

	buf_patch_le(b, start + FADT_FIRMWARE_CTRL, 4, facs);
	acpi_loader_pointer(loader, ACPI_TABLES_FILE, start + FADT_FIRMWARE_CTRL, 4,
			    ACPI_TABLES_FILE);
	buf_patch_le(b, start + FADT_DSDT, 4, dsdt);
	acpi_loader_pointer(loader, ACPI_TABLES_FILE, start + FADT_DSDT, 4, ACPI_TABLES_FILE);
	buf_patch_le(b, start + FADT_X_DSDT, 8, dsdt);
	acpi_loader_pointer(loader, ACPI_TABLES_FILE, start + FADT_X_DSDT, 8, ACPI_TABLES_FILE);
	acpi_loader_checksum(loader, ACPI_TABLES_FILE, start + HEADER_CHECKSUM, start, FADT_SIZE);
	return start;
}

static void madt_entry(struct buf *b, unsigned type, unsigned len)
{
	buf_le(b, 1, type);
	buf_le(b, 1, len);
}

/* The processor UID is the vCPU's number, as in the DSDT. */
static void madt_vcpu(struct buf *b, unsigned uid, uint32_t apic_id)
{
	if (apic_id <= MADT_LAPIC_ID_MAX) {
		madt_entry(b, MADT_LAPIC, 8);
		buf_le(b, 1, uid);
		buf_le(b, 1, apic_id);
		buf_le(b, 4, MADT_ENABLED);
	} else {
		madt_entry(b, MADT_X2APIC, 16);
		buf_zero(b, 2);
		buf_le(b, 4, apic_id);
		buf_le(b, 4, MADT_ENABLED);
		buf_le(b, 4, uid);
	}
}

static void madt_override(struct buf *b, uint8_t irq, uint32_t gsi, uint16_t flags)
{
	madt_entry(b, MADT_OVERRIDE, 10);
	buf_le(b, 1, 0); /* ISA */
	buf_le(b, 1, irq);
	buf_le(b, 4, gsi);
	buf_le(b, 2, flags);
}

static size_t build_madt(struct buf *b, const struct acpi_machine *m)
{
	size_t start = table_begin(b, "APIC", MADT_REVISION);

	buf_le(b, 4, m->lapic_base);
	buf_le(b, 4, m->no_isa ? 0 : MADT_PCAT_COMPAT);
	for (unsigned i = 0; i < m->vcpus; i++)
		madt_vcpu(b, i, m->apic_ids[i]);

	madt_entry(b, MADT_IOAPIC, 12);
	buf_le(b, 1, 0); /* id */
	buf_zero(b, 1);
	buf_le(b, 4, m->ioapic_base);
	buf_le(b, 4, 0); /* first GSI */

	if (!m->no_isa)
		madt_override(b, ISA_IRQ_TIMER, GSI_TIMER, 0);
	madt_override(b, m->sci_gsi, m->sci_gsi, MADT_ACTIVE_HIGH | MADT_LEVEL);

	/* NMIs of all processors arrive at LINT1, edge and active high as the bus has them. */
	madt_entry(b, MADT_LAPIC_NMI, 6);
	buf_le(b, 1, UINT8_MAX);
	buf_le(b, 2, 0);
	buf_le(b, 1, MADT_LINT1);
	if (m->apic_ids[m->vcpus - 1] > MADT_LAPIC_ID_MAX) {
		madt_entry(b, MADT_X2APIC_NMI, 12);
		buf_le(b, 2, 0);
		buf_le(b, 4, UINT32_MAX);
		buf_le(b, 1, MADT_LINT1);
		buf_zero(b, 3);
	}
	table_end(b, start);
	return start;
}

static size_t build_mcfg(struct buf *b, const struct acpi_machine *m)
{
	size_t start = table_begin(b, "MCFG", 1);

	buf_zero(b, 8);
	buf_le(b, 8, m->ecam_base);
	buf_le(b, 2, 0); /* segment */
	buf_le(b, 1, 0); /* first bus */
	buf_le(b, 1, m->buses - 1);
	buf_zero(b, 4);
	table_end(b, start);
	return start;
}

/* The entry has the form of the vCPU's in the MADT. */
static void srat_vcpu(struct buf *b, unsigned node, uint32_t apic_id)
{
	if (apic_id <= MADT_LAPIC_ID_MAX) {
		madt_entry(b, SRAT_LAPIC, 16);
		buf_le(b, 1, node);
		buf_le(b, 1, apic_id);
		buf_le(b, 4, SRAT_ENABLED);
		buf_zero(b, 8); /* no SAPIC; the node's upper bytes; clock domain 0 */
	} else {
		madt_entry(b, SRAT_X2APIC, 24);
		buf_zero(b, 2);
		buf_le(b, 4, node);
		buf_le(b, 4, apic_id);
		buf_le(b, 4, SRAT_ENABLED);
		buf_zero(b, 8);
	}
}

static void srat_memory(struct buf *b, const struct acpi_memory *memory)
{
	madt_entry(b, SRAT_MEMORY, 40);
	buf_le(b, 4, memory->node);
	buf_zero(b, 2);
	buf_le(b, 8, memory->gpa);
	buf_le(b, 8, memory->size);
	buf_zero(b, 4);
	buf_le(b, 4, SRAT_ENABLED);
	buf_zero(b, 8);
}

static size_t build_srat(struct buf *b, const struct acpi_machine *m)
{
	size_t start = table_begin(b, "SRAT", SRAT_REVISION);

	buf_le(b, 4, 1); /* reserved, and 1 for old readers */
	buf_zero(b, 8);
	for (unsigned i = 0; i < m->vcpus; i++)
		srat_vcpu(b, m->vcpu_nodes[i], m->apic_ids[i]);
	for (unsigned i = 0; i < m->memory_count; i++)
		srat_memory(b, &m->memory[i]);
	table_end(b, start);
	return start;
}

/* [ACPI-6.5 5.2.17 System Locality Information Table (SLIT)] */
static size_t build_slit(struct buf *b, const struct acpi_machine *m)
{
	size_t start = table_begin(b, "SLIT", SLIT_REVISION);

	buf_le(b, 8, m->nodes);
	for (unsigned i = 0; i < m->nodes * m->nodes; i++)
		buf_le(b, 1, m->distances[i]);
	table_end(b, start);
	return start;
}

static size_t build_xsdt(struct buf *b, struct buf *loader, const size_t *tables, unsigned count)
{
	size_t start = table_begin(b, "XSDT", 1);

	for (unsigned i = 0; i < count; i++) {
		acpi_loader_pointer(loader, ACPI_TABLES_FILE, b->len, 8, ACPI_TABLES_FILE);
		buf_le(b, 8, tables[i]);
	}
	table_set_length(b, start);
	acpi_loader_checksum(loader, ACPI_TABLES_FILE, start + HEADER_CHECKSUM, start,
			     b->len - start);
	return start;
}

/* [ACPI-6.5 5.2.5.3 Root System Description Pointer (RSDP) Structure] */
static void build_rsdp(struct buf *b, struct buf *loader, size_t xsdt)
{
	buf_text(b, "RSD PTR ", 8, ' ');
	buf_le(b, 1, 0); /* checksum of the first 20 bytes */
	buf_text(b, OEM_ID, 6, ' ');
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

		if (local ? m->distances[i] != SLIT_LOCAL : m->distances[i] < SLIT_LOCAL)
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
	acpi_loader_allocate(&t.loader, ACPI_TABLES_FILE, FACS_ALIGN);
	acpi_loader_allocate(&t.loader, ACPI_RSDP_FILE, TABLE_ALIGN);
	facs = build_facs(&t.tables);
	dsdt = build_dsdt(&t.tables, m);
	listed[count++] = build_fadt(&t.tables, &t.loader, m, facs, dsdt);
	listed[count++] = build_madt(&t.tables, m);
	listed[count++] = build_mcfg(&t.tables, m);
	if (m->nodes > 1) {
		listed[count++] = build_srat(&t.tables, m);
		listed[count++] = build_slit(&t.tables, m);
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
