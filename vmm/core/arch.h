/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each architecture implements: the interrupt controllers, and the state of a vCPU. One
 * folder under vmm/ has the definitions; meson chooses it.
 */
#ifndef CORE_ARCH_H
#define CORE_ARCH_H

#include "core/util.h"

struct vcpu;
struct vm;

struct arch_cpu_config {
	unsigned count;	    /* vCPUs: one socket, a core each */
	unsigned phys_bits; /* what the guest sees; at most the host's */
};

/* The interrupt controllers and timers that KVM emulates. Before any vCPU exists. */
int MUST_CHECK arch_vm_init(struct vm *vm);
/* Power-on state of those; all vCPUs paused. */
void arch_vm_reset(struct vm *vm);

/* The widest guest-physical address that this host's CPU and KVM can map, in bits. */
unsigned arch_host_phys_bits(void);
/* Whether page tables may map 1 GiB at once; firmware looks no further than 40 bits without. */
bool arch_host_gib_pages(void);

/* Gives the fresh vCPU its features and remembers its power-on state. */
int MUST_CHECK arch_vcpu_init(struct vcpu *vcpu, const struct arch_cpu_config *config);
void arch_vcpu_fini(struct vcpu *vcpu);
/* Main thread, the vCPU paused. A failure is logged: the guest will not come up. */
void arch_vcpu_reset(struct vcpu *vcpu);

/* Where the vCPU stands, for the message of a crash: "rip=... cr3=..." on one line. */
void arch_vcpu_describe(struct vcpu *vcpu, char *buf, size_t size);

#endif
