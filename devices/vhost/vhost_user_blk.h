/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtio block device over a vhost-user back end, for images of formats that others know.
 * [virtio-1.2 5.2 Block Device]
 */
#ifndef DEVICES_VHOST_USER_BLK_H
#define DEVICES_VHOST_USER_BLK_H

#include "devices/vhost/vhost_user_dev.h"

/* Protocol features that the device cannot do without. */
#define VHOST_USER_BLK_NEEDED (1ull << VHOST_USER_PROTOCOL_F_CONFIG)

/*
 * The device, not yet on a bus; destroyed through its device_ops, while `loop` still runs.
 * `backend` was opened with VHOST_USER_BLK_NEEDED; it is taken over (but not its child), also by a
 * failure. `queues` at most; fewer, if the back end has fewer.
 */
int MUST_CHECK vhost_user_blk_create(const struct board *board, struct loop *loop,
				     struct vhost_user_backend *backend, unsigned queues,
				     struct pci_dev **ret_dev);

#endif
