/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtio block device; runs on the disk's loop. [virtio-1.2 5.2 Block Device]
 *
 * A request at depth 1 that the page cache answers costs these system calls: epoll_wait (the
 * doorbell), read (its eventfd), io_uring_enter, write (the interrupt's eventfd). One that waits
 * for the medium costs two more epoll_waits: the kernel ends the first to do its part of the
 * completion on this thread, the second tells of the ring. With more requests at a time all these
 * are shared: a doorbell submits all there are, and what completes together makes one interrupt.
 */
#include "devices/virtio_blk.h"

#include <assert.h>
#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "devices/blk_file.h"
#include "devices/blk_uring.h"
#include "devices/iov.h"
#include "devices/virtio_pci.h"

#define BLK_QUEUE      0u
#define BLK_QUEUE_SIZE 256u
#define BLK_SEG_MAX    (BLK_QUEUE_SIZE - 2) /* beside header and status */
/* A slot for each chain that can be in flight, and always one more to pop into. */
#define BLK_SLOTS (BLK_QUEUE_SIZE + 1)

/* The page cache works in pages: writes of less are read, changed and written. */
#define BLK_PHYSICAL_EXP 3u /* 8 sectors, 4 KiB */

#define PCI_CLASS_STORAGE 0x018000u /* mass storage, of no more special kind */

/* A request of the driver between pop and push. */
struct blk_slot {
	struct blk_request req;
	uint16_t head;
	uint8_t *status; /* in guest memory, as the chain said when it was popped */
	uint64_t in_len; /* of the data that the device may write, without the status */
	struct iovec iov[BLK_QUEUE_SIZE];
};

struct virtio_blk {
	struct virtio_pci vdev;
	struct blk_file file;
	struct virtio_blk_config config;
	char serial[VIRTIO_BLK_ID_BYTES];

	/* The loop's. */
	struct blk_uring uring;
	bool durable; /* the driver knows no flush: every write is its own */
	struct blk_slot *slots;
	uint16_t free_slots[BLK_SLOTS]; /* a stack: the last used is the warmest */
	unsigned free_count;
};

static struct virtio_blk *blk_of(struct virtio_pci *vdev)
{
	return container_of(vdev, struct virtio_blk, vdev);
}

static struct virtqueue *blk_vq(struct virtio_blk *blk)
{
	return &blk->vdev.queues[BLK_QUEUE].vq;
}

static void slot_free(struct virtio_blk *blk, struct blk_slot *slot)
{
	blk->free_slots[blk->free_count++] = (uint16_t)(slot - blk->slots);
}

/*
 * Ends a request of which `written` bytes of data are valid. The used length counts from the front
 * without gaps [virtio-1.2 2.7.8.2], so the status byte is in it only when all data is.
 */
static void slot_finish(struct virtio_blk *blk, struct blk_slot *slot, uint8_t status,
			uint64_t written)
{
	uint64_t len = written == slot->in_len ? written + 1 : written;

	*slot->status = status;
	virtqueue_push(blk_vq(blk), slot->head, (uint32_t)MIN(len, UINT32_MAX));
	slot_free(blk, slot);
}

static void slot_fail(struct virtio_blk *blk, struct blk_slot *slot, const char *why)
{
	log_guest("%s: request refused: %s", blk->vdev.pci.device.name, why);
	slot_finish(blk, slot, VIRTIO_BLK_S_IOERR, 0);
}

static void start_io(struct virtio_blk *blk, struct blk_slot *slot, enum blk_op op, uint64_t sector,
		     struct iovec *iov, unsigned count)
{
	const uint64_t capacity = blk->file.size / BLK_SECTOR;
	const uint64_t len = iov_length(iov, count);

	if (op == BLK_WRITE && blk->file.read_only) {
		slot_fail(blk, slot, "a write to a read-only disk");
		return;
	}
	if (len % BLK_SECTOR || !range_fits(sector, len / BLK_SECTOR, capacity)) {
		slot_fail(blk, slot, "not whole sectors of this disk");
		return;
	}
	if (!len) {
		slot_finish(blk, slot, VIRTIO_BLK_S_OK, slot->in_len);
		return;
	}
	slot->req = (struct blk_request){
		.op = op,
		.durable = blk->durable,
		.iov = iov,
		.iov_count = count,
		.offset = sector * BLK_SECTOR,
	};
	blk_uring_queue(&blk->uring, &slot->req);
}

static void start_flush(struct virtio_blk *blk, struct blk_slot *slot)
{
	if (blk->file.read_only) {
		slot_finish(blk, slot, VIRTIO_BLK_S_OK, 0);
		return;
	}
	slot->req = (struct blk_request){ .op = BLK_FLUSH };
	blk_uring_queue(&blk->uring, &slot->req);
}

/* Header, data and status may be cut into buffers in any way [virtio-1.2 2.7.4.1]. */
static void slot_start(struct virtio_blk *blk, struct blk_slot *slot,
		       const struct virtqueue_chain *chain)
{
	struct iovec *out = slot->iov, *in = slot->iov + chain->readable, *last;
	unsigned out_count = chain->readable, in_count = chain->writable;
	struct virtio_blk_outhdr hdr;

	if (!in_count) {
		virtqueue_break(blk_vq(blk), "block request without a status byte");
		slot_free(blk, slot);
		return;
	}
	last = &in[in_count - 1];
	slot->head = chain->head;
	slot->status = (uint8_t *)last->iov_base + last->iov_len - 1;
	if (--last->iov_len == 0)
		in_count--;
	slot->in_len = iov_length(in, in_count);

	if (iov_read(out, out_count, &hdr, sizeof(hdr)) < sizeof(hdr)) {
		slot_fail(blk, slot, "its header is cut short");
		return;
	}
	iov_advance(&out, &out_count, sizeof(hdr));
	switch (le32toh(hdr.type)) {
	case VIRTIO_BLK_T_IN:
		start_io(blk, slot, BLK_READ, le64toh(hdr.sector), in, in_count);
		break;
	case VIRTIO_BLK_T_OUT:
		start_io(blk, slot, BLK_WRITE, le64toh(hdr.sector), out, out_count);
		break;
	case VIRTIO_BLK_T_FLUSH:
		start_flush(blk, slot);
		break;
	case VIRTIO_BLK_T_GET_ID:
		slot_finish(blk, slot, VIRTIO_BLK_S_OK,
			    iov_write(in, in_count, blk->serial, sizeof(blk->serial)));
		break;
	default:
		slot_finish(blk, slot, VIRTIO_BLK_S_UNSUPP, 0);
	}
}

static void blk_start(struct virtio_pci *vdev)
{
	/* [virtio-1.2 5.2.6.2]: without FLUSH, what is completed is stable. */
	blk_of(vdev)->durable = !(vdev->driver_features & 1ull << VIRTIO_BLK_F_FLUSH);
}

static void blk_notify(struct virtio_pci *vdev, unsigned queue)
{
	struct virtio_blk *blk = blk_of(vdev);
	struct virtqueue *vq = &vdev->queues[queue].vq;
	struct virtqueue_chain chain;

	for (;;) {
		struct blk_slot *slot;

		assert(blk->free_count);
		slot = &blk->slots[blk->free_slots[blk->free_count - 1]];
		if (!virtqueue_pop(vq, slot->iov, &chain))
			break;
		blk->free_count--;
		slot_start(blk, slot, &chain);
	}
	blk_uring_submit(&blk->uring);
}

static void blk_done(struct blk_uring *uring, struct blk_request *req, int error)
{
	struct virtio_blk *blk = container_of(uring, struct virtio_blk, uring);
	struct blk_slot *slot = container_of(req, struct blk_slot, req);

	if (!error) {
		slot_finish(blk, slot, VIRTIO_BLK_S_OK, req->op == BLK_READ ? slot->in_len : 0);
		return;
	}
	/* The host's fault, but one that a guest can repeat at will. */
	log_guest("%s: I/O error: %s", blk->vdev.pci.device.name, strerror(-error));
	slot_finish(blk, slot, VIRTIO_BLK_S_IOERR, 0);
}

static void blk_batch_done(struct blk_uring *uring)
{
	struct virtio_blk *blk = container_of(uring, struct virtio_blk, uring);

	virtio_pci_publish(&blk->vdev, BLK_QUEUE);
}

static const struct blk_uring_ops blk_uring_ops = { blk_done, blk_batch_done };

static void blk_stop(struct virtio_pci *vdev)
{
	blk_uring_drain(&blk_of(vdev)->uring);
}

static void blk_destroy(struct device *dev)
{
	struct virtio_blk *blk = container_of(dev, struct virtio_blk, vdev.pci.device);

	virtio_pci_fini(&blk->vdev);
	blk_uring_fini(&blk->uring);
	blk_file_close(&blk->file);
	free(blk->slots);
	free(blk);
}

static const struct device_ops blk_device_ops = {
	.reset = virtio_pci_reset,
	.destroy = blk_destroy,
};

static const struct virtio_class blk_class = {
	.name = "virtio-blk",
	.id = VIRTIO_ID_BLOCK,
	.pci_class = PCI_CLASS_STORAGE,
	.queues = 1,
	.queue_size = BLK_QUEUE_SIZE,
	.config_len = offsetof(struct virtio_blk_config, wce), /* up to the topology */
	.device_ops = &blk_device_ops,
	.start = blk_start,
	.notify = blk_notify,
	.stop = blk_stop,
};

static void set_serial(struct virtio_blk *blk, const char *serial)
{
	char text[sizeof(blk->serial) + 1];

	if (serial)
		snprintf(text, sizeof(text), "%s", serial);
	else
		snprintf(text, sizeof(text), "tvmm%016llx",
			 (unsigned long long)blk->file.path_hash);
	/* NUL-padded, and not terminated when it is 20 bytes long [virtio-1.2 5.2.6]. */
	memcpy(blk->serial, text, strlen(text));
}

static int blk_init(struct virtio_blk *blk, const struct board *board, struct loop *loop,
		    const struct virtio_blk_options *options)
{
	uint64_t features = 1ull << VIRTIO_BLK_F_SEG_MAX | 1ull << VIRTIO_BLK_F_BLK_SIZE |
			    1ull << VIRTIO_BLK_F_FLUSH | 1ull << VIRTIO_BLK_F_TOPOLOGY;
	int r;

	if (blk->file.read_only)
		features |= 1ull << VIRTIO_BLK_F_RO;
	blk->config = (struct virtio_blk_config){
		.capacity = htole64(blk->file.size / BLK_SECTOR),
		.seg_max = htole32(BLK_SEG_MAX),
		.blk_size = htole32(BLK_SECTOR),
		.physical_block_exp = BLK_PHYSICAL_EXP,
		.min_io_size = htole16(1u << BLK_PHYSICAL_EXP),
	};
	set_serial(blk, options->serial);

	blk->slots = calloc(BLK_SLOTS, sizeof(*blk->slots));
	if (!blk->slots)
		return err_sys(ERR_LIMIT, -ENOMEM, "disk '%s'", options->path);
	for (unsigned i = BLK_SLOTS; i-- > 0;)
		slot_free(blk, &blk->slots[i]);
	r = blk_uring_init(&blk->uring, loop, &blk->file, BLK_QUEUE_SIZE, &blk_uring_ops);
	if (r == 0)
		r = virtio_pci_init(&blk->vdev, board, loop, &blk_class, features, &blk->config);
	return r < 0 ? err_wrap(r, "disk '%s'", options->path) : 0;
}

int virtio_blk_create(const struct board *board, struct loop *loop,
		      const struct virtio_blk_options *options, struct pci_dev **ret_dev)
{
	struct virtio_blk *blk = calloc(1, sizeof(*blk));
	int r;

	if (!blk) {
		blk_file_close(options->file);
		return err_sys(ERR_LIMIT, -ENOMEM, "disk '%s'", options->path);
	}
	blk->file = *options->file;
	*options->file = (struct blk_file){ 0 };
	r = blk_init(blk, board, loop, options);
	if (r < 0) {
		blk_destroy(&blk->vdev.pci.device);
		return r;
	}
	*ret_dev = &blk->vdev.pci;
	return 0;
}
