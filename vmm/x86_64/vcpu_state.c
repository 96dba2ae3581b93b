/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vCPU's power-on state, remembered when KVM has just made it and put back at every reset: KVM
 * has no call that resets a vCPU. [Intel-SDM 3A 10.1.1 Processor State After Reset].
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "core/sys.h"
#include "core/vm.h"
#include "x86_64/x86.h"

#define MSRS_MAX 512u

/* Begins at 0 again: that value KVM takes as "in step with the other vCPUs". */
#define MSR_IA32_TSC 0x10

struct msr_list {
	struct kvm_msrs head;
	struct kvm_msr_entry entries[MSRS_MAX];
};

struct arch_vcpu {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_fpu fpu;
	struct kvm_xsave xsave;
	struct kvm_xcrs xcrs;
	struct kvm_debugregs debugregs;
	struct kvm_vcpu_events events;
	struct kvm_lapic_state lapic;
	struct kvm_mp_state mp_state;
	struct kvm_nested_state nested;
	bool has_xsave, has_xcrs, has_nested;
	struct msr_list msrs;
};

/*
 * The MTRRs, which KVM keeps but does not list. Firmware relies on their being off after a reset.
 * [Intel-SDM 3A 12.11 Memory Type Range Registers (MTRRs)]
 *
 * The one that switches them off comes first: while they are on and a device is passed through, KVM
 * drops what it has mapped of each range that is written, and warns of a range whose mask nobody
 * has written before.
 */
static const struct {
	uint32_t first, last;
} mtrrs[] = {
	{ 0x2ff, 0x2ff }, /* IA32_MTRR_DEF_TYPE */
	{ 0x200, 0x20f }, /* IA32_MTRR_PHYSBASE0 to IA32_MTRR_PHYSMASK7 */
	{ 0x250, 0x250 }, /* IA32_MTRR_FIX64K_00000 */
	{ 0x258, 0x259 }, /* IA32_MTRR_FIX16K_80000, _A0000 */
	{ 0x268, 0x26f }, /* IA32_MTRR_FIX4K_C0000 to _F8000 */
};

/* Unless this vCPU does not have it. */
static void save_msr(struct vcpu *vcpu, struct msr_list *list, uint32_t index)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} one = { .head.nmsrs = 1, .entry.index = index };

	if (list->head.nmsrs < MSRS_MAX && sys_ioctl(vcpu->fd, KVM_GET_MSRS, &one) == 1)
		list->entries[list->head.nmsrs++] = one.entry;
}

/* Which MSRs KVM would save and restore, and the MTRRs. */
static int save_msrs(struct vcpu *vcpu, struct msr_list *list)
{
	struct {
		struct kvm_msr_list head;
		uint32_t indices[MSRS_MAX];
	} index = { .head.nmsrs = MSRS_MAX };
	int r = sys_ioctl(vcpu->set->board->vm->kvm_fd, KVM_GET_MSR_INDEX_LIST, &index);

	if (r < 0)
		return err_sys(ERR_HOST, r, "list the MSRs");
	list->head.nmsrs = 0;
	for (uint32_t i = 0; i < index.head.nmsrs; i++) {
		save_msr(vcpu, list, index.indices[i]);
		if (index.indices[i] == MSR_IA32_TSC && list->head.nmsrs)
			list->entries[list->head.nmsrs - 1].data = 0;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(mtrrs); i++) {
		for (uint32_t msr = mtrrs[i].first; msr <= mtrrs[i].last; msr++)
			save_msr(vcpu, list, msr);
	}
	return 0;
}

/* KVM stops at the first MSR that it refuses, and says how many it took: go on behind it. */
static void restore_msrs(struct vcpu *vcpu, const struct msr_list *saved)
{
	uint32_t done = 0;

	while (done < saved->head.nmsrs) {
		struct msr_list rest;
		int r;

		rest.head = (struct kvm_msrs){ .nmsrs = saved->head.nmsrs - done };
		memcpy(rest.entries, saved->entries + done,
		       rest.head.nmsrs * sizeof(rest.entries[0]));
		r = sys_ioctl(vcpu->fd, KVM_SET_MSRS, &rest);
		if (r < 0)
			break;
		done += (uint32_t)r;
		if (done < saved->head.nmsrs)
			done++; /* a read-only one: it has not changed */
	}
}

/* The pieces of state, in an order that is right for setting: the APIC base before the APIC. */
static const struct {
	unsigned long get, set;
	size_t off;
	const char *name;
} pieces[] = {
	{ KVM_GET_REGS, KVM_SET_REGS, offsetof(struct arch_vcpu, regs), "registers" },
	{ KVM_GET_SREGS, KVM_SET_SREGS, offsetof(struct arch_vcpu, sregs), "system registers" },
	{ KVM_GET_FPU, KVM_SET_FPU, offsetof(struct arch_vcpu, fpu), "FPU" },
	{ KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS, offsetof(struct arch_vcpu, debugregs),
	  "debug registers" },
	{ KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS, offsetof(struct arch_vcpu, events), "events" },
	{ KVM_GET_LAPIC, KVM_SET_LAPIC, offsetof(struct arch_vcpu, lapic), "local APIC" },
	{ KVM_GET_MP_STATE, KVM_SET_MP_STATE, offsetof(struct arch_vcpu, mp_state), "run state" },
};

static int save_state(struct vcpu *vcpu)
{
	struct arch_vcpu *arch = vcpu->arch;
	int r;

	for (unsigned i = 0; i < ARRAY_SIZE(pieces); i++) {
		r = sys_ioctl(vcpu->fd, pieces[i].get, (char *)arch + pieces[i].off);
		if (r < 0)
			return err_sys(ERR_HOST, r, "read the %s of vCPU %u", pieces[i].name,
				       vcpu->id);
	}
	arch->nested.size = sizeof(arch->nested);
	arch->has_nested = sys_ioctl(vcpu->fd, KVM_GET_NESTED_STATE, &arch->nested) == 0;
	arch->has_xsave = sys_ioctl(vcpu->fd, KVM_GET_XSAVE, &arch->xsave) == 0;
	/* On a host without XSAVE, KVM reads none, and refuses to set none. */
	arch->has_xcrs =
		sys_ioctl(vcpu->fd, KVM_GET_XCRS, &arch->xcrs) == 0 && arch->xcrs.nr_xcrs > 0;
	return save_msrs(vcpu, &arch->msrs);
}

int arch_vcpu_init(struct vcpu *vcpu, struct arch_cpu *cpu)
{
	int r = cpu_set_cpuid(cpu, vcpu);

	if (r < 0)
		return r;
	vcpu->arch = calloc(1, sizeof(*vcpu->arch));
	if (!vcpu->arch)
		return err_sys(ERR_LIMIT, -ENOMEM, "state of vCPU %u", vcpu->id);
	return save_state(vcpu);
}

void arch_vcpu_fini(struct vcpu *vcpu)
{
	free(vcpu->arch);
	vcpu->arch = NULL;
}

void arch_vcpu_reset(struct vcpu *vcpu)
{
	struct arch_vcpu *arch = vcpu->arch;
	int r;

	/* First: while the guest runs a guest, or is in VMX operation, KVM refuses CR0 and CR4. */
	if (arch->has_nested && (r = sys_ioctl(vcpu->fd, KVM_SET_NESTED_STATE, &arch->nested)) < 0)
		log_error("reset of vCPU %u: nested state: %s", vcpu->id, strerror(-r));
	if (arch->has_xcrs && (r = sys_ioctl(vcpu->fd, KVM_SET_XCRS, &arch->xcrs)) < 0)
		log_error("reset of vCPU %u: extended control registers: %s", vcpu->id,
			  strerror(-r));
	if (arch->has_xsave && (r = sys_ioctl(vcpu->fd, KVM_SET_XSAVE, &arch->xsave)) < 0)
		log_error("reset of vCPU %u: extended state: %s", vcpu->id, strerror(-r));
	for (unsigned i = 0; i < ARRAY_SIZE(pieces); i++) {
		r = sys_ioctl(vcpu->fd, pieces[i].set, (char *)arch + pieces[i].off);
		if (r < 0)
			log_error("reset of vCPU %u: %s: %s", vcpu->id, pieces[i].name,
				  strerror(-r));
	}
	restore_msrs(vcpu, &arch->msrs);
}

void arch_vcpu_describe(struct vcpu *vcpu, char *buf, size_t size)
{
	struct kvm_regs regs;
	struct kvm_sregs sregs;

	if (sys_ioctl(vcpu->fd, KVM_GET_REGS, &regs) < 0 ||
	    sys_ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) < 0) {
		snprintf(buf, size, "unknown registers");
		return;
	}
	snprintf(buf, size, "rip=%04x:%llx rsp=%llx cr0=%llx cr3=%llx cr4=%llx efer=%llx",
		 sregs.cs.selector, regs.rip, regs.rsp, sregs.cr0, sregs.cr3, sregs.cr4,
		 sregs.efer);
}

/* Control registers: Intel SDM volume 3, 2.5. */
#define CR0_PG (1u << 31)

bool arch_vcpu_pages(struct vcpu *vcpu)
{
	struct kvm_sregs sregs;

	return sys_ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) < 0 || sregs.cr0 & CR0_PG;
}
