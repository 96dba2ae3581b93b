/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps by which a device changes its driver, each with a limit. Main thread.
 * [linux Documentation/ABI/testing/sysfs-bus-pci: driver_override, unbind, drivers_probe]
 */
#ifndef VFIO_HOST_BIND_H
#define VFIO_HOST_BIND_H

#include "core/util.h"
#include "vfio/host.h"

/* For messages: the driver, or "no driver". */
const char *host_bind_name(const char *driver);

/* All of them: -ETIMEDOUT, and dev->stuck, when a driver hangs on it. No error chain. */

/* driver_override; "" for none. */
int MUST_CHECK host_bind_override(struct vfio_host *host, struct vfio_host_device *dev,
				  const char *driver);

/* From `driver`, which has it. Success whenever it is not with that driver afterwards. */
int MUST_CHECK host_bind_unbind(struct vfio_host *host, struct vfio_host_device *dev,
				const char *driver);

/*
 * Lets the bus find a driver: the one in driver_override, or the first that knows the device. `now`
 * is the one that has it then, also on failure; with -ETIMEDOUT it is still binding.
 */
int MUST_CHECK host_bind_probe(struct vfio_host *host, struct vfio_host_device *dev,
			       char now[VFIO_HOST_DRIVER_SIZE]);

#endif
