/* SPDX-License-Identifier: Apache-2.0 */
/* What counts against the limit of locked memory already. No state. */
#ifndef VFIO_MEMLOCK_H
#define VFIO_MEMLOCK_H

#include "core/util.h"

/*
 * The bytes that this process has locked, or that all processes of this (real) user have pinned, as
 * far as `proc` (/proc) shows them. type1 counts the first against RLIMIT_MEMLOCK; iommufd and
 * io_uring count by user.
 */
uint64_t memlock_of_process(const char *proc);
uint64_t memlock_of_user(const char *proc);

/* A number of a text of /proc/PID/status behind `field` ("\nVmLck:"), in `base`; 0: not there. */
uint64_t memlock_status_number(const char *status, const char *field, int base);

#endif
