/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vCPU's power-on state, which is put back at every reset: KVM has no call that resets a vCPU.
 * It is read, when a guest is reset for the first time, from vCPUs that KVM has just made in a VM
 * made for nothing else: that takes more system calls than a whole start, and few guests need it.
 * [Intel-SDM 3A 10.1.1 Processor State After Reset].
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "core/sys.h"
#include "core/vm.h"
#include "x86_64/cpuid_table.h"
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

/* Those of Hyper-V's interrupts and timers, which KVM does not list. [Hyper-V-TLFS 11, 12] */
static const struct {
	uint32_t first, last;
} synic[] = {
	{ 0x40000080, 0x40000080 }, /* HV_X64_MSR_SCONTROL: first, it switches the others off */
	{ 0x40000082, 0x40000083 }, /* HV_X64_MSR_SIEFP, HV_X64_MSR_SIMP */
	{ 0x40000090, 0x4000009f }, /* HV_X64_MSR_SINT0 to SINT15 */
	{ 0x400000b0, 0x400000b7 }, /* HV_X64_MSR_STIMER0_CONFIG to STIMER3_COUNT */
};

/* Unless this vCPU does not have it. */
static void save_msr(int fd, struct msr_list *list, uint32_t index)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} one = { .head.nmsrs = 1, .entry.index = index };

	if (list->head.nmsrs < MSRS_MAX && sys_ioctl(fd, KVM_GET_MSRS, &one) == 1)
		list->entries[list->head.nmsrs++] = one.entry;
}

/* Which MSRs KVM would save and restore, and those that it does not list. */
static int save_msrs(int fd, int kvm_fd, bool hyperv, struct msr_list *list)
{
	struct {
		struct kvm_msr_list head;
		uint32_t indices[MSRS_MAX];
	} index = { .head.nmsrs = MSRS_MAX };
	int r = sys_ioctl(kvm_fd, KVM_GET_MSR_INDEX_LIST, &index);

	if (r < 0)
		return err_sys(ERR_HOST, r, "list the MSRs");
	list->head.nmsrs = 0;
	for (uint32_t i = 0; i < index.head.nmsrs; i++) {
		save_msr(fd, list, index.indices[i]);
		if (index.indices[i] == MSR_IA32_TSC && list->head.nmsrs)
			list->entries[list->head.nmsrs - 1].data = 0;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(mtrrs); i++) {
		for (uint32_t msr = mtrrs[i].first; msr <= mtrrs[i].last; msr++)
			save_msr(fd, list, msr);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(synic) && hyperv; i++) {
		for (uint32_t msr = synic[i].first; msr <= synic[i].last; msr++)
			save_msr(fd, list, msr);
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

/* Of a vCPU with the fd `fd`, which is as KVM made it. */
static int save_state(struct arch_vcpu *arch, int fd, int kvm_fd, bool hyperv)
{
	int r;

	for (unsigned i = 0; i < ARRAY_SIZE(pieces); i++) {
		r = sys_ioctl(fd, pieces[i].get, (char *)arch + pieces[i].off);
		if (r < 0)
			return err_sys(ERR_HOST, r, "read the %s of a vCPU", pieces[i].name);
	}
	arch->nested.size = sizeof(arch->nested);
	arch->has_nested = sys_ioctl(fd, KVM_GET_NESTED_STATE, &arch->nested) == 0;
	arch->has_xsave = sys_ioctl(fd, KVM_GET_XSAVE, &arch->xsave) == 0;
	/* On a host without XSAVE, KVM reads none, and refuses to set none. */
	arch->has_xcrs = sys_ioctl(fd, KVM_GET_XCRS, &arch->xcrs) == 0 && arch->xcrs.nr_xcrs > 0;
	return save_msrs(fd, kvm_fd, hyperv, &arch->msrs);
}

/* The features decide which registers there are. */
static int copy_cpuid(int from, int to)
{
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entries[CPUID_ENTRIES_MAX];
	} cpuid = { .head.nent = CPUID_ENTRIES_MAX };
	int r = sys_ioctl(from, KVM_GET_CPUID2, &cpuid);

	return r < 0 ? r : sys_ioctl(to, KVM_SET_CPUID2, &cpuid);
}

static int learn(struct vcpu *vcpu, const struct vm *fresh)
{
	CLEANUP(closep) int fd = -1;
	int r;

	vcpu->arch = calloc(1, sizeof(*vcpu->arch));
	if (!vcpu->arch)
		return err_sys(ERR_LIMIT, -ENOMEM, "state of vCPU %u", vcpu->id);
	fd = sys_ioctl(fresh->vm_fd, KVM_CREATE_VCPU, (void *)(uintptr_t)vcpu->hw_id);
	if (fd < 0)
		return err_sys(ERR_HOST, fd, "create a vCPU like vCPU %u", vcpu->id);
	r = cpu_enable(vcpu->set->cpu, fd);
	if (r < 0)
		return r;
	r = copy_cpuid(vcpu->fd, fd);
	if (r < 0)
		return err_sys(ERR_HOST, r, "copy the CPU features of vCPU %u", vcpu->id);
	return save_state(vcpu->arch, fd, fresh->kvm_fd, cpu_is_hyperv(vcpu->set->cpu));
}

int arch_vcpus_learn(struct vcpus *set)
{
	const struct vm *vm = set->board->vm;
	struct vm fresh = { .kvm_fd = vm->kvm_fd };
	int r;

	if (set->vcpus[0].arch)
		return 0;
	fresh.vm_fd = vm_create(vm->kvm_fd);
	if (fresh.vm_fd < 0)
		return fresh.vm_fd;
	r = arch_vm_init(&fresh, set->cpu);
	for (unsigned i = 0; i < set->count && r == 0; i++)
		r = learn(&set->vcpus[i], &fresh);
	close(fresh.vm_fd);
	return r < 0 ? err_wrap(r, "find out what a reset vCPU is like") : 0;
}

int arch_vcpu_init(struct vcpu *vcpu, struct arch_cpu *cpu)
{
	int r = cpu_enable(cpu, vcpu->fd);

	return r < 0 ? r : cpu_set_cpuid(cpu, vcpu);
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

/* Intel SDM volume 3, 2.3 and 2.5. */
#define RFLAGS_IF (1u << 9)
#define CR0_PG    (1u << 31)

bool arch_vcpu_pages(struct vcpu *vcpu)
{
	struct kvm_sregs sregs;

	return sys_ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) < 0 || sregs.cr0 & CR0_PG;
}

bool arch_vcpu_is_stuck(struct vcpu *vcpu)
{
	struct kvm_mp_state state;
	struct kvm_regs regs;

	return sys_ioctl(vcpu->fd, KVM_GET_MP_STATE, &state) == 0 &&
	       state.mp_state == KVM_MP_STATE_HALTED &&
	       sys_ioctl(vcpu->fd, KVM_GET_REGS, &regs) == 0 && !(regs.rflags & RFLAGS_IF);
}

void arch_vcpu_tell_paused(struct vcpu *vcpu)
{
	/* [KVM API, KVM_KVMCLOCK_CTRL]. EINVAL: the guest has no such clock. */
	const int r = sys_ioctl(vcpu->fd, KVM_KVMCLOCK_CTRL, NULL);

	if (r < 0 && r != -EINVAL)
		log_debug("vCPU %u: KVM_KVMCLOCK_CTRL: %s", vcpu->id, strerror(-r));
}
