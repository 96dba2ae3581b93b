/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lies where on the chosen nodes; see placement.h.
 *
 * Memory of a node is asked for in one of two ways. A guest with a device has all of its memory
 * fetched at the start, just after the node was seen to have room: there the node is binding
 * (MPOL_BIND), because a mere preference goes to another node as soon as cached files fill this
 * one, which they do on every host that has been up for a day. A guest without a device gets its
 * pages over hours, and to be killed for memory that another node has would be the worse fate:
 * there the node is preferred (MPOL_PREFERRED).
 */
#include "placement/placement.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "core/text.h"
#include "placement/placement_nodes.h"

_Static_assert(CPU_SET_MAX <= UINT16_MAX + 1u, "a CPU fits in pin_cpus");

/* --- vCPUs --- */

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
static unsigned socket_of(const struct placement *p)
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

/* --- memory --- */

static uint64_t round_share(uint64_t share, uint64_t unit)
{
	return align_down(share, unit);
}

/*
 * By the number of vCPUs, or evenly if the user named the nodes or none has a vCPU; in pieces that
 * huge pages can back. What is more than a node has goes to those that have room, the rest to all.
 */
static void share_memory(const struct choice *c, struct placement *p)
{
	const uint64_t memory = c->req->memory;
	const uint64_t unit =
		memory % GiB == 0 && (c->req->page_size == GiB || memory / GiB >= p->node_count)
			? GiB
			: 2 * MiB;
	const bool evenly = c->req->numa == NUMA_LIST;
	uint64_t left = memory;

	for (unsigned i = 0; i < p->node_count; i++) {
		struct placement_node *node = &p->nodes[i];
		const uint64_t of = evenly ? p->node_count : p->vcpu_count;
		const uint64_t share = memory / unit * (evenly ? 1 : node->vcpus) / of * unit;
		const uint64_t have = round_share(c->host.nodes[c->nodes[i]].room, unit);

		node->memory = MIN(share, have);
		left -= node->memory;
	}
	for (unsigned i = 0; i < p->node_count; i++) {
		struct placement_node *node = &p->nodes[i];
		const uint64_t have = round_share(c->host.nodes[c->nodes[i]].room, unit);
		const uint64_t more = MIN(left, have - node->memory);

		node->memory += more;
		left -= more;
	}
	/* The host has not so much: where it comes from is seen later. */
	for (unsigned i = 0; left; i = (i + 1) % p->node_count) {
		const uint64_t more = MIN(left, MAX(round_share(left / p->node_count, unit), unit));

		p->nodes[i].memory += more;
		left -= more;
	}
	for (unsigned i = 0; i < p->node_count; i++)
		p->nodes[i].strict = c->req->fetched && c->host.count > 1 &&
				     p->nodes[i].memory <= c->host.nodes[c->nodes[i]].room;
}

/* --- all of it --- */

static void put_nodes(const struct choice *c, struct placement *p)
{
	p->node_count = c->count;
	for (unsigned i = 0; i < c->count; i++) {
		const struct host_node *host = &c->host.nodes[c->nodes[i]];

		p->nodes[i].host = (int)host->id;
		p->nodes[i].cpus = host->cpus;
	}
}

/*
 * With --numa off a machine that lies on several nodes all the same is left to the kernel, but for
 * the vCPUs that are pinned.
 */
static void forget_nodes(struct placement *p)
{
	p->node_count = 0;
	for (unsigned v = 0; v < p->vcpu_count; v++)
		p->vcpus[v].node = 0;
}

/* A node with neither vCPUs nor memory is none for a guest. */
static void drop_empty_nodes(struct choice *c, struct placement *p)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < p->node_count; i++) {
		if (!p->nodes[i].vcpus && !p->nodes[i].memory)
			continue;
		for (unsigned v = 0; v < p->vcpu_count; v++) {
			if (p->vcpus[v].node == i)
				p->vcpus[v].node = kept;
		}
		p->nodes[kept] = p->nodes[i];
		c->nodes[kept++] = c->nodes[i];
	}
	p->node_count = kept;
	for (unsigned i = 0; i < kept; i++) {
		for (unsigned k = 0; k < kept; k++)
			p->nodes[i].distance[k] = c->host.nodes[c->nodes[i]].distance[c->nodes[k]];
	}
}

static int decide(struct choice *c, struct placement *p)
{
	int r = placement_choose_nodes(c);

	if (r < 0)
		return r;
	put_nodes(c, p);
	if (c->req->numa == NUMA_OFF && c->count > 1 && c->req->pin == PIN_OFF)
		forget_nodes(p);
	switch (c->req->pin) {
	case PIN_OFF:
		spread(c, p);
		break;
	case PIN_LIST:
		pin_list(c, p);
		break;
	case PIN_AUTO:
		r = pin_auto(c, p);
		break;
	}
	if (r < 0)
		return r;
	if (c->req->pin != PIN_OFF)
		place_others(c, p);
	if (c->host.count == 1 || (c->req->numa == NUMA_OFF && p->node_count > 1))
		forget_nodes(p);
	if (p->node_count)
		share_memory(c, p);
	drop_empty_nodes(c, p);
	p->socket = socket_of(p);
	return 0;
}

int placement_decide(const char *root, const struct placement_request *req,
		     const struct cpu_set *allowed, struct placement *ret_placement)
{
	struct choice *c = calloc(1, sizeof(*c));
	struct placement *p = calloc(1, sizeof(*p));
	int r = -ENOMEM;

	assert(req->vcpus >= 1 && req->vcpus <= PLACEMENT_VCPUS_MAX && req->threads);
	if (c && p) {
		c->root = root;
		c->req = req;
		host_nodes_read(root, allowed, req->page_size, &c->host);
		p->all = *allowed;
		r = decide(c, p);
	} else {
		err_sys(ERR_LIMIT, r, "place the machine");
	}
	if (r == 0)
		*ret_placement = *p;
	free(c);
	free(p);
	return r;
}

void placement_none(unsigned vcpus, struct placement *ret_placement)
{
	memset(ret_placement, 0, sizeof(*ret_placement));
	ret_placement->vcpu_count = ret_placement->socket = vcpus;
	for (unsigned v = 0; v < vcpus; v++)
		ret_placement->vcpus[v].cpu = -1;
}

int placement_guest_node(const struct placement *p, int host)
{
	for (unsigned i = 0; p->node_count > 1 && i < p->node_count; i++) {
		if (p->nodes[i].host == host)
			return (int)i;
	}
	return -1;
}

/* "0-3": the vCPUs of a node. */
static struct cpu_set_text vcpus_of(const struct placement *p, unsigned node)
{
	struct cpu_set set = { 0 };

	for (unsigned v = 0; v < p->vcpu_count; v++) {
		if (p->vcpus[v].node == node)
			cpu_set_add(&set, v);
	}
	return cpu_set_text(&set);
}

void placement_log(const struct placement *p)
{
	for (unsigned i = 0; i < p->node_count; i++) {
		const struct placement_node *node = &p->nodes[i];

		if (p->node_count > 1)
			log_debug("guest node %u: %s of memory %s node %d of the host, vCPUs %s", i,
				  text_size(node->memory).s, node->strict ? "on" : "preferably on",
				  node->host, node->vcpus ? vcpus_of(p, i).s : "none");
		else
			log_debug("memory: on NUMA node %d%s", node->host,
				  node->strict ? "" : ", if there is room");
	}
	for (unsigned v = 0; v < p->vcpu_count; v++) {
		if (p->vcpus[v].cpu >= 0)
			log_debug("vCPU %u: on CPU %d", v, p->vcpus[v].cpu);
	}
	for (unsigned i = 0; i < p->node_count; i++) {
		if (p->vcpu_count && p->nodes[i].vcpus && p->node_count > 1 && p->vcpus[0].cpu < 0)
			log_debug("vCPUs %s: on CPUs %s", vcpus_of(p, i).s,
				  cpu_set_text(&p->nodes[i].cpus).s);
	}
	if (p->others_bound)
		log_debug("all other threads: on CPUs %s", cpu_set_text(&p->others).s);
}
