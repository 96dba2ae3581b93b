/* SPDX-License-Identifier: Apache-2.0 */
/* What --timings shows; docs/options.md describes it. Main thread. */
#ifndef TIMINGS_OUT_H
#define TIMINGS_OUT_H

#include <stdio.h>

enum timings_format {
	TIMINGS_NONE,
	TIMINGS_TABLE, /* milliseconds, for people */
	TIMINGS_JSON,  /* microseconds, one document */
};

/*
 * What core/timings.h and core/exit_counts.h have recorded so far. Out of memory: says so in its
 * place.
 */
void timings_out(FILE *out, enum timings_format format);

#endif
