/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of this folder only. */
#ifndef X86_64_X86_H
#define X86_64_X86_H

#include "core/arch.h"
#include "core/vcpu.h"

/*
 * Sets the vCPU's CPUID: what KVM supports on this host, less what the machine cannot keep, with
 * the topology and the address width of the configuration. [Intel-SDM 2A CPUID], [AMD-APM 3 E].
 */
int MUST_CHECK cpuid_apply(struct vcpu *vcpu, const struct arch_cpu_config *config);

#endif
