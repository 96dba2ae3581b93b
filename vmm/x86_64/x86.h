/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of this folder only. */
#ifndef X86_64_X86_H
#define X86_64_X86_H

#include "core/arch.h"
#include "core/vcpu.h"
#include "x86_64/ioapic.h"

/* Gives the vCPU the CPUID of the machine, with what is its own in it. cpu.c */
int MUST_CHECK cpu_set_cpuid(struct arch_cpu *cpu, struct vcpu *vcpu);

/* What a vCPU needs before that, or one like it. */
int MUST_CHECK cpu_enable(const struct arch_cpu *cpu, int fd);
struct ioapic *cpu_ioapic(struct arch_cpu *cpu); /* of a large one */
bool cpu_is_hyperv(const struct arch_cpu *cpu);

#endif
