/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are mistaken for a kernel or an initrd, told by how they begin. Main thread. */
#ifndef BOOT_FILE_KIND_H
#define BOOT_FILE_KIND_H

#include "core/util.h"

/* As much of a file's beginning as is looked at. */
#define FILE_KIND_HEAD 4096u

/* Says what a file is that is no kernel for this machine: ERR_FILE with a hint, always. */
int MUST_CHECK file_kind_no_kernel(const uint8_t *head, size_t len);

/*
 * ERR_FILE for an initrd that cannot be one: a kernel, a program, a disk. 0 for all else, because
 * what the kernel can unpack depends on its configuration.
 */
int MUST_CHECK file_kind_check_initrd(const uint8_t *head, size_t len);

#endif
