/* SPDX-License-Identifier: Apache-2.0 */
/* Helper programs: what they have of ours, and how they end. */
#include "cmocka_all.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "core/child.h"

#define LIMIT_MS 20000u

static void start(struct child *child, const char *script, const int fds[], unsigned count)
{
	const char *const argv[] = { "sh", "-c", script, NULL };

	assert_int_equal(child_start(child, argv, fds, count, 0), 0);
}

static void wait_for_complaint(struct child *child)
{
	struct pollfd p = { .fd = child->complaints, .events = POLLIN };

	assert_int_equal(poll(&p, 1, (int)LIMIT_MS), 1);
}

static void expect_piece(struct child *child, char *buf, size_t size, const char *want)
{
	wait_for_complaint(child);
	assert_true(child_complaint(child, buf, size));
	assert_string_equal(buf, want);
}

/* The next line, waited for. */
static void expect_line(struct child *child, const char *want)
{
	char line[128];

	expect_piece(child, line, sizeof(line), want);
}

static void wait_until_ended(struct child *child)
{
	for (unsigned i = 0; i < LIMIT_MS && !child_ended(child); i++)
		usleep(1000);
	assert_true(child_ended(child));
}

static void program_that_is_not_there(void **state)
{
	const char *const argv[] = { "/nowhere/nothing", NULL };
	struct child child = { 0 };

	assert_int_equal(child_start(&child, argv, NULL, 0, 0), -ENOENT);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nothing is left to wait for */
	child_fini(&child);
}

static void ignore(int signal)
{
	(void)signal;
}

/* A program that embeds the machine may have handlers. */
static void signals_do_not_hide_that_it_cannot_be_started(void **state)
{
	const struct itimerval often = { { 0, 50 }, { 0, 50 } }, never = { 0 };
	const struct sigaction handler = { .sa_handler = ignore };
	const char *const argv[] = { "/nowhere/nothing", NULL };
	struct child child = { 0 };
	struct sigaction before;
	unsigned good = 0;

	sigaction(SIGALRM, &handler, &before);
	for (unsigned i = 0; i < 50; i++) {
		setitimer(ITIMER_REAL, &often, NULL);
		good += child_start(&child, argv, NULL, 0, 0) == -ENOENT;
		setitimer(ITIMER_REAL, &never, NULL);
		child_fini(&child);
	}
	sigaction(SIGALRM, &before, NULL);
	assert_int_equal(good, 50);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void complaints_are_read_line_by_line(void **state)
{
	struct child child;
	char line[128];

	start(&child, "echo shown nowhere; echo one >&2; printf 't\\033wo\n' >&2; exit 3", NULL, 0);
	wait_until_ended(&child);
	expect_line(&child, "one");
	expect_line(&child, "t?wo");
	assert_false(child_complaint(&child, line, sizeof(line)));
	assert_string_equal(child_end_text(&child).s, "exit status 3");
	child_fini(&child);
}

/* It says more than anybody wants to hear, and never ends a line. */
static void line_without_an_end_comes_in_pieces(void **state)
{
	struct child child;
	char line[8];

	start(&child, "printf 'abcdefghijkl\nm' >&2; exec tr '\\0' x </dev/zero >&2", NULL, 0);
	alarm(LIMIT_MS / 1000); /* kills the test if a call does not return */
	expect_piece(&child, line, sizeof(line), "abcdefg");
	expect_piece(&child, line, sizeof(line), "hijkl");
	for (unsigned i = 0; i < 3; i++) {
		wait_for_complaint(&child);
		assert_true(child_complaint(&child, line, sizeof(line)));
	}
	alarm(0);
	child_fini(&child);
}

static void files_are_passed_on_in_order_and_no_others(void **state)
{
	int a[2], b[2], inherited = open("/dev/zero", O_RDONLY); /* not close-on-exec */
	char got[2] = { 0 };
	struct child child;
	int fds[2];

	assert_true(inherited >= 0);
	assert_int_equal(pipe2(a, O_CLOEXEC), 0);
	assert_int_equal(pipe2(b, O_CLOEXEC), 0);
	/* The wrong way round for a naive copy. */
	fds[0] = b[1];
	fds[1] = a[1];
	start(&child,
	      "printf b >&3; printf a >&4; "
	      "for f in 5 6 7 8 9 11 12 13 14 15; do "
	      "[ ! -e /proc/$$/fd/$f ] || readlink /proc/$$/fd/$f >&2; done; echo done >&2",
	      fds, 2);
	expect_line(&child, "done");
	assert_int_equal(read(a[0], &got[0], 1), 1);
	assert_int_equal(read(b[0], &got[1], 1), 1);
	assert_memory_equal(got, "ab", 2);
	assert_int_equal(child_stop(&child, LIMIT_MS), 0);
	child_fini(&child);
	close(a[0]), close(a[1]), close(b[0]), close(b[1]), close(inherited);
}

static void asked_to_end_it_may_tidy_up(void **state)
{
	struct child child;

	start(&child,
	      "trap 'echo tidy >&2; exit 0' TERM; echo up >&2; while :; do sleep 0.01; done", NULL,
	      0);
	expect_line(&child, "up");
	assert_int_equal(child_stop(&child, LIMIT_MS), 0);
	expect_line(&child, "tidy");
	assert_string_equal(child_end_text(&child).s, "exit status 0");
	child_fini(&child);
}

static void one_that_does_not_end_is_killed(void **state)
{
	struct child child;

	start(&child, "trap '' TERM; echo up >&2; while :; do sleep 0.01; done", NULL, 0);
	expect_line(&child, "up");
	assert_int_equal(child_stop(&child, 50), -ETIMEDOUT);
	assert_string_equal(child_end_text(&child).s, "signal 9");
	assert_int_equal(child_stop(&child, 50), 0);
	child_fini(&child);
}

/* As in a shell's background job. */
static void signals_that_we_ignore_are_its_own(void **state)
{
	struct child child;

	signal(SIGTERM, SIG_IGN);
	start(&child, "exec sleep 100", NULL, 0);
	signal(SIGTERM, SIG_DFL);
	assert_int_equal(child_stop(&child, LIMIT_MS), 0);
	assert_string_equal(child_end_text(&child).s, "signal 15");
	child_fini(&child);
}

static void signals_of_the_terminal_do_not_reach_it(void **state)
{
	struct child child;

	start(&child, "echo up >&2; exec sleep 100", NULL, 0);
	expect_line(&child, "up");
	assert_int_equal(getpgid(child.pid), child.pid);
	child_fini(&child);
}

/* What a helper has started: "N" on its standard error. */
static pid_t expect_pid(struct child *child)
{
	struct pollfd p = { .fd = child->complaints, .events = POLLIN };
	char line[32];

	assert_int_equal(poll(&p, 1, (int)LIMIT_MS), 1);
	assert_true(child_complaint(child, line, sizeof(line)));
	assert_true(atoi(line) > 0);
	return atoi(line);
}

static void what_it_leaves_behind_is_killed(void **state)
{
	struct child child;
	pid_t left;

	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	start(&child, "sh -c 'trap \"\" TERM; echo $$ >&2; while :; do sleep 100; done' &", NULL,
	      0);
	left = expect_pid(&child);
	wait_until_ended(&child);
	assert_int_equal(waitpid(left, NULL, 0), left); /* ends the test only if it ends */
	child_fini(&child);
	prctl(PR_SET_CHILD_SUBREAPER, 0);
}

static void what_it_started_is_killed_with_it(void **state)
{
	struct child child;
	pid_t other;
	int status;

	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	start(&child, "trap '' TERM; sh -c 'echo $$ >&2; exec sleep 100' & wait; wait", NULL, 0);
	other = expect_pid(&child);
	child_kill(&child);
	assert_int_equal(waitpid(other, &status, 0), other);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	child_fini(&child);
	prctl(PR_SET_CHILD_SUBREAPER, 0);
}

/* A process in between, which is killed as we might be. */
static void it_ends_with_us_even_when_we_are_killed(void **state)
{
	int line[2];
	pid_t middle, helper = 0;

	assert_int_equal(pipe(line), 0);
	/* What loses its parent becomes ours to wait for. */
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	middle = fork();
	assert_true(middle >= 0);
	if (middle == 0) {
		struct child child;

		start(&child, "exec sleep 100", NULL, 0);
		if (write(line[1], &child.pid, sizeof(child.pid)) != sizeof(child.pid))
			_exit(1);
		pause();
		_exit(1);
	}
	assert_int_equal(read(line[0], &helper, sizeof(helper)), sizeof(helper));
	kill(middle, SIGKILL);
	assert_int_equal(waitpid(middle, NULL, 0), middle);
	assert_int_equal(waitpid(helper, NULL, 0), helper); /* ends the test only if it ends */
	prctl(PR_SET_CHILD_SUBREAPER, 0);
	close(line[0]), close(line[1]);
}

static void read_only_helper_writes_no_file_and_opens_no_device(void **state)
{
	char path[] = "/tmp/test_child.XXXXXX", script[256];
	const char *const argv[] = { "sh", "-c", script, NULL };
	struct child child;
	int fd = mkstemp(path), r;

	assert_true(fd >= 0);
	/* Standard input and output are a device that was opened before. */
	snprintf(script, sizeof(script),
		 "w() { echo \"$1\" >&2; }; ( : >%s ) 2>&- && w file; "
		 "( : </dev/zero ) 2>&- && w device; echo x || w stdout; w done",
		 path);
	r = child_start(&child, argv, NULL, 0, CHILD_READ_ONLY);
	close(fd);
	if (r == -EPERM || r == -ENOSYS) {
		unlink(path);
		skip(); /* no root, or an older kernel */
	}
	assert_int_equal(r, 0);
	expect_line(&child, "done");
	child_fini(&child);
	unlink(path);
}

static void fake_root_is_one_and_has_our_files(void **state)
{
	char path[] = "/tmp/test_child.XXXXXX", script[256];
	const char *const argv[] = { "sh", "-c", script, NULL };
	struct child child;
	int fd = mkstemp(path), r;
	struct stat st;

	assert_true(fd >= 0);
	/* An own file, one of root's if that is not us, and a file that it makes. */
	snprintf(script, sizeof(script),
		 "exec 1>&2; id -u; stat -c %%u %s; rm %s; : >%s; ulimit -n; ulimit -Hn; echo done",
		 path, path, path);
	r = child_start(&child, argv, NULL, 0, CHILD_FAKE_ROOT);
	if (r == -EUSERS) {
		unlink(path);
		skip();
	}
	assert_int_equal(r, 0);
	expect_line(&child, "0");
	expect_line(&child, "0");
	wait_until_ended(&child);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_uid, geteuid());
	child_fini(&child);
	close(fd);
	unlink(path);
}

static void fake_root_may_take_groups_for_dropped(void **state)
{
	const char *const argv[] = {
		"python3",
		"-c",
		"import os; os.setgroups([]); os.write(2, b'done\\n')",
		NULL,
	};
	struct child child;
	int r = child_start(&child, argv, NULL, 0, CHILD_FAKE_ROOT);

	if (r == -EUSERS || r == -ENOENT)
		skip();
	assert_int_equal(r, 0);
	expect_line(&child, "done");
	child_fini(&child);
}

static void fake_root_can_be_read_only(void **state)
{
	const char *const argv[] = { "sh", "-c", "( : >/tmp/test_child.x ) 2>&- || echo none >&2",
				     NULL };
	struct child child;
	int r = child_start(&child, argv, NULL, 0, CHILD_FAKE_ROOT | CHILD_READ_ONLY);

	if (r < 0)
		skip();
	expect_line(&child, "none");
	child_fini(&child);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(program_that_is_not_there),
		cmocka_unit_test(signals_do_not_hide_that_it_cannot_be_started),
		cmocka_unit_test(complaints_are_read_line_by_line),
		cmocka_unit_test(line_without_an_end_comes_in_pieces),
		cmocka_unit_test(files_are_passed_on_in_order_and_no_others),
		cmocka_unit_test(asked_to_end_it_may_tidy_up),
		cmocka_unit_test(one_that_does_not_end_is_killed),
		cmocka_unit_test(signals_that_we_ignore_are_its_own),
		cmocka_unit_test(signals_of_the_terminal_do_not_reach_it),
		cmocka_unit_test(what_it_leaves_behind_is_killed),
		cmocka_unit_test(what_it_started_is_killed_with_it),
		cmocka_unit_test(it_ends_with_us_even_when_we_are_killed),
		cmocka_unit_test(read_only_helper_writes_no_file_and_opens_no_device),
		cmocka_unit_test(fake_root_is_one_and_has_our_files),
		cmocka_unit_test(fake_root_may_take_groups_for_dropped),
		cmocka_unit_test(fake_root_can_be_read_only),
	};

	return cmocka_run_group_tests_name("child", tests, NULL, NULL);
}
