/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How somebody else who serves a queue, another process or the host's kernel, interrupts the guest:
 * by the eventfd of the queue's vector, which KVM takes; where there is none, because the driver
 * has chosen INTx or no vector, by an eventfd that the device's loop watches.
 */
#ifndef DEVICES_VHOST_CALL_H
#define DEVICES_VHOST_CALL_H

#include "devices/virtio/virtio_pci.h"

struct vhost_call {
	struct virtio_pci *vdev;
	unsigned queue;
	struct loop_source relay; /* the eventfd of ours */
	int fd;                   /* what is signalled now, as told last; -1: nobody was told */
};

/* For a device that has no relay yet: vhost_call_fini may follow. */
void vhost_call_init(struct vhost_call *call, struct virtio_pci *vdev, unsigned queue);
/* The loop watches from here on. */
int MUST_CHECK vhost_call_open(struct vhost_call *call, struct loop *loop);
void vhost_call_leave(struct vhost_call *call, struct loop *loop); /* on the loop */
void vhost_call_fini(struct vhost_call *call);

/* The eventfd to signal from now on, which is kept in `fd`. On the loop. */
int vhost_call_take(struct vhost_call *call);
/* Whether that would be another one. On the loop. */
bool vhost_call_moved(const struct vhost_call *call);
/* What was signalled is not for the next driver. On the loop. */
void vhost_call_drain(struct vhost_call *call);

#endif
