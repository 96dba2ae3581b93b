/* SPDX-License-Identifier: Apache-2.0 */
/* The record of timings.h: phases under a lock, events as one atomic each. Any thread. */
#include "core/timings.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"

/* How deep phases of one thread may nest, and the place of one that is not recorded. */
#define OPEN_MAX 8
#define NOWHERE  UINT_MAX

static const char *const event_names[TIMINGS_EVENTS] = {
	[TIMINGS_FIRST_INSTRUCTION] = "first guest instruction",
	[TIMINGS_FIRST_EXIT] = "first exit of the guest",
	[TIMINGS_BUS_MASTER] = "first bus master wanted",
	[TIMINGS_MEMORY_PINNED] = "all memory pinned",
	[TIMINGS_POWER_BUTTON] = "operating system up (ACPI)",
	[TIMINGS_COMMAND_STARTED] = "command started",
	[TIMINGS_COMMAND_ENDED] = "command ended",
};

static uint64_t start_us;
static atomic_uint_least64_t events[TIMINGS_EVENTS]; /* plus 1; 0: not yet */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards the next two */
static struct timings_entry phases[TIMINGS_PHASES_MAX];
static unsigned phase_count;

/* The phases that this thread has open, by their place in `phases`. */
static _Thread_local unsigned open_phases[OPEN_MAX], open_count;

uint64_t timings_now_us(void)
{
	return clock_ns() / NS_PER_US - start_us;
}

void timings_start(void)
{
	start_us = 0;
	start_us = timings_now_us();
	for (unsigned i = 0; i < TIMINGS_EVENTS; i++)
		atomic_store(&events[i], 0);
	pthread_mutex_lock(&lock);
	phase_count = 0;
	pthread_mutex_unlock(&lock);
	open_count = 0;
}

void timings_begin(const char *fmt, ...)
{
	struct timings_entry entry = { .depth = MIN(open_count, 1u), .is_open = true };
	unsigned place = NOWHERE;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(entry.name, sizeof(entry.name), fmt, ap);
	va_end(ap);
	entry.at_us = timings_now_us();
	pthread_mutex_lock(&lock);
	if (phase_count < TIMINGS_PHASES_MAX) {
		place = phase_count++;
		phases[place] = entry;
	}
	pthread_mutex_unlock(&lock);
	if (open_count < OPEN_MAX)
		open_phases[open_count] = place;
	open_count++;
}

void timings_end(void)
{
	const uint64_t now = timings_now_us();
	unsigned place = NOWHERE;

	open_count--;
	if (open_count < OPEN_MAX)
		place = open_phases[open_count];
	if (place == NOWHERE)
		return;
	pthread_mutex_lock(&lock);
	phases[place].is_open = false;
	phases[place].took_us = now - phases[place].at_us;
	pthread_mutex_unlock(&lock);
}

void timings_mark(enum timings_event event)
{
	uint_least64_t never = 0;

	if (atomic_load_explicit(&events[event], memory_order_relaxed) == 0)
		atomic_compare_exchange_strong(&events[event], &never, timings_now_us() + 1);
}

bool timings_event(enum timings_event event, uint64_t *ret_at_us)
{
	const uint64_t at = atomic_load(&events[event]);

	if (at)
		*ret_at_us = at - 1;
	return at;
}

/* Among those that began together, what was recorded first: a phase is before its parts. */
static void sort(struct timings_entry *entries, unsigned count)
{
	for (unsigned i = 1; i < count; i++) {
		const struct timings_entry entry = entries[i];
		unsigned k = i;

		for (; k > 0 && entries[k - 1].at_us > entry.at_us; k--)
			entries[k] = entries[k - 1];
		entries[k] = entry;
	}
}

int timings_list(struct timings_entry **ret_entries, unsigned *ret_count)
{
	struct timings_entry *entries;
	const uint64_t now = timings_now_us();
	unsigned count;

	entries = calloc(TIMINGS_PHASES_MAX + TIMINGS_EVENTS, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	pthread_mutex_lock(&lock);
	count = phase_count;
	memcpy(entries, phases, count * sizeof(*entries));
	pthread_mutex_unlock(&lock);
	for (unsigned i = 0; i < count; i++) {
		if (entries[i].is_open)
			entries[i].took_us = now - entries[i].at_us;
	}
	for (unsigned i = 0; i < TIMINGS_EVENTS; i++) {
		const uint64_t at = atomic_load(&events[i]);

		if (!at)
			continue;
		entries[count].at_us = at - 1;
		entries[count].is_event = true;
		strcpy(entries[count++].name, event_names[i]);
	}
	sort(entries, count);
	*ret_entries = entries;
	*ret_count = count;
	return 0;
}
