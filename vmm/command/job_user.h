/* SPDX-License-Identifier: Apache-2.0 */
/* Who runs a command: by the host's list of users, or by numbers that no list knows. Main thread.
 */
#ifndef JOB_USER_H
#define JOB_USER_H

#include <limits.h>

#include "core/util.h"
#include "guest/job.h"

struct job_user {
	uid_t uid;
	gid_t gid;
	gid_t groups[JOB_GROUPS_MAX];
	unsigned group_count;
	char name[256];
	char home[PATH_MAX], shell[PATH_MAX];
};

/*
 * "NAME" or "UID", with the groups of the list; "NAME:GROUP" or "UID:GROUP" (or its number), with
 * this group alone; "": who we are. A number that the list does not know is a user without a name,
 * whose home is "/"; that of our own is what HOME says, and our groups are those of this process.
 * ERR_USAGE: there is no such user or group; ERR_LIMIT: it has too many groups, or texts too long.
 */
int MUST_CHECK job_user_find(const char *word, struct job_user *ret_user);

#endif
