/* SPDX-License-Identifier: Apache-2.0 */
/* The table of verdicts; see verdict.h. Main thread. */
#include "run/verdict.h"

#include <assert.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>

/* The status is the command's, or is made of a signal. */
#define STATUS_OF_VALUE (-1)

static const struct {
	const char *name;
	int status;
	const char *sentence; /* where there is nothing more to say */
} table[VERDICTS] = {
	[VERDICT_PASSED] = { "passed", 0, "the command ended with status 0" },
	[VERDICT_FAILED] = { "failed", STATUS_OF_VALUE, "the command failed" },
	[VERDICT_SIGNALED] = { "signaled", STATUS_OF_VALUE, "a signal ended the command" },
	[VERDICT_NOT_STARTED] = { "not-started", STATUS_NO_RUN, "the run could not be started" },
	[VERDICT_NOT_FOUND] = { "not-found", STATUS_NOT_FOUND, "the command does not exist" },
	[VERDICT_NOT_EXECUTABLE] = { "not-executable", STATUS_NOT_EXECUTABLE,
				     "the command is no program" },
	[VERDICT_POWERED_OFF] = { "powered-off", STATUS_NO_RUN,
				  "the guest powered off before the command ended" },
	[VERDICT_PANIC] = { "panic", STATUS_PANIC,
			    "the guest's kernel panicked, or a vCPU crashed" },
	[VERDICT_OUT_OF_MEMORY] = { "out-of-memory", STATUS_NO_MEMORY,
				    "the guest had no memory left for the command; "
				    "give it more with --memory" },
	[VERDICT_TIMED_OUT] = { "timed-out", STATUS_TIMED_OUT,
				"the command did not end within --timeout" },
	[VERDICT_KILLED] = { "killed", STATUS_OF_VALUE, "a signal ended the run" },
	[VERDICT_QUIT] = { "quit", 0, "the run was ended from the console" },
	[VERDICT_GPU_ERROR] = { "gpu-error", STATUS_DEVICE,
				"a passed-through device reported an uncorrectable error" },
	[VERDICT_GPU_GONE] = { "gpu-gone", STATUS_DEVICE,
			       "the host took a passed-through device away" },
	[VERDICT_GPU_NOT_RESET] = { "gpu-not-reset", STATUS_NOT_RESET,
				    "a passed-through device did not come back from a reset" },
	[VERDICT_GPU_NOT_RETURNED] = { "gpu-not-returned", STATUS_NO_RUN,
				       "a device could not be given back to its driver" },
	[VERDICT_OUTPUT_LOST] = { "output-lost", STATUS_NO_RUN,
				  "what the command said could not be written" },
	[VERDICT_RECORD_LOST] = { "record-lost", STATUS_NO_RUN,
				  "the record of the run could not be written" },
	[VERDICT_HOST_FAILED] = { "host-failed", STATUS_NO_RUN, "the host could not go on" },
};

const char *verdict_name(enum verdict_kind kind)
{
	return table[kind].name;
}

bool verdict_is_commands(enum verdict_kind kind)
{
	return kind == VERDICT_PASSED || kind == VERDICT_FAILED || kind == VERDICT_SIGNALED;
}

static struct verdict make(enum verdict_kind kind)
{
	struct verdict verdict = { .kind = kind, .status = table[kind].status };

	strcpy(verdict.reason, table[kind].sentence);
	return verdict;
}

static struct verdict PRINTF_LIKE(2, 3) make_with(enum verdict_kind kind, const char *fmt, ...)
{
	struct verdict verdict = make(kind);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(verdict.reason, sizeof(verdict.reason), fmt, ap);
	va_end(ap);
	return verdict;
}

static struct verdict make_exited(int status)
{
	struct verdict verdict = make(status ? VERDICT_FAILED : VERDICT_PASSED);

	if (status)
		snprintf(verdict.reason, sizeof(verdict.reason), "the command ended with status %d",
			 status);
	verdict.status = status;
	verdict.told = true; /* the status tells it */
	return verdict;
}

static struct verdict make_signaled(enum verdict_kind kind, int signal)
{
	const char *what = kind == VERDICT_KILLED ? "the run" : "the command";
	struct verdict verdict =
		make_with(kind, "signal %d (%s) ended %s", signal, strsignal(signal), what);

	verdict.signal = signal;
	verdict.status = STATUS_SIGNAL + signal;
	verdict.told = true;
	return verdict;
}

static struct verdict verdict_of_session(const struct session_result *result)
{
	switch (result->end) {
	case SESSION_EXITED:
		return make_exited(result->value);
	case SESSION_SIGNALED:
		return make_signaled(VERDICT_SIGNALED, result->value);
	case SESSION_NO_MEMORY:
		return result->text[0] ? make_with(VERDICT_OUT_OF_MEMORY,
						   "the guest had no memory left for a process of "
						   "the command, "
						   "which its kernel killed: %s; give it more with "
						   "--memory",
						   result->text)
				       : make(VERDICT_OUT_OF_MEMORY);
	case SESSION_NOT_FOUND:
		return make_with(VERDICT_NOT_FOUND, "%s", result->text);
	case SESSION_NOT_EXECUTABLE:
		return make_with(VERDICT_NOT_EXECUTABLE, "%s", result->text);
	case SESSION_OUTPUT_LOST:
		return make_with(VERDICT_OUTPUT_LOST, "%s: %s", table[VERDICT_OUTPUT_LOST].sentence,
				 result->text);
	case SESSION_FAILED:
		return make_with(VERDICT_NOT_STARTED, "the guest could not run the command: %s",
				 result->text);
	case SESSION_NOT_STARTED:
	case SESSION_RUNNING:
		break;
	}
	return make(VERDICT_POWERED_OFF);
}

static struct verdict make_told(enum verdict_kind kind)
{
	struct verdict verdict = make(kind);

	verdict.told = true;
	return verdict;
}

struct verdict verdict_of_end(enum machine_end end, const struct session_result *result,
			      int end_signal)
{
	switch (end) {
	case MACHINE_POWERED_OFF:
	case MACHINE_COMMAND_ENDED:
		return verdict_of_session(result);
	case MACHINE_TIMED_OUT:
		return make(VERDICT_TIMED_OUT);
	case MACHINE_KILLED:
		return make_signaled(VERDICT_KILLED, end_signal);
	case MACHINE_QUIT: /* asked to end, as by SIGTERM */
		return make_signaled(VERDICT_KILLED, SIGTERM);
	case MACHINE_DEVICE_WANTED:
		return make_told(VERDICT_GPU_GONE);
	case MACHINE_DEVICE_ERROR:
		return make_told(VERDICT_GPU_ERROR);
	case MACHINE_DEVICE_DEAD:
		return make_told(VERDICT_GPU_NOT_RESET);
	case MACHINE_CRASHED:
		return make_told(VERDICT_PANIC);
	case MACHINE_FAILED:
		break;
	}
	return make(VERDICT_HOST_FAILED);
}

struct verdict verdict_of_guest(enum machine_end end)
{
	struct verdict verdict;

	switch (end) {
	case MACHINE_QUIT:
		return make_told(VERDICT_QUIT);
	case MACHINE_POWERED_OFF:
		verdict = make_with(VERDICT_POWERED_OFF, "the guest powered off");
		verdict.told = true;
		return verdict;
	default:
		return verdict_of_end(end, NULL, 0);
	}
}

static enum verdict_kind kind_of_failure(enum err_kind kind, bool ran)
{
	switch (kind) {
	case ERR_GUEST:
		return VERDICT_PANIC;
	case ERR_AER:
		return VERDICT_GPU_ERROR;
	case ERR_WANTED:
		return VERDICT_GPU_GONE;
	case ERR_RESET:
		return VERDICT_GPU_NOT_RESET;
	case ERR_INTERNAL:
	case ERR_USAGE:
	case ERR_HOST:
	case ERR_DEVICE:
	case ERR_FILE:
	case ERR_LIMIT:
		break;
	}
	return ran ? VERDICT_HOST_FAILED : VERDICT_NOT_STARTED;
}

struct verdict verdict_of_failure(const struct err_chain *chain, bool ran)
{
	struct verdict verdict = make_told(kind_of_failure(chain->kind, ran));

	if (chain->text[0])
		snprintf(verdict.reason, sizeof(verdict.reason), "%s%s%s", chain->text,
			 chain->hint[0] ? "; " : "", chain->hint);
	return verdict;
}

struct verdict verdict_of_signal(int signal)
{
	return make_signaled(VERDICT_KILLED, signal);
}

void verdict_spoil(struct verdict *verdict, enum verdict_kind kind)
{
	assert(table[kind].status != STATUS_OF_VALUE);
	if (verdict->status == 0)
		*verdict = make_told(kind);
}
