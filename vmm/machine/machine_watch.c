/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watches the first steps of a kernel that is started without firmware. What unpacks itself and
 * finds that it is damaged, or that the CPU lacks what it needs, halts for good, and has no console
 * yet to say so. [Linux arch/x86/boot/compressed/error.c, arch/x86/kernel/verify_cpu.S]. Main
 * thread.
 */
#include <errno.h>
#include <time.h>

#include "core/arch.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "machine/machine.h"

#define PERIOD_S    1
#define PERIODS_MAX 60u /* unpacking takes less, on any host */

/* A kernel that has got further has asked for more than this. */
#define FIRST_EXITS 16u

/* Of the first vCPU, which is the only one that runs yet. */
static uint64_t cpu_time(const struct machine *machine)
{
	struct timespec t = { 0 };
	clockid_t clock;

	if (pthread_getcpuclockid(machine->vcpus.vcpus[0].thread, &clock) != 0 ||
	    clock_gettime(clock, &t) < 0)
		return 0;
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static void kernel_stuck(struct machine *machine)
{
	err_set(ERR_FILE, -ENOEXEC,
		"kernel '%s' halted for good with its first steps: it is damaged, or not for "
		"this CPU",
		machine->kernel.path);
	err_hint("it may say why with earlyprintk=ttyS0 in --cmdline");
	err_save(&machine->failure);
	machine_end(machine, MACHINE_FAILED);
}

static void watch_ready(struct loop_timer *timer)
{
	struct machine *machine = container_of(timer, struct machine, watch);
	struct vcpu *vcpu = &machine->vcpus.vcpus[0];
	const uint64_t before = machine->watch_cpu_ns;
	bool stuck, first;

	machine->watch_cpu_ns = cpu_time(machine);
	if (++machine->watch_periods == PERIODS_MAX) {
		machine_watch_fini(machine);
		return;
	}
	/* It costs nothing to look at while it runs. */
	if (machine->watch_cpu_ns != before)
		return;
	vcpus_pause(&machine->vcpus);
	first = vcpu->counts.pio + vcpu->counts.mmio < FIRST_EXITS;
	stuck = first && arch_vcpu_is_stuck(vcpu);
	vcpus_resume(&machine->vcpus);
	if (stuck)
		kernel_stuck(machine);
	else if (!first)
		machine_watch_fini(machine);
}

void machine_watch_start(struct machine *machine)
{
	if (!machine_is_direct(machine))
		return;
	machine->watch.fn = watch_ready;
	loop_set_timer(&machine->loop, &machine->watch, PERIOD_S);
}

void machine_watch_fini(struct machine *machine)
{
	loop_set_timer(&machine->loop, &machine->watch, 0);
}
