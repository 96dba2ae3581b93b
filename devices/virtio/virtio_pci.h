/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio device on PCI, modern interface only: the base of every virtio device class.
 * [virtio-1.2 2 Basic Facilities of a Virtio Device, 4.1 Virtio Over PCI Bus]
 *
 * Threads: registers are accessed by vCPUs under the pci_dev's lock. Each queue belongs to one
 * loop, from start to stop; several queues may share one. A vCPU that starts or resets the device
 * waits for the loops, one after the other, while holding the lock, so nothing on a loop ever takes
 * it, and no loop waits for another.
 */
#ifndef DEVICES_VIRTIO_PCI_H
#define DEVICES_VIRTIO_PCI_H

#include <linux/virtio_config.h>
#include <stdatomic.h>

#include "core/bus.h"
#include "core/loop.h"
#include "devices/pci/pci.h"
#include "devices/pci/pci_ids.h"
#include "devices/pci/pci_msix.h"
#include "devices/virtio/virtqueue.h"

#define VIRTIO_QUEUES_MAX 64u

struct virtio_pci;

/* What makes one kind of device; constant. docs/devices.md walks through an example. */
struct virtio_class {
	const char *name;    /* "virtio-rng" */
	uint16_t id;         /* VIRTIO_ID_* */
	uint32_t pci_class;  /* enum pci_class_code */
	uint16_t queue_size; /* of each, at most: a power of two up to VIRTQUEUE_SIZE_MAX */
	uint16_t config_len; /* bytes of device-specific configuration, up to a page; may be 0 */
	const struct device_ops *device_ops; /* .reset: virtio_pci_reset */

	/*
	 * The driver is ready, with the features in vdev->driver_features. On a vCPU with the lock
	 * held, before any queue is served. May be NULL.
	 */
	void (*start)(struct virtio_pci *vdev);

	/*
	 * Set for a class whose queues are served elsewhere: by a process that is handed the
	 * doorbells and the vectors' eventfds (vhost_user_dev). No loop looks at the queues, and
	 * the features are what the setup says, those of the rings too. Called on a vCPU with the
	 * lock held while the device runs, when the eventfds of virtio_pci_call_fd may have
	 * changed.
	 */
	void (*retarget)(struct virtio_pci *vdev);

	/*
	 * Of such a class: whether a queue is served by its loop and `notify` all the same, given
	 * the features that the driver has accepted. With the lock held or on the queue's loop, and
	 * the same while the device runs. May be NULL: no queue is.
	 */
	bool (*own)(const struct virtio_pci *vdev, unsigned queue);

	/* The rest on the queue's loop. */

	/*
	 * There are chains to pop in vdev->queues[queue].vq. Pushes made before it returns are
	 * published for it; later ones by virtio_pci_pushed.
	 */
	void (*notify)(struct virtio_pci *vdev, unsigned queue);
	/*
	 * The driver resets the device. When it returns nothing of the queue is in flight; what it
	 * pushed is published for it. For queues that the driver enabled only. May be NULL.
	 */
	void (*stop)(struct virtio_pci *vdev, unsigned queue);
};

struct virtio_queue {
	struct virtio_pci *vdev;
	/* As the driver programs it; the lock's, and fixed while the device runs. */
	uint16_t size;
	bool enabled;
	uint64_t desc, avail, used; /* guest-physical */
	atomic_uint vector;         /* written under the lock, read by the loop */

	struct loop *loop;
	bool watched; /* the loop watches the doorbell: since the driver first used the queue */
	bool fast;    /* KVM has the doorbell, at its address in the BAR */
	struct loop_source doorbell; /* an eventfd that KVM or a trapped write signals */
	struct loop_work serve;      /* queued when it rang, or something was pushed */
	struct virtqueue vq;         /* the loop's while it runs */
	bool running;                /* the loop's */
	/* The loop's: the class looks for chains itself when it needs some, and is not rung for. */
	bool quiet;
};

/* What a class's constructor decides. */
struct virtio_setup {
	uint64_t features;  /* the class's own; VERSION_1 and those of the rings are added */
	void *config;       /* class->config_len bytes, little-endian; outlives the device */
	unsigned queues;    /* 1 .. VIRTIO_QUEUES_MAX */
	struct loop *loops; /* queue i is on loops[i % loop_count]; none waits for vCPUs */
	unsigned loop_count;
};

struct virtio_pci {
	struct pci_dev pci; /* first */
	const struct virtio_class *class;
	struct pci_msix msix;
	struct bus_range range; /* BAR 0 */
	unsigned cfg_cap;       /* offset of the PCI configuration access capability */
	uint64_t features;      /* offered */

	/* The lock's. */
	uint32_t features_select, driver_features_select;
	uint64_t driver_features; /* fixed while the device runs */
	uint16_t queue_select;
	uint8_t status;
	bool started; /* the queues that are enabled are served */

	atomic_bool needs_reset;
	atomic_bool gone; /* for good: no driver's features are accepted any more */
	atomic_uint config_vector;

	/*
	 * Only what interrupts is locked within it. The driver reads what is wider than an access
	 * in pieces, and takes them for good if the generation was the same before and after: so
	 * both change together.
	 */
	pthread_mutex_t config_lock;
	void *config; /* the class's */
	uint8_t generation;
	bool config_watched; /* the driver has started: it is told of changes */
	bool config_changed; /* before that */

	pthread_mutex_t intx_lock; /* a leaf: keeps isr and the line's level in step */
	uint8_t isr;
	bool intx_disabled;

	unsigned queue_count;
	struct virtio_queue queues[VIRTIO_QUEUES_MAX];
};

/* For the constructor of a class. `vdev` is zeroed. After a failure virtio_pci_fini is allowed. */
int MUST_CHECK virtio_pci_init(struct virtio_pci *vdev, const struct board *board,
			       const struct virtio_class *class, const struct virtio_setup *setup);

/* Stops the device, which ends what is in flight. Main thread, vCPUs gone, the loops still there.
 */
void virtio_pci_fini(struct virtio_pci *vdev);

/* A device_ops.reset. */
void virtio_pci_reset(struct device *dev);

/*
 * Changes `len` bytes at `off` of the class's configuration, and tells the driver. Any thread that
 * holds no lock of the device but, at most, its own.
 */
void virtio_pci_change_config(struct virtio_pci *vdev, size_t off, const void *data, size_t len);

/*
 * Something was pushed outside of `notify`: it is published before the loop waits again, with all
 * else that is pushed until then and with one interrupt if the driver wants one. On its loop.
 */
void virtio_pci_pushed(struct virtio_pci *vdev, unsigned queue);

/* Asks the driver for a reset: the device cannot go on. Any thread, no lock needed. */
void virtio_pci_fail(struct virtio_pci *vdev);

/* For queues that are served elsewhere. */

/*
 * The eventfd by which the queue interrupts without our help, or -1 if there is none now: INTx, or
 * no vector. With the lock held.
 */
int virtio_pci_call_fd(struct virtio_pci *vdev, unsigned queue);

/* Interrupts for the queue as the driver wants it now, for where there was none. Any thread. */
void virtio_pci_interrupt(struct virtio_pci *vdev, unsigned queue);

#endif
