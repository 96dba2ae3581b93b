/* SPDX-License-Identifier: Apache-2.0 */
/* Disk I/O by io_uring; runs on the queue's loop. */
#include "devices/blk/blk_uring.h"

#include <assert.h>
#include <errno.h>
#include <linux/fs.h>

#include "devices/virtio/iov.h"

/* The kernel asks to try again when it is short of memory; not for ever. */
#define RETRIES_MAX 16u

/* What one call of the kernel moves at most, in whole pages [Linux: MAX_RW_COUNT]. */
#define TRANSFER_MAX 0x7ffff000u

static void io_done(struct loop_io *io, int res);

/* A single buffer's; a longer one is continued, as after any short transfer. */
static unsigned one_len(const struct blk_request *req)
{
	return (unsigned)MIN(req->iov->iov_len, TRANSFER_MAX);
}

static void prepare(struct blk_uring *uring, struct blk_request *req)
{
	struct io_uring_sqe *sqe = loop_uring_sqe(uring->loop);

	switch (req->op) {
	case BLK_READ:
		/* One buffer needs no array, which the kernel would have to copy. */
		if (req->iov_count == 1)
			io_uring_prep_read(sqe, uring->fd, req->iov->iov_base, one_len(req),
					   req->offset);
		else
			io_uring_prep_readv(sqe, uring->fd, req->iov, req->iov_count, req->offset);
		break;
	case BLK_WRITE:
		if (req->iov_count == 1)
			io_uring_prep_write(sqe, uring->fd, req->iov->iov_base, one_len(req),
					    req->offset);
		else
			io_uring_prep_writev(sqe, uring->fd, req->iov, req->iov_count, req->offset);
		sqe->rw_flags = req->durable ? RWF_DSYNC : 0;
		break;
	case BLK_FLUSH:
		io_uring_prep_fsync(sqe, uring->fd, IORING_FSYNC_DATASYNC);
		break;
	case BLK_FALLOCATE:
		io_uring_prep_fallocate(sqe, uring->exclusive_fd, req->mode, req->offset, req->len);
		break;
	}
	req->uring = uring;
	req->io.done = io_done;
	loop_uring_own(sqe, &req->io);
}

void blk_uring_start(struct blk_uring *uring, struct blk_request *req)
{
	req->retries = 0;
	prepare(uring, req);
}

void blk_uring_queue(struct blk_uring *uring, struct blk_request *req)
{
	uring->in_flight++;
	if (blk_bounce_begin(&uring->bounce, req))
		blk_uring_start(uring, req);
}

static void finish(struct blk_uring *uring, struct blk_request *req, int error)
{
	req = blk_bounce_end(&uring->bounce, req, error);
	if (!req)
		return;
	uring->in_flight--;
	uring->done(uring, req, error);
}

/* One completion: the request is done, or goes on with what is left of it. */
static void complete(struct blk_uring *uring, struct blk_request *req, int res)
{
	if ((res == -EINTR || res == -EAGAIN) && req->retries++ < RETRIES_MAX) {
		prepare(uring, req);
		return;
	}
	if (res < 0 || req->op == BLK_FLUSH || req->op == BLK_FALLOCATE) {
		finish(uring, req, MIN(res, 0));
		return;
	}
	if (res == 0) {
		finish(uring, req, -EIO);
		return;
	}
	/* Short transfers are normal: one call moves 2 GiB at most, and stops at a signal. */
	iov_advance(&req->iov, &req->iov_count, (unsigned)res);
	req->offset += (unsigned)res;
	req->retries = 0;
	if (req->iov_count)
		prepare(uring, req);
	else
		finish(uring, req, 0);
}

static void io_done(struct loop_io *io, int res)
{
	struct blk_request *req = container_of(io, struct blk_request, io);

	complete(req->uring, req, res);
}

void blk_uring_drain(struct blk_uring *uring)
{
	while (uring->in_flight)
		loop_pass(uring->loop);
}

int blk_uring_init(struct blk_uring *uring, struct loop *loop, const struct blk_file *file,
		   blk_uring_done *done)
{
	/*
	 * The file is not registered with the ring: the kernel lets go of registered files only
	 * some time after the ring is gone, and with the file its lock.
	 */
	*uring = (struct blk_uring){
		.loop = loop,
		.fd = file->fd,
		.exclusive_fd = file->fd,
		.done = done,
	};
	return blk_bounce_init(&uring->bounce, uring, file);
}

void blk_uring_fini(struct blk_uring *uring)
{
	assert(!uring->in_flight);
	blk_bounce_fini(&uring->bounce);
}
