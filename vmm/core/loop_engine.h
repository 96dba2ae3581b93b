/* SPDX-License-Identifier: Apache-2.0 */
/* Between loop.c and what a loop waits in (loop_epoll.c, loop_uring.c) only. */
#ifndef CORE_LOOP_ENGINE_H
#define CORE_LOOP_ENGINE_H

#include "core/loop.h"

/* An init is: prepare, something that sets loop->ops, finish, which cleans up when it fails. */
void loop_prepare(struct loop *loop);
int MUST_CHECK loop_epoll_open(struct loop *loop);
int MUST_CHECK loop_finish(struct loop *loop);

#endif
