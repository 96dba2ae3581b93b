/* SPDX-License-Identifier: Apache-2.0 */
/* Loops that wait in epoll. */
#include "core/loop_engine.h"

#include <errno.h>
#include <limits.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "core/clock.h"
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

void loop_set_timer(struct loop *loop, struct loop_timer *timer, unsigned seconds)
{
	struct loop_timer **at = &loop->timers;

	while (*at && *at != timer)
		at = &(*at)->next;
	if (*at)
		*at = timer->next;
	timer->period_ns = seconds * NS_PER_S;
	if (!seconds)
		return;
	timer->due_ns = clock_ns() + timer->period_ns;
	timer->next = loop->timers;
	loop->timers = timer;
}

/* Until the next timer, rounded up; -1: for ever. */
static int wait_ms(const struct loop *loop)
{
	const uint64_t now = loop->timers ? clock_ns() : 0;
	uint64_t left = UINT64_MAX;

	for (const struct loop_timer *timer = loop->timers; timer; timer = timer->next)
		left = MIN(left, timer->due_ns - MIN(timer->due_ns, now));
	return left == UINT64_MAX ? -1 : (int)MIN((left + NS_PER_MS - 1) / NS_PER_MS, INT_MAX);
}

/* Each may set and end any. */
static void run_timers(struct loop *loop)
{
	const uint64_t now = loop->timers ? clock_ns() : 0;
	struct loop_timer *timer = loop->timers;

	while (timer) {
		if (timer->due_ns > now) {
			timer = timer->next;
			continue;
		}
		timer->due_ns = now + timer->period_ns;
		timer->fn(timer);
		timer = loop->timers;
	}
}

static void epoll_wait_and_tell(struct loop *loop, bool block)
{
	struct epoll_event events[EVENTS_A_WAIT];
	int n = epoll_wait(loop->epoll_fd, events, EVENTS_A_WAIT, block ? wait_ms(loop) : 0);
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
	run_timers(loop);
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
