/* SPDX-License-Identifier: Apache-2.0 */
/* Another tinyvmm that has a device of a fake host, as a process, for tests. All assert. */
#ifndef SUPPORT_OTHER_RUN_H
#define SUPPORT_OTHER_RUN_H

#include <sys/types.h>

#include "vfio/host.h"

#define OTHER_RUN_FOREVER 60000u /* longer than any test */

/* Has `bdf` leased when it returns, for `ms` or until it is killed. `host` is the other's own. */
pid_t other_run_start(struct vfio_host *host, const char *bdf, unsigned ms);

/* Kills it, if it has not ended by itself. */
void other_run_end(pid_t pid);

#endif
