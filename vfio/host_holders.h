/* SPDX-License-Identifier: Apache-2.0 */
/* Who uses a device on the host, for messages. Main thread. */
#ifndef VFIO_HOST_HOLDERS_H
#define VFIO_HOST_HOLDERS_H

#include "core/util.h"
#include "vfio/pci_addr.h"

/*
 * The processes that have a device file of this device open, as "Xorg (pid 812), python3 (pid 90)";
 * "" if none was seen. As far as /proc lets this user see.
 */
void host_holders_list(const char *root, struct pci_addr addr, char *buf, size_t size);

/*
 * Those that have it, or its whole IOMMU group, open through VFIO. If this user sees none, but
 * the kernel says that the group is in use: those of other users whose command line names the
 * device. No file of the group may be open in this process.
 */
void host_holders_list_vfio(const char *root, struct pci_addr addr, unsigned group, char *buf,
			    size_t size);

/*
 * Whether a program has the device or another one of its group through VFIO. The kernel lets only
 * one open /dev/vfio/GROUP, and none while a device's own file is in use. On a kernel without that
 * file (CONFIG_VFIO_GROUP) it is whoever /proc shows to have the device. False if that cannot be
 * found out. No file of the group may be open in this process.
 */
bool host_holders_in_use(const char *root, struct pci_addr addr, unsigned group);

#endif
