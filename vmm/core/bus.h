/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest address space of trapped accesses: ranges, each with a handler. The machine has two, for
 * ports and for memory.
 *
 * Handlers run on the accessing vCPU's thread, several at once, and without the bus's lock: a
 * handler may add and remove ranges (a write to a BAR moves one), and guards its device with the
 * device's own lock. A range may therefore be entered once more just after its removal by another
 * vCPU; ranges live inside devices, which live as long as the bus.
 */
#ifndef CORE_BUS_H
#define CORE_BUS_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/util.h"

/* `off` is relative to the range; off + len never passes its end. len is 1, 2, 4 or 8. */
struct bus_ops {
	uint64_t (*read)(void *dev, uint64_t off, unsigned len);
	void (*write)(void *dev, uint64_t off, unsigned len, uint64_t val);
	const char *name; /* for people; may be NULL */
};

struct bus_range {
	uint64_t base, size;
	const struct bus_ops *ops;
	void *dev;
	/* The bus's lock. */
	bool added, waiting;
	struct bus_range *next; /* that waits */
};

#define BUS_RANGES_MAX 512

struct bus {
	pthread_rwlock_t lock;
	atomic_ulong generation;                  /* changes with the ranges; 0: there were none */
	struct bus_range *ranges[BUS_RANGES_MAX]; /* sorted by base, never overlapping */
	unsigned count;
	struct bus_range *waiting; /* a list, the longest wait first */
};

void bus_init(struct bus *bus);
void bus_fini(struct bus *bus);

/*
 * Adds `range`, which stays the caller's and must outlive the bus or be removed. -EEXIST if it
 * overlaps another, -ENOSPC if the table is full, -EINVAL if it is empty or wraps; a guest can
 * cause all three through a BAR, so none of them sets the error chain.
 */
int MUST_CHECK bus_add(struct bus *bus, struct bus_range *range);
/*
 * The same for a range at an address of the guest's choice: one that overlaps another (-EEXIST) is
 * added as soon as it does not any more.
 */
int MUST_CHECK bus_add_or_wait(struct bus *bus, struct bus_range *range);
/* Not added: does nothing, but that it ends the wait. */
void bus_remove(struct bus *bus, struct bus_range *range);
bool bus_has(struct bus *bus, const struct bus_range *range); /* added, and not waiting */

/*
 * The name and the base of the first range in [addr, addr + len); NULL and *ret_base untouched
 * where there is none.
 */
const char *bus_name(struct bus *bus, uint64_t addr, uint64_t len, uint64_t *ret_base);

/* Any address, len 1..8. An access that no range covers whole reads all ones and writes nowhere. */
uint64_t bus_read(struct bus *bus, uint64_t addr, unsigned len);
void bus_write(struct bus *bus, uint64_t addr, unsigned len, uint64_t val);

#endif
