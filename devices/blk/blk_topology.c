/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks the host for a disk's blocks: ioctls of block devices, statx and statvfs of files. Main
 * thread. [Linux Documentation/ABI/stable/sysfs-block, statx(2)]
 */
#include "devices/blk/blk_topology.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

#include "core/sys.h"

#define SECTOR        512u
#define LOGICAL_MAX   4096u
#define PHYSICAL_MAX  (64 * KiB)
#define OPTIMAL_MAX   (16 * MiB) /* beyond it a number is a mistake of the device's */
#define PAGE_CACHE    4096u      /* writes of less are read, changed and written */
#define DIRECT_MAX    (64 * KiB)
#define DIRECT_COMMON 4096u /* suits every disk that there is */

static bool is_block(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISBLK(st.st_mode);
}

static bool is_size(uint32_t size, uint32_t min, uint32_t max)
{
	return is_pow2(size) && size >= min && size <= max;
}

/* An ioctl that tells a number, or what stands for it where there is none. */
static uint32_t ask(int fd, unsigned long request, uint32_t otherwise)
{
	uint32_t val = 0;

	return sys_ioctl(fd, request, &val) < 0 ? otherwise : val;
}

/* The block size in whose second block a GPT's header is [UEFI 5.3.2 GPT Header], or the host's. */
static uint32_t logical_block(int fd, uint64_t size, uint32_t host)
{
	static const char signature[8] = { 'E', 'F', 'I', ' ', 'P', 'A', 'R', 'T' };
	/* The host's first: where both are there, one is a remainder. */
	const uint32_t candidates[] = { host, SECTOR, LOGICAL_MAX };
	char start[LOGICAL_MAX + sizeof(signature)];
	const size_t len = MIN(size, sizeof(start));

	if (sys_pread_full(fd, start, len, 0) < 0)
		return host;
	for (unsigned i = 0; i < ARRAY_SIZE(candidates); i++) {
		if (size % candidates[i] == 0 &&
		    range_fits(candidates[i], sizeof(signature), len) &&
		    memcmp(start + candidates[i], signature, sizeof(signature)) == 0)
			return candidates[i];
	}
	return host;
}

static void read_device(int fd, struct blk_topology *t)
{
	t->logical = ask(fd, BLKSSZGET, SECTOR);
	t->physical = ask(fd, BLKPBSZGET, SECTOR);
	t->offset = ask(fd, BLKALIGNOFF, 0); /* all ones: the device's stack contradicts itself */
	t->io_min = ask(fd, BLKIOMIN, 0);
	t->io_opt = ask(fd, BLKIOOPT, 0);
}

static void read_file(int fd, const struct stat *st, struct blk_topology *t)
{
	struct statvfs fs;

	t->logical = SECTOR;
	t->physical = PAGE_CACHE;
	if (fstatvfs(fd, &fs) == 0 && is_size((uint32_t)fs.f_frsize, SECTOR, PHYSICAL_MAX))
		t->physical = (uint32_t)fs.f_frsize;
	t->offset = 0;
	t->io_min = t->physical;
	t->io_opt = 0;
	/* Of a network file system or a stripe, more than a block. */
	if (st->st_blksize > t->physical && st->st_blksize <= (long)OPTIMAL_MAX)
		t->io_opt = (uint32_t)st->st_blksize;
}

void blk_topology_read(int fd, const struct stat *st, uint64_t size, bool cached,
		       struct blk_topology *ret_topology)
{
	struct blk_topology t;

	if (S_ISBLK(st->st_mode))
		read_device(fd, &t);
	else
		read_file(fd, st, &t);

	if (!is_size(t.logical, SECTOR, LOGICAL_MAX))
		t.logical = SECTOR;
	t.logical = logical_block(fd, size, t.logical);
	if (!is_size(t.physical, t.logical, PHYSICAL_MAX))
		t.physical = t.logical;
	if (t.offset >= t.physical || t.offset % t.logical)
		t.offset = 0;
	if (cached && t.physical < PAGE_CACHE) {
		t.physical = PAGE_CACHE;
		t.offset = 0;
	}
	if (t.io_min < t.physical || t.io_min > OPTIMAL_MAX || t.io_min % t.physical)
		t.io_min = t.physical;
	if (t.io_opt <= t.io_min || t.io_opt > OPTIMAL_MAX || t.io_opt % t.physical)
		t.io_opt = 0;
	*ret_topology = t;
}

bool blk_topology_queue_number(dev_t device, const char *name, uint64_t *ret_number)
{
	/* A partition has no queue of its own. */
	static const char *const forms[] = { "/sys/dev/block/%u:%u/queue/%s",
					     "/sys/dev/block/%u:%u/../queue/%s" };
	char path[96], text[24];
	unsigned long long number;

	for (unsigned i = 0; i < ARRAY_SIZE(forms); i++) {
		snprintf(path, sizeof(path), forms[i], major(device), minor(device), name);
		if (sys_read_text(path, text, sizeof(text)) >= 0 &&
		    sscanf(text, "%llu", &number) == 1) {
			*ret_number = number;
			return true;
		}
	}
	return false;
}

/* Before Linux 6.1, and for file systems that do not tell: the block of the device below. */
static uint32_t device_block(int fd)
{
	uint64_t size = 0;
	struct stat st;

	if (fstat(fd, &st) == 0 &&
	    blk_topology_queue_number(st.st_dev, "logical_block_size", &size) &&
	    size <= DIRECT_MAX && is_size((uint32_t)size, SECTOR, DIRECT_MAX))
		return (uint32_t)size;
	return DIRECT_COMMON;
}

int blk_topology_direct(int fd, struct blk_direct *ret_direct)
{
	struct blk_direct d = { 0 };
	struct statx stx;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) == 0 &&
	    stx.stx_mask & STATX_DIOALIGN) {
		if (!stx.stx_dio_offset_align)
			return -EINVAL;
		d.offset = stx.stx_dio_offset_align;
		d.memory = stx.stx_dio_mem_align;
	} else {
		d.offset = is_block(fd) ? ask(fd, BLKSSZGET, DIRECT_COMMON) : device_block(fd);
		d.memory = MAX(d.offset, DIRECT_COMMON);
	}
	if (!is_size(d.offset, 1, DIRECT_MAX) || !is_size(d.memory, 1, DIRECT_MAX))
		return -EINVAL;
	/* A request is never of less than a sector. */
	d.offset = MAX(d.offset, SECTOR);
	*ret_direct = d;
	return 0;
}
