/* SPDX-License-Identifier: Apache-2.0 */
/* When a guest that waits for memory is at an end, and when it only reads much. */
#include "guest/agent.h"

#include <stdio.h>

#include "cmocka_all.h"

/* /proc/meminfo; KiB. */
static bool is_want_of(unsigned total, unsigned free, unsigned active, unsigned inactive)
{
	char text[512];

	snprintf(text, sizeof(text),
		 "MemTotal:      %9u kB\n"
		 "MemFree:        %8u kB\n"
		 "MemAvailable:          0 kB\n"
		 "Active:           150000 kB\n"
		 "Inactive:          40000 kB\n"
		 "Active(anon):     150000 kB\n"
		 "Inactive(anon):    30000 kB\n"
		 "Active(file):   %8u kB\n"
		 "Inactive(file): %8u kB\n",
		 total, free, active, inactive);
	return pressure_is_want(text);
}

/* Of a guest of 256 MiB. */
static bool is_want(unsigned free, unsigned active, unsigned inactive)
{
	return is_want_of(204800, free, active, inactive);
}

static void memory_full_of_what_cannot_be_dropped_is_want(void **state)
{
	assert_true(is_want(3000, 500, 700));
	assert_true(is_want(0, 0, 0));
}

static void memory_full_of_files_is_no_want(void **state)
{
	assert_false(is_want(3000, 60000, 90000));
	assert_false(is_want(3000, 0, 90000));
	assert_false(is_want(3000, 90000, 0));
	assert_false(is_want(90000, 0, 0));
}

/* 256 GiB of which 4 are left: who still finds that does not want. */
static void much_is_no_want_however_large_the_guest(void **state)
{
	const unsigned gib = 1024 * 1024;

	assert_false(is_want_of(256 * gib, 4 * gib, 0, 0));
	assert_false(is_want_of(256 * gib, gib / 8, gib / 16, gib / 16));
	assert_true(is_want_of(256 * gib, gib / 8, gib / 16, gib / 16 - 1));
}

/* A kernel that says something else is left alone. */
static void nonsense_is_no_want(void **state)
{
	assert_false(pressure_is_want(""));
	assert_false(pressure_is_want("MemTotal"));
	assert_false(pressure_is_want("MemTotal: x"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_full_of_what_cannot_be_dropped_is_want),
		cmocka_unit_test(memory_full_of_files_is_no_want),
		cmocka_unit_test(much_is_no_want_however_large_the_guest),
		cmocka_unit_test(nonsense_is_no_want),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
