/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run: the whole procedure around a machine. Every step that changes the host is undone here, in
 * reverse, whatever happened in between.
 *
 * All on one thread: run_start, then run_wait if that went well, then run_end in any case.
 */
#ifndef RUN_H
#define RUN_H

#include <stdatomic.h>

#include "command/session.h"
#include "core/err.h"
#include "core/util.h"
#include "machine/machine.h"
#include "run/run_control.h"
#include "run/verdict.h"
#include "vfio/host.h"

struct run {
	struct options *options; /* borrowed, as the next two; `--gpu any` gets its address there */
	int signal_fd;           /* of the signals that end a run; -1: none do */
	struct session_files files; /* the console's, or the command's */
	/* Set by any thread: before the guest starts it ends the run, as SIGTERM would. */
	atomic_bool stop;

	struct err_chain failure; /* the first one, which is logged; no text: there was none */
	struct verdict verdict;   /* its status is the process's; as far as it is known */

	struct vfio_host host;
	struct machine machine;
	struct run_control control; /* of one with a name; ended by the owner, who tells its end */
	bool in_use; /* a guest may have had the devices */
};

/*
 * Checks the host, takes the devices, builds the machine and lets its vCPUs go. `run` is zeroed but
 * for its first four members and who listens to the machine. Forks before it starts a thread of its
 * own.
 */
int MUST_CHECK run_start(struct run *run);

/* Runs the guest until its end. */
void run_wait(struct run *run);

/*
 * What the guest wrote to its console, if it is the place to look for the reason of the end and was
 * not shown; NULL: it is not. Between run_wait and run_end.
 */
const struct console *run_console(const struct run *run);

/* In place of run_start: by the error chain, before anything was begun. */
void run_refuse(struct run *run);

/* Destroys the machine and gives the devices back. `verdict` is final then. */
void run_end(struct run *run);

#endif
