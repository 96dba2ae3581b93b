/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine as its ACPI and SMBIOS tables have it. Main thread; for firmware ACPI's are made once
 * more on the vCPU that selects them, when every BAR has its place.
 */
#include "boot/acpi.h"
#include "boot/smbios.h"
#include "core/arch.h"
#include "devices/chipset/ich9_lpc.h"
#include "devices/pci/pci_bridge.h"
#include "machine/machine.h"
#include "x86_64/layout.h"

/* A write of this to port CF9 resets [ICH9 13.7.5 RST_CNT]: full, hard, now. */
#define RESET_VALUE 0x0f

/* The planned window, and whatever BAR the firmware put elsewhere. */
static void window_now(struct machine *machine, uint64_t *ret_base, uint64_t *ret_size)
{
	*ret_base = machine->window.base;
	*ret_size = machine->window.size;
	for (unsigned g = 0; g < machine->gpu_count; g++) {
		struct pci_dev *dev = machine->gpus[g];

		pthread_mutex_lock(&dev->lock);
		for (unsigned n = 0; n < PCI_BARS; n++) {
			const struct pci_bar *bar = &dev->bars[n];

			if (bar->kind == PCI_BAR_MEM64 && bar->mapped && bar->addr >= HIGH_RAM_BASE)
				mmio_window_cover(ret_base, ret_size, bar->addr, bar->size);
		}
		pthread_mutex_unlock(&dev->lock);
	}
}

struct acpi_nodes {
	uint8_t vcpus[OPTIONS_CPUS_MAX];
	struct acpi_memory memory[MEM_PARTS_MAX];
	uint8_t distances[PLACEMENT_NODES_MAX * PLACEMENT_NODES_MAX];
};

/* The guest's nodes. */
static void describe_nodes(const struct machine *machine, struct acpi_nodes *nodes,
			   struct acpi_machine *acpi)
{
	const struct placement *p = &machine->placement;
	const struct guest_mem *mem = &machine->mem;

	acpi->nodes = p->node_count;
	acpi->vcpu_nodes = nodes->vcpus;
	acpi->memory = nodes->memory;
	acpi->distances = nodes->distances;
	if (p->node_count < 2)
		return;
	for (unsigned i = 0; i < acpi->vcpus; i++)
		nodes->vcpus[i] = (uint8_t)p->vcpus[i].node;
	for (unsigned i = 0; i < mem->part_count; i++)
		nodes->memory[acpi->memory_count++] = (struct acpi_memory){
			.gpa = mem->parts[i].gpa,
			.size = mem->parts[i].size,
			.node = (unsigned)placement_guest_node(p, mem->parts[i].node),
		};
	for (unsigned i = 0; i < p->node_count; i++) {
		for (unsigned k = 0; k < p->node_count; k++)
			nodes->distances[i * p->node_count + k] = p->nodes[i].distance[k];
	}
}

#define PORT_WINDOWS_MAX (OPTIONS_GPUS_MAX * PCI_BRIDGE_WINDOWS)

struct acpi_roots {
	struct acpi_root roots[PCI_ROOT_EXTRA_MAX];
	struct acpi_window windows[PORT_WINDOWS_MAX];
};

/* A further root bridge forwards what its root ports do, as firmware has set them by now. */
static void describe_roots(struct machine *machine, struct acpi_roots *roots,
			   struct acpi_machine *acpi)
{
	struct acpi_window *w = roots->windows;

	for (unsigned i = 0; i < machine->pci.extra_count; i++) {
		struct pci_root_bus *extra = &machine->pci.extra[i];
		struct acpi_root *root = &roots->roots[i];

		*root = (struct acpi_root){ .bus = extra->nr,
					    .node = machine->root_nodes[i],
					    .windows = w };
		for (unsigned devfn = 0; devfn < ARRAY_SIZE(extra->bus.devs); devfn++) {
			struct pci_dev *dev = extra->bus.devs[devfn];

			for (unsigned k = 0; dev && k < PCI_BRIDGE_WINDOWS; k++) {
				w->io = k == PCI_BRIDGE_IO;
				if (pci_bridge_forwards(pci_bridge_of(dev),
							(enum pci_bridge_window)k, &w->base,
							&w->end))
					w++;
			}
		}
		root->window_count = (unsigned)(w - root->windows);
	}
	acpi->roots = roots->roots;
	acpi->root_count = machine->pci.extra_count;
}

int machine_build_acpi(struct machine *machine, struct acpi_tables *ret_tables)
{
	uint64_t ecam_base = pci_root_ecam_base(&machine->pci);
	uint32_t apic_ids[OPTIONS_CPUS_MAX];
	struct acpi_nodes nodes;
	struct acpi_roots roots;
	struct acpi_machine acpi = {
		.apic_ids = apic_ids,
		.vcpus = machine->options->cpus,
		.no_isa = arch_cpu_is_large(machine->cpu),
		.lapic_base = LAPIC_BASE,
		.ioapic_base = IOAPIC_BASE,
		.ecam_base = ecam_base ? ecam_base : ECAM_BASE_OVMF,
		.ecam_size = ECAM_SIZE,
		.buses = pci_root_last_bus(&machine->pci) + 1,
		.pm_base = PORT_PM_BASE,
		.pm_size = ICH9_PM_SIZE,
		.sci_gsi = GSI_SCI,
		.com1_port = PORT_COM1,
		.com1_gsi = GSI_COM1,
		.rtc_port = PORT_CMOS_INDEX,
		.rtc_gsi = GSI_RTC,
		.reset_port = PORT_RESET,
		.reset_value = RESET_VALUE,
		.pci_gsi = pci_root_gsi,
	};

	for (unsigned i = 0; i < acpi.vcpus; i++)
		apic_ids[i] = arch_cpu_id(&machine->cpu_config.topology, i);
	mmio_window_32(acpi.ecam_base, machine->mem.banks[0].size, &acpi.mmio32_base,
		       &acpi.mmio32_end);
	window_now(machine, &acpi.mmio64_base, &acpi.mmio64_size);
	describe_nodes(machine, &nodes, &acpi);
	describe_roots(machine, &roots, &acpi);
	return acpi_build(&acpi, ret_tables);
}

int machine_build_smbios(const struct machine *machine, struct smbios_tables *ret_tables)
{
	const struct arch_topology *topology = &machine->cpu_config.topology;
	const struct arch_cpu_name name = arch_cpu_name(machine->cpu);
	struct smbios_range ram[GUEST_MEM_BANKS_MAX];
	const struct smbios_machine smbios = {
		.manufacturer = "tinyvmm",
		.product = "tinyvmm q35",
		.version = TINYVMM_VERSION,
		.cpu = { .vendor = name.vendor,
			 .name = name.model,
			 .signature = name.signature,
			 .features = name.features,
			 .sockets = topology->sockets,
			 .cores = topology->cores,
			 .threads = topology->threads },
		.ram = ram,
		.ram_ranges = machine->mem.count,
	};

	for (unsigned i = 0; i < machine->mem.count; i++)
		ram[i] = (struct smbios_range){ machine->mem.banks[i].gpa,
						machine->mem.banks[i].size };
	return smbios_build(&smbios, ret_tables);
}
