/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exits that only x86 has: the end of our IOAPIC's interrupts; a Hyper-V guest's, see --hyperv.
 * [KVM API 5 The kvm_run structure, KVM_EXIT_HYPERV], [Hyper-V-TLFS]. The vCPU's thread.
 */
#include <linux/kvm.h>
#include <stdio.h>

#include "core/sys.h"
#include "x86_64/x86.h"

/* [Hyper-V-TLFS 3.9 Hypercall Status Codes] */
#define HV_STATUS_INVALID_HYPERCALL_CODE 2u

/* [Hyper-V-TLFS 13.1 Guest Crash Enlightenment] */
#define HV_X64_MSR_CRASH_P0 0x40000100u
#define HV_CRASH_PARAMS     5u

bool arch_vcpu_exit(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	if (run->exit_reason == KVM_EXIT_IOAPIC_EOI) {
		ioapic_eoi(cpu_ioapic(vcpu->set->cpu), run->eoi.vector);
		return true;
	}
	if (run->exit_reason != KVM_EXIT_HYPERV)
		return false;
	/* Nobody listens to messages and events, so the guest's changes to SynIC concern nobody. */
	if (run->hyperv.type == KVM_EXIT_HYPERV_HCALL)
		run->hyperv.u.hcall.result = HV_STATUS_INVALID_HYPERCALL_CODE;
	return true;
}

void arch_vcpu_crash(struct vcpu *vcpu, char *buf, size_t size)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entries[HV_CRASH_PARAMS];
	} params = { .head.nmsrs = HV_CRASH_PARAMS };
	size_t len = 0;

	for (unsigned i = 0; i < HV_CRASH_PARAMS; i++)
		params.entries[i].index = HV_X64_MSR_CRASH_P0 + i;
	buf[0] = '\0';
	if (sys_ioctl(vcpu->fd, KVM_GET_MSRS, &params) != HV_CRASH_PARAMS)
		return;
	for (unsigned i = 0; i < HV_CRASH_PARAMS && len < size; i++)
		len += (size_t)snprintf(buf + len, size - len, "%s0x%llx", i ? " " : "",
					params.entries[i].data);
}
