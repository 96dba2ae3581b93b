/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_PROCESS_H
#define GUEST_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

struct job;

/*
 * Begins the command's process, with `fds` as its standard streams, which are a terminal's or not.
 * When it returns, that is the command, or the host knows why it is not.
 */
pid_t process_start(const struct job *job, const int fds[3], bool terminal);

#endif
