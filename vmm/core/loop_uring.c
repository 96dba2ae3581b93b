/* SPDX-License-Identifier: Apache-2.0 */
/* Loops that wait in io_uring; all but the init and the end on the loop's thread. */
#include "core/loop_uring.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/err.h"
#include "core/loop_engine.h"
#include "core/sys.h"

/* What is prepared between two waits; more is submitted as it comes. */
#define ENTRIES 128u

/* How often a pass enters the kernel, beside when the entries are used up. */
#define ENTERS_A_PASS 4u

/*
 * What a completion belongs to, by the entry's user data: nobody, an operation (its address) or a
 * source (an odd number). A source is named by its slot and how often that was used, so that what
 * the kernel still has to say of one that was removed is not taken for its successor's.
 */
#define NOBODY         0u
#define SOURCE_BIT     1u
#define SOURCE_SHIFT   1
#define SOURCE_USES_AT 32

struct loop_uring {
	struct io_uring ring;
	bool multishot;     /* a poll goes on after its first event (Linux 5.13) */
	bool fd_registered; /* with the thread */
	unsigned slot_count;
	struct {
		struct loop_source *source; /* NULL: free */
		uint32_t uses;
	} slots[];
};

/* Submits what is prepared, and waits for `wait` completions; again after what is temporary. */
static void enter(struct loop_uring *u, unsigned wait)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	int r;

	if (wait)
		r = io_uring_submit_and_wait(&u->ring, wait);
	else
		r = io_uring_submit_and_get_events(&u->ring);
	/*
	 * The host is out of memory for a moment, or (-EBUSY) has completions that do not fit into
	 * the ring before some are taken. Nothing else can fail here.
	 */
	assert(r >= 0 || r == -EAGAIN || r == -EBUSY || r == -EINTR || r == -ENOMEM);
	if (r == -EAGAIN || r == -ENOMEM)
		nanosleep(&pause, NULL);
}

struct io_uring_sqe *loop_uring_sqe(struct loop *loop)
{
	struct io_uring_sqe *sqe;

	while (!(sqe = io_uring_get_sqe(&loop->uring->ring)))
		enter(loop->uring, 0);
	return sqe;
}

void loop_uring_own(struct io_uring_sqe *sqe, struct loop_io *io)
{
	io_uring_sqe_set_data(sqe, io);
}

static uint64_t source_data(const struct loop_uring *u, unsigned slot)
{
	return (uint64_t)u->slots[slot].uses << SOURCE_USES_AT | (uint64_t)slot << SOURCE_SHIFT |
	       SOURCE_BIT;
}

static void watch(struct loop *loop, unsigned slot)
{
	struct loop_uring *u = loop->uring;
	struct io_uring_sqe *sqe = loop_uring_sqe(loop);

	if (u->multishot && u->slots[slot].source->edge)
		io_uring_prep_poll_multishot(sqe, u->slots[slot].source->fd, POLLIN);
	else
		io_uring_prep_poll_add(sqe, u->slots[slot].source->fd, POLLIN);
	io_uring_sqe_set_data64(sqe, source_data(u, slot));
}

struct add {
	struct loop *loop;
	struct loop_source *source;
};

/* It is watched from the next wait on, and told at once if it was signalled before. */
static void add_on_loop(void *arg)
{
	struct add *add = arg;
	struct loop_uring *u = add->loop->uring;
	unsigned i = 0;

	while (i < u->slot_count && u->slots[i].source)
		i++;
	assert(i < u->slot_count); /* no more than the loop was made for */
	u->slots[i].source = add->source;
	u->slots[i].uses++;
	add->source->slot = i;
	if (add->loop->running)
		watch(add->loop, i);
}

static int uring_add(struct loop *loop, struct loop_source *source)
{
	struct add add = { loop, source };

	loop_call(loop, add_on_loop, &add);
	return 0;
}

/* Submitted at once: what is prepared may name fds that the caller closes next. */
static void uring_remove(struct loop *loop, struct loop_source *source)
{
	struct loop_uring *u = loop->uring;
	struct io_uring_sqe *sqe;

	if (u->slots[source->slot].source != source)
		return;
	if (loop->running) {
		sqe = loop_uring_sqe(loop);
		io_uring_prep_poll_remove(sqe, source_data(u, source->slot));
		io_uring_sqe_set_data64(sqe, NOBODY);
		while (io_uring_sq_ready(&u->ring))
			enter(u, 0);
	}
	u->slots[source->slot].source = NULL;
}

static void source_told(struct loop *loop, uint64_t data, int res, bool more)
{
	struct loop_uring *u = loop->uring;
	unsigned slot = (uint32_t)data >> SOURCE_SHIFT;
	struct loop_source *source = u->slots[slot].source;

	if (!source || source_data(u, slot) != data)
		return; /* of one that was removed */
	if (res < 0) {
		/* A kernel that knows no multishot, or out of memory: once more. */
		if (res == -EINVAL)
			u->multishot = false;
		watch(loop, slot);
		return;
	}
	if (source->edge && !more) {
		/* The next poll has to begin with a quiet eventfd, or it would end at once. */
		if (!u->multishot)
			(void)sys_eventfd_drain(source->fd);
		watch(loop, slot);
	}
	source->ready(source);
	/* What was not read is told again, by a poll that ends at once. */
	if (u->slots[slot].source == source && source_data(u, slot) == data && !source->edge)
		watch(loop, slot);
}

static void tell(struct loop *loop)
{
	struct loop_uring *u = loop->uring;

	/* One at a time, because what is called may itself pass through the ring. */
	for (unsigned left = io_uring_cq_ready(&u->ring); left && io_uring_cq_ready(&u->ring);
	     left--) {
		struct io_uring_cqe *next, cqe;

		(void)io_uring_peek_cqe(&u->ring, &next);
		cqe = *next;
		io_uring_cqe_seen(&u->ring, next);
		if (cqe.user_data & SOURCE_BIT) {
			source_told(loop, cqe.user_data, cqe.res, cqe.flags & IORING_CQE_F_MORE);
		} else if (cqe.user_data != NOBODY) {
			struct loop_io *io = io_uring_cqe_get_data(&cqe);

			io->done(io, cqe.res);
		}
	}
}

static void uring_wait(struct loop *loop, bool block)
{
	struct io_uring *ring = &loop->uring->ring;

	if (block && !io_uring_cq_ready(ring))
		enter(loop->uring, 1);
	else if (io_uring_sq_ready(ring) || !io_uring_cq_ready(ring))
		enter(loop->uring, 0);
	tell(loop);
}

/* From now on the ring is this thread's. */
static void uring_begin(struct loop *loop)
{
	struct loop_uring *u = loop->uring;
	/* liburing 2.3 declares a function for it and does not have it. */
	long r = syscall(__NR_io_uring_register, u->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS,
			 NULL, 0);

	assert(r >= 0);
	/* The kernel then need not look up the ring by its fd (Linux 5.18). */
	u->fd_registered = io_uring_register_ring_fd(&u->ring) == 1;
	for (unsigned i = 0; i < u->slot_count; i++) {
		if (u->slots[i].source)
			watch(loop, i);
	}
}

static void uring_end(struct loop *loop)
{
	if (loop->uring->fd_registered)
		(void)io_uring_unregister_ring_fd(&loop->uring->ring);
	loop->uring->fd_registered = false;
}

static void uring_fini(struct loop *loop)
{
	io_uring_queue_exit(&loop->uring->ring);
	free(loop->uring);
	loop->uring = NULL;
}

/* What the kernel has: only one thread submits, and completions never interrupt it. */
static int open_ring(struct io_uring *ring, unsigned completions)
{
	static const unsigned flags[] = {
		/* Linux 6.1 */
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
		/* Linux 5.19 */
		IORING_SETUP_COOP_TASKRUN,
		0,
	};
	int r = -EINVAL;

	for (unsigned i = 0; i < ARRAY_SIZE(flags) && r == -EINVAL; i++) {
		struct io_uring_params params = {
			.flags = flags[i] | IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE,
			.cq_entries = completions,
		};

		r = io_uring_queue_init_params(ENTRIES, ring, &params);
	}
	return r;
}

static int uring_open(struct loop *loop, unsigned ios, unsigned sources)
{
	static const struct loop_ops ops = {
		.begin = uring_begin,
		.end = uring_end,
		.fini = uring_fini,
		.add = uring_add,
		.remove = uring_remove,
		.wait = uring_wait,
	};
	struct loop_uring *u;
	int r;

	sources++; /* the loop's own */
	u = calloc(1, sizeof(*u) + sources * sizeof(u->slots[0]));
	if (!u)
		return err_sys(ERR_LIMIT, -ENOMEM, "create an event loop");
	u->slot_count = sources;
	/* One completion of each operation, and one of each source whenever the kernel is entered.
	 */
	r = open_ring(&u->ring, ios + sources * (ios / ENTRIES + ENTERS_A_PASS));
	if (r < 0) {
		free(u);
		err_sys(ERR_HOST, r, "set up io_uring");
		if (r == -EPERM || r == -ENOSYS)
			err_hint("this host forbids io_uring: see the sysctl "
				 "kernel.io_uring_disabled, or the container's seccomp profile");
		return r;
	}
	u->multishot = true;
	loop->uring = u;
	loop->ops = &ops;
	return 0;
}

int loop_init_uring(struct loop *loop, unsigned ios, unsigned sources)
{
	int r;

	loop_prepare(loop);
	r = uring_open(loop, ios, sources);
	return r < 0 ? r : loop_finish(loop);
}
