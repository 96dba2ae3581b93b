/* SPDX-License-Identifier: Apache-2.0 */
/* Disk I/O by io_uring; runs on the disk's loop. */
#include "devices/blk_uring.h"

#include <assert.h>
#include <errno.h>
#include <linux/fs.h>
#include <time.h>

#include "core/err.h"
#include "devices/iov.h"

/* The kernel asks to try again when it is short of memory; not for ever. */
#define RETRIES_MAX 16u

static void prepare(struct blk_uring *uring, struct blk_request *req)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->ring);

	assert(sqe); /* a request has one at most, and there are `depth` */
	switch (req->op) {
	case BLK_READ:
		io_uring_prep_readv(sqe, uring->fd, req->iov, req->iov_count, req->offset);
		break;
	case BLK_WRITE:
		io_uring_prep_writev2(sqe, uring->fd, req->iov, req->iov_count, req->offset,
				      req->durable ? RWF_DSYNC : 0);
		break;
	case BLK_FLUSH:
		io_uring_prep_fsync(sqe, uring->fd, IORING_FSYNC_DATASYNC);
		break;
	case BLK_FALLOCATE:
		io_uring_prep_fallocate(sqe, uring->fd, req->mode, req->offset, req->len);
		break;
	}
	io_uring_sqe_set_data(sqe, req);
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
	uring->ops->done(uring, req, error);
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

static void submit(struct blk_uring *uring)
{
	const struct timespec pause = { .tv_nsec = 1000000 };

	while (io_uring_sq_ready(&uring->ring)) {
		int r = io_uring_submit(&uring->ring);

		if (r > 0)
			continue;
		/* The host is out of memory for a moment; nothing else can fail here. */
		assert(r == 0 || r == -EAGAIN || r == -EBUSY || r == -EINTR || r == -ENOMEM);
		nanosleep(&pause, NULL);
	}
}

static void reap(struct blk_uring *uring)
{
	struct io_uring_cqe *cqe;
	unsigned head, count = 0;

	io_uring_for_each_cqe(&uring->ring, head, cqe)
	{
		complete(uring, io_uring_cqe_get_data(cqe), cqe->res);
		count++;
	}
	io_uring_cq_advance(&uring->ring, count);
	if (count)
		uring->ops->batch_done(uring);
	submit(uring);
}

void blk_uring_submit(struct blk_uring *uring)
{
	submit(uring);
	reap(uring);
}

void blk_uring_drain(struct blk_uring *uring)
{
	struct io_uring_cqe *cqe;

	blk_uring_submit(uring);
	while (uring->in_flight) {
		/* Fails only by a signal, and then there is nothing to reap. */
		(void)io_uring_wait_cqe(&uring->ring, &cqe);
		reap(uring);
	}
}

static void ring_readable(struct loop_source *source)
{
	reap(container_of(source, struct blk_uring, source));
}

/*
 * COOP_TASKRUN (Linux 5.19): completions need not interrupt the loop's thread while it runs, it
 * enters the kernel soon enough by itself.
 */
static int open_ring(struct io_uring *ring, unsigned depth)
{
	int r = io_uring_queue_init(depth, ring, IORING_SETUP_COOP_TASKRUN);

	return r == -EINVAL ? io_uring_queue_init(depth, ring, 0) : r;
}

int blk_uring_init(struct blk_uring *uring, struct loop *loop, const struct blk_file *file,
		   unsigned depth, const struct blk_uring_ops *ops)
{
	int r = blk_bounce_init(&uring->bounce, uring, file);

	if (r < 0)
		return r;
	r = open_ring(&uring->ring, depth);
	if (r < 0) {
		blk_bounce_fini(&uring->bounce);
		err_sys(ERR_HOST, r, "set up io_uring");
		if (r == -EPERM || r == -ENOSYS)
			err_hint("this host forbids io_uring: see the sysctl "
				 "kernel.io_uring_disabled, or the container's seccomp profile");
		return r;
	}
	/*
	 * The file is not registered with the ring: the kernel lets go of registered files only
	 * some time after the ring is gone, and with the file its lock.
	 */
	uring->fd = file->fd;
	uring->ops = ops;
	uring->source = (struct loop_source){ .fd = uring->ring.ring_fd, .ready = ring_readable };
	r = loop_add(loop, &uring->source);
	if (r < 0) {
		io_uring_queue_exit(&uring->ring);
		blk_bounce_fini(&uring->bounce);
		return r;
	}
	uring->loop = loop;
	return 0;
}

static void leave_loop(void *arg)
{
	struct blk_uring *uring = arg;

	loop_remove(uring->loop, &uring->source);
}

void blk_uring_fini(struct blk_uring *uring)
{
	if (!uring->loop)
		return;
	assert(!uring->in_flight);
	loop_call(uring->loop, leave_loop, uring);
	io_uring_queue_exit(&uring->ring);
	blk_bounce_fini(&uring->bounce);
	uring->loop = NULL;
}
