/* SPDX-License-Identifier: Apache-2.0 */
/* The record of exits by place; see exit_counts.h. Main thread. */
#include "core/exit_counts.h"

#include <stdlib.h>

static bool enabled;
static struct exit_counts_entry entries[EXIT_COUNTS_ENTRIES_MAX];
static unsigned entry_count;
static uint64_t rest;

void exit_counts_enable(bool enable)
{
	enabled = enable;
	entry_count = 0;
	rest = 0;
}

struct exit_counts *exit_counts_create(void)
{
	_Static_assert(EXIT_COUNTS_PLACES == 1u << (64 - 54), "the hash is of 10 bits");

	return enabled ? calloc(1, sizeof(struct exit_counts)) : NULL;
}

static void add_entry(const struct exit_counts_entry *new)
{
	for (unsigned i = 0; i < entry_count; i++) {
		struct exit_counts_entry *e = &entries[i];

		if (e->memory == new->memory && e->addr == new->addr && e->name == new->name) {
			e->reads += new->reads;
			e->writes += new->writes;
			return;
		}
	}
	if (entry_count < EXIT_COUNTS_ENTRIES_MAX)
		entries[entry_count++] = *new;
	else
		rest += new->reads + new->writes;
}

void exit_counts_collect(struct exit_counts *counts, struct bus *pio, struct bus *mmio)
{
	if (!counts)
		return;
	for (unsigned i = 0; i < EXIT_COUNTS_PLACES; i++) {
		const struct exit_place *place = &counts->places[i];
		struct exit_counts_entry entry = {
			.memory = place->key & EXIT_MEMORY,
			.addr = place->key & ~(EXIT_MEMORY | EXIT_USED),
			.reads = place->reads,
			.writes = place->writes,
		};
		uint64_t base;

		if (!place->key)
			continue;
		if (entry.memory)
			entry.addr <<= EXIT_PAGE_SHIFT;
		base = entry.addr;
		entry.name = bus_name(entry.memory ? mmio : pio, entry.addr,
				      entry.memory ? UINT64_C(1) << EXIT_PAGE_SHIFT : 1, &base);
		if (entry.memory)
			entry.addr = base;
		add_entry(&entry);
	}
	rest += counts->rest.reads + counts->rest.writes;
	free(counts);
}

static int compare(const void *left, const void *right)
{
	const struct exit_counts_entry *a = left, *b = right;
	const uint64_t count_a = a->reads + a->writes, count_b = b->reads + b->writes;

	if (count_a != count_b)
		return count_a < count_b ? 1 : -1;
	return a->addr < b->addr ? -1 : a->addr > b->addr;
}

const struct exit_counts_entry *exit_counts_list(unsigned *ret_count, uint64_t *ret_rest)
{
	qsort(entries, entry_count, sizeof(entries[0]), compare);
	*ret_count = entry_count;
	*ret_rest = rest;
	return entries;
}
