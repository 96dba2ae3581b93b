/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The preconditions of a device, one by one, in the order in which vfio_host_check asks them: for
 * commands that tell all of them. Each sets the error chain and changes nothing. Main thread.
 */
#ifndef VFIO_HOST_CHECK_H
#define VFIO_HOST_CHECK_H

#include "core/util.h"
#include "vfio/host.h"

/* Some device of the host is behind an IOMMU. */
int MUST_CHECK host_check_has_iommu(const char *root);

/* There is such a PCI device. */
int MUST_CHECK host_check_present(const char *root, struct pci_addr addr);

/* It exists, answers, and is no bridge. */
int MUST_CHECK host_check_endpoint(const char *root, struct pci_addr addr);

int MUST_CHECK host_check_no_vfs(const char *root, struct pci_addr addr);

/* Kind ERR_HOST if the host has no IOMMU at all, ERR_DEVICE if only this device has none. */
int MUST_CHECK host_check_iommu(const char *root, struct pci_addr addr, unsigned *ret_group);

/*
 * Firmware does not want memory mapped one to one for a device of its group, which the kernel would
 * refuse to give to a guest.
 */
int MUST_CHECK host_check_reserved(const char *root, struct pci_addr addr);

/* The guest could not have the group while this member of it stays with its driver. */
bool host_check_blocks(const struct vfio_host *host, struct pci_addr member);

/* Its IOMMU group, when all devices of `host` are passed together. */
int MUST_CHECK host_check_group(const struct vfio_host *host, const struct vfio_host_device *dev);

/* No program, of whatever user, has it open through VFIO. */
int MUST_CHECK host_check_unused(const struct vfio_host *host, const struct vfio_host_device *dev);

/*
 * This user may write what changes its driver; `what` is to be done, as in "cannot be moved", by
 * `command`.
 */
int MUST_CHECK host_check_may_move(const struct vfio_host *host, const struct vfio_host_device *dev,
				   const char *what, const char *command);

/* This user may move it, and its driver would let it go. */
int MUST_CHECK host_check_driver(const struct vfio_host *host, const struct vfio_host_device *dev);

#endif
