/* SPDX-License-Identifier: Apache-2.0 */
/* An epoll loop, its thread, and calls into it from other threads. */
#include "core/loop.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>

#include "core/err.h"
#include "core/sys.h"
#include "core/thread.h"

#define EVENTS_A_WAIT 16

/* A call waiting for the loop's thread; lives on the caller's stack. */
struct loop_call {
	void (*fn)(void *arg);
	void *arg;
	bool done;
	struct loop_call *next;
};

static void loop_run_calls(struct loop *loop)
{
	pthread_mutex_lock(&loop->lock);
	while (loop->calls) {
		struct loop_call *call = loop->calls;

		loop->calls = call->next;
		pthread_mutex_unlock(&loop->lock);
		call->fn(call->arg);
		pthread_mutex_lock(&loop->lock);
		call->done = true;
		pthread_cond_broadcast(&loop->called);
	}
	pthread_mutex_unlock(&loop->lock);
}

static void loop_run_events(struct loop *loop)
{
	pthread_mutex_lock(&loop->lock);
	while (loop->events) {
		struct loop_event *event = loop->events;

		loop->events = event->next;
		event->posted = false;
		pthread_mutex_unlock(&loop->lock);
		event->fn(event);
		pthread_mutex_lock(&loop->lock);
	}
	pthread_mutex_unlock(&loop->lock);
}

static void loop_woken(struct loop_source *source)
{
	struct loop *loop = container_of(source, struct loop, wake);

	sys_eventfd_drain(loop->wake_fd);
	loop_run_calls(loop);
	loop_run_events(loop);
}

void loop_post(struct loop *loop, struct loop_event *event)
{
	bool first;

	pthread_mutex_lock(&loop->lock);
	first = !event->posted;
	if (first) {
		event->posted = true;
		event->next = loop->events;
		loop->events = event;
	}
	pthread_mutex_unlock(&loop->lock);
	if (first)
		sys_eventfd_signal(loop->wake_fd);
}

int loop_init(struct loop *loop)
{
	int r;

	*loop = (struct loop){ .epoll_fd = -1, .wake_fd = -1 };
	pthread_mutex_init(&loop->lock, NULL);
	pthread_cond_init(&loop->called, NULL);

	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0)
		return err_sys(ERR_LIMIT, -errno, "create an event loop");
	loop->wake_fd = sys_eventfd();
	if (loop->wake_fd < 0) {
		r = err_sys(ERR_LIMIT, loop->wake_fd, "create an event loop");
		goto fail;
	}
	loop->wake = (struct loop_source){ .fd = loop->wake_fd, .ready = loop_woken };
	r = loop_add(loop, &loop->wake);
	if (r < 0)
		goto fail;
	return 0;
fail:
	loop_fini(loop);
	return r;
}

void loop_fini(struct loop *loop)
{
	assert(!loop->running);
	if (loop->epoll_fd < 0)
		return; /* never initialised whole, or done already */
	close_fd(&loop->wake_fd);
	close_fd(&loop->epoll_fd);
	pthread_cond_destroy(&loop->called);
	pthread_mutex_destroy(&loop->lock);
}

int loop_add(struct loop *loop, struct loop_source *source)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = source };

	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, source->fd, &ev) < 0)
		return err_sys(ERR_LIMIT, -errno, "watch a file descriptor");
	return 0;
}

void loop_remove(struct loop *loop, struct loop_source *source)
{
	(void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
	/* It may be gone soon: its events that were fetched already must not be delivered. */
	for (unsigned i = 0; loop->batch && i < loop->batch_left; i++) {
		if (loop->batch[i].data.ptr == source)
			loop->batch[i].data.ptr = NULL;
	}
}

static bool loop_stopping(struct loop *loop)
{
	bool stopping;

	pthread_mutex_lock(&loop->lock);
	stopping = loop->stopping;
	pthread_mutex_unlock(&loop->lock);
	return stopping;
}

static void loop_serve(struct loop *loop)
{
	while (!loop_stopping(loop)) {
		struct epoll_event events[EVENTS_A_WAIT];
		int n = epoll_wait(loop->epoll_fd, events, EVENTS_A_WAIT, -1);

		for (loop->batch = events; n > 0; n--) {
			struct loop_source *source = loop->batch++->data.ptr;

			loop->batch_left = (unsigned)n - 1;
			if (source)
				source->ready(source);
		}
		loop->batch = NULL;
	}
}

static void loop_set_running(struct loop *loop, bool running)
{
	pthread_mutex_lock(&loop->lock);
	loop->running = running;
	if (!running)
		loop->stopping = false;
	pthread_mutex_unlock(&loop->lock);
}

void loop_run(struct loop *loop)
{
	loop->thread = pthread_self();
	loop_set_running(loop, true);
	loop_serve(loop);
	loop_set_running(loop, false);
	/* A caller that saw it running must not wait for ever. */
	loop_run_calls(loop);
}

void loop_stop(struct loop *loop)
{
	pthread_mutex_lock(&loop->lock);
	loop->stopping = true;
	pthread_mutex_unlock(&loop->lock);
	sys_eventfd_signal(loop->wake_fd);
}

static void *loop_thread(void *arg)
{
	struct loop *loop = arg;

	thread_name("%s", loop->name);
	loop_serve(loop);
	return NULL;
}

int loop_start_thread(struct loop *loop, const char *name)
{
	int r;

	snprintf(loop->name, sizeof(loop->name), "%s", name);
	/* Before the thread exists, so that a loop_call from now on is queued for it. */
	loop_set_running(loop, true);
	r = thread_start(&loop->thread, 0, loop_thread, loop);
	if (r < 0) {
		loop_set_running(loop, false);
		return err_sys(ERR_LIMIT, r, "start the thread '%s'", name);
	}
	return 0;
}

void loop_join_thread(struct loop *loop)
{
	if (!loop->running)
		return;
	loop_stop(loop);
	pthread_join(loop->thread, NULL);
	loop_set_running(loop, false);
	loop_run_calls(loop);
}

void loop_call(struct loop *loop, void (*fn)(void *arg), void *arg)
{
	struct loop_call call = { .fn = fn, .arg = arg };
	struct loop_call **tail;

	pthread_mutex_lock(&loop->lock);
	if (!loop->running || pthread_equal(loop->thread, pthread_self())) {
		pthread_mutex_unlock(&loop->lock);
		fn(arg);
		return;
	}
	for (tail = &loop->calls; *tail; tail = &(*tail)->next)
		;
	*tail = &call;
	sys_eventfd_signal(loop->wake_fd);
	while (!call.done)
		pthread_cond_wait(&loop->called, &loop->lock);
	pthread_mutex_unlock(&loop->lock);
}
