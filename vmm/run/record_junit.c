/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record of a run as JUnit's XML; see record.h. What the command did wrong is a failure, what
 * kept it from an end of its own is an error. [XML 1.0 2.2 Characters, 2.4 Character Data and
 * Markup]. Main thread.
 */
#include "core/text.h"
#include "run/record.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

#define US_PER_S 1000000u

/* XML has no way to write the others, not even by number. */
static bool is_character(int32_t c)
{
	return c == '\t' || c == '\n' || c == '\r' || (c >= 0x20 && c <= 0xd7ff) ||
	       (c >= 0xe000 && c <= 0xfffd) || c >= 0x10000;
}

/* A reader makes a space of each end of line in an attribute that is not written as a number. */
static void escape(const char *text, bool in_attribute, FILE *out)
{
	while (*text) {
		size_t len;
		const int32_t c = text_decode(text, &len);

		if (c == '<')
			fputs("&lt;", out);
		else if (c == '>')
			fputs("&gt;", out);
		else if (c == '&')
			fputs("&amp;", out);
		else if (c == '"')
			fputs("&quot;", out);
		else if (c == '\r' || (in_attribute && (c == '\t' || c == '\n')))
			fprintf(out, "&#%d;", c);
		else if (!is_character(c))
			fputs(REPLACEMENT, out);
		else
			fwrite(text, 1, len, out);
		text += len;
	}
}

static void attribute(const char *name, const char *text, FILE *out)
{
	fprintf(out, " %s=\"", name);
	escape(text, true, out);
	putc('"', out);
}

static void out_time(uint64_t us, FILE *out)
{
	fprintf(out, " time=\"%llu.%03llu\"", (unsigned long long)(us / US_PER_S),
		(unsigned long long)(us % US_PER_S / 1000));
}

static void out_counts(const struct verdict *verdict, uint64_t us, FILE *out)
{
	const bool error = !verdict_is_commands(verdict->kind);

	fprintf(out, " tests=\"1\" failures=\"%d\" errors=\"%d\" skipped=\"0\"",
		verdict->kind != VERDICT_PASSED && !error, error);
	out_time(us, out);
}

static void property(const char *name, const char *value, FILE *out)
{
	if (!value[0])
		return;
	fputs("      <property", out);
	attribute("name", name, out);
	attribute("value", value, out);
	fputs("/>\n", out);
}

static void out_properties(const struct record *record, FILE *out)
{
	char status[16];

	fputs("    <properties>\n", out);
	property("verdict", verdict_name(record->verdict.kind), out);
	snprintf(status, sizeof(status), "%d", record->verdict.status);
	property("status", status, out);
	for (unsigned i = 0; i < record->gpu_count; i++) {
		const struct record_gpu *gpu = &record->gpus[i];

		property("gpu", gpu->name.s, out);
		property("gpu.name", gpu->text, out);
		property("gpu.driver", gpu->guest_driver.name, out);
	}
	property("kernel", record->guest_kernel, out);
	fputs("    </properties>\n", out);
}

static void out_end(const struct verdict *verdict, FILE *out)
{
	const char *element = verdict_is_commands(verdict->kind) ? "failure" : "error";

	if (verdict->kind == VERDICT_PASSED)
		return;
	fprintf(out, "      <%s", element);
	attribute("type", verdict_name(verdict->kind), out);
	attribute("message", verdict->reason, out);
	fputs("/>\n", out);
}

static void out_case(const struct record *record, uint64_t us, FILE *out)
{
	fputs("    <testcase classname=\"tinyvmm\" name=\"", out);
	for (unsigned i = 0; i < record->argc; i++) {
		if (i)
			putc(' ', out);
		escape(record->argv[i], true, out);
	}
	putc('"', out);
	out_time(us, out);
	fputs(">\n", out);
	out_end(&record->verdict, out);
	if (record->kernel_log) {
		fputs("      <system-err>", out);
		escape(record->kernel_log, false, out);
		fputs("</system-err>\n", out);
	}
	fputs("    </testcase>\n", out);
}

void record_junit(const struct record *record, FILE *out)
{
	const uint64_t command = record->us[RECORD_COMMAND];
	const uint64_t us = command == RECORD_UNKNOWN ? record->total_us : command;
	char started[32];
	struct tm utc;

	gmtime_r(&record->started.tv_sec, &utc);
	strftime(started, sizeof(started), "%Y-%m-%dT%H:%M:%S", &utc);
	fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites", out);
	out_counts(&record->verdict, us, out);
	fputs(">\n  <testsuite name=\"tinyvmm\"", out);
	out_counts(&record->verdict, us, out);
	attribute("timestamp", started, out);
	attribute("hostname", record->host.nodename, out);
	fputs(">\n", out);
	out_properties(record, out);
	out_case(record, us, out);
	fputs("  </testsuite>\n</testsuites>\n", out);
}
