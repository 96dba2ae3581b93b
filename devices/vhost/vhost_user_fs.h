/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtio file system device over a vhost-user back end (virtiofsd): a folder of the host,
 * mounted in the guest by its tag. [virtio-1.2 5.11 File System Device]
 */
#ifndef DEVICES_VHOST_USER_FS_H
#define DEVICES_VHOST_USER_FS_H

#include "devices/vhost/vhost_user_dev.h"

/* Protocol features that the device cannot do without. */
#define VHOST_USER_FS_NEEDED 0ull

/* [virtio-1.2 5.11.4 Device configuration layout] */
#define VHOST_USER_FS_TAG_MAX 36u

/*
 * The device, not yet on a bus; destroyed through its device_ops, while `loop` still runs. `tag`
 * has at most VHOST_USER_FS_TAG_MAX bytes. `backend` was opened with VHOST_USER_FS_NEEDED; it is
 * taken over (but not its child), also by a failure.
 */
int MUST_CHECK vhost_user_fs_create(const struct board *board, struct loop *loop,
				    struct vhost_user_backend *backend, const char *tag,
				    struct pci_dev **ret_dev);

#endif
