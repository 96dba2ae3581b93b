/* SPDX-License-Identifier: Apache-2.0 */
/* Folders of runs: whose they are, how long they live, and what is left of a run that was killed.
 */
#include "cmocka_all.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "control/run_folder.h"
#include "core/err.h"
#include "temp_dir.h"

static struct temp_dir root;

static int setup(void **state)
{
	char path[128];

	temp_dir_init(&root);
	snprintf(path, sizeof(path), "%s/run", root.path);
	return mkdir(path, 0755);
}

static int teardown(void **state)
{
	temp_dir_fini(&root);
	return 0;
}

static bool exists(const char *file, struct stat *ret_st)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/run/tinyvmm/guests/%s", root.path, file);
	return lstat(path, ret_st) == 0;
}

static void assert_listed(const char *const *names, unsigned count)
{
	char **have;
	unsigned n;

	assert_int_equal(run_folder_list(root.path, &have, &n), 0);
	assert_int_equal(n, count);
	for (unsigned i = 0; i < n; i++) {
		assert_string_equal(have[i], names[i]);
		free(have[i]);
	}
	free(have);
}

static void names_are_words_that_harm_no_path(void **state)
{
	static const char *const good[] = { "a", "0", "build-7", "A_b.c",
					    "1234567890123456789012345678901234567890" };
	static const char *const bad[] = {
		"",    ".",    "..",       "-a",   "_a",
		".a",  "a/b",  "../a",     "a b",  "a\n",
		"a\"", "\xff", "\xc3\xa9", "a\\b", "12345678901234567890123456789012345678901"
	};

	for (unsigned i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(run_folder_name_fits(good[i]));
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(run_folder_name_fits(bad[i]));
}

static void folder_is_private_and_goes_with_the_run(void **state)
{
	const char *const names[] = { "build" };
	struct run_folder folder, other;
	struct stat st;

	assert_int_equal(run_folder_create(root.path, "build", &folder), 0);
	assert_true(exists("", &st));
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_true(exists("build", &st));
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_true(exists("build/pid", &st));
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_listed(names, 1);
	assert_int_equal(run_folder_open(root.path, "build", &other), 0);
	run_folder_close(&other);
	run_folder_remove(root.path, &folder);
	assert_false(exists("build", &st));
	assert_int_equal(run_folder_open(root.path, "build", &other), -ENOENT);
	assert_listed(NULL, 0);
}

static void name_in_use_is_refused(void **state)
{
	struct run_folder folder, other;

	assert_int_equal(run_folder_create(root.path, "build", &folder), 0);
	assert_int_equal(run_folder_create(root.path, "build", &other), -EEXIST);
	assert_int_equal(err_kind(), ERR_USAGE);
	run_folder_remove(root.path, &folder);
	assert_int_equal(run_folder_create(root.path, "build", &folder), 0);
	run_folder_remove(root.path, &folder);
}

static void run_without_a_name_gets_the_least_number(void **state)
{
	const char *const names[] = { "1", "2", "10", "a" };
	struct run_folder folders[4], again;

	assert_int_equal(run_folder_create(root.path, "a", &folders[0]), 0);
	assert_int_equal(run_folder_create(root.path, "10", &folders[1]), 0);
	assert_int_equal(run_folder_create(root.path, "", &folders[2]), 0);
	assert_string_equal(folders[2].name, "1");
	assert_int_equal(run_folder_create(root.path, "", &folders[3]), 0);
	assert_string_equal(folders[3].name, "2");
	assert_listed(names, 4);
	run_folder_remove(root.path, &folders[2]);
	assert_int_equal(run_folder_create(root.path, "", &again), 0);
	assert_string_equal(again.name, "1");
	run_folder_remove(root.path, &again);
	run_folder_remove(root.path, &folders[0]);
	run_folder_remove(root.path, &folders[1]);
	run_folder_remove(root.path, &folders[3]);
}

/* A run of another process that is killed. */
static void killed_run(const char *name)
{
	struct run_folder folder;
	const pid_t pid = fork();
	int status, fd;

	if (pid == 0) {
		if (run_folder_create(root.path, name, &folder) < 0)
			_exit(1);
		fd = openat(folder.fd, RUN_FOLDER_LOG, O_WRONLY | O_CREAT, 0600);
		if (fd < 0 || write(fd, "old", 3) != 3)
			_exit(2);
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
}

static void what_a_killed_run_left_is_removed_by_who_looks(void **state)
{
	struct run_folder folder;
	struct stat st;

	killed_run("gone");
	assert_true(exists("gone/log", &st));
	assert_int_equal(run_folder_open(root.path, "gone", &folder), -ENOENT);
	assert_listed(NULL, 0);
	assert_false(exists("gone", &st));
}

static void name_of_a_killed_run_is_free_and_its_files_are_gone(void **state)
{
	struct run_folder folder;
	struct stat st;

	killed_run("gone");
	assert_int_equal(run_folder_create(root.path, "gone", &folder), 0);
	assert_false(exists("gone/log", &st));
	assert_true(exists("gone/pid", &st));
	run_folder_remove(root.path, &folder);
}

static void folder_that_somebody_else_put_there_is_not_used(void **state)
{
	char path[128];
	struct run_folder folder;

	snprintf(path, sizeof(path), "%s/run/tinyvmm", root.path);
	assert_int_equal(symlink("/tmp", path), 0);
	assert_int_equal(run_folder_create(root.path, "a", &folder), -EPERM);
}

static void file_among_the_folders_is_left_alone(void **state)
{
	struct run_folder folder;
	char path[128];
	struct stat st;
	int fd;

	assert_int_equal(run_folder_create(root.path, "a", &folder), 0);
	run_folder_remove(root.path, &folder);
	snprintf(path, sizeof(path), "%s/run/tinyvmm/guests/b", root.path);
	fd = creat(path, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_listed(NULL, 0);
	assert_true(exists("b", &st));
	assert_true(run_folder_create(root.path, "b", &folder) < 0);
}

static void folders_of_another_user_are_not_looked_at(void **state)
{
	struct run_folder folder;
	char path[256];
	char **names;
	unsigned count;

	if (geteuid() != 0)
		skip();
	assert_int_equal(run_folder_create(root.path, "build", &folder), 0);
	snprintf(path, sizeof(path), "%s/run/tinyvmm/guests", root.path);
	assert_int_equal(chown(path, 1, 1), 0);
	assert_int_equal(run_folder_list(root.path, &names, &count), -EPERM);
	assert_int_equal(run_folder_open(root.path, "build", &folder), -EPERM);
	assert_int_equal(chown(path, 0, 0), 0);
	run_folder_remove(root.path, &folder);
}

/* As in a session without XDG_RUNTIME_DIR. */
static void user_without_a_place_is_told(void **state)
{
	struct run_folder_place place;
	struct run_folder folder;
	char path[128];

	assert_true(run_folder_place(root.path, &place));
	snprintf(path, sizeof(path), "%s/run", root.path);
	assert_string_equal(place.s, path);
	assert_int_equal(run_folder_open(root.path, "build", &folder), -ENOENT);
	assert_string_equal(err_hint_text(), "tinyvmm ps lists those that do");
	assert_int_equal(rmdir(path), 0);
	assert_false(run_folder_place(root.path, &place));
	assert_int_equal(run_folder_open(root.path, "build", &folder), -ENOENT);
	assert_non_null(strstr(err_hint_text(), "/run: XDG_RUNTIME_DIR must be"));
	assert_listed(NULL, 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(names_are_words_that_harm_no_path),
		TEST(folder_is_private_and_goes_with_the_run),
		TEST(name_in_use_is_refused),
		TEST(run_without_a_name_gets_the_least_number),
		TEST(what_a_killed_run_left_is_removed_by_who_looks),
		TEST(name_of_a_killed_run_is_free_and_its_files_are_gone),
		TEST(folder_that_somebody_else_put_there_is_not_used),
		TEST(file_among_the_folders_is_left_alone),
		TEST(folders_of_another_user_are_not_looked_at),
		TEST(user_without_a_place_is_told),
	};

	return cmocka_run_group_tests_name("run_folder", tests, NULL, NULL);
}
