/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The firmware of the machine: its flash, the address space that it will find, and what it is told
 * through fw_cfg. Main thread, but for the ACPI tables, which are completed on the vCPU that
 * selects them.
 */
#include <errno.h>

#include "boot/acpi.h"
#include "boot/smbios.h"
#include "core/arch.h"
#include "core/err.h"
#include "core/log.h"
#include "devices/chipset/debug_port.h"
#include "devices/chipset/fw_cfg.h"
#include "devices/chipset/ich9_lpc.h"
#include "devices/chipset/pflash.h"
#include "devices/pci/pci_bridge.h"
#include "firmware-loader/fw_files.h"
#include "machine/machine.h"
#include "x86_64/layout.h"

/* A write of this to port CF9 resets [ICH9 13.7.5 RST_CNT]: full, hard, now. */
#define RESET_VALUE 0x0f

/* [PCI Code and ID Assignment 1.1] */
#define CLASS_STORAGE 0x01u

#define BARS_MAX (OPTIONS_GPUS_MAX * PCI_BARS)

static uint64_t ram_end(const struct machine *machine)
{
	const struct mem_bank *last = &machine->mem.banks[machine->mem.count - 1];

	return MAX(last->gpa + last->size, HIGH_RAM_BASE);
}

/* The number in mmio_bar.root. */
static unsigned root_of(struct machine *machine, const struct pci_bus *bus)
{
	unsigned i = 0;

	while (pci_root_bus(&machine->pci, i) != bus)
		i++;
	return i;
}

/*
 * The real BARs decide how wide the guest's physical addresses are: those that firmware places
 * above 4 GiB, which behind a root port are the prefetchable ones of 64 bits.
 */
int machine_plan_window(struct machine *machine)
{
	struct mmio_bar bars[BARS_MAX];
	struct mmio_request request = {
		.bars = bars,
		.ram_end = ram_end(machine),
		/* Firmware's page tables lie there. */
		.low_ram = machine_is_direct(machine) ? UINT64_MAX : machine->mem.banks[0].size,
	};
	const struct arch_host host = arch_cpu_host(machine->cpu);

	request.host_phys_bits = host.phys_bits;
	request.gib_pages = host.gib_pages;
	for (unsigned g = 0; g < machine->gpu_count; g++) {
		const struct pci_dev *dev = machine->gpus[g];

		for (unsigned n = 0; n < PCI_BARS; n++) {
			const struct pci_bar *bar = &dev->bars[n];

			if (bar->kind == PCI_BAR_MEM64 && bar->prefetch)
				bars[request.count++] = (struct mmio_bar){
					.size = bar->size,
					.port = PCI_SLOT(dev->bus->bridge->devfn),
					.root = root_of(machine, dev->bus->bridge->bus),
				};
		}
	}
	return mmio_window_plan(&request, &machine->window);
}

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

static int set_acpi_files(struct fw_cfg *fw_cfg, const struct acpi_tables *tables)
{
	int r = fw_cfg_set_file(fw_cfg, ACPI_TABLES_FILE, tables->tables.data, tables->tables.len);

	if (r == 0)
		r = fw_cfg_set_file(fw_cfg, ACPI_RSDP_FILE, tables->rsdp.data, tables->rsdp.len);
	if (r == 0)
		r = fw_cfg_set_file(fw_cfg, ACPI_LOADER_FILE, tables->loader.data,
				    tables->loader.len);
	return r;
}

/*
 * Firmware selects the script after it has placed ECAM and all BARs: only now can the tables say
 * where. On a vCPU.
 */
static void acpi_selected(void *opaque)
{
	struct machine *machine = opaque;
	struct acpi_tables tables;

	if (machine_build_acpi(machine, &tables) < 0) {
		log_guest("ACPI tables: %s", err_text());
		return;
	}
	if (set_acpi_files(machine->fw_cfg, &tables) < 0)
		log_error("ACPI tables: out of memory");
	acpi_tables_fini(&tables);
}

static int add_fw_files(struct machine *machine, const struct fw_files *files)
{
	int r = 0;

	for (unsigned i = 0; i < files->count && r == 0; i++) {
		const struct fw_file *f = &files->files[i];

		r = f->name[0] ? fw_cfg_add_file(machine->fw_cfg, f->name, f->data, f->len)
			       : fw_cfg_add_bytes(machine->fw_cfg, f->key, f->data, f->len);
	}
	return r < 0 ? err_sys(ERR_LIMIT, r, "fw_cfg") : 0;
}

int machine_build_smbios(const struct machine *machine, struct smbios_tables *ret_tables)
{
	struct smbios_range ram[GUEST_MEM_BANKS_MAX];
	const struct smbios_machine smbios = {
		.manufacturer = "tinyvmm",
		.product = "tinyvmm q35",
		.version = TINYVMM_VERSION,
		.ram = ram,
		.ram_ranges = machine->mem.count,
	};

	for (unsigned i = 0; i < machine->mem.count; i++)
		ram[i] = (struct smbios_range){ machine->mem.banks[i].gpa,
						machine->mem.banks[i].size };
	return smbios_build(&smbios, ret_tables);
}

/*
 * The disks in the order of the options, then passed-through storage. Not knowing which one has an
 * operating system, firmware tries all of them, but no network, for which it would wait.
 */
static void add_boot_devices(struct machine *machine, struct fw_machine *fw)
{
	_Static_assert(OPTIONS_DISKS_MAX + OPTIONS_GPUS_MAX <= FW_BOOT_DEVICES_MAX,
		       "more devices than places in the boot order");

	for (unsigned i = 0; i < machine->options->disk_count; i++)
		fw->boot[fw->boot_count++].slot = (uint8_t)(SLOT_FIRST_DISK + i);
	for (unsigned i = 0; i < machine->gpu_count; i++) {
		struct pci_dev *dev = machine->gpus[i];

		if (pci_function_read(dev, PCI_CLASS_DEVICE + 1, 1) != CLASS_STORAGE)
			continue;
		fw->boot[fw->boot_count++] = (struct fw_boot_device){
			.root = root_of(machine, dev->bus->bridge->bus),
			.behind_port = true,
			.port = PCI_SLOT(dev->bus->bridge->devfn),
			.slot = PCI_SLOT(dev->devfn),
			.function = PCI_FUNC(dev->devfn),
		};
	}
}

static int add_fw_cfg_content(struct machine *machine)
{
	struct fw_e820 e820[GUEST_MEM_BANKS_MAX];
	struct smbios_tables smbios = { 0 };
	struct acpi_tables acpi = { 0 };
	struct fw_files files = { 0 };
	struct fw_machine fw = {
		.e820 = e820,
		.e820_count = machine->mem.count,
		.vcpus = (uint16_t)machine->options->cpus,
		.mmio64_mib = machine->window.knob,
		.extra_roots = machine->pci.extra_count,
		.acpi = &acpi,
		.smbios = &smbios,
	};
	int r;

	for (unsigned i = 0; i < machine->mem.count; i++)
		e820[i] = (struct fw_e820){ machine->mem.banks[i].gpa, machine->mem.banks[i].size,
					    FW_E820_RAM };
	add_boot_devices(machine, &fw);
	r = machine_build_acpi(machine, &acpi);
	if (r == 0)
		r = machine_build_smbios(machine, &smbios);
	if (r == 0)
		r = fw_files_init(&fw, &files);
	if (r == 0)
		r = add_fw_files(machine, &files);
	if (r == 0)
		fw_cfg_on_select(machine->fw_cfg, ACPI_LOADER_FILE, acpi_selected, machine);
	fw_files_fini(&files);
	smbios_tables_fini(&smbios);
	acpi_tables_fini(&acpi);
	return r;
}

/* By these items QEMU has firmware start its own --kernel. */
static int add_kernel(struct machine *machine)
{
	const struct kernel *kernel = &machine->kernel;
	const size_t cmdline_size = kernel->cmdline[0] ? strlen(kernel->cmdline) + 1 : 0;
	/* Their sizes were checked: kernel_open. */
	const struct {
		uint16_t size_key, data_key;
		struct fw_cfg_piece piece;
	} pieces[] = {
		{ FW_CFG_SETUP_SIZE,
		  FW_CFG_SETUP_DATA,
		  { kernel->fd, 0, kernel->setup_size, kernel->path } },
		{ FW_CFG_KERNEL_SIZE,
		  FW_CFG_KERNEL_DATA,
		  { kernel->fd, kernel->setup_size, (uint32_t)kernel->size - kernel->setup_size,
		    kernel->path } },
		{ FW_CFG_INITRD_SIZE,
		  FW_CFG_INITRD_DATA,
		  { kernel->initrd_fd, 0, (uint32_t)kernel->initrd_size, kernel->initrd } },
	};
	int r = fw_cfg_add_u32(machine->fw_cfg, FW_CFG_CMDLINE_SIZE, (uint32_t)cmdline_size);

	if (r == 0)
		r = fw_cfg_add_bytes(machine->fw_cfg, FW_CFG_CMDLINE_DATA, kernel->cmdline,
				     cmdline_size);
	for (unsigned i = 0; i < ARRAY_SIZE(pieces) && r == 0; i++) {
		r = fw_cfg_add_u32(machine->fw_cfg, pieces[i].size_key, pieces[i].piece.len);
		if (r == 0)
			r = fw_cfg_add_piece(machine->fw_cfg, pieces[i].data_key, &pieces[i].piece);
	}
	return r;
}

static int add_fw_cfg(struct machine *machine)
{
	int r = fw_cfg_create(&machine->board, PORT_FW_CFG, &machine->fw_cfg);

	if (r < 0)
		return r;
	machine_add_device(machine, fw_cfg_device(machine->fw_cfg));
	r = add_fw_cfg_content(machine);
	return r < 0 || !machine->options->kernel[0] ? r : add_kernel(machine);
}

static int add_flash(struct machine *machine)
{
	const struct fw_image *image = &machine->firmware;
	const struct fw_vars *vars = &machine->vars;
	struct device *dev;
	int r = pflash_code_create(&machine->board, FLASH_END, image->code, image->code_size, &dev);

	if (r < 0)
		return r;
	machine_add_device(machine, dev);
	if (!vars->size)
		return 0; /* firmware without a store keeps its variables in RAM */
	r = pflash_vars_create(&machine->board, FLASH_END - image->code_size, vars->fd, vars->data,
			       vars->size, &dev);
	if (r == 0)
		machine_add_device(machine, dev);
	return r;
}

static void firmware_log_line(void *opaque, const char *text)
{
	FILE *log = opaque;

	if (!log) {
		log_msg(LOG_WARN, "firmware: %s", text);
		return;
	}
	fprintf(log, "%s\n", text);
	fflush(log);
}

/* The debug port exists only when somebody reads it: each character is an exit. */
static int add_firmware_log(struct machine *machine)
{
	struct device *dev;
	int r;

	if (!machine->options->firmware_log[0])
		return 0;
	r = debug_port_create(&machine->board, PORT_DEBUG, firmware_log_line, machine->firmware_log,
			      &dev);
	if (r == 0)
		machine_add_device(machine, dev);
	return r;
}

int machine_add_firmware(struct machine *machine)
{
	int r;

	if (machine_is_direct(machine))
		return 0;
	r = add_flash(machine);
	if (r == 0)
		r = add_firmware_log(machine);
	if (r == 0)
		r = add_fw_cfg(machine);
	return r;
}
