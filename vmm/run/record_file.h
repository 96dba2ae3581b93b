/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that is written when all is over, whole or not at all: a reader never finds half of one,
 * nor that of an earlier run. Main thread.
 */
#ifndef RECORD_FILE_H
#define RECORD_FILE_H

#include <limits.h>

#include "core/util.h"
#include "run/record_shares.h"

struct record_file {
	const char *path;   /* as the user wrote it, borrowed; NULL: none is wanted */
	char way[PATH_MAX]; /* absolute, of a regular file; "": `fd` */
	int fd;             /* what is no regular file: a pipe, a terminal; -1: none */
	/* What the way has to be careful in. */
	struct record_shares shares;
};

/*
 * Whether it can be written, while there is still somebody to tell, and removes what an earlier run
 * left there. `path` is NULL for none; /dev/fd/N is descriptor N, as it is now. `folders` are those
 * that a guest can write to, during this run and before it: the file may be in one of them, and
 * then no link there is followed, now or at the end. Elsewhere a link of this user is followed, one
 * of another is -ELOOP. ERR_FILE.
 */
int MUST_CHECK record_file_open(struct record_file *file, const char *path,
				const char *const *folders, unsigned count);

/* All of it, in one go. ERR_FILE; a reader that does not read is waited for some seconds. */
int MUST_CHECK record_file_write(struct record_file *file, const char *data, size_t len);

void record_file_close(struct record_file *file); /* accepts a zeroed one */

#endif
