/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtio block device over a raw image or a block device. [virtio-1.2 5.2 Block Device]
 */
#ifndef DEVICES_VIRTIO_BLK_H
#define DEVICES_VIRTIO_BLK_H

#include "devices/pci/pci.h"

/* As many as the transport has. */
#define VIRTIO_BLK_QUEUES_MAX 64u
#define VIRTIO_BLK_QUEUE_SIZE 256u /* requests of one at a time, at most */
#define VIRTIO_BLK_SOURCES    1u   /* on a loop, beside one of each queue there */

struct blk_file;
struct loop;

struct virtio_blk_options {
	const char *path;      /* for messages; outlives the device */
	struct blk_file *file; /* opened from it; taken over and zeroed, also by a failure */
	/* What the guest sees as the disk's serial number, cut after 20 bytes; NULL: made from
	 * path. */
	const char *serial;
	bool discard;    /* what the guest discards becomes a hole, if the host can make one */
	unsigned queues; /* 1 .. VIRTIO_BLK_QUEUES_MAX */
	/* Queue i runs on loops[i % loop_count], all loops on io_uring, which may be shared. */
	struct loop *loops;
	unsigned loop_count;
};

/*
 * The device, not yet on a bus; destroyed through its device_ops, while the loops still run, so
 * that writes in flight end well. No loop is one that waits for vCPUs. Errors name the disk.
 */
int MUST_CHECK virtio_blk_create(const struct board *board,
				 const struct virtio_blk_options *options,
				 struct pci_dev **ret_dev);

#endif
