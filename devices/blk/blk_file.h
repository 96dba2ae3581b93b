/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user's disk: a raw image or a block device, opened, checked and locked. Before the machine
 * starts.
 *
 * By default it is used through the host's page cache. A guest may hand over buffers at any address
 * and of any length, and writes single sectors to disks whose own are larger; the cache takes all
 * of that as it comes, and keeps what firmware and boot loader read again and again. The price is a
 * copy, and host memory that the kernel takes back when it needs it. What a guest flushes is on the
 * medium before it is told so. That is the right thing for a machine with a guest or two. Direct
 * I/O is for many guests, or for a guest that has a cache as large as its data (a database): it
 * costs no host memory, and what the guest writes is on its way to the medium at once instead of in
 * a burst later.
 */
#ifndef DEVICES_BLK_FILE_H
#define DEVICES_BLK_FILE_H

#include "core/util.h"
#include "devices/blk/blk_topology.h"

#define BLK_SECTOR 512u

enum blk_cache {
	BLK_CACHE_WRITEBACK, /* the host's page cache; a flush brings it to the medium */
	BLK_CACHE_DIRECT,    /* none on the host; a flush still empties the disk's own */
	BLK_CACHE_UNSAFE,    /* the page cache, and a flush does nothing: for what can be lost */
};

struct blk_file {
	int fd;
	uint64_t size; /* bytes, as it was opened; a multiple of BLK_SECTOR, not 0 */
	bool read_only;
	enum blk_cache cache;
	struct blk_topology topology;
	struct blk_direct direct; /* what the fd asks of requests; 1 and 1: nothing */
	uint64_t path_hash;       /* of the absolute path: the same disk, the same number */
};

/*
 * A writable disk is this process's alone until it is closed, a read-only one is shared with other
 * readers: locked against every program that locks its images, this one and qemu among them.
 * Failures are told with what to do (kind ERR_FILE).
 */
int MUST_CHECK blk_file_open(struct blk_file *file, const char *path, bool read_only,
			     enum blk_cache cache);
void blk_file_close(struct blk_file *file); /* zeroed, never opened: does nothing */

/* Whether both names are of one file or device: by a link, or written in two ways. */
bool blk_file_is_same(const char *a, const char *b);

/*
 * Another fd of the same file, or -1 with a warning. The kernel tells each open file once that it
 * lost a write, so a flush of one must not hear what was meant for another one's.
 */
int blk_file_reopen(const struct blk_file *file);

/* How far the file can be used, if it has `size` bytes now: whole blocks of what it is made of. */
uint64_t blk_file_usable(const struct blk_file *file, uint64_t size);

/* The guest may write less than direct I/O can: two of its writes may meet in one block. */
static inline bool blk_file_shares_blocks(const struct blk_file *file)
{
	return file->topology.logical < file->direct.offset;
}

/* Does a flush have anything to do? */
static inline bool blk_file_flushes(const struct blk_file *file)
{
	return !file->read_only && file->cache != BLK_CACHE_UNSAFE;
}

#endif
