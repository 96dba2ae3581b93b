/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gathers the record of a run (record.h) while it goes, and writes it where --json and --junit say.
 * A run without a command has none, and all of this does nothing. Main thread.
 */
#ifndef RUN_RECORD_H
#define RUN_RECORD_H

#include "core/util.h"
#include "run/record.h"
#include "run/record_file.h"

struct options;
struct run;

struct run_record {
	struct record record;
	struct record_file json, junit;
};

/*
 * Before the run, so that a record that could not be written fails it now. ERR_FILE; the one that
 * can be written is then open all the same.
 */
int MUST_CHECK run_record_open(struct run_record *rec, const struct options *options);

/* Between run_wait and run_end, or when run_start has failed: what is gone after the end. */
void run_record_guest(struct run_record *rec, const struct run *run);

/* After run_end; a run that passed, and whose record cannot be written, has not. */
void run_record_end(struct run_record *rec, struct run *run);

/* For a wrong command line, by the error chain, which has been printed. */
void run_record_refuse(int argc, char *const argv[]);

#endif
