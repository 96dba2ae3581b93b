/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest RAM: where its banks are, which pages they are made of, and on which of the host's NUMA
 * nodes. Main thread, before the guest starts.
 */
#include "core/err.h"
#include "core/log.h"
#include "guest_ram.h"
#include "machine.h"
#include "vfio/host_sysfs.h"

#define MORE_THAN_ONE_NODE "/sys/devices/system/node/node1"

static int node_of(const struct options_gpu *gpu)
{
	if (gpu->mdev[0])
		return vfio_mdev_node("", gpu->mdev);
	return (int)host_sysfs_number(host_sysfs_device("", gpu->addr, "numa_node").s, UINT64_MAX);
}

/* Near the devices, if they agree; -1: wherever the kernel likes. */
static int choose_node(const struct options *options)
{
	int node = -1;

	if (options->gpu_count == 0 || !host_sysfs_exists(MORE_THAN_ONE_NODE))
		return -1;
	for (unsigned i = 0; i < options->gpu_count; i++) {
		const int its = node_of(&options->gpus[i]);

		if (its < 0 || (i > 0 && its != node))
			return -1;
		node = its;
	}
	return node;
}

static int add_banks(struct machine *machine)
{
	struct mem_bank banks[GUEST_MEM_BANKS_MAX];
	const unsigned count = guest_ram_layout(machine->options->memory, banks);
	int r = 0;

	for (unsigned i = 0; r == 0 && i < count; i++)
		r = guest_mem_add(&machine->mem, banks[i].gpa, banks[i].size);
	return r;
}

static int add_memory(struct machine *machine, uint64_t page_size)
{
	struct guest_mem *mem = &machine->mem;

	guest_mem_init(mem);
	mem->page_size = page_size;
	mem->small_pages = machine->options->hugepages == HUGEPAGES_OFF;
	mem->node = choose_node(machine->options);
	return add_banks(machine);
}

int machine_check_ram(struct machine *machine)
{
	const struct options *options = machine->options;

	return guest_ram_choose(options->memory, options->hugepages, options->gpu_count > 0,
				&machine->page_size);
}

int machine_init_ram(struct machine *machine)
{
	const uint64_t page_size = machine->page_size;
	int r = add_memory(machine, page_size);

	/* Somebody else was quicker, or has the pages that are left on other nodes. */
	if (r < 0 && page_size && machine->options->hugepages == HUGEPAGES_AUTO) {
		guest_mem_fini(&machine->mem);
		r = add_memory(machine, 0);
	}
	if (r == 0 && machine->mem.page_size)
		log_debug("memory: reserved pages of %llu MiB", machine->mem.page_size / MiB);
	if (r == 0 && machine->mem.node >= 0)
		log_debug("memory: on NUMA node %d, if there is room", machine->mem.node);
	for (unsigned i = 0; r == 0 && i < machine->mem.count; i++) {
		const struct mem_bank *bank = &machine->mem.banks[i];

		r = vm_slot_map(&machine->vm, &machine->ram[i], bank->gpa, bank->size, bank->hva,
				0);
		if (r < 0)
			err_sys(ERR_HOST, r, "give KVM %llu MiB of memory at 0x%llx",
				(unsigned long long)(bank->size / MiB),
				(unsigned long long)bank->gpa);
	}
	return r;
}

void machine_fini_ram(struct machine *machine)
{
	for (unsigned i = 0; i < ARRAY_SIZE(machine->ram); i++)
		vm_slot_unmap(&machine->vm, &machine->ram[i]);
	guest_mem_fini(&machine->mem);
}
