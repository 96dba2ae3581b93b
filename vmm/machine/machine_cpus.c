/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's vCPUs, from the options to threads that wait for their start. Main thread. */
#include <errno.h>
#include <sched.h>

#include "core/arch.h"
#include "core/err.h"
#include "machine/machine.h"

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

/* A vCPU that does not give its CPU back when idle would hold up the others on it. */
static int check_host_cpus(unsigned count)
{
	cpu_set_t allowed;
	int have;

	CPU_ZERO(&allowed);
	if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
		return err_sys(ERR_HOST, -errno, "ask which CPUs this process may use");
	have = CPU_COUNT(&allowed);
	if (count <= (unsigned)have)
		return 0;
	err_set(ERR_LIMIT, -EINVAL,
		"--dedicated: %u vCPUs need a CPU each, and this process may use %d", count, have);
	err_hint("give --cpus %d, or let it use more of the host's", have);
	return -EINVAL;
}

int machine_describe_cpus(struct machine *machine)
{
	const struct options *options = machine->options;
	int r;

	machine->cpu_config = (struct arch_cpu_config){
		.topology = topology_of(machine),
		.hide_hypervisor = options->hide_hypervisor,
		.hyperv = options->hyperv,
		.dedicated = options->dedicated,
	};
	if (options->dedicated) {
		r = check_host_cpus(options->cpus);
		if (r < 0)
			return r;
	}
	if (options->cpu_features[0])
		machine->cpu_config.features = options->cpu_features;
	if (options->hypervisor_vendor[0])
		machine->cpu_config.hypervisor_vendor = options->hypervisor_vendor;
	r = arch_cpu_create(&machine->vm, &machine->cpu_config, &machine->cpu);
	if (r < 0 || !arch_cpu_is_large(machine->cpu) || machine_is_direct(machine))
		return r;
	err_set(ERR_USAGE, -EINVAL, "--cpus: firmware starts no machine with APIC IDs above 254");
	err_hint("start a kernel without it, by --kernel FILE, or give fewer CPUs");
	return -EINVAL;
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
