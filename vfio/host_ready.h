/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a device could be passed through now, and if not, why, in a few words: the checks of a
 * run (host_check.h) without the lease and the changes. Main thread.
 */
#ifndef VFIO_HOST_READY_H
#define VFIO_HOST_READY_H

#include "core/util.h"
#include "vfio/host_info.h"

/* The other functions of a slot. */
#define HOST_READY_WITH_MAX 7

struct host_ready {
	bool ready;
	char reason[128]; /* "no IOMMU"; "" if ready */
	int holder;       /* the process that has it for a guest; 0: none was seen */
	bool in_use;      /* `reason` is that somebody uses it, who may be done some time */
	/* Functions of the same card that have to be passed along, because they share its group. */
	struct pci_addr with[HOST_READY_WITH_MAX];
	unsigned with_count;
};

/* The error chain is cleared. */
void host_ready_check(const char *root, const struct host_info *info, struct host_ready *ret_ready);

/*
 * The device and what `host_ready.with` would have, for the checks of a group; `host` is as after
 * vfio_host_init.
 */
void host_ready_add(struct vfio_host *host, const struct host_info *info);

#endif
