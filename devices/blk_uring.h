/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads, writes and flushes of a blk_file by io_uring. All calls but init and fini, and both
 * callbacks, are on the loop that the ring was given, or on any thread while that does not run.
 *
 * Completions are seen by watching the ring's own fd, which is readable while there are any:
 * unlike a registered eventfd it need not be read to be quiet again.
 */
#ifndef DEVICES_BLK_URING_H
#define DEVICES_BLK_URING_H

#include <liburing.h>

#include "core/loop.h"
#include "devices/blk_bounce.h"
#include "devices/blk_file.h"
#include "devices/blk_request.h"

struct blk_uring;

struct blk_uring_ops {
	/*
	 * `error` is 0 when all bytes were moved, or a negative errno. A read beyond the end of
	 * the file is -EIO: it has shrunk.
	 */
	void (*done)(struct blk_uring *uring, struct blk_request *req, int error);
	/* After the last `done` of some that came together. */
	void (*batch_done)(struct blk_uring *uring);
};

struct blk_uring {
	struct io_uring ring;
	struct loop *loop; /* NULL: not initialised */
	struct loop_source source;
	int fd; /* the file's */
	const struct blk_uring_ops *ops;
	unsigned in_flight; /* requests between queue and done */
	struct blk_bounce bounce;
};

/* At most `depth` requests at a time. `file` and `loop` outlive the ring. */
int MUST_CHECK blk_uring_init(struct blk_uring *uring, struct loop *loop,
			      const struct blk_file *file, unsigned depth,
			      const struct blk_uring_ops *ops);
/* With nothing in flight. Zeroed, never initialised: does nothing. */
void blk_uring_fini(struct blk_uring *uring);

/* Queues a request; blk_uring_submit starts all that are queued, with one system call. */
void blk_uring_queue(struct blk_uring *uring, struct blk_request *req);

/* For blk_bounce: a request, or a piece of one, that is counted already. */
void blk_uring_start(struct blk_uring *uring, struct blk_request *req);

/* Requests that are done at once, from the page cache, are reported before it returns. */
void blk_uring_submit(struct blk_uring *uring);

/* Waits until nothing is in flight; all are reported as ever. */
void blk_uring_drain(struct blk_uring *uring);

#endif
