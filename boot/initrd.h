/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes an initial RAM disk: a cpio archive of the "newc" kind, in a file of memory that has no
 * name. [Linux: Documentation/driver-api/early-userspace/buffer-format.rst]. Main thread.
 */
#ifndef BOOT_INITRD_H
#define BOOT_INITRD_H

#include "core/util.h"

struct initrd {
	int fd; /* -1: none */
	unsigned files;
	uint64_t size;
};

int MUST_CHECK initrd_init(struct initrd *initrd);
void initrd_fini(struct initrd *initrd); /* zeroed, never initialised: does nothing */

/* Paths begin without "/", and the folders in them are added before. */
int MUST_CHECK initrd_add_folder(struct initrd *initrd, const char *path);
int MUST_CHECK initrd_add_device(struct initrd *initrd, const char *path, unsigned major,
				 unsigned minor);
int MUST_CHECK initrd_add_file(struct initrd *initrd, const char *path, unsigned mode,
			       const void *data, size_t len);
/* All that `fd` holds, from its position on. */
int MUST_CHECK initrd_add_from(struct initrd *initrd, const char *path, unsigned mode, int fd);

/* After the last file. */
int MUST_CHECK initrd_end(struct initrd *initrd);

#endif
