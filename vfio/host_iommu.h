/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of the kernel's IOMMU interfaces a run gets, and the device files that it needs: for
 * vfio_host_take. docs/ARCHITECTURE.md says why iommufd comes first. Main thread.
 */
#ifndef VFIO_HOST_IOMMU_H
#define VFIO_HOST_IOMMU_H

#include "core/util.h"
#include "vfio/host.h"

/*
 * Before any device is moved, with VFIO loaded: whether the kernel has the interface that was asked
 * for by name.
 */
int MUST_CHECK host_iommu_check(const struct vfio_host *host);

/*
 * With all devices on vfio-pci: decides for an interface if host->iommu is VFIO_IOMMU_AUTO, and
 * waits until its files may be opened.
 */
int MUST_CHECK host_iommu_settle(struct vfio_host *host);

#endif
