/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An event loop: the main thread runs one, every disk has some on threads of their own, and one
 * more serves the devices that are never in a hurry. Everything a loop calls back runs on the
 * loop's thread. What a loop waits in is epoll, or io_uring (core/loop_uring.h).
 */
#ifndef CORE_LOOP_H
#define CORE_LOOP_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/thread.h"
#include "core/util.h"

/* An fd that is watched for input. Lives in its owner; the fd stays the owner's. */
struct loop_source {
	int fd;
	void (*ready)(struct loop_source *source);
	/*
	 * An eventfd that is never read: `ready` is called once or more after each time that it is
	 * signalled. Without this it is called as long as there is something to read. By a loop on
	 * epoll also a socket, of which `ready` takes all that there is.
	 */
	bool edge;
	/* Watched for room for output in place of input; by a loop on epoll only. */
	bool for_room;
	unsigned slot; /* the loop's */
};

/*
 * Something for the loop to do that another thread asks for without waiting. Lives in its owner,
 * which outlives the loop's last turn.
 */
struct loop_event {
	void (*fn)(struct loop_event *event);
	bool posted; /* the loop's lock guards this and the next */
	struct loop_event *next;
};

/* Something to do again and again, by a loop on epoll. Lives in its owner; zeroed but for fn. */
struct loop_timer {
	void (*fn)(struct loop_timer *timer);
	uint64_t due_ns, period_ns; /* period 0: not set */
	struct loop_timer *next;
};

/* Something to do before the loop waits again. Lives in its owner; zeroed but for fn. */
struct loop_work {
	void (*fn)(struct loop_work *work);
	bool queued;
	struct loop_work *next;
};

struct loop;
struct loop_call;
struct loop_events;
struct loop_uring;

/* What a loop waits in. All but init and fini on the loop's thread, or while it does not run. */
struct loop_ops {
	void (*begin)(struct loop *loop); /* the thread begins; may be NULL */
	void (*end)(struct loop *loop);   /* the thread ends; may be NULL */
	void (*fini)(struct loop *loop);
	int (*add)(struct loop *loop, struct loop_source *source);
	void (*remove)(struct loop *loop, struct loop_source *source);
	/* Tells the sources that are ready; `block`: waits until there is one. */
	void (*wait)(struct loop *loop, bool block);
};

struct loop {
	const struct loop_ops *ops; /* NULL: not initialised */
	int wake_fd;
	struct loop_source wake;
	pthread_t thread; /* the thread that runs it; valid while running */
	char name[THREAD_NAME_SIZE];
	bool running;
	const char *lazy; /* the name of the thread that comes with the first source; or NULL */
	pthread_t maker;  /* of a lazy loop */
	atomic_bool stopping;
	pthread_mutex_t lock; /* guards calls, events, running */
	pthread_cond_t called;
	struct loop_call *calls;   /* pending loop_call()s */
	struct loop_event *events; /* posted */

	/* The loop's thread's. */
	struct loop_work *works, **works_tail;
	unsigned work_count;

	/* loop_epoll.c's */
	int epoll_fd;
	struct loop_events *batch; /* fetched, not yet delivered */
	struct loop_timer *timers; /* those that are set */
	/* loop_uring.c's */
	struct loop_uring *uring;
};

int MUST_CHECK loop_init(struct loop *loop); /* on epoll */

/*
 * On epoll, with a thread called `name` (a literal) like loop_start_thread's: both are made when
 * the first source is added. Then it is like any other, on the CPUs of the thread that calls this,
 * which lives as long as the loop. Nothing is posted before that, and what is called before that
 * runs on the caller.
 */
void loop_init_lazy(struct loop *loop, const char *name);
void loop_fini(struct loop *loop); /* also after an init that failed, and twice */

/*
 * Any thread may add; only the loop's own thread, or anyone while it is not running, may remove. To
 * add to a running loop that waits in io_uring is a loop_call: it waits for the loop, so the caller
 * holds no lock that something on the loop takes.
 */
int MUST_CHECK loop_add(struct loop *loop, struct loop_source *source);
void loop_remove(struct loop *loop, struct loop_source *source);

/* Any thread: the loop runs event->fn soon, and once if it is posted again before. */
void loop_post(struct loop *loop, struct loop_event *event);

void loop_run(struct loop *loop);  /* on the calling thread, until loop_stop */
void loop_stop(struct loop *loop); /* any thread; loop_run returns soon */

/* A thread of its own, named `name` (at most 15 characters); all signals blocked in it. */
int MUST_CHECK loop_start_thread(struct loop *loop, const char *name);
void loop_join_thread(struct loop *loop); /* stops it and waits; not started: does nothing */

/*
 * Runs fn(arg) on the loop's thread and waits until it returned. When the loop is not running, or
 * the caller is its thread, fn runs at once on the caller. A vCPU may wait for a loop; a loop never
 * waits for a vCPU. The main loop does (it pauses them), so it is no target for a vCPU's call.
 */
void loop_call(struct loop *loop, void (*fn)(void *arg), void *arg);

/* The rest on the loop's thread, or while it does not run. */

/*
 * Has the work done once, when all sources that are ready have been told and before the loop waits.
 * One that is queued already stays where it is. A work that queues itself again has its next turn
 * after the other sources had theirs.
 */
void loop_defer(struct loop *loop, struct loop_work *work);
void loop_cancel(struct loop *loop, struct loop_work *work); /* queued or not */

/*
 * Every so many seconds, the first time after as many; 0: no more. It takes no system call, and is
 * late by a millisecond at most and by what the loop is doing.
 */
void loop_set_timer(struct loop *loop, struct loop_timer *timer, unsigned seconds);

/*
 * One round within a callback, of a loop on io_uring: waits for something, tells it and does what
 * is queued. For one who cannot return before something has happened on this very loop.
 */
void loop_pass(struct loop *loop);

#endif
