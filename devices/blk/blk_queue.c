/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The requests of one virtqueue of a disk; runs on the queue's loop. [virtio-1.2 5.2.6 Device
 * Operation]
 *
 * A request at depth 1 that the kernel answers at once costs three system calls: one that submits
 * it and comes back with the result, the write that interrupts the guest, and one that waits for
 * the next doorbell. One that waits for the medium costs no more. With more requests at a time
 * these are shared: a doorbell submits all there are, and what completes together makes one
 * interrupt.
 */
#include "devices/blk/blk_queue.h"

#include <assert.h>
#include <errno.h>
#include <linux/virtio_blk.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "devices/blk/blk_file.h"
#include "devices/blk/blk_ranges.h"
#include "devices/virtio/iov.h"
#include "devices/virtio/virtio_pci.h"

/* Header, status and up to four pieces of data: most requests have no more buffers. */
#define OWN_BUFFERS 6u

/* Requests of more buffers at a time; what comes beyond waits in the ring. */
#define LARGE_REQUESTS 32u
#define NOT_LARGE      LARGE_REQUESTS

/* A request of the driver between pop and push. */
struct blk_slot {
	struct blk_request req;
	uint16_t head;
	bool in_ranges;  /* req is a step of the slot's blk_ranges */
	uint16_t large;  /* whose buffers these are; NOT_LARGE: its own */
	uint8_t *status; /* in guest memory, as the chain said when it was popped */
	uint64_t in_len; /* of the data that the device may write, without the status */
	struct iovec own[OWN_BUFFERS];
};

/*
 * Of all this only what is used costs memory, and that is little, because what was given back last
 * is used first.
 */
struct blk_queue_memory {
	struct blk_slot slots[BLK_QUEUE_SIZE];    /* one for each chain that can be in flight */
	struct blk_ranges ranges[BLK_QUEUE_SIZE]; /* of each slot */
	uint16_t free_slots[BLK_QUEUE_SIZE];
	unsigned free_count;
	uint16_t free_large[LARGE_REQUESTS];
	unsigned large_count;
	struct iovec large[LARGE_REQUESTS][BLK_QUEUE_SIZE];
};

static struct virtqueue *vq_of(struct blk_queue *queue)
{
	return &queue->vdev->queues[queue->index].vq;
}

static const char *name_of(const struct blk_queue *queue)
{
	return queue->vdev->pci.device.name;
}

static struct blk_ranges *ranges_of(struct blk_queue *queue, const struct blk_slot *slot)
{
	return &queue->memory->ranges[slot - queue->memory->slots];
}

static void slot_free(struct blk_queue *queue, struct blk_slot *slot)
{
	struct blk_queue_memory *m = queue->memory;

	m->free_slots[m->free_count++] = (uint16_t)(slot - m->slots);
	if (slot->large != NOT_LARGE)
		m->free_large[m->large_count++] = slot->large;
}

/*
 * Ends a request of which `written` bytes of data are valid. The used length counts from the front
 * without gaps [virtio-1.2 2.7.8.2], so the status byte is in it only when all data is.
 */
static void slot_finish(struct blk_queue *queue, struct blk_slot *slot, uint8_t status,
			uint64_t written)
{
	uint64_t len = written == slot->in_len ? written + 1 : written;

	*slot->status = status;
	virtqueue_push(vq_of(queue), slot->head, (uint32_t)MIN(len, UINT32_MAX));
	slot_free(queue, slot);
}

static void slot_fail(struct blk_queue *queue, struct blk_slot *slot, const char *why)
{
	log_guest("%s: request refused: %s", name_of(queue), why);
	slot_finish(queue, slot, VIRTIO_BLK_S_IOERR, 0);
}

/* In sectors. */
static uint32_t block_of(const struct blk_queue *queue)
{
	return queue->file->topology.logical / BLK_SECTOR;
}

static void start_io(struct blk_queue *queue, struct blk_slot *slot, enum blk_op op,
		     uint64_t sector, struct iovec *iov, unsigned count)
{
	const uint64_t capacity = atomic_load(&queue->shared->capacity);
	const uint64_t len = iov_length(iov, count);

	if (op == BLK_WRITE && queue->file->read_only) {
		slot_fail(queue, slot, "a write to a read-only disk");
		return;
	}
	/* Less than the block that it was told of does not exist for a driver. */
	if (len % BLK_SECTOR || (sector | len / BLK_SECTOR) % block_of(queue) ||
	    !range_fits(sector, len / BLK_SECTOR, capacity)) {
		slot_fail(queue, slot, "not whole blocks of this disk");
		return;
	}
	if (!len) {
		slot_finish(queue, slot, VIRTIO_BLK_S_OK, slot->in_len);
		return;
	}
	slot->req = (struct blk_request){
		.op = op,
		.durable = queue->durable,
		.iov = iov,
		.iov_count = count,
		.offset = sector * BLK_SECTOR,
	};
	blk_uring_queue(&queue->uring, &slot->req);
}

static void start_flush(struct blk_queue *queue, struct blk_slot *slot)
{
	if (!blk_file_flushes(queue->file)) {
		slot_finish(queue, slot, VIRTIO_BLK_S_OK, 0);
		return;
	}
	slot->req = (struct blk_request){ .op = BLK_FLUSH };
	blk_uring_queue(&queue->uring, &slot->req);
}

/* The next step of a request that has several, or its end. */
static void next_range(struct blk_queue *queue, struct blk_slot *slot, int error)
{
	struct blk_ranges *ranges = ranges_of(queue, slot);

	if (blk_ranges_next(ranges, &slot->req, &error)) {
		slot->in_ranges = true;
		blk_uring_queue(&queue->uring, &slot->req);
		return;
	}
	if (error)
		log_guest("%s: discard or zeroes: %s", name_of(queue), strerror(-error));
	slot_finish(queue, slot, error ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK, 0);
}

static void start_ranges(struct blk_queue *queue, struct blk_slot *slot, uint32_t type,
			 const struct iovec *iov, unsigned count)
{
	struct blk_ranges *ranges = ranges_of(queue, slot);
	uint8_t status;

	if (queue->file->read_only) {
		slot_fail(queue, slot, "a write to a read-only disk");
		return;
	}
	if (type == VIRTIO_BLK_T_DISCARD && !queue->discard) {
		slot_finish(queue, slot, VIRTIO_BLK_S_UNSUPP, 0);
		return;
	}
	status = blk_ranges_parse(ranges, type, iov, count, queue->discard,
				  atomic_load(&queue->shared->capacity), block_of(queue));
	if (status != VIRTIO_BLK_S_OK) {
		log_guest("%s: request refused: ranges that make no sense", name_of(queue));
		slot_finish(queue, slot, status, 0);
		return;
	}
	ranges->durable = queue->durable;
	next_range(queue, slot, 0);
}

/* Header, data and status may be cut into buffers in any way [virtio-1.2 2.7.4.1]. */
static void slot_start(struct blk_queue *queue, struct blk_slot *slot, struct iovec *iov,
		       const struct virtqueue_chain *chain)
{
	struct iovec *out = iov, *in = iov + chain->readable, *last;
	unsigned out_count = chain->readable, in_count = chain->writable;
	struct virtio_blk_outhdr hdr;

	if (!in_count) {
		virtqueue_break(vq_of(queue), "block request without a status byte");
		slot_free(queue, slot);
		return;
	}
	last = &in[in_count - 1];
	slot->head = chain->head;
	slot->in_ranges = false;
	slot->status = (uint8_t *)last->iov_base + last->iov_len - 1;
	if (--last->iov_len == 0)
		in_count--;
	slot->in_len = iov_length(in, in_count);

	if (iov_read(out, out_count, &hdr, sizeof(hdr)) < sizeof(hdr)) {
		slot_fail(queue, slot, "its header is cut short");
		return;
	}
	iov_advance(&out, &out_count, sizeof(hdr));
	switch (le32toh(hdr.type)) {
	case VIRTIO_BLK_T_IN:
		start_io(queue, slot, BLK_READ, le64toh(hdr.sector), in, in_count);
		break;
	case VIRTIO_BLK_T_OUT:
		start_io(queue, slot, BLK_WRITE, le64toh(hdr.sector), out, out_count);
		break;
	case VIRTIO_BLK_T_FLUSH:
		start_flush(queue, slot);
		break;
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		start_ranges(queue, slot, le32toh(hdr.type), out, out_count);
		break;
	case VIRTIO_BLK_T_GET_ID:
		slot_finish(queue, slot, VIRTIO_BLK_S_OK,
			    iov_write(in, in_count, queue->serial, VIRTIO_BLK_ID_BYTES));
		break;
	default:
		slot_finish(queue, slot, VIRTIO_BLK_S_UNSUPP, 0);
	}
}

void blk_queue_start(struct blk_queue *queue)
{
	/* [virtio-1.2 5.2.6.2]: without FLUSH, what is completed is stable. */
	queue->durable = !(queue->vdev->driver_features & 1ull << VIRTIO_BLK_F_FLUSH) &&
			 blk_file_flushes(queue->file);
}

/* A chain was popped into the buffers of the free large request on top. */
static void take_chain(struct blk_queue *queue, const struct virtqueue_chain *chain)
{
	struct blk_queue_memory *m = queue->memory;
	const unsigned count = chain->readable + chain->writable;
	const uint16_t large = m->free_large[m->large_count - 1];
	struct iovec *iov = m->large[large];
	struct blk_slot *slot;

	assert(m->free_count); /* a chain is in the ring once, so there are not more */
	slot = &m->slots[m->free_slots[--m->free_count]];
	if (count > OWN_BUFFERS) {
		slot->large = large;
		m->large_count--;
	} else {
		slot->large = NOT_LARGE;
		memcpy(slot->own, iov, count * sizeof(*iov));
		iov = slot->own;
	}
	slot_start(queue, slot, iov, chain);
}

/* What is left in the ring for want of a large request is looked at when one has ended. */
void blk_queue_notify(struct blk_queue *queue)
{
	struct blk_queue_memory *m = queue->memory;
	struct virtqueue_chain chain;

	while (m->large_count &&
	       virtqueue_pop(vq_of(queue), m->large[m->free_large[m->large_count - 1]], &chain))
		take_chain(queue, &chain);
}

static void request_done(struct blk_uring *uring, struct blk_request *req, int error)
{
	struct blk_queue *queue = container_of(uring, struct blk_queue, uring);
	struct blk_slot *slot = container_of(req, struct blk_slot, req);

	virtio_pci_pushed(queue->vdev, queue->index);
	if (req->op == BLK_FLUSH) {
		if (error)
			atomic_store(&queue->shared->lost, true);
		else if (atomic_load(&queue->shared->lost))
			error = -EIO;
	}
	if (slot->in_ranges) {
		next_range(queue, slot, error);
		return;
	}
	if (!error) {
		slot_finish(queue, slot, VIRTIO_BLK_S_OK, req->op == BLK_READ ? slot->in_len : 0);
		return;
	}
	/* The host's fault, but one that a guest can repeat at will. */
	log_guest("%s: I/O error: %s", name_of(queue), strerror(-error));
	slot_finish(queue, slot, VIRTIO_BLK_S_IOERR, 0);
}

void blk_queue_stop(struct blk_queue *queue)
{
	blk_uring_drain(&queue->uring);
}

int blk_queue_init(struct blk_queue *queue, const struct blk_queue_config *config)
{
	struct blk_queue_memory *m = calloc(1, sizeof(*m));
	int r, fd = -1;

	if (!m)
		return err_sys(ERR_LIMIT, -ENOMEM, "queue %u", config->index);
	for (unsigned i = BLK_QUEUE_SIZE; i-- > 0;)
		m->free_slots[m->free_count++] = (uint16_t)i;
	for (unsigned i = LARGE_REQUESTS; i-- > 0;)
		m->free_large[m->large_count++] = (uint16_t)i;
	*queue = (struct blk_queue){
		.vdev = config->vdev,
		.index = config->index,
		.file = config->file,
		.shared = config->shared,
		.serial = config->serial,
		.discard = config->discard,
		.memory = m,
	};
	r = blk_uring_init(&queue->uring, config->loop, config->file, request_done);
	if (r == 0 && config->index && blk_file_flushes(config->file))
		fd = blk_file_reopen(config->file);
	if (fd >= 0) {
		queue->uring.fd = fd;
		queue->owns_fd = true;
	}
	return r;
}

void blk_queue_fini(struct blk_queue *queue)
{
	blk_uring_fini(&queue->uring);
	if (queue->owns_fd)
		close_fd(&queue->uring.fd);
	queue->owns_fd = false;
	free(queue->memory);
	queue->memory = NULL;
}
