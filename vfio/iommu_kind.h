/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's interfaces to an IOMMU, by name. */
#ifndef VFIO_IOMMU_KIND_H
#define VFIO_IOMMU_KIND_H

enum vfio_iommu_kind {
	VFIO_IOMMU_AUTO, /* iommufd where it can be used, else type1 */
	VFIO_IOMMU_TYPE1,
	VFIO_IOMMU_IOMMUFD,
};

#endif
