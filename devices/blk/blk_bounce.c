/* SPDX-License-Identifier: Apache-2.0 */
/* Buffers for requests that are not aligned; runs on the disk's loop. */
#include "devices/blk/blk_bounce.h"

#include <errno.h>
#include <stdlib.h>

#include "core/err.h"
#include "devices/blk/blk_uring.h"
#include "devices/virtio/iov.h"

static void list_append(struct blk_request_list *list, struct blk_request *req)
{
	req->prev = list->last;
	req->next = NULL;
	*(list->last ? &list->last->next : &list->first) = req;
	list->last = req;
}

static void list_remove(struct blk_request_list *list, struct blk_request *req)
{
	*(req->prev ? &req->prev->next : &list->first) = req->next;
	*(req->next ? &req->next->prev : &list->last) = req->prev;
}

static bool is_aligned(const struct blk_bounce *bounce, const struct blk_request *req)
{
	uint64_t bits = req->offset;

	for (unsigned i = 0; i < req->iov_count; i++)
		bits |= req->iov[i].iov_len;
	if (bits & (bounce->align.offset - 1))
		return false;
	for (unsigned i = 0; i < req->iov_count; i++) {
		if ((uintptr_t)req->iov[i].iov_base & (bounce->align.memory - 1))
			return false;
	}
	return true;
}

static bool whole_blocks(const struct blk_bounce *bounce, uint64_t offset, uint64_t len)
{
	return !((offset | len) & (bounce->align.offset - 1));
}

/* Whole blocks may be written twice at a time, as the guest wishes; a part of one may not. */
static bool conflict(const struct blk_request *a, const struct blk_request *b)
{
	return a->begin < b->end && b->begin < a->end && (a->partial || b->partial);
}

/* With those before `end`, a member; NULL: with all of the list. */
static bool conflicts(const struct blk_request_list *list, const struct blk_request *end,
		      const struct blk_request *req)
{
	for (const struct blk_request *r = list->first; r != end; r = r->next) {
		if (r->op != BLK_READ && conflict(r, req))
			return true;
	}
	return false;
}

static struct blk_bounce_job *free_job(struct blk_bounce *bounce)
{
	for (unsigned i = 0; i < BLK_BOUNCE_JOBS; i++) {
		if (!bounce->jobs[i].whole)
			return &bounce->jobs[i];
	}
	return NULL;
}

static void submit_piece(struct blk_bounce *bounce, struct blk_bounce_job *job, enum blk_op op,
			 uint64_t offset, uint64_t len)
{
	job->iov = (struct iovec){ job->buffer, len };
	job->piece = (struct blk_request){
		.op = op,
		.durable = job->whole->durable,
		.iov = &job->iov,
		.iov_count = 1,
		.offset = offset,
		.job = job,
	};
	blk_uring_start(bounce->uring, &job->piece);
}

/* The whole blocks around the part of the file that the job is at. */
static uint64_t piece_begin(const struct blk_bounce *bounce, const struct blk_bounce_job *job)
{
	return job->whole->offset - job->whole->offset % bounce->align.offset;
}

static uint64_t piece_len(const struct blk_bounce *bounce, const struct blk_bounce_job *job)
{
	return align_up((uint64_t)job->skip + job->len, bounce->align.offset);
}

static void write_piece(struct blk_bounce *bounce, struct blk_bounce_job *job)
{
	job->filling = false;
	(void)iov_read(job->whole->iov, job->whole->iov_count, job->buffer + job->skip, job->len);
	submit_piece(bounce, job, BLK_WRITE, piece_begin(bounce, job), piece_len(bounce, job));
}

static void next_piece(struct blk_bounce *bounce, struct blk_bounce_job *job)
{
	const struct blk_request *req = job->whole;
	const uint64_t left = iov_length(req->iov, req->iov_count);

	job->skip = (uint32_t)(req->offset % bounce->align.offset);
	job->len = (uint32_t)MIN(left, BLK_BOUNCE_SIZE - job->skip);
	if (req->op == BLK_WRITE && whole_blocks(bounce, req->offset, job->len)) {
		write_piece(bounce, job);
		return;
	}
	job->filling = req->op == BLK_WRITE;
	submit_piece(bounce, job, BLK_READ, piece_begin(bounce, job), piece_len(bounce, job));
}

/* True if the request can run now: it does, unless it is for the caller to submit. */
static bool try_begin(struct blk_bounce *bounce, struct blk_request *req,
		      const struct blk_request *before)
{
	struct blk_bounce_job *job = NULL;
	const bool guarded = bounce->shares_blocks && req->op != BLK_READ;

	if (guarded &&
	    (conflicts(&bounce->running, NULL, req) || conflicts(&bounce->waiting, before, req)))
		return false;
	if (!req->aligned) {
		job = free_job(bounce);
		if (!job)
			return false;
	}
	if (before)
		list_remove(&bounce->waiting, req);
	if (guarded)
		list_append(&bounce->running, req);
	if (job) {
		job->whole = req;
		next_piece(bounce, job);
	}
	return true;
}

bool blk_bounce_begin(struct blk_bounce *bounce, struct blk_request *req)
{
	const uint64_t block = bounce->align.offset;
	uint64_t len;

	req->job = NULL;
	if (!bounce->memory || req->op == BLK_FLUSH)
		return true;
	req->aligned = req->op == BLK_FALLOCATE || is_aligned(bounce, req);
	if (bounce->shares_blocks) {
		len = req->op == BLK_FALLOCATE ? req->len : iov_length(req->iov, req->iov_count);
		req->begin = req->offset - req->offset % block;
		req->end = align_up(req->offset + len, block);
		req->partial = !whole_blocks(bounce, req->offset, len);
	} else if (req->aligned) {
		return true;
	}
	if (try_begin(bounce, req, NULL))
		return req->aligned;
	list_append(&bounce->waiting, req);
	return false;
}

/* What waited for the request that has just ended, or for its buffer. */
static void begin_waiting(struct blk_bounce *bounce)
{
	struct blk_request *next;

	for (struct blk_request *req = bounce->waiting.first; req; req = next) {
		next = req->next;
		if (try_begin(bounce, req, req) && req->aligned)
			blk_uring_start(bounce->uring, req);
	}
}

/* True if the job goes on with another piece. */
static bool piece_done(struct blk_bounce *bounce, struct blk_bounce_job *job)
{
	struct blk_request *req = job->whole;

	if (job->filling) {
		write_piece(bounce, job);
		return true;
	}
	if (req->op == BLK_READ)
		(void)iov_write(req->iov, req->iov_count, job->buffer + job->skip, job->len);
	iov_advance(&req->iov, &req->iov_count, job->len);
	req->offset += job->len;
	if (!req->iov_count)
		return false;
	next_piece(bounce, job);
	return true;
}

struct blk_request *blk_bounce_end(struct blk_bounce *bounce, struct blk_request *req, int error)
{
	struct blk_bounce_job *job = req->job;

	if (job) {
		if (!error && piece_done(bounce, job))
			return NULL;
		req = job->whole;
		job->whole = NULL;
	}
	if (bounce->shares_blocks && (req->op == BLK_WRITE || req->op == BLK_FALLOCATE))
		list_remove(&bounce->running, req);
	if (bounce->waiting.first)
		begin_waiting(bounce);
	return req;
}

int blk_bounce_init(struct blk_bounce *bounce, struct blk_uring *uring, const struct blk_file *file)
{
	bounce->uring = uring;
	bounce->align = file->direct;
	bounce->shares_blocks = blk_file_shares_blocks(file);
	if (file->direct.offset <= 1 && file->direct.memory <= 1)
		return 0;
	bounce->memory = aligned_alloc(MAX(file->direct.memory, file->direct.offset),
				       BLK_BOUNCE_JOBS * BLK_BOUNCE_SIZE);
	if (!bounce->memory)
		return err_sys(ERR_LIMIT, -ENOMEM, "buffers for direct I/O");
	for (unsigned i = 0; i < BLK_BOUNCE_JOBS; i++)
		bounce->jobs[i].buffer = bounce->memory + i * BLK_BOUNCE_SIZE;
	return 0;
}

void blk_bounce_fini(struct blk_bounce *bounce)
{
	free(bounce->memory);
	*bounce = (struct blk_bounce){ 0 };
}
