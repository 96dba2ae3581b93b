/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the IOMMU demands of a device that is to be passed: that there is one, that firmware keeps
 * no memory for the device, and that its group goes with it. Main thread. The group rule is the
 * kernel's own: [linux Documentation/driver-api/vfio.rst, "Groups, Devices, and IOMMUs"].
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/pci_regs.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/sys.h"
#include "core/text.h"
#include "vfio/host_check.h"
#include "vfio/host_reserved.h"
#include "vfio/host_sysfs.h"
#include "vfio/host_system.h"

static void hint_iommu(const char *root)
{
	static const char intel[] = "switch on VT-d in the firmware setup (BIOS) and boot the host "
				    "with the kernel option intel_iommu=on";
	static const char amd[] =
		"switch on AMD-Vi (\"IOMMU\") in the firmware setup (BIOS) and boot "
		"the host without the kernel option amd_iommu=off";
	CLEANUP(closep) int fd = sys_open(host_sysfs_path(root, "proc/cpuinfo").s, O_RDONLY, 0);
	char text[4096]; /* the first CPU's, with its flags */
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	text[MAX(n, 0)] = '\0';
	if (strstr(text, " hypervisor"))
		err_hint("this host is a virtual machine: the one below has to give it an IOMMU, "
			 "and on Intel it is booted with intel_iommu=on");
	else if (strstr(text, "GenuineIntel"))
		err_hint("%s", intel);
	else if (strstr(text, "AuthenticAMD"))
		err_hint("%s", amd);
	else
		err_hint("on Intel %s; on AMD %s", intel, amd);
}

static bool any_iommu_group(const char *root)
{
	DIR *dir = opendir(host_sysfs_path(root, "sys/kernel/iommu_groups").s);
	struct dirent *entry;
	bool found = false;

	while (dir && !found && (entry = readdir(dir)))
		found = entry->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return found;
}

int host_check_has_iommu(const char *root)
{
	int r;

	if (any_iommu_group(root))
		return 0;
	r = err_set(ERR_HOST, -ENODEV, "the host's IOMMU is off: it has no IOMMU groups");
	hint_iommu(root);
	return r;
}

int host_check_iommu(const char *root, struct pci_addr addr, unsigned *ret_group)
{
	char name[32];
	int r = host_sysfs_group(root, addr, ret_group);

	if (r == 0) {
		/* What enable_unsafe_noiommu_mode makes is a group without an IOMMU. */
		if (sys_read_text(host_sysfs_device(root, addr, "iommu_group/name").s, name,
				  sizeof(name)) < 0 ||
		    strcmp(name, "vfio-noiommu") != 0)
			return 0;
		r = err_set(ERR_HOST, -ENODEV, "%s has no IOMMU, only VFIO's unsafe no-IOMMU mode",
			    pci_addr_text(addr).s);
		hint_iommu(root);
		return r;
	}
	if (any_iommu_group(root)) {
		r = err_set(ERR_DEVICE, -ENODEV, "%s is not behind an IOMMU, other devices are",
			    pci_addr_text(addr).s);
		err_hint("put the card in another slot");
		return r;
	}
	r = err_set(ERR_HOST, -ENODEV, "the host's IOMMU is off: %s has no IOMMU group",
		    pci_addr_text(addr).s);
	hint_iommu(root);
	return r;
}

/*
 * RMRRs of Intel, unity maps of AMD. Type "direct-relaxable", of displays and USB, is no obstacle.
 * Intel's driver refuses such devices in every version [linux drivers/iommu/intel/iommu.c,
 * device_rmrr_is_locked], the core for all since 6.6 [drivers/iommu/iommu.c, require_direct].
 */
int host_check_reserved(const char *root, struct pci_addr addr)
{
	struct host_reserved list[HOST_RESERVED_MAX];
	const unsigned count = host_reserved_read(root, addr, list);
	struct host_system system;
	int r;

	for (unsigned i = 0; i < count; i++) {
		if (strcmp(list[i].type, "direct") != 0)
			continue;
		host_system_read(root, &system);
		if (!host_system_since(&system, 6, 6) && strcmp(system.iommu, "Intel VT-d") != 0)
			return 0;
		r = err_set(ERR_DEVICE, -EPERM,
			    "the firmware keeps 0x%" PRIx64 "-0x%" PRIx64
			    " for %s (RMRR), and the kernel gives no such device to a guest",
			    list[i].first, list[i].last, pci_addr_text(addr).s);
		err_hint("a firmware (BIOS) update or a setting of the host's vendor may end it");
		return r;
	}
	return 0;
}

/* True if the guest may have the group while this member stays as it is. */
static bool member_is_harmless(const struct vfio_host *host, struct pci_addr member,
			       char driver[VFIO_HOST_DRIVER_SIZE])
{
	host_sysfs_driver(host->root, member, driver);
	return vfio_host_has(host, member) || !driver[0] || host_sysfs_is_vfio(driver) ||
	       strcmp(driver, "pci-stub") == 0 ||
	       host_sysfs_header_type(host->root, member) > PCI_HEADER_TYPE_NORMAL;
}

bool host_check_blocks(const struct vfio_host *host, struct pci_addr member)
{
	char driver[VFIO_HOST_DRIVER_SIZE];

	return !member_is_harmless(host, member, driver);
}

/* Names every device that keeps the group from being passed. */
int host_check_group(const struct vfio_host *host, const struct vfio_host_device *dev)
{
	const struct host_sysfs_path path =
		host_sysfs_device(host->root, dev->addr, "iommu_group/devices");
	struct text_list blockers = { 0 }, options = { 0 };
	bool same_card = true;
	struct dirent **names;
	int r, n = scandir(path.s, &names, NULL, alphasort);

	if (n < 0)
		return err_sys(ERR_HOST, -errno, "%s", path.s);
	for (int i = 0; i < n; i++) {
		char driver[VFIO_HOST_DRIVER_SIZE];
		struct pci_addr member;

		if (pci_addr_scan(names[i]->d_name, &member) &&
		    !member_is_harmless(host, member, driver)) {
			text_list_add(&blockers, ", ", "%s (%s)", names[i]->d_name, driver);
			text_list_add(&options, " ", "%s%s", host->plain ? "" : "--gpu ",
				      names[i]->d_name);
			same_card &= pci_addr_same_slot(member, dev->addr);
		}
		free(names[i]);
	}
	free(names);
	if (!blockers.len)
		return 0;
	r = err_set(ERR_DEVICE, -EBUSY,
		    "%s shares IOMMU group %u with devices that the host's drivers have: %s",
		    pci_addr_text(dev->addr).s, dev->group, blockers.s);
	err_hint("a group can only be passed whole: add %s%s", options.s,
		 same_card ? "" : ", or put the card in another slot");
	return r;
}
