/* SPDX-License-Identifier: Apache-2.0 */
/* The doctor's checks of one device; see doctor.h. Main thread. */
#include <inttypes.h>
#include <stdlib.h>

#include "cli/doctor.h"
#include "core/text.h"
#include "firmware-loader/mmio_window.h"
#include "placement/guest_ram.h"
#include "placement/host_nodes.h"
#include "vfio/host_check.h"
#include "vfio/host_holders.h"
#include "vfio/host_iommu.h"
#include "vfio/host_journal.h"
#include "vfio/host_lease.h"
#include "vfio/host_reserved.h"
#include "vfio/host_sysfs.h"
#include "vfio/iommu.h"

#define BARS_MAX (VFIO_HOST_DEVICES_MAX * HOST_INFO_BARS)

static void check_endpoint(struct doctor *doctor, struct doctor_device *dev)
{
	const struct host_info *info = &dev->info;

	dev->there = host_check_endpoint(doctor->config->root, info->addr) == 0;
	if (!dev->there)
		doctor_from_error(doctor, DOCTOR_FAIL);
	else
		doctor_pass(doctor, "%04x:%04x, class %04x%s", info->vendor, info->device,
			    info->class >> 8, info->gpu ? "" : ", not a GPU");
}

static void check_vfs(struct doctor *doctor, struct doctor_device *dev)
{
	if (host_check_no_vfs(doctor->config->root, dev->info.addr) < 0)
		doctor_from_error(doctor, DOCTOR_FAIL);
}

/* " --gpu A --gpu B" for a command line. */
static void list_together(const struct doctor_device *dev, char *buf, size_t size)
{
	size_t len = 0;

	buf[0] = '\0';
	for (unsigned i = 0; i < dev->together.count && len < size; i++)
		len += (size_t)snprintf(buf + len, size - len, "%s--gpu %s", i ? " " : "",
					pci_addr_text(dev->together.devices[i].addr).s);
}

static bool is_given(const struct doctor *doctor, struct pci_addr addr)
{
	for (unsigned i = 0; i < doctor->config->device_count; i++) {
		if (pci_addr_compare(doctor->config->devices[i], addr) == 0)
			return true;
	}
	return false;
}

static void check_group(struct doctor *doctor, struct doctor_device *dev)
{
	const struct host_info *info = &dev->info;
	unsigned group, bridges = 0;
	bool complete = true;
	char options[512], mend[600];

	if (host_check_iommu(doctor->config->root, info->addr, &group) < 0 ||
	    host_check_group(&dev->together, &dev->together.devices[0]) < 0) {
		doctor_from_error(doctor, DOCTOR_FAIL);
		return;
	}
	for (unsigned i = 0; i < info->member_count; i++)
		bridges += info->members[i].bridge;
	for (unsigned i = 1; i < dev->together.count; i++)
		complete = complete && is_given(doctor, dev->together.devices[i].addr);
	list_together(dev, options, sizeof(options));
	snprintf(mend, sizeof(mend), "pass them together: %s", options);
	if (!complete)
		doctor_warn(doctor, mend,
			    "group %u has other functions of this card, which must go with it",
			    group);
	else if (info->member_count > 1 + bridges)
		doctor_pass(doctor, "group %u can be passed, together with its other members",
			    group);
	else
		doctor_pass(doctor, "alone in group %u%s", group,
			    bridges ? ", but for bridges" : "");
}

static void check_reserved(struct doctor *doctor, struct doctor_device *dev)
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

static void check_guest_memory(struct doctor *doctor, struct doctor_device *dev)
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

static void check_numa(struct doctor *doctor, struct doctor_device *dev)
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

/* Who has it for a guest; true: nobody. */
static bool check_unused(struct doctor *doctor, const struct doctor_device *dev)
{
	const struct vfio_host *host = &dev->together;
	const struct host_info *info = &dev->info;
	int pid = host_lease_holder(host->root, host->state_dir, info->addr);
	char holders[256] = "";

	if (!pid && info->has_group)
		pid = host_lease_group_holder(host->root, host->state_dir, info->group);
	if (!pid && info->has_group && host_sysfs_is_vfio(info->driver))
		host_holders_list_vfio(host->root, info->addr, info->group, holders,
				       sizeof(holders));
	if (pid)
		doctor_fail(doctor, ERR_DEVICE, "wait for the end of its guest",
			    "it is in use by another tinyvmm (pid %d)", pid);
	else if (holders[0])
		doctor_fail(doctor, ERR_DEVICE, "wait for the end of its guest",
			    "it is in use by %s", holders);
	return !pid && !holders[0];
}

static void check_driver(struct doctor *doctor, struct doctor_device *dev)
{
	const struct host_info *info = &dev->info;
	const char *root = doctor->config->root;
	char holders[256];

	if (!check_unused(doctor, dev))
		return;
	for (unsigned i = 0; i < dev->together.count; i++) {
		if (host_check_driver(&dev->together, &dev->together.devices[i]) < 0) {
			doctor_from_error(doctor, DOCTOR_FAIL);
			return;
		}
	}
	if (host_sysfs_is_vfio(info->driver))
		doctor_pass(doctor, "%s has it already, and keeps it", info->driver);
	else if (info->driver[0])
		doctor_pass(doctor, "%s has it, and gets it back after the guest", info->driver);
	else
		doctor_pass(doctor, "none has it");
	if (!info->driver[0] || host_sysfs_is_vfio(info->driver))
		return;
	host_holders_list(root, info->addr, holders, sizeof(holders));
	if (holders[0])
		doctor_warn(doctor, "end them before the guest starts", "it is taken away from %s",
			    holders);
	else if (!doctor->config->privileged)
		doctor_warn(doctor, "run tinyvmm doctor as root",
			    "needs root to see who has it open");
}

/* What is with VFIO already needs its files for this user; others get theirs later. */
static void check_node(struct doctor *doctor, struct doctor_device *dev)
{
	struct vfio_host host;

	if (!host_sysfs_is_vfio(dev->info.driver) || !dev->info.has_group)
		return;
	vfio_host_init(&host, doctor->config->root);
	host.devices[host.count++] = dev->together.devices[0];
	if (host_iommu_settle(&host) < 0)
		doctor_from_error(doctor, DOCTOR_FAIL);
	else
		doctor_pass(doctor, "its files may be used (%s)",
			    host.iommu == VFIO_IOMMU_IOMMUFD ? "iommufd" : "type1");
}

static void check_display(struct doctor *doctor, struct doctor_device *dev)
{
	static const char mend[] = "log in over the network first, or make another display the "
				   "first one in the firmware setup (BIOS)";
	const struct host_info *info = &dev->info;

	if (!info->driver[0] || host_sysfs_is_vfio(info->driver))
		return;
	if (info->boot_display)
		doctor_warn(doctor, mend, "it is the host's boot display: its screen goes dark");
	else if (info->framebuffer[0])
		doctor_warn(doctor, mend, "a console of the host (%s) is on it", info->framebuffer);
}

static void check_power(struct doctor *doctor, struct doctor_device *dev)
{
	const struct host_info *info = &dev->info;

	if (strcmp(info->runtime_status, "error") == 0)
		doctor_warn(doctor, "only a power cycle of the host may bring it back",
			    "the kernel failed to wake it, or to put it to sleep");
	else if (strcmp(info->power_state, "D3cold") == 0)
		doctor_info(doctor,
			    "it is switched off to save power (D3cold), and is woken first");
	else if (strcmp(info->power_state, "D3hot") == 0)
		doctor_info(doctor, "it is asleep (D3hot), and is woken first");
}

static void check_reset(struct doctor *doctor, struct doctor_device *dev)
{
	const struct host_info *info = &dev->info;
	const char *root = doctor->config->root;

	if (info->reset_methods[0])
		doctor_pass(doctor, "the kernel can reset it: %s", info->reset_methods);
	else if (info->can_reset)
		doctor_pass(doctor, "the kernel can reset it");
	else
		doctor_warn(doctor, "",
			    "the kernel knows no way to reset it: a guest "
			    "finds it as the last user left it, and it may not start twice");
	/* The mark is there while a guest has it, too. */
	if (!host_lease_holder(root, dev->together.state_dir, info->addr) &&
	    host_journal_is_marked(dev->together.state_dir, root, info->addr))
		doctor_warn(doctor, "",
			    "what its last guest left in it is not reset yet; "
			    "the next run tries again");
}

static void check_rom(struct doctor *doctor, struct doctor_device *dev)
{
	const struct host_info *info = &dev->info;

	if (!info->gpu)
		return;
	if (!info->rom_size)
		doctor_info(doctor, "it has no option ROM");
	else
		doctor_info(doctor,
			    "%s of option ROM; should the guest not be able to read it: "
			    "--gpu %s,rom=FILE, or rom=off",
			    text_size(info->rom_size).s, pci_addr_text(info->addr).s);
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

static void check_bars(struct doctor *doctor, struct doctor_device *dev)
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

static void check_resize(struct doctor *doctor, struct doctor_device *dev)
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

static void check_link(struct doctor *doctor, struct doctor_device *dev)
{
	const struct host_info_link *link = &dev->info.link;

	if (!link->width || !link->max_width)
		return;
	if (link->width < link->max_width && link->slot_width == link->width)
		doctor_warn(doctor, "put the card into a wider slot",
			    "PCIe x%u of x%u: its slot has no more lanes", link->width,
			    link->max_width);
	else if (link->width < link->max_width)
		doctor_warn(doctor, "seat the card anew, or look whether another card takes lanes",
			    "PCIe x%u of x%u", link->width, link->max_width);
	else if (link->speed < link->max_speed)
		doctor_info(doctor,
			    "PCIe x%u at %g of %g GT/s: many GPUs are slower while they idle",
			    link->width, link->speed, link->max_speed);
	else
		doctor_pass(doctor, "PCIe x%u at %g GT/s", link->width, link->speed);
}

static void check_errors(struct doctor *doctor, struct doctor_device *dev)
{
	const struct host_info *info = &dev->info;

	if (info->aer_fatal || info->aer_nonfatal)
		doctor_warn(doctor, "see dmesg; seat the card anew, or try another slot or cable",
			    "PCIe errors since the host started: %" PRIu64 " fatal, %" PRIu64
			    " others not corrected",
			    info->aer_fatal, info->aer_nonfatal);
}

const struct doctor_device_check doctor_device_checks[] = {
	{ "device", false, check_endpoint },
	{ "virtual-functions", true, check_vfs },
	{ "group", true, check_group },
	{ "reserved-memory", true, check_reserved },
	{ "guest-memory", true, check_guest_memory },
	{ "numa", true, check_numa },
	{ "driver", true, check_driver },
	{ "vfio-files", true, check_node },
	{ "display", true, check_display },
	{ "power", true, check_power },
	{ "reset", true, check_reset },
	{ "rom", true, check_rom },
	{ "bars", true, check_bars },
	{ "resizable-bars", true, check_resize },
	{ "link", true, check_link },
	{ "errors", true, check_errors },
};

const unsigned doctor_device_check_count = ARRAY_SIZE(doctor_device_checks);
