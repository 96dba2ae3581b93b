/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vCPU threads: KVM_RUN, the exits, pause and resume. [KVM API 4.10 KVM_RUN, 5 The kvm_run
 * structure].
 *
 * A pause sets immediate_exit and sends a signal. KVM_RUN then finishes the instruction whose
 * exit was being handled before it returns EINTR, so a paused vCPU never has half an access.
 */
#include "core/vcpu.h"

#include <assert.h>
#include <errno.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "core/arch.h"
#include "core/bus.h"
#include "core/cpu_set.h"
#include "core/err.h"
#include "core/exit_counts.h"
#include "core/log.h"
#include "core/sys.h"
#include "core/thread.h"
#include "core/timings.h"
#include "core/vm.h"

#define KICK_AGAIN_NS 10000000
#define NS_PER_S      1000000000

static void vcpu_kicked(int sig)
{
	/* Only there so that the signal interrupts KVM_RUN. */
}

/* Read by others meanwhile. */
static void count(uint64_t *counter)
{
	__atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED);
}

static void vcpu_exit_io(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	const unsigned size = run->io.size;
	struct bus *bus = vcpu->set->board->pio;

	/* REP INS and OUTS arrive as one exit with a count; the page of data bounds it. */
	for (uint32_t i = 0; i < run->io.count; i++, data += size) {
		if (run->io.direction == KVM_EXIT_IO_OUT)
			bus_write(bus, run->io.port, size, load_le(data, size));
		else
			store_le(data, size, bus_read(bus, run->io.port, size));
	}
	exit_counts_add(vcpu->exits, false, run->io.port, run->io.direction == KVM_EXIT_IO_OUT);
	count(&vcpu->counts.pio);
}

static void vcpu_exit_mmio(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	struct bus *bus = vcpu->set->board->mmio;
	const unsigned len = MIN(run->mmio.len, 8u);

	if (run->mmio.is_write)
		bus_write(bus, run->mmio.phys_addr, len, load_le(run->mmio.data, len));
	else
		store_le(run->mmio.data, len, bus_read(bus, run->mmio.phys_addr, len));
	exit_counts_add(vcpu->exits, true, run->mmio.phys_addr, run->mmio.is_write);
	count(&vcpu->counts.mmio);
}

static void vcpu_crashed(struct vcpu *vcpu, const char *what, uint64_t detail)
{
	char where[256];

	arch_vcpu_describe(vcpu, where, sizeof(where));
	log_error("vCPU %u cannot go on: %s (0x%llx) at %s", vcpu->id, what,
		  (unsigned long long)detail, where);
	vm_request(vcpu->set->board->vm, VM_REQUEST_CRASH);
}

static void vcpu_failed_in_kvm(struct vcpu *vcpu)
{
	const uint32_t suberror = vcpu->run->internal.suberror;
	const bool emulation = suberror == KVM_INTERNAL_ERROR_EMULATION;

	vcpu_crashed(vcpu, emulation ? "KVM cannot emulate an instruction" : "KVM internal error",
		     suberror);
	/* Without the CPU's help (unrestricted guest), KVM emulates what has no paging. */
	if (emulation && vcpu->id == 0 && !arch_vcpu_pages(vcpu))
		log_error("those are the guest's first steps: perhaps this host's KVM cannot run "
			  "firmware (is it nested or emulated?); try another host");
}

enum vcpu_next { VCPU_RUN, VCPU_WAIT };

/* What a guest asks of the hypervisor, not of a device. */
static enum vcpu_next vcpu_system_event(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->set->board->vm;
	char text[128];

	switch (vcpu->run->system_event.type) {
	case KVM_SYSTEM_EVENT_RESET:
		vm_request(vm, VM_REQUEST_RESET);
		return VCPU_WAIT;
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		vm_request(vm, VM_REQUEST_POWEROFF);
		return VCPU_WAIT;
	case KVM_SYSTEM_EVENT_CRASH:
		/* It goes on: it may write a dump, and resets the machine itself. */
		arch_vcpu_crash(vcpu, text, sizeof(text));
		log_limited(LOG_WARN, "the guest reports that it crashed: %s", text);
		return VCPU_RUN;
	default:
		vcpu_crashed(vcpu, "unknown system event", vcpu->run->system_event.type);
		return VCPU_WAIT;
	}
}

/* What the vCPU does after this exit: run on, or wait until main pauses it. */
static enum vcpu_next vcpu_handle_exit(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		vcpu_exit_io(vcpu);
		return VCPU_RUN;
	case KVM_EXIT_MMIO:
		vcpu_exit_mmio(vcpu);
		return VCPU_RUN;
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		count(&vcpu->counts.other);
		return VCPU_RUN;
	case KVM_EXIT_SHUTDOWN:
		log_limited(LOG_INFO, "vCPU %u: triple fault; the machine is reset", vcpu->id);
		vm_request(vcpu->set->board->vm, VM_REQUEST_RESET);
		return VCPU_WAIT;
	case KVM_EXIT_INTERNAL_ERROR:
		vcpu_failed_in_kvm(vcpu);
		return VCPU_WAIT;
	case KVM_EXIT_FAIL_ENTRY:
		vcpu_crashed(vcpu, "the CPU refuses to enter the guest",
			     run->fail_entry.hardware_entry_failure_reason);
		return VCPU_WAIT;
	case KVM_EXIT_SYSTEM_EVENT:
		return vcpu_system_event(vcpu);
	default:
		if (arch_vcpu_exit(vcpu))
			return VCPU_RUN;
		vcpu_crashed(vcpu, "unknown exit reason", run->exit_reason);
		return VCPU_WAIT;
	}
}

/* Waits while a pause or a hold lasts. False when the thread has to end. */
static bool vcpu_park(struct vcpu *vcpu, bool wait_for_pause)
{
	struct vcpus *set = vcpu->set;
	bool go_on;

	pthread_mutex_lock(&set->lock);
	while (wait_for_pause && !set->pauses && !set->stopping)
		pthread_cond_wait(&set->changed, &set->lock);
	if (set->pauses || vcpu->held) {
		set->running--;
		pthread_cond_broadcast(&set->changed);
		while ((set->pauses || vcpu->held) && !set->stopping)
			pthread_cond_wait(&set->changed, &set->lock);
		set->running++;
	}
	go_on = !set->stopping;
	/* Under the lock: a pause that begins from here on sets it again. */
	if (go_on)
		__atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&set->lock);
	return go_on;
}

/*
 * A handler asked for a hold. KVM_RUN still has to finish the instruction, and with immediate_exit
 * does no more than that, so that a held vCPU has no half an access: it can be reset.
 */
static void vcpu_hold(struct vcpu *vcpu)
{
	struct vcpus *set = vcpu->set;

	pthread_mutex_lock(&set->lock);
	vcpu->held = !set->released;
	if (vcpu->held)
		__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&set->lock);
}

static void *vcpu_thread(void *arg)
{
	struct vcpu *vcpu = arg;
	bool go_on;

	thread_name("vcpu%u", vcpu->id);
	go_on = vcpu_park(vcpu, false);
	if (vcpu->id == 0)
		timings_mark(TIMINGS_FIRST_INSTRUCTION);
	while (go_on) {
		int r = sys_ioctl(vcpu->fd, KVM_RUN, NULL);

		if (r == 0)
			timings_mark(TIMINGS_FIRST_EXIT);
		if (r == -EINTR || r == -EAGAIN) {
			count(&vcpu->counts.other);
			go_on = vcpu_park(vcpu, false);
		} else if (r < 0) {
			vcpu_crashed(vcpu,
				     r == -EFAULT ? "the guest touched memory that the host cannot "
						    "provide (a device's that went away?)"
						  : strerror(-r),
				     (uint64_t)-r);
			go_on = vcpu_park(vcpu, true);
		} else if (vcpu_handle_exit(vcpu) == VCPU_WAIT) {
			go_on = vcpu_park(vcpu, true);
		}
		if (vm_take_hold())
			vcpu_hold(vcpu);
	}
	pthread_mutex_lock(&vcpu->set->lock);
	vcpu->set->alive--;
	pthread_cond_broadcast(&vcpu->set->changed);
	pthread_mutex_unlock(&vcpu->set->lock);
	return NULL;
}

static int vcpu_init(struct vcpu *vcpu, struct arch_cpu *cpu)
{
	struct vm *vm = vcpu->set->board->vm;

	vcpu->fd = sys_ioctl(vm->vm_fd, KVM_CREATE_VCPU, (void *)(uintptr_t)vcpu->hw_id);
	if (vcpu->fd < 0)
		return err_sys(ERR_HOST, vcpu->fd, "create vCPU %u", vcpu->id);
	vcpu->run = mmap(NULL, vm->vcpu_mmap_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED) {
		vcpu->run = NULL;
		return err_sys(ERR_LIMIT, -errno, "map vCPU %u", vcpu->id);
	}
	vcpu->exits = exit_counts_create();
	return arch_vcpu_init(vcpu, cpu);
}

int vcpus_init(struct vcpus *set, const struct board *board, const struct arch_topology *topology,
	       struct arch_cpu *cpu)
{
	const unsigned count = arch_topology_count(topology);
	int r;

	*set = (struct vcpus){ .board = board, .cpu = cpu };
	pthread_mutex_init(&set->lock, NULL);
	pthread_cond_init(&set->changed, NULL);
	set->vcpus = calloc(count, sizeof(*set->vcpus));
	if (!set->vcpus)
		return err_sys(ERR_LIMIT, -ENOMEM, "%u vCPUs", count);
	while (set->count < count) {
		struct vcpu *vcpu = &set->vcpus[set->count];

		*vcpu = (struct vcpu){
			.id = set->count,
			.hw_id = arch_cpu_id(topology, set->count),
			.set = set,
			.fd = -1,
			.cpu = -1,
		};
		set->count++;
		r = vcpu_init(vcpu, cpu);
		if (r < 0)
			return r;
	}
	return 0;
}

void vcpus_fini(struct vcpus *set)
{
	if (!set->board)
		return;
	vcpus_stop(set);
	for (unsigned i = 0; i < set->count; i++) {
		struct vcpu *vcpu = &set->vcpus[i];

		arch_vcpu_fini(vcpu);
		if (vcpu->run)
			munmap(vcpu->run, set->board->vm->vcpu_mmap_size);
		close_fd(&vcpu->fd);
	}
	free(set->vcpus);
	set->vcpus = NULL;
	set->count = 0;
	pthread_cond_destroy(&set->changed);
	pthread_mutex_destroy(&set->lock);
}

/* On its CPU from the first instruction on, so that what the kernel makes for it is near. */
static int vcpu_create_thread(struct vcpu *vcpu)
{
	const struct cpu_set *cpus = vcpu->cpus;
	struct cpu_set one = { 0 };
	pthread_attr_t attr;
	int r;

	if (vcpu->cpu >= 0) {
		cpu_set_add(&one, (unsigned)vcpu->cpu);
		cpus = &one;
	}
	if (!cpus)
		return thread_start(&vcpu->thread, vcpu->set->kick, vcpu_thread, vcpu);
	r = thread_attr_init(&attr, vcpu->set->kick);
	if (r < 0)
		return r;
	r = -pthread_attr_setaffinity_np(&attr, sizeof(*cpus), (const cpu_set_t *)cpus->bits);
	if (r == 0)
		r = -pthread_create(&vcpu->thread, &attr, vcpu_thread, vcpu);
	pthread_attr_destroy(&attr);
	return r;
}

/*
 * The last real-time signal that nobody uses: the others are for the program that has the machine
 * inside.
 */
static int take_kick(struct vcpus *set)
{
	const struct sigaction kick = { .sa_handler = vcpu_kicked };

	for (int sig = SIGRTMAX; sig >= SIGRTMIN; sig--) {
		if (sigaction(sig, &kick, &set->kick_before) < 0)
			continue;
		if (set->kick_before.sa_handler == SIG_DFL) {
			set->kick = sig;
			return 0;
		}
		sigaction(sig, &set->kick_before, NULL);
	}
	return err_set(ERR_LIMIT, -EBUSY, "all real-time signals are in use");
}

static void give_kick_back(struct vcpus *set)
{
	if (set->kick)
		sigaction(set->kick, &set->kick_before, NULL);
	set->kick = 0;
}

int vcpus_start(struct vcpus *set)
{
	int r = take_kick(set);

	for (unsigned i = 0; i < set->count && r == 0; i++) {
		struct vcpu *vcpu = &set->vcpus[i];

		pthread_mutex_lock(&set->lock);
		set->running++;
		set->alive++;
		pthread_mutex_unlock(&set->lock);
		r = vcpu_create_thread(vcpu);
		if (r < 0) {
			set->alive--;
			r = err_sys(ERR_LIMIT, r, "start the thread of vCPU %u", i);
			break;
		}
		pthread_mutex_lock(&set->lock);
		vcpu->started = true;
		pthread_mutex_unlock(&set->lock);
	}
	if (r < 0)
		vcpus_stop(set);
	return r;
}

/*
 * With the lock held: makes every vCPU leave KVM_RUN, or not enter it, and waits until `*count` of
 * them is 0. A kick also interrupts a handler that waits for a slow terminal; but one that comes
 * just before the handler begins to wait is lost, so kicks are repeated.
 */
static void vcpus_kick_until(struct vcpus *set, const unsigned *count)
{
	pthread_cond_broadcast(&set->changed);
	while (*count) {
		struct timespec again;

		for (unsigned i = 0; i < set->count; i++) {
			struct vcpu *vcpu = &set->vcpus[i];

			if (!vcpu->started)
				continue;
			__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_RELAXED);
			pthread_kill(vcpu->thread, set->kick);
		}
		clock_gettime(CLOCK_REALTIME, &again);
		again.tv_nsec += KICK_AGAIN_NS;
		if (again.tv_nsec >= NS_PER_S) {
			again.tv_nsec -= NS_PER_S;
			again.tv_sec++;
		}
		pthread_cond_timedwait(&set->changed, &set->lock, &again);
	}
}

void vcpus_pause(struct vcpus *set)
{
	pthread_mutex_lock(&set->lock);
	set->pauses++;
	vcpus_kick_until(set, &set->running);
	pthread_mutex_unlock(&set->lock);
}

int vcpus_reset(struct vcpus *set)
{
	int r;

	assert(set->pauses);
	r = arch_vcpus_learn(set);
	if (r < 0)
		return r;
	pthread_mutex_lock(&set->lock);
	for (unsigned i = 0; i < set->count; i++)
		set->vcpus[i].held = false;
	pthread_mutex_unlock(&set->lock);
	for (unsigned i = 0; i < set->count; i++)
		arch_vcpu_reset(&set->vcpus[i]);
	return 0;
}

struct vcpu_counts vcpus_counts(const struct vcpus *set)
{
	struct vcpu_counts sum = { 0 };

	for (unsigned i = 0; i < set->count; i++) {
		const struct vcpu_counts *counts = &set->vcpus[i].counts;

		sum.pio += __atomic_load_n(&counts->pio, __ATOMIC_RELAXED);
		sum.mmio += __atomic_load_n(&counts->mmio, __ATOMIC_RELAXED);
		sum.other += __atomic_load_n(&counts->other, __ATOMIC_RELAXED);
	}
	return sum;
}

void vcpus_release(struct vcpus *set)
{
	pthread_mutex_lock(&set->lock);
	set->released = true;
	for (unsigned i = 0; i < set->count; i++)
		set->vcpus[i].held = false;
	pthread_cond_broadcast(&set->changed);
	pthread_mutex_unlock(&set->lock);
}

void vcpus_resume(struct vcpus *set)
{
	pthread_mutex_lock(&set->lock);
	assert(set->pauses);
	set->pauses--;
	pthread_cond_broadcast(&set->changed);
	pthread_mutex_unlock(&set->lock);
}

/* With the lock held, so that it is not joined meanwhile. */
static uint64_t thread_cpu_ns(const struct vcpu *vcpu)
{
	struct timespec t = { 0 };
	clockid_t clock;

	if (!vcpu->started || pthread_getcpuclockid(vcpu->thread, &clock) != 0 ||
	    clock_gettime(clock, &t) < 0)
		return 0;
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t vcpus_cpu_ns(struct vcpus *set)
{
	uint64_t ns = 0;

	pthread_mutex_lock(&set->lock);
	for (unsigned i = 0; i < set->count; i++)
		ns += thread_cpu_ns(&set->vcpus[i]);
	pthread_mutex_unlock(&set->lock);
	return ns;
}

void vcpus_stop(struct vcpus *set)
{
	pthread_mutex_lock(&set->lock);
	set->stopping = true;
	vcpus_kick_until(set, &set->alive);
	pthread_mutex_unlock(&set->lock);
	for (unsigned i = 0; i < set->count; i++) {
		struct vcpu *vcpu = &set->vcpus[i];

		bool started;

		pthread_mutex_lock(&set->lock);
		started = vcpu->started;
		vcpu->started = false;
		pthread_mutex_unlock(&set->lock);
		if (started)
			pthread_join(vcpu->thread, NULL);
		exit_counts_collect(vcpu->exits, set->board->pio, set->board->mmio);
		vcpu->exits = NULL;
	}
	give_kick_back(set);
	set->running = 0;
}
