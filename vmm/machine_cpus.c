/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's vCPUs, from the options to threads that wait for their start. Main thread. */
#include "core/arch.h"
#include "machine.h"

/*
 * A guest takes a socket on two nodes for a fault of the firmware. So vCPUs that are on several
 * nodes are in several sockets, unless the user grouped them.
 */
static struct arch_topology topology_of(const struct machine *machine)
{
	const unsigned socket = machine->placement.socket;
	struct arch_topology t = machine->options->topology;

	if (t.sockets == 1 && machine->placement.node_count > 1 && socket % t.threads == 0) {
		t.sockets = machine->options->cpus / socket;
		t.cores = socket / t.threads;
	}
	return t;
}

int machine_describe_cpus(struct machine *machine)
{
	const struct options *options = machine->options;

	machine->cpu_config = (struct arch_cpu_config){
		.topology = topology_of(machine),
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
	int r;

	arch_cpu_set_phys_bits(machine->cpu, machine->window.phys_bits);
	r = vcpus_init(&machine->vcpus, &machine->board, &machine->cpu_config.topology,
		       machine->cpu);
	if (r == 0)
		machine_place_vcpus(machine);
	return r;
}

void machine_fini_cpus(struct machine *machine)
{
	vcpus_fini(&machine->vcpus);
}
