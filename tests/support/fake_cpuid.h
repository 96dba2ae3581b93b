/* SPDX-License-Identifier: Apache-2.0 */
/* What KVM answers to KVM_GET_SUPPORTED_CPUID on two hosts, in extracts. */
#ifndef FAKE_CPUID_H
#define FAKE_CPUID_H

#include <stdlib.h>

#include "x86_64/cpuid_table.h"

struct fake_cpu {
	const struct kvm_cpuid_entry2 *entries;
	unsigned count;
};

/* A server of 2023 each: Intel's with AVX-512 and AMX, AMD's with AVX-512. */
extern const struct fake_cpu fake_intel, fake_amd;

/* A table with room to add to it; free() it. */
struct kvm_cpuid2 *fake_cpuid(const struct fake_cpu *cpu);

#endif
