/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's CPUID: KVM's list of what this host can do, with the leaves that describe this
 * machine filled in. [Intel-SDM 2A CPUID], [AMD-APM 3 E Obtaining Processor Information].
 */
#include <assert.h>
#include <errno.h>
#include <linux/kvm.h>
#include <linux/kvm_para.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/sys.h"
#include "core/vm.h"
#include "x86_64/x86.h"

#define CPUID_ENTRIES_MAX 256u

#define SIGNATURE_AMD_EBX   0x68747541 /* "Auth" */
#define SIGNATURE_HYGON_EBX 0x6f677948 /* "Hygo" */

/* What a CPU has that does not say; and what page tables of four and five levels reach. */
#define PHYS_BITS_WITHOUT_LEAF 36u
#define PHYS_BITS_4_LEVELS     48u
#define PHYS_BITS_5_LEVELS     52u

enum cpuid_leaf {
	LEAF_VENDOR = 0x0,
	LEAF_FEATURES = 0x1,
	LEAF_CACHE = 0x4, /* Intel: deterministic cache parameters */
	LEAF_THERMAL_POWER = 0x6,
	LEAF_STRUCTURED = 0x7,
	LEAF_TOPOLOGY = 0xb,
	LEAF_TOPOLOGY_V2 = 0x1f,
	LEAF_HYPERVISOR = 0x40000000, /* and what follows, up to LEAF_HYPERVISOR_LAST */
	LEAF_HYPERVISOR_LAST = 0x4fffffff,
	LEAF_EXT_FEATURES = 0x80000001,
	LEAF_ADDRESS_SIZES = 0x80000008,
	LEAF_AMD_CACHE = 0x8000001d,
	LEAF_AMD_TOPOLOGY = 0x8000001e,
	LEAF_AMD_ENCRYPTION = 0x8000001f,
};

/* Leaf 1. */
#define F1_EBX_APIC_ID_SHIFT 24
#define F1_EBX_LOGICAL_SHIFT 16
#define F1_ECX_X2APIC        (1u << 21)
#define F1_ECX_TSC_DEADLINE  (1u << 24)
#define F1_ECX_HYPERVISOR    (1u << 31)
#define F1_EDX_HTT           (1u << 28)
/* Leaf 4. */
#define F4_EAX_SHARING_SHIFT 14
#define F4_EAX_SHARING_MASK  0xfffu
#define F4_EAX_LEVEL(eax)    ((eax) >> 5 & 7)
#define F4_EAX_CORES_SHIFT   26
#define F4_EAX_CORES_MASK    0x3fu
/* Leaf 6. */
#define F6_EAX_ARAT (1u << 2)
/* Leaf 7, subleaf 0. */
#define F7_ECX_LA57 (1u << 16)
/* Leaves 0xb and 0x1f: ECX bits 15:8. */
#define TOPOLOGY_INVALID 0u
#define TOPOLOGY_SMT     1u
#define TOPOLOGY_CORE    2u
/* Leaf 0x80000001. */
#define X1_ECX_CMP_LEGACY (1u << 1)
#define X1_EDX_GIB_PAGES  (1u << 26)

/*
 * Guests that know several hypervisors look for each at every such step. [Linux: Documentation/
 * virt/kvm/x86/cpuid.rst, arch/x86/include/asm/processor.h]
 */
#define HYPERVISOR_LEAVES_STEP 0x100u

/* The number of APIC ID bits that `count` cores need. */
static unsigned core_bits(unsigned count)
{
	return (unsigned)__builtin_ctzll(pow2_ceil(count));
}

static void cpuid_leaf_features(struct kvm_cpuid_entry2 *e, const struct vcpu *vcpu,
				const struct arch_cpu_config *config)
{
	const unsigned logical = MIN(config->count, 255u);

	e->ebx &= 0xffff;
	e->ebx |= vcpu->id << F1_EBX_APIC_ID_SHIFT | logical << F1_EBX_LOGICAL_SHIFT;
	/* KVM emulates both with its local APIC but leaves the announcement to us. */
	e->ecx |= F1_ECX_X2APIC | F1_ECX_HYPERVISOR;
	if (config->hide_hypervisor)
		e->ecx &= ~F1_ECX_HYPERVISOR;
	if (vm_check_extension(vcpu->set->board->vm, KVM_CAP_TSC_DEADLINE_TIMER))
		e->ecx |= F1_ECX_TSC_DEADLINE;
	e->edx &= ~F1_EDX_HTT;
	if (config->count > 1)
		e->edx |= F1_EDX_HTT;
}

/* Intel: each core has its own caches but the last level, which all share. */
static void cpuid_leaf_cache(struct kvm_cpuid_entry2 *e, const struct arch_cpu_config *config)
{
	unsigned cores;

	if (!(e->eax & 0x1f))
		return; /* no more caches */
	cores = (1u << core_bits(config->count)) - 1;
	e->eax &= ~(F4_EAX_SHARING_MASK << F4_EAX_SHARING_SHIFT | F4_EAX_CORES_MASK
									  << F4_EAX_CORES_SHIFT);
	e->eax |= MIN(cores, F4_EAX_CORES_MASK) << F4_EAX_CORES_SHIFT;
	if (F4_EAX_LEVEL(e->eax) >= 3)
		e->eax |= MIN(cores, F4_EAX_SHARING_MASK) << F4_EAX_SHARING_SHIFT;
}

/* AMD's leaf of the same meaning has no core count. */
static void cpuid_leaf_amd_cache(struct kvm_cpuid_entry2 *e, const struct arch_cpu_config *config)
{
	unsigned cores = (1u << core_bits(config->count)) - 1;

	if (!(e->eax & 0x1f))
		return;
	e->eax &= ~(F4_EAX_SHARING_MASK << F4_EAX_SHARING_SHIFT);
	if (F4_EAX_LEVEL(e->eax) >= 3)
		e->eax |= MIN(cores, F4_EAX_SHARING_MASK) << F4_EAX_SHARING_SHIFT;
}

static void cpuid_leaf_topology(struct kvm_cpuid_entry2 *e, const struct vcpu *vcpu,
				const struct arch_cpu_config *config)
{
	unsigned type = TOPOLOGY_INVALID;

	e->eax = 0;
	e->ebx = 0;
	if (e->index == 0) {
		type = TOPOLOGY_SMT;
		e->ebx = 1;
	} else if (e->index == 1) {
		type = TOPOLOGY_CORE;
		e->eax = core_bits(config->count);
		e->ebx = config->count;
	}
	e->ecx = type << 8 | e->index;
	e->edx = vcpu->id;
}

static void cpuid_leaf_address_sizes(struct kvm_cpuid_entry2 *e,
				     const struct arch_cpu_config *config, bool amd)
{
	/* Bits 23:16, the guest's own width, would override bits 7:0 in firmware from 2024 on. */
	e->eax &= ~0xff00ffu;
	e->eax |= config->phys_bits;
	if (amd) /* reserved elsewhere */
		e->ecx = core_bits(config->count) << 12 | MIN(config->count - 1, 255u);
}

static void cpuid_leaf_amd_topology(struct kvm_cpuid_entry2 *e, const struct vcpu *vcpu)
{
	e->eax = vcpu->id;
	e->ebx = vcpu->id & 0xff; /* one thread a core */
	e->ecx = 0;               /* one node */
	e->edx = 0;
}

static void cpuid_adjust(struct kvm_cpuid_entry2 *e, const struct vcpu *vcpu,
			 const struct arch_cpu_config *config, bool amd)
{
	switch (e->function) {
	case LEAF_FEATURES:
		cpuid_leaf_features(e, vcpu, config);
		break;
	case LEAF_CACHE:
		cpuid_leaf_cache(e, config);
		break;
	case LEAF_THERMAL_POWER:
		/* KVM's local APIC timer never stops. The rest is the host's business. */
		e->eax = F6_EAX_ARAT;
		e->ebx = e->ecx = e->edx = 0;
		break;
	case LEAF_TOPOLOGY:
	case LEAF_TOPOLOGY_V2:
		cpuid_leaf_topology(e, vcpu, config);
		break;
	case LEAF_EXT_FEATURES:
		/* Without it, several logical processors are threads of one core. */
		if (config->count > 1 && amd)
			e->ecx |= X1_ECX_CMP_LEGACY;
		break;
	case LEAF_ADDRESS_SIZES:
		cpuid_leaf_address_sizes(e, config, amd);
		break;
	case LEAF_AMD_CACHE:
		cpuid_leaf_amd_cache(e, config);
		break;
	case LEAF_AMD_TOPOLOGY:
		cpuid_leaf_amd_topology(e, vcpu);
		break;
	case LEAF_AMD_ENCRYPTION:
		/* No encrypted guest: firmware that sees the bit reads an MSR that faults. */
		e->eax = e->ebx = e->ecx = e->edx = 0;
		break;
	default:
		break;
	}
}

static struct kvm_cpuid_entry2 *cpuid_find(struct kvm_cpuid2 *cpuid, uint32_t function,
					   uint32_t index)
{
	for (uint32_t i = 0; i < cpuid->nent; i++) {
		if (cpuid->entries[i].function == function && cpuid->entries[i].index == index)
			return &cpuid->entries[i];
	}
	return NULL;
}

/*
 * Leaf 0xb has as many subleaves as the host has levels; the guest needs exactly two and an end.
 * AMD hosts without the leaf keep going without: theirs is 0x8000001e.
 */
static void cpuid_complete_topology(struct kvm_cpuid2 *cpuid, uint32_t function)
{
	if (!cpuid_find(cpuid, function, 0))
		return;
	for (uint32_t index = 1; index <= 2; index++) {
		if (cpuid_find(cpuid, function, index) || cpuid->nent == CPUID_ENTRIES_MAX)
			continue;
		cpuid->entries[cpuid->nent++] = (struct kvm_cpuid_entry2){
			.function = function,
			.index = index,
			.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		};
	}
}

static bool is_hypervisor_leaf(const struct kvm_cpuid_entry2 *e)
{
	return e->function >= LEAF_HYPERVISOR && e->function <= LEAF_HYPERVISOR_LAST;
}

static void cpuid_hide_hypervisor(struct kvm_cpuid2 *cpuid)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < cpuid->nent; i++) {
		if (!is_hypervisor_leaf(&cpuid->entries[i]))
			cpuid->entries[kept++] = cpuid->entries[i];
	}
	cpuid->nent = kept;
}

/*
 * The first leaf is all that a program sees that wants to know the hypervisor's name; KVM's own
 * move up, to where a guest that has drivers for KVM still finds them.
 */
static void cpuid_set_vendor(struct kvm_cpuid2 *cpuid, const char *vendor)
{
	struct kvm_cpuid_entry2 first = { .function = LEAF_HYPERVISOR, .eax = LEAF_HYPERVISOR };
	char name[ARCH_HYPERVISOR_VENDOR_MAX] = { 0 };

	assert(strlen(vendor) <= sizeof(name));
	if (cpuid->nent == CPUID_ENTRIES_MAX)
		return;
	memcpy(name, vendor, strlen(vendor));
	memcpy(&first.ebx, name, 4);
	memcpy(&first.ecx, name + 4, 4);
	memcpy(&first.edx, name + 8, 4);
	for (uint32_t i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

		if (!is_hypervisor_leaf(e))
			continue;
		if (e->function == LEAF_HYPERVISOR)
			e->eax += HYPERVISOR_LEAVES_STEP; /* their last one */
		e->function += HYPERVISOR_LEAVES_STEP;
	}
	cpuid->entries[cpuid->nent++] = first;
}

/* What KVM can give a guest on this host, with room to add to it. free() it. */
static int cpuid_supported(const struct vm *vm, struct kvm_cpuid2 **ret_cpuid)
{
	struct kvm_cpuid2 *cpuid;
	int r;

	cpuid = calloc(1, sizeof(*cpuid) + CPUID_ENTRIES_MAX * sizeof(cpuid->entries[0]));
	if (!cpuid)
		return err_sys(ERR_LIMIT, -ENOMEM, "the CPU's features");
	cpuid->nent = CPUID_ENTRIES_MAX;
	r = sys_ioctl(vm->kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid);
	if (r < 0) {
		free(cpuid);
		return err_sys(ERR_HOST, r, "ask KVM for the CPU's features");
	}
	*ret_cpuid = cpuid;
	return 0;
}

static bool cpuid_is_amd(struct kvm_cpuid2 *cpuid)
{
	const struct kvm_cpuid_entry2 *e = cpuid_find(cpuid, LEAF_VENDOR, 0);

	return e && (e->ebx == SIGNATURE_AMD_EBX || e->ebx == SIGNATURE_HYGON_EBX);
}

int cpuid_apply(struct vcpu *vcpu, const struct arch_cpu_config *config)
{
	struct kvm_cpuid2 *cpuid = NULL;
	bool amd;
	int r = cpuid_supported(vcpu->set->board->vm, &cpuid);

	if (r < 0)
		return r;
	amd = cpuid_is_amd(cpuid);
	cpuid_complete_topology(cpuid, LEAF_TOPOLOGY);
	cpuid_complete_topology(cpuid, LEAF_TOPOLOGY_V2);
	for (uint32_t i = 0; i < cpuid->nent; i++)
		cpuid_adjust(&cpuid->entries[i], vcpu, config, amd);
	if (config->hide_hypervisor)
		cpuid_hide_hypervisor(cpuid);
	else if (config->hypervisor_vendor)
		cpuid_set_vendor(cpuid, config->hypervisor_vendor);
	r = sys_ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid);
	if (r < 0)
		err_sys(ERR_HOST, r, "set the CPU features of vCPU %u", vcpu->id);
	free(cpuid);
	return r;
}

int arch_host_query(const struct vm *vm, struct arch_host *ret_host)
{
	struct arch_host host = { .phys_bits = PHYS_BITS_WITHOUT_LEAF };
	const struct kvm_cpuid_entry2 *e;
	struct kvm_cpuid2 *cpuid = NULL;
	unsigned guest_bits = PHYS_BITS_4_LEVELS;
	int r = cpuid_supported(vm, &cpuid);

	if (r < 0)
		return r;
	e = cpuid_find(cpuid, LEAF_STRUCTURED, 0);
	if (e && (e->ecx & F7_ECX_LA57))
		guest_bits = PHYS_BITS_5_LEVELS;
	e = cpuid_find(cpuid, LEAF_ADDRESS_SIZES, 0);
	if (e) {
		/* Bits 23:16: what the second-level page tables reach, told by newer kernels. */
		if (e->eax >> 16 & 0xff)
			guest_bits = e->eax >> 16 & 0xff;
		host.phys_bits = MIN(e->eax & 0xff, guest_bits);
	}
	e = cpuid_find(cpuid, LEAF_EXT_FEATURES, 0);
	host.gib_pages = e && (e->edx & X1_EDX_GIB_PAGES);
	free(cpuid);
	*ret_host = host;
	return 0;
}
