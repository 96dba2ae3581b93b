/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that direct I/O does not take as they are, because their memory, their offset or their
 * length is not aligned: they go piece by piece through a few buffers of our own. A write of less
 * than the host's block is read, changed and written. Between blk_uring.c and this file only, on
 * the ring's loop.
 *
 * No write of less than a block runs beside another write to that block, so that neither is undone
 * by the other. That is kept within one ring: where the guest's blocks are smaller than the host's,
 * a disk has one queue (blk_file_shares_blocks).
 *
 * Bounds: BLK_BOUNCE_JOBS buffers, allocated beforehand. A request that finds none, or has to wait
 * for another one, is in a list until others end; the list holds requests that exist anyway.
 */
#ifndef DEVICES_BLK_BOUNCE_H
#define DEVICES_BLK_BOUNCE_H

#include "devices/blk/blk_file.h"
#include "devices/blk/blk_request.h"

#define BLK_BOUNCE_JOBS 4u
#define BLK_BOUNCE_SIZE (128 * KiB) /* of a buffer: a multiple of every alignment */

struct blk_uring;
/* A request that goes through a buffer. */
struct blk_bounce_job {
	struct blk_request *whole; /* NULL: free */
	struct blk_request piece;
	struct iovec iov;
	uint8_t *buffer;
	uint32_t skip, len; /* the part of the buffer that is the request's */
	bool filling;       /* a piece to be changed is being read */
};

struct blk_request_list {
	struct blk_request *first, *last;
};

struct blk_bounce {
	struct blk_uring *uring;
	struct blk_direct align;
	bool shares_blocks;
	uint8_t *memory; /* all buffers; NULL: nothing is ever unaligned */
	struct blk_bounce_job jobs[BLK_BOUNCE_JOBS];
	struct blk_request_list running; /* writes, if blocks are shared */
	struct blk_request_list waiting; /* in the order in which they came */
};

int MUST_CHECK blk_bounce_init(struct blk_bounce *bounce, struct blk_uring *uring,
			       const struct blk_file *file);
void blk_bounce_fini(struct blk_bounce *bounce); /* zeroed: does nothing */

/* True: submit the request now, as it is. False: it is seen to. */
bool blk_bounce_begin(struct blk_bounce *bounce, struct blk_request *req);

/*
 * A request is at its end, a caller's or a piece of one, with an error or 0. The caller's request
 * that is done thereby, or NULL. Its end may let others begin.
 */
struct blk_request *blk_bounce_end(struct blk_bounce *bounce, struct blk_request *req, int error);

#endif
