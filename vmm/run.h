/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run: the whole procedure around a machine. Every step that changes the host is undone here, in
 * reverse, whatever happened in between.
 *
 * All on one thread: run_start, then run_wait if that went well, then run_end in any case.
 */
#ifndef RUN_H
#define RUN_H

#include "core/err.h"
#include "core/util.h"
#include "machine.h"
#include "verdict.h"
#include "vfio/host.h"

struct run {
	const struct options *options; /* borrowed, as the next */
	int signal_fd;                 /* of the signals that end a run */
	/* Told of `failure` when it happens, before anything is undone. */
	void (*failed)(struct run *run);
	struct err_chain failure; /* the first one; no text: none, or it was logged */

	/* The exit status of the process, as far as it is known. */
	int status;
	struct verdict verdict; /* of a run of one command, whose `status` is that of this one */

	struct vfio_host host;
	struct machine machine;
	bool in_use; /* a guest may have had the devices */
};

/*
 * Checks the host, takes the devices, builds the machine and lets its vCPUs go. `run` is zeroed but
 * for its first three members. Forks before it starts a thread of its own.
 */
int MUST_CHECK run_start(struct run *run);

/* Runs the guest until its end. */
void run_wait(struct run *run);

/*
 * What the guest wrote to its console, if it is the place to look for the reason of the end and was
 * not shown; NULL: it is not. Between run_wait and run_end.
 */
const struct console *run_console(const struct run *run);

/* Destroys the machine and gives the devices back. `status` is final then. */
void run_end(struct run *run);

#endif
