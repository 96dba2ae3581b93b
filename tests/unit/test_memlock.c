/* SPDX-License-Identifier: Apache-2.0 */
/* What counts against the limit of locked memory, from a /proc of files. */
#include "cmocka_all.h"

#include <stdio.h>

#include "temp_dir.h"
#include "vfio/memlock.h"

static struct temp_dir dir;

static int setup(void **state)
{
	temp_dir_init(&dir);
	return 0;
}

static int teardown(void **state)
{
	temp_dir_fini(&dir);
	return 0;
}

static void add_process(const char *pid, unsigned uid, unsigned locked, unsigned pinned)
{
	char name[32], text[256];

	temp_subdir(&dir, pid);
	snprintf(name, sizeof(name), "%s/status", pid);
	snprintf(text, sizeof(text),
		 "Name:\ttest\nUid:\t%u\t0\t0\t0\nVmLck:\t%8u kB\nVmPin:\t%8u kB\n", uid, locked,
		 pinned);
	temp_file(&dir, name, text, strlen(text));
}

static void pinned_memory_is_summed_over_the_user_s_processes(void **state)
{
	const unsigned uid = getuid();

	assert_int_equal(memlock_of_user(dir.path), 0);
	add_process("1", uid + 1, 7, 1000);
	add_process("90", uid, 7, 20);
	add_process("812", uid, 7, 300);
	/* The same as one of them, under another name. */
	add_process("self", uid, 7, 300);
	assert_int_equal(memlock_of_user(dir.path), 320 * KiB);
}

static void locked_memory_is_the_process_s_own(void **state)
{
	assert_int_equal(memlock_of_process(dir.path), 0);
	add_process("90", getuid(), 7, 20);
	add_process("self", getuid(), 12, 300);
	assert_int_equal(memlock_of_process(dir.path), 12 * KiB);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(pinned_memory_is_summed_over_the_user_s_processes),
		T(locked_memory_is_the_process_s_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
