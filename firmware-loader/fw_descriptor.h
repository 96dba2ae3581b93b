/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds installed firmware by the descriptor files that distributions ship with it.
 * [QEMU docs/interop/firmware.json: firmware descriptor files]. Main thread, at start.
 */
#ifndef FIRMWARE_LOADER_FW_DESCRIPTOR_H
#define FIRMWARE_LOADER_FW_DESCRIPTOR_H

#include <limits.h>

#include "core/util.h"

/* The standard directories, as a NULL-terminated list with the highest priority first. */
struct fw_descriptor_dirs {
	char user[PATH_MAX];
	const char *list[6]; /* points into this structure: do not copy it */
};

/* From the environment's XDG_CONFIG_HOME or HOME. */
void fw_descriptor_dirs_init(struct fw_descriptor_dirs *dirs);

struct fw_descriptor {
	char *source; /* path of the descriptor */
	char *code;   /* path of the firmware */
	char *vars;   /* path of the pristine variable store; NULL: `code` contains it */
	bool uefi, x86_64, q35, flash, raw; /* what tinyvmm needs, and whether the entry has it */
	bool requires_smm;
	bool secure_boot;     /* built for Secure Boot, or with keys enrolled */
	bool needs_host_vars; /* keeps no variables of its own */
};

void fw_descriptor_fini(struct fw_descriptor *d);

/*
 * Reads one descriptor. Kind ERR_FILE: -EINVAL if it is malformed, -ENOTSUP if its firmware is not
 * for flash memory; what else it lacks is told in `ret_descriptor`.
 */
int MUST_CHECK fw_descriptor_read(const char *path, struct fw_descriptor *ret_descriptor);

/*
 * The first entry, in the order of file names, that this machine can run: UEFI for x86-64 and q35,
 * in raw files that exist, without SMM and without Secure Boot. Of files with the same name only
 * that of the first directory counts; an empty one hides the others. `dirs` is NULL-terminated.
 * A malformed file is reported in the log and left out. -ENOENT, with no error chain, if there is
 * none.
 */
int MUST_CHECK fw_descriptor_find(const char *const *dirs, struct fw_descriptor *ret_descriptor);

/*
 * The entry, able to run or not, whose firmware is the same file as `code`; of several the
 * one without SMM and Secure Boot is preferred. -ENOENT, with no error chain, if there is none.
 */
int MUST_CHECK fw_descriptor_of(const char *const *dirs, const char *code,
				struct fw_descriptor *ret_descriptor);

#endif
