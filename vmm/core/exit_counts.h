/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the guest's exits to this process went: each vCPU counts its own, without locks, and leaves
 * its counts to one record for the process when it has stopped. Off until switched on, before the
 * vCPUs are made; shown by vmm/timings_out.h.
 */
#ifndef CORE_EXIT_COUNTS_H
#define CORE_EXIT_COUNTS_H

#include "core/bus.h"
#include "core/util.h"

/* Places that a vCPU tells apart; what a guest touches beyond them is counted together. */
#define EXIT_COUNTS_PLACES 1024u
#define EXIT_COUNTS_PROBES 8u

/* A port, or a page of memory. */
struct exit_place {
	uint64_t key; /* 0: unused; see exit_counts_add */
	uint64_t reads, writes;
};

struct exit_counts {
	struct exit_place places[EXIT_COUNTS_PLACES];
	struct exit_place rest;
};

/* Main thread, as is all below but exit_counts_add. Forgets what was recorded. */
void exit_counts_enable(bool enable);

/* NULL if switched off, and if there is no memory. */
struct exit_counts *exit_counts_create(void);

#define EXIT_MEMORY     (UINT64_C(1) << 63)
#define EXIT_USED       (UINT64_C(1) << 62)
#define EXIT_PAGE_SHIFT 12

/* One access. `counts` may be NULL. The vCPU's thread. */
static inline void exit_counts_add(struct exit_counts *counts, bool memory, uint64_t addr,
				   bool is_write)
{
	struct exit_place *place;
	uint64_t key, slot;

	if (__builtin_expect(!counts, 1))
		return;
	key = EXIT_USED | (memory ? EXIT_MEMORY | addr >> EXIT_PAGE_SHIFT : addr);
	/* Fibonacci hashing: neighbours go far apart. */
	slot = key * UINT64_C(0x9e3779b97f4a7c15) >> 54;
	place = &counts->rest;
	for (unsigned i = 0; i < EXIT_COUNTS_PROBES; i++) {
		struct exit_place *p = &counts->places[(slot + i) % EXIT_COUNTS_PLACES];

		if (p->key == key || !p->key) {
			p->key = key;
			place = p;
			break;
		}
	}
	if (is_write)
		place->writes++;
	else
		place->reads++;
}

/* Adds a stopped vCPU's counts to the record, named by what is on the buses now, and frees them. */
void exit_counts_collect(struct exit_counts *counts, struct bus *pio, struct bus *mmio);

/* A line of the record: a port, or all of a range of memory. */
struct exit_counts_entry {
	const char *name; /* of the range's handler; NULL: nobody's */
	bool memory;
	uint64_t addr;
	uint64_t reads, writes;
};

#define EXIT_COUNTS_ENTRIES_MAX 256u

/* The record, the most exits first, and what found no place in it. Valid until the next collect. */
const struct exit_counts_entry *exit_counts_list(unsigned *ret_count, uint64_t *ret_rest);

#endif
