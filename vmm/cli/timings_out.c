/* SPDX-License-Identifier: Apache-2.0 */
/* Shows the record of core/timings.h. Main thread. */
#include "cli/timings_out.h"

#include <stdlib.h>

#include "cli/json_out.h"
#include "core/log.h"
#include "core/timings.h"

#define US_PER_MS 1e3

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
