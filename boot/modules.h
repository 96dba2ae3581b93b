/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which files hold a kernel's modules, and in which order they are loaded: read from the lists that
 * depmod made. [modules.dep(5)]. Main thread.
 */
#ifndef BOOT_MODULES_H
#define BOOT_MODULES_H

#include <limits.h>

#include "core/util.h"

#define MODULES_MAX 64u

struct modules {
	char dir[PATH_MAX];       /* "/lib/modules/6.1.0-42-amd64" */
	char *files[MODULES_MAX]; /* below `dir`, each after those that it needs */
	unsigned count;
};

/* Looks up nothing yet. ERR_FILE if the kernel has no list of modules there. */
int MUST_CHECK modules_init(struct modules *modules, const char *dir);
void modules_fini(struct modules *modules); /* accepts a zeroed one */

/*
 * Adds a module, written as in lsmod, and what it needs. One that the kernel has built in adds
 * nothing. -ENOENT, ERR_FILE if the kernel has no such module.
 */
int MUST_CHECK modules_add(struct modules *modules, const char *name);

/* An fd to read the uncompressed module from; xz, zstd and gzip are run where they are needed. */
int MUST_CHECK modules_open(const struct modules *modules, unsigned nr, int *ret_fd);

#endif
