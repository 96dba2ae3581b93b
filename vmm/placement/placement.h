/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where on the host the machine lies: the CPU of each vCPU, the CPUs of the other threads, the NUMA
 * node of each part of the memory; and the nodes that the guest is told of. Decided once, before a
 * device is touched, from what the host has then. Reads sysfs, changes nothing. Main thread.
 */
#ifndef PLACEMENT_H
#define PLACEMENT_H

#include "core/cpu_set.h"
#include "core/util.h"

#define PLACEMENT_NODES_MAX 16
#define PLACEMENT_VCPUS_MAX 1024

enum pin_mode {
	PIN_OFF,  /* vCPUs run where the kernel likes, within the guest's nodes */
	PIN_LIST, /* vCPU i on the i-th CPU of a list */
	PIN_AUTO,
};

enum numa_mode {
	NUMA_AUTO, /* guest nodes if the machine spans nodes of the host */
	NUMA_OFF,  /* one node, whatever the host */
	NUMA_LIST, /* these nodes of the host */
};

struct placement_request {
	unsigned vcpus;
	unsigned threads; /* of a guest core, a divisor of vcpus */
	uint64_t memory;
	uint64_t page_size; /* of reserved huge pages; 0: ordinary memory */
	bool fetched;       /* all memory is fetched at the start, for a device */
	enum pin_mode pin;
	const uint16_t *pin_cpus; /* of PIN_LIST, in the user's order */
	unsigned pin_count;
	enum numa_mode numa;
	struct cpu_set numa_nodes; /* of NUMA_LIST */
	const int *device_nodes;   /* the host's node of each passed-through device; -1: unknown */
	unsigned device_count;
};

struct placement_node {
	int host; /* the host's number */
	uint64_t memory;
	struct cpu_set cpus; /* of the node, that we may use; empty: it has none */
	/*
	 * Pages come from this node or not at all, else from it first. The first makes the kernel
	 * drop cached files there, the second never fails; see placement.c.
	 */
	bool strict;
	uint8_t distance[PLACEMENT_NODES_MAX];
	unsigned vcpus;
};

struct placement_vcpu {
	int cpu;       /* it runs here; -1: on any of its node's, or where it likes */
	unsigned node; /* index in `nodes` */
	bool bound;    /* to the CPUs of its node */
};

struct placement {
	/*
	 * 0: memory comes from wherever the kernel likes. 1: from one node, of which the guest
	 * knows nothing. More: the guest has these nodes.
	 */
	unsigned node_count;
	struct placement_node nodes[PLACEMENT_NODES_MAX];
	struct placement_vcpu vcpus[PLACEMENT_VCPUS_MAX];
	unsigned vcpu_count;
	bool others_bound; /* threads that are no vCPU's run on `others` */
	struct cpu_set others;
	struct cpu_set all; /* CPUs that we may use */
	/*
	 * vCPUs of a socket, so that none is on two of the guest's nodes: guests take that for a
	 * fault of the firmware.
	 */
	unsigned socket;
};

/*
 * `allowed`: the CPUs that this process may use. -EINVAL, kind ERR_USAGE, if the options name what
 * this host does not have.
 */
int MUST_CHECK placement_decide(const char *root, const struct placement_request *request,
				const struct cpu_set *allowed, struct placement *ret_placement);

/* All is left to the kernel: what comes out on a host with one node, without options. */
void placement_none(unsigned vcpus, struct placement *ret_placement);

/* The guest's node for something on the host's node `host`; -1: it has none for it. */
int placement_guest_node(const struct placement *placement, int host);

/* Tells it with --verbose. */
void placement_log(const struct placement *placement);

#endif
