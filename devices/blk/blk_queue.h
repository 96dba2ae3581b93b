/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One virtqueue of a disk: takes the driver's requests off the ring, starts them, and gives them
 * back as they end, in any order. It shares nothing with the disk's other queues but what is
 * constant. [virtio-1.2 5.2.6 Device Operation]
 *
 * A request has a slot from pop to push. There are as many as chains can be in flight, so nothing
 * is allocated and no request is turned away; but those of many buffers can be made to wait.
 */
#ifndef DEVICES_BLK_QUEUE_H
#define DEVICES_BLK_QUEUE_H

#include <stdatomic.h>

#include "devices/blk/blk_uring.h"
#include "devices/blk/virtio_blk.h"

#define BLK_QUEUE_SIZE VIRTIO_BLK_QUEUE_SIZE
#define BLK_SEG_MAX    (BLK_QUEUE_SIZE - 2) /* beside header and status */

struct blk_file;
struct blk_queue_memory;
struct virtio_pci;

/* What the queues of a disk share, and what changes while they run. */
struct blk_shared {
	atomic_ullong capacity; /* sectors */
	/*
	 * A flush has failed: what was written before it may be lost, and the host tells so but
	 * once. So no later flush can succeed, until a driver starts anew that knows of no write.
	 */
	atomic_bool lost;
};

struct blk_queue_config {
	struct virtio_pci *vdev;
	unsigned index; /* of the queue */
	struct loop *loop;
	const struct blk_file *file;
	struct blk_shared *shared;
	const char *serial; /* VIRTIO_BLK_ID_BYTES */
	bool discard;
};

struct blk_queue {
	struct virtio_pci *vdev;
	unsigned index;
	const struct blk_file *file;
	struct blk_shared *shared;
	const char *serial;
	bool discard; /* holes may be made in the file */
	bool durable; /* the driver knows no flush: every write is its own; fixed while it runs */

	/* The loop's. */
	struct blk_uring uring;
	bool owns_fd; /* the ring's fd is not the file's */
	struct blk_queue_memory *memory;
};

/* `queue` is zeroed; all that the configuration points to outlives it. -errno with the chain. */
int MUST_CHECK blk_queue_init(struct blk_queue *queue, const struct blk_queue_config *config);
/* With nothing in flight. Zeroed or half-built: fine. */
void blk_queue_fini(struct blk_queue *queue);

/* As the virtio_class's operations of these names. */
void blk_queue_start(struct blk_queue *queue);
void blk_queue_notify(struct blk_queue *queue);
void blk_queue_stop(struct blk_queue *queue);

#endif
