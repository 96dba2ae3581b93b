/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets, cores and threads in CPUID, and the APIC IDs that go with them: each level has as many
 * bits of the ID as its count needs. [Intel-SDM 3A 9.9 Programming Considerations for
 * Hardware Multi-Threading Capable Processors], [AMD-APM 3 E.4.7 Extended Topology Enumeration,
 * E.5.2 Multiple Core Calculation]. Main thread.
 */
#include "x86_64/cpuid_table.h"

/* Leaf 1. */
#define F1_EBX_APIC_ID_SHIFT 24
#define F1_EBX_LOGICAL_SHIFT 16
#define F1_EBX_LOGICAL_MAX   255u
#define F1_EDX_HTT           (1u << 28)
/* Leaves 4 and 0x8000001d. */
#define F4_EAX_TYPE(eax)     ((eax)&0x1f) /* 0: no more caches */
#define F4_EAX_LEVEL(eax)    ((eax) >> 5 & 7)
#define F4_EAX_SHARING_SHIFT 14
#define F4_EAX_SHARING_MASK  0xfffu
#define F4_EAX_CORES_SHIFT   26
#define F4_EAX_CORES_MASK    0x3fu
#define CACHE_LEVEL_SHARED   3u /* and above: by all of a socket */
/* Leaves 0xb and 0x1f: ECX bits 15:8. */
#define TOPOLOGY_INVALID 0u
#define TOPOLOGY_SMT     1u
#define TOPOLOGY_CORE    2u
#define TOPOLOGY_LEVELS  3u /* these two, and the end */
/* Leaf 0x80000001. */
#define X1_ECX_CMP_LEGACY (1u << 1)
#define X1_ECX_TOPOLOGY   (1u << 22)
/* Leaf 0x80000008. */
#define X8_ECX_ID_BITS_SHIFT 12
#define X8_ECX_THREADS_MAX   255u
/* Leaf 0x8000001e. */
#define X1E_EBX_THREADS_SHIFT 8

/* The number of APIC ID bits that `count` of something need. */
static unsigned id_bits(unsigned count)
{
	return (unsigned)__builtin_ctzll(pow2_ceil(count));
}

static unsigned thread_bits(const struct arch_topology *t)
{
	return id_bits(t->threads);
}

/* Of a whole socket. */
static unsigned socket_bits(const struct arch_topology *t)
{
	return thread_bits(t) + id_bits(t->cores);
}

uint32_t arch_cpu_id(const struct arch_topology *t, unsigned n)
{
	const unsigned core = n / t->threads;

	return core / t->cores << socket_bits(t) | core % t->cores << thread_bits(t) |
	       n % t->threads;
}

static void set_features(struct kvm_cpuid_entry2 *e, const struct arch_topology *t)
{
	const unsigned logical = t->cores * t->threads;

	e->ebx &= ~(0xffu << F1_EBX_LOGICAL_SHIFT);
	e->ebx |= MIN(logical, F1_EBX_LOGICAL_MAX) << F1_EBX_LOGICAL_SHIFT;
	e->edx &= ~F1_EDX_HTT;
	if (logical > 1)
		e->edx |= F1_EDX_HTT;
}

/* Each core has its own caches but the last level, which its socket shares. */
static void set_cache_sharing(struct kvm_cpuid_entry2 *e, const struct arch_topology *t)
{
	const bool shared = F4_EAX_LEVEL(e->eax) >= CACHE_LEVEL_SHARED;
	const unsigned ids = 1u << (shared ? socket_bits(t) : thread_bits(t));

	e->eax &= ~(F4_EAX_SHARING_MASK << F4_EAX_SHARING_SHIFT);
	e->eax |= MIN(ids - 1, F4_EAX_SHARING_MASK) << F4_EAX_SHARING_SHIFT;
}

/* Intel's has how many cores there can be, too. */
static void set_cache_cores(struct kvm_cpuid_entry2 *e, const struct arch_topology *t)
{
	const unsigned ids = 1u << id_bits(t->cores);

	e->eax &= ~(F4_EAX_CORES_MASK << F4_EAX_CORES_SHIFT);
	e->eax |= MIN(ids - 1, F4_EAX_CORES_MASK) << F4_EAX_CORES_SHIFT;
}

static void set_levels(struct kvm_cpuid_entry2 *e, const struct arch_topology *t)
{
	unsigned type = TOPOLOGY_INVALID;

	e->eax = 0;
	e->ebx = 0;
	if (e->index == 0) {
		type = TOPOLOGY_SMT;
		e->eax = thread_bits(t);
		e->ebx = t->threads;
	} else if (e->index == 1) {
		type = TOPOLOGY_CORE;
		e->eax = socket_bits(t);
		e->ebx = t->threads * t->cores;
	}
	e->ecx = type << 8 | e->index;
}

static void set_sizes(struct kvm_cpuid_entry2 *e, const struct arch_topology *t)
{
	e->ecx = socket_bits(t) << X8_ECX_ID_BITS_SHIFT |
		 MIN(t->cores * t->threads - 1, X8_ECX_THREADS_MAX);
}

/*
 * KVM's leaves 0xb and 0x1f have as many subleaves as the host has levels, or as its kernel's
 * version pleases; the guest needs exactly two and an end. AMD hosts without the leaf keep going
 * without: theirs is 0x8000001e.
 */
static void complete_levels(struct kvm_cpuid2 *cpuid, uint32_t function)
{
	if (!cpuid_find(cpuid, function, 0))
		return;
	for (uint32_t index = 1; index < TOPOLOGY_LEVELS; index++)
		(void)cpuid_add(cpuid, function, index);
}

/*
 * Threads of AMD's cores are told in a leaf that came with 0x8000001d in 2011; without it, the
 * threads pass for cores.
 */
static void complete_amd(struct kvm_cpuid2 *cpuid)
{
	struct kvm_cpuid_entry2 *max = cpuid_find(cpuid, LEAF_EXT_MAX, 0);
	struct kvm_cpuid_entry2 *features = cpuid_find(cpuid, LEAF_EXT_FEATURES, 0);

	if (!max || !features || (features->ecx & X1_ECX_TOPOLOGY) ||
	    !cpuid_add(cpuid, LEAF_AMD_TOPOLOGY, 0))
		return;
	features->ecx |= X1_ECX_TOPOLOGY;
	max->eax = MAX(max->eax, LEAF_AMD_TOPOLOGY);
}

void cpuid_set_topology(struct kvm_cpuid2 *cpuid, const struct arch_topology *t)
{
	const bool amd = cpuid_is_amd(cpuid);

	complete_levels(cpuid, LEAF_TOPOLOGY);
	complete_levels(cpuid, LEAF_TOPOLOGY_V2);
	if (amd && t->threads > 1)
		complete_amd(cpuid);
	for (uint32_t i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

		switch (e->function) {
		case LEAF_FEATURES:
			set_features(e, t);
			break;
		case LEAF_CACHE:
			if (!F4_EAX_TYPE(e->eax))
				break;
			set_cache_sharing(e, t);
			set_cache_cores(e, t);
			break;
		case LEAF_TOPOLOGY:
		case LEAF_TOPOLOGY_V2:
			set_levels(e, t);
			break;
		case LEAF_EXT_FEATURES:
			/* Without it, several logical processors are threads of one core. */
			if (amd && t->cores * t->threads > 1)
				e->ecx |= X1_ECX_CMP_LEGACY;
			break;
		case LEAF_ADDRESS_SIZES:
			if (amd) /* reserved elsewhere */
				set_sizes(e, t);
			break;
		case LEAF_AMD_CACHE:
			if (F4_EAX_TYPE(e->eax))
				set_cache_sharing(e, t);
			break;
		case LEAF_AMD_TOPOLOGY_V2:
			/* The host's; a guest that finds zeroes takes leaf 0xb. */
			e->eax = e->ebx = e->ecx = e->edx = 0;
			break;
		default:
			break;
		}
	}
}

void cpuid_set_id(struct kvm_cpuid2 *cpuid, const struct arch_topology *t, uint32_t id)
{
	for (uint32_t i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

		switch (e->function) {
		case LEAF_FEATURES:
			e->ebx &= ~(0xffu << F1_EBX_APIC_ID_SHIFT);
			e->ebx |= id << F1_EBX_APIC_ID_SHIFT; /* its low 8 bits */
			break;
		case LEAF_TOPOLOGY:
		case LEAF_TOPOLOGY_V2:
			e->edx = id;
			break;
		case LEAF_AMD_TOPOLOGY:
			e->eax = id;
			e->ebx = (id >> thread_bits(t) & ((1u << id_bits(t->cores)) - 1) & 0xff) |
				 (t->threads - 1) << X1E_EBX_THREADS_SHIFT;
			e->ecx = id >> socket_bits(t) & 0xff; /* a node each socket */
			e->edx = 0;
			break;
		default:
			break;
		}
	}
}
