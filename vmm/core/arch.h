/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each architecture implements: the interrupt controllers, and the state of a vCPU. One
 * folder under vmm/ has the definitions; meson chooses it.
 */
#ifndef CORE_ARCH_H
#define CORE_ARCH_H

#include "core/util.h"

struct board;
struct vcpu;
struct vcpus;
struct vm;

/* Of the name that a hypervisor tells its guest. */
#define ARCH_HYPERVISOR_VENDOR_MAX 12

/*
 * How the vCPUs are grouped. They are numbered thread by thread, then core by core, then socket by
 * socket.
 */
struct arch_topology {
	unsigned sockets, cores, threads; /* cores of each socket, threads of each core */
};

static inline unsigned arch_topology_count(const struct arch_topology *t)
{
	return t->sockets * t->cores * t->threads;
}

/*
 * What the hardware calls vCPU `n`: on x86 its APIC ID. Ascending with n, but with gaps where a
 * number of cores or threads is no power of two.
 */
uint32_t arch_cpu_id(const struct arch_topology *t, unsigned n);

struct arch_cpu_config {
	struct arch_topology topology;
	const char *features; /* "-name,+name,...", as Linux prints them; NULL: all there are */
	/* The CPU does not say that a hypervisor runs it; the guest has no paravirtual features. */
	bool hide_hypervisor;
	/* It looks like Hyper-V in place of KVM, for guests that know no other. */
	bool hyperv;
	/* The vCPUs have host CPUs of their own, which they need not give back when idle. */
	bool dedicated;
	/* The name that the first hypervisor leaf tells; NULL: KVM's or Hyper-V's. */
	const char *hypervisor_vendor;
};

/* What a guest's addresses may be on this host. */
struct arch_host {
	unsigned phys_bits; /* the widest guest-physical address that its CPU and KVM can map */
	bool gib_pages; /* guests may map 1 GiB at once; OVMF looks no further than 2^40 without */
};
int MUST_CHECK arch_host_query(const struct vm *vm, struct arch_host *ret_host);

/* What all vCPUs of a machine are. */
struct arch_cpu;

/*
 * Finds out what this host can give, and whether it can give what is asked for. Changes the VM,
 * which has no vCPUs and no interrupt controllers yet. `config` and what it points at are
 * borrowed.
 */
int MUST_CHECK arch_cpu_create(struct vm *vm, const struct arch_cpu_config *config,
			       struct arch_cpu **ret_cpu);
void arch_cpu_destroy(struct arch_cpu *cpu); /* NULL: nothing */
/* As arch_host_query, but asks nobody. */
struct arch_host arch_cpu_host(const struct arch_cpu *cpu);
/* How wide addresses the guest sees, at most the host's: before the first vCPU is made. */
void arch_cpu_set_phys_bits(struct arch_cpu *cpu, unsigned phys_bits);

/* What each vCPU says of itself, for tables that repeat it; texts are printable ASCII. */
struct arch_cpu_name {
	char vendor[16], model[64]; /* "": not told */
	uint32_t signature, features;
};
struct arch_cpu_name arch_cpu_name(const struct arch_cpu *cpu);

/*
 * Whether there are more vCPUs than KVM's interrupt controllers reach: the guest has a local APIC
 * each and an IOAPIC, and none of what came before these, so that firmware cannot start it.
 */
bool arch_cpu_is_large(const struct arch_cpu *cpu);

/* The interrupt controllers and timers that KVM emulates. Before any vCPU exists. */
int MUST_CHECK arch_vm_init(struct vm *vm, const struct arch_cpu *cpu);
/* The board's interrupts, on those or on our own. */
int MUST_CHECK arch_irqs_init(const struct board *board, struct arch_cpu *cpu);
void arch_irqs_fini(const struct board *board, struct arch_cpu *cpu);
/* Power-on state of all those; all vCPUs paused. */
void arch_irqs_reset(struct vm *vm, struct arch_cpu *cpu);

/* Gives the fresh vCPU its features. */
int MUST_CHECK arch_vcpu_init(struct vcpu *vcpu, struct arch_cpu *cpu);
void arch_vcpu_fini(struct vcpu *vcpu);
/*
 * What the vCPUs were like when they were made: before a reset. Main thread. Asks vCPUs of another
 * VM, for which arch_vm_init was called, and nothing else.
 */
int MUST_CHECK arch_vcpus_learn(struct vcpus *set);
/*
 * An exit that only this architecture has: true if it was handled, and the vCPU goes on. On the
 * vCPU's thread.
 */
bool arch_vcpu_exit(struct vcpu *vcpu);
/* What a guest that crashed has left to be told: "0x50 0x0 ...", or "" if it is unknown. */
void arch_vcpu_crash(struct vcpu *vcpu, char *buf, size_t size);
/* Main thread, the vCPU paused. A failure is logged: the guest will not come up. */
void arch_vcpu_reset(struct vcpu *vcpu);
/*
 * The vCPU has been paused for so long that the guest should know: it will not take that for a
 * fault of its own. Main thread, before it goes on. A guest that does not ask its hypervisor for
 * the time is not told.
 */
void arch_vcpu_tell_paused(struct vcpu *vcpu);

/* How a kernel begins without firmware, in the modes of its specification. */
enum arch_boot_mode {
	ARCH_BOOT_64, /* Linux's 64-bit entry: paging on, addresses are physical ones */
	ARCH_BOOT_32, /* PVH: protected mode, paging off */
};

struct arch_boot {
	enum arch_boot_mode mode;
	uint64_t entry;
	uint64_t info;   /* what the kernel is told; its register depends on the mode */
	uint64_t tables; /* ARCH_BOOT_TABLES_SIZE bytes of RAM below 4 GiB, page aligned */
};
#define ARCH_BOOT_TABLES_SIZE 0x7000u

/*
 * Turns the power-on state into the one in which firmware starts a kernel; once the vCPU was made
 * and after each reset. vCPU 0 goes to the entry, the others wait until it starts them.
 */
int MUST_CHECK arch_vcpu_boot(struct vcpu *vcpu, const struct arch_boot *boot);

/* Where the vCPU stands, for the message of a crash: "rip=... cr3=..." on one line. */
void arch_vcpu_describe(struct vcpu *vcpu, char *buf, size_t size);

/* Whether it translates addresses, which a guest's first steps do not; true if that is unknown. */
bool arch_vcpu_pages(struct vcpu *vcpu);

/*
 * Whether the vCPU, which is paused, has halted without interrupts, from which no device can wake
 * it. False if that is unknown.
 */
bool arch_vcpu_is_stuck(struct vcpu *vcpu);

#endif
