/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest RAM: where its banks are, which pages they are made of, and on which of the host's NUMA
 * nodes. Main thread, before the guest starts.
 */
#include "core/err.h"
#include "core/log.h"
#include "machine/machine.h"
#include "placement/guest_ram.h"

/* Pinned vCPUs leave few CPUs to the threads that fetch memory: they use all of the node. */
static void place_memory(struct machine *machine)
{
	const struct placement *p = &machine->placement;
	struct guest_mem *mem = &machine->mem;
	struct mem_bank banks[GUEST_MEM_BANKS_MAX];
	const unsigned count = guest_ram_layout(machine->options->memory, banks);
	uint64_t shares[PLACEMENT_NODES_MAX];

	for (unsigned i = 0; i < p->node_count; i++)
		shares[i] = p->nodes[i].memory;
	mem->part_count = guest_ram_split(banks, count, shares, p->node_count, mem->parts);
	for (unsigned i = 0; i < mem->part_count; i++) {
		struct mem_part *part = &mem->parts[i];
		const struct placement_node *node = &p->nodes[part->node];

		part->node = node->host;
		part->strict = node->strict;
		part->cpus = cpu_set_count(&node->cpus) ? &node->cpus : NULL;
	}
	if (p->node_count == 0 && p->others_bound)
		mem->parts[mem->part_count++] =
			(struct mem_part){ .size = UINT64_MAX, .node = -1, .cpus = &p->all };
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

/* Who serves a disk or a folder in another process reads and writes guest RAM. */
static bool served_elsewhere(const struct machine *machine)
{
	for (unsigned i = 0; i < ARRAY_SIZE(machine->disk_daemons); i++) {
		if (machine->disk_daemons[i])
			return true;
	}
	return machine_has_command(machine);
}

static int add_memory(struct machine *machine, uint64_t page_size)
{
	struct guest_mem *mem = &machine->mem;

	guest_mem_init(mem);
	mem->page_size = page_size;
	mem->shared = served_elsewhere(machine);
	mem->small_pages = machine->options->hugepages == HUGEPAGES_OFF;
	place_memory(machine);
	return add_banks(machine);
}

int machine_check_ram(struct machine *machine)
{
	const struct options *options = machine->options;

	return guest_ram_choose(options->memory, options->hugepages, options->gpu_count > 0,
				&machine->page_size);
}

static int map_bank(struct machine *machine, const struct mem_bank *bank, unsigned *slot)
{
	int r = 0;

	for (uint64_t off = 0; r == 0 && off < bank->size; off += VM_SLOT_SIZE_MAX)
		r = vm_slot_map(&machine->vm, &machine->ram[(*slot)++], bank->gpa + off,
				MIN(bank->size - off, VM_SLOT_SIZE_MAX), bank->hva + off, 0);
	return r < 0 ? err_sys(ERR_HOST, r, "give KVM %llu MiB of memory at 0x%llx",
			       (unsigned long long)(bank->size / MiB),
			       (unsigned long long)bank->gpa)
		     : 0;
}

int machine_init_ram(struct machine *machine)
{
	const uint64_t page_size = machine->page_size;
	unsigned slot = 0;
	int r = add_memory(machine, page_size);

	/* Somebody else was quicker, or has the pages that are left on other nodes. */
	if (r < 0 && page_size && machine->options->hugepages == HUGEPAGES_AUTO) {
		guest_mem_fini(&machine->mem);
		r = add_memory(machine, 0);
	}
	if (r == 0 && machine->mem.page_size)
		log_debug("memory: reserved pages of %llu MiB", machine->mem.page_size / MiB);
	for (unsigned i = 0; r == 0 && i < machine->mem.count; i++)
		r = map_bank(machine, &machine->mem.banks[i], &slot);
	return r;
}

void machine_fini_ram(struct machine *machine)
{
	for (unsigned i = 0; i < ARRAY_SIZE(machine->ram); i++)
		vm_slot_unmap(&machine->vm, &machine->ram[i]);
	guest_mem_fini(&machine->mem);
}
