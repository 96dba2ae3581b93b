/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A folder that a vhost-user back end serves: what the guest is told of it, on vCPUs. Requests
 * never come here. [virtio-1.2 5.11 File System Device]
 */
#include "devices/vhost/vhost_user_fs.h"

#include <errno.h>
#include <linux/virtio_fs.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>

#include "core/err.h"

#define FS_QUEUE_SIZE     256u
#define FS_REQUEST_QUEUES 1u /* Linux uses no more before 6.11 */
#define FS_QUEUES         (1 + FS_REQUEST_QUEUES) /* the first is for what must not wait */

#define FS_FEATURES (1ull << VIRTIO_RING_F_INDIRECT_DESC | 1ull << VIRTIO_RING_F_EVENT_IDX)

struct vhost_user_fs {
	struct vhost_user_dev dev; /* first */
	struct virtio_fs_config config;
};

static void fs_destroy(struct device *device)
{
	struct vhost_user_fs *fs =
		container_of(device, struct vhost_user_fs, dev.vdev.pci.device);

	vhost_user_dev_fini(&fs->dev);
	free(fs);
}

static const struct device_ops fs_device_ops = {
	.reset = virtio_pci_reset,
	.destroy = fs_destroy,
};

static const struct virtio_class fs_class = {
	.name = "vhost-user-fs",
	.id = VIRTIO_ID_FS,
	.pci_class = PCI_CLASS_STORAGE_OTHER,
	.queue_size = FS_QUEUE_SIZE,
	.config_len = sizeof(struct virtio_fs_config),
	.device_ops = &fs_device_ops,
	.start = vhost_user_dev_start,
	.retarget = vhost_user_dev_retarget,
	.stop = vhost_user_dev_stop,
};

int vhost_user_fs_create(const struct board *board, struct loop *loop,
			 struct vhost_user_backend *backend, const char *tag,
			 struct pci_dev **ret_dev)
{
	struct vhost_user_fs *fs = calloc(1, sizeof(*fs));
	struct virtio_setup setup = {
		.features = backend->vu.features & FS_FEATURES,
		.queues = FS_QUEUES,
		.loops = loop,
		.loop_count = 1,
	};
	int r;

	if (!fs) {
		vhost_user_close(&backend->vu);
		close_fd(&backend->server);
		return err_sys(ERR_LIMIT, -ENOMEM, "%s", fs_class.name);
	}
	/* Linux's driver resets nothing: who waits for an answer then waits for good. */
	fs->dev.vital = true;
	setup.config = &fs->config;
	memcpy(fs->config.tag, tag, strnlen(tag, sizeof(fs->config.tag)));
	fs->config.num_request_queues = htole32(FS_REQUEST_QUEUES);
	r = vhost_user_dev_init(&fs->dev, board, &fs_class, &setup, VHOST_USER_FS_NEEDED, backend);
	if (r < 0) {
		fs_destroy(&fs->dev.vdev.pci.device);
		return r;
	}
	*ret_dev = &fs->dev.vdev.pci;
	return 0;
}
