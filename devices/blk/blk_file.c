/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening the user's disk: what it is, how large, and whether somebody else uses it. Main thread.
 */
#include "devices/blk/blk_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "core/err.h"
#include "core/log.h"
#include "core/sys.h"

/* FNV-1a. */
static uint64_t hash_path(const char *path)
{
	uint64_t hash = 0xcbf29ce484222325;
	char *absolute = realpath(path, NULL);

	for (const char *p = absolute ? absolute : path; *p; p++)
		hash = (hash ^ (uint8_t)*p) * 0x100000001b3;
	free(absolute);
	return hash;
}

/* A pipe would block the open, a device might act on it: look before opening. */
static int check_type(const char *path, struct stat *st)
{
	if (stat(path, st) < 0)
		return err_sys(ERR_FILE, -errno, "open disk '%s'", path);
	if (S_ISDIR(st->st_mode))
		return err_set(ERR_FILE, -EISDIR, "disk '%s' is a directory", path);
	if (!S_ISREG(st->st_mode) && !S_ISBLK(st->st_mode))
		return err_set(ERR_FILE, -EINVAL,
			       "disk '%s' is neither a regular file nor a block device", path);
	return 0;
}

/* Some devices can be opened for writing, and then refuse each write. */
static bool is_write_protected(int fd)
{
	int protected = 0;

	return sys_ioctl(fd, BLKROGET, &protected) == 0 && protected;
}

static int open_disk(const char *path, bool read_only, bool block)
{
	/* On a block device O_EXCL alone means: not while it is mounted or otherwise claimed. */
	int flags = read_only ? O_RDONLY : block ? O_RDWR | O_EXCL : O_RDWR;
	int fd = sys_open(path, flags, 0);

	if (fd >= 0 && block && !read_only && is_write_protected(fd)) {
		close_fd(&fd);
		fd = -EROFS;
	}
	if (fd == -EBUSY) {
		err_set(ERR_FILE, fd, "disk '%s' is mounted or in use by another program", path);
		err_hint("lsblk shows what is on top of it, fuser -v '%s' who uses it", path);
	} else if (fd < 0) {
		err_sys(ERR_FILE, fd, "open disk '%s'", path);
		if (fd == -EACCES || fd == -EPERM || fd == -EROFS)
			err_hint("change its permissions%s",
				 read_only ? "" : ", or use the disk read-only, with ,ro");
	}
	return fd;
}

static int disk_size(int fd, const char *path, const struct stat *st, uint64_t *ret_size)
{
	uint64_t size = (uint64_t)st->st_size;

	if (S_ISBLK(st->st_mode)) {
		int r = sys_ioctl(fd, BLKGETSIZE64, &size);

		if (r < 0)
			return err_sys(ERR_FILE, r, "size of disk '%s'", path);
	}
	if (!size) {
		err_set(ERR_FILE, -EINVAL, "disk '%s' is empty", path);
		err_hint("give it a size, for example: truncate -s 20G '%s'", path);
		return -EINVAL;
	}
	if (size % BLK_SECTOR) {
		err_set(ERR_FILE, -EINVAL, "disk '%s' has %llu bytes, not a multiple of %u", path,
			(unsigned long long)size, BLK_SECTOR);
		err_hint("is it a raw disk image? If it is: truncate -s %%%u '%s'", BLK_SECTOR,
			 path);
		return -EINVAL;
	}
	*ret_size = size;
	return 0;
}

static int lock_disk(int fd, const char *path, bool read_only)
{
	struct flock lock = { .l_type = read_only ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET };
	struct flock holder = lock;

	if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
		return 0;
	if (errno != EAGAIN && errno != EACCES) {
		log_warn("disk '%s' cannot be locked (%s): make sure that nothing else uses it",
			 path, strerror(errno));
		return 0;
	}
	/* Locks of open files, as ours, have no process; a traditional one names it. */
	if (fcntl(fd, F_OFD_GETLK, &holder) == 0 && holder.l_type != F_UNLCK && holder.l_pid > 0)
		err_set(ERR_FILE, -EBUSY, "disk '%s' is in use by process %d", path,
			(int)holder.l_pid);
	else
		err_set(ERR_FILE, -EBUSY, "disk '%s' is in use by another process", path);
	err_hint("is it the disk of a running machine? fuser -v '%s' names the process", path);
	return -EBUSY;
}

/*
 * A file system that has no direct I/O refuses the flag, but one that lies over another (overlayfs)
 * only finds out when it is used.
 */
static int switch_to_direct(const struct blk_file *file)
{
	const struct blk_direct *d = &file->direct;
	void *block = aligned_alloc(MAX(d->memory, d->offset), MAX(d->memory, d->offset));
	int r = 0;

	if (!block)
		return -ENOMEM;
	if (fcntl(file->fd, F_SETFL, O_DIRECT) < 0)
		r = -errno;
	if (r == 0)
		r = sys_pread_full(file->fd, block, d->offset, 0);
	free(block);
	return r;
}

/* The last step: what was read of the disk until here came through the page cache. */
static int use_directly(struct blk_file *file, const char *path)
{
	int r = blk_topology_direct(file->fd, &file->direct);

	if (r == 0 && file->size >= file->direct.offset)
		r = switch_to_direct(file);
	if (r < 0 && r != -EINVAL)
		return err_sys(ERR_FILE, r, "read disk '%s' directly", path);
	if (r < 0) {
		err_set(ERR_FILE, r, "disk '%s': its file system takes no direct I/O", path);
		err_hint("leave cache=direct away, or keep the disk elsewhere");
		return r;
	}
	if (file->size % file->direct.offset == 0)
		return 0;
	err_set(ERR_FILE, -EINVAL, "disk '%s' has %llu bytes; direct I/O needs a multiple of %u",
		path, (unsigned long long)file->size, file->direct.offset);
	err_hint("leave cache=direct away, or: truncate -s %%%u '%s'", file->direct.offset, path);
	return -EINVAL;
}

bool blk_file_is_same(const char *a, const char *b)
{
	struct stat x, y;

	if (stat(a, &x) < 0 || stat(b, &y) < 0)
		return false;
	if (S_ISBLK(x.st_mode) && S_ISBLK(y.st_mode))
		return x.st_rdev == y.st_rdev;
	return x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

int blk_file_reopen(const struct blk_file *file)
{
	const int flags = (file->read_only ? O_RDONLY : O_RDWR) |
			  (file->cache == BLK_CACHE_DIRECT ? O_DIRECT : 0);
	char path[32];
	int fd;

	/* Not by its name, which may be another file's by now. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file->fd);
	fd = sys_open(path, flags, 0);
	if (fd < 0)
		log_warn("a disk cannot be opened for each queue (%s): of a write that the host "
			 "loses, the flush of another queue may be told",
			 strerror(-fd));
	return fd < 0 ? -1 : fd;
}

uint64_t blk_file_usable(const struct blk_file *file, uint64_t size)
{
	return size - size % MAX(file->topology.logical, file->direct.offset);
}

int blk_file_open(struct blk_file *file, const char *path, bool read_only, enum blk_cache cache)
{
	CLEANUP(closep) int fd = -1;
	struct blk_file new;
	uint64_t size = 0;
	struct stat st;
	int r;

	r = check_type(path, &st);
	if (r < 0)
		return r;
	fd = open_disk(path, read_only, S_ISBLK(st.st_mode));
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return err_sys(ERR_FILE, -errno, "open disk '%s'", path);
	r = disk_size(fd, path, &st, &size);
	if (r == 0)
		r = lock_disk(fd, path, read_only);
	if (r < 0)
		return r;
	new = (struct blk_file){
		.fd = fd,
		.size = size,
		.read_only = read_only,
		.cache = cache,
		.direct = { .offset = 1, .memory = 1 },
		.path_hash = hash_path(path),
	};
	blk_topology_read(fd, &st, size, cache != BLK_CACHE_DIRECT, &new.topology);
	if (cache == BLK_CACHE_DIRECT) {
		r = use_directly(&new, path);
		if (r < 0)
			return r;
	}
	*file = new;
	fd = -1;
	return 0;
}

void blk_file_close(struct blk_file *file)
{
	/* Size 0: never opened, and fd 0 is not ours. */
	if (!file->size)
		return;
	close_fd(&file->fd);
	file->size = 0;
}
