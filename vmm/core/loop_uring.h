/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loops that wait in io_uring: one system call submits what the loop's owners have prepared and
 * waits for the next thing to happen. For threads that do I/O.
 *
 * An eventfd that need not be read (loop_source.edge) is watched by a poll of the ring that goes on
 * by itself: it costs no system call to be told, and none to be told again. I/O is started on the
 * loop's thread only, and what is on the loop leaves it while it runs.
 */
#ifndef CORE_LOOP_URING_H
#define CORE_LOOP_URING_H

#include <liburing.h>

#include "core/loop.h"

/* An operation in flight. Lives in its owner until `done`, on the loop's thread. */
struct loop_io {
	void (*done)(struct loop_io *io, int res); /* the system call's result, or -errno */
};

/* At most `ios` operations at a time, and so many sources. */
int MUST_CHECK loop_init_uring(struct loop *loop, unsigned ios, unsigned sources);

/* An entry to be prepared; it is submitted when the loop waits next, or when the ring is full. */
struct io_uring_sqe *loop_uring_sqe(struct loop *loop);
/* Whose it is; after it was prepared. */
void loop_uring_own(struct io_uring_sqe *sqe, struct loop_io *io);

#endif
