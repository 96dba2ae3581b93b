/* SPDX-License-Identifier: Apache-2.0 */
/* Shows the record of core/timings.h. Main thread. */
#include "core/timings_out.h"

#include <stdlib.h>

#include "core/exit_counts.h"
#include "core/json_out.h"
#include "core/log.h"
#include "core/timings.h"

#define US_PER_MS 1e3

/* More are for programs. */
#define TABLE_EXITS 15u

static uint64_t exits_of(const struct exit_counts_entry *e)
{
	return e->reads + e->writes;
}

static void out_exits_table(FILE *out)
{
	uint64_t total, rest;
	unsigned count;
	const struct exit_counts_entry *entries = exit_counts_list(&count, &rest);

	total = rest;
	for (unsigned i = 0; i < count; i++) {
		total += exits_of(&entries[i]);
		if (i >= TABLE_EXITS)
			rest += exits_of(&entries[i]);
	}
	if (!total)
		return;
	fprintf(out, "%10s %10s  of %llu exits of the guest\n", "reads", "writes",
		(unsigned long long)total);
	for (unsigned i = 0; i < MIN(count, TABLE_EXITS); i++) {
		const struct exit_counts_entry *e = &entries[i];

		fprintf(out, "%10llu %10llu  %s 0x%llx: %s\n", (unsigned long long)e->reads,
			(unsigned long long)e->writes, e->memory ? "memory" : "port",
			(unsigned long long)e->addr, e->name ? e->name : "nothing is there");
	}
	if (rest)
		fprintf(out, "%21llu  others\n", (unsigned long long)rest);
}

static void out_exits_json(struct json_out *json)
{
	uint64_t rest;
	unsigned count;
	const struct exit_counts_entry *entries = exit_counts_list(&count, &rest);

	json_out_array(json, "exits");
	for (unsigned i = 0; i < count; i++) {
		const struct exit_counts_entry *e = &entries[i];

		json_out_object(json, NULL);
		json_out_string(json, "space", e->memory ? "memory" : "port");
		json_out_number(json, "address", e->addr);
		json_out_string(json, "name", e->name);
		json_out_number(json, "reads", e->reads);
		json_out_number(json, "writes", e->writes);
		json_out_end(json);
	}
	json_out_end(json);
	json_out_number(json, "other_exits", rest);
}

static void out_table(FILE *out, const struct timings_entry *entries, unsigned count)
{
	fprintf(out, "%10s %10s  timings in ms\n", "at", "took");
	for (unsigned i = 0; i < count; i++) {
		const struct timings_entry *e = &entries[i];

		fprintf(out, "%10.1f ", (double)e->at_us / US_PER_MS);
		if (e->is_event)
			fprintf(out, "%10s  * %s\n", "", e->name);
		else
			fprintf(out, "%10.1f  %s%s%s\n", (double)e->took_us / US_PER_MS,
				e->depth ? "  " : "", e->name, e->is_open ? " (did not end)" : "");
	}
	out_exits_table(out);
}

static void out_json(FILE *out, const struct timings_entry *entries, unsigned count)
{
	struct json_out json;

	json_out_init(&json, out);
	json_out_object(&json, NULL);
	json_out_array(&json, "timings");
	for (unsigned i = 0; i < count; i++) {
		const struct timings_entry *e = &entries[i];

		json_out_object(&json, NULL);
		json_out_string(&json, "name", e->name);
		json_out_string(&json, "kind", e->is_event ? "event" : e->depth ? "part" : "phase");
		json_out_number(&json, "at_us", e->at_us);
		if (e->is_event || e->is_open)
			json_out_null(&json, "took_us");
		else
			json_out_number(&json, "took_us", e->took_us);
		json_out_end(&json);
	}
	json_out_end(&json);
	out_exits_json(&json);
	json_out_end(&json);
	json_out_fini(&json);
}

void timings_out(FILE *out, enum timings_format format)
{
	struct timings_entry *entries = NULL;
	unsigned count = 0;

	if (format == TIMINGS_NONE)
		return;
	if (timings_list(&entries, &count) < 0) {
		log_warn("no timings: out of memory");
		return;
	}
	if (format == TIMINGS_JSON)
		out_json(out, entries, count);
	else
		out_table(out, entries, count);
	free(entries);
}
