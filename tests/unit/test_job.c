/* SPDX-License-Identifier: Apache-2.0 */
/* The job of a command, record by record. */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmocka_all.h"
#include "command/job.h"
#include "core/err.h"
#include "guest/job.h"
#include "options/options.h"

static char *const command[] = { (char *)"echo", (char *)"a b", (char *)"", NULL };
static struct options options;
static const char shares[1][PATH_MAX] = { "/srv/results" };
static const struct job_place place = { .shares = shares, .terminal = -1 };

static int setup(void **state)
{
	options = (struct options){ .command_argv = command, .command_argc = 3 };
	return 0;
}

static bool has(const struct buf *job, const char *record)
{
	const char *p = (const char *)job->data, *end = p + job->len;

	for (; p < end; p += strlen(p) + 1) {
		if (strcmp(p, record) == 0)
			return true;
	}
	return false;
}

static unsigned count(const struct buf *job, const char *key)
{
	const char *p = (const char *)job->data, *end = p + job->len;
	unsigned n = 0;

	for (; p < end; p += strlen(p) + 1)
		n += strncmp(p, key, strlen(key)) == 0;
	return n;
}

static void words_of_the_command_stay_words(void **state)
{
	struct buf job;

	assert_int_equal(job_write(&options, &place, &job), 0);
	assert_memory_equal(job.data, "arg=echo\0arg=a b\0arg=\0", 22);
	assert_int_equal(count(&job, "arg="), 3);
	assert_int_equal(job.data[job.len - 1], 0);
	buf_fini(&job);
}

static void command_runs_here_as_who_we_are(void **state)
{
	char cwd[PATH_MAX], text[PATH_MAX + 16];
	struct buf job;

	assert_int_equal(job_write(&options, &place, &job), 0);
	snprintf(text, sizeof(text), "cwd=%s", getcwd(cwd, sizeof(cwd)));
	assert_true(has(&job, text));
	snprintf(text, sizeof(text), "uid=%u", geteuid());
	assert_true(has(&job, text));
	assert_true(has(&job, "root=root"));
	buf_fini(&job);
}

static void another_root_has_another_folder(void **state)
{
	struct buf job;

	options.root = "/srv/root";
	assert_int_equal(job_write(&options, &place, &job), 0);
	assert_true(has(&job, "cwd=/"));
	buf_fini(&job);
}

static void only_chosen_variables_go_along(void **state)
{
	struct buf job;

	setenv("TINYVMM_TEST_SECRET", "s", 1);
	setenv("TINYVMM_TEST_GIVEN", "g", 1);
	setenv("LC_ALL", "C", 1);
	options.env[0] = "TINYVMM_TEST_GIVEN";
	options.env[1] = "OTHER=a=b";
	options.env_count = 2;
	assert_int_equal(job_write(&options, &place, &job), 0);
	assert_true(has(&job, "env=TINYVMM_TEST_GIVEN=g"));
	assert_true(has(&job, "env=OTHER=a=b"));
	assert_true(has(&job, "env=LC_ALL=C"));
	assert_int_equal(count(&job, "env=TINYVMM_TEST_SECRET"), 0);
	buf_fini(&job);
}

static void variable_that_is_not_there_is_told(void **state)
{
	struct buf job;

	unsetenv("TINYVMM_TEST_NONE");
	options.env[0] = "TINYVMM_TEST_NONE";
	options.env_count = 1;
	assert_int_equal(job_write(&options, &place, &job), -EINVAL);
	assert_string_equal(err_text(), "--env: there is no variable 'TINYVMM_TEST_NONE'");
	assert_int_equal(err_kind(), ERR_USAGE);
}

static void user_that_is_not_there_is_told(void **state)
{
	struct buf job;

	strcpy(options.user, "no-such-user");
	assert_int_equal(job_write(&options, &place, &job), -EINVAL);
	assert_string_equal(err_text(), "--user: there is no user 'no-such-user'");
}

static void user_may_be_a_number(void **state)
{
	struct buf job;

	strcpy(options.user, "0");
	assert_int_equal(job_write(&options, &place, &job), 0);
	assert_true(has(&job, "env=USER=root"));
	buf_fini(&job);
	strcpy(options.user, "0x");
	assert_int_equal(job_write(&options, &place, &job), -EINVAL);
	assert_string_equal(err_text(), "--user: there is no user '0x'");
	strcpy(options.user, "4294967295");
	assert_int_equal(job_write(&options, &place, &job), -EINVAL);
}

/* An entry that is larger than most. */
int __real_getpwuid_r(uid_t uid, struct passwd *entry, char *text, size_t room,
		      struct passwd **ret_found);
int __wrap_getpwuid_r(uid_t uid, struct passwd *entry, char *text, size_t room,
		      struct passwd **ret_found);
static size_t needed_room;

int __wrap_getpwuid_r(uid_t uid, struct passwd *entry, char *text, size_t room,
		      struct passwd **ret_found)
{
	*ret_found = NULL;
	return room < needed_room ? ERANGE : __real_getpwuid_r(uid, entry, text, room, ret_found);
}

static void user_may_have_a_large_entry(void **state)
{
	struct buf job;

	needed_room = 100000;
	assert_int_equal(job_write(&options, &place, &job), 0);
	assert_int_equal(count(&job, "uid="), 1);
	buf_fini(&job);
	needed_room = SIZE_MAX;
	assert_int_equal(job_write(&options, &place, &job), -ERANGE);
	assert_int_equal(err_kind(), ERR_LIMIT);
	needed_room = 0;
}

/* No list of a host that runs tests has these. */
#define NUMBER 3999999999u

static void user_may_be_numbers_that_no_list_knows(void **state)
{
	struct buf job;

	strcpy(options.user, "3999999999:3999999998");
	assert_int_equal(job_write(&options, &place, &job), 0);
	assert_true(has(&job, "uid=3999999999"));
	assert_true(has(&job, "gid=3999999998"));
	assert_true(has(&job, "group=3999999998"));
	assert_int_equal(count(&job, "group="), 1);
	assert_true(has(&job, "env=HOME=/"));
	assert_true(has(&job, "env=USER=3999999999"));
	assert_true(has(&job, "env=LOGNAME=3999999999"));
	assert_true(has(&job, "env=SHELL=/bin/sh"));
	buf_fini(&job);
	/* Which group would it be? */
	strcpy(options.user, "3999999999");
	assert_int_equal(job_write(&options, &place, &job), -EINVAL);
	assert_string_equal(err_hint_text(), "name a group, too: --user 3999999999:GROUP");
}

static void group_takes_the_place_of_those_of_the_user(void **state)
{
	static const char *const words[] = { "root:root", "0:0", "root:0" };
	struct buf job;

	for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
		strcpy(options.user, words[i]);
		assert_int_equal(job_write(&options, &place, &job), 0);
		assert_true(has(&job, "env=USER=root"));
		assert_true(has(&job, "gid=0"));
		assert_int_equal(count(&job, "group="), 1);
		buf_fini(&job);
	}
	strcpy(options.user, "root:7");
	assert_int_equal(job_write(&options, &place, &job), 0);
	assert_true(has(&job, "gid=7"));
	assert_true(has(&job, "group=7"));
	buf_fini(&job);
}

static void words_that_are_no_user_or_no_group_are_told(void **state)
{
	static const struct {
		const char *word, *text;
	} cases[] = {
		{ "no-such-user:0", "--user: there is no user 'no-such-user'" },
		{ "0:no-such-group", "--user: there is no group 'no-such-group'" },
		{ "0:", "--user: there is no group ''" },
		{ "0:0:0", "--user: there is no group '0:0'" },
		{ "0:4294967295", "--user: there is no group '4294967295'" },
		{ ":0", "--user: ':0' names no user" },
		{ ":", "--user: ':' names no user" },
		{ "-1", "--user: there is no user '-1'" },
		{ " 0", "--user: there is no user ' 0'" },
		{ "18446744073709551616", "--user: there is no user '18446744073709551616'" },
	};
	struct buf job;

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		strcpy(options.user, cases[i].word);
		assert_int_equal(job_write(&options, &place, &job), -EINVAL);
		assert_int_equal(err_kind(), ERR_USAGE);
		assert_string_equal(err_text(), cases[i].text);
	}
}

uid_t __wrap_geteuid(void);
static uid_t own_uid;

uid_t __wrap_geteuid(void)
{
	return own_uid == 0 ? getuid() : own_uid;
}

/* As a container's runtime starts a runner with a number of its own. */
static void we_may_have_a_number_that_no_list_knows(void **state)
{
	char text[64];
	struct buf job;

	own_uid = NUMBER;
	setenv("HOME", "/home/runner", 1);
	assert_int_equal(job_write(&options, &place, &job), 0);
	assert_true(has(&job, "uid=3999999999"));
	snprintf(text, sizeof(text), "gid=%u", getegid());
	assert_true(has(&job, text));
	assert_int_equal(count(&job, "group="), (unsigned)getgroups(0, NULL));
	assert_true(has(&job, "env=HOME=/home/runner"));
	assert_true(has(&job, "env=USER=3999999999"));
	buf_fini(&job);
	setenv("HOME", "", 1);
	assert_int_equal(job_write(&options, &place, &job), 0);
	assert_true(has(&job, "env=HOME=/"));
	buf_fini(&job);
	own_uid = 0;
}

/* As `rm *` has them in a large folder. */
static void command_of_too_many_words_is_told_before_there_is_a_job(void **state)
{
	static char *words[JOB_ARGS_MAX + 1];
	struct buf job;

	for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
		words[i] = (char *)"x";
	options.command_argv = words;
	options.command_argc = JOB_ARGS_MAX;
	assert_int_equal(job_check(&options), 0);
	options.command_argc++;
	assert_int_equal(job_check(&options), -EINVAL);
	assert_int_equal(err_kind(), ERR_USAGE);
	assert_string_equal(err_text(), "the command has more than 4096 words");
	assert_int_equal(job_write(&options, &place, &job), -EINVAL);
}

/* What job_write would tell, and what is opened later still. */
static void mistakes_are_told_before_there_is_a_job(void **state)
{
	assert_int_equal(job_check(&options), 0);
	options.root = "/dev";
	options.shares[0] = "/tmp";
	options.share_count = 1;
	assert_int_equal(job_check(&options), 0);

	options.shares[0] = "/dev/null";
	assert_int_equal(job_check(&options), -ENOTDIR);
	assert_string_equal(err_text(), "--rw: folder '/dev/null': Not a directory");
	assert_int_equal(err_kind(), ERR_FILE);
	options.shares[0] = "/tmp/..";
	assert_int_equal(job_check(&options), -EINVAL);
	assert_string_equal(err_text(), "--rw: the root itself cannot be given");
	options.share_count = 0;

	options.root = "/nonexistent";
	assert_int_equal(job_check(&options), -ENOENT);
	assert_string_equal(err_text(), "--root: folder '/nonexistent': No such file or directory");
	options.root = NULL;

	options.env[0] = "TINYVMM_TEST_NONE";
	options.env_count = 1;
	assert_int_equal(job_check(&options), -EINVAL);
	assert_int_equal(err_kind(), ERR_USAGE);
	options.env_count = 0;
	strcpy(options.user, "no-such-user");
	assert_int_equal(job_check(&options), -EINVAL);
	assert_string_equal(err_text(), "--user: there is no user 'no-such-user'");
}

/* As in a directory of a whole university. */
#define MANY_GROUPS 300

int __wrap_getgrouplist(const char *user, gid_t group, gid_t *groups, int *count);
int __wrap_getgrouplist(const char *user, gid_t group, gid_t *groups, int *count)
{
	const int room = *count;

	*count = MANY_GROUPS;
	if (room < MANY_GROUPS)
		return -1;
	for (unsigned i = 0; i < MANY_GROUPS; i++)
		groups[i] = group + i;
	return MANY_GROUPS;
}

static void user_may_be_in_many_groups(void **state)
{
	struct buf job;

	assert_int_equal(job_write(&options, &place, &job), 0);
	assert_int_equal(count(&job, "group="), MANY_GROUPS);
	buf_fini(&job);
}

static void network_devices_have_addresses(void **state)
{
	static const struct job_link links[] = {
		{ { 0x52, 0x54, 0, 0xab, 1, 2 }, "10.0.2.15/24", "10.0.2.2", "10.0.2.3", true },
		{ { 0x52, 0x54, 0, 0xab, 1, 3 }, "192.168.7.2/24", "", "", false },
		{ { 0x52, 0x54, 0, 0xab, 1, 4 }, "", "", "", false },
	};
	struct job_place with = place;
	struct buf job;

	with.links = links;
	with.link_count = ARRAY_SIZE(links);
	assert_int_equal(job_write(&options, &with, &job), 0);
	assert_true(has(&job, "net=52:54:00:ab:01:02 10.0.2.15/24 10.0.2.2 sole"));
	assert_true(has(&job, "net=52:54:00:ab:01:03 192.168.7.2/24"));
	assert_true(has(&job, "net=52:54:00:ab:01:04"));
	assert_true(has(&job, "dns=10.0.2.3"));
	assert_int_equal(count(&job, "dns="), 1);
	buf_fini(&job);
}

/* The agent refuses a job with more of them. */
static void guest_has_as_many_servers_of_names_as_it_asks(void **state)
{
	static const struct job_link links[] = {
		{ { 2 }, "10.0.1.2/24", "", "10.0.1.1", false },
		{ { 3 }, "10.0.2.2/24", "", "10.0.2.1", false },
		{ { 4 }, "10.0.3.2/24", "", "10.0.1.1", false },
		{ { 5 }, "10.0.4.2/24", "", "10.0.4.1", false },
		{ { 6 }, "10.0.5.2/24", "", "10.0.5.1", false },
	};
	struct job_place with = place;
	struct buf job;

	with.links = links;
	with.link_count = ARRAY_SIZE(links);
	assert_int_equal(job_write(&options, &with, &job), 0);
	assert_int_equal(count(&job, "net="), ARRAY_SIZE(links));
	assert_int_equal(count(&job, "dns="), MIN(JOB_DNS_MAX, 4)); /* one is there twice */
	assert_int_equal(count(&job, "dns=10.0.1.1"), 1);
	assert_true(has(&job, "dns=10.0.2.1"));
	assert_true(has(&job, "dns=10.0.4.1"));
	buf_fini(&job);
}

static void shared_folder_has_a_tag(void **state)
{
	struct buf job;

	options.shares[0] = "results";
	options.share_count = 1;
	assert_int_equal(job_write(&options, &place, &job), 0);
	assert_true(has(&job, "share=share0 /srv/results"));
	assert_int_equal(count(&job, "tty="), 0);
	buf_fini(&job);
}

static void user_who_is_alone_is_told(void **state)
{
	const struct job_place alone = { .shares = shares, .terminal = -1, .alone = true };
	struct buf job;

	assert_int_equal(job_write(&options, &place, &job), 0);
	assert_int_equal(count(&job, "alone="), 0);
	buf_fini(&job);
	assert_int_equal(job_write(&options, &alone, &job), 0);
	assert_true(has(&job, "alone=1"));
	buf_fini(&job);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(words_of_the_command_stay_words),
		TEST(command_runs_here_as_who_we_are),
		TEST(another_root_has_another_folder),
		TEST(only_chosen_variables_go_along),
		TEST(variable_that_is_not_there_is_told),
		TEST(user_that_is_not_there_is_told),
		TEST(user_may_be_a_number),
		TEST(user_may_have_a_large_entry),
		TEST(user_may_be_numbers_that_no_list_knows),
		TEST(group_takes_the_place_of_those_of_the_user),
		TEST(words_that_are_no_user_or_no_group_are_told),
		TEST(we_may_have_a_number_that_no_list_knows),
		TEST(command_of_too_many_words_is_told_before_there_is_a_job),
		TEST(mistakes_are_told_before_there_is_a_job),
		TEST(user_may_be_in_many_groups),
		TEST(network_devices_have_addresses),
		TEST(guest_has_as_many_servers_of_names_as_it_asks),
		TEST(shared_folder_has_a_tag),
		TEST(user_who_is_alone_is_told),
	};

	return cmocka_run_group_tests_name("job", tests, NULL, NULL);
}
