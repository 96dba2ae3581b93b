/* SPDX-License-Identifier: Apache-2.0 */
/* The library's surface as far as it needs no KVM: words, failures, and what stays the process's.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmocka_all.h"
#include "tinyvmm.h"

/* More than any host has: refused before anything is touched. */
#define TOO_LARGE    "--memory", "32T", "--kernel", "/nonexistent"
#define STATUS_LIMIT 6

static char line[256];
static enum tinyvmm_level line_level;

static void take_line(void *opaque, enum tinyvmm_level level, const char *text)
{
	assert_ptr_equal(opaque, line);
	snprintf(line, sizeof(line), "%s", text);
	line_level = level;
}

static struct tinyvmm *open_too_large(void)
{
	static const char *const words[] = { TOO_LARGE };
	struct tinyvmm *vm = NULL;

	assert_int_equal(tinyvmm_open(4, words, &vm), 0);
	assert_non_null(vm);
	return vm;
}

static void wrong_words_are_told_with_a_hint(void **state)
{
	static const char *const unknown[] = { "--dsik", "a.img" };
	static const char *const help[] = { "--help" };
	struct tinyvmm *vm = NULL;

	assert_int_equal(tinyvmm_open(2, unknown, &vm), -EINVAL);
	assert_string_equal(tinyvmm_error(), "unknown option '--dsik'");
	assert_string_equal(tinyvmm_hint(), "did you mean --disk?");
	assert_int_equal(tinyvmm_open(0, NULL, &vm), -EINVAL);
	assert_int_equal(tinyvmm_open(1, help, &vm), -EINVAL);
	assert_null(vm);
}

static void one_machine_is_open_at_a_time(void **state)
{
	static const char *const words[] = { TOO_LARGE };
	struct tinyvmm *other = NULL, *vm = open_too_large();

	assert_int_equal(tinyvmm_open(4, words, &other), -EBUSY);
	assert_null(other);
	tinyvmm_close(vm);
	tinyvmm_close(NULL);
	vm = open_too_large();
	tinyvmm_close(vm);
}

static void words_may_go_when_the_machine_is_open(void **state)
{
	char word[] = "/a-guest-that-is-not-there";
	const char *words[] = { "--memory", "32T", "--kernel", word, "--rw", word, "--", "true" };
	struct tinyvmm *vm;

	assert_int_equal(tinyvmm_open(8, words, &vm), 0);
	memset(word, '*', sizeof(word) - 1);
	memset(words, 0, sizeof(words));
	assert_string_equal(tinyvmm_run(vm)->verdict, "not-started");
	tinyvmm_close(vm);
}

static void failure_is_in_the_result_and_in_the_log(void **state)
{
	struct tinyvmm *vm = open_too_large();
	const struct tinyvmm_result *result;

	tinyvmm_set_log(take_line, line);
	result = tinyvmm_run(vm);
	assert_int_equal(result->status, STATUS_LIMIT);
	assert_string_equal(result->verdict, "not-started");
	assert_string_equal(result->reason, line);
	assert_int_equal(line_level, TINYVMM_ERROR);
	assert_int_equal(result->value, -1);
	tinyvmm_close(vm);
	tinyvmm_set_log(NULL, NULL);
}

static void device_that_is_not_there_is_told(void **state)
{
	static const char *const words[] = { "--gpu", "ffff:ff:1f.7" };
	struct tinyvmm *vm;

	assert_int_equal(tinyvmm_open(2, words, &vm), 0);
	assert_string_equal(tinyvmm_run(vm)->verdict, "not-started");
	tinyvmm_close(vm);
}

static void status_of_a_command_is_none_of_its_own(void **state)
{
	static const char *const words[] = { "--memory", "32T", "--", "true" };
	struct tinyvmm *vm;

	assert_int_equal(tinyvmm_open(4, words, &vm), 0);
	assert_int_equal(tinyvmm_run(vm)->status, 125);
	tinyvmm_close(vm);
}

static void machine_that_does_not_run_cannot_be_asked(void **state)
{
	struct tinyvmm *vm = open_too_large();
	struct tinyvmm_statistics statistics;

	assert_int_equal(tinyvmm_ask(vm, TINYVMM_PAUSE), -EAGAIN);
	assert_int_equal(tinyvmm_statistics(vm, &statistics), -EAGAIN);
	assert_int_equal(tinyvmm_ask(vm, (enum tinyvmm_action)99), -EINVAL);
	assert_string_equal(tinyvmm_run(vm)->verdict, "not-started");
	assert_int_equal(tinyvmm_ask(vm, TINYVMM_PAUSE), -ESHUTDOWN);
	assert_int_equal(tinyvmm_ask(vm, TINYVMM_KILL), -ESHUTDOWN);
	tinyvmm_close(vm);
}

static void one_that_is_ended_before_it_runs_does_not_start(void **state)
{
	static const char *const words[] = { "--kernel", "/nonexistent", "--memory", "64M" };
	const struct tinyvmm_result *result;
	struct tinyvmm *vm;

	assert_int_equal(tinyvmm_open(4, words, &vm), 0);
	assert_int_equal(tinyvmm_ask(vm, TINYVMM_KILL), 0);
	result = tinyvmm_run(vm);
	assert_int_equal(result->status, 128 + SIGTERM);
	assert_string_equal(result->verdict, "killed");
	tinyvmm_close(vm);
	/* Nothing is left of that in the next one. */
	vm = open_too_large();
	assert_string_equal(tinyvmm_run(vm)->verdict, "not-started");
	tinyvmm_close(vm);
}

static int count_fds(void)
{
	const int fd = dup(STDIN_FILENO);

	close(fd);
	return fd;
}

static void process_stays_as_it_was(void **state)
{
	struct sigaction pipe_before, pipe_now;
	struct tinyvmm *vm = open_too_large();
	const int fds = count_fds();
	sigset_t before = { 0 }, now = { 0 };

	assert_int_equal(tinyvmm_set_streams(vm, -1, -1, STDERR_FILENO), 0);
	sigaction(SIGPIPE, NULL, &pipe_before);
	pthread_sigmask(SIG_SETMASK, NULL, &before);
	(void)tinyvmm_run(vm);
	tinyvmm_close(vm);
	pthread_sigmask(SIG_SETMASK, NULL, &now);
	sigaction(SIGPIPE, NULL, &pipe_now);
	assert_memory_equal(&before, &now, sizeof(now));
	assert_ptr_equal(pipe_before.sa_handler, pipe_now.sa_handler);
	assert_int_equal(count_fds(), fds);
}

static void signals_that_were_taken_come_back(void **state)
{
	struct tinyvmm *vm = open_too_large();
	const int fds = count_fds();
	sigset_t before = { 0 }, now = { 0 };
	struct sigaction child;

	signal(SIGCHLD, SIG_IGN);
	pthread_sigmask(SIG_SETMASK, NULL, &before);
	assert_int_equal(tinyvmm_take_signals(vm), 0);
	pthread_sigmask(SIG_SETMASK, NULL, &now);
	assert_int_equal(sigismember(&now, SIGTERM), 1);
	/* They do nothing, also afterwards. */
	raise(SIGPIPE);
	kill(getpid(), SIGUSR1);
	tinyvmm_close(vm);
	sigaction(SIGCHLD, NULL, &child);
	assert_ptr_equal(child.sa_handler, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	pthread_sigmask(SIG_SETMASK, NULL, &now);
	assert_memory_equal(&before, &now, sizeof(now));
	assert_int_equal(count_fds(), fds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_words_are_told_with_a_hint),
		cmocka_unit_test(one_machine_is_open_at_a_time),
		cmocka_unit_test(words_may_go_when_the_machine_is_open),
		cmocka_unit_test(failure_is_in_the_result_and_in_the_log),
		cmocka_unit_test(device_that_is_not_there_is_told),
		cmocka_unit_test(status_of_a_command_is_none_of_its_own),
		cmocka_unit_test(machine_that_does_not_run_cannot_be_asked),
		cmocka_unit_test(one_that_is_ended_before_it_runs_does_not_start),
		cmocka_unit_test(process_stays_as_it_was),
		cmocka_unit_test(signals_that_were_taken_come_back),
	};

	return cmocka_run_group_tests_name("tinyvmm", tests, NULL, NULL);
}
