/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resetting a device: a reset of the function alone where it has a real one, else of the whole bus
 * if nobody else is on it, else the power state transition. Main thread, or a vCPU for a
 * function-level reset that the guest asked for. [Linux: VFIO_DEVICE_RESET,
 * VFIO_DEVICE_PCI_HOT_RESET].
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/err.h"
#include "core/log.h"
#include "core/sys.h"
#include "vfio/device.h"

/* A bus has 256 functions, and a hot reset may take those of the buses below along. */
#define HOT_RESET_DEVICES_MAX 1024u

#define RESET_TRIES 20 /* 50 ms apart */

/*
 * The kernel only tries to lock the devices concerned: somebody who reads their config space
 * through sysfs at that moment makes a reset fail with EAGAIN.
 */
static int reset_ioctl(const struct vfio_device *dev, unsigned long request, void *arg)
{
	const struct timespec pause = { .tv_nsec = 50000000 };
	int r;

	for (unsigned tries = 0; tries < RESET_TRIES; tries++) {
		r = sys_ioctl(dev->fd, request, arg);
		if (r != -EAGAIN)
			break;
		nanosleep(&pause, NULL);
	}
	return r;
}

static int reset_function(struct vfio_device *dev)
{
	int r = reset_ioctl(dev, VFIO_DEVICE_RESET, NULL);

	return r < 0 ? err_sys(ERR_DEVICE, r, "%s: reset the function", dev->bdf) : 0;
}

/* Who else a reset of the bus would hit. free() it. */
static int get_affected(const struct vfio_device *dev, struct vfio_pci_hot_reset_info **ret_info)
{
	uint32_t count = 0;

	/* Again when the kernel says how much room it needs; a device may come in between. */
	for (unsigned tries = 0; tries < 3; tries++) {
		const size_t size = sizeof(struct vfio_pci_hot_reset_info) +
				    count * sizeof(struct vfio_pci_dependent_device);
		struct vfio_pci_hot_reset_info *info = calloc(1, size);
		int r;

		if (!info)
			return err_sys(ERR_LIMIT, -ENOMEM, "%s: reset the bus", dev->bdf);
		info->argsz = (uint32_t)size;
		r = sys_ioctl(dev->fd, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, info);
		if (r >= 0 && info->count <= count) {
			*ret_info = info;
			return 0;
		}
		count = MIN(info->count, HOT_RESET_DEVICES_MAX);
		free(info);
		if (r < 0 && r != -ENOSPC)
			return err_sys(ERR_DEVICE, r, "%s: the bus has no reset", dev->bdf);
	}
	return err_set(ERR_DEVICE, -EAGAIN, "%s: the bus keeps changing", dev->bdf);
}

static void format_bdf(const struct vfio_pci_dependent_device *d, char buf[VFIO_BDF_SIZE])
{
	snprintf(buf, VFIO_BDF_SIZE, "%04x:%02x:%02x.%x", (unsigned)d->segment, (unsigned)d->bus,
		 (unsigned)d->devfn >> 3, (unsigned)d->devfn & 7);
}

/* The fds of all groups concerned, each once; all of them must be ours. */
static int collect_groups(const struct vfio_device *dev, const struct vfio_pci_hot_reset_info *info,
			  struct vfio_pci_hot_reset *arg)
{
	char bdf[VFIO_BDF_SIZE];

	for (uint32_t i = 0; i < info->count; i++) {
		const struct vfio_pci_dependent_device *d = &info->devices[i];
		int fd = dev->iommu->ops->group_fd(dev->iommu, d->group_id);
		uint32_t k = 0;

		if (fd < 0) {
			format_bdf(d, bdf);
			return err_set(ERR_DEVICE, -EPERM,
				       "%s: a reset of its bus would hit %s (IOMMU group %u), "
				       "which this guest does not have",
				       dev->bdf, bdf, d->group_id);
		}
		while (k < arg->count && arg->group_fds[k] != fd)
			k++;
		if (k == arg->count)
			arg->group_fds[arg->count++] = fd;
	}
	return 0;
}

static void mark_clean(const struct vfio_device *dev, const struct vfio_pci_hot_reset_info *info)
{
	char bdf[VFIO_BDF_SIZE];

	for (uint32_t i = 0; i < info->count; i++) {
		format_bdf(&info->devices[i], bdf);
		for (struct vfio_device *d = dev->iommu->devices; d; d = d->next) {
			if (strcmp(d->bdf, bdf) == 0)
				d->clean = true;
		}
	}
}

static int reset_bus(struct vfio_device *dev)
{
	struct vfio_pci_hot_reset_info *info = NULL;
	struct vfio_pci_hot_reset *arg;
	int r = get_affected(dev, &info);

	if (r < 0)
		return r;
	arg = calloc(1, sizeof(*arg) + info->count * sizeof(arg->group_fds[0]));
	if (!arg) {
		free(info);
		return err_sys(ERR_LIMIT, -ENOMEM, "%s: reset the bus", dev->bdf);
	}
	r = collect_groups(dev, info, arg);
	if (r >= 0) {
		arg->argsz = (uint32_t)(sizeof(*arg) + arg->count * sizeof(arg->group_fds[0]));
		r = reset_ioctl(dev, VFIO_DEVICE_PCI_HOT_RESET, arg);
		/* The kernel's word for devices that do not answer afterwards. */
		if (r == -ENOTTY)
			err_set(ERR_DEVICE, r, "%s: its bus did not come back from a reset",
				dev->bdf);
		else if (r < 0)
			err_sys(ERR_DEVICE, r, "%s: reset the bus", dev->bdf);
		else
			mark_clean(dev, info);
	}
	free(arg);
	free(info);
	return r;
}

/*
 * VFIO_DEVICE_RESET takes whatever the kernel found: a device-specific method, FLR, D3hot to D0, or
 * the bus if the device has it for itself. Only the power transition is known to leave a device
 * half reset, so that the bus is tried before it.
 */
int vfio_device_reset(struct vfio_device *dev, bool alone)
{
	const bool thorough = dev->can_reset && (dev->has_flr || !dev->pm_reset);
	int r = -ENOTSUP;

	if (dev->clean)
		return 0;
	if (thorough)
		r = reset_function(dev);
	if (r < 0 && !alone)
		r = reset_bus(dev);
	if (r < 0 && dev->can_reset && !thorough)
		r = reset_function(dev);
	if (r == -ENOTSUP && alone)
		return err_set(ERR_DEVICE, r, "%s: the device cannot be reset alone", dev->bdf);
	if (r < 0)
		return r;
	dev->clean = true;
	return 0;
}
