/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walks a path one part at a time, each from the folder before it, which is held open; see
 * record_place.h. [path_resolution(7)]
 */
#include "run/record_place.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "run/record_shares.h"

/* As many as Linux follows in one path. */
#define LINKS_MAX 40u

struct walk {
	const struct record_shares *shares;
	int dir;
	unsigned depth; /* folders of a share above and with `dir`; 0: it is in none */
	unsigned links;
	char rest[2 * PATH_MAX];
};

/* Below a share, the way up is the guest's, who can move folders. */
static int step(struct walk *walk, int from, const char *name)
{
	const bool up = strcmp(name, "..") == 0;
	int fd;

	if (up && walk->depth > 1)
		return -ELOOP;
	fd = openat(from, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	closep(&walk->dir);
	walk->dir = fd;
	if (up || name[0] == '/')
		walk->depth = 0;
	if (walk->depth || record_shares_has(walk->shares, fd))
		walk->depth++;
	return 0;
}

/*
 * Who can write to a folder can put a link there: a guest to a share, anybody to /tmp. Where the
 * link is the file itself, it has to be ours.
 */
static bool may_follow(const struct walk *walk, const struct stat *link, bool last)
{
	struct stat dir;

	if (walk->depth)
		return false;
	if (last || link->st_uid == geteuid())
		return link->st_uid == geteuid();
	return link->st_uid == 0 || (fstat(walk->dir, &dir) == 0 && !(dir.st_mode & S_IWOTH));
}

/* The link's text goes in front of what is left. */
static int follow(struct walk *walk, const char *name, const char *rest)
{
	char text[PATH_MAX], all[sizeof(walk->rest)];
	const ssize_t n = readlinkat(walk->dir, name, text, sizeof(text));

	if (n < 0)
		return -errno;
	if (n == sizeof(text) || snprintf(all, sizeof(all), "%.*s%s%s", (int)n, text,
					  *rest ? "/" : "", rest) >= (int)sizeof(all))
		return -ENAMETOOLONG;
	if (++walk->links > LINKS_MAX)
		return -ELOOP;
	strcpy(walk->rest, all);
	return all[0] == '/' ? step(walk, AT_FDCWD, "/") : 0;
}

/* Those of /proc/PID/fd point at files without saying where they are. */
static bool is_magic(const struct walk *walk)
{
	struct statfs fs;

	return fstatfs(walk->dir, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
}

/* One part; 1: it was the last, and is in `name`. */
static int walk_on(struct walk *walk, char name[NAME_MAX + 1])
{
	char *part = walk->rest + strspn(walk->rest, "/");
	const size_t len = strcspn(part, "/");
	char *rest = part + len + strspn(part + len, "/");
	const bool last = !*rest;
	struct stat st;
	int r;

	if (len > NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(name, part, len);
	name[len] = '\0';
	if (last && (part[len] == '/' || !len || strcmp(name, ".") == 0 || strcmp(name, "..") == 0))
		return -EISDIR;
	if (fstatat(walk->dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return last && errno == ENOENT ? 1 : -errno;
	if (S_ISLNK(st.st_mode) && !(last && (walk->depth || is_magic(walk))))
		return may_follow(walk, &st, last) ? follow(walk, name, rest) : -ELOOP;
	if (last)
		return 1;
	r = strcmp(name, ".") == 0 ? 0 : step(walk, walk->dir, name);
	memmove(walk->rest, rest, strlen(rest) + 1);
	return r;
}

int record_place_find(const char *path, const struct record_shares *shares,
		      struct record_place *ret_place)
{
	struct walk walk = { .shares = shares, .dir = -1 };
	char name[NAME_MAX + 1];
	int r;

	if (snprintf(walk.rest, sizeof(walk.rest), "%s", path) >= (int)sizeof(walk.rest))
		return -ENAMETOOLONG;
	r = step(&walk, AT_FDCWD, "/");
	while (r == 0)
		r = walk_on(&walk, name);
	if (r < 0) {
		closep(&walk.dir);
		return r;
	}
	ret_place->dir = walk.dir;
	ret_place->shared = walk.depth;
	strcpy(ret_place->name, name);
	return 0;
}

void record_place_fini(struct record_place *place)
{
	closep(&place->dir);
}
