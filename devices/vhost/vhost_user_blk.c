/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk that a vhost-user back end serves: what the guest is told of it, on vCPUs and the disk's
 * loop. Requests never come here. [virtio-1.2 5.2 Block Device]
 */
#include "devices/vhost/vhost_user_blk.h"

#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>

#include "core/err.h"
#include "devices/blk/virtio_blk.h"

/* Up to what all back ends know. */
#define BLK_CONFIG_LEN offsetof(struct virtio_blk_config, max_secure_erase_sectors)

/* CONFIG_WCE is not among them: which cache is used follows from FLUSH, see below. */
#define BLK_FEATURES                                                                              \
	(1ull << VIRTIO_BLK_F_SIZE_MAX | 1ull << VIRTIO_BLK_F_SEG_MAX | 1ull << VIRTIO_BLK_F_RO | \
	 1ull << VIRTIO_BLK_F_BLK_SIZE | 1ull << VIRTIO_BLK_F_FLUSH |                             \
	 1ull << VIRTIO_BLK_F_TOPOLOGY | 1ull << VIRTIO_BLK_F_DISCARD |                           \
	 1ull << VIRTIO_BLK_F_WRITE_ZEROES | 1ull << VIRTIO_RING_F_INDIRECT_DESC |                \
	 1ull << VIRTIO_RING_F_EVENT_IDX)

struct vhost_user_blk {
	struct vhost_user_dev dev; /* first */
	struct virtio_blk_config config;
	uint64_t offered; /* by the back end */
};

/*
 * [virtio-1.2 5.2.6.2]: for a driver without FLUSH, what is completed is stable. The back end is
 * told so by the field that a driver with CONFIG_WCE would write.
 */
static int set_cache(struct vhost_user_dev *dev)
{
	const struct vhost_user_blk *blk = container_of(dev, struct vhost_user_blk, dev);
	const uint8_t wce = (dev->vdev.driver_features >> VIRTIO_BLK_F_FLUSH) & 1;

	if (!(blk->offered & 1ull << VIRTIO_BLK_F_CONFIG_WCE))
		return 0;
	return vhost_user_set_config(&dev->backend.vu, offsetof(struct virtio_blk_config, wce),
				     &wce, sizeof(wce));
}

static void blk_destroy(struct device *device)
{
	struct vhost_user_blk *blk =
		container_of(device, struct vhost_user_blk, dev.vdev.pci.device);

	vhost_user_dev_fini(&blk->dev);
	free(blk);
}

static const struct device_ops blk_device_ops = {
	.reset = virtio_pci_reset,
	.destroy = blk_destroy,
};

static const struct virtio_class blk_class = {
	.name = "vhost-user-blk",
	.id = VIRTIO_ID_BLOCK,
	.pci_class = PCI_CLASS_STORAGE_OTHER,
	.queue_size = VIRTIO_BLK_QUEUE_SIZE,
	.config_len = BLK_CONFIG_LEN,
	.device_ops = &blk_device_ops,
	.start = vhost_user_dev_start,
	.retarget = vhost_user_dev_retarget,
	.stop = vhost_user_dev_stop,
};

static int blk_init(struct vhost_user_blk *blk, const struct board *board, struct loop *loop,
		    struct vhost_user_backend *backend, unsigned queues)
{
	struct virtio_setup setup = {
		.features = backend->vu.features & BLK_FEATURES,
		.config = &blk->config,
		.queues = MAX(1, MIN(queues, backend->vu.queues)),
		.loops = loop,
		.loop_count = 1,
	};
	int r = vhost_user_get_config(&backend->vu, &blk->config, BLK_CONFIG_LEN);

	blk->dev.configure = set_cache;
	blk->offered = backend->vu.features;
	if (!(blk->offered & 1ull << VIRTIO_BLK_F_MQ))
		setup.queues = 1;
	if (setup.queues > 1)
		setup.features |= 1ull << VIRTIO_BLK_F_MQ;
	blk->config.num_queues = htole16((uint16_t)setup.queues);
	return r < 0 ? r
		     : vhost_user_dev_init(&blk->dev, board, &blk_class, &setup,
					   VHOST_USER_BLK_NEEDED, backend);
}

int vhost_user_blk_create(const struct board *board, struct loop *loop,
			  struct vhost_user_backend *backend, unsigned queues,
			  struct pci_dev **ret_dev)
{
	struct vhost_user_blk *blk = calloc(1, sizeof(*blk));
	int r = blk ? blk_init(blk, board, loop, backend, queues)
		    : err_sys(ERR_LIMIT, -ENOMEM, "%s", backend->vu.name);

	if (r < 0) {
		vhost_user_close(&backend->vu);
		close_fd(&backend->server);
		if (blk)
			blk_destroy(&blk->dev.vdev.pci.device);
		return r;
	}
	*ret_dev = &blk->dev.vdev.pci;
	return 0;
}
