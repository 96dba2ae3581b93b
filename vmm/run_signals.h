/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The signals of a process that has a machine and nothing else to do: what ends it comes through a
 * file, so that none can end the process between taking a device and giving it back. And of one
 * with more to do. All is for the thread that calls, and those that it makes later.
 */
#ifndef RUN_SIGNALS_H
#define RUN_SIGNALS_H

#include <signal.h>

#include "core/util.h"

/*
 * From here on none of them does anything by itself. SIGCHLD does, whatever our parent did:
 * ignored, it would take the exit status of our children from us.
 */
void run_signals_hold(sigset_t *ret_old); /* NULL: nobody wants to know */

/* Holds them; what ends a run can be read from the file. `ret_old` as above, also on failure. */
int MUST_CHECK run_signals_open(sigset_t *ret_old, int *ret_fd);

/*
 * For a process with more to do: what a write to a closed pipe or to a file that is too large sends
 * to the thread that does it. From _begin to _end it is an error of the write, and nothing else.
 */
struct run_quiet {
	sigset_t set, before;
};
void run_quiet_begin(struct run_quiet *quiet);
void run_quiet_end(const struct run_quiet *quiet);

#endif
