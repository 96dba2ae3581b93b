/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be asked of a machine while it runs, and what it tells of itself: for the control socket
 * and for a program that has the machine inside.
 *
 * Calls come from the thread that runs the machine, or from any other but a vCPU's or a loop's own
 * while machine_wait runs; then they wait for its main loop.
 */
#ifndef MACHINE_CONTROL_H
#define MACHINE_CONTROL_H

#include "core/util.h"
#include "core/vcpu.h"
#include "machine/machine.h"

struct machine;

enum machine_action {
	/*
	 * vCPUs stop, and devices end what they have begun; passed-through ones know nothing of it,
	 * and their DMA goes on. The guest's clocks go on too. Pausing what is paused does nothing,
	 * as does resuming what runs.
	 */
	MACHINE_PAUSE,
	MACHINE_RESUME,
	MACHINE_POWER_BUTTON, /* -EAGAIN: the guest does not listen to it (yet) */
	MACHINE_RESET,        /* has only been asked for when this returns */
	/*
	 * As the first SIGTERM to the process: the power button, once the guest listens; or the
	 * signal, for a guest that runs one command. A paused machine is resumed.
	 */
	MACHINE_STOP,
	MACHINE_KILL, /* the guest does not run any more; has only been asked for, too */
};

/* -ESHUTDOWN: the run ends already. Kind ERR_GUEST. */
int MUST_CHECK machine_act(struct machine *machine, enum machine_action action);

enum machine_state {
	MACHINE_STARTING, /* no instruction yet */
	MACHINE_RUNNING,
	MACHINE_PAUSED,
	MACHINE_ENDING,
};
const char *machine_state_name(enum machine_state state); /* "running" */

struct machine_status {
	enum machine_state state;
	bool asked_to_end;             /* by a signal or MACHINE_STOP */
	uint64_t uptime_ns, paused_ns; /* since the first instruction; how much of it in pauses */
	unsigned resets;
};
void machine_status(struct machine *machine, struct machine_status *ret_status);

struct machine_statistics {
	uint64_t cpu_ns;      /* of the process, all threads */
	uint64_t vcpu_cpu_ns; /* of the vCPUs' threads */
	uint64_t resident;    /* bytes of memory, guest RAM included */
	struct vcpu_counts exits;
};
void machine_statistics(struct machine *machine, struct machine_statistics *ret_statistics);

enum machine_event {
	MACHINE_EVENT_STARTED, /* vCPUs run */
	MACHINE_EVENT_PAUSED,
	MACHINE_EVENT_RESUMED,
	MACHINE_EVENT_RESET,
	MACHINE_EVENT_POWER_BUTTON, /* the guest has been told of it */
	MACHINE_EVENT_ENDED,        /* the guest runs no more; machine->end says why */
};
const char *machine_event_name(enum machine_event event); /* "power-button" */
const char *machine_end_name(enum machine_end end);       /* "powered-off" */

/* Lives in its owner. `told` is called on the machine's main thread. */
struct machine_listener {
	void (*told)(struct machine_listener *listener, enum machine_event event);
	struct machine_listener *next;
};
/* On the main thread, the machine zeroed or more. Until it is gone. */
void machine_listen(struct machine *machine, struct machine_listener *listener);

/* For the machine's own files; main thread. */
void machine_tell(struct machine *machine, enum machine_event event);
/* Presses the power button; false if the guest does not listen. */
bool machine_press(struct machine *machine);
void machine_resume(struct machine *machine); /* not paused: does nothing */

#endif
