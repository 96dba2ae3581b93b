/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's CPUs and NUMA nodes, as far as this process may use them: what sysfs tells, plain
 * facts. Changes nothing, sets no error chain. [Linux: Documentation/ABI/stable/
 * sysfs-devices-node]. Main thread.
 */
#ifndef HOST_NODES_H
#define HOST_NODES_H

#include "core/cpu_set.h"
#include "core/util.h"

#define HOST_NODES_MAX 64

struct host_node {
	unsigned id;         /* the kernel's number; they need not be contiguous */
	struct cpu_set cpus; /* of the node, that we may use */
	/*
	 * Bytes that a guest could get there: what is free or only caches files, less what the host
	 * needs itself; or what is free of reserved huge pages. 0 where we may take no memory.
	 */
	uint64_t room;
	uint8_t distance[HOST_NODES_MAX]; /* to each of `nodes`, by index; 10: itself */
};

struct host_nodes {
	struct cpu_set allowed; /* CPUs of this process */
	struct host_node nodes[HOST_NODES_MAX];
	unsigned count; /* at least 1 */
};

/* Whether the host has more than one node: one system call. PCs number them without gaps. */
bool host_nodes_several(const char *root);

/*
 * `page_size` of the pages that the guest's memory is made of: 2 MiB or 1 GiB reserved ones, 0 for
 * ordinary memory. `root` is in front of /sys and /proc, "" but in tests.
 */
void host_nodes_read(const char *root, const struct cpu_set *allowed, uint64_t page_size,
		     struct host_nodes *ret_nodes);

/* The index of the node with this number, or that has this CPU; -1: there is none. */
int host_nodes_find(const struct host_nodes *nodes, int id);
int host_nodes_of_cpu(const struct host_nodes *nodes, unsigned cpu);

/* The threads of this CPU's core, itself among them. */
void host_nodes_core(const char *root, unsigned cpu, struct cpu_set *ret_threads);

#endif
