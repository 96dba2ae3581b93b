/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The firmware's variable store of one machine: a file that outlives the run, or a copy of the
 * template that does not. Main thread, at start.
 */
#ifndef FIRMWARE_LOADER_FW_VARS_H
#define FIRMWARE_LOADER_FW_VARS_H

#include "firmware-loader/fw_image.h"

struct fw_vars {
	uint8_t *data; /* contents: page-aligned private memory, to be mapped below the code */
	size_t size;
	int fd; /* where changes have to be written as well, locked; -1: nowhere */
};

/*
 * With `path`: opens that file for reading and writing, after making it (mode 0600, whole or not at
 * all) from the image's template if it does not exist. It must have the template's size and be a
 * sound variable store, and it is locked: a second run with the same file fails with -EBUSY.
 * Without: a copy of the template. -ENOENT if the image has none and there is no file either.
 *
 * Failures are of kind ERR_FILE.
 */
int MUST_CHECK fw_vars_open(const struct fw_image *image, const char *path,
			    struct fw_vars *ret_vars);
void fw_vars_fini(struct fw_vars *vars); /* closes and unlocks */

#endif
