/* SPDX-License-Identifier: Apache-2.0 */
/* Reserved regions; see host_reserved.h. Main thread. */
#include "vfio/host_reserved.h"

#include <inttypes.h>
#include <stdio.h>

#include "vfio/host_sysfs.h"

/* A line: "0x00000000fee00000 0x00000000feefffff msi". */
unsigned host_reserved_read(const char *root, struct pci_addr addr,
			    struct host_reserved ret_list[HOST_RESERVED_MAX])
{
	FILE *file = fopen(host_sysfs_device(root, addr, "iommu_group/reserved_regions").s, "re");
	char line[128];
	unsigned count = 0;

	while (file && count < HOST_RESERVED_MAX && fgets(line, sizeof(line), file)) {
		struct host_reserved *r = &ret_list[count];

		if (sscanf(line, "%" SCNx64 " %" SCNx64 " %23s", &r->first, &r->last, r->type) ==
			    3 &&
		    r->first <= r->last)
			count++;
	}
	if (file)
		fclose(file);
	return count;
}
