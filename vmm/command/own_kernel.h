/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel of a guest that runs one command, which is the host's own: where its image is, and the
 * modules that reach the root file system. Main thread.
 */
#ifndef OWN_KERNEL_H
#define OWN_KERNEL_H

#include <limits.h>

#include "boot/modules.h"
#include "core/util.h"

/*
 * The first of the places of distributions where this user can read it. ERR_FILE, with what to do,
 * for the first one where it is. `root` is put in front: "" but in tests.
 */
int MUST_CHECK own_kernel_find(const char *root, const char *release, char ret_path[PATH_MAX]);

/*
 * The modules that find the agent's ports and the root file system, and with `network` its network
 * device, with what they need. ERR_FILE. modules_fini is allowed in any case.
 */
int MUST_CHECK own_kernel_modules(const char *root, const char *release, bool network,
				  struct modules *ret_modules);

#endif
