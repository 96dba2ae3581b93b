/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The DSDT's contents: what a guest cannot find out by itself. Root bridges with their windows and
 * interrupts, COM1, the clock, the processors, and the addresses that are taken.
 * [ACPI-6.5 6 Device Configuration], [PCI-FW-3.3 4.5 Interface for OS-Reported Features].
 */
#include "boot/acpi_dsdt.h"

#include <stdio.h>

#include "boot/aml_res.h"

#define PCI_SLOTS        32u
#define PCI_PINS         4u
#define PCI_CONFIG_PORT  0xcf8u /* and the reset register among its eight ports */
#define PCI_CONFIG_PORTS 8u
#define IO_PORT_MAX      0xffffu
#define COM_PORTS        8u
#define RTC_PORTS        2u

/* _PRT, any function of a slot. [ACPI-6.5 6.2.13 _PRT (PCI Routing Table)] */
#define PRT_ADDRESS(slot) ((uint64_t)(slot) << 16 | 0xffff)

/* [PCI-FW-3.3 4.5.1 _OSC Interface for PCI Host Bridge Devices] */
#define OSC_PCI_UUID         "33db4d5b-1ff7-401c-9657-7441c03dd766"
#define OSC_REVISION         1u
#define OSC_BAD_UUID         (1u << 2)
#define OSC_BAD_REVISION     (1u << 3)
#define OSC_CONTROLS_MASKED  (1u << 4)
#define OSC_CONTROL_PME      (1u << 2)
#define OSC_CONTROL_AER      (1u << 3)
#define OSC_CONTROL_PCIE_CAP (1u << 4)
/* What the guest may drive natively. Hot plug, SHPC and LTR are not emulated. */
#define OSC_CONTROLS (OSC_CONTROL_PME | OSC_CONTROL_AER | OSC_CONTROL_PCIE_CAP)

/* S5 with SLP_TYP 0, the value that OVMF writes without asking this table. */
static void sleep_states(struct buf *b)
{
	aml_name(b, "\\_S5");

	size_t package = aml_package_open(b);

	for (unsigned i = 0; i < 4; i++)
		aml_int(b, 0);
	aml_package_close(b, package, 4);
}

/* [base, end) in one descriptor, as wide as it takes. */
static void window(struct buf *b, bool io, uint64_t base, uint64_t end)
{
	const unsigned width = io ? 2 : end <= 4 * GiB ? 4 : 8;

	aml_res_window(b, width, io ? AML_SPACE_IO : AML_SPACE_MEMORY, base, end - 1);
}

/* The first window of another root in [base, end); NULL: none. */
static const struct acpi_window *first_taken(const struct acpi_machine *m, bool io, uint64_t base,
					     uint64_t end)
{
	const struct acpi_window *first = NULL;

	for (unsigned i = 0; i < m->root_count; i++) {
		for (unsigned k = 0; k < m->roots[i].window_count; k++) {
			const struct acpi_window *w = &m->roots[i].windows[k];

			if (w->io == io && w->base < end && w->end > base &&
			    (!first || w->base < first->base))
				first = w;
		}
	}
	return first;
}

/* What the other roots leave of [base, end). */
static void windows_left(struct buf *b, const struct acpi_machine *m, bool io, uint64_t base,
			 uint64_t end)
{
	const struct acpi_window *taken;

	while (base < end && (taken = first_taken(m, io, base, end))) {
		if (taken->base > base)
			window(b, io, base, taken->base);
		base = taken->end;
	}
	if (base < end)
		window(b, io, base, end);
}

static unsigned last_bus(const struct acpi_machine *m, unsigned root)
{
	return root < m->root_count ? m->roots[root].bus - 1 : m->buses - 1;
}

static void root_windows(struct buf *b, const struct acpi_machine *m)
{
	aml_name(b, "_CRS");

	size_t res = aml_res_open(b);

	aml_res_window(b, 2, AML_SPACE_BUS, 0, last_bus(m, 0));
	aml_res_io(b, PCI_CONFIG_PORT, PCI_CONFIG_PORTS);
	windows_left(b, m, true, 0, PCI_CONFIG_PORT);
	windows_left(b, m, true, PCI_CONFIG_PORT + PCI_CONFIG_PORTS, IO_PORT_MAX + 1);
	windows_left(b, m, false, m->mmio32_base, m->mmio32_end);
	windows_left(b, m, false, m->mmio64_base, m->mmio64_base + m->mmio64_size);
	aml_res_close(b, res);
}

/* Arg1 is not 1: sets the bit for an unknown revision. */
static void osc_check_revision(struct buf *b)
{
	size_t branch = aml_if_open(b);

	aml_op(b, AML_LNOT);
	aml_op(b, AML_LEQUAL);
	aml_arg(b, 1);
	aml_int(b, OSC_REVISION);
	aml_op(b, AML_OR);
	aml_path(b, "CDW1");
	aml_int(b, OSC_BAD_REVISION);
	aml_path(b, "CDW1");
	aml_close(b, branch);
}

/* CDW3 := CDW3 & OSC_CONTROLS, and CDW1 says whether that took something away. */
static void osc_mask_controls(struct buf *b)
{
	aml_op(b, AML_AND);
	aml_path(b, "CDW3");
	aml_int(b, OSC_CONTROLS);
	aml_local(b, 0);

	size_t branch = aml_if_open(b);

	aml_op(b, AML_LNOT);
	aml_op(b, AML_LEQUAL);
	aml_path(b, "CDW3");
	aml_local(b, 0);
	aml_op(b, AML_OR);
	aml_path(b, "CDW1");
	aml_int(b, OSC_CONTROLS_MASKED);
	aml_path(b, "CDW1");
	aml_close(b, branch);

	aml_op(b, AML_STORE);
	aml_local(b, 0);
	aml_path(b, "CDW3");
}

static void capabilities_dword(struct buf *b, unsigned offset, const char *name)
{
	aml_op(b, AML_CREATE_DWORD_FIELD);
	aml_arg(b, 3);
	aml_int(b, offset);
	aml_path(b, name);
}

/* Grants what OSC_CONTROLS has. Serialized, because it makes named fields. */
static void root_osc(struct buf *b)
{
	size_t method = aml_method_open(b, "_OSC", 4, true);

	capabilities_dword(b, 0, "CDW1");

	size_t branch = aml_if_open(b);

	aml_op(b, AML_LEQUAL);
	aml_arg(b, 0);
	aml_uuid(b, OSC_PCI_UUID);
	capabilities_dword(b, 8, "CDW3");
	osc_check_revision(b);
	osc_mask_controls(b);
	aml_close(b, branch);

	branch = aml_else_open(b);
	aml_op(b, AML_OR);
	aml_path(b, "CDW1");
	aml_int(b, OSC_BAD_UUID);
	aml_path(b, "CDW1");
	aml_close(b, branch);

	aml_op(b, AML_RETURN);
	aml_arg(b, 3);
	aml_close(b, method);
}

/* Every pin of every slot, wired to a GSI; no link devices, for nothing routes them. */
static void root_interrupts(struct buf *b, const struct acpi_machine *m)
{
	aml_name(b, "_PRT");

	size_t table = aml_package_open(b);

	for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
		for (unsigned pin = 0; pin < PCI_PINS; pin++) {
			size_t entry = aml_package_open(b);

			aml_int(b, PRT_ADDRESS(slot));
			aml_int(b, pin);
			aml_int(b, 0);
			aml_int(b, m->pci_gsi(slot, pin + 1));
			aml_package_close(b, entry, 4);
		}
	}
	aml_package_close(b, table, PCI_SLOTS * PCI_PINS);
}

static size_t root_bridge_open(struct buf *b, const char *name, unsigned bus)
{
	size_t device = aml_device_open(b, name);

	aml_name_eisa_id(b, "_HID", "PNP0A08"); /* PCI Express root bridge */
	aml_name_eisa_id(b, "_CID", "PNP0A03"); /* PCI root bridge */
	aml_name_int(b, "_UID", bus);           /* firmware counts them so */
	aml_name_int(b, "_SEG", 0);
	aml_name_int(b, "_BBN", bus);
	return device;
}

static void root_bridge(struct buf *b, const struct acpi_machine *m)
{
	size_t device = root_bridge_open(b, "PCI0", 0);

	root_windows(b, m);
	root_osc(b);
	root_interrupts(b, m);
	aml_close(b, device);
}

static void further_root(struct buf *b, const struct acpi_machine *m, unsigned n)
{
	const struct acpi_root *root = &m->roots[n];
	char name[5];

	snprintf(name, sizeof(name), "PC%02X", root->bus & 0xff);

	size_t device = root_bridge_open(b, name, root->bus);

	aml_name_int(b, "_PXM", root->node);
	aml_name(b, "_CRS");

	size_t res = aml_res_open(b);

	aml_res_window(b, 2, AML_SPACE_BUS, root->bus, last_bus(m, n + 1));
	for (unsigned i = 0; i < root->window_count; i++)
		window(b, root->windows[i].io, root->windows[i].base, root->windows[i].end);
	aml_res_close(b, res);
	root_osc(b);
	root_interrupts(b, m);
	aml_close(b, device);
}

/* A device of the ISA bus: ports and an edge-triggered interrupt. */
static void isa_device(struct buf *b, const char *name, const char *id, uint16_t port,
		       uint8_t ports, uint8_t gsi)
{
	size_t device = aml_device_open(b, name);

	aml_name_eisa_id(b, "_HID", id);
	aml_name_int(b, "_UID", 0);
	aml_name(b, "_CRS");

	size_t res = aml_res_open(b);

	aml_res_io(b, port, ports);
	aml_res_irq(b, gsi, true, false);
	aml_res_close(b, res);
	aml_close(b, device);
}

/* Addresses that are taken and that no other device describes. */
static void reserved(struct buf *b, const struct acpi_machine *m)
{
	size_t device = aml_device_open(b, "RES0");

	aml_name_eisa_id(b, "_HID", "PNP0C02"); /* motherboard resources */
	aml_name_int(b, "_UID", 0);
	aml_name(b, "_CRS");

	size_t res = aml_res_open(b);

	aml_res_memory32(b, (uint32_t)m->ecam_base, (uint32_t)m->ecam_size);
	aml_res_io(b, m->pm_base, m->pm_size);
	aml_res_close(b, res);
	aml_close(b, device);
}

/* [ACPI-6.5 8.4 Declaring Processors]; _UID is the MADT's processor UID. */
static void processors(struct buf *b, const struct acpi_machine *m)
{
	for (unsigned i = 0; i < m->vcpus; i++) {
		char name[5];

		snprintf(name, sizeof(name), "C%03X", i & 0xfff);

		size_t device = aml_device_open(b, name);

		aml_name_string(b, "_HID", "ACPI0007");
		aml_name_int(b, "_UID", i);
		aml_close(b, device);
	}
}

void acpi_dsdt(struct buf *b, const struct acpi_machine *m)
{
	sleep_states(b);

	size_t scope = aml_scope_open(b, "\\_SB");

	root_bridge(b, m);
	for (unsigned i = 0; i < m->root_count; i++)
		further_root(b, m, i);
	isa_device(b, "COM1", "PNP0501", m->com1_port, COM_PORTS, m->com1_gsi);
	isa_device(b, "RTC0", "PNP0B00", m->rtc_port, RTC_PORTS, m->rtc_gsi);
	reserved(b, m);
	processors(b, m);
	aml_close(b, scope);
}
