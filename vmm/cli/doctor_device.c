/* SPDX-License-Identifier: Apache-2.0 */
/* The doctor's checks of one device; see doctor.h. Those of memory: doctor_memory.c. Main thread.
 */
#include <inttypes.h>

#include "cli/doctor.h"
#include "cli/doctor_memory.h"
#include "core/text.h"
#include "vfio/host_check.h"
#include "vfio/host_holders.h"
#include "vfio/host_iommu.h"
#include "vfio/host_journal.h"
#include "vfio/host_lease.h"
#include "vfio/host_sysfs.h"

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
	{ "reserved-memory", true, doctor_memory_reserved },
	{ "guest-memory", true, doctor_memory_reach },
	{ "numa", true, doctor_memory_numa },
	{ "driver", true, check_driver },
	{ "vfio-files", true, check_node },
	{ "display", true, check_display },
	{ "power", true, check_power },
	{ "reset", true, check_reset },
	{ "rom", true, check_rom },
	{ "bars", true, doctor_memory_bars },
	{ "resizable-bars", true, doctor_memory_resize },
	{ "link", true, check_link },
	{ "errors", true, check_errors },
};

const unsigned doctor_device_check_count = ARRAY_SIZE(doctor_device_checks);
