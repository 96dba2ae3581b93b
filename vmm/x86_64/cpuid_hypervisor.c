/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The leaves in which a hypervisor tells its guest what it is and what it offers: KVM's, or
 * Hyper-V's in their place. [Linux Documentation/virt/kvm/x86/cpuid.rst], [Hyper-V-TLFS 2 Feature
 * and Interface Discovery]. Main thread.
 */
#include <assert.h>
#include <linux/kvm_para.h>

#include "x86_64/cpuid_table.h"

/*
 * Guests that know several hypervisors look for each at every such step. [Linux: Documentation/
 * virt/kvm/x86/cpuid.rst, arch/x86/include/asm/processor.h]
 */
#define HYPERVISOR_LEAVES_STEP 0x100u

#define KVM_LEAF_FEATURES 1u /* behind the first */

/* Hyper-V's leaves. */
#define HYPERV_LEAF_FEATURES 0x40000003u
#define HYPERV_LEAF_ADVICE   0x40000004u
#define HYPERV_LEAF_LIMITS   0x40000005u /* the last that we tell */

/* Privileges, leaf 0x40000003 EAX: to be told that the TSC's frequency changed, after a migration.
 */
#define HYPERV_EAX_REENLIGHTENMENT (1u << 13)
/* EBX: messages and events to a host that listens (VMBus), debugging, further hypercalls. */
#define HYPERV_EBX_POST_MESSAGES       (1u << 4)
#define HYPERV_EBX_SIGNAL_EVENTS       (1u << 5)
#define HYPERV_EBX_DEBUGGING           (1u << 11)
#define HYPERV_EBX_EXTENDED_HYPERCALLS (1u << 20)
/* EDX: the debugger's MSRs. */
#define HYPERV_EDX_DEBUG_MSRS (1u << 11)
/* Advice, leaf 0x40000004 EAX. */
#define HYPERV_ADVICE_NO_AUTO_EOI      (1u << 9)
#define HYPERV_ADVICE_ENLIGHTENED_VMCS (1u << 14)

#define HYPERV_VENDOR "Microsoft Hv"

void cpuid_hide_hypervisor(struct kvm_cpuid2 *cpuid)
{
	cpuid_remove(cpuid, LEAF_HYPERVISOR, LEAF_HYPERVISOR_LAST);
}

/* The first leaf is all that a program sees that wants to know the hypervisor's name. */
static void set_name(struct kvm_cpuid2 *cpuid, const char *vendor, uint32_t last)
{
	struct kvm_cpuid_entry2 *first = cpuid_add(cpuid, LEAF_HYPERVISOR, 0);
	char name[ARCH_HYPERVISOR_VENDOR_MAX] = { 0 };

	assert(strlen(vendor) <= sizeof(name));
	if (!first)
		return;
	memcpy(name, vendor, strlen(vendor));
	first->eax = last;
	memcpy(&first->ebx, name, 4);
	memcpy(&first->ecx, name + 4, 4);
	memcpy(&first->edx, name + 8, 4);
}

void cpuid_set_vendor(struct kvm_cpuid2 *cpuid, const char *vendor)
{
	/* KVM's leaves make room, and go where a guest that knows KVM still finds them. */
	for (uint32_t i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

		if (e->function < LEAF_HYPERVISOR || e->function > LEAF_HYPERVISOR_LAST)
			continue;
		if (e->function == LEAF_HYPERVISOR)
			e->eax += HYPERVISOR_LEAVES_STEP; /* their last one */
		e->function += HYPERVISOR_LEAVES_STEP;
	}
	set_name(cpuid, vendor, LEAF_HYPERVISOR);
}

void cpuid_set_dedicated(struct kvm_cpuid2 *cpuid, bool hlt_stays)
{
	struct kvm_cpuid_entry2 *e = cpuid_find(cpuid, LEAF_HYPERVISOR + KVM_LEAF_FEATURES, 0);

	if (!e)
		return;
	e->edx |= 1u << KVM_HINTS_REALTIME;
	/* A vCPU that sleeps in the guest cannot be woken by hypercall. */
	if (hlt_stays)
		e->eax &= ~(1u << KVM_FEATURE_PV_UNHALT);
}

void cpuid_set_ext_dest(struct kvm_cpuid2 *cpuid)
{
	struct kvm_cpuid_entry2 *e = cpuid_find(cpuid, LEAF_HYPERVISOR + KVM_LEAF_FEATURES, 0);

	if (e)
		e->eax |= 1u << KVM_FEATURE_MSI_EXT_DEST_ID;
}

void cpuid_set_hyperv(struct kvm_cpuid2 *cpuid, const struct kvm_cpuid2 *hyperv, const char *vendor)
{
	struct kvm_cpuid_entry2 *e;

	cpuid_hide_hypervisor(cpuid);
	for (uint32_t i = 0; i < hyperv->nent; i++) {
		const struct kvm_cpuid_entry2 *from = &hyperv->entries[i];

		if (from->function <= LEAF_HYPERVISOR || from->function > HYPERV_LEAF_LIMITS)
			continue;
		e = cpuid_add(cpuid, from->function, 0);
		if (e)
			*e = *from;
	}
	e = cpuid_find(cpuid, HYPERV_LEAF_FEATURES, 0);
	if (e) {
		e->eax &= ~HYPERV_EAX_REENLIGHTENMENT;
		e->ebx &= ~(HYPERV_EBX_POST_MESSAGES | HYPERV_EBX_SIGNAL_EVENTS |
			    HYPERV_EBX_DEBUGGING | HYPERV_EBX_EXTENDED_HYPERCALLS);
		e->edx &= ~HYPERV_EDX_DEBUG_MSRS;
	}
	e = cpuid_find(cpuid, HYPERV_LEAF_ADVICE, 0);
	if (e) {
		/* For guests in the guest, on Intel; KVM wants to be asked for it. */
		e->eax &= ~HYPERV_ADVICE_ENLIGHTENED_VMCS;
		/* Without it, KVM cannot let the CPU deliver interrupts while the guest runs. */
		e->eax |= HYPERV_ADVICE_NO_AUTO_EOI;
	}
	set_name(cpuid, vendor ? vendor : HYPERV_VENDOR, HYPERV_LEAF_LIMITS);
}
