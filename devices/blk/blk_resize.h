/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Notices that a disk has another size while a guest runs (truncate, lvextend, a storage array), so
 * that nobody has to tell. On one loop of the disk.
 *
 * It looks once a second, which is one lseek. Notifications would be dearer and see less: inotify
 * makes an event of each write of the guest's, and hears nothing of a network's other clients;
 * block devices have uevents, but containers do not get them.
 */
#ifndef DEVICES_BLK_RESIZE_H
#define DEVICES_BLK_RESIZE_H

#include "core/loop.h"
#include "core/util.h"

struct blk_file;

struct blk_resize {
	struct loop *loop; /* NULL: not started */
	struct loop_source timer;
	const struct blk_file *file;
	uint64_t size; /* that was told last */
	void (*resized)(struct blk_resize *resize, uint64_t size);
};

/*
 * `file` outlives it. `resized` is called on `loop` with the number of bytes that can be used now,
 * which may be 0. Any thread. -errno with the chain.
 */
int MUST_CHECK blk_resize_start(struct blk_resize *resize, struct loop *loop,
				const struct blk_file *file,
				void (*resized)(struct blk_resize *resize, uint64_t size));
/* Zeroed, never started: does nothing. While the loop still runs. */
void blk_resize_stop(struct blk_resize *resize);

#endif
