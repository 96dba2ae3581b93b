/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When each part of a run happened: phases of the host's work, and events that the guest causes.
 * Always recorded, because it costs next to nothing; shown on request (vmm/timings_out.h). One
 * record for the process, like the log. Any thread.
 */
#ifndef CORE_TIMINGS_H
#define CORE_TIMINGS_H

#include "core/util.h"

#define TIMINGS_PHASES_MAX 160 /* further ones are left out */
#define TIMINGS_NAME_SIZE  40

/* In the order in which they usually come. */
enum timings_event {
	TIMINGS_FIRST_INSTRUCTION, /* vCPU 0 enters the guest */
	TIMINGS_FIRST_EXIT,        /* and comes back for the first time: firmware runs */
	TIMINGS_BUS_MASTER,        /* the guest wants a passed-through device to reach memory */
	TIMINGS_MEMORY_PINNED,     /* from here on it can */
	TIMINGS_POWER_BUTTON,      /* an operating system listens to the power button */
	TIMINGS_COMMAND_STARTED,   /* the guest's agent says so, */
	TIMINGS_COMMAND_ENDED,     /* or how it ended */
	TIMINGS_EVENTS,
};

struct timings_entry {
	char name[TIMINGS_NAME_SIZE];
	unsigned depth;         /* 1: a part of the phase before */
	bool is_event, is_open; /* an instant; a phase that has not ended */
	uint64_t at_us, took_us;
};

/* The beginning of time: first thing in main. Forgets what was recorded. */
void timings_start(void);

/*
 * A phase of the calling thread, up to its timings_end. Phases of one thread nest; what is deeper
 * than one level is shown as if it were at that level.
 */
void timings_begin(const char *fmt, ...) PRINTF_LIKE(1, 2);
void timings_end(void);

/* The first time counts. Cheap enough for what a guest can do at will. */
void timings_mark(enum timings_event event);

/* When it happened, if it did. */
bool timings_event(enum timings_event event, uint64_t *ret_at_us);
/* Since the beginning of time. */
uint64_t timings_now_us(void);

/* What is recorded so far, by its beginning; free() it. -ENOMEM without an error chain. */
int MUST_CHECK timings_list(struct timings_entry **ret_entries, unsigned *ret_count);

#endif
