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
#include "run/record_place.h"

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
static int make_temporary(const struct record_place *place, char name[NAME_MAX + 1])
{
	int fd = -EEXIST;

	for (unsigned i = 0; i < TRIES && fd == -EEXIST; i++) {
		uint32_t random = i;

		(void)!getrandom(&random, sizeof(random), GRND_NONBLOCK);
		if (snprintf(name, NAME_MAX + 1, "%s.%08x", place->name, random) > NAME_MAX)
			return -ENAMETOOLONG;
		fd = openat(place->dir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			    0666);
		fd = fd < 0 ? -errno : fd;
	}
	return fd;
}

/* Of a path that is still the same when the working directory is another. */
static int make_absolute(const char *path, char ret_way[PATH_MAX])
{
	char cwd[PATH_MAX] = "";

	if (path[0] != '/' && !getcwd(cwd, sizeof(cwd)))
		return -errno;
	return snprintf(ret_way, PATH_MAX, "%s%s%s", cwd, cwd[0] ? "/" : "", path) >= PATH_MAX
		       ? -ENAMETOOLONG
		       : 0;
}

static int find_place(struct record_file *file, struct record_place *ret_place)
{
	int r = record_shares_look(&file->shares);

	return r < 0 ? r : record_place_find(file->way, &file->shares, ret_place);
}

/* Only a try tells what a file system, its rights and its space allow. */
static int try_to_replace(const struct record_place *place)
{
	char name[NAME_MAX + 1];
	const int fd = make_temporary(place, name);

	if (fd < 0)
		return fd;
	close(fd);
	unlinkat(place->dir, name, 0);
	/* What is there from before is no record of this run. */
	return unlinkat(place->dir, place->name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

/* A pipe or a device, which it must still be. A link is none of the user's: it is in /proc. */
static int open_stream(const struct record_place *place, bool is_link)
{
	/* O_NONBLOCK: a pipe that nobody reads is an error and no wait. */
	const int fd = openat(place->dir, place->name,
			      O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC |
				      (is_link ? O_TRUNC : O_NOFOLLOW));

	return fd < 0 ? -errno : fd;
}

/* What a guest can change is replaced, whatever it is; it is not opened. */
static int open_place(struct record_file *file)
{
	struct record_place place;
	struct stat st = { 0 };
	int r = find_place(file, &place);

	if (r < 0)
		return r;
	if (fstatat(place.dir, place.name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		r = errno == ENOENT ? try_to_replace(&place) : -errno;
	else if (S_ISDIR(st.st_mode))
		r = -EISDIR;
	else if (place.shared || S_ISREG(st.st_mode))
		r = try_to_replace(&place);
	else
		r = file->fd = open_stream(&place, S_ISLNK(st.st_mode));
	record_place_fini(&place);
	return MIN(r, 0);
}

int record_file_open(struct record_file *file, const char *path, const char *const *folders,
		     unsigned count)
{
	const int fd = path ? descriptor(path) : -1;
	int r;

	*file = (struct record_file){ .path = path, .fd = -1 };
	if (!path)
		return 0;
	if (fd >= 0) {
		file->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		r = file->fd < 0 ? -errno : 0;
	} else {
		/* A folder that is not there is an error of its own. */
		r = record_shares_init(&file->shares, folders, count);
		if (r == 0)
			r = make_absolute(path, file->way);
		if (r == 0)
			r = open_place(file);
	}
	if (r == 0)
		return 0;
	record_shares_fini(&file->shares);
	file->path = NULL;
	file->fd = -1;
	err_sys(ERR_FILE, r, "the record '%s'", path);
	if (r == -ELOOP)
		err_hint("no link is followed in a folder that the command can write to, "
			 "nor one of another user; give it another place");
	else if (r == -ENOENT)
		err_hint("make its folder first");
	return r;
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

static int write_file(struct record_file *file, const char *data, size_t len)
{
	char name[NAME_MAX + 1];
	struct record_place place;
	int fd, r = find_place(file, &place);

	if (r < 0)
		return r;
	r = fd = make_temporary(&place, name);
	if (fd >= 0) {
		r = sys_pwrite_full(fd, data, len, 0);
		if (close(fd) < 0 && r == 0)
			r = -errno;
		if (r == 0 && renameat(place.dir, name, place.dir, place.name) < 0)
			r = -errno;
		if (r < 0)
			unlinkat(place.dir, name, 0);
	}
	record_place_fini(&place);
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
	record_shares_fini(&file->shares);
}
