/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The start of a kernel without firmware: places all PCI devices, writes the tables that describe
 * the machine, the kernel and what it is told into memory, and sets the vCPUs. Main thread, before
 * the vCPUs run; again after each reset.
 */
#include <errno.h>

#include "boot/acpi.h"
#include "boot/smbios.h"
#include "core/arch.h"
#include "core/err.h"
#include "devices/chipset/q35_host.h"
#include "devices/pci/pci_assign.h"
#include "machine/machine.h"
#include "x86_64/layout.h"

static int place_devices(struct machine *machine)
{
	struct pci_dev *host = pci_root_find(&machine->pci, 0, PCI_DEVFN(SLOT_HOST_BRIDGE, 0));
	struct pci_windows windows = {
		.io = { PCI_IO_BASE_BOOT, PCI_IO_END },
		.mem64 = { machine->window.base, machine->window.base + machine->window.size },
	};

	pci_function_write(host, Q35_PCIEXBAR_HIGH, 4, ECAM_BASE_BOOT >> 32);
	pci_function_write(host, Q35_PCIEXBAR, 4, ECAM_BASE_BOOT | Q35_PCIEXBAR_ENABLE);
	mmio_window_32(ECAM_BASE_BOOT, machine->mem.banks[0].size, &windows.mem32.base,
		       &windows.mem32.end);
	return pci_assign(&machine->pci, &windows);
}

static int write_acpi(struct machine *machine, uint64_t *ret_rsdp)
{
	struct acpi_tables tables;
	struct acpi_image image;
	int r = machine_build_acpi(machine, &tables);

	if (r < 0)
		return r;
	r = acpi_link(&tables, BOOT_ACPI, &image);
	acpi_tables_fini(&tables);
	if (r < 0)
		return r;
	*ret_rsdp = image.rsdp;
	if (image.len > BOOT_SMBIOS - BOOT_ACPI ||
	    !mem_write(&machine->mem, BOOT_ACPI, image.data, image.len))
		r = err_set(ERR_INTERNAL, -ENOSPC, "the ACPI tables do not fit in memory");
	acpi_image_fini(&image);
	return r;
}

static int write_smbios(struct machine *machine)
{
	struct smbios_tables tables;
	int r = machine_build_smbios(machine, &tables);
	uint64_t gpa;

	if (r < 0)
		return r;
	gpa = smbios_link(&tables, BOOT_SMBIOS);
	if (!range_fits(gpa, tables.tables.len, BOOT_SMBIOS_END) ||
	    !mem_write(&machine->mem, BOOT_SMBIOS, tables.anchor.data, tables.anchor.len) ||
	    !mem_write(&machine->mem, gpa, tables.tables.data, tables.tables.len))
		r = err_set(ERR_INTERNAL, -ENOSPC, "the SMBIOS tables do not fit in memory");
	smbios_tables_fini(&tables);
	return r;
}

static void add_range(struct memmap *map, uint64_t base, uint64_t end, enum memmap_type type)
{
	map->ranges[map->count++] = (struct memmap_range){ base, end - base, type };
}

static void describe_memory(const struct machine *machine, struct memmap *map)
{
	_Static_assert(GUEST_MEM_BANKS_MAX + 4 <= MEMMAP_MAX, "the memory map is too small");
	const struct guest_mem *mem = &machine->mem;

	map->count = 0;
	add_range(map, 0, BIOS_HOLE_BASE, MEMMAP_RAM);
	add_range(map, BOOT_ACPI, MiB, MEMMAP_RESERVED);
	add_range(map, MiB, mem->banks[0].size, MEMMAP_RAM);
	add_range(map, ECAM_BASE_BOOT, ECAM_BASE_BOOT + ECAM_SIZE, MEMMAP_RESERVED);
	add_range(map, KVM_IDENTITY_MAP_ADDR, KVM_IDENTITY_MAP_ADDR + 4 * 4 * KiB, MEMMAP_RESERVED);
	for (unsigned i = 1; i < mem->count; i++)
		add_range(map, mem->banks[i].gpa, mem->banks[i].gpa + mem->banks[i].size,
			  MEMMAP_RAM);
}

static int start_kernel(struct machine *machine)
{
	struct memmap memmap;
	struct kernel_machine told = {
		.memmap = &memmap,
		.fresh = !machine->kernel_loaded,
		.info_gpa = BOOT_INFO,
		.cmdline_gpa = BOOT_CMDLINE,
	};
	struct arch_boot boot;
	int r = place_devices(machine);

	if (r == 0)
		r = write_acpi(machine, &told.rsdp);
	if (r == 0)
		r = write_smbios(machine);
	describe_memory(machine, &memmap);
	if (r == 0)
		r = kernel_load(&machine->kernel, &machine->mem, &told, &boot);
	machine->kernel_loaded = true;
	boot.tables = BOOT_TABLES;
	for (unsigned i = 0; i < machine->vcpus.count && r == 0; i++)
		r = arch_vcpu_boot(&machine->vcpus.vcpus[i], &boot);
	return r;
}

int machine_add_kernel(struct machine *machine)
{
	return machine_is_direct(machine) ? start_kernel(machine) : 0;
}
