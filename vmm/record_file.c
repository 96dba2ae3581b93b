/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a file at once; see record_file.h. Main thread. */
#include "record_file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "core/err.h"
#include "core/sys.h"

/* A run is not kept from its end by a reader that stands still. */
#define READER_LIMIT_MS 10000

/* Beside the file, so that a rename is all that is left. */
#define TEMPORARY ".XXXXXX"

/* "/dev/fd/3": what the caller has opened for this. */
static int descriptor(const char *path)
{
	static const char *const folders[] = { "/dev/fd/", "/proc/self/fd/" };

	if (strcmp(path, "/dev/stdout") == 0)
		return STDOUT_FILENO;
	if (strcmp(path, "/dev/stderr") == 0)
		return STDERR_FILENO;
	for (unsigned i = 0; i < ARRAY_SIZE(folders); i++) {
		const size_t len = strlen(folders[i]);
		char *end;
		long fd;

		if (strncmp(path, folders[i], len) != 0 || !path[len])
			continue;
		errno = 0;
		fd = strtol(path + len, &end, 10);
		if (!*end && !errno && fd >= 0 && fd <= INT_MAX)
			return (int)fd;
	}
	return -1;
}

/* A new file next to the target, and its name. */
static int make_temporary(const struct record_file *file, char name[PATH_MAX])
{
	int fd;

	if (snprintf(name, PATH_MAX, "%s" TEMPORARY, file->target) >= PATH_MAX)
		return -ENAMETOOLONG;
	fd = mkostemp(name, O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* The folder's real path and the file's name in it. */
static int place(struct record_file *file)
{
	const char *slash = strrchr(file->path, '/');
	const char *name = slash ? slash + 1 : file->path;
	char folder[PATH_MAX], real[PATH_MAX];
	int n;

	snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash + 1 - file->path) : 1,
		 slash ? file->path : ".");
	if (!*name)
		return -EISDIR;
	if (!realpath(folder, real))
		return -errno;
	n = snprintf(file->target, sizeof(file->target), "%s/%s", strcmp(real, "/") ? real : "",
		     name);
	return n >= (int)sizeof(file->target) ? -ENAMETOOLONG : 0;
}

/* Only a try tells what a file system, its rights and its space allow. */
static int try_to_replace(struct record_file *file)
{
	char name[PATH_MAX];
	int r = place(file), fd;

	if (r < 0)
		return r;
	fd = make_temporary(file, name);
	if (fd < 0)
		return fd;
	close(fd);
	unlink(name);
	/* What is there from before is no record of this run. */
	return unlink(file->target) < 0 && errno != ENOENT ? -errno : 0;
}

int record_file_open(struct record_file *file, const char *path)
{
	const int fd = path ? descriptor(path) : -1;
	struct stat st;
	int r = 0;

	*file = (struct record_file){ .path = path, .fd = -1 };
	if (!path)
		return 0;
	if (fd >= 0) {
		file->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		r = file->fd < 0 ? -errno : 0;
	} else if (lstat(path, &st) < 0 ? errno == ENOENT : S_ISREG(st.st_mode)) {
		r = try_to_replace(file);
	} else {
		/* O_NONBLOCK: a pipe that nobody reads is an error and no wait. */
		file->fd =
			sys_open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CREAT | O_TRUNC, 0666);
		r = MIN(file->fd, 0);
	}
	if (r == 0)
		return 0;
	file->path = NULL;
	file->fd = -1;
	return err_sys(ERR_FILE, r, "the record '%s'", path);
}

static int write_stream(int fd, const char *data, size_t len)
{
	while (len) {
		struct pollfd p = { .fd = fd, .events = POLLOUT };
		ssize_t n;

		if (poll(&p, 1, READER_LIMIT_MS) <= 0)
			return -ETIMEDOUT;
		/* What is not ours alone may block: never more than it has room for. */
		n = write(fd, data, MIN(len, (size_t)PIPE_BUF));
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		data += MAX(n, 0);
		len -= (size_t)MAX(n, 0);
	}
	return 0;
}

static mode_t usual_mode(void)
{
	const mode_t mask = umask(0);

	umask(mask);
	return 0666 & ~mask;
}

static int write_file(const struct record_file *file, const char *data, size_t len)
{
	char name[PATH_MAX];
	int r, fd = make_temporary(file, name);

	if (fd < 0)
		return fd;
	r = sys_pwrite_full(fd, data, len, 0);
	if (r == 0 && fchmod(fd, usual_mode()) < 0)
		r = -errno;
	if (close(fd) < 0 && r == 0)
		r = -errno;
	if (r == 0 && rename(name, file->target) < 0)
		r = -errno;
	if (r < 0)
		unlink(name);
	return r;
}

int record_file_write(struct record_file *file, const char *data, size_t len)
{
	int r;

	if (!file->path)
		return 0;
	r = file->fd >= 0 ? write_stream(file->fd, data, len) : write_file(file, data, len);
	return r < 0 ? err_sys(ERR_FILE, r, "write the record '%s'", file->path) : 0;
}

void record_file_close(struct record_file *file)
{
	if (file->path)
		close_fd(&file->fd);
	file->path = NULL;
}
