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
#include "devices/chipset/pflash.h"
#include "devices/pci/pci_ids.h"
#include "firmware-loader/fw_files.h"
#include "machine/machine.h"
#include "x86_64/layout.h"

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

		if (pci_function_read(dev, PCI_CLASS_DEVICE + 1, 1) != PCI_CLASS_STORAGE)
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
