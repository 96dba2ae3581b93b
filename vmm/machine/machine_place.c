/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the machine lies on the host: asks placement.c, and puts this process's threads there. Main
 * thread, before any other exists.
 */
#include "core/err.h"
#include "core/log.h"
#include "machine/machine.h"
#include "placement/host_nodes.h"
#include "vfio/host_sysfs.h"

/* The NUMA node on the host; -1: unknown. */
static int node_of(const struct options_gpu *gpu)
{
	if (gpu->mdev[0])
		return vfio_mdev_node("", gpu->mdev);
	return (int)host_sysfs_number(host_sysfs_device("", gpu->addr, "numa_node").s, UINT64_MAX);
}

/* What its DMA and its interrupts pay for is worth a word. */
static void tell_far_devices(const struct machine *machine)
{
	const struct placement *p = &machine->placement;

	for (unsigned i = 0; i < machine->options->gpu_count; i++) {
		const int node = machine->gpu_nodes[i];
		bool near = node < 0 || p->node_count == 0;

		for (unsigned k = 0; k < p->node_count; k++)
			near |= p->nodes[k].host == node;
		if (!near)
			log_info("%s is at NUMA node %d of the host, and the guest is elsewhere",
				 options_gpu_name(&machine->options->gpus[i]).s, node);
	}
}

int machine_place(struct machine *machine)
{
	const struct options *options = machine->options;
	struct placement_request request = {
		.vcpus = options->cpus,
		.threads = options->topology.threads,
		.memory = options->memory,
		.page_size = machine->page_size,
		.fetched = options->gpu_count > 0,
		.pin = options->pin,
		.pin_cpus = options->pin_cpus,
		.pin_count = options->pin_count,
		.numa = options->numa,
		.numa_nodes = options->numa_nodes,
		.device_nodes = machine->gpu_nodes,
		.device_count = options->gpu_count,
	};
	struct cpu_set allowed;
	int r;

	placement_none(options->cpus, &machine->placement);
	if (options->pin == PIN_OFF && options->numa != NUMA_LIST && !host_nodes_several(""))
		return 0;
	for (unsigned i = 0; i < options->gpu_count; i++)
		machine->gpu_nodes[i] = node_of(&options->gpus[i]);
	r = cpu_set_allowed(&allowed);
	if (r < 0)
		return err_sys(ERR_HOST, r, "ask which CPUs this process may use");
	r = placement_decide("", &request, &allowed, &machine->placement);
	if (r < 0)
		return r;
	placement_log(&machine->placement);
	tell_far_devices(machine);
	return 0;
}

void machine_move_threads(struct machine *machine)
{
	const struct placement *p = &machine->placement;
	int r;

	if (!p->others_bound)
		return;
	r = cpu_set_allowed(&machine->cpus_before);
	if (r == 0)
		r = cpu_set_bind(&p->others);
	machine->moved = r == 0;
	/* They may have been taken from us since. */
	if (r < 0)
		log_warn("cannot run on CPUs %s: %s", cpu_set_text(&p->others).s, strerror(-r));
}

void machine_move_back(struct machine *machine)
{
	int r = machine->moved ? cpu_set_bind(&machine->cpus_before) : 0;

	machine->moved = false;
	if (r < 0)
		log_debug("cannot return to CPUs %s: %s", cpu_set_text(&machine->cpus_before).s,
			  strerror(-r));
}

void machine_place_vcpus(struct machine *machine)
{
	const struct placement *p = &machine->placement;

	for (unsigned i = 0; i < machine->vcpus.count; i++) {
		struct vcpu *vcpu = &machine->vcpus.vcpus[i];

		vcpu->cpu = p->vcpus[i].cpu;
		if (p->vcpus[i].bound)
			vcpu->cpus = &p->nodes[p->vcpus[i].node].cpus;
	}
}
