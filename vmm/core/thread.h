/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads of ours: how they begin. Signals are the main thread's, so all are blocked in the others;
 * a stack is small, because transparent huge pages would make one of 8 MiB resident by the 2 MiB.
 */
#ifndef CORE_THREAD_H
#define CORE_THREAD_H

#include <pthread.h>

#include "core/util.h"

#define THREAD_NAME_SIZE 16 /* the kernel's limit, with its NUL */

/* `signal` alone is not blocked; 0: all are. Returns 0 or -errno, without an error chain. */
int MUST_CHECK thread_start(pthread_t *ret_thread, int signal, void *(*fn)(void *arg), void *arg);

/* The same, for who has more to say about the thread before pthread_create. */
int MUST_CHECK thread_attr_init(pthread_attr_t *attr, int signal);

/* First thing in `fn`: the name in ps and gdb. From inside it is one system call, not three. */
void thread_name(const char *fmt, ...) PRINTF_LIKE(1, 2);

#endif
