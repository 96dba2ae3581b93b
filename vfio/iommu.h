/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The IOMMU that stands between passed-through devices and guest RAM, whichever kernel interface
 * drives it: devices are opened through it, and guest RAM is mapped for all of them at once, guest
 * physical address = I/O virtual address. Main thread, but for the mapping: RAM is the pinning
 * thread's (pin.h), BARs of peers are the vCPUs' (p2p.h). [Linux: include/uapi/linux/vfio.h].
 */
#ifndef VFIO_IOMMU_H
#define VFIO_IOMMU_H

#include <linux/vfio.h>

#include "core/mem.h"
#include "core/util.h"

struct vfio_device;
struct vfio_iommu;
struct vfio_p2p;
struct vm;

#define VFIO_IOVA_RANGES_MAX 64u

/* What the IOMMU can map, which depends on the devices behind it. */
struct vfio_iommu_limits {
	uint64_t page_sizes;  /* one bit a size; 0: not told */
	uint32_t maps_left;   /* mappings that may still be made; UINT32_MAX: not told */
	unsigned range_count; /* 0: not told */
	struct vfio_iova_range ranges[VFIO_IOVA_RANGES_MAX]; /* both ends inclusive */
};

/* A device as VFIO knows it. */
struct vfio_target {
	const char *bdf; /* "0000:01:00.0", or the UUID of a mediated device */
	/* A UUID, for a function whose SR-IOV siblings others have through VFIO; NULL: none. */
	const char *vf_token;
};

/* A backend: type1 with containers and groups, or iommufd with a file for each device. */
struct vfio_iommu_ops {
	/* Opens the device behind this IOMMU. `ret_handle` goes back to close_device. */
	int (*open_device)(struct vfio_iommu *iommu, const struct vfio_target *target, int *ret_fd,
			   void **ret_handle);
	/* After the device's fd was closed. */
	void (*close_device)(struct vfio_iommu *iommu, void *handle);
	int (*limits)(struct vfio_iommu *iommu, struct vfio_iommu_limits *ret_limits);
	int (*map)(struct vfio_iommu *iommu, uint64_t iova, uint64_t size, void *hva);
	void (*unmap)(struct vfio_iommu *iommu, uint64_t iova, uint64_t size);
	/*
	 * The fd that proves to the kernel, for a reset of the bus, that a group is ours; -ENOENT.
	 * NULL where the kernel knows that by itself.
	 */
	int (*group_fd)(struct vfio_iommu *iommu, uint32_t group_id);
	void (*destroy)(struct vfio_iommu *iommu);
	bool pins_by_user; /* see vfio_iommu_allow_pinning */
};

struct vfio_iommu {
	const struct vfio_iommu_ops *ops;
	bool maps_bars;              /* ops->map takes the memory of a device, too, on any thread */
	struct vfio_p2p *p2p;        /* NULL: BARs are not mapped for DMA */
	struct vfio_device *devices; /* a list, kept by vfio_device_open and _close */
	uint64_t slice_size; /* a power of two: how much to map at once; by vfio_iommu_check_ram */
	unsigned mapped_count;
	struct {
		uint64_t iova, size;
	} mapped[GUEST_MEM_BANKS_MAX];
};

/*
 * Opens /dev/vfio/vfio (VFIO_TYPE1v2_IOMMU). `vm` outlives it and is told of every group, so that
 * KVM knows whether the devices' DMA snoops the CPU's caches.
 */
int MUST_CHECK vfio_type1_create(struct vm *vm, struct vfio_iommu **ret_iommu);

/* The same with /dev/iommu, where the kernel (6.6 and later) has it. */
int MUST_CHECK vfio_iommufd_create(struct vm *vm, struct vfio_iommu **ret_iommu);

/*
 * Whether `bytes` of guest RAM may be pinned; the limit of locked memory is raised if need be.
 * `by_user`: what all processes of this user have pinned counts (iommufd), not only ours (type1).
 */
int MUST_CHECK vfio_iommu_allow_pinning(uint64_t bytes, bool by_user);

/* Whether the IOMMU can map a bank of guest RAM; -ERANGE with what is in the way. */
int MUST_CHECK vfio_iommu_check_range(const struct vfio_iommu_limits *limits,
				      const struct mem_bank *bank);

/*
 * Checks that all guest RAM can be mapped for DMA: once, after the last device was created and
 * before the guest starts. What cannot work is told before anything is pinned.
 *
 * Decides how much is mapped at once, too: slices of 256 MiB, or of a huge page if that is more. A
 * bank in one piece would be fewer mappings, but a mapping cannot be interrupted: in slices, the
 * end of a run waits for one of them, one is mapped while the pages of the next are still being
 * zeroed, and there is progress to tell. The IOMMU's tables are the same: no page is as large. If
 * the IOMMU allows too few mappings, slices are larger, up to a bank each.
 */
int MUST_CHECK vfio_iommu_check_ram(struct vfio_iommu *iommu, const struct guest_mem *mem);

/*
 * Checks that the devices are clean. After the last one was created, and before anything is done to
 * them. A device that does not answer is of no use. One that could not be reset goes to the guest
 * as its last user left it: that is fine with a warning if that was a driver of the host, or if
 * nothing can reset it, but not if it was another guest and the reset that there is has failed.
 */
int MUST_CHECK vfio_iommu_check_clean(const struct vfio_iommu *iommu);

/* Maps `part` of a bank, which pins it. Parts come in the order of their addresses. */
int MUST_CHECK vfio_iommu_map(struct vfio_iommu *iommu, const struct mem_bank *part);

/* Unmaps the RAM. After the last device was destroyed, before guest RAM goes. NULL is fine. */
void vfio_iommu_destroy(struct vfio_iommu *iommu);

#endif
