/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio device whose queues a vhost-user back end serves: the base of each such class. The guest
 * sees PCI, configuration and interrupts of ours; its doorbells and vectors are eventfds that the
 * back end has, so that no request wakes this process.
 *
 * What a class adds is its virtio_class with the operations below, its configuration, and what it
 * tells the back end of a driver; vhost_user_blk is the example.
 *
 * A back end that is lost leaves the device in need of a reset. By then, a process that lives is
 * connected to anew, which it answers when it has let go of all that the old connection gave it;
 * without one the device is gone: it refuses every driver from there on. Where the guest's driver
 * would wait for it for good, its class says that the run is to end (VM_REQUEST_SERVER_LOST).
 */
#ifndef DEVICES_VHOST_USER_DEV_H
#define DEVICES_VHOST_USER_DEV_H

#include "devices/vhost/vhost_call.h"
#include "devices/vhost/vhost_user.h"
#include "devices/virtio/virtio_pci.h"

struct child;

/* Who serves it. */
struct vhost_user_backend {
	struct vhost_user vu;
	struct child *child; /* its process; NULL: somebody else's. Outlives the device */
	int server;          /* from vhost_user_listen, to connect again; -1: cannot */
};

struct vhost_user_dev_ring {
	struct vhost_call call;
	bool started;
};

struct vhost_user_dev {
	struct virtio_pci vdev; /* first */
	/*
	 * The class's, set before the init, may be NULL: tells the back end of the driver that is
	 * about to start, before features and rings. On the loop; -errno with the error chain.
	 */
	int (*configure)(struct vhost_user_dev *dev);
	struct loop *loop;
	/* The loop's, once there is a guest. */
	struct vhost_user_backend backend;
	uint64_t needed; /* protocol features */
	bool vital;      /* the class's, set before the init: without it the run ends */
	unsigned timeout_ms, stop_limit_ms;
	struct loop_source link, complaints;
	bool closing;
	bool stopping; /* since the first of its rings was stopped */
	struct vhost_user_dev_ring rings[VIRTIO_QUEUES_MAX];
};

/* How long a reset waits for the requests in flight. */
#define VHOST_USER_STOP_LIMIT_MS 30000u

/*
 * For the constructor of a class: as virtio_pci_init; `setup` has one loop, and the features that
 * the back end has and the class allows. Takes `backend` over (but not its child), also by a
 * failure. After one vhost_user_dev_fini is allowed.
 */
int MUST_CHECK vhost_user_dev_init(struct vhost_user_dev *dev, const struct board *board,
				   const struct virtio_class *class,
				   const struct virtio_setup *setup, uint64_t needed,
				   struct vhost_user_backend *backend);
void vhost_user_dev_fini(struct vhost_user_dev *dev);

/* The virtio_class's operations. */
void vhost_user_dev_start(struct virtio_pci *vdev);
void vhost_user_dev_stop(struct virtio_pci *vdev, unsigned queue);
void vhost_user_dev_retarget(struct virtio_pci *vdev);

static inline struct vhost_user_dev *vhost_user_dev_of(struct virtio_pci *vdev)
{
	return container_of(vdev, struct vhost_user_dev, vdev);
}

#endif
