/* SPDX-License-Identifier: Apache-2.0 */
/* See host_iommu.h. Main thread. [Linux: Documentation/driver-api/vfio.rst, "VFIO Device cdev"]. */
#include "vfio/host_iommu.h"

#include <errno.h>
#include <fcntl.h>

#include "core/err.h"
#include "core/log.h"
#include "core/sys.h"
#include "vfio/host_child.h"
#include "vfio/host_sysfs.h"

/* How long udev may take to make a device's file and to set its owner. */
#define NODE_LIMIT_MS 5000

/* The kernel's list of drivers with character devices names VFIO's, if it has any, so. */
#define CDEV_DRIVER "vfio-dev"

#define NEEDS_KERNEL                                                                    \
	"it takes Linux 6.6 or later with CONFIG_IOMMUFD and CONFIG_VFIO_DEVICE_CDEV; " \
	"--iommu type1 does without"

static int try_open(const char *path)
{
	return faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS) == 0 ? 0 : -errno;
}

static int check_dev_iommu(const struct vfio_host *host)
{
	int r = try_open(host_sysfs_path(host->root, "dev/iommu").s);

	if (r == 0)
		return 0;
	if (r == -EACCES) {
		err_set(ERR_HOST, r, "no permission to use /dev/iommu");
		err_hint("run as root, let root give it to you ('chown $USER /dev/iommu'), "
			 "or use --iommu type1");
		return r;
	}
	err_set(ERR_HOST, r, "this host's kernel offers no iommufd: no /dev/iommu");
	err_hint(NEEDS_KERNEL);
	return r;
}

int host_iommu_check(const struct vfio_host *host)
{
	char drivers[8192];
	int r;

	if (host->iommu != VFIO_IOMMU_IOMMUFD)
		return 0;
	r = check_dev_iommu(host);
	if (r < 0)
		return r;
	if (sys_read_text(host_sysfs_path(host->root, "proc/devices").s, drivers, sizeof(drivers)) <
		    0 ||
	    strstr(drivers, " " CDEV_DRIVER))
		return 0;
	err_set(ERR_HOST, -ENODEV, "this host's VFIO has no character devices for iommufd");
	err_hint(NEEDS_KERNEL);
	return -ENODEV;
}

/* Until the file is there and may be opened. */
static int wait_for_node(const struct vfio_host *host, const struct vfio_host_device *dev,
			 const char *path)
{
	struct host_child_wait wait;
	int r;

	/* What was there before this run is there now or never. */
	host_child_wait_init(&wait, dev->taken ? MIN(host->limit_ms, NODE_LIMIT_MS) : 0);
	do {
		r = try_open(path);
		if (r == 0)
			return 0;
	} while (host_child_wait_step(&wait));
	r = err_sys(ERR_HOST, r, "%s is on vfio-pci, but %s cannot be used",
		    pci_addr_text(dev->addr).s, path);
	if (r == -EACCES)
		err_hint("run as root, or let root give you "
			 "that file (tinyvmm bind --user, chown, a udev rule)");
	else
		err_hint("udev or devtmpfs makes it; in a container it must be handed in");
	return r;
}

static int settle_iommufd(const struct vfio_host *host)
{
	int r = check_dev_iommu(host);

	for (unsigned i = 0; i < host->count && r == 0; i++) {
		const struct vfio_host_device *dev = &host->devices[i];
		char name[VFIO_HOST_DRIVER_SIZE];

		if (!host_sysfs_cdev(host_sysfs_device(host->root, dev->addr, "").s, name)) {
			r = err_set(ERR_HOST, -ENODEV, "%s: VFIO has no character device for it",
				    pci_addr_text(dev->addr).s);
			err_hint(NEEDS_KERNEL);
			return r;
		}
		r = wait_for_node(host, dev,
				  host_sysfs_path(host->root, "dev/vfio/devices/%s", name).s);
	}
	return r;
}

static int settle_type1(const struct vfio_host *host)
{
	int r = 0;

	for (unsigned i = 0; i < host->count && r == 0; i++) {
		const struct vfio_host_device *dev = &host->devices[i];

		r = wait_for_node(host, dev,
				  host_sysfs_path(host->root, "dev/vfio/%u", dev->group).s);
	}
	return r;
}

/*
 * Devices that are to reach each other's memory have that mapped, too, which only type1 does as
 * long as we use no dma-bufs.
 */
static bool type1_is_better(const struct vfio_host *host)
{
	unsigned gpus = 0;

	for (unsigned i = 0; i < host->count; i++)
		gpus += host_sysfs_is_gpu(host->root, host->devices[i].addr);
	return host->count >= 2 && host->p2p != VFIO_P2P_OFF &&
	       (host->p2p == VFIO_P2P_ON || gpus >= 2) &&
	       try_open(host_sysfs_path(host->root, "dev/vfio/vfio").s) == 0;
}

int host_iommu_settle(struct vfio_host *host)
{
	const bool may_choose = host->iommu == VFIO_IOMMU_AUTO;
	int r = 0;

	if (may_choose && type1_is_better(host))
		host->iommu = VFIO_IOMMU_TYPE1;
	if (host->iommu != VFIO_IOMMU_TYPE1) {
		host->iommu = VFIO_IOMMU_IOMMUFD;
		r = settle_iommufd(host);
	}
	if (r < 0 && may_choose) {
		log_debug("iommufd cannot be used: %s", err_text());
		err_clear();
		host->iommu = VFIO_IOMMU_TYPE1;
	}
	if (host->iommu == VFIO_IOMMU_TYPE1)
		r = settle_type1(host);
	if (r == 0)
		log_debug("the devices' IOMMU is driven through %s",
			  host->iommu == VFIO_IOMMU_TYPE1 ? "type1" : "iommufd");
	return r;
}
