/* SPDX-License-Identifier: Apache-2.0 */
/* Messages that a guest can cause are few, for each guest. */
#include "core/log.h"

#include <pthread.h>

#include "cmocka_all.h"

static atomic_uint lines;

static void count_line(void *opaque, enum log_level level, const char *text)
{
	atomic_fetch_add(&lines, 1);
}

static int setup(void **state)
{
	log_set_sink(count_line, NULL);
	log_set_level(LOG_INFO);
	log_begin_machine();
	atomic_store(&lines, 0);
	return 0;
}

static int teardown(void **state)
{
	log_set_sink(NULL, NULL);
	return 0;
}

static void complain(unsigned times)
{
	for (unsigned i = 0; i < times; i++)
		log_guest("the guest did it");
}

static void guest_fills_no_log(void **state)
{
	complain(LOG_LIMIT - 1);
	assert_int_equal(lines, LOG_LIMIT - 1);
	complain(100);
	assert_int_equal(lines, LOG_LIMIT + 1); /* the last one: that there is more */
	/* Another place has its own. */
	log_guest("it did something else");
	assert_int_equal(lines, LOG_LIMIT + 2);
}

/* In one process, one after the other. */
static void next_machine_is_heard_again(void **state)
{
	complain(100);
	log_begin_machine();
	complain(2);
	assert_int_equal(lines, LOG_LIMIT + 1 + 2);
	for (unsigned i = 0; i < 1000; i++)
		log_begin_machine();
	complain(100);
	assert_int_equal(lines, 2 * (LOG_LIMIT + 1) + 2);
}

static void what_is_not_shown_does_not_count(void **state)
{
	log_set_level(LOG_ERROR);
	complain(100);
	log_set_level(LOG_INFO);
	complain(1);
	assert_int_equal(lines, 1);
}

static void *complain_often(void *arg)
{
	complain(1000);
	return NULL;
}

static void limit_is_that_of_all_threads(void **state)
{
	pthread_t threads[4];

	for (unsigned i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, complain_often, NULL), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(lines, LOG_LIMIT + 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(guest_fills_no_log),
		TEST(next_machine_is_heard_again),
		TEST(what_is_not_shown_does_not_count),
		TEST(limit_is_that_of_all_threads),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
