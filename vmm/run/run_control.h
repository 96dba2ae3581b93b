/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What makes a run one that others can reach: its folder, its control socket, and for one in the
 * background its log. Main thread.
 */
#ifndef RUN_CONTROL_H
#define RUN_CONTROL_H

#include "control/run_folder.h"
#include "control/run_log.h"
#include "machine/console.h"
#include "machine/machine_control.h"

struct run_control {
	struct run_folder folder;
	struct control *control; /* NULL: none */
	struct run_log log;      /* file -1: none */
	struct machine *machine; /* borrowed */
	struct machine_listener listener;
	struct console_tap tap;
};

/*
 * By options->name and options->detach, before anything else of the run; nothing, if neither is
 * given. `machine` and `rc` are zeroed.
 */
int MUST_CHECK run_control_init(struct run_control *rc, struct machine *machine,
				const struct options *options);
/* In the main loop's first turn: all that can fail at the start has gone well. */
void run_control_started(struct run_control *rc);
/* Tells the end, and removes all that the run left; accepts a zeroed one. */
void run_control_fini(struct run_control *rc, int status);

#endif
