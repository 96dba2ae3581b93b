/* SPDX-License-Identifier: Apache-2.0 */
/* The CPUs of the vCPUs and of all other threads; see placement_threads.h. */
#include "placement/placement_threads.h"

#include <assert.h>
#include <errno.h>

#include "core/err.h"

_Static_assert(CPU_SET_MAX <= UINT16_MAX + 1u, "a CPU fits in pin_cpus");

/*
 * How many vCPUs each node gets: evenly, as far as its CPUs go if each vCPU gets one. The threads
 * of a guest's core stay together.
 */
static int share_vcpus(const struct choice *c, unsigned ret_counts[PLACEMENT_NODES_MAX])
{
	const bool one_each = c->req->pin == PIN_AUTO;
	const unsigned threads = c->req->threads;
	unsigned have[PLACEMENT_NODES_MAX], left = c->req->vcpus / threads, open = 0;

	for (unsigned i = 0; i < c->count; i++) {
		have[i] = cpu_set_count(&c->host.nodes[c->nodes[i]].cpus) / threads;
		if (!one_each && cpu_set_count(&c->host.nodes[c->nodes[i]].cpus))
			have[i] = UINT32_MAX;
		ret_counts[i] = 0;
		open += have[i] > 0;
	}
	while (left && open) {
		const unsigned each = MAX(left / open, 1u);

		open = 0;
		for (unsigned i = 0; i < c->count; i++) {
			const unsigned n = MIN(MIN(each, have[i] - ret_counts[i]), left);

			ret_counts[i] += n;
			left -= n;
			open += ret_counts[i] < have[i];
		}
	}
	for (unsigned i = 0; i < c->count; i++)
		ret_counts[i] *= threads;
	return left ? -ENOSPC : 0;
}

static void put_vcpu(struct placement *p, unsigned node, int cpu)
{
	p->vcpus[p->vcpu_count++] = (struct placement_vcpu){
		.cpu = cpu,
		.node = node,
		.bound = cpu < 0,
	};
	p->nodes[node].vcpus++;
}

/*
 * The CPUs of a node in the order in which vCPUs get them. A guest that knows of no threads gets a
 * thread of every core before the second of one; the threads of a guest's core get those of one.
 * The first core comes last: it has the most interrupts of the host, and is left for the other
 * threads if there are cores to spare.
 */
static unsigned order_cpus(const struct choice *c, const struct cpu_set *set, unsigned threads,
			   uint16_t ret_order[PLACEMENT_VCPUS_MAX])
{
	struct cpu_set left = *set, first_core = { 0 };
	unsigned count = 0;
	int first = cpu_set_next(set, 0);

	if (first >= 0)
		host_nodes_core(c->root, (unsigned)first, &first_core);
	cpu_set_drop(&left, &first_core);
	cpu_set_keep(&first_core, set);
	for (unsigned part = 0; part < 2; part++) {
		while (cpu_set_next(&left, 0) >= 0) {
			struct cpu_set round = left;

			for (int cpu; (cpu = cpu_set_next(&round, 0)) >= 0;) {
				struct cpu_set core;
				unsigned taken = 0;

				host_nodes_core(c->root, (unsigned)cpu, &core);
				cpu_set_keep(&core, &left);
				cpu_set_drop(&round, &core);
				for (int t = cpu; t >= 0 && taken < threads;
				     t = cpu_set_next(&core, (unsigned)t + 1)) {
					if (count == PLACEMENT_VCPUS_MAX)
						return count;
					ret_order[count++] = (uint16_t)t;
					cpu_set_remove(&left, (unsigned)t);
					taken++;
				}
			}
		}
		left = first_core;
	}
	return count;
}

/* The first core is used by vCPUs only after all others are: see order_cpus. */
static int pin_auto(const struct choice *c, struct placement *p)
{
	unsigned counts[PLACEMENT_NODES_MAX];
	uint16_t order[PLACEMENT_VCPUS_MAX];
	int r = share_vcpus(c, counts);

	if (r < 0) {
		r = err_set(ERR_USAGE, -EINVAL, "--pin auto: %u CPU%s cannot run %u vCPUs",
			    placement_chosen_cpus(c), placement_chosen_cpus(c) == 1 ? "" : "s",
			    c->req->vcpus);
		err_hint("give --cpus %u, or leave out --pin", MAX(placement_chosen_cpus(c), 1u));
		return r;
	}
	for (unsigned i = 0; i < c->count; i++) {
		const unsigned have = order_cpus(c, &p->nodes[i].cpus, c->req->threads, order);

		assert(have >= counts[i]);
		for (unsigned k = 0; k < counts[i]; k++)
			put_vcpu(p, i, order[k]);
	}
	return 0;
}

static void pin_list(const struct choice *c, struct placement *p)
{
	for (unsigned v = 0; v < c->req->vcpus; v++) {
		const int node = host_nodes_of_cpu(&c->host, c->req->pin_cpus[v]);
		unsigned at = 0;

		for (unsigned i = 0; i < c->count; i++) {
			if (node >= 0 && c->nodes[i] == (unsigned)node)
				at = i;
		}
		put_vcpu(p, at, c->req->pin_cpus[v]);
	}
}

/*
 * With several nodes a vCPU stays on its own, or the guest would be told a lie; and if the user
 * named the nodes.
 */
static void spread(const struct choice *c, struct placement *p)
{
	unsigned counts[PLACEMENT_NODES_MAX];

	if ((p->node_count < 2 && c->req->numa != NUMA_LIST) || share_vcpus(c, counts) < 0) {
		for (unsigned v = 0; v < c->req->vcpus; v++)
			p->vcpus[p->vcpu_count++] = (struct placement_vcpu){ .cpu = -1 };
		p->nodes[0].vcpus = c->req->vcpus;
		return;
	}
	for (unsigned i = 0; i < c->count; i++) {
		for (unsigned k = 0; k < counts[i]; k++)
			put_vcpu(p, i, -1);
	}
}

static unsigned gcd(unsigned a, unsigned b)
{
	while (b) {
		const unsigned rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

/* As many as divide every run of vCPUs of one node. */
unsigned placement_socket(const struct placement *p)
{
	unsigned size = 0, run = 0;

	if (p->node_count < 2)
		return p->vcpu_count;
	for (unsigned v = 0; v < p->vcpu_count; v++) {
		run++;
		if (v + 1 == p->vcpu_count || p->vcpus[v + 1].node != p->vcpus[v].node) {
			size = gcd(run, size);
			run = 0;
		}
	}
	return size;
}

/*
 * Where all that is no vCPU runs (disks, the main loop, what pins memory): beside pinned vCPUs, not
 * on their CPUs. What the list names beyond the vCPUs is meant for that; else cores that no vCPU
 * has, else CPUs, of the machine's nodes first; and with none left, everywhere.
 */
static void place_others(const struct choice *c, struct placement *p)
{
	struct cpu_set taken = { 0 }, cores = { 0 }, near = { 0 }, named = { 0 };

	for (unsigned i = p->vcpu_count; c->req->pin == PIN_LIST && i < c->req->pin_count; i++)
		cpu_set_add(&named, c->req->pin_cpus[i]);
	for (unsigned v = 0; v < p->vcpu_count; v++) {
		struct cpu_set core;

		host_nodes_core(c->root, (unsigned)p->vcpus[v].cpu, &core);
		cpu_set_join(&cores, &core);
		cpu_set_add(&taken, (unsigned)p->vcpus[v].cpu);
	}
	for (unsigned i = 0; i < p->node_count; i++)
		cpu_set_join(&near, &p->nodes[i].cpus);
	const struct {
		const struct cpu_set *among, *without;
	} ways[] = {
		{ &named, &taken },
		{ &near, &cores },
		{ &near, &taken },
		{ &c->host.allowed, &taken },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(ways) && !p->others_bound; i++) {
		p->others = *ways[i].among;
		cpu_set_drop(&p->others, ways[i].without);
		p->others_bound = cpu_set_count(&p->others) > 0;
	}
}

int placement_place_threads(const struct choice *c, struct placement *p)
{
	int r = 0;

	switch (c->req->pin) {
	case PIN_OFF:
		spread(c, p);
		return 0;
	case PIN_LIST:
		pin_list(c, p);
		break;
	case PIN_AUTO:
		r = pin_auto(c, p);
		break;
	}
	if (r == 0)
		place_others(c, p);
	return r;
}
