/* SPDX-License-Identifier: Apache-2.0 */
/* The error chain: its order, its kind, its hint, and what does not fit. */
#include "cmocka_all.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>

#include "core/err.h"

static void empty_chain_is_internal(void **state)
{
	err_clear();
	assert_string_equal(err_text(), "");
	assert_string_equal(err_hint_text(), "");
	assert_int_equal(err_kind(), ERR_INTERNAL);
}

static void contexts_come_in_front_of_the_cause(void **state)
{
	int r = err_sys(ERR_FILE, -ENOENT, "open '%s'", "a.img");

	assert_int_equal(r, -ENOENT);
	assert_int_equal(err_wrap(r, "disk %u", 1), -ENOENT);
	assert_int_equal(err_wrap(r, "start"), -ENOENT);
	assert_string_equal(err_text(), "start: disk 1: open 'a.img': No such file or directory");
	assert_int_equal(err_kind(), ERR_FILE);
}

static void want_of_files_is_a_limit_whatever_was_to_be_opened(void **state)
{
	assert_int_equal(err_sys(ERR_DEVICE, -EMFILE, "open /dev/vfio/8"), -EMFILE);
	assert_int_equal(err_kind(), ERR_LIMIT);
	assert_string_equal(err_text(), "open /dev/vfio/8: Too many open files");
	assert_non_null(strstr(err_hint_text(), "files open"));
	err_sys(ERR_FILE, -ENFILE, "open 'a.img'");
	assert_int_equal(err_kind(), ERR_LIMIT);
	assert_string_equal(err_hint_text(), "");
}

static void cause_in_own_words_has_no_errno_text(void **state)
{
	assert_int_equal(err_set(ERR_DEVICE, -EBUSY, "%s is in use", "01:00.0"), -EBUSY);
	assert_string_equal(err_text(), "01:00.0 is in use");
}

static void first_hint_stays(void **state)
{
	err_set(ERR_HOST, -EACCES, "no");
	err_hint("join %s", "kvm");
	err_wrap(-EACCES, "start");
	err_hint("try something else");
	assert_string_equal(err_hint_text(), "join kvm");
}

static void too_many_open_files_names_the_limit(void **state)
{
	struct rlimit before, low;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	low = (struct rlimit){ 77, before.rlim_max };
	assert_int_equal(prlimit(0, RLIMIT_NOFILE, &low, NULL), 0);
	err_sys(ERR_HOST, -EMFILE, "create vCPU 1");
	err_wrap(-EMFILE, "start");
	assert_int_equal(prlimit(0, RLIMIT_NOFILE, &before, NULL), 0);
	assert_non_null(strstr(err_hint_text(), "77 files open; raise that with 'ulimit -n'"));
	err_hint("close some");
	err_hint("or not");
	assert_string_equal(err_hint_text(), "close some");
	err_sys(ERR_HOST, -ENOENT, "another");
	assert_string_equal(err_hint_text(), "");
}

static void new_cause_forgets_the_old(void **state)
{
	err_set(ERR_HOST, -EACCES, "old");
	err_hint("old hint");
	err_set(ERR_USAGE, -EINVAL, "new");
	assert_string_equal(err_text(), "new");
	assert_string_equal(err_hint_text(), "");
	assert_int_equal(err_kind(), ERR_USAGE);
}

static void chain_may_quote_itself(void **state)
{
	err_set(ERR_HOST, -EIO, "cause");
	err_wrap(-EIO, "context (%s)", "more");
	assert_string_equal(err_text(), "context (more): cause");
}

static void too_long_is_cut(void **state)
{
	char text[3000];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(err_set(ERR_FILE, -EIO, "%s", text), -EIO);
	assert_in_range(strlen(err_text()), 100, 1023);
	assert_int_equal(err_sys(ERR_FILE, -EIO, "%s", text), -EIO);
	assert_int_equal(err_wrap(-EIO, "%s", text), -EIO);
	assert_in_range(strlen(err_text()), 100, 1023);
	err_hint("%s", text);
	assert_in_range(strlen(err_hint_text()), 100, 511);
}

static void *other_thread(void *arg)
{
	err_set(ERR_GUEST, -EFAULT, "other");
	return NULL;
}

static void each_thread_has_its_own(void **state)
{
	pthread_t thread;

	err_set(ERR_FILE, -EIO, "mine");
	assert_int_equal(pthread_create(&thread, NULL, other_thread, NULL), 0);
	pthread_join(thread, NULL);
	assert_string_equal(err_text(), "mine");
	assert_int_equal(err_kind(), ERR_FILE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_chain_is_internal),
		cmocka_unit_test(contexts_come_in_front_of_the_cause),
		cmocka_unit_test(want_of_files_is_a_limit_whatever_was_to_be_opened),
		cmocka_unit_test(cause_in_own_words_has_no_errno_text),
		cmocka_unit_test(first_hint_stays),
		cmocka_unit_test(too_many_open_files_names_the_limit),
		cmocka_unit_test(new_cause_forgets_the_old),
		cmocka_unit_test(chain_may_quote_itself),
		cmocka_unit_test(too_long_is_cut),
		cmocka_unit_test(each_thread_has_its_own),
	};

	return cmocka_run_group_tests_name("err", tests, NULL, NULL);
}
