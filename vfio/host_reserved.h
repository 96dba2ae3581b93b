/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which addresses an IOMMU group cannot map, as the kernel lists them in reserved_regions. Main
 * thread. [linux Documentation/ABI/testing/sysfs-kernel-iommu_groups]
 */
#ifndef VFIO_HOST_RESERVED_H
#define VFIO_HOST_RESERVED_H

#include "core/util.h"
#include "vfio/pci_addr.h"

#define HOST_RESERVED_MAX 64 /* regions that are looked at */

struct host_reserved {
	uint64_t first, last;
	char type[24]; /* "msi", "direct", ... */
};

/* In ascending order. Returns how many; 0 if there is no group. */
unsigned host_reserved_read(const char *root, struct pci_addr addr,
			    struct host_reserved ret_list[HOST_RESERVED_MAX]);

#endif
