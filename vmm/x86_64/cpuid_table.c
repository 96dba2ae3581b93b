/* SPDX-License-Identifier: Apache-2.0 */
/* The table of CPUID leaves; see cpuid_table.h. */
#include "x86_64/cpuid_table.h"

#define SIGNATURE_AMD_EBX   0x68747541 /* "Auth" */
#define SIGNATURE_HYGON_EBX 0x6f677948 /* "Hygo" */

/* Those whose answer depends on ECX too. */
static bool has_subleaves(uint32_t function)
{
	switch (function) {
	case LEAF_CACHE:
	case LEAF_STRUCTURED:
	case LEAF_TOPOLOGY:
	case LEAF_TOPOLOGY_V2:
	case LEAF_XSAVE:
	case LEAF_AMD_CACHE:
		return true;
	default:
		return false;
	}
}

struct kvm_cpuid_entry2 *cpuid_find(struct kvm_cpuid2 *cpuid, uint32_t function, uint32_t index)
{
	for (uint32_t i = 0; i < cpuid->nent; i++) {
		if (cpuid->entries[i].function == function && cpuid->entries[i].index == index)
			return &cpuid->entries[i];
	}
	return NULL;
}

struct kvm_cpuid_entry2 *cpuid_add(struct kvm_cpuid2 *cpuid, uint32_t function, uint32_t index)
{
	struct kvm_cpuid_entry2 *e = cpuid_find(cpuid, function, index);

	if (e || cpuid->nent == CPUID_ENTRIES_MAX)
		return e;
	e = &cpuid->entries[cpuid->nent++];
	*e = (struct kvm_cpuid_entry2){ .function = function, .index = index };
	if (has_subleaves(function))
		e->flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
	return e;
}

void cpuid_remove(struct kvm_cpuid2 *cpuid, uint32_t first, uint32_t last)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < cpuid->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

		if (e->function < first || e->function > last)
			cpuid->entries[kept++] = *e;
	}
	cpuid->nent = kept;
}

bool cpuid_is_amd(struct kvm_cpuid2 *cpuid)
{
	const struct kvm_cpuid_entry2 *e = cpuid_find(cpuid, LEAF_VENDOR, 0);

	return e && (e->ebx == SIGNATURE_AMD_EBX || e->ebx == SIGNATURE_HYGON_EBX);
}
