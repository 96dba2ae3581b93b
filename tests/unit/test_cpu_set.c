/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of CPUs, read and written. */
#include "cmocka_all.h"

#include "core/cpu_set.h"

static void assert_round(const char *in, const char *out, unsigned count)
{
	struct cpu_set set;

	assert_true(cpu_set_parse(in, &set));
	assert_string_equal(cpu_set_text(&set).s, out);
	assert_int_equal(cpu_set_count(&set), count);
}

static void lists_are_read_and_written(void **state)
{
	assert_round("", "", 0);
	assert_round("0", "0", 1);
	assert_round("0-3,8", "0-3,8", 5);
	assert_round("8,0,2,1", "0-2,8", 4);
	assert_round("63-64,8191", "63-64,8191", 3);
}

static void malformed_lists_set_nothing(void **state)
{
	static const char *const bad[] = { "a",   "1,",    ",1",   "1-",  "-1",          "3-1",
					   "1 2", "1-2-3", "8192", "0x1", "99999999999", "0-8192" };
	struct cpu_set set = { { 42 } };

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(cpu_set_parse(bad[i], &set));
	assert_int_equal(set.bits[0], 42);
}

static void long_text_is_cut(void **state)
{
	struct cpu_set set = { 0 };
	struct cpu_set_text text;

	for (unsigned cpu = 1000; cpu < 1400; cpu += 2)
		cpu_set_add(&set, cpu);
	text = cpu_set_text(&set);
	assert_true(strlen(text.s) < CPU_SET_TEXT);
	assert_string_equal(text.s + strlen(text.s) - 4, ",...");
}

static void sets_are_walked_and_combined(void **state)
{
	struct cpu_set a, b;

	assert_true(cpu_set_parse("1,64-66,8191", &a));
	assert_int_equal(cpu_set_next(&a, 0), 1);
	assert_int_equal(cpu_set_next(&a, 2), 64);
	assert_int_equal(cpu_set_next(&a, 67), 8191);
	assert_int_equal(cpu_set_next(&a, 8192), -1);
	assert_false(cpu_set_has(&a, 8192));
	assert_true(cpu_set_parse("65-70", &b));
	cpu_set_drop(&a, &b);
	assert_string_equal(cpu_set_text(&a).s, "1,64,8191");
	cpu_set_join(&a, &b);
	assert_string_equal(cpu_set_text(&a).s, "1,64-70,8191");
	cpu_set_keep(&a, &b);
	assert_string_equal(cpu_set_text(&a).s, "65-70");
}

static void a_thread_is_bound(void **state)
{
	struct cpu_set all, one = { 0 }, now;

	assert_int_equal(cpu_set_allowed(&all), 0);
	cpu_set_add(&one, (unsigned)cpu_set_next(&all, 0));
	assert_int_equal(cpu_set_bind(&one), 0);
	assert_int_equal(cpu_set_allowed(&now), 0);
	assert_memory_equal(&now, &one, sizeof(one));
	assert_int_equal(cpu_set_bind(&all), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_are_read_and_written),
		cmocka_unit_test(malformed_lists_set_nothing),
		cmocka_unit_test(long_text_is_cut),
		cmocka_unit_test(sets_are_walked_and_combined),
		cmocka_unit_test(a_thread_is_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
