/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One device as VFIO shows it: its fd, its regions, its interrupts, its reset, and the two events
 * that the host sends. Knows nothing of the guest. [Linux: include/uapi/linux/vfio.h].
 *
 * Region access and interrupts: any thread, the kernel guards them. The rest: main thread.
 */
#ifndef VFIO_DEVICE_H
#define VFIO_DEVICE_H

#include <linux/vfio.h>

#include "core/loop.h"
#include "core/util.h"
#include "vfio/iommu.h"

#define VFIO_BDF_SIZE        40u /* "10000:01:00.0" or a UUID, and its NUL */
#define VFIO_AREAS_MAX       16u /* parts of a region that may be mmapped */
#define VFIO_IRQ_VECTORS_MAX 2048u

/* The longest is "device_specific" [Linux: Documentation/ABI/testing/sysfs-bus-pci]. */
#define VFIO_RESET_METHOD_SIZE 32u

struct vfio_area {
	uint64_t off, size;
};

struct vfio_region {
	uint64_t size;   /* 0: not there */
	uint64_t offset; /* in the device's fd */
	bool mmap;
	bool sparse;        /* only `areas` may be mmapped */
	bool msix_mappable; /* the MSI-X table in it as well */
	unsigned area_count;
	struct vfio_area areas[VFIO_AREAS_MAX];
};

enum vfio_event {
	VFIO_EVENT_ERROR,   /* the device reported an uncorrectable error (AER) */
	VFIO_EVENT_REQUEST, /* the host wants the device back; an unbind waits for it */
};

#define VFIO_EVENTS 2

struct vfio_watch {
	struct loop_source source;
	struct vfio_device *dev;
	enum vfio_event event;
	bool added;
};

struct vfio_device {
	char bdf[VFIO_BDF_SIZE];
	int fd;
	struct vfio_iommu *iommu;
	void *handle;   /* the iommu's */
	bool can_reset; /* VFIO_DEVICE_RESET works: it was tried when the kernel opened the device
			 */
	bool has_flr;   /* and is a function-level reset; told by whoever reads config space */
	bool pm_reset;  /* D3hot to D0 resets the function; likewise */
	bool is_vf;     /* a virtual function of SR-IOV */
	bool clean;     /* reset, and not touched by a guest since */
	bool at_work;   /* see p2p.h; guarded by its lock */
	bool dirty;     /* its last guest is known to have left something: set by who opens it */
	bool failed;    /* it has a reset, but that did not work, or it does not answer since */
	char why[160];  /* it failed */
	unsigned pm;    /* the power management capability; told by who reads config space */
	char method[VFIO_RESET_METHOD_SIZE]; /* the kernel's first choice, "" if it does not say */
	struct vfio_region regions[VFIO_PCI_NUM_REGIONS];
	uint32_t irq_counts[VFIO_PCI_NUM_IRQS];
	bool irq_noresize[VFIO_PCI_NUM_IRQS]; /* vectors cannot be added while it is enabled */

	struct loop *loop;
	struct vfio_watch watches[VFIO_EVENTS];
	void (*on_event)(struct vfio_device *dev, enum vfio_event event);

	struct vfio_device *next; /* of the iommu's list */
};

/*
 * Opens a device that is bound to vfio-pci. The kernel resets the function at its first open, so
 * that a device with a reset of its own comes clean. All errors begin with the device's address.
 */
int MUST_CHECK vfio_device_open(struct vfio_device *dev, struct vfio_iommu *iommu,
				const struct vfio_target *target);
void vfio_device_close(struct vfio_device *dev);

/*
 * Calls `on_event` on the thread of `loop`, which must not run yet, for errors and for requests to
 * give the device back. Requests repeat until the device is closed.
 */
int MUST_CHECK vfio_device_watch(struct vfio_device *dev, struct loop *loop,
				 void (*on_event)(struct vfio_device *dev, enum vfio_event event));

/* len 1, 2, 4 or 8. A failed read is all ones and a failed write is lost, as on a real bus. */
uint64_t vfio_region_read(const struct vfio_device *dev, unsigned index, uint64_t off,
			  unsigned len);
void vfio_region_write(const struct vfio_device *dev, unsigned index, uint64_t off, unsigned len,
		       uint64_t val);

/*
 * Arms vectors [start, start + count) of an interrupt index with eventfds; fds[i] < 0, or fds NULL:
 * not armed. The first call enables the index, with start + count vectors. A positive result is
 * the number of vectors that the host has if it has fewer, and then nothing was enabled.
 */
int MUST_CHECK vfio_irqs_set(const struct vfio_device *dev, unsigned index, unsigned start,
			     unsigned count, const int32_t *fds);
/* The eventfd that unmasks an auto-masked line. */
int MUST_CHECK vfio_irqs_set_unmask(const struct vfio_device *dev, unsigned index, int32_t fd);
int MUST_CHECK vfio_irqs_disable(const struct vfio_device *dev, unsigned index);

/*
 * Resets the device (see reset.c for how), whose interrupts are disabled, whose decoding and bus
 * mastering are off and which is in D0, and looks whether it answers afterwards. Clean already:
 * does nothing. Only with `alone` is it sure that no other device is reset with it. A failure
 * because there is no way to reset it leaves dev->failed off.
 */
int MUST_CHECK vfio_device_reset(struct vfio_device *dev, bool alone);

/* VFIO_DEVICE_RESET is more than a power transition: what the kernel did at open has sufficed. */
bool vfio_device_reset_is_thorough(const struct vfio_device *dev);

/*
 * Whether the device is there, as far as reading can tell: of what VFIO passes on, because the IDs
 * are the kernel's copy. Memory decoding is switched on for a moment. Sets the error chain.
 */
int MUST_CHECK vfio_device_answers(struct vfio_device *dev);

/*
 * Lets the process open `more` files on top of what it might now, as far as it is allowed to.
 * Best called while the process has one thread: a growing fd table makes all others wait.
 */
void vfio_raise_nofile(unsigned more);

#endif
