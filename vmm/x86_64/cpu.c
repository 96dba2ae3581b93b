/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the vCPUs are: KVM's list of what this host can do, with the leaves that describe this
 * machine filled in, and whether KVM can have so many of them. Main thread.
 */
#include <cpuid.h>
#include <errno.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "core/sys.h"
#include "core/vm.h"
#include "x86_64/cpuid_table.h"
#include "x86_64/x86.h"

/* What a CPU has that does not say; and what page tables of four and five levels reach. */
#define PHYS_BITS_WITHOUT_LEAF 36u
#define PHYS_BITS_4_LEVELS     48u
#define PHYS_BITS_5_LEVELS     52u

/* Leaf 1. */
#define F1_ECX_MONITOR      (1u << 3)
#define F1_ECX_X2APIC       (1u << 21)
#define F1_ECX_TSC_DEADLINE (1u << 24)
#define F1_ECX_HYPERVISOR   (1u << 31)
/* Leaf 6. */
#define F6_EAX_ARAT (1u << 2)
/* Leaf 7, subleaf 0. */
#define F7_ECX_LA57 (1u << 16)
/* Leaf 0x80000001. */
#define X1_EDX_GIB_PAGES (1u << 26)
/* Leaf 0x80000008: EAX bits 7:0, and 23:16, the guest's own, which firmware from 2024 on prefers.
 */
#define X8_EAX_PHYS_BITS   0xffu
#define X8_EAX_GUEST_BITS  0xff0000u
#define X8_EAX_GUEST_SHIFT 16

/* The highest ID of a local APIC that is no x2APIC; 255 means all. [Intel-SDM 3A 11.4.6] */
#define APIC_ID_MAX 254u
/* The highest of an x2APIC that an MSI with an extended destination reaches: 15 bits. */
#define EXT_APIC_ID_MAX 0x7ffeu

struct arch_cpu {
	bool large;     /* has IDs above APIC_ID_MAX */
	bool keeps_hlt; /* HLT of the guest does not exit */
	struct ioapic ioapic;
	const struct arch_cpu_config *config;
	struct arch_host host;
	struct kvm_cpuid2 *cpuid;
};

/*
 * What KVM can give a guest on this host, with room to add to it: KVM_GET_SUPPORTED_CPUID, or
 * _HV_CPUID for Hyper-V's leaves. free() it.
 */
static int query(const struct vm *vm, unsigned long request, struct kvm_cpuid2 **ret_cpuid)
{
	struct kvm_cpuid2 *cpuid;
	int r;

	cpuid = calloc(1, sizeof(*cpuid) + CPUID_ENTRIES_MAX * sizeof(cpuid->entries[0]));
	if (!cpuid)
		return err_sys(ERR_LIMIT, -ENOMEM, "the CPU's features");
	cpuid->nent = CPUID_ENTRIES_MAX;
	r = sys_ioctl(vm->kvm_fd, request, cpuid);
	if (r < 0) {
		free(cpuid);
		return err_sys(ERR_HOST, r, "ask KVM for the CPU's features");
	}
	*ret_cpuid = cpuid;
	return 0;
}

static struct arch_host host_of(struct kvm_cpuid2 *cpuid)
{
	struct arch_host host = { .phys_bits = PHYS_BITS_WITHOUT_LEAF };
	const struct kvm_cpuid_entry2 *e = cpuid_find(cpuid, LEAF_STRUCTURED, 0);
	unsigned guest_bits = PHYS_BITS_4_LEVELS;

	if (e && (e->ecx & F7_ECX_LA57))
		guest_bits = PHYS_BITS_5_LEVELS;
	e = cpuid_find(cpuid, LEAF_ADDRESS_SIZES, 0);
	if (e) {
		/* What the second-level page tables reach, told by newer kernels. */
		if (e->eax & X8_EAX_GUEST_BITS)
			guest_bits = (e->eax & X8_EAX_GUEST_BITS) >> X8_EAX_GUEST_SHIFT;
		host.phys_bits = MIN(e->eax & X8_EAX_PHYS_BITS, guest_bits);
	}
	e = cpuid_find(cpuid, LEAF_EXT_FEATURES, 0);
	host.gib_pages = e && (e->edx & X1_EDX_GIB_PAGES);
	return host;
}

int arch_host_query(const struct vm *vm, struct arch_host *ret_host)
{
	struct kvm_cpuid2 *cpuid = NULL;
	int r = query(vm, KVM_GET_SUPPORTED_CPUID, &cpuid);

	if (r < 0)
		return r;
	*ret_host = host_of(cpuid);
	free(cpuid);
	return 0;
}

struct arch_host arch_cpu_host(const struct arch_cpu *cpu)
{
	return cpu->host;
}

/* KVM has no leaf for what it does not emulate; this is what the CPU itself says. */
static void set_monitor(struct kvm_cpuid2 *cpuid)
{
	struct kvm_cpuid_entry2 *features = cpuid_find(cpuid, LEAF_FEATURES, 0);
	struct kvm_cpuid_entry2 *monitor = cpuid_add(cpuid, LEAF_MONITOR, 0);

	if (features && monitor &&
	    __get_cpuid(LEAF_MONITOR, &monitor->eax, &monitor->ebx, &monitor->ecx, &monitor->edx))
		features->ecx |= F1_ECX_MONITOR;
}

/*
 * KVM lists the leaves of the CPU's name as zeroes [Linux: arch/x86/kvm/cpuid.c], and a guest would
 * invent one. This is what the CPU itself says. The frequencies of leaves 15h and 16h stay zeroes:
 * a guest would take the crystal's for that of its local APIC's timer, which KVM runs by another.
 */
static void set_model(struct kvm_cpuid2 *cpuid)
{
	uint32_t max = __get_cpuid_max(LEAF_EXT_MAX, NULL);
	const struct kvm_cpuid_entry2 *ext = cpuid_find(cpuid, LEAF_EXT_MAX, 0);

	max = ext ? MIN(max, ext->eax) : 0;
	for (uint32_t leaf = LEAF_MODEL; leaf <= LEAF_MODEL_LAST && max >= LEAF_MODEL_LAST;
	     leaf++) {
		struct kvm_cpuid_entry2 *e = cpuid_add(cpuid, leaf, 0);

		if (e && !(e->eax | e->ebx | e->ecx | e->edx))
			__cpuid(leaf, e->eax, e->ebx, e->ecx, e->edx);
	}
}

/* What KVM lists is what it can do: some of it needs a word from us. */
static void set_features(struct arch_cpu *cpu)
{
	struct kvm_cpuid_entry2 *e = cpuid_find(cpu->cpuid, LEAF_FEATURES, 0);

	if (e) {
		/* KVM emulates them with its local APIC but leaves the announcement to us. */
		e->ecx |= F1_ECX_X2APIC | F1_ECX_TSC_DEADLINE | F1_ECX_HYPERVISOR;
		if (cpu->config->hide_hypervisor)
			e->ecx &= ~F1_ECX_HYPERVISOR;
	}
	e = cpuid_find(cpu->cpuid, LEAF_THERMAL_POWER, 0);
	if (e) {
		/* KVM's local APIC timer never stops. The rest is the host's business. */
		e->eax = F6_EAX_ARAT;
		e->ebx = e->ecx = e->edx = 0;
	}
	/* No encrypted guest: firmware that sees the bit reads an MSR that faults. */
	e = cpuid_find(cpu->cpuid, LEAF_AMD_ENCRYPTION, 0);
	if (e)
		e->eax = e->ebx = e->ecx = e->edx = 0;
}

static int set_hyperv(struct arch_cpu *cpu, const struct vm *vm)
{
	struct kvm_cpuid2 *hyperv = NULL;
	int r;

	if (vm_check_extension(vm, KVM_CAP_SYS_HYPERV_CPUID) <= 0 ||
	    vm_check_extension(vm, KVM_CAP_HYPERV_SYNIC2) <= 0) {
		err_set(ERR_HOST, -ENOTSUP, "--hyperv: KVM on this host cannot look like Hyper-V");
		err_hint("it takes Linux 5.11 or newer, built with CONFIG_KVM_HYPERV");
		return -ENOTSUP;
	}
	r = query(vm, KVM_GET_SUPPORTED_HV_CPUID, &hyperv);
	if (r < 0)
		return r;
	cpuid_set_hyperv(cpu->cpuid, hyperv, cpu->config->hypervisor_vendor);
	free(hyperv);
	return 0;
}

/*
 * Before the user's choice of features, of which MONITOR is one.
 * HLT, MWAIT and PAUSE of the guest stay with the CPU: nobody else wants it. KVM says what it can
 * leave there; where a mitigation of the CPU forbids HLT, it still exits.
 */
static int keep_exits(struct arch_cpu *cpu, const struct vm *vm)
{
	const unsigned can = (unsigned)vm_check_extension(vm, KVM_CAP_X86_DISABLE_EXITS);
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_X86_DISABLE_EXITS,
		.args = { can & (KVM_X86_DISABLE_EXITS_HLT | KVM_X86_DISABLE_EXITS_MWAIT |
				 KVM_X86_DISABLE_EXITS_PAUSE) },
	};
	int r = cap.args[0] ? sys_ioctl(vm->vm_fd, KVM_ENABLE_CAP, &cap) : 0;

	if (r < 0)
		return err_sys(ERR_HOST, r, "--dedicated: leave HLT and PAUSE to the guest");
	if (!(can & KVM_X86_DISABLE_EXITS_HLT))
		log_warn("--dedicated: KVM on this host keeps the guest's HLT to itself");
	if (can & KVM_X86_DISABLE_EXITS_MWAIT)
		set_monitor(cpu->cpuid);
	cpu->keeps_hlt = can & KVM_X86_DISABLE_EXITS_HLT;
	return 0;
}

static int set_hypervisor(struct arch_cpu *cpu, const struct vm *vm)
{
	const struct arch_cpu_config *config = cpu->config;

	if (config->dedicated)
		cpuid_set_dedicated(cpu->cpuid, cpu->keeps_hlt);
	if (cpu->large)
		cpuid_set_ext_dest(cpu->cpuid);
	if (config->hyperv)
		return set_hyperv(cpu, vm);
	if (config->hide_hypervisor)
		cpuid_hide_hypervisor(cpu->cpuid);
	else if (config->hypervisor_vendor)
		cpuid_set_vendor(cpu->cpuid, config->hypervisor_vendor);
	return 0;
}

static int choose_features(struct arch_cpu *cpu)
{
	const size_t size =
		sizeof(*cpu->cpuid) + CPUID_ENTRIES_MAX * sizeof(cpu->cpuid->entries[0]);
	struct kvm_cpuid2 *before;
	int r;

	if (!cpu->config->features)
		return 0;
	before = malloc(size);
	if (!before)
		return err_sys(ERR_LIMIT, -ENOMEM, "the CPU's features");
	memcpy(before, cpu->cpuid, size);
	r = cpuid_choose_features(cpu->cpuid, before, cpu->config->features);
	free(before);
	return r;
}

/*
 * Linux starts CPUs with IDs of more than 8 bits where interrupts reach them: an IOMMU that
 * translates interrupts, or KVM's word that MSIs have room for 15 bits. Nothing but the timer of
 * the local APIC ticks then.
 */
static int check_large(const struct vm *vm, const struct arch_cpu_config *config, uint32_t last)
{
	const int ids = KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK;

	if (config->hyperv || config->hide_hypervisor) {
		err_set(ERR_USAGE, -EINVAL,
			"%s: interrupts end at the APIC ID %u, and --cpus needs %u",
			config->hyperv ? "--hyperv" : "--hide-hypervisor", APIC_ID_MAX, last);
		err_hint("only a guest that knows KVM reaches more");
		return -EINVAL;
	}
	if ((vm_check_extension(vm, KVM_CAP_X2APIC_API) & ids) == ids &&
	    vm_check_extension(vm, KVM_CAP_SPLIT_IRQCHIP) > 0 &&
	    vm_check_extension(vm, KVM_CAP_TSC_DEADLINE_TIMER) > 0)
		return 0;
	err_set(ERR_HOST, -ENOTSUP, "--cpus: KVM on this host has no interrupts for the APIC ID %u",
		last);
	err_hint("the highest that it has is %u", APIC_ID_MAX);
	return -ENOTSUP;
}

static int check_count(const struct vm *vm, const struct arch_cpu_config *config)
{
	const struct arch_topology *t = &config->topology;
	const unsigned count = arch_topology_count(t);
	const uint32_t last = arch_cpu_id(t, count - 1);
	/* One there is always. */
	int max = count > 1 ? vm_check_extension(vm, KVM_CAP_MAX_VCPUS) : 1;

	if (max > 0 && count > (unsigned)max)
		return err_set(ERR_LIMIT, -EINVAL, "KVM on this host allows %d vCPUs, not %u", max,
			       count);
	if (last <= APIC_ID_MAX)
		return 0;
	max = vm_check_extension(vm, KVM_CAP_MAX_VCPU_ID);
	if (last >= (unsigned)max || last > EXT_APIC_ID_MAX) {
		err_set(ERR_LIMIT, -EINVAL,
			"--cpus: the last vCPU of %u sockets, %u cores, %u threads has the APIC "
			"ID %u; KVM on this host ends at %d",
			t->sockets, t->cores, t->threads, last, max - 1);
		err_hint("numbers of cores and threads that are powers of two leave no gaps");
		return -EINVAL;
	}
	return check_large(vm, config, last);
}

int arch_cpu_create(struct vm *vm, const struct arch_cpu_config *config, struct arch_cpu **ret_cpu)
{
	struct arch_cpu *cpu;
	int r = check_count(vm, config);

	if (r < 0)
		return r;
	cpu = calloc(1, sizeof(*cpu));
	if (!cpu)
		return err_sys(ERR_LIMIT, -ENOMEM, "the CPU's features");
	cpu->config = config;
	cpu->large = arch_cpu_id(&config->topology, arch_topology_count(&config->topology) - 1) >
		     APIC_ID_MAX;
	r = query(vm, KVM_GET_SUPPORTED_CPUID, &cpu->cpuid);
	if (r < 0)
		goto fail;
	cpu->host = host_of(cpu->cpuid);
	arch_cpu_set_phys_bits(cpu, cpu->host.phys_bits);
	set_features(cpu);
	set_model(cpu->cpuid);
	r = config->dedicated ? keep_exits(cpu, vm) : 0;
	if (r == 0)
		r = choose_features(cpu);
	if (r < 0)
		goto fail;
	cpuid_set_topology(cpu->cpuid, &config->topology);
	r = set_hypervisor(cpu, vm);
	if (r < 0)
		goto fail;
	*ret_cpu = cpu;
	return 0;
fail:
	arch_cpu_destroy(cpu);
	return r;
}

void arch_cpu_destroy(struct arch_cpu *cpu)
{
	if (!cpu)
		return;
	free(cpu->cpuid);
	free(cpu);
}

void arch_cpu_set_phys_bits(struct arch_cpu *cpu, unsigned phys_bits)
{
	struct kvm_cpuid_entry2 *e = cpuid_find(cpu->cpuid, LEAF_ADDRESS_SIZES, 0);

	if (e)
		e->eax = (e->eax & ~(X8_EAX_PHYS_BITS | X8_EAX_GUEST_BITS)) | phys_bits;
}

/* Without blanks around it, which Intel's have, and whatever no table takes. */
static void put_text(char *text, const char *raw, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len && raw[i]; i++) {
		if (raw[i] >= ' ' && raw[i] <= '~' && (raw[i] != ' ' || n))
			text[n++] = raw[i];
	}
	while (n && text[n - 1] == ' ')
		n--;
	text[n] = '\0';
}

struct arch_cpu_name arch_cpu_name(const struct arch_cpu *cpu)
{
	const struct kvm_cpuid_entry2 *e = cpuid_find(cpu->cpuid, LEAF_VENDOR, 0);
	struct arch_cpu_name name = { 0 };
	char raw[(LEAF_MODEL_LAST - LEAF_MODEL + 1) * 16] = { 0 };

	if (e) {
		memcpy(raw, &e->ebx, 4);
		memcpy(raw + 4, &e->edx, 4);
		memcpy(raw + 8, &e->ecx, 4);
		put_text(name.vendor, raw, 12);
	}
	e = cpuid_find(cpu->cpuid, LEAF_FEATURES, 0);
	if (e) {
		name.signature = e->eax;
		name.features = e->edx;
	}
	for (unsigned i = 0; i < sizeof(raw) / 16; i++) {
		e = cpuid_find(cpu->cpuid, LEAF_MODEL + i, 0);
		if (!e)
			return name;
		memcpy(raw + i * 16, (const uint32_t[]){ e->eax, e->ebx, e->ecx, e->edx }, 16);
	}
	put_text(name.model, raw, sizeof(raw));
	return name;
}

bool arch_cpu_is_large(const struct arch_cpu *cpu)
{
	return cpu->large;
}

struct ioapic *cpu_ioapic(struct arch_cpu *cpu)
{
	return &cpu->ioapic;
}

bool cpu_is_hyperv(const struct arch_cpu *cpu)
{
	return cpu->config->hyperv;
}

int cpu_enable(const struct arch_cpu *cpu, int fd)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_HYPERV_SYNIC2 };
	int r = cpu->config->hyperv ? sys_ioctl(fd, KVM_ENABLE_CAP, &cap) : 0;

	return r < 0 ? err_sys(ERR_HOST, r, "--hyperv: the synthetic interrupts of a vCPU") : 0;
}

int cpu_set_cpuid(struct arch_cpu *cpu, struct vcpu *vcpu)
{
	int r;

	cpuid_set_id(cpu->cpuid, &cpu->config->topology, vcpu->hw_id);
	r = sys_ioctl(vcpu->fd, KVM_SET_CPUID2, cpu->cpuid);
	return r < 0 ? err_sys(ERR_HOST, r, "set the CPUID of vCPU %u", vcpu->id) : 0;
}
