/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where standard output and standard error of a run in the background go: a file of bounded size in
 * the run's folder, and the one before it. A thread of its own moves what is written, by whomever
 * in this process, from a pipe to the file. Main thread.
 */
#ifndef RUN_LOG_H
#define RUN_LOG_H

#include "control/run_folder.h"
#include "core/loop.h"
#include "core/util.h"

/* Of one file: when it is full it becomes the old one, whose place it takes. */
#define RUN_LOG_MAX (1 * MiB)

struct run_log {
	const struct run_folder *folder; /* borrowed */
	int file;                        /* -1: none */
	uint64_t size;
	struct loop loop;
	struct loop_source pipe; /* fd 0: not started */
};

/* Standard output is the file from now on; no thread yet. */
int MUST_CHECK run_log_open(struct run_log *log, const struct run_folder *folder);
/* Standard error is, too, and the file's size is bounded. */
int MUST_CHECK run_log_start(struct run_log *log);
/* What was written until now is in the file, and what comes goes there without a thread. */
void run_log_stop(struct run_log *log);
void run_log_close(struct run_log *log);

#endif
