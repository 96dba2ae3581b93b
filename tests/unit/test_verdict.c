/* SPDX-License-Identifier: Apache-2.0 */
/* Each way in which a run of a command can end has one verdict, and a status that tells it. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "cmocka_all.h"
#include "run/verdict.h"

#define MACHINE_ENDS (MACHINE_FAILED + 1)
#define SESSION_ENDS (SESSION_OUTPUT_LOST + 1)

static struct session_result result_of(enum session_end end, int value)
{
	return (struct session_result){ .end = end, .value = value, .text = "the agent's words" };
}

struct expected {
	enum verdict_kind kind;
	int status;
};

/* Where the guest's agent has the word. */
static const struct expected by_session[SESSION_ENDS] = {
	[SESSION_NOT_STARTED] = { VERDICT_POWERED_OFF, 125 },
	[SESSION_RUNNING] = { VERDICT_POWERED_OFF, 125 },
	[SESSION_EXITED] = { VERDICT_FAILED, 7 },
	[SESSION_SIGNALED] = { VERDICT_SIGNALED, 128 + 7 },
	[SESSION_NO_MEMORY] = { VERDICT_OUT_OF_MEMORY, 122 },
	[SESSION_NOT_FOUND] = { VERDICT_NOT_FOUND, 127 },
	[SESSION_NOT_EXECUTABLE] = { VERDICT_NOT_EXECUTABLE, 126 },
	[SESSION_FAILED] = { VERDICT_NOT_STARTED, 125 },
	[SESSION_OUTPUT_LOST] = { VERDICT_OUTPUT_LOST, 125 },
};

/* Where the machine has it, whatever the agent said before; status 0: see by_session. */
static const struct expected by_machine[MACHINE_ENDS] = {
	[MACHINE_POWERED_OFF] = { VERDICT_PASSED, 0 },
	[MACHINE_COMMAND_ENDED] = { VERDICT_PASSED, 0 },
	[MACHINE_CRASHED] = { VERDICT_PANIC, 123 },
	[MACHINE_QUIT] = { VERDICT_KILLED, 128 + SIGTERM },
	[MACHINE_TIMED_OUT] = { VERDICT_TIMED_OUT, 124 },
	[MACHINE_KILLED] = { VERDICT_KILLED, 128 + SIGINT },
	[MACHINE_DEVICE_WANTED] = { VERDICT_GPU_GONE, 121 },
	[MACHINE_DEVICE_ERROR] = { VERDICT_GPU_ERROR, 121 },
	[MACHINE_DEVICE_DEAD] = { VERDICT_GPU_NOT_RESET, 120 },
	[MACHINE_FAILED] = { VERDICT_HOST_FAILED, 125 },
};

static void every_end_has_one_verdict(void **state)
{
	for (int machine = 0; machine < MACHINE_ENDS; machine++) {
		for (int session = 0; session < SESSION_ENDS; session++) {
			const struct session_result result = result_of(session, 7);
			const struct verdict verdict = verdict_of_end(machine, &result, SIGINT);
			const struct expected *expected = by_machine[machine].status
								  ? &by_machine[machine]
								  : &by_session[session];

			if (verdict.kind != expected->kind || verdict.status != expected->status)
				fail_msg("machine's end %d, session's end %d: %s, status %d",
					 machine, session, verdict_name(verdict.kind),
					 verdict.status);
			assert_true(verdict.reason[0]);
			assert_int_equal(verdict.signal != 0,
					 verdict.kind == VERDICT_KILLED ||
						 verdict.kind == VERDICT_SIGNALED);
		}
	}
}

static void command_has_each_status(void **state)
{
	for (int status = 0; status <= 255; status++) {
		const struct session_result result = result_of(SESSION_EXITED, status);
		const struct verdict verdict = verdict_of_end(MACHINE_COMMAND_ENDED, &result, 0);

		assert_int_equal(verdict.status, status);
		assert_int_equal(verdict.kind, status ? VERDICT_FAILED : VERDICT_PASSED);
		/* The status says it: a command that fails has told why. */
		assert_true(verdict.told);
	}
}

static void signals_are_statuses_as_in_a_shell(void **state)
{
	const struct session_result result = result_of(SESSION_SIGNALED, SIGSEGV);
	struct verdict verdict = verdict_of_end(MACHINE_COMMAND_ENDED, &result, 0);

	assert_int_equal(verdict.kind, VERDICT_SIGNALED);
	assert_int_equal(verdict.status, 139);
	assert_int_equal(verdict.signal, SIGSEGV);
	assert_string_equal(verdict.reason, "signal 11 (Segmentation fault) ended the command");
	verdict = verdict_of_signal(SIGINT);
	assert_int_equal(verdict.kind, VERDICT_KILLED);
	assert_int_equal(verdict.status, 130);
	assert_string_equal(verdict.reason, "signal 2 (Interrupt) ended the run");
}

static void names_are_there_and_differ(void **state)
{
	for (int a = 0; a < VERDICTS; a++) {
		assert_non_null(verdict_name(a));
		for (int b = 0; b < a; b++)
			assert_string_not_equal(verdict_name(a), verdict_name(b));
	}
}

static void command_that_outlives_its_killed_process_says_how_it_ended(void **state)
{
	struct session_result result = { .end = SESSION_NO_MEMORY,
					 .text = "the command ended with status 2" };

	assert_string_equal(verdict_of_end(MACHINE_COMMAND_ENDED, &result, 0).reason,
			    "the guest had no memory left for a process of the command, which its "
			    "kernel killed: the command ended with status 2; give it more with "
			    "--memory");
	result.text[0] = '\0';
	assert_string_equal(verdict_of_end(MACHINE_COMMAND_ENDED, &result, 0).reason,
			    "the guest had no memory left for the command; give it more with "
			    "--memory");
}

static void reasons_have_the_agents_words(void **state)
{
	struct session_result result = result_of(SESSION_NOT_FOUND, 0);

	assert_string_equal(verdict_of_end(MACHINE_COMMAND_ENDED, &result, 0).reason,
			    "the agent's words");
	result = result_of(SESSION_OUTPUT_LOST, 0);
	assert_string_equal(verdict_of_end(MACHINE_COMMAND_ENDED, &result, 0).reason,
			    "what the command said could not be written: the agent's words");
	result = result_of(SESSION_FAILED, 0);
	assert_string_equal(verdict_of_end(MACHINE_POWERED_OFF, &result, 0).reason,
			    "the guest could not run the command: the agent's words");
}

static struct verdict of_failure(enum err_kind kind, bool ran)
{
	struct err_chain chain;

	err_set(kind, -EIO, "a thing went wrong");
	err_hint("mend it");
	err_save(&chain);
	return verdict_of_failure(&chain, ran);
}

static void failures_before_the_guest_are_not_the_commands(void **state)
{
	static const struct {
		enum err_kind kind;
		struct expected before, after;
	} cases[] = {
		{ ERR_INTERNAL, { VERDICT_NOT_STARTED, 125 }, { VERDICT_HOST_FAILED, 125 } },
		{ ERR_USAGE, { VERDICT_NOT_STARTED, 125 }, { VERDICT_HOST_FAILED, 125 } },
		{ ERR_HOST, { VERDICT_NOT_STARTED, 125 }, { VERDICT_HOST_FAILED, 125 } },
		{ ERR_DEVICE, { VERDICT_NOT_STARTED, 125 }, { VERDICT_HOST_FAILED, 125 } },
		{ ERR_FILE, { VERDICT_NOT_STARTED, 125 }, { VERDICT_HOST_FAILED, 125 } },
		{ ERR_LIMIT, { VERDICT_NOT_STARTED, 125 }, { VERDICT_HOST_FAILED, 125 } },
		{ ERR_GUEST, { VERDICT_PANIC, 123 }, { VERDICT_PANIC, 123 } },
		{ ERR_AER, { VERDICT_GPU_ERROR, 121 }, { VERDICT_GPU_ERROR, 121 } },
		{ ERR_WANTED, { VERDICT_GPU_GONE, 121 }, { VERDICT_GPU_GONE, 121 } },
		{ ERR_RESET, { VERDICT_GPU_NOT_RESET, 120 }, { VERDICT_GPU_NOT_RESET, 120 } },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct verdict before = of_failure(cases[i].kind, false);
		const struct verdict after = of_failure(cases[i].kind, true);

		assert_int_equal(before.kind, cases[i].before.kind);
		assert_int_equal(before.status, cases[i].before.status);
		assert_int_equal(after.kind, cases[i].after.kind);
		assert_int_equal(after.status, cases[i].after.status);
		assert_string_equal(before.reason, "a thing went wrong; mend it");
		assert_true(before.told);
	}
}

static void what_goes_wrong_afterwards_spoils_only_what_passed(void **state)
{
	struct session_result result = result_of(SESSION_EXITED, 0);
	struct verdict verdict = verdict_of_end(MACHINE_COMMAND_ENDED, &result, 0);

	verdict_spoil(&verdict, VERDICT_GPU_NOT_RESET);
	assert_int_equal(verdict.kind, VERDICT_GPU_NOT_RESET);
	assert_int_equal(verdict.status, 120);
	verdict_spoil(&verdict, VERDICT_GPU_NOT_RETURNED);
	assert_int_equal(verdict.kind, VERDICT_GPU_NOT_RESET);
	result.value = 3;
	verdict = verdict_of_end(MACHINE_COMMAND_ENDED, &result, 0);
	verdict_spoil(&verdict, VERDICT_GPU_NOT_RETURNED);
	assert_int_equal(verdict.status, 3);
	assert_int_equal(verdict.kind, VERDICT_FAILED);
}

static void only_the_command_passes_or_fails(void **state)
{
	unsigned own = 0;

	for (int kind = 0; kind < VERDICTS; kind++)
		own += verdict_is_commands(kind);
	assert_int_equal(own, 3);
	assert_true(verdict_is_commands(VERDICT_PASSED));
	assert_true(verdict_is_commands(VERDICT_FAILED));
	assert_true(verdict_is_commands(VERDICT_SIGNALED));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_end_has_one_verdict),
		cmocka_unit_test(command_has_each_status),
		cmocka_unit_test(signals_are_statuses_as_in_a_shell),
		cmocka_unit_test(names_are_there_and_differ),
		cmocka_unit_test(command_that_outlives_its_killed_process_says_how_it_ended),
		cmocka_unit_test(reasons_have_the_agents_words),
		cmocka_unit_test(failures_before_the_guest_are_not_the_commands),
		cmocka_unit_test(what_goes_wrong_afterwards_spoils_only_what_passed),
		cmocka_unit_test(only_the_command_passes_or_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
