/* SPDX-License-Identifier: Apache-2.0 */
/* The log of a run in the background: all that is written is in it, and its size has a bound. */
#include "cmocka_all.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "control/run_log.h"
#include "temp_dir.h"

#define LINE "0123456789abcde\n"

static struct temp_dir root;
static struct run_folder folder;
static struct run_log run_log; /* of a child */

static int setup(void **state)
{
	char path[128];

	temp_dir_init(&root);
	snprintf(path, sizeof(path), "%s/run", root.path);
	assert_int_equal(mkdir(path, 0755), 0);
	return run_folder_create(root.path, "test", &folder);
}

static int teardown(void **state)
{
	run_folder_remove(root.path, &folder);
	temp_dir_fini(&root);
	return 0;
}

/* A process whose standard output and error are the log: 0 if all went well. */
static int write_log(void (*write_it)(void))
{
	const pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (run_log_open(&run_log, &folder) < 0 || dprintf(STDOUT_FILENO, "first\n") < 0 ||
		    run_log_start(&run_log) < 0)
			_exit(1);
		write_it();
		run_log_close(&run_log);
		/* Where it went before, without a thread. */
		_exit(dprintf(STDERR_FILENO, "last\n") < 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static size_t read_log(const char *file, char *buf, size_t size)
{
	const int fd = openat(folder.fd, file, O_RDONLY);
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return 0;
	while ((n = read(fd, buf + len, size - len)) > 0)
		len += (size_t)n;
	close(fd);
	return len;
}

static void write_both(void)
{
	dprintf(STDOUT_FILENO, "out\n");
	dprintf(STDERR_FILENO, "err\n");
}

static void both_streams_are_in_it_in_their_order(void **state)
{
	char text[64];
	size_t len;
	struct stat st;

	assert_int_equal(write_log(write_both), 0);
	len = read_log(RUN_FOLDER_LOG, text, sizeof(text));
	assert_int_equal(len, 19);
	assert_memory_equal(text, "first\nout\nerr\nlast\n", len);
	assert_int_equal(fstatat(folder.fd, RUN_FOLDER_LOG, &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(fstatat(folder.fd, RUN_FOLDER_OLD_LOG, &st, 0), -1);
}

static void write_much(void)
{
	for (unsigned i = 0; i < 5 * RUN_LOG_MAX / strlen(LINE); i++)
		dprintf(STDOUT_FILENO, LINE);
}

static void what_is_too_old_is_forgotten(void **state)
{
	char *text = malloc(3 * RUN_LOG_MAX);
	size_t old, len;

	assert_non_null(text);
	assert_int_equal(write_log(write_much), 0);
	old = read_log(RUN_FOLDER_OLD_LOG, text, 2 * RUN_LOG_MAX);
	assert_int_equal(old, RUN_LOG_MAX);
	len = old + read_log(RUN_FOLDER_LOG, text + old, 2 * RUN_LOG_MAX);
	assert_in_range(len, RUN_LOG_MAX + 1, 2 * RUN_LOG_MAX);
	/* No byte is missing between the two, nor at the end. */
	for (size_t i = len - strlen("last\n"), n = 0; i > 0; i--, n++)
		assert_int_equal(text[i - 1], LINE[strlen(LINE) - 1 - n % strlen(LINE)]);
	assert_memory_equal(text + len - strlen("last\n"), "last\n", 5);
	free(text);
}

/* Somebody has tidied up. */
static void write_much_to_no_name(void)
{
	struct stat st;

	if (unlinkat(folder.fd, RUN_FOLDER_LOG, 0) < 0)
		_exit(2);
	write_much();
	run_log_stop(&run_log);
	if (fstat(STDOUT_FILENO, &st) < 0 || st.st_size > (off_t)RUN_LOG_MAX)
		_exit(3);
}

static void size_has_a_bound_where_no_file_can_be_made(void **state)
{
	assert_int_equal(write_log(write_much_to_no_name), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(both_streams_are_in_it_in_their_order),
		TEST(what_is_too_old_is_forgotten),
		TEST(size_has_a_bound_where_no_file_can_be_made),
	};

	return cmocka_run_group_tests_name("run_log", tests, NULL, NULL);
}
