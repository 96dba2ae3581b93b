/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The job of a guest that runs one command, written as guest/job.h describes: who runs it, where,
 * in which environment. Main thread.
 */
#ifndef JOB_H
#define JOB_H

#include <limits.h>

#include "boot/buf.h"
#include "core/util.h"

struct options;

/* The tag of the root file system, and of shared folder `nr`. */
#define JOB_ROOT_TAG "root"
struct job_tag {
	char s[16];
};
struct job_tag job_share_tag(unsigned nr);

/* A network device of the guest, and what it is to have there; "": nothing. IPv4. */
struct job_link {
	uint8_t mac[6];
	const char *address; /* ADDRESS/PREFIX */
	const char *gateway;
	const char *dns; /* a server of names; the guest then has these and not the host's */
	bool sole;       /* nobody else is there who could have the guest's addresses; it has a
			    gateway */
};

/* What the options do not say. */
struct job_place {
	const char (
		*shares)[PATH_MAX]; /* real paths of the shared folders, in the options' order */
	int terminal;               /* the command gets one as large as this; -1: none */
	const struct job_link *links;
	unsigned link_count;
	/*
	 * Who serves the files knows one user: what is ours belongs to the guest's user 0, and what
	 * is anybody else's to nobody. The agent makes the command's user of the first, and root of
	 * the second.
	 */
	bool alone;
};

/*
 * Whether what the options of a command name is there: the user, variables, folders; and whether
 * the guest takes so many words. For who has to wait for a device before the job can be written.
 * ERR_USAGE, or ERR_FILE for a folder.
 */
int MUST_CHECK job_check(const struct options *options);

/*
 * For the command of `options`. ERR_USAGE for a user or a variable that does not exist, or for
 * more words than the guest takes.
 */
int MUST_CHECK job_write(const struct options *options, const struct job_place *place,
			 struct buf *ret_job);

#endif
