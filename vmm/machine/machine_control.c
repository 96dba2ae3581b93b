/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations on a machine that runs, and its events; see machine_control.h. All is done on the main
 * thread: a call from another one goes through the main loop.
 */
#include "machine/machine_control.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

#include "core/arch.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/sys.h"
#include "devices/chipset/ich9_lpc.h"
#include "machine/machine.h"

void machine_listen(struct machine *machine, struct machine_listener *listener)
{
	listener->next = machine->listeners;
	machine->listeners = listener;
}

void machine_tell(struct machine *machine, enum machine_event event)
{
	if (event == MACHINE_EVENT_STARTED)
		machine->started_ns = clock_ns();
	else if (event == MACHINE_EVENT_RESET)
		machine->resets++;
	for (struct machine_listener *l = machine->listeners; l; l = l->next)
		l->told(l, event);
}

bool machine_press(struct machine *machine)
{
	if (!ich9_lpc_power_button(machine->lpc))
		return false;
	machine_tell(machine, MACHINE_EVENT_POWER_BUTTON);
	return true;
}

static void machine_pause(struct machine *machine)
{
	if (machine->paused)
		return;
	vcpus_pause(&machine->vcpus);
	machine->paused = true;
	machine->paused_at_ns = clock_ns();
	machine_tell(machine, MACHINE_EVENT_PAUSED);
}

void machine_resume(struct machine *machine)
{
	if (!machine->paused)
		return;
	for (unsigned i = 0; i < machine->vcpus.count; i++)
		arch_vcpu_tell_paused(&machine->vcpus.vcpus[i]);
	machine->paused = false;
	machine->paused_ns += clock_ns() - machine->paused_at_ns;
	vcpus_resume(&machine->vcpus);
	machine_tell(machine, MACHINE_EVENT_RESUMED);
}

static enum machine_state state_of(const struct machine *machine)
{
	if (machine->ending)
		return MACHINE_ENDING;
	if (!machine->started_ns)
		return MACHINE_STARTING;
	return machine->paused ? MACHINE_PAUSED : MACHINE_RUNNING;
}

static int press_button(struct machine *machine)
{
	if (machine_press(machine))
		return 0;
	err_set(ERR_GUEST, -EAGAIN, "the guest does not listen to its power button");
	err_hint("it does once its operating system runs");
	return -EAGAIN;
}

static int ask_for_reset(struct machine *machine)
{
	if (machine_has_command(machine))
		return err_set(ERR_GUEST, -EOPNOTSUPP,
			       "a guest that runs one command has no reset");
	vm_request(&machine->vm, VM_REQUEST_RESET);
	return 0;
}

/* Asked again, the guest hears its button again. */
static void stop(struct machine *machine)
{
	machine_resume(machine);
	if (machine_has_command(machine)) {
		if (!session_signal(&machine->command->session, SIGTERM)) {
			machine->end_signal = SIGTERM;
			machine_end(machine, MACHINE_KILLED);
		}
		return;
	}
	machine->asked_to_end = true;
	if (machine_press(machine))
		log_info("asked the guest to power off");
	else
		machine_press_later(machine);
}

static int act(struct machine *machine, enum machine_action action)
{
	if (machine->ending)
		return err_set(ERR_GUEST, -ESHUTDOWN, "the run is ending");
	if (!machine->started_ns)
		return err_set(ERR_GUEST, -EAGAIN, "the guest has not started yet");
	switch (action) {
	case MACHINE_PAUSE:
		machine_pause(machine);
		return 0;
	case MACHINE_RESUME:
		machine_resume(machine);
		return 0;
	case MACHINE_POWER_BUTTON:
		return press_button(machine);
	case MACHINE_RESET:
		return ask_for_reset(machine);
	case MACHINE_STOP:
		stop(machine);
		return 0;
	case MACHINE_KILL:
		machine->end_signal = SIGTERM;
		machine_end(machine, MACHINE_KILLED);
		return 0;
	}
	return err_set(ERR_INTERNAL, -EINVAL, "no such action");
}

struct call {
	struct machine *machine;
	enum machine_action action;
	int r;
	struct err_chain why; /* the main thread's */
	void *ret;
};

static void act_on_loop(void *arg)
{
	struct call *call = arg;

	call->r = act(call->machine, call->action);
	if (call->r < 0)
		err_save(&call->why);
}

int machine_act(struct machine *machine, enum machine_action action)
{
	struct call call = { .machine = machine, .action = action };

	loop_call(&machine->loop, act_on_loop, &call);
	if (call.r < 0)
		err_restore(&call.why);
	return call.r;
}

static void status_on_loop(void *arg)
{
	const struct call *call = arg;
	const struct machine *machine = call->machine;
	const uint64_t now = clock_ns();
	struct machine_status *status = call->ret;

	*status = (struct machine_status){
		.state = state_of(machine),
		.asked_to_end = machine->asked_to_end,
		.uptime_ns = machine->started_ns ? now - machine->started_ns : 0,
		.paused_ns =
			machine->paused_ns + (machine->paused ? now - machine->paused_at_ns : 0),
		.resets = machine->resets,
	};
}

void machine_status(struct machine *machine, struct machine_status *ret_status)
{
	struct call call = { .machine = machine, .ret = ret_status };

	loop_call(&machine->loop, status_on_loop, &call);
}

/* [proc_pid_statm(5)]: the second number, in pages. */
static uint64_t resident_bytes(void)
{
	unsigned long long size, resident;
	char text[128];

	if (sys_read_text("/proc/self/statm", text, sizeof(text)) < 0 ||
	    sscanf(text, "%llu %llu", &size, &resident) != 2)
		return 0;
	return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void statistics_on_loop(void *arg)
{
	const struct call *call = arg;
	struct vcpus *vcpus = &call->machine->vcpus;
	struct machine_statistics *s = call->ret;
	struct timespec t = { 0 };

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	*s = (struct machine_statistics){
		.cpu_ns = (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec,
		.resident = resident_bytes(),
		.vcpu_cpu_ns = vcpus_cpu_ns(vcpus),
		.exits = vcpus_counts(vcpus),
	};
}

void machine_statistics(struct machine *machine, struct machine_statistics *ret_statistics)
{
	struct call call = { .machine = machine, .ret = ret_statistics };

	loop_call(&machine->loop, statistics_on_loop, &call);
}

const char *machine_state_name(enum machine_state state)
{
	static const char *const names[] = {
		[MACHINE_STARTING] = "starting",
		[MACHINE_RUNNING] = "running",
		[MACHINE_PAUSED] = "paused",
		[MACHINE_ENDING] = "ending",
	};

	return names[state];
}

const char *machine_event_name(enum machine_event event)
{
	static const char *const names[] = {
		[MACHINE_EVENT_STARTED] = "started",           [MACHINE_EVENT_PAUSED] = "paused",
		[MACHINE_EVENT_RESUMED] = "resumed",           [MACHINE_EVENT_RESET] = "reset",
		[MACHINE_EVENT_POWER_BUTTON] = "power-button", [MACHINE_EVENT_ENDED] = "ended",
	};

	return names[event];
}

const char *machine_end_name(enum machine_end end)
{
	static const char *const names[] = {
		[MACHINE_POWERED_OFF] = "powered-off",
		[MACHINE_CRASHED] = "crashed",
		[MACHINE_QUIT] = "quit",
		[MACHINE_COMMAND_ENDED] = "command-ended",
		[MACHINE_TIMED_OUT] = "timed-out",
		[MACHINE_KILLED] = "killed",
		[MACHINE_DEVICE_WANTED] = "device-wanted",
		[MACHINE_DEVICE_ERROR] = "device-error",
		[MACHINE_DEVICE_DEAD] = "device-dead",
		[MACHINE_FAILED] = "failed",
	};

	return names[end];
}
