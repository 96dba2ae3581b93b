/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must be true before a device is taken, and what to do where it is not: vfio_host_check.
 * Main thread. What the IOMMU demands: host_check_iommu.c.
 */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "core/text.h"
#include "vfio/host_bind.h"
#include "vfio/host_check.h"
#include "vfio/host_disks.h"
#include "vfio/host_holders.h"
#include "vfio/host_lease.h"
#include "vfio/host_sysfs.h"

/* Names the devices that were probably meant. */
static int no_such_device(const char *root, struct pci_addr addr)
{
	struct text_list gpus = { 0 };
	struct dirent **names;
	int r, n = scandir(host_sysfs_path(root, "sys/bus/pci/devices").s, &names, NULL, alphasort);

	for (int i = 0; i < n; i++) {
		struct pci_addr other;

		if (pci_addr_scan(names[i]->d_name, &other)) {
			if (host_sysfs_is_gpu(root, other))
				text_list_add(&gpus, ", ", "%s", names[i]->d_name);
		}
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	r = err_set(ERR_DEVICE, -ENODEV, "there is no PCI device %s", pci_addr_text(addr).s);
	if (gpus.len)
		err_hint("the GPUs here are %s", gpus.s);
	else
		err_hint("'tinyvmm list --all' lists the PCI devices; no GPU is among them");
	return r;
}

int host_check_present(const char *root, struct pci_addr addr)
{
	return host_sysfs_exists(host_sysfs_device(root, addr, "").s) ? 0
								      : no_such_device(root, addr);
}

int host_check_endpoint(const char *root, struct pci_addr addr)
{
	const struct pci_addr_text name = pci_addr_text(addr);
	int r = host_check_present(root, addr), header;

	if (r < 0)
		return r;
	header = host_sysfs_header_type(root, addr);
	if (header == PCI_HEADER_TYPE_NORMAL &&
	    host_sysfs_base_class(root, addr) != PCI_CLASS_BRIDGE)
		return 0;
	if (header == -ENXIO) {
		r = err_set(ERR_DEVICE, header, "%s does not answer: it reads as all ones", name.s);
		err_hint("it has fallen off the bus; a power cycle of the host may bring it back");
		return r;
	}
	if (header < 0)
		return err_sys(ERR_HOST, header, "read the PCI header of %s", name.s);
	r = err_set(ERR_DEVICE, -EINVAL, "%s is a bridge, which cannot be passed through", name.s);
	err_hint("pass the devices behind it");
	return r;
}

/* Taking a function from its driver takes its virtual functions away from whoever has them. */
int host_check_no_vfs(const char *root, struct pci_addr addr)
{
	const uint64_t vfs = host_sysfs_number(host_sysfs_device(root, addr, "sriov_numvfs").s, 0);
	char driver[VFIO_HOST_DRIVER_SIZE];
	int r;

	host_sysfs_driver(root, addr, driver);
	/* With a VFIO driver it stays there, and who may have what the VF token decides. */
	if (!vfs || host_sysfs_is_vfio(driver))
		return 0;
	r = err_set(ERR_DEVICE, -EBUSY, "%s has %u virtual functions switched on",
		    pci_addr_text(addr).s, (unsigned)vfs);
	err_hint("pass one of those, or switch them off: echo 0 > "
		 "/sys/bus/pci/devices/%s/sriov_numvfs",
		 pci_addr_text(addr).s);
	return r;
}

/* A reset of a physical function, which a guest can do at any time, takes its virtual ones away. */
static int check_no_physfn(const struct vfio_host *host, struct pci_addr addr)
{
	struct pci_addr physfn;
	char name[VFIO_HOST_DRIVER_SIZE];

	if (!host_sysfs_link_name(host_sysfs_device(host->root, addr, "physfn").s, name) ||
	    !pci_addr_scan(name, &physfn) || !vfio_host_has(host, physfn))
		return 0;
	return err_set(ERR_DEVICE, -EINVAL,
		       "%s is a virtual function of %s: the two cannot be in one guest",
		       pci_addr_text(addr).s, pci_addr_text(physfn).s);
}

/* What stands between the device's present driver and vfio-pci. */
int host_check_may_move(const struct vfio_host *host, const struct vfio_host_device *dev,
			const char *what, const char *command)
{
	const struct host_sysfs_path override =
		host_sysfs_device(host->root, dev->addr, "driver_override");
	const struct pci_addr_text addr = pci_addr_text(dev->addr);
	int r;

	if (faccessat(AT_FDCWD, override.s, W_OK, AT_EACCESS) == 0)
		return 0;
	r = err_sys(ERR_HOST, -errno, "%s cannot be %s", addr.s, what);
	if (host->plain)
		err_hint("%s takes root: sudo tinyvmm %s %s", command, command, addr.s);
	else
		err_hint("run as root, or let root bind it for you: "
			 "sudo tinyvmm bind %s --user $USER",
			 addr.s);
	return r;
}

/* Whether this user may take it from its driver, if that is not VFIO. */
static int check_may_take(const struct vfio_host *host, const struct vfio_host_device *dev)
{
	char driver[VFIO_HOST_DRIVER_SIZE], what[VFIO_HOST_DRIVER_SIZE + 32];

	host_sysfs_driver(host->root, dev->addr, driver);
	if (host_sysfs_is_vfio(driver))
		return 0;
	snprintf(what, sizeof(what), "moved from %s to vfio-pci", host_bind_name(driver));
	return host_check_may_move(host, dev, what, "bind");
}

int host_check_driver(const struct vfio_host *host, const struct vfio_host_device *dev)
{
	const struct pci_addr_text addr = pci_addr_text(dev->addr);
	char driver[VFIO_HOST_DRIVER_SIZE], holders[256], disk[HOST_DISKS_TEXT_SIZE];
	int r;

	host_sysfs_driver(host->root, dev->addr, driver);
	if (host_sysfs_is_vfio(driver))
		return 0;
	r = check_may_take(host, dev);
	if (r < 0)
		return r;
	if (host_disks_in_use(host->root, dev->addr, disk)) {
		r = err_set(ERR_DEVICE, -EBUSY, "%s is in use on the host: %s", addr.s, disk);
		err_hint("unmount or stop that first: what is not written yet would be lost");
		return r;
	}
	host_holders_list(host->root, dev->addr, holders, sizeof(holders));
	/*
	 * NVIDIA's driver waits for its users for ever, and with some versions only a reboot ends
	 * that [github.com/NVIDIA/open-gpu-kernel-modules #1119, #1374].
	 */
	if (holders[0] && strcmp(driver, "nvidia") == 0) {
		r = err_set(ERR_DEVICE, -EBUSY, "%s is in use on the host by %s", addr.s, holders);
		err_hint("stop them first; driver nvidia does not let go of a GPU in use");
		return r;
	}
	return 0;
}

/* What the host loses, once the run has decided to take the device. */
static void warn_of_loss(const struct vfio_host *host, const struct vfio_host_device *dev)
{
	const struct pci_addr_text addr = pci_addr_text(dev->addr);
	char driver[VFIO_HOST_DRIVER_SIZE], holders[256], network[HOST_DISKS_TEXT_SIZE];

	host_sysfs_driver(host->root, dev->addr, driver);
	if (host_sysfs_is_vfio(driver))
		return;
	if (host_disks_network(host->root, dev->addr, network))
		log_warn("%s takes the host's network %s along", addr.s, network);
	host_holders_list(host->root, dev->addr, holders, sizeof(holders));
	if (holders[0])
		log_warn("%s is taken away from %s", addr.s, holders);
	if (driver[0] && host_sysfs_is_boot_display(host->root, dev->addr))
		log_warn("%s is the host's boot display: its screen goes dark", addr.s);
}

int vfio_host_check(struct vfio_host *host, const struct pci_addr *addrs, unsigned count)
{
	int r;

	assert(host->count == 0 && count <= VFIO_HOST_DEVICES_MAX);
	for (unsigned i = 0; i < count; i++) {
		struct vfio_host_device dev = { .addr = addrs[i] };

		r = host_check_endpoint(host->root, dev.addr);
		if (r == 0)
			r = host_check_no_vfs(host->root, dev.addr);
		if (r == 0)
			r = host_check_iommu(host->root, dev.addr, &dev.group);
		if (r == 0)
			r = host_check_reserved(host->root, dev.addr);
		/* A user who has to ask root need not have a place for leases. */
		if (r == 0 && host->plain)
			r = check_may_take(host, &dev);
		if (r < 0)
			goto fail;
		host->devices[host->count++] = dev;
	}
	/* From here on no other run changes the drivers of these groups. */
	r = count ? host_lease_take(host) : 0;
	if (r == -EBUSY && !host->wait_ms)
		err_hint("--wait TIME waits for it");
	if (r < 0)
		goto fail;
	for (unsigned i = 0; i < count; i++) {
		r = host_check_group(host, &host->devices[i]);
		if (r == 0)
			r = check_no_physfn(host, host->devices[i].addr);
		if (r < 0)
			goto fail;
	}
	for (unsigned i = 0; i < count; i++) {
		r = host_check_driver(host, &host->devices[i]);
		if (r < 0)
			goto fail;
	}
	for (unsigned i = 0; i < count; i++)
		warn_of_loss(host, &host->devices[i]);
	return 0;

fail:
	host_lease_drop(host);
	host->count = 0;
	return r;
}
