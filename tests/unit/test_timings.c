/* SPDX-License-Identifier: Apache-2.0 */
/* The record of phases and events, and the two forms in which it is shown. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cmocka_all.h"
#include "core/exit_counts.h"
#include "core/timings.h"
#include "core/timings_out.h"

/* The clock stands still but for what a test adds. */
static uint64_t clock_us;

int __wrap_clock_gettime(clockid_t id, struct timespec *t);
int __wrap_clock_gettime(clockid_t id, struct timespec *t)
{
	t->tv_sec = (time_t)(clock_us / 1000000);
	t->tv_nsec = (long)(clock_us % 1000000 * 1000);
	return 0;
}

static int setup(void **state)
{
	clock_us = 7777777;
	timings_start();
	return 0;
}

static char shown[16384];

static const char *show(enum timings_format format)
{
	FILE *out = fmemopen(shown, sizeof(shown), "w");

	assert_non_null(out);
	timings_out(out, format);
	fclose(out);
	return shown;
}

/* A run in small. */
static void record(void)
{
	clock_us += 100;
	timings_begin("host checks");
	clock_us += 1500;
	timings_end();
	timings_begin("build the machine");
	timings_begin("reset %s", "0000:01:00.0");
	clock_us += 20000;
	timings_end();
	clock_us += 50;
	timings_end();
	timings_mark(TIMINGS_FIRST_INSTRUCTION);
	timings_begin("guest");
	clock_us += 1000000;
}

static void table_has_phases_parts_and_events_in_order(void **state)
{
	record();
	timings_end();
	assert_string_equal(show(TIMINGS_TABLE),
			    "        at       took  timings in ms\n"
			    "       0.1        1.5  host checks\n"
			    "       1.6       20.1  build the machine\n"
			    "       1.6       20.0    reset 0000:01:00.0\n"
			    "      21.6     1000.0  guest\n"
			    "      21.6             * first guest instruction\n");
}

static void phase_that_has_not_ended_says_so(void **state)
{
	record();
	assert_non_null(strstr(show(TIMINGS_TABLE), "1000.0  guest (did not end)\n"));
	assert_non_null(strstr(show(TIMINGS_JSON), "\"took_us\": null"));
}

static void json_has_microseconds(void **state)
{
	timings_begin("host checks");
	clock_us += 1500;
	timings_end();
	timings_mark(TIMINGS_MEMORY_PINNED);
	assert_string_equal(show(TIMINGS_JSON), "{\n"
						"  \"timings\": [\n"
						"    {\n"
						"      \"name\": \"host checks\",\n"
						"      \"kind\": \"phase\",\n"
						"      \"at_us\": 0,\n"
						"      \"took_us\": 1500\n"
						"    },\n"
						"    {\n"
						"      \"name\": \"all memory pinned\",\n"
						"      \"kind\": \"event\",\n"
						"      \"at_us\": 1500,\n"
						"      \"took_us\": null\n"
						"    }\n"
						"  ],\n"
						"  \"exits\": [],\n"
						"  \"other_exits\": 0\n"
						"}\n");
}

static uint64_t read_zero(void *dev, uint64_t off, unsigned len)
{
	return 0;
}

static void write_nothing(void *dev, uint64_t off, unsigned len, uint64_t val)
{
}

static const struct bus_ops ops = { read_zero, write_nothing, "timer" };

/* 1 to 20 exits at each of 20 ports, and 30 of one that belongs to a device. */
static void count_exits(void)
{
	struct bus_range range = { .base = 0x608, .size = 4, .ops = &ops };
	struct exit_counts *counts;
	struct bus bus;

	bus_init(&bus);
	assert_int_equal(bus_add(&bus, &range), 0);
	exit_counts_enable(true);
	counts = exit_counts_create();
	assert_non_null(counts);
	for (unsigned i = 0; i < 30; i++)
		exit_counts_add(counts, false, 0x608, i % 3 == 0);
	for (unsigned port = 1; port <= 20; port++) {
		for (unsigned i = 0; i < port; i++)
			exit_counts_add(counts, false, port, false);
	}
	exit_counts_collect(counts, &bus, &bus);
	bus_remove(&bus, &range);
	bus_fini(&bus);
}

static void exits_are_shown_with_who_handles_them(void **state)
{
	count_exits();
	show(TIMINGS_TABLE);
	assert_non_null(strstr(shown, "     reads     writes  of 240 exits of the guest\n"
				      "        20         10  port 0x608: timer\n"
				      "        20          0  port 0x14: nothing is there\n"));
	/* 14 of the 20 are shown. */
	assert_non_null(strstr(shown, "         7          0  port 0x7: nothing is there\n"
				      "                   21  others\n"));
	show(TIMINGS_JSON);
	assert_non_null(strstr(shown, "      \"space\": \"port\",\n"
				      "      \"address\": 1544,\n"
				      "      \"name\": \"timer\",\n"
				      "      \"reads\": 20,\n"
				      "      \"writes\": 10\n"));
	assert_non_null(strstr(shown, "      \"address\": 1,\n      \"name\": null,\n"));
	assert_non_null(strstr(shown, "  \"other_exits\": 0\n"));
	exit_counts_enable(true); /* forgets them */
}

static void nothing_is_shown_unasked(void **state)
{
	record();
	shown[0] = '\0';
	assert_string_equal(show(TIMINGS_NONE), "");
}

static void first_time_of_an_event_counts(void **state)
{
	struct timings_entry *entries;
	unsigned count;

	timings_mark(TIMINGS_BUS_MASTER); /* at 0 */
	clock_us += 10;
	timings_mark(TIMINGS_BUS_MASTER);
	assert_int_equal(timings_list(&entries, &count), 0);
	assert_int_equal(count, 1);
	assert_true(entries[0].is_event);
	assert_int_equal(entries[0].at_us, 0);
	free(entries);
}

static void *other_thread(void *arg)
{
	timings_begin("pin memory");
	timings_begin("a part");
	timings_end();
	return NULL;
}

static void threads_have_phases_of_their_own(void **state)
{
	struct timings_entry *entries;
	pthread_t thread;
	unsigned count;

	timings_begin("guest");
	assert_int_equal(pthread_create(&thread, NULL, other_thread, NULL), 0);
	pthread_join(thread, NULL);
	clock_us += 10;
	timings_end();
	assert_int_equal(timings_list(&entries, &count), 0);
	assert_int_equal(count, 3);
	assert_string_equal(entries[1].name, "pin memory");
	assert_int_equal(entries[0].depth, 0);
	assert_int_equal(entries[1].depth, 0);
	assert_int_equal(entries[2].depth, 1);
	assert_int_equal(entries[0].took_us, 10);
	assert_true(entries[1].is_open);
	free(entries);
}

static void too_many_and_too_deep_phases_are_left_out(void **state)
{
	struct timings_entry *entries;
	unsigned count;

	for (unsigned i = 0; i < 20; i++)
		timings_begin("deep %u", i);
	for (unsigned i = 0; i < 20; i++)
		timings_end();
	for (unsigned i = 0; i < TIMINGS_PHASES_MAX; i++) {
		timings_begin("flat");
		timings_end();
	}
	timings_mark(TIMINGS_FIRST_EXIT);
	assert_int_equal(timings_list(&entries, &count), 0);
	assert_int_equal(count, TIMINGS_PHASES_MAX + 1);
	assert_int_equal(entries[1].depth, 1);
	assert_int_equal(entries[7].depth, 1);
	assert_int_equal(entries[20].depth, 0);
	free(entries);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(table_has_phases_parts_and_events_in_order),
		TEST(phase_that_has_not_ended_says_so),
		TEST(json_has_microseconds),
		TEST(exits_are_shown_with_who_handles_them),
		TEST(nothing_is_shown_unasked),
		TEST(first_time_of_an_event_counts),
		TEST(threads_have_phases_of_their_own),
		TEST(too_many_and_too_deep_phases_are_left_out),
	};

	return cmocka_run_group_tests_name("timings", tests, NULL, NULL);
}
