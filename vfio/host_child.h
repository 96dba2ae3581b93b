/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may hang in the kernel is done by a child process, so that it can be given up. Main thread,
 * no other threads, no guest memory (a child that never ends would keep it).
 */
#ifndef VFIO_HOST_CHILD_H
#define VFIO_HOST_CHILD_H

#include "core/util.h"

/* A wait with a limit, in steps that grow from short to a few hundredths of a second. */
struct host_child_wait {
	uint64_t end_ns;
	long step_ns;
};

void host_child_wait_init(struct host_child_wait *wait, unsigned limit_ms);
bool MUST_CHECK host_child_wait_step(struct host_child_wait *wait); /* false at the limit */

/*
 * One write(2) of `text` to the sysfs file `path`. -ETIMEDOUT when it did not return in time; it
 * may still take effect later. The first kills the child then, which ends the write where the
 * kernel lets it; the other leaves it to its work, which may well succeed after us. Where no child
 * can be had, this process writes, without a limit.
 *
 * SIGCHLD must not be ignored: the kernel would reap the children, and no status be left.
 */
int MUST_CHECK host_child_write(const char *path, const char *text, unsigned limit_ms);
int MUST_CHECK host_child_write_unkilled(const char *path, const char *text, unsigned limit_ms);

/*
 * Runs a program with standard error alone shared. Its exit status, or -ETIMEDOUT (it was killed),
 * or another negative errno.
 */
int MUST_CHECK host_child_run(char *const argv[], unsigned limit_ms);

#endif
