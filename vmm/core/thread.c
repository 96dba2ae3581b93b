/* SPDX-License-Identifier: Apache-2.0 */
/* How threads begin; see thread.h. Any thread. */
#include "core/thread.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>

/* What is deepest is a log line of a handler; under the address sanitizer, frames are larger. */
#define STACK_SIZE (512 * KiB)

int thread_attr_init(pthread_attr_t *attr, int signal)
{
	sigset_t blocked;
	int r = pthread_attr_init(attr);

	if (r)
		return -r;
	sigfillset(&blocked);
	if (signal)
		sigdelset(&blocked, signal);
	r = pthread_attr_setstacksize(attr, STACK_SIZE);
	/* Without it there would be a moment in which the thread can take what is main's. */
	if (r == 0)
		r = pthread_attr_setsigmask_np(attr, &blocked);
	if (r)
		pthread_attr_destroy(attr);
	return -r;
}

int thread_start(pthread_t *ret_thread, int signal, void *(*fn)(void *arg), void *arg)
{
	pthread_attr_t attr;
	int r = thread_attr_init(&attr, signal);

	if (r < 0)
		return r;
	r = pthread_create(ret_thread, &attr, fn, arg);
	pthread_attr_destroy(&attr);
	return -r;
}

void thread_name(const char *fmt, ...)
{
	char name[THREAD_NAME_SIZE];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	pthread_setname_np(pthread_self(), name);
}
