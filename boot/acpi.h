/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ACPI tables of the machine, made from a plain description: full (not hardware-reduced) ACPI
 * with FACS, DSDT, FADT, MADT, MCFG, XSDT and RSDP, and SRAT and SLIT for several nodes.
 * [ACPI-6.5], [PCI-FW-3.3 4.1.2 MCFG Table Description]. Pure functions, any thread.
 *
 * The tables come as two blobs with unresolved pointers and a script that resolves them, the three
 * fw_cfg files which firmware loads after it has enumerated PCI. acpi_link runs the same script for
 * a guest that is started without firmware.
 */
#ifndef BOOT_ACPI_H
#define BOOT_ACPI_H

#include "boot/buf.h"

#define ACPI_TABLES_FILE "etc/acpi/tables"
#define ACPI_RSDP_FILE   "etc/acpi/rsdp"
#define ACPI_LOADER_FILE "etc/table-loader"

#define ACPI_VCPUS_MAX 4096u /* three hexadecimal digits in a processor's name */

/* The PM block: offsets of the registers that the FADT names. [ACPI-6.5 4.8.3 PM1 Event Grouping]
 */
#define ACPI_PM1_EVENT   0x00 /* 4 bytes: status, enable */
#define ACPI_PM1_CONTROL 0x04 /* 2 bytes; SLP_TYP 0 is S5 */
#define ACPI_PM_TIMER    0x08 /* 4 bytes, 24 bits count */

/* Addresses [base, end) that a root bridge forwards. */
struct acpi_window {
	bool io;
	uint64_t base, end;
};

/* A root bridge beside the one of bus 0. */
struct acpi_root {
	unsigned bus;                      /* its first; the last is before the next root's */
	unsigned node;                     /* it is near this NUMA node */
	const struct acpi_window *windows; /* which bus 0 does not forward */
	unsigned window_count;
};

#define ACPI_NODES_MAX 255u /* a byte in the SRAT; 255 is no node */

/* Memory of a NUMA node, in ascending order. */
struct acpi_memory {
	uint64_t gpa, size;
	unsigned node;
};

struct acpi_machine {
	const uint32_t *apic_ids; /* of each vCPU, ascending */
	unsigned vcpus;           /* 1..ACPI_VCPUS_MAX */
	bool no_isa; /* there is no PIC and no PIT: nothing but local APICs and the IOAPIC */
	uint32_t lapic_base;
	uint32_t ioapic_base;
	uint64_t ecam_base; /* below 4 GiB, for bus 0 */
	uint64_t ecam_size; /* what is decoded: 1 MiB a bus, at most 256 MiB */
	unsigned buses; /* that exist, in ecam_size: Linux looks for devices on all it is told */
	uint16_t pm_base;
	uint8_t pm_size;
	uint8_t sci_gsi; /* level, active high */
	uint16_t com1_port;
	uint8_t com1_gsi;
	uint16_t rtc_port;
	uint8_t rtc_gsi;
	uint16_t reset_port; /* a write of reset_value resets the machine */
	uint8_t reset_value;
	const struct acpi_root *roots; /* by bus, ascending */
	unsigned root_count;
	uint64_t mmio32_base, mmio32_end;  /* what the root bridges forward below 4 GiB */
	uint64_t mmio64_base, mmio64_size; /* and above; size 0: nothing */
	/* NUMA: with fewer than two nodes the guest is told of none, and the rest is not looked at.
	 */
	unsigned nodes;
	const uint8_t *vcpu_nodes; /* of each vCPU */
	const struct acpi_memory *memory;
	unsigned memory_count;
	const uint8_t *distances; /* nodes x nodes, as the SLIT has them: 10 to itself */
	/* The GSI of INTA..INTD (pin 1..4) of a slot of any root bus. */
	unsigned (*pci_gsi)(unsigned slot, unsigned pin);
};

struct acpi_tables {
	struct buf tables; /* ACPI_TABLES_FILE */
	struct buf rsdp;   /* ACPI_RSDP_FILE */
	struct buf loader; /* ACPI_LOADER_FILE */
};

/*
 * Builds everything. The size of the script depends on `nodes` only, and the others' on vcpus, on
 * apic_ids, on whether mmio64_size is 0, and with several roots on their windows. So firmware may
 * be told them before windows and the ECAM base are known, and the tables be built again, with the
 * final ones, when it selects the script: it looks for the size of the others after that.
 *
 * -EINVAL (kind ERR_INTERNAL) if the description contradicts itself, -ENOMEM.
 */
int MUST_CHECK acpi_build(const struct acpi_machine *m, struct acpi_tables *ret_tables);
void acpi_tables_fini(struct acpi_tables *t);

/* The tables as they lie in guest memory, to be copied to the address they were linked for. */
struct acpi_image {
	uint8_t *data;
	size_t len;
	uint64_t rsdp; /* guest-physical address of the RSDP, inside */
};

/*
 * Runs the script for tables that lie at `gpa` (page aligned, the whole image below 4 GiB).
 * -EINVAL (kind ERR_INTERNAL) if the script is malformed or reaches outside its blobs.
 */
int MUST_CHECK acpi_link(const struct acpi_tables *t, uint64_t gpa, struct acpi_image *ret_image);
void acpi_image_fini(struct acpi_image *image);

#endif
