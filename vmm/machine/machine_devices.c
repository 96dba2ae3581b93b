/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which devices every machine has, its disks and what is passed through, where on the buses, and in
 * which order. docs/devices.md shows how to add one. Main thread, before the guest starts.
 */
#include <assert.h>
#include <sched.h>
#include <stdio.h>

#include "core/err.h"
#include "core/log.h"
#include "core/loop_uring.h"
#include "daemons/storage_daemon.h"
#include "devices/blk/virtio_blk.h"
#include "devices/chipset/ich9_lpc.h"
#include "devices/chipset/q35_host.h"
#include "devices/chipset/rtc_cmos.h"
#include "devices/pci/pci_bridge.h"
#include "devices/vhost/vhost_user_blk.h"
#include "devices/virtio/virtio_rng.h"
#include "machine/machine.h"
#include "vfio/iommu.h"
#include "vfio/vfio_pci.h"
#include "x86_64/layout.h"

/* More interrupts and threads than this have not been seen to make a disk faster. */
#define DISK_QUEUES_AUTO_MAX 16u

/* Takes over `dev` and puts it on a bus. */
static void add_to_bus(struct machine *machine, struct pci_bus *bus, struct pci_dev *dev,
		       unsigned slot)
{
	machine_add_device(machine, &dev->device);
	pci_bus_add(bus, dev, PCI_DEVFN(slot, 0));
}

static void add_pci(struct machine *machine, struct pci_dev *dev, unsigned slot)
{
	add_to_bus(machine, &machine->pci.bus, dev, slot);
}

/* The root needs the LPC bridge, whose reset register lies among the root's ports. */
static int add_pci_root(struct machine *machine)
{
	const struct ich9_lpc_config config = {
		.pm_base = PORT_PM_BASE,
		.kbd_command_port = PORT_I8042_CMD,
		.sci_gsi = GSI_SCI,
	};
	struct pci_reset_port reset_port = {
		.read = ich9_lpc_reset_read,
		.write = ich9_lpc_reset_write,
	};
	int r = ich9_lpc_create(&machine->board, &config, &machine->lpc);

	if (r < 0)
		return r;
	reset_port.dev = machine->lpc;
	r = pci_root_init(&machine->pci, &machine->board, PORT_PCI_ADDR, &reset_port);
	add_pci(machine, ich9_lpc_pci(machine->lpc), SLOT_LPC);
	return r;
}

static int add_host_bridge(struct machine *machine)
{
	struct pci_dev *host;
	int r = q35_host_create(&machine->board, pci_root_set_ecam, &machine->pci, &host);

	if (r == 0)
		add_pci(machine, host, SLOT_HOST_BRIDGE);
	return r;
}

static int add_rtc(struct machine *machine)
{
	const struct rtc_cmos_config config = {
		.port = PORT_CMOS_INDEX,
		.gsi = GSI_RTC,
		.low_ram = machine->mem.banks[0].size,
		.high_ram = guest_mem_size(&machine->mem) - machine->mem.banks[0].size,
	};
	struct device *rtc;
	int r = rtc_cmos_create(&machine->board, &machine->loop, &config, &rtc);

	if (r == 0)
		machine_add_device(machine, rtc);
	return r;
}

static int add_rng(struct machine *machine)
{
	struct pci_dev *rng;
	int r = virtio_rng_create(&machine->board, &machine->device_loop, &rng);

	if (r == 0)
		add_pci(machine, rng, SLOT_RNG);
	return r;
}

int machine_add_chipset(struct machine *machine)
{
	static int (*const parts[])(struct machine * machine) = {
		add_pci_root,
		add_host_bridge,
		add_rtc,
		add_rng,
	};
	int r = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(parts) && r == 0; i++)
		r = parts[i](machine);
	return r;
}

/* The root bus for a device on a node of the host: the guest's node has one, if there is one. */
static struct pci_bus *root_bus_near(struct machine *machine, int host_node)
{
	const int node = placement_guest_node(&machine->placement, host_node);
	struct pci_root *root = &machine->pci;

	_Static_assert(PLACEMENT_NODES_MAX <= PCI_ROOT_EXTRA_MAX, "a root bus for each node");
	if (node < 0)
		return &root->bus;
	for (unsigned i = 0; i < root->extra_count; i++) {
		if (machine->root_nodes[i] == (unsigned)node)
			return &root->extra[i].bus;
	}
	machine->root_nodes[root->extra_count] = (unsigned)node;
	return pci_root_add_bus(root);
}

/*
 * A root port for the functions of one slot of the host. Its slot is the only one of that number on
 * all root buses: lines and windows are told apart by it.
 */
static int add_root_port(struct machine *machine, unsigned nr, int host_node,
			 struct pci_bridge **ret_port)
{
	int r = pci_bridge_create(&machine->board, (uint8_t)(nr + 1), ret_port);

	if (r == 0)
		add_to_bus(machine, root_bus_near(machine, host_node), &(*ret_port)->pci,
			   PCI_SLOT_FIRST_PORT + nr);
	return r;
}

/* gpus[i] as function `fn` behind the port. */
static int add_gpu(struct machine *machine, unsigned i, const struct vfio_clique *clique,
		   struct pci_bridge *port, unsigned fn)
{
	const struct options_gpu *gpu = &machine->options->gpus[i];
	const struct options_gpu_name name = options_gpu_name(gpu);
	const struct vfio_pci_config config = {
		.bdf = name.s,
		.rom_file = gpu->rom[0] ? &machine->roms[i] : NULL,
		.rom_off = gpu->rom_off,
		.dirty = &machine->gpu_dirty[i],
		.vf_token = gpu->vf_token[0] ? gpu->vf_token : NULL,
		.clique = *clique,
	};
	struct pci_dev *dev;
	int r = vfio_pci_create(&machine->board, machine->iommu, &config, &machine->loop, &dev);

	if (r < 0)
		return r;
	machine_add_device(machine, &dev->device);
	machine->gpus[machine->gpu_count++] = dev;
	machine->gpu_of_option[i] = dev;
	pci_bus_add(&port->bus, dev, PCI_DEVFN(0, fn));
	return 0;
}

static bool given(const struct options *options, struct pci_addr addr)
{
	for (unsigned i = 0; i < options->gpu_count; i++) {
		if (!options->gpus[i].mdev[0] && pci_addr_compare(options->gpus[i].addr, addr) == 0)
			return true;
	}
	return false;
}

/*
 * The functions of slot `gpus[first]`, in the order of their numbers. They keep the numbers that
 * they have on the host if function 0 is among them, because a slot without one is not there
 * [PCI-3.0 6.1]; otherwise they are counted from 0.
 */
static int add_gpu_slot(struct machine *machine, unsigned first, struct pci_bridge *port,
			const struct vfio_clique_member *cliques)
{
	const struct options *options = machine->options;
	struct pci_addr addr = options->gpus[first].addr;
	bool keep_numbers;
	unsigned next = 0;

	addr.fn = 0;
	keep_numbers = given(options, addr);
	for (unsigned fn = 0; fn < 8; fn++) {
		for (unsigned i = first; i < options->gpu_count; i++) {
			const struct options_gpu *gpu = &options->gpus[i];
			int r;

			if (gpu->mdev[0] || !pci_addr_same_slot(gpu->addr, addr) ||
			    gpu->addr.fn != fn)
				continue;
			r = add_gpu(machine, i, &cliques[i].clique, port, keep_numbers ? fn : next);
			if (r < 0)
				return r;
			next++;
		}
	}
	return 0;
}

/* What the user left open: nothing can be reached without peer to peer. */
static void choose_cliques(const struct machine *machine, struct vfio_clique_member *ret_members)
{
	const struct options *options = machine->options;
	bool p2p = options->p2p != VFIO_P2P_OFF && machine->iommu->maps_bars;
	bool any = false;

	for (unsigned i = 0; i < options->gpu_count; i++) {
		ret_members[i].addr = options->gpus[i].addr;
		ret_members[i].clique = options->gpus[i].clique;
		if (options->gpus[i].mdev[0] && ret_members[i].clique.kind == VFIO_CLIQUE_AUTO)
			ret_members[i].clique.kind = VFIO_CLIQUE_NONE;
		any |= ret_members[i].clique.kind == VFIO_CLIQUE_ID;
	}
	if (any && !p2p)
		log_warn("there is no peer to peer: GPUs of a clique cannot reach each other");
	if (any && options->hide_hypervisor)
		log_warn("--hide-hypervisor: NVIDIA's driver does not look for a clique");
	if (p2p && !options->hide_hypervisor)
		vfio_clique_choose("", ret_members, options->gpu_count);
}

int machine_add_gpus(struct machine *machine)
{
	struct vfio_clique_member cliques[OPTIONS_GPUS_MAX];
	const struct options *options = machine->options;
	unsigned ports = 0;
	int r;

	if (options->gpu_count == 0)
		return 0;
	r = machine->iommu_kind == VFIO_IOMMU_IOMMUFD
		    ? vfio_iommufd_create(&machine->vm, &machine->iommu)
		    : vfio_type1_create(&machine->vm, &machine->iommu);
	if (r == 0)
		choose_cliques(machine, cliques);
	for (unsigned i = 0; i < options->gpu_count && r == 0; i++) {
		const struct options_gpu *gpu = &options->gpus[i];
		struct pci_bridge *port;
		bool seen = false;

		for (unsigned k = 0; k < i; k++)
			seen |= !options->gpus[k].mdev[0] && !gpu->mdev[0] &&
				pci_addr_same_slot(options->gpus[k].addr, gpu->addr);
		if (seen)
			continue;
		r = add_root_port(machine, ports++, machine->gpu_nodes[i], &port);
		if (r == 0)
			r = gpu->mdev[0] ? add_gpu(machine, i, &cliques[i].clique, port, 0)
					 : add_gpu_slot(machine, i, port, cliques);
	}
	pci_root_number(&machine->pci);
	if (r == 0)
		r = vfio_iommu_check_clean(machine->iommu);
	if (r == 0)
		r = vfio_p2p_init(machine->iommu, options->p2p, machine->gpus, machine->gpu_count);
	return r;
}

/* A queue for each vCPU, so that none waits for another's lock, as long as that pays. */
unsigned machine_disk_queues(const struct machine *machine, const struct options_disk *disk)
{
	return disk->queues ? disk->queues : MIN(machine->options->cpus, DISK_QUEUES_AUTO_MAX);
}

/*
 * One thread serves some 100000 requests a second, and what comes while it works costs no wake-up,
 * so threads are fewer than queues. More of them than half the CPUs we may use would take those of
 * the guest.
 */
static unsigned disk_threads(unsigned queues)
{
	unsigned cpus = 1;
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		cpus = (unsigned)CPU_COUNT(&set);
	return MIN(MIN(queues, MACHINE_DISK_THREADS_MAX), MAX(cpus / 2, 1));
}

static int start_disk_loop(struct machine *machine, unsigned disk, unsigned queues)
{
	const unsigned i = machine->disk_loop_counts[disk];
	struct loop *loop = &machine->disk_loops[disk][i];
	char name[32];
	/* The connection to a daemon is no eventfd. */
	int r = machine->disk_daemons[disk] ? loop_init(loop)
					    : loop_init_uring(loop, queues * VIRTIO_BLK_QUEUE_SIZE,
							      queues + VIRTIO_BLK_SOURCES);

	if (r < 0)
		return r;
	machine->disk_loop_counts[disk]++;
	snprintf(name, sizeof(name), "disk%u-%u", disk, i);
	return loop_start_thread(loop, name);
}

/* Each disk has its own loops on their own threads: no disk waits for another. */
static int add_disk(struct machine *machine, const struct options_disk *disk)
{
	const unsigned i = machine->disk_count++;
	const unsigned queues = machine_disk_queues(machine, disk);
	struct virtio_blk_options config = {
		.path = disk->file,
		.file = &machine->disk_files[i],
		.serial = disk->serial[0] ? disk->serial : NULL,
		.discard = !disk->keep_space,
		.queues = queues,
		.loops = machine->disk_loops[i],
		.loop_count = disk_threads(queues),
	};
	struct pci_dev *dev;
	int r = 0;

	/* One that the storage daemon serves has little to do here. */
	if (machine->disk_daemons[i])
		config.loop_count = 1;
	for (unsigned k = 0; k < config.loop_count && r == 0; k++)
		r = start_disk_loop(machine, i,
				    (queues + config.loop_count - 1) / config.loop_count);
	if (r == 0 && machine->disk_daemons[i])
		r = vhost_user_blk_create(&machine->board, config.loops,
					  storage_daemon_backend(machine->disk_daemons[i]), queues,
					  &dev);
	else if (r == 0)
		r = virtio_blk_create(&machine->board, &config, &dev);
	if (r == 0)
		add_pci(machine, dev, SLOT_FIRST_DISK + i);
	return r;
}

int machine_add_disks(struct machine *machine)
{
	static const struct options_disk seed = { .file = "seed", .serial = "tinyvmm-seed", .queues = 1 };
	const struct options *options = machine->options;
	int r = 0;

	for (unsigned i = 0; i < options->disk_count && r == 0; i++)
		r = add_disk(machine, &options->disks[i]);
	return r == 0 && options_have_seed(options) ? add_disk(machine, &seed) : r;
}

void machine_remove_disks(struct machine *machine)
{
	while (machine->disk_count) {
		const unsigned i = --machine->disk_count;

		while (machine->disk_loop_counts[i]) {
			struct loop *loop = &machine->disk_loops[i][--machine->disk_loop_counts[i]];

			loop_join_thread(loop);
			loop_fini(loop);
		}
	}
}
