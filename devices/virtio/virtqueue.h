/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device's side of a split virtqueue. [virtio-1.2 2.7 Split Virtqueues]
 *
 * The driver puts chains of descriptors into the available ring; the device pops them as arrays of
 * struct iovec, and pushes each into the used ring when it is done with it, in any order. Rings and
 * descriptors lie in guest memory: each is copied once and checked, and a ring that makes no sense
 * breaks the queue for good, that is until the driver resets the device.
 *
 * Owned by one thread, the device's loop, from the driver's DRIVER_OK to its reset. No locks, no
 * allocation. Bounds: a fetch yields at most `size` chains, a chain at most `size` buffers.
 */
#ifndef DEVICES_VIRTQUEUE_H
#define DEVICES_VIRTQUEUE_H

#include <linux/virtio_ring.h>
#include <sys/uio.h>

#include "core/util.h"

#define VIRTQUEUE_SIZE_MAX 1024u

struct guest_mem;

struct virtqueue {
	const char *name; /* of the device, for messages */
	const struct guest_mem *mem;
	unsigned size; /* a power of two */
	bool event_idx, indirect;
	bool broken;
	const struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t avail_next;                    /* the next to pop */
	uint16_t avail_seen;                    /* the driver's index at the last fetch */
	uint16_t used_next;                     /* where the next push goes */
	uint16_t used_published;                /* the index that the driver knows */
	uint64_t held[VIRTQUEUE_SIZE_MAX / 64]; /* heads popped and not yet pushed */
};

/* What was popped: iov[0 .. readable) to read from, then `writable` entries to write to. */
struct virtqueue_chain {
	uint16_t head;
	unsigned readable, writable;
};

/*
 * Takes over the three rings at these guest-physical addresses, as they are before the driver uses
 * them. -EINVAL when `size` is not a power of two up to VIRTQUEUE_SIZE_MAX, an address is not
 * aligned, or a ring is not in RAM.
 */
int MUST_CHECK virtqueue_init(struct virtqueue *vq, const char *name, const struct guest_mem *mem,
			      unsigned size, uint64_t desc, uint64_t avail, uint64_t used);

/* Says which of VIRTIO_RING_F_* were negotiated. Before the first fetch. */
void virtqueue_set_features(struct virtqueue *vq, uint64_t features);

/*
 * Looks once at how far the driver is; pop works on what was seen here. True if there is something
 * to pop.
 */
bool virtqueue_fetch(struct virtqueue *vq);

/*
 * The next chain into `iov`, which has room for vq->size entries. No entry is empty, and together
 * they are at most 4 GiB. False if all that was fetched is popped, or the queue is broken.
 */
bool MUST_CHECK virtqueue_pop(struct virtqueue *vq, struct iovec *iov,
			      struct virtqueue_chain *ret_chain);

/*
 * Gives back the chain that began at `head`, with `len` bytes written to its writable part. The
 * driver sees it after virtqueue_publish.
 */
void virtqueue_push(struct virtqueue *vq, uint16_t head, uint32_t len);

/*
 * Shows the driver all that was pushed since the last call. True if it wants an interrupt for it:
 * one for the batch.
 */
bool MUST_CHECK virtqueue_publish(struct virtqueue *vq);

/*
 * While the device works on a queue the driver need not ring. Switching the doorbell on again
 * races with a driver that adds a buffer at that moment and does not ring: true means that there is
 * more to fetch, and nobody will ring for it.
 */
void virtqueue_doorbell_off(struct virtqueue *vq);
bool MUST_CHECK virtqueue_doorbell_on(struct virtqueue *vq);

/* For what only the device can see to be wrong. The queue then pops nothing more. */
void virtqueue_break(struct virtqueue *vq, const char *why);

#endif
