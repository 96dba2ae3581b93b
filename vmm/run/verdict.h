/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What came of a run, of one command above all: one verdict, the exit status that goes with it, and one
 * sentence that says why. docs/command.md has the list for users. Pure, main thread.
 */
#ifndef VERDICT_H
#define VERDICT_H

#include "command/session.h"
#include "core/err.h"
#include "core/util.h"
#include "machine/machine.h"
#include "run/run_status.h"

enum verdict_kind {
	/* The command's own: it ran, and ended. */
	VERDICT_PASSED,
	VERDICT_FAILED,
	VERDICT_SIGNALED,
	/* It did not run. */
	VERDICT_NOT_STARTED,
	VERDICT_NOT_FOUND,
	VERDICT_NOT_EXECUTABLE,
	/* It had no end of its own. */
	VERDICT_POWERED_OFF,
	VERDICT_PANIC,
	VERDICT_OUT_OF_MEMORY,
	VERDICT_TIMED_OUT,
	VERDICT_KILLED,
	VERDICT_QUIT,
	VERDICT_GPU_ERROR,
	VERDICT_GPU_GONE,
	VERDICT_GPU_NOT_RESET,
	VERDICT_GPU_NOT_RETURNED,
	VERDICT_OUTPUT_LOST,
	VERDICT_RECORD_LOST,
	VERDICT_HOST_FAILED,
	VERDICTS,
};

struct verdict {
	enum verdict_kind kind;
	int status;        /* of the process */
	int signal;        /* that ended the command, or us; 0: none */
	bool told;         /* `reason` has been printed where it happened, or needs no words */
	char reason[1600]; /* one sentence without its full stop; never empty */
};

/* "out-of-memory": for programs, and never another. */
const char *verdict_name(enum verdict_kind kind);
/* Whether the command itself came to its end, well or not: what a test's result is made of. */
bool verdict_is_commands(enum verdict_kind kind);

/* Of a machine that ran. `end_signal` belongs to MACHINE_KILLED. */
struct verdict verdict_of_end(enum machine_end end, const struct session_result *result,
			      int end_signal);

/* Of one without a command: why the guest runs no more. Not MACHINE_KILLED or _FAILED. */
struct verdict verdict_of_guest(enum machine_end end);

/* Of a failure of ours, which has been printed. `ran`: the guest had begun. */
struct verdict verdict_of_failure(const struct err_chain *chain, bool ran);
/* A signal came before the guest began. */
struct verdict verdict_of_signal(int signal);

/*
 * Something went wrong behind the end, and has been printed. What the command has to say counts
 * first: only what went well becomes `kind`, which is of the host or of a device.
 */
void verdict_spoil(struct verdict *verdict, enum verdict_kind kind);

#endif
