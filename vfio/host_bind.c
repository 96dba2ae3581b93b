/* SPDX-License-Identifier: Apache-2.0 */
/* Writes to sysfs that change a device's driver; see host_bind.h. Main thread. */
#include "vfio/host_bind.h"

#include <errno.h>

#include "vfio/host_child.h"
#include "vfio/host_sysfs.h"

const char *host_bind_name(const char *driver)
{
	return driver[0] ? driver : "no driver";
}

/* A write to a file of the device, given up when a driver hangs on it. */
static int write_device(struct vfio_host *host, struct vfio_host_device *dev, const char *file,
			const char *text)
{
	int r = host_child_write(host_sysfs_device(host->root, dev->addr, file).s, text,
				 host->limit_ms);

	if (r == -ETIMEDOUT)
		dev->stuck = true;
	return r;
}

int host_bind_override(struct vfio_host *host, struct vfio_host_device *dev, const char *driver)
{
	return write_device(host, dev, "driver_override", driver[0] ? driver : "\n");
}

int host_bind_unbind(struct vfio_host *host, struct vfio_host_device *dev, const char *driver)
{
	char now[VFIO_HOST_DRIVER_SIZE];
	int r = write_device(host, dev, "driver/unbind", pci_addr_text(dev->addr).s);

	/* A driver that hangs has lost its link already, but not let go of the device. */
	if (r == 0 || r == -ETIMEDOUT)
		return r;
	host_sysfs_driver(host->root, dev->addr, now);
	return strcmp(now, driver) == 0 ? r : 0;
}

int host_bind_probe(struct vfio_host *host, struct vfio_host_device *dev,
		    char now[VFIO_HOST_DRIVER_SIZE])
{
	/* A big GPU takes its time, and a driver that is killed half way leaves it unusable. */
	int r = host_child_write_unkilled(host_sysfs_path(host->root, "sys/bus/pci/drivers_probe")
						  .s,
					  pci_addr_text(dev->addr).s, host->bind_limit_ms);

	if (r == -ETIMEDOUT)
		dev->stuck = true;
	host_sysfs_driver(host->root, dev->addr, now);
	return r;
}
