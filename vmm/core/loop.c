/* SPDX-License-Identifier: Apache-2.0 */
/* A loop and its thread, calls into it from other threads, and its work list. */
#include "core/loop.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "core/cpu_set.h"
#include "core/err.h"
#include "core/loop_engine.h"
#include "core/sys.h"
#include "core/thread.h"

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

/*
 * Those that are posted now. What is posted meanwhile, by whom a guest drives, has signalled the
 * loop again: sources have their turn before.
 */
static void loop_run_events(struct loop *loop)
{
	struct loop_event *events;

	pthread_mutex_lock(&loop->lock);
	events = loop->events;
	loop->events = NULL;
	while (events) {
		struct loop_event *event = events;

		events = event->next;
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

	loop_run_calls(loop);
	loop_run_events(loop);
}

void loop_post(struct loop *loop, struct loop_event *event)
{
	bool wake = false;

	pthread_mutex_lock(&loop->lock);
	if (!event->posted) {
		event->posted = true;
		event->next = loop->events;
		loop->events = event;
		/* One that does not run yet looks for itself when it begins. */
		wake = loop->running;
	}
	pthread_mutex_unlock(&loop->lock);
	if (wake)
		sys_eventfd_signal(loop->wake_fd);
}

int loop_finish(struct loop *loop)
{
	int r;

	loop->wake_fd = sys_eventfd();
	if (loop->wake_fd < 0) {
		r = err_sys(ERR_LIMIT, loop->wake_fd, "create an event loop");
		goto fail;
	}
	loop->wake = (struct loop_source){ .fd = loop->wake_fd, .edge = true, .ready = loop_woken };
	r = loop->ops->add(loop, &loop->wake);
	if (r < 0)
		goto fail;
	return 0;
fail:
	loop_fini(loop);
	return r;
}

void loop_prepare(struct loop *loop)
{
	*loop = (struct loop){ .epoll_fd = -1, .wake_fd = -1 };
	loop->works_tail = &loop->works;
	pthread_mutex_init(&loop->lock, NULL);
	pthread_cond_init(&loop->called, NULL);
}

int loop_init(struct loop *loop)
{
	int r;

	loop_prepare(loop);
	r = loop_epoll_open(loop);
	return r < 0 ? r : loop_finish(loop);
}

void loop_init_lazy(struct loop *loop, const char *name)
{
	loop_prepare(loop);
	loop->lazy = name;
	loop->maker = pthread_self();
}

void loop_fini(struct loop *loop)
{
	assert(!loop->running);
	if (!loop->ops)
		return; /* never initialised whole, or done already */
	loop->ops->fini(loop);
	loop->ops = NULL;
	close_fd(&loop->wake_fd);
	pthread_cond_destroy(&loop->called);
	pthread_mutex_destroy(&loop->lock);
}

/* The first source of a lazy loop; several threads may have it. */
static int loop_awake(struct loop *loop)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	const char *name = loop->lazy;
	const pthread_t maker = loop->maker;
	int r = 0;

	pthread_mutex_lock(&lock);
	if (!loop->ops) {
		r = loop_epoll_open(loop);
		if (r == 0)
			r = loop_finish(loop);
		if (r == 0) {
			r = loop_start_thread(loop, name);
			if (r < 0)
				loop_fini(loop);
		}
		if (r < 0) {
			loop_init_lazy(loop, name);
			loop->maker = maker;
		}
	}
	pthread_mutex_unlock(&lock);
	return r;
}

int loop_add(struct loop *loop, struct loop_source *source)
{
	int r = loop->lazy ? loop_awake(loop) : 0;

	return r < 0 ? r : loop->ops->add(loop, source);
}

void loop_remove(struct loop *loop, struct loop_source *source)
{
	loop->ops->remove(loop, source);
}

void loop_defer(struct loop *loop, struct loop_work *work)
{
	if (work->queued)
		return;
	work->queued = true;
	work->next = NULL;
	*loop->works_tail = work;
	loop->works_tail = &work->next;
	loop->work_count++;
}

static void loop_take_work(struct loop *loop, struct loop_work **at)
{
	struct loop_work *work = *at;

	*at = work->next;
	if (loop->works_tail == &work->next)
		loop->works_tail = at;
	work->queued = false;
	loop->work_count--;
}

void loop_cancel(struct loop *loop, struct loop_work *work)
{
	struct loop_work **at = &loop->works;

	if (!work->queued)
		return;
	while (*at != work)
		at = &(*at)->next;
	loop_take_work(loop, at);
}

void loop_pass(struct loop *loop)
{
	/* What is queued while this runs has its turn after the sources. */
	unsigned count;

	loop->ops->wait(loop, !loop->works);
	for (count = loop->work_count; count && loop->works; count--) {
		struct loop_work *work = loop->works;

		loop_take_work(loop, &loop->works);
		work->fn(work);
	}
}

static void loop_serve(struct loop *loop)
{
	if (loop->ops->begin)
		loop->ops->begin(loop);
	loop_run_events(loop);
	while (!atomic_load(&loop->stopping))
		loop_pass(loop);
	if (loop->ops->end)
		loop->ops->end(loop);
}

static void loop_set_running(struct loop *loop, bool running)
{
	pthread_mutex_lock(&loop->lock);
	loop->running = running;
	if (!running)
		atomic_store(&loop->stopping, false);
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
	atomic_store(&loop->stopping, true);
	sys_eventfd_signal(loop->wake_fd);
}

static void *loop_thread(void *arg)
{
	struct loop *loop = arg;

	/* Whoever added the first source may be bound to some CPU: a vCPU is. */
	if (loop->lazy)
		cpu_set_follow(loop->maker);
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
