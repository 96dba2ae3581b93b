/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The doctor's checks of addresses: whether a device reaches the guest's memory, and whether the
 * guest has room for the device's. Main thread.
 */
#include "cli/doctor_memory.h"

#include <inttypes.h>
#include <stdlib.h>

#include "core/text.h"
#include "firmware-loader/mmio_window.h"
#include "placement/guest_ram.h"
#include "placement/host_nodes.h"
#include "vfio/host_check.h"
#include "vfio/host_reserved.h"
#include "vfio/iommu.h"

#define BARS_MAX (VFIO_HOST_DEVICES_MAX * HOST_INFO_BARS)

void doctor_memory_reserved(struct doctor *doctor, struct doctor_device *dev)
{
	struct host_reserved list[HOST_RESERVED_MAX];
	const unsigned count = host_reserved_read(doctor->config->root, dev->info.addr, list);

	if (host_check_reserved(doctor->config->root, dev->info.addr) < 0)
		doctor_from_error(doctor, DOCTOR_FAIL);
	for (unsigned i = 0; i < count; i++) {
		if (strcmp(list[i].type, "direct-relaxable") == 0)
			doctor_info(doctor,
				    "the firmware keeps 0x%" PRIx64 "-0x%" PRIx64
				    " for it, which is no obstacle",
				    list[i].first, list[i].last);
	}
}

/* The addresses between the reserved ones, which the kernel lists in ascending order. */
static void find_limits(const struct doctor *doctor, const struct doctor_device *dev,
			struct vfio_iommu_limits *limits)
{
	const unsigned bits = doctor->system.iommu_bits;
	const uint64_t end = bits && bits < 64 ? (1ull << bits) - 1 : UINT64_MAX;
	struct host_reserved list[HOST_RESERVED_MAX];
	const unsigned count = host_reserved_read(doctor->config->root, dev->info.addr, list);
	uint64_t next = 0;

	*limits = (struct vfio_iommu_limits){ .maps_left = UINT32_MAX };
	for (unsigned i = 0; i < count && limits->range_count < VFIO_IOVA_RANGES_MAX - 1; i++) {
		if (strcmp(list[i].type, "direct-relaxable") == 0)
			continue;
		if (list[i].first > next && next <= end)
			limits->ranges[limits->range_count++] =
				(struct vfio_iova_range){ next, MIN(list[i].first - 1, end) };
		if (list[i].last == UINT64_MAX)
			return;
		next = MAX(next, list[i].last + 1);
	}
	if (next <= end)
		limits->ranges[limits->range_count++] = (struct vfio_iova_range){ next, end };
}

void doctor_memory_reach(struct doctor *doctor, struct doctor_device *dev)
{
	struct mem_bank banks[GUEST_MEM_BANKS_MAX];
	const unsigned count = guest_ram_layout(doctor->config->memory, banks);
	struct vfio_iommu_limits limits;

	if (!dev->info.has_group)
		return;
	find_limits(doctor, dev, &limits);
	for (unsigned i = 0; i < count; i++) {
		if (vfio_iommu_check_range(&limits, &banks[i]) < 0) {
			doctor_from_error(doctor, DOCTOR_FAIL);
			return;
		}
	}
	doctor_pass(doctor, "it can reach all %s of a guest", text_size(doctor->config->memory).s);
}

/* Room at its NUMA node for what the guest's memory may be made of. */
static uint64_t room_at(const struct doctor *doctor, int node)
{
	static const struct {
		enum hugepages_mode mode;
		uint64_t page_size;
	} pages[] = { { HUGEPAGES_OFF, 0 }, { HUGEPAGES_2M, 2 * MiB }, { HUGEPAGES_1G, GiB } };
	struct host_nodes *nodes = calloc(1, sizeof(*nodes));
	const struct cpu_set none = { 0 };
	uint64_t room = 0;

	for (unsigned i = 0; nodes && i < ARRAY_SIZE(pages); i++) {
		const enum hugepages_mode mode = doctor->config->hugepages;
		int at;

		if (mode != HUGEPAGES_AUTO && mode != pages[i].mode)
			continue;
		host_nodes_read(doctor->config->root, &none, pages[i].page_size, nodes);
		at = host_nodes_find(nodes, node);
		if (at >= 0)
			room = MAX(room, nodes->nodes[at].room);
	}
	free(nodes);
	return room;
}

void doctor_memory_numa(struct doctor *doctor, struct doctor_device *dev)
{
	const uint64_t memory = doctor->config->memory;
	const int node = dev->info.numa_node;
	uint64_t room;

	if (node < 0 || !host_nodes_several(doctor->config->root))
		return;
	room = room_at(doctor, node);
	if (room >= memory)
		doctor_pass(doctor, "its NUMA node %d has room for all %s of a guest", node,
			    text_size(memory).s);
	else
		doctor_warn(doctor, "give the guest less memory, or make room there",
			    "its NUMA node %d has room for %s of a guest's %s: "
			    "the guest gets memory of other nodes, too",
			    node, text_size(align_down(room, MiB)).s, text_size(memory).s);
}

/* Those that firmware places above 4 GiB, as machine_plan_window chooses them. */
static void add_bars(const struct host_info *info, unsigned port, struct mmio_bar *bars,
		     size_t *count)
{
	for (unsigned i = 0; i < HOST_INFO_BARS; i++) {
		const struct host_info_bar *bar = &info->bars[i];

		if (bar->size && bar->mem64 && bar->prefetch)
			bars[(*count)++] = (struct mmio_bar){ .size = bar->size, .port = port };
	}
}

void doctor_memory_bars(struct doctor *doctor, struct doctor_device *dev)
{
	struct mem_bank banks[GUEST_MEM_BANKS_MAX];
	const unsigned ram = guest_ram_layout(doctor->config->memory, banks);
	struct mmio_bar bars[BARS_MAX];
	struct mmio_request request = {
		.bars = bars,
		.ram_end = MAX(banks[ram - 1].gpa + banks[ram - 1].size, 4 * GiB),
		.low_ram = banks[0].size,
		.host_phys_bits = doctor->arch.phys_bits,
		.gib_pages = doctor->arch.gib_pages,
	};
	struct mmio_plan plan;
	uint64_t sum = 0;

	for (unsigned i = 0; i < dev->together.count; i++) {
		struct host_info info;

		host_info_read(doctor->config->root, dev->together.devices[i].addr, &info);
		/* One port a slot at least: the worst case. */
		add_bars(&info, i + 1, bars, &request.count);
	}
	for (size_t i = 0; i < request.count; i++)
		sum += bars[i].size;
	/* Nobody wants to know the last MiB of so many. */
	if (sum >= 16 * GiB)
		sum = align_down(sum, GiB);
	if (!sum)
		doctor_pass(doctor, "no memory of theirs has its place above 4G");
	else if (!doctor->kvm)
		doctor_info(doctor, "whether their %s above 4G fit is seen with KVM only",
			    text_size(sum).s);
	else if (mmio_window_plan(&request, &plan) < 0)
		doctor_from_error(doctor, DOCTOR_FAIL);
	else
		doctor_pass(doctor, "their %s above 4G fit into guest addresses of %u bits",
			    text_size(sum).s, plan.phys_bits);
}

void doctor_memory_resize(struct doctor *doctor, struct doctor_device *dev)
{
	const struct host_info *info = &dev->info;
	bool all = true;
	char mend[256];

	if (!info->resize_known) {
		if (info->gpu && !doctor->config->privileged)
			doctor_warn(doctor, "run tinyvmm doctor as root",
				    "needs root to see whether its BARs could be larger");
		return;
	}
	for (unsigned i = 0; i < HOST_INFO_BARS; i++) {
		const struct host_info_bar *bar = &info->bars[i];

		if (bar->largest <= bar->size)
			continue;
		all = false;
		snprintf(mend, sizeof(mend),
			 "switch on Resizable BAR and Above 4G Decoding in the firmware setup "
			 "(BIOS), or, while no driver has the device, as root: echo %d > "
			 "/sys/bus/pci/devices/%s/resource%u_resize",
			 __builtin_ctzll(bar->largest / MiB), pci_addr_text(info->addr).s, i);
		doctor_warn(doctor, mend, "BAR %u has %s of up to %s", i, text_size(bar->size).s,
			    text_size(bar->largest).s);
	}
	if (all && info->gpu)
		doctor_pass(doctor, "no BAR is smaller than it could be");
}
