/* SPDX-License-Identifier: Apache-2.0 */
/* Loops that wait in epoll. */
#include "core/loop_engine.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "core/err.h"

#define EVENTS_A_WAIT 16

/* Fetched, not yet delivered. */
struct loop_events {
	struct epoll_event *next;
	unsigned left;
};

static int epoll_add(struct loop *loop, struct loop_source *source)
{
	struct epoll_event ev = {
		.events = (source->for_room ? (unsigned)EPOLLOUT : (unsigned)EPOLLIN) |
			  (source->edge ? (unsigned)EPOLLET : 0),
		.data.ptr = source,
	};

	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, source->fd, &ev) < 0)
		return err_sys(ERR_LIMIT, -errno, "watch a file descriptor");
	return 0;
}

static void epoll_remove(struct loop *loop, struct loop_source *source)
{
	(void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
	/* It may be gone soon: its events that were fetched already must not be delivered. */
	for (unsigned i = 0; loop->batch && i < loop->batch->left; i++) {
		if (loop->batch->next[i].data.ptr == source)
			loop->batch->next[i].data.ptr = NULL;
	}
}

static void epoll_wait_and_tell(struct loop *loop, bool block)
{
	struct epoll_event events[EVENTS_A_WAIT];
	int n = epoll_wait(loop->epoll_fd, events, EVENTS_A_WAIT, block ? -1 : 0);
	struct loop_events batch = { events, n > 0 ? (unsigned)n : 0 };

	loop->batch = &batch;
	while (batch.left) {
		struct loop_source *source = batch.next->data.ptr;

		batch.next++;
		batch.left--;
		if (source)
			source->ready(source);
	}
	loop->batch = NULL;
}

static void epoll_fini(struct loop *loop)
{
	close_fd(&loop->epoll_fd);
}

int loop_epoll_open(struct loop *loop)
{
	static const struct loop_ops ops = {
		.fini = epoll_fini,
		.add = epoll_add,
		.remove = epoll_remove,
		.wait = epoll_wait_and_tell,
	};
	int fd = epoll_create1(EPOLL_CLOEXEC);

	if (fd < 0)
		return err_sys(ERR_LIMIT, -errno, "create an event loop");
	loop->epoll_fd = fd;
	loop->ops = &ops;
	return 0;
}
