/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IOMMU groups as VFIO gives them out: /dev/vfio/GROUP. No state; main thread. All failures say
 * what to do. [Linux: Documentation/driver-api/vfio.rst].
 */
#ifndef VFIO_GROUP_H
#define VFIO_GROUP_H

#include "core/util.h"
#include "vfio/iommu.h"

/* The group of a device, from sysfs; `bdf` as in struct vfio_target. */
int MUST_CHECK vfio_group_find(const char *bdf, unsigned *ret_id);

/* Opens the group, which must be viable: no device of it has a driver of the host. The fd. */
int MUST_CHECK vfio_group_open(unsigned id);

/* Opens a device of the group, which is in a container already. The fd. */
int MUST_CHECK vfio_group_open_device(int group_fd, const struct vfio_target *target);

#endif
