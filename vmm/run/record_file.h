/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that is written when all is over, whole or not at all: a reader never finds half of one,
 * nor that of an earlier run. Main thread.
 */
#ifndef RECORD_FILE_H
#define RECORD_FILE_H

#include <limits.h>

#include "core/util.h"

struct record_file {
	const char *path;      /* as the user wrote it, borrowed; NULL: none is wanted */
	char target[PATH_MAX]; /* a regular file, whatever folder we are in by then; "": `fd` */
	int fd;                /* what is no regular file: a pipe, a terminal; -1: none */
};

/*
 * Whether it can be written, while there is still somebody to tell, and removes what an earlier run
 * left there. `path` is NULL for none; /dev/fd/N is descriptor N, as it is now. A symbolic link of
 * this user is followed, one of another is -ELOOP. ERR_FILE.
 */
int MUST_CHECK record_file_open(struct record_file *file, const char *path);

/*
 * Whether the way to a file, from the root on, leads through this folder or one below it: then who
 * can write there decides where it ends.
 */
bool record_file_passes(const char *path, const char *folder);

/* All of it, in one go. ERR_FILE; a reader that does not read is waited for some seconds. */
int MUST_CHECK record_file_write(struct record_file *file, const char *data, size_t len);

void record_file_close(struct record_file *file); /* accepts a zeroed one */

#endif
