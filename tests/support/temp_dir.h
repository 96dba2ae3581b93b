/* SPDX-License-Identifier: Apache-2.0 */
/* A temporary directory of a test, with files made in it; all asserts. */
#ifndef TESTS_TEMP_DIR_H
#define TESTS_TEMP_DIR_H

#include "cmocka_all.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/util.h"

struct temp_dir {
	char path[64];
};

static inline void temp_dir_init(struct temp_dir *dir)
{
	const char *base = getenv("TMPDIR");

	if (!base || strlen(base) > 32)
		base = "/tmp";
	snprintf(dir->path, sizeof(dir->path), "%s/tinyvmm-test-XXXXXX", base);
	assert_non_null(mkdtemp(dir->path));
}

static inline int temp_dir_remove(const char *path, const struct stat *st, int type,
				  struct FTW *ftw)
{
	return remove(path);
}

static inline void temp_dir_fini(struct temp_dir *dir)
{
	assert_int_equal(nftw(dir->path, temp_dir_remove, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* The path of `name` in the directory, in a buffer that the fifth call after it reuses. */
static inline const char *temp_path(const struct temp_dir *dir, const char *name)
{
	static char paths[5][256];
	static unsigned next;
	char *path = paths[next++ % 5];

	assert_true((size_t)snprintf(path, sizeof(paths[0]), "%s/%s", dir->path, name) <
		    sizeof(paths[0]));
	return path;
}

static inline const char *temp_file(const struct temp_dir *dir, const char *name, const void *data,
				    size_t len)
{
	const char *path = temp_path(dir, name);
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	close(fd);
	return path;
}

static inline const char *temp_subdir(const struct temp_dir *dir, const char *name)
{
	const char *path = temp_path(dir, name);

	assert_int_equal(mkdir(path, 0755), 0);
	return path;
}

#endif
