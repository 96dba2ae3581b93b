/* SPDX-License-Identifier: Apache-2.0 */
/* Between placement.c and placement_threads.c: on which CPUs threads run. */
#ifndef PLACEMENT_THREADS_H
#define PLACEMENT_THREADS_H

#include "placement/placement_nodes.h"

/*
 * Gives each vCPU a CPU or a node of `p`, and the other threads what pinned vCPUs leave. -EINVAL,
 * kind ERR_USAGE, if there are fewer CPUs than vCPUs to pin.
 */
int MUST_CHECK placement_place_threads(const struct choice *c, struct placement *p);

/* placement.socket: as many as divide every run of vCPUs of one node. */
unsigned placement_socket(const struct placement *p);

#endif
