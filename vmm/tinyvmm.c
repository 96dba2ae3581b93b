/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The library's surface; see tinyvmm.h. What happens on which thread is said there: `ask` and
 * `statistics` come from any, all else from the one that has the machine.
 */
#include "tinyvmm.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "core/timings.h"
#include "core/timings_out.h"
#include "machine/machine_control.h"
#include "options/options.h"
#include "run/run.h"
#include "run/run_record.h"
#include "run/run_signals.h"

enum phase {
	NOT_YET, /* the main loop does not run */
	RUNNING,
	OVER,
};

struct tinyvmm {
	char **argv; /* a program's name, `run`, and the words; one block */
	struct options options;
	struct run run;
	struct run_record record;
	int null_fd; /* in place of streams that are none; -1: not needed */
	bool has_signals;
	struct run_signals signals_before;

	void (*told)(void *opaque, enum tinyvmm_event event);
	void *opaque;
	struct machine_listener listener;
	struct loop_event runs; /* the first thing on the main loop */

	pthread_mutex_t lock; /* guards the next three */
	pthread_cond_t left;
	enum phase phase;
	unsigned callers; /* of other threads, in the machine */

	struct tinyvmm_result result;
};

/* All zero, and mostly stays so: one process has one machine at a time. */
static struct tinyvmm the_machine;
static atomic_bool is_open;

const char *tinyvmm_version(void)
{
	return TINYVMM_VERSION;
}

const char *tinyvmm_error(void)
{
	return err_text();
}

const char *tinyvmm_hint(void)
{
	return err_hint_text();
}

static struct {
	void (*line)(void *opaque, enum tinyvmm_level level, const char *text);
	void *opaque;
} log_to;

static void log_line(void *opaque, enum log_level level, const char *text)
{
	static const enum tinyvmm_level levels[] = {
		[LOG_ERROR] = TINYVMM_ERROR,
		[LOG_WARN] = TINYVMM_WARNING,
		[LOG_INFO] = TINYVMM_INFO,
		[LOG_DEBUG] = TINYVMM_DEBUG,
	};

	log_to.line(log_to.opaque, levels[level], text);
}

void tinyvmm_set_log(void (*line)(void *opaque, enum tinyvmm_level level, const char *text),
		     void *opaque)
{
	log_to.line = line;
	log_to.opaque = opaque;
	log_set_sink(line ? log_line : NULL, NULL);
}

/* --- open and close --- */

/* Who opens a machine may forget the words: options point into them. */
static int copy_words(struct tinyvmm *vm, int count, const char *const words[])
{
	static const char *const first[] = { "tinyvmm", "run" };
	const size_t argc = (size_t)count + ARRAY_SIZE(first);
	size_t size = (argc + 1) * sizeof(*vm->argv);
	char *text;

	for (size_t i = 0; i < argc; i++)
		size += strlen(i < ARRAY_SIZE(first) ? first[i] : words[i - ARRAY_SIZE(first)]) + 1;
	vm->argv = malloc(size);
	if (!vm->argv)
		return err_sys(ERR_LIMIT, -ENOMEM, "the words of a machine");
	text = (char *)(vm->argv + argc + 1);
	for (size_t i = 0; i < argc; i++) {
		vm->argv[i] = text;
		text = stpcpy(text,
			      i < ARRAY_SIZE(first) ? first[i] : words[i - ARRAY_SIZE(first)]) +
		       1;
	}
	vm->argv[argc] = NULL;
	return 0;
}

static int parse_words(struct tinyvmm *vm, int count, const char *const words[])
{
	struct options *options = &vm->options;
	int r = copy_words(vm, count, words);

	if (r == 0)
		r = options_parse(count + 2, vm->argv, options);
	if (r == 0 && (options->help || options->version))
		r = err_set(ERR_USAGE, -EINVAL, "--help and --version are the command's");
	if (r == 0)
		log_set_level(options->log_level);
	return r;
}

static void guest_runs(struct loop_event *event);
static void machine_told(struct machine_listener *listener, enum machine_event event);

int tinyvmm_open(int count, const char *const words[], struct tinyvmm **ret_vm)
{
	static const struct session_files streams = { STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO };
	struct tinyvmm *vm = &the_machine;
	int r;

	if (atomic_exchange(&is_open, true))
		return err_set(ERR_LIMIT, -EBUSY, "this process has a machine already");
	vm->null_fd = -1;
	log_begin_machine();
	timings_start();
	r = parse_words(vm, count, words);
	if (r < 0) {
		tinyvmm_close(vm);
		return r;
	}
	vm->run.options = &vm->options;
	vm->run.signal_fd = -1;
	vm->run.files = streams;
	/* In the background all goes to the log, which standard error is when the guest runs. */
	if (vm->options.detach)
		vm->run.files.error = STDOUT_FILENO;
	vm->listener.told = machine_told;
	vm->runs.fn = guest_runs;
	pthread_mutex_init(&vm->lock, NULL);
	pthread_cond_init(&vm->left, NULL);
	*ret_vm = vm;
	return 0;
}

void tinyvmm_close(struct tinyvmm *vm)
{
	if (!vm)
		return;
	assert(vm->phase != RUNNING);
	if (vm->has_signals) {
		close(vm->run.signal_fd);
		run_signals_release(&vm->signals_before);
	}
	closep(&vm->null_fd);
	free(vm->argv);
	memset(vm, 0, sizeof(*vm));
	atomic_store(&is_open, false);
}

/* --- before the run --- */

/* One that is none is /dev/null. */
static int stream_of(struct tinyvmm *vm, int fd)
{
	if (fd >= 0)
		return fd;
	if (vm->null_fd < 0)
		vm->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	return vm->null_fd;
}

int tinyvmm_set_streams(struct tinyvmm *vm, int input, int output, int error)
{
	const struct session_files files = {
		.input = stream_of(vm, input),
		.output = stream_of(vm, output),
		.error = stream_of(vm, error),
	};

	if (files.input < 0 || files.output < 0 || files.error < 0)
		return err_sys(ERR_FILE, -errno, "/dev/null");
	vm->run.files = files;
	return 0;
}

void tinyvmm_set_events(struct tinyvmm *vm, void (*told)(void *opaque, enum tinyvmm_event event),
			void *opaque)
{
	vm->told = told;
	vm->opaque = opaque;
}

int tinyvmm_take_signals(struct tinyvmm *vm)
{
	int r;

	if (vm->has_signals)
		return 0;
	r = run_signals_open(&vm->signals_before, &vm->run.signal_fd);
	vm->has_signals = r == 0;
	return r;
}

/* --- the run --- */

static void tell(struct tinyvmm *vm, enum tinyvmm_event event)
{
	if (vm->told)
		vm->told(vm->opaque, event);
}

static void machine_told(struct machine_listener *listener, enum machine_event event)
{
	static const enum tinyvmm_event events[] = {
		[MACHINE_EVENT_PAUSED] = TINYVMM_EVENT_PAUSED,
		[MACHINE_EVENT_RESUMED] = TINYVMM_EVENT_RESUMED,
		[MACHINE_EVENT_RESET] = TINYVMM_EVENT_RESET,
		[MACHINE_EVENT_POWER_BUTTON] = TINYVMM_EVENT_POWER_BUTTON,
		[MACHINE_EVENT_ENDED] = TINYVMM_EVENT_ENDED,
	};

	/* That is told when the main loop can answer. */
	if (event != MACHINE_EVENT_STARTED)
		tell(container_of(listener, struct tinyvmm, listener), events[event]);
}

/* From here on other threads may ask, and it was not too late to end the start before. */
static void guest_runs(struct loop_event *event)
{
	struct tinyvmm *vm = container_of(event, struct tinyvmm, runs);

	pthread_mutex_lock(&vm->lock);
	vm->phase = RUNNING;
	pthread_mutex_unlock(&vm->lock);
	run_control_started(&vm->run.control);
	if (atomic_load(&vm->run.stop))
		(void)!machine_act(&vm->run.machine, MACHINE_KILL);
	else
		tell(vm, TINYVMM_EVENT_STARTED);
}

/* Until nobody is in the machine any more. */
static int start_guest(struct tinyvmm *vm)
{
	int r = run_record_open(&vm->record, &vm->options);

	if (r == 0)
		return run_start(&vm->run);
	run_refuse(&vm->run);
	return r;
}

static void run_guest(struct tinyvmm *vm)
{
	if (start_guest(vm) == 0) {
		loop_post(&vm->run.machine.loop, &vm->runs);
		run_wait(&vm->run);
	}
	pthread_mutex_lock(&vm->lock);
	vm->phase = OVER;
	while (vm->callers)
		pthread_cond_wait(&vm->left, &vm->lock);
	pthread_mutex_unlock(&vm->lock);
}

/* As `tinyvmm run` has it on standard error. */
static void print(const struct tinyvmm *vm, const struct console *console,
		  enum timings_format timings)
{
	const int fd = vm->run.files.error;
	FILE *out = fd == STDERR_FILENO ? stderr : NULL;
	int copy;

	if (!console && timings == TIMINGS_NONE)
		return;
	if (!out) {
		copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		out = copy < 0 ? NULL : fdopen(copy, "w");
		if (!out) {
			close_fd(&copy);
			return;
		}
	}
	if (console)
		console_print_kept(console, out, "guest: ");
	timings_out(out, timings);
	if (out != stderr)
		fclose(out);
}

static int value_of(const struct verdict *verdict)
{
	if (verdict->kind == VERDICT_SIGNALED)
		return verdict->signal;
	return verdict_is_commands(verdict->kind) ? verdict->status : -1;
}

const struct tinyvmm_result *tinyvmm_run(struct tinyvmm *vm)
{
	struct run *run = &vm->run;
	struct run_quiet quiet;

	assert(vm->phase == NOT_YET && !vm->result.verdict);
	if (!vm->has_signals)
		run_quiet_begin(&quiet);
	machine_listen(&run->machine, &vm->listener);
	run_guest(vm);
	print(vm, run_console(run), TIMINGS_NONE);
	run_record_guest(&vm->record, run);
	run_end(run);
	run_record_end(&vm->record, run);
	print(vm, NULL, vm->options.timings);
	run_control_fini(&run->control, run->verdict.status);
	vm->result = (struct tinyvmm_result){
		.status = run->verdict.status,
		.verdict = verdict_name(run->verdict.kind),
		.reason = run->verdict.reason,
		.value = value_of(&run->verdict),
	};
	if (!vm->has_signals)
		run_quiet_end(&quiet);
	return &vm->result;
}

const char *tinyvmm_name(const struct tinyvmm *vm)
{
	return vm->run.control.folder.name;
}

/* --- any thread --- */

/* A caller keeps the machine from being torn down. */
static int enter(struct tinyvmm *vm)
{
	int r = 0;

	pthread_mutex_lock(&vm->lock);
	if (vm->phase == NOT_YET)
		r = err_set(ERR_GUEST, -EAGAIN, "the guest has not started yet");
	else if (vm->phase == OVER)
		r = err_set(ERR_GUEST, -ESHUTDOWN, "the guest has ended");
	else
		vm->callers++;
	pthread_mutex_unlock(&vm->lock);
	return r;
}

static void leave(struct tinyvmm *vm)
{
	pthread_mutex_lock(&vm->lock);
	vm->callers--;
	pthread_cond_broadcast(&vm->left);
	pthread_mutex_unlock(&vm->lock);
}

int tinyvmm_ask(struct tinyvmm *vm, enum tinyvmm_action action)
{
	static const enum machine_action actions[] = {
		[TINYVMM_PAUSE] = MACHINE_PAUSE,
		[TINYVMM_RESUME] = MACHINE_RESUME,
		[TINYVMM_POWER_BUTTON] = MACHINE_POWER_BUTTON,
		[TINYVMM_RESET] = MACHINE_RESET,
		[TINYVMM_STOP] = MACHINE_STOP,
		[TINYVMM_KILL] = MACHINE_KILL,
	};
	int r;

	if ((unsigned)action >= ARRAY_SIZE(actions))
		return err_set(ERR_USAGE, -EINVAL, "no such action");
	/* Before the loop runs it finds this, and after that this is no more. */
	if (action == TINYVMM_KILL)
		atomic_store(&vm->run.stop, true);
	r = enter(vm);
	if (r == -EAGAIN && action == TINYVMM_KILL)
		return 0;
	if (r < 0)
		return r;
	r = machine_act(&vm->run.machine, actions[action]);
	leave(vm);
	return r;
}

int tinyvmm_statistics(struct tinyvmm *vm, struct tinyvmm_statistics *ret_statistics)
{
	struct machine_statistics s;
	struct machine_status status;
	int r = enter(vm);

	if (r < 0)
		return r;
	machine_status(&vm->run.machine, &status);
	machine_statistics(&vm->run.machine, &s);
	leave(vm);
	*ret_statistics = (struct tinyvmm_statistics){
		.uptime_ns = status.uptime_ns,
		.paused_ns = status.paused_ns,
		.resets = status.resets,
		.cpu_ns = s.cpu_ns,
		.vcpu_cpu_ns = s.vcpu_cpu_ns,
		.resident = s.resident,
		.port_exits = s.exits.pio,
		.memory_exits = s.exits.mmio,
		.other_exits = s.exits.other,
	};
	return 0;
}
