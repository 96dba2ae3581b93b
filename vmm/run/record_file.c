/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a file at once; see record_file.h. Main thread. */
#include "run/record_file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/sys.h"

/* A run is not kept from its end by a reader that stands still. */
#define READER_LIMIT_MS 10000

/* Names that are tried for what lies beside the file until a rename is all that is left. */
#define TRIES 100u

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

/*
 * A new file next to the target, and its name. Not of mkostemp: with what the umask allows, which
 * can only be asked for by changing it, for all threads.
 */
static int make_temporary(const struct record_file *file, char name[PATH_MAX])
{
	int fd = -EEXIST;

	for (unsigned i = 0; i < TRIES && fd == -EEXIST; i++) {
		uint32_t random = i;

		(void)!getrandom(&random, sizeof(random), GRND_NONBLOCK);
		if (snprintf(name, PATH_MAX, "%s.%08x", file->target, random) >= PATH_MAX)
			return -ENAMETOOLONG;
		fd = sys_open(name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0666);
	}
	return fd;
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

/*
 * What is no regular file. Links of ours are followed; who can write to the folder, and put one
 * there, has no say in what is written over.
 */
static int open_stream(const char *path, const struct stat *st)
{
	const bool is_link = S_ISLNK(st->st_mode);

	if (is_link && st->st_uid != geteuid())
		return -ELOOP;
	/* O_NONBLOCK: a pipe that nobody reads is an error and no wait. */
	return sys_open(path,
			O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CREAT | O_TRUNC |
				(is_link ? 0 : O_NOFOLLOW),
			0666);
}

static bool is_below(const char *path, const char *folder)
{
	const size_t len = strlen(folder);

	return strcmp(folder, "/") == 0 ||
	       (strncmp(path, folder, len) == 0 && (!path[len] || path[len] == '/'));
}

bool record_file_passes(const char *path, const char *folder)
{
	char real_folder[PATH_MAX], real[PATH_MAX], way[2 * PATH_MAX] = "";

	if (descriptor(path) >= 0 || !realpath(folder, real_folder))
		return false;
	if (path[0] != '/' && !getcwd(way, PATH_MAX))
		return false;
	snprintf(way + strlen(way), sizeof(way) - strlen(way), "/%s", path);
	for (char *end = way; (end = strchr(end + 1, '/'));) {
		*end = '\0';
		/* The way out of the folder itself cannot be changed from within. */
		if (realpath(way, real) && is_below(real, real_folder) &&
		    (strcmp(real, real_folder) != 0 || strncmp(end + 1, "../", 3) != 0))
			return true;
		*end = '/';
	}
	return false;
}

int record_file_open(struct record_file *file, const char *path)
{
	const int fd = path ? descriptor(path) : -1;
	struct stat st = { 0 };
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
		file->fd = open_stream(path, &st);
		r = MIN(file->fd, 0);
	}
	if (r == 0)
		return 0;
	file->path = NULL;
	file->fd = -1;
	return err_sys(ERR_FILE, r, "the record '%s'", path);
}

/* Signals of a program that has more to do interrupt the wait, and end nothing. */
static int wait_for_room(int fd)
{
	const uint64_t until = clock_ms() + READER_LIMIT_MS;
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	int n;

	do {
		const uint64_t now = clock_ms();

		n = poll(&p, 1, (int)(until - MIN(now, until)));
	} while (n < 0 && errno == EINTR);
	return n > 0 ? 0 : n < 0 ? -errno : -ETIMEDOUT;
}

static int write_stream(int fd, const char *data, size_t len)
{
	while (len) {
		const int r = wait_for_room(fd);
		ssize_t n;

		if (r < 0)
			return r;
		/* What is not ours alone may block: never more than it has room for. */
		n = write(fd, data, MIN(len, (size_t)PIPE_BUF));
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		data += MAX(n, 0);
		len -= (size_t)MAX(n, 0);
	}
	return 0;
}

static int write_file(const struct record_file *file, const char *data, size_t len)
{
	char name[PATH_MAX];
	int r, fd = make_temporary(file, name);

	if (fd < 0)
		return fd;
	r = sys_pwrite_full(fd, data, len, 0);
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
