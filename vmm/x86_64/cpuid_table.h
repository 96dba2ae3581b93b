/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table of CPUID leaves, and what the files of this folder make of it: the topology, the features
 * that a user chose, the hypervisor's leaves. All work on the table only and ask nobody.
 * [Intel-SDM 2A CPUID], [AMD-APM 3 E Obtaining Processor Information]. Main thread.
 */
#ifndef X86_64_CPUID_TABLE_H
#define X86_64_CPUID_TABLE_H

#include <linux/kvm.h>

#include "core/arch.h"
#include "core/util.h"

#define CPUID_ENTRIES_MAX 256u

enum cpuid_leaf {
	LEAF_VENDOR = 0x0,
	LEAF_FEATURES = 0x1,
	LEAF_CACHE = 0x4, /* Intel: deterministic cache parameters */
	LEAF_MONITOR = 0x5,
	LEAF_THERMAL_POWER = 0x6,
	LEAF_STRUCTURED = 0x7,
	LEAF_TOPOLOGY = 0xb,
	LEAF_XSAVE = 0xd,
	LEAF_TOPOLOGY_V2 = 0x1f,
	LEAF_HYPERVISOR = 0x40000000, /* and what follows, up to LEAF_HYPERVISOR_LAST */
	LEAF_HYPERVISOR_LAST = 0x4fffffff,
	LEAF_EXT_MAX = 0x80000000,
	LEAF_EXT_FEATURES = 0x80000001,
	LEAF_MODEL = 0x80000002, /* its name, up to LEAF_MODEL_LAST */
	LEAF_MODEL_LAST = 0x80000004,
	LEAF_POWER = 0x80000007,
	LEAF_ADDRESS_SIZES = 0x80000008,
	LEAF_AMD_SVM = 0x8000000a,
	LEAF_AMD_CACHE = 0x8000001d,
	LEAF_AMD_TOPOLOGY = 0x8000001e,
	LEAF_AMD_ENCRYPTION = 0x8000001f,
	LEAF_AMD_MORE = 0x80000021,
	LEAF_AMD_TOPOLOGY_V2 = 0x80000026,
};

/* NULL where the table has no such leaf. `index` is 0 for a leaf without subleaves. */
struct kvm_cpuid_entry2 *cpuid_find(struct kvm_cpuid2 *cpuid, uint32_t function, uint32_t index);
/* The one that is there, or a new one of zeroes; NULL if the table is full. */
struct kvm_cpuid_entry2 *cpuid_add(struct kvm_cpuid2 *cpuid, uint32_t function, uint32_t index);
void cpuid_remove(struct kvm_cpuid2 *cpuid, uint32_t first, uint32_t last);
bool cpuid_is_amd(struct kvm_cpuid2 *cpuid);

/* cpuid_topology.c: what all vCPUs have in common, then what vCPU `id` has for itself. */
void cpuid_set_topology(struct kvm_cpuid2 *cpuid, const struct arch_topology *t);
void cpuid_set_id(struct kvm_cpuid2 *cpuid, const struct arch_topology *t, uint32_t id);

/*
 * cpuid_features.c: takes away the features that "-name,+name,..." names with a minus, all that
 * needs them and their state, and makes sure that those with a plus are there. `before` is a copy
 * of `cpuid`. ERR_USAGE for a name that nobody knows.
 */
int MUST_CHECK cpuid_choose_features(struct kvm_cpuid2 *cpuid, struct kvm_cpuid2 *before,
				     const char *features);
bool cpuid_feature_known(const char *name);
/* A name as Linux's /proc/cpuinfo has it, which is known. */
bool cpuid_has_feature(struct kvm_cpuid2 *cpuid, const char *name);

/* cpuid_hypervisor.c: no hypervisor's leaves, */
void cpuid_hide_hypervisor(struct kvm_cpuid2 *cpuid);
/* another name before KVM's, */
void cpuid_set_vendor(struct kvm_cpuid2 *cpuid, const char *vendor);
/* KVM's with the word that MSIs name APIC IDs of 15 bits, */
void cpuid_set_ext_dest(struct kvm_cpuid2 *cpuid);
/* or with the hint that vCPUs have CPUs of their own, */
void cpuid_set_dedicated(struct kvm_cpuid2 *cpuid, bool hlt_stays);
/* or, in place of KVM's, what of Hyper-V's we keep. `vendor` NULL: Hyper-V's own name. */
void cpuid_set_hyperv(struct kvm_cpuid2 *cpuid, const struct kvm_cpuid2 *hyperv,
		      const char *vendor);

/* cpuid_state.c: leaves that describe a feature which is not there are cleared. */
void cpuid_fit_state(struct kvm_cpuid2 *cpuid);

#endif
