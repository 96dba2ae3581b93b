/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads, writes and flushes of a blk_file through the ring of a loop (core/loop_uring.h), on that
 * loop's thread. Several of these may share a loop.
 */
#ifndef DEVICES_BLK_URING_H
#define DEVICES_BLK_URING_H

#include "devices/blk/blk_bounce.h"
#include "devices/blk/blk_file.h"
#include "devices/blk/blk_request.h"

struct blk_uring;

/*
 * `error` is 0 when all bytes were moved, or a negative errno. A read beyond the end of the file is
 * -EIO: it has shrunk.
 */
typedef void blk_uring_done(struct blk_uring *uring, struct blk_request *req, int error);

struct blk_uring {
	struct loop *loop;
	int fd; /* the file's, or another one of it that is the caller's */
	/*
	 * The file's own. A block device was opened with O_EXCL, and where the host has dirty pages
	 * of a range, none but its exclusive owner may cut it out [Linux block/bdev.c,
	 * truncate_bdev_range].
	 */
	int exclusive_fd;
	blk_uring_done *done;
	unsigned in_flight; /* requests between queue and done */
	struct blk_bounce bounce;
};

/* `file` and `loop`, which waits in io_uring, outlive it. */
int MUST_CHECK blk_uring_init(struct blk_uring *uring, struct loop *loop,
			      const struct blk_file *file, blk_uring_done *done);
/* With nothing in flight. Zeroed, never initialised: does nothing. */
void blk_uring_fini(struct blk_uring *uring);

/* Queues a request, which starts when the loop waits next. */
void blk_uring_queue(struct blk_uring *uring, struct blk_request *req);

/* For blk_bounce: a request, or a piece of one, that is counted already. */
void blk_uring_start(struct blk_uring *uring, struct blk_request *req);

/* Waits until nothing is in flight; all are reported as ever. */
void blk_uring_drain(struct blk_uring *uring);

#endif
