/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vCPUs: a thread each, which runs guest code in KVM_RUN and carries what the guest did to the
 * buses. Main starts them, pauses all for a reset, and ends them.
 */
#ifndef CORE_VCPU_H
#define CORE_VCPU_H

#include <pthread.h>
#include <signal.h>

#include "core/device.h"
#include "core/util.h"

struct arch_cpu;
struct arch_topology;
struct arch_vcpu;
struct cpu_set;
struct exit_counts;
struct kvm_run;
struct vcpus;

/* Exits to this process, by reason; written by the vCPU's thread alone. */
struct vcpu_counts {
	uint64_t pio, mmio, other;
};

struct vcpu {
	unsigned id;    /* index */
	uint32_t hw_id; /* what KVM and the guest call it: on x86 the APIC ID */
	int fd;
	struct kvm_run *run;
	struct arch_vcpu *arch; /* the architecture's own, for reset */
	struct vcpus *set;
	pthread_t thread;
	bool started; /* and not joined; guarded by the set's lock, as is the next */
	bool held;    /* until vcpus_release */
	/* Where its thread runs, set before vcpus_start; both unset: wherever main does. */
	int cpu;                    /* -1: unset */
	const struct cpu_set *cpus; /* NULL: unset */
	struct vcpu_counts counts;
	struct exit_counts *exits; /* NULL: not counted by place */
};

struct vcpus {
	const struct board *board;
	struct arch_cpu *cpu; /* what they are */
	struct vcpu *vcpus;
	unsigned count;
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t changed;
	unsigned pauses; /* begun and not ended */
	bool stopping;
	bool released;    /* nothing is held any more, for good */
	unsigned running; /* threads that are not waiting for a pause or a hold to end */
	unsigned alive;   /* threads that have not ended */
	/* Main's: what gets a vCPU out of KVM_RUN, 0: none yet; and what it did in this process. */
	int kick;
	struct sigaction kick_before;
};

/*
 * Makes all vCPUs of `topology` in the state after power-on, and no threads. `cpu` is for the
 * architecture.
 */
int MUST_CHECK vcpus_init(struct vcpus *set, const struct board *board,
			  const struct arch_topology *topology, struct arch_cpu *cpu);
void vcpus_fini(struct vcpus *set); /* stops and joins first */

/* Main thread only. */
int MUST_CHECK vcpus_start(struct vcpus *set);
/* Returns when no vCPU runs guest code or a handler. Pauses nest. */
void vcpus_pause(struct vcpus *set);
int MUST_CHECK vcpus_reset(struct vcpus *set); /* paused: back to the state after power-on */
void vcpus_resume(struct vcpus *set);          /* they run when every pause has ended */
struct vcpu_counts vcpus_counts(const struct vcpus *set); /* of all, while they run too */
/* Of the threads that there are. Any thread. */
uint64_t vcpus_cpu_ns(struct vcpus *set);
void vcpus_release(struct vcpus *set); /* what vm_hold_vcpu holds goes on, now and ever after */
void vcpus_stop(struct vcpus *set);    /* ends and joins the threads; the vCPUs stay */

#endif
