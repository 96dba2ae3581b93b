/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An event loop on epoll. The main thread runs one, every disk has one on a thread of its own, and
 * one more serves the devices that are never in a hurry.
 * Everything a loop calls back runs on the loop's thread.
 */
#ifndef CORE_LOOP_H
#define CORE_LOOP_H

#include <pthread.h>

#include "core/thread.h"
#include "core/util.h"

/* An fd that is watched for input. Lives in its owner; the fd stays the owner's. */
struct loop_source {
	int fd;
	void (*ready)(struct loop_source *source);
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

struct epoll_event;
struct loop_call;

struct loop {
	int epoll_fd;
	int wake_fd;
	struct loop_source wake;
	pthread_t thread; /* the thread that runs it; valid while running */
	char name[THREAD_NAME_SIZE];
	bool running, stopping;
	pthread_mutex_t lock; /* guards calls, events, running, stopping */
	pthread_cond_t called;
	struct loop_call *calls;   /* pending loop_call()s */
	struct loop_event *events; /* posted */
	struct epoll_event *batch; /* fetched, not yet delivered; the loop's thread */
	unsigned batch_left;
};

int MUST_CHECK loop_init(struct loop *loop);
void loop_fini(struct loop *loop); /* also after a loop_init that failed, and twice */

/* Level-triggered. Any thread may add; only the loop's own thread, or anyone while it is not
 * running, may remove. */
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

#endif
