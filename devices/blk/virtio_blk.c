/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtio block device: what it says of itself, and its queues. Constructor and features on the
 * main thread and vCPUs; the queues run on their loops. [virtio-1.2 5.2 Block Device]
 */
#include "devices/blk/virtio_blk.h"

#include <assert.h>
#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "devices/blk/blk_file.h"
#include "devices/blk/blk_queue.h"
#include "devices/blk/blk_ranges.h"
#include "devices/blk/blk_resize.h"
#include "devices/virtio/virtio_pci.h"

struct virtio_blk {
	struct virtio_pci vdev;
	const char *path;
	struct blk_file file;
	struct blk_shared shared;
	struct blk_resize resize;
	struct virtio_blk_config config;
	char serial[VIRTIO_BLK_ID_BYTES];
	uint32_t granule; /* of discards, in bytes; 0: there are none */
	struct blk_queue *queues;
	unsigned queue_count;
};

static struct virtio_blk *blk_of(struct virtio_pci *vdev)
{
	return container_of(vdev, struct virtio_blk, vdev);
}

static void resized(struct blk_resize *resize, uint64_t size)
{
	struct virtio_blk *blk = container_of(resize, struct virtio_blk, resize);
	const unsigned long long capacity = size / BLK_SECTOR;
	const unsigned long long before = atomic_exchange(&blk->shared.capacity, capacity);
	const uint64_t field = htole64(capacity);

	log_msg(capacity < before ? LOG_WARN : LOG_INFO,
		"disk '%s' has %s to %llu bytes, and the guest is told", blk->path,
		capacity < before ? "shrunk" : "grown", capacity * BLK_SECTOR);
	virtio_pci_change_config(&blk->vdev, offsetof(struct virtio_blk_config, capacity), &field,
				 sizeof(field));
}

static void blk_start(struct virtio_pci *vdev)
{
	struct virtio_blk *blk = blk_of(vdev);

	atomic_store(&blk->shared.lost, false);
	for (unsigned i = 0; i < blk->queue_count; i++)
		blk_queue_start(&blk->queues[i]);
	/* Not before somebody could use it: a start of a guest is quicker without. */
	if (!blk->resize.loop &&
	    blk_resize_start(&blk->resize, vdev->queues[0].loop, &blk->file, resized) < 0) {
		log_warn("disk '%s': its size is not watched: %s", blk->path, err_text());
		err_clear();
	}
}

static void blk_notify(struct virtio_pci *vdev, unsigned queue)
{
	blk_queue_notify(&blk_of(vdev)->queues[queue]);
}

static void blk_stop(struct virtio_pci *vdev, unsigned queue)
{
	blk_queue_stop(&blk_of(vdev)->queues[queue]);
}

static void blk_destroy(struct device *dev)
{
	struct virtio_blk *blk = container_of(dev, struct virtio_blk, vdev.pci.device);

	blk_resize_stop(&blk->resize);
	virtio_pci_fini(&blk->vdev);
	for (unsigned i = 0; blk->queues && i < blk->queue_count; i++)
		blk_queue_fini(&blk->queues[i]);
	blk_file_close(&blk->file);
	free(blk->queues);
	free(blk);
}

static const struct device_ops blk_device_ops = {
	.reset = virtio_pci_reset,
	.destroy = blk_destroy,
};

static const struct virtio_class blk_class = {
	.name = "virtio-blk",
	.id = VIRTIO_ID_BLOCK,
	.pci_class = PCI_CLASS_STORAGE_OTHER,
	.queue_size = BLK_QUEUE_SIZE,
	.config_len = offsetof(struct virtio_blk_config, max_secure_erase_sectors),
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

static int init_queues(struct virtio_blk *blk, const struct virtio_blk_options *options,
		       unsigned queues)
{
	int r = 0;

	blk->queues = calloc(queues, sizeof(*blk->queues));
	if (!blk->queues)
		return err_sys(ERR_LIMIT, -ENOMEM, "%u queues", queues);
	blk->queue_count = queues;
	for (unsigned i = 0; i < blk->queue_count && r == 0; i++) {
		const struct blk_queue_config config = {
			.vdev = &blk->vdev,
			.index = i,
			.loop = &options->loops[i % options->loop_count],
			.file = &blk->file,
			.shared = &blk->shared,
			.serial = blk->serial,
			.discard = blk->granule,
		};

		r = blk_queue_init(&blk->queues[i], &config);
	}
	return r;
}

/* Counted in logical blocks but for the capacity [virtio-1.2 5.2.4]. */
static void set_config(struct virtio_blk *blk)
{
	const struct blk_topology *t = &blk->file.topology;

	atomic_init(&blk->shared.capacity, blk->file.size / BLK_SECTOR);
	blk->config = (struct virtio_blk_config){
		.capacity = htole64(blk->file.size / BLK_SECTOR),
		.seg_max = htole32(BLK_SEG_MAX),
		.blk_size = htole32(t->logical),
		.physical_block_exp = (uint8_t)__builtin_ctz(t->physical / t->logical),
		.alignment_offset = (uint8_t)(t->offset / t->logical),
		.min_io_size = htole16((uint16_t)MIN(t->io_min / t->logical, UINT16_MAX)),
		.opt_io_size = htole32(t->io_opt / t->logical),
		.num_queues = htole16((uint16_t)blk->queue_count),
	};
	if (blk->file.read_only)
		return;
	blk->config.max_write_zeroes_sectors = htole32(BLK_ZEROES_MAX);
	blk->config.max_write_zeroes_seg = htole32(BLK_RANGES_MAX);
	blk->config.write_zeroes_may_unmap = blk->granule != 0;
	if (!blk->granule)
		return;
	blk->config.max_discard_sectors = htole32(BLK_DISCARD_MAX);
	blk->config.max_discard_seg = htole32(BLK_RANGES_MAX);
	blk->config.discard_sector_alignment = htole32(blk->granule / BLK_SECTOR);
}

static uint64_t class_features(const struct virtio_blk *blk)
{
	uint64_t features = 1ull << VIRTIO_BLK_F_SEG_MAX | 1ull << VIRTIO_BLK_F_BLK_SIZE |
			    1ull << VIRTIO_BLK_F_FLUSH | 1ull << VIRTIO_BLK_F_TOPOLOGY |
			    1ull << VIRTIO_BLK_F_MQ;

	if (blk->file.read_only)
		return features | 1ull << VIRTIO_BLK_F_RO;
	features |= 1ull << VIRTIO_BLK_F_WRITE_ZEROES;
	return blk->granule ? features | 1ull << VIRTIO_BLK_F_DISCARD : features;
}

static int blk_init(struct virtio_blk *blk, const struct board *board,
		    const struct virtio_blk_options *options)
{
	/* blk_bounce keeps those requests of one queue apart that meet in one block. */
	const unsigned queues = blk_file_shares_blocks(&blk->file) ? 1 : options->queues;
	const struct virtio_setup setup = {
		.features = class_features(blk),
		.config = &blk->config,
		.queues = queues,
		.loops = options->loops,
		.loop_count = options->loop_count,
	};
	int r;

	if (queues < options->queues)
		log_debug("disk '%s': one queue, since direct I/O takes %u bytes and the guest %u",
			  options->path, blk->file.direct.offset, blk->file.topology.logical);
	set_serial(blk, options->serial);
	r = init_queues(blk, options, queues);
	set_config(blk);
	if (r == 0)
		r = virtio_pci_init(&blk->vdev, board, &blk_class, &setup);
	return r < 0 ? err_wrap(r, "disk '%s'", options->path) : 0;
}

int virtio_blk_create(const struct board *board, const struct virtio_blk_options *options,
		      struct pci_dev **ret_dev)
{
	struct virtio_blk *blk = calloc(1, sizeof(*blk));
	int r;

	assert(options->queues && options->queues <= VIRTIO_BLK_QUEUES_MAX);
	if (!blk) {
		blk_file_close(options->file);
		return err_sys(ERR_LIMIT, -ENOMEM, "disk '%s'", options->path);
	}
	blk->path = options->path;
	blk->file = *options->file;
	blk->granule = options->discard ? blk_ranges_probe(&blk->file) : 0;
	*options->file = (struct blk_file){ 0 };
	r = blk_init(blk, board, options);
	if (r < 0) {
		blk_destroy(&blk->vdev.pci.device);
		return r;
	}
	*ret_dev = &blk->vdev.pci;
	return 0;
}
