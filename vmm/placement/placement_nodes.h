/* SPDX-License-Identifier: Apache-2.0 */
/* Between placement.c and placement_nodes.c: the nodes that were chosen. */
#ifndef PLACEMENT_NODES_H
#define PLACEMENT_NODES_H

#include "placement/host_nodes.h"
#include "placement/placement.h"

/* The nodes of the host on which the machine lies, as indexes, in the order of the guest's. */
struct choice {
	const char *root;
	const struct placement_request *req;
	struct host_nodes host;
	unsigned nodes[PLACEMENT_NODES_MAX];
	unsigned count;
};

/*
 * Chooses the nodes: those that the user named, or of the pinned CPUs, or of the devices and as
 * many more as it takes. None: all is left to the kernel. In ascending order.
 */
int MUST_CHECK placement_choose_nodes(struct choice *c);

/* CPUs on all of them. */
unsigned placement_chosen_cpus(const struct choice *c);

#endif
