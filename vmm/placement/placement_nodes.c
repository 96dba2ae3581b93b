/* SPDX-License-Identifier: Apache-2.0 */
/* On which of the host's nodes the machine lies; see placement.h. Main thread. */
#include "placement/placement_nodes.h"

#include <errno.h>
#include <stdlib.h>

#include "core/err.h"

static bool chosen(const struct choice *c, unsigned node)
{
	for (unsigned i = 0; i < c->count; i++) {
		if (c->nodes[i] == node)
			return true;
	}
	return false;
}

static void choose(struct choice *c, int node)
{
	if (node >= 0 && !chosen(c, (unsigned)node) && c->count < PLACEMENT_NODES_MAX)
		c->nodes[c->count++] = (unsigned)node;
}

static uint64_t room(const struct choice *c)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < c->count; i++)
		sum += c->host.nodes[c->nodes[i]].room;
	return sum;
}

unsigned placement_chosen_cpus(const struct choice *c)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < c->count; i++)
		sum += cpu_set_count(&c->host.nodes[c->nodes[i]].cpus);
	return sum;
}

/* --- what the user named --- */

/* Each CPU may be used, and is named once. */
static int check_pin_list(const struct choice *c)
{
	const struct placement_request *req = c->req;
	struct cpu_set seen = { 0 }, missing = { 0 };
	int r;

	for (unsigned i = 0; i < req->pin_count; i++) {
		cpu_set_add(&seen, req->pin_cpus[i]);
		if (!cpu_set_has(&c->host.allowed, req->pin_cpus[i]))
			cpu_set_add(&missing, req->pin_cpus[i]);
	}
	if (cpu_set_count(&missing)) {
		r = err_set(ERR_USAGE, -EINVAL, "--pin: CPU%s %s cannot be used here",
			    cpu_set_count(&missing) > 1 ? "s" : "", cpu_set_text(&missing).s);
		err_hint("this process may use %s", cpu_set_text(&c->host.allowed).s);
		return r;
	}
	if (req->pin_count >= req->vcpus)
		return 0;
	r = err_set(ERR_USAGE, -EINVAL, "--pin: %u CPU%s cannot run %u vCPUs", req->pin_count,
		    req->pin_count > 1 ? "s" : "", req->vcpus);
	err_hint("name a CPU for each, or give --cpus %u", req->pin_count);
	return r;
}

static int choose_named(struct choice *c)
{
	const struct cpu_set *named = &c->req->numa_nodes;

	for (int id = cpu_set_next(named, 0); id >= 0; id = cpu_set_next(named, (unsigned)id + 1)) {
		const int node = host_nodes_find(&c->host, id);
		int r;

		if (node >= 0 && c->count < PLACEMENT_NODES_MAX) {
			choose(c, node);
			continue;
		}
		if (node >= 0)
			return err_set(ERR_USAGE, -EINVAL, "--numa: a guest has at most %d nodes",
				       PLACEMENT_NODES_MAX);
		r = err_set(ERR_USAGE, -EINVAL, "--numa: this host has no node %d", id);
		err_hint("/sys/devices/system/node/online lists its nodes");
		return r;
	}
	return 0;
}

static int choose_of_pinned(struct choice *c)
{
	for (unsigned i = 0; i < c->req->vcpus; i++) {
		const unsigned cpu = c->req->pin_cpus[i];
		const int node = host_nodes_of_cpu(&c->host, cpu);

		if (c->req->numa == NUMA_LIST && node >= 0 && !chosen(c, (unsigned)node))
			return err_set(ERR_USAGE, -EINVAL,
				       "--pin: CPU %u is on node %u, which --numa leaves out", cpu,
				       c->host.nodes[node].id);
		choose(c, node);
	}
	return 0;
}

/* --- what the host has --- */

/* Worth adding to what is chosen: something is missing that this node has. */
static bool gives(const struct choice *c, const struct host_node *node)
{
	if (c->req->pin == PIN_AUTO && placement_chosen_cpus(c) < c->req->vcpus &&
	    cpu_set_count(&node->cpus))
		return true;
	return c->req->numa == NUMA_AUTO && room(c) < c->req->memory && node->room;
}

static unsigned distance_to(const struct choice *c, unsigned node)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < c->count; i++)
		sum += c->host.nodes[c->nodes[i]].distance[node];
	return sum;
}

/* Nearer to the others, then with more room. */
static void choose_more(struct choice *c)
{
	while (c->count < PLACEMENT_NODES_MAX) {
		int best = -1;

		for (unsigned i = 0; i < c->host.count; i++) {
			const unsigned far = distance_to(c, i);
			const unsigned best_far = best < 0 ? 0 : distance_to(c, (unsigned)best);

			if (chosen(c, i) || !gives(c, &c->host.nodes[i]))
				continue;
			if (best < 0 || far < best_far ||
			    (far == best_far && c->host.nodes[i].room > c->host.nodes[best].room))
				best = (int)i;
		}
		if (best < 0)
			return;
		choose(c, best);
	}
}

/* A node with CPUs for all vCPUs before one without, then the one with most room. */
static int roomiest(const struct choice *c)
{
	bool best_fits = false;
	int best = -1;

	for (unsigned i = 0; i < c->host.count; i++) {
		const struct host_node *node = &c->host.nodes[i];
		const bool fits = cpu_set_count(&node->cpus) >= c->req->vcpus;

		if (best < 0 || fits > best_fits ||
		    (fits == best_fits && node->room > c->host.nodes[best].room)) {
			best = (int)i;
			best_fits = fits;
		}
	}
	return best;
}

static int choose_in_any_order(struct choice *c)
{
	const struct placement_request *req = c->req;
	int r;

	if (req->numa == NUMA_LIST) {
		r = choose_named(c);
		if (r < 0)
			return r;
	}
	if (req->pin == PIN_LIST)
		return choose_of_pinned(c);
	if (req->numa == NUMA_LIST)
		return 0;
	for (unsigned i = 0; i < req->device_count; i++)
		choose(c, host_nodes_find(&c->host, req->device_nodes[i]));
	if (c->count == 0) {
		const int node = roomiest(c);

		/* Without a reason for one node, all is left to the kernel. */
		if (req->pin == PIN_OFF &&
		    (req->numa == NUMA_OFF || c->host.nodes[node].room >= req->memory))
			return 0;
		choose(c, node);
	}
	choose_more(c);
	return 0;
}

static int compare_nodes(const void *a, const void *b)
{
	const unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;

	return x < y ? -1 : x > y;
}

int placement_choose_nodes(struct choice *c)
{
	int r = c->req->pin == PIN_LIST ? check_pin_list(c) : 0;

	if (r == 0)
		r = choose_in_any_order(c);
	if (r == 0)
		qsort(c->nodes, c->count, sizeof(c->nodes[0]), compare_nodes);
	return r;
}
