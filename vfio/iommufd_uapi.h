/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tinyvmm uses of the kernel's interface to iommufd (Linux 6.2) and to VFIO's character
 * devices (6.6), for systems whose headers are older. The layouts and numbers are the kernel's
 * ABI: [Linux: Documentation/userspace-api/iommufd.rst; Documentation/driver-api/vfio.rst, "IOMMUFD
 * and vfio_iommu_type1" and "VFIO Device cdev"; include/uapi/linux/iommufd.h, vfio.h and kvm.h].
 */
#ifndef VFIO_IOMMUFD_UAPI_H
#define VFIO_IOMMUFD_UAPI_H

#include <linux/kvm.h>
#include <linux/types.h>
#include <linux/vfio.h>
#include <stddef.h>

#if __has_include(<linux/iommufd.h>)
#include <linux/iommufd.h>
#else

/* Requests have no direction and no size in their number: each struct begins with its size. */
#define IOMMUFD_TYPE ';'

#define IOMMU_IOAS_ALLOC          _IO(IOMMUFD_TYPE, 0x81)
#define IOMMU_IOAS_IOVA_RANGES    _IO(IOMMUFD_TYPE, 0x84)
#define IOMMU_IOAS_MAP            _IO(IOMMUFD_TYPE, 0x85)
#define IOMMU_IOAS_UNMAP          _IO(IOMMUFD_TYPE, 0x86)

struct iommu_ioas_alloc {
	__u32 size;
	__u32 flags; /* 0 */
	__u32 out_ioas_id;
};

struct iommu_iova_range {
	__aligned_u64 start;
	__aligned_u64 last; /* inclusive */
};

/* EMSGSIZE: there are `num_iovas` ranges, and as many as there was room for were written. */
struct iommu_ioas_iova_ranges {
	__u32 size;
	__u32 ioas_id;
	__u32 num_iovas; /* in: the room; out: how many there are */
	__u32 __reserved;
	__aligned_u64 allowed_iovas; /* address of struct iommu_iova_range[] */
	__aligned_u64 out_iova_alignment;
};

/* iommu_ioas_map.flags */
#define IOMMU_IOAS_MAP_FIXED_IOVA (1u << 0)
#define IOMMU_IOAS_MAP_WRITEABLE  (1u << 1)
#define IOMMU_IOAS_MAP_READABLE   (1u << 2)

struct iommu_ioas_map {
	__u32 size;
	__u32 flags;
	__u32 ioas_id;
	__u32 __reserved;
	__aligned_u64 user_va;
	__aligned_u64 length;
	__aligned_u64 iova; /* in, with IOMMU_IOAS_MAP_FIXED_IOVA */
};

/* A range that holds whole mappings. */
struct iommu_ioas_unmap {
	__u32 size;
	__u32 ioas_id;
	__aligned_u64 iova;
	__aligned_u64 length; /* out: what was mapped of it */
};

_Static_assert(sizeof(struct iommu_ioas_alloc) == 12, "the ABI's size");
_Static_assert(sizeof(struct iommu_iova_range) == 16, "the ABI's size");
_Static_assert(sizeof(struct iommu_ioas_iova_ranges) == 32, "the ABI's size");
_Static_assert(sizeof(struct iommu_ioas_map) == 40, "the ABI's size");
_Static_assert(sizeof(struct iommu_ioas_unmap) == 24, "the ABI's size");

#endif

#ifndef VFIO_DEVICE_BIND_IOMMUFD

#define VFIO_DEVICE_BIND_IOMMUFD      _IO(VFIO_TYPE, VFIO_BASE + 18)
#define VFIO_DEVICE_ATTACH_IOMMUFD_PT _IO(VFIO_TYPE, VFIO_BASE + 19)

/* The first call on a character device; undone by closing it. */
struct vfio_device_bind_iommufd {
	__u32 argsz;
	__u32 flags; /* 0 */
	__s32 iommufd;
	__u32 out_devid;
};

struct vfio_device_attach_iommufd_pt {
	__u32 argsz;
	__u32 flags; /* 0 */
	__u32 pt_id; /* in: an IOAS; out: the page table that it got */
};

_Static_assert(sizeof(struct vfio_device_bind_iommufd) == 16, "the ABI's size");
_Static_assert(sizeof(struct vfio_device_attach_iommufd_pt) == 12, "the ABI's size");

#endif

/* vfio_pci_hot_reset_info.flags: group_id is a device's id in the caller's iommufd, and all are. */
#ifndef VFIO_PCI_HOT_RESET_FLAG_DEV_ID
#define VFIO_PCI_HOT_RESET_FLAG_DEV_ID       (1 << 0)
#define VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED (1 << 1)
/* In place of an id: not in the caller's iommufd, but in a group that is; not his at all. */
#define VFIO_PCI_DEVID_OWNED     0
#define VFIO_PCI_DEVID_NOT_OWNED -1
#endif

/* The same as their older names for groups [KVM: Documentation/virt/kvm/devices/vfio.rst]. */
#ifndef KVM_DEV_VFIO_FILE
#define KVM_DEV_VFIO_FILE     KVM_DEV_VFIO_GROUP
#define KVM_DEV_VFIO_FILE_ADD KVM_DEV_VFIO_GROUP_ADD
#define KVM_DEV_VFIO_FILE_DEL KVM_DEV_VFIO_GROUP_DEL
#endif

/* The kernel lets a struct grow at its end: of a header's, only what is used has a fixed place. */
_Static_assert(IOMMU_IOAS_ALLOC == 0x3b81 && IOMMU_IOAS_UNMAP == 0x3b86, "the ABI's numbers");
_Static_assert(offsetof(struct iommu_ioas_alloc, out_ioas_id) == 8, "the ABI's place");
_Static_assert(offsetof(struct iommu_iova_range, last) == 8, "the ABI's place");
_Static_assert(offsetof(struct iommu_ioas_iova_ranges, out_iova_alignment) == 24,
	       "the ABI's place");
_Static_assert(offsetof(struct iommu_ioas_map, iova) == 32, "the ABI's place");
_Static_assert(offsetof(struct iommu_ioas_unmap, length) == 16, "the ABI's place");
_Static_assert(VFIO_DEVICE_BIND_IOMMUFD == 0x3b76, "the ABI's number");
_Static_assert(offsetof(struct vfio_device_bind_iommufd, out_devid) == 12, "the ABI's place");
_Static_assert(offsetof(struct vfio_device_attach_iommufd_pt, pt_id) == 8, "the ABI's place");
_Static_assert(offsetof(struct vfio_pci_dependent_device, group_id) == 0, "also the device's id");

#endif
