/* SPDX-License-Identifier: Apache-2.0 */
/* Which reserved pages are chosen, and what is said when there are too few. */
#include <errno.h>
#include <stdio.h>

#include "cmocka_all.h"
#include "core/err.h"
#include "core/hugepages.h"

/* Pages of 2 MiB and of 1 GiB. */
static struct pool {
	bool absent;
	unsigned total, free, promised;
} small, large;

int __wrap_sys_read_text(const char *path, char *buf, size_t size);
int __wrap_sys_read_text(const char *path, char *buf, size_t size)
{
	const struct pool *pool = strstr(path, "hugepages-2048kB/")      ? &small
				  : strstr(path, "hugepages-1048576kB/") ? &large
									 : NULL;

	assert_non_null(pool);
	if (pool->absent)
		return -ENOENT;
	snprintf(buf, size, "%u",
		 strstr(path, "/free_hugepages")   ? pool->free
		 : strstr(path, "/resv_hugepages") ? pool->promised
						   : pool->total);
	return 0;
}

static int setup(void **state)
{
	small = large = (struct pool){ 0 };
	err_clear();
	return 0;
}

static uint64_t chosen(enum hugepages_mode mode, uint64_t memory)
{
	uint64_t size = 1;

	assert_int_equal(hugepages_choose(mode, memory, &size), 0);
	return size;
}

static void auto_takes_the_largest_that_suffice(void **state)
{
	assert_int_equal(chosen(HUGEPAGES_AUTO, 4 * GiB), 0);
	small = (struct pool){ .total = 2048, .free = 2048 };
	assert_int_equal(chosen(HUGEPAGES_AUTO, 4 * GiB), 2 * MiB);
	assert_int_equal(chosen(HUGEPAGES_AUTO, 4 * GiB + 2 * MiB), 0);
	large = (struct pool){ .total = 3, .free = 3 };
	assert_int_equal(chosen(HUGEPAGES_AUTO, 4 * GiB), 2 * MiB);
	assert_int_equal(chosen(HUGEPAGES_AUTO, 3 * GiB), GiB);
	assert_int_equal(chosen(HUGEPAGES_AUTO, 3 * GiB - 2 * MiB), 2 * MiB);
}

static void promised_pages_are_not_free(void **state)
{
	small = (struct pool){ .total = 2048, .free = 2048, .promised = 1 };
	assert_int_equal(chosen(HUGEPAGES_AUTO, 4 * GiB), 0);
	small.promised = 3000;
	assert_int_equal(chosen(HUGEPAGES_AUTO, 64 * MiB), 0);
}

static void off_takes_none(void **state)
{
	small = (struct pool){ .total = 2048, .free = 2048 };
	assert_int_equal(chosen(HUGEPAGES_OFF, GiB), 0);
}

static void size_asked_for_is_taken_and_no_other(void **state)
{
	small = (struct pool){ .total = 2048, .free = 2048 };
	large = (struct pool){ .total = 4, .free = 4 };
	assert_int_equal(chosen(HUGEPAGES_2M, 4 * GiB), 2 * MiB);
	assert_int_equal(chosen(HUGEPAGES_1G, 4 * GiB), GiB);
}

static void missing_pages_are_counted(void **state)
{
	uint64_t size = 1;

	small = (struct pool){ .total = 1500, .free = 1100, .promised = 100 };
	assert_int_equal(hugepages_choose(HUGEPAGES_2M, 4 * GiB, &size), -ENOMEM);
	assert_int_equal(size, 1);
	assert_int_equal(err_kind(), ERR_LIMIT);
	assert_string_equal(err_text(), "--hugepages 2M: the guest's memory takes 2048 pages, and "
					"1000 are free: 1048 are missing");
	/* What is there already counts. */
	assert_non_null(strstr(err_hint_text(), "'echo 2548 > /sys/kernel/mm/hugepages/"
						"hugepages-2048kB/nr_hugepages'"));
}

static void host_without_the_size_is_told(void **state)
{
	uint64_t size;

	large.absent = true;
	assert_int_equal(hugepages_choose(HUGEPAGES_1G, 4 * GiB, &size), -ENOTSUP);
	assert_int_equal(err_kind(), ERR_HOST);
	assert_string_equal(err_text(), "--hugepages 1G: this host has no pages of that size");
	small.absent = true;
	assert_int_equal(chosen(HUGEPAGES_AUTO, 4 * GiB), 0);
}

static void memory_that_is_no_multiple_is_refused(void **state)
{
	uint64_t size;

	large = (struct pool){ .total = 8, .free = 8 };
	assert_int_equal(hugepages_choose(HUGEPAGES_1G, 1536 * MiB, &size), -EINVAL);
	assert_int_equal(err_kind(), ERR_USAGE);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(auto_takes_the_largest_that_suffice),
		TEST(promised_pages_are_not_free),
		TEST(off_takes_none),
		TEST(size_asked_for_is_taken_and_no_other),
		TEST(missing_pages_are_counted),
		TEST(host_without_the_size_is_told),
		TEST(memory_that_is_no_multiple_is_refused),
	};

	return cmocka_run_group_tests_name("hugepages", tests, NULL, NULL);
}
