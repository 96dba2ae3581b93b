/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The leaves that describe what features have: extended state in leaf 0xd, and leaves of single
 * features. They follow the feature. [Intel-SDM 1 13.2 Enumeration of CPU Support for XSAVE
 * Instructions and XSAVE-Supported Features]. Main thread.
 */
#include "x86_64/cpuid_table.h"

/* Components of the state, and the feature that each is the registers of. */
static const struct {
	unsigned bit;
	const char *feature;
} components[] = {
	{ 2, "avx" },         /* the upper halves of YMM registers */
	{ 3, "mpx" },         /* bounds */
	{ 4, "mpx" },         /* and their configuration */
	{ 5, "avx512f" },     /* opmasks */
	{ 6, "avx512f" },     /* the upper halves of ZMM registers */
	{ 7, "avx512f" },     /* the upper sixteen */
	{ 8, "intel_pt" },    /* of the supervisor */
	{ 9, "pku" },         /* PKRU */
	{ 11, "user_shstk" }, /* of the supervisor, for user mode */
	{ 12, "user_shstk" }, /* of the supervisor */
	{ 15, "arch_lbr" },   /* of the supervisor */
	{ 17, "amx_tile" },   /* configuration */
	{ 18, "amx_tile" },   /* data */
};

/* Leaves that are one feature's. */
static const struct {
	uint32_t function;
	const char *feature;
} leaves[] = {
	{ 0x12, "sgx" },      { 0x14, "intel_pt" }, { 0x1c, "arch_lbr" },
	{ 0x1d, "amx_tile" }, { 0x1e, "amx_tile" }, { LEAF_AMD_SVM, "svm" },
};

/* Leaf 0xd. */
#define XSAVE_FIRST       2u   /* 0 and 1: x87 and SSE, which have their place in the first part */
#define XSAVE_LEGACY_SIZE 576u /* with the header */
#define XSAVE_BITS        32u  /* the upper half of the mask has no components */

static void drop_component(struct kvm_cpuid2 *cpuid, unsigned bit)
{
	struct kvm_cpuid_entry2 *user = cpuid_find(cpuid, LEAF_XSAVE, 0);
	struct kvm_cpuid_entry2 *supervisor = cpuid_find(cpuid, LEAF_XSAVE, 1);
	struct kvm_cpuid_entry2 *e = cpuid_find(cpuid, LEAF_XSAVE, bit);

	if (user)
		user->eax &= ~(1u << bit);
	if (supervisor)
		supervisor->ecx &= ~(1u << bit);
	if (e)
		e->eax = e->ebx = e->ecx = e->edx = 0;
}

/* Where the last component of the user's ends. KVM itself keeps EBX, for what is switched on. */
static void set_size(struct kvm_cpuid2 *cpuid)
{
	struct kvm_cpuid_entry2 *all = cpuid_find(cpuid, LEAF_XSAVE, 0);
	uint32_t size = XSAVE_LEGACY_SIZE;

	if (!all || !all->eax)
		return;
	for (unsigned bit = XSAVE_FIRST; bit < XSAVE_BITS; bit++) {
		const struct kvm_cpuid_entry2 *e = cpuid_find(cpuid, LEAF_XSAVE, bit);

		if (e && (all->eax >> bit & 1))
			size = MAX(size, e->eax + e->ebx);
	}
	all->ecx = size;
}

void cpuid_fit_state(struct kvm_cpuid2 *cpuid)
{
	for (unsigned i = 0; i < ARRAY_SIZE(components); i++) {
		if (!cpuid_has_feature(cpuid, components[i].feature))
			drop_component(cpuid, components[i].bit);
	}
	set_size(cpuid);
	for (uint32_t i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[i];
		bool gone = e->function == LEAF_XSAVE && !cpuid_has_feature(cpuid, "xsave");

		for (unsigned n = 0; n < ARRAY_SIZE(leaves) && !gone; n++)
			gone = e->function == leaves[n].function &&
			       !cpuid_has_feature(cpuid, leaves[n].feature);
		if (gone)
			e->eax = e->ebx = e->ecx = e->edx = 0;
	}
}
