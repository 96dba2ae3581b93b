/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pinning: all guest RAM is mapped for the passed-through devices while the guest runs already.
 * A thread of its own maps slice after slice; before it, a thread on each other CPU fetches and
 * zeroes the pages, which is what takes the time. Until all is mapped no device may reach memory:
 * vfio_pci_access.c keeps its bus mastering off.
 */
#ifndef VFIO_PIN_H
#define VFIO_PIN_H

#include "core/mem.h"
#include "core/util.h"

struct vfio_iommu;
struct vfio_pin;

/*
 * Begins. `iommu` (after vfio_iommu_check_ram), `mem` and `done_fd` stay until vfio_pin_stop. The
 * eventfd `done_fd` is signalled once, when all is mapped or one mapping failed. Main thread, as
 * the rest.
 */
int MUST_CHECK vfio_pin_start(struct vfio_iommu *iommu, const struct guest_mem *mem, int done_fd,
			      struct vfio_pin **ret_pin);

/* After done_fd was signalled: 0, or the failure with its error chain. */
int MUST_CHECK vfio_pin_result(struct vfio_pin *pin);

/*
 * Ends the threads and frees all; what is mapped stays so. In the midst of the work it waits for
 * one slice at most. NULL is fine.
 */
void vfio_pin_stop(struct vfio_pin *pin);

#endif
