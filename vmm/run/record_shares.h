/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The folders of the host that a guest can write to, with all below them, wherever else they can be
 * reached: a folder of a share may be mounted at another place, too (mount --bind), and another
 * place below a share. Both are told by where a mount's root lies in its file system, which is what
 * the kernel's list has [proc_pid_mountinfo(5)]. Not known is what hides that: an overlay over a
 * share, or one machine's export of a share that is mounted here. Any thread.
 */
#ifndef RECORD_SHARES_H
#define RECORD_SHARES_H

#include <sys/types.h>

#include "core/util.h"

/* A folder in a file system, whatever it is mounted at. */
struct record_origin {
	unsigned major, minor; /* of the file system */
	char *path;
};

struct record_mount {
	uint64_t id;
	struct record_origin origin;
	char *point;
	char *line; /* what the others point to */
};

struct record_share {
	dev_t dev;
	ino_t ino;
	char *path; /* without links */
};

struct record_shares {
	struct record_share *shares;
	unsigned count;
	struct record_origin *origins; /* of the shares, and of what is mounted below them */
	unsigned origin_count;
	struct record_mount *mounts;
	unsigned mount_count;
};

/* Those that are not there are none. -ENOMEM, or whatever keeps the kernel's list from us. */
int MUST_CHECK record_shares_init(struct record_shares *shares, const char *const *folders,
				  unsigned count);
void record_shares_fini(struct record_shares *shares); /* accepts a zeroed one */

/*
 * Reads the list again, before record_shares_has: what was below a share once stays one, as the
 * guest may have left something there.
 */
int MUST_CHECK record_shares_look(struct record_shares *shares);

/* Whether the folder `dir`, O_PATH will do, is a share or in one. */
bool record_shares_has(const struct record_shares *shares, int dir);

#endif
