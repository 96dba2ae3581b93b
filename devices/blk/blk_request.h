/* SPDX-License-Identifier: Apache-2.0 */
/* A request to a blk_uring. */
#ifndef DEVICES_BLK_REQUEST_H
#define DEVICES_BLK_REQUEST_H

#include <sys/uio.h>

#include "core/loop_uring.h"

struct blk_bounce_job;
struct blk_uring;

enum blk_op { BLK_READ, BLK_WRITE, BLK_FLUSH, BLK_FALLOCATE };

/* The caller's, as is the memory it points to, until `done`. The array of iovecs is used up. */
struct blk_request {
	enum blk_op op;
	bool durable; /* a write that is on the medium when it is done */
	struct iovec *iov;
	unsigned iov_count; /* not 0 for reads and writes, nor is any entry empty */
	uint64_t offset;
	uint64_t len; /* of BLK_FALLOCATE */
	int mode;     /* of BLK_FALLOCATE: FALLOC_FL_* */

	/* The ring's. */
	struct loop_io io;
	struct blk_uring *uring;
	unsigned retries;

	/* blk_bounce's. */
	bool aligned;                    /* can be submitted as it is */
	bool partial;                    /* a write that begins or ends within a block */
	uint64_t begin, end;             /* of a write: the blocks that it touches */
	struct blk_request *prev, *next; /* in one of its lists */
	struct blk_bounce_job *job;      /* whose piece this is; NULL: the caller's request */
};

#endif
