/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mediated devices: a share of a device that a driver of the host gives away through VFIO, as a PCI
 * device of its own with a UUID for its name. It has been made by the user, is with VFIO from then
 * on, and stays so: nothing has to be taken or given back. [Linux: Documentation/driver-api/
 * vfio-mediated-device.rst]. Main thread.
 */
#ifndef VFIO_MDEV_H
#define VFIO_MDEV_H

#include "core/util.h"

/* "00000000-0000-0000-0000-000000000000" and its NUL. */
#define VFIO_UUID_SIZE 37u

/* Hexadecimal digits in groups of 8, 4, 4, 4 and 12, with dashes between. */
bool vfio_uuid_scan(const char *text);

/* It exists, is a PCI device, and is with VFIO. `root` is in front of /sys. */
int MUST_CHECK vfio_mdev_check(const char *root, const char *uuid);

/* The NUMA node of the device that it is a part of; -1: unknown, or that is no PCI device. */
int vfio_mdev_node(const char *root, const char *uuid);

#endif
