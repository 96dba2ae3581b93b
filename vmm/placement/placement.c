/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lies where on the chosen nodes; see placement.h. Which node those are: placement_nodes.c;
 * the threads: placement_threads.c.
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
#include "placement/placement_threads.h"

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
	r = placement_place_threads(c, p);
	if (r < 0)
		return r;
	if (c->host.count == 1 || (c->req->numa == NUMA_OFF && p->node_count > 1))
		forget_nodes(p);
	if (p->node_count)
		share_memory(c, p);
	drop_empty_nodes(c, p);
	p->socket = placement_socket(p);
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
