/* SPDX-License-Identifier: Apache-2.0 */
/* A run in the background: a process of its own, which the command waits for until it runs. */
#ifndef DETACH_H
#define DETACH_H

#include "core/util.h"

/*
 * Forks; before anything is opened that is not to be shared. In the child, 0 and an fd for
 * detach_done: it is in a session of its own, with /dev/null as standard input and no file but the
 * standard ones. In the parent, 1 and the exit status of the command, once the child has said that
 * it is done or has ended; signals go to the child meanwhile.
 */
int MUST_CHECK detach_start(int *ret_done_fd, int *ret_status);

/* In the child: its guest runs, and this is its name. */
void detach_done(int done_fd, const char *name);

#endif
