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

/* How it was before. */
struct run_signals {
	sigset_t mask;
	struct sigaction child;
};

/*
 * From here on none of them does anything by itself. SIGCHLD does, whatever our parent did:
 * ignored, it would take the exit status of our children from us.
 */
void run_signals_hold(struct run_signals *ret_before);

/*
 * Forgets what came meanwhile and was to do nothing. What ends a process and came too late for the
 * run does it now.
 */
void run_signals_release(const struct run_signals *before);

/* Holds them; what ends a run can be read from the file. On failure all is as before. */
int MUST_CHECK run_signals_open(struct run_signals *ret_before, int *ret_fd);

/*
 * For a process with more to do: what a write to a closed pipe or to a file that is too large sends
 * to the thread that does it. From _begin to _end it is an error of the write, and nothing else.
 */
struct run_quiet {
	sigset_t before;
};
void run_quiet_begin(struct run_quiet *quiet);
void run_quiet_end(const struct run_quiet *quiet);

#endif
