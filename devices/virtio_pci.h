/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio device on PCI, modern interface only: the base of every virtio device class.
 * [virtio-1.2 2 Basic Facilities of a Virtio Device, 4.1 Virtio Over PCI Bus]
 *
 * Threads: registers are accessed by vCPUs under the pci_dev's lock. Queues belong to the loop that
 * the class was given, from start to stop; a vCPU that starts or resets the device waits for the
 * loop while holding the lock, so nothing on the loop ever takes it.
 */
#ifndef DEVICES_VIRTIO_PCI_H
#define DEVICES_VIRTIO_PCI_H

#include <linux/virtio_config.h>
#include <stdatomic.h>

#include "core/bus.h"
#include "core/loop.h"
#include "devices/pci.h"
#include "devices/pci_msix.h"
#include "devices/virtqueue.h"

#define VIRTIO_QUEUES_MAX 8u

struct virtio_pci;

/* What makes one kind of device; constant. docs/devices.md walks through an example. */
struct virtio_class {
	const char *name; /* "virtio-rng" */
	uint16_t id;      /* VIRTIO_ID_* */
	uint32_t pci_class;
	uint16_t queues;     /* up to VIRTIO_QUEUES_MAX */
	uint16_t queue_size; /* of each, at most: a power of two up to VIRTQUEUE_SIZE_MAX */
	uint16_t config_len; /* bytes of device-specific configuration, up to a page; may be 0 */
	const struct device_ops *device_ops; /* .reset: virtio_pci_reset */

	/* All on the loop. */

	/* The driver is ready, with the features in vdev->driver_features. May be NULL. */
	void (*start)(struct virtio_pci *vdev);
	/*
	 * There are chains to pop in vdev->queues[queue].vq. Pushes made before it returns are
	 * published for it; later ones by virtio_pci_publish.
	 */
	void (*notify)(struct virtio_pci *vdev, unsigned queue);
	/* The driver resets the device. Nothing is in flight when it returns. May be NULL. */
	void (*stop)(struct virtio_pci *vdev);
};

struct virtio_queue {
	struct virtio_pci *vdev;
	/* As the driver programs it; the lock's, and fixed while the device runs. */
	uint16_t size;
	bool enabled;
	uint64_t desc, avail, used; /* guest-physical */
	atomic_uint vector;         /* written under the lock, read by the loop */

	struct loop_source doorbell; /* an eventfd that KVM or a trapped write signals */
	struct virtqueue vq;         /* the loop's while it runs */
};

struct virtio_pci {
	struct pci_dev pci; /* first */
	const struct virtio_class *class;
	struct loop *loop;
	struct pci_msix msix;
	struct bus_range range; /* BAR 0 */
	unsigned cfg_cap;       /* offset of the PCI configuration access capability */
	uint64_t features;      /* offered */
	const void *config;     /* the class's, constant */

	/* The lock's. */
	uint32_t features_select, driver_features_select;
	uint64_t driver_features; /* fixed while the device runs */
	uint16_t queue_select;
	uint8_t status;

	bool running; /* the loop's */
	atomic_bool needs_reset;
	atomic_uint config_vector;

	pthread_mutex_t intx_lock; /* a leaf: keeps isr and the line's level in step */
	uint8_t isr;
	bool intx_disabled;

	struct virtio_queue queues[VIRTIO_QUEUES_MAX];
};

/*
 * For the constructor of a class. `vdev` is zeroed. `features` are the class's own; VERSION_1 and
 * those of the rings are added. `config` holds class->config_len bytes, little-endian, and outlives
 * `vdev`. `loop` is not one that waits for vCPUs. After a failure virtio_pci_fini is allowed.
 */
int MUST_CHECK virtio_pci_init(struct virtio_pci *vdev, const struct board *board,
			       struct loop *loop, const struct virtio_class *class,
			       uint64_t features, const void *config);

/* Stops the device, which ends what is in flight. Main thread, vCPUs gone, the loop still there. */
void virtio_pci_fini(struct virtio_pci *vdev);

/* A device_ops.reset. */
void virtio_pci_reset(struct device *dev);

/* Shows the driver what was pushed to the queue, with one interrupt if it wants one. Loop. */
void virtio_pci_publish(struct virtio_pci *vdev, unsigned queue);

#endif
