/* SPDX-License-Identifier: Apache-2.0 */
/* The queues of a virtio device, for virtio_pci.c and virtio_common.c only. */
#ifndef DEVICES_VIRTIO_QUEUE_H
#define DEVICES_VIRTIO_QUEUE_H

#include "devices/virtio/virtio_pci.h"

/* `q` is zeroed. */
void virtio_queue_init(struct virtio_queue *q, struct virtio_pci *vdev);

/* Its loop has nothing to do with it any more. The doorbell is still there. */
void virtio_queue_leave(struct virtio_queue *q);

/* Shows the driver what was pushed to the queue, with one interrupt if it wants one. On its loop.
 */
void virtio_publish(struct virtio_queue *q);

/*
 * For the queues that the driver uses: gives their doorbells to KVM, as far as the BAR has its
 * place and it has none of them yet, and has their loops watch them.
 */
void virtio_doorbells_add(struct virtio_pci *vdev);
int MUST_CHECK virtio_doorbells_watch(struct virtio_pci *vdev);

/* Takes them from KVM: the BAR is about to lose its place. */
void virtio_doorbells_remove(struct virtio_pci *vdev);

#endif
