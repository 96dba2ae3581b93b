/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's vCPUs, from the options to threads that wait for their start. Main thread. */
#include "core/arch.h"
#include "machine.h"

int machine_describe_cpus(struct machine *machine)
{
	const struct options *options = machine->options;

	machine->cpu_config = (struct arch_cpu_config){
		.topology = options->topology,
		.hide_hypervisor = options->hide_hypervisor,
	};
	if (options->cpu_features[0])
		machine->cpu_config.features = options->cpu_features;
	if (options->hypervisor_vendor[0])
		machine->cpu_config.hypervisor_vendor = options->hypervisor_vendor;
	return arch_cpu_create(&machine->vm, &machine->cpu_config, &machine->cpu);
}

int machine_init_cpus(struct machine *machine)
{
	arch_cpu_set_phys_bits(machine->cpu, machine->window.phys_bits);
	return vcpus_init(&machine->vcpus, &machine->board, &machine->cpu_config.topology,
			  machine->cpu);
}

void machine_fini_cpus(struct machine *machine)
{
	vcpus_fini(&machine->vcpus);
}
