/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The job of a guest that runs one command, written as guest/job.h describes: who runs it, where,
 * in which environment. Main thread.
 */
#ifndef JOB_H
#define JOB_H

#include "boot/buf.h"
#include "core/util.h"

struct options;

/* The tag of the root file system, and of shared folder `nr`. */
#define JOB_ROOT_TAG "root"
struct job_tag {
	char s[16];
};
struct job_tag job_share_tag(unsigned nr);

/*
 * For the command of `options`. ERR_USAGE for a user or a variable that does not exist, or for
 * more words than the guest takes.
 */
int MUST_CHECK job_write(const struct options *options, struct buf *ret_job);

#endif
