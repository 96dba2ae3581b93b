/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The blocks of a disk as the host has them: what the guest is told of them, and what the host asks
 * of direct I/O. Before the machine starts; a guest's disk keeps its blocks as long as it runs.
 *
 * The logical block is what a partition table counts in, so it decides whether a guest can read its
 * disk at all. A table that is on the disk tells it; else a device's is the host's, so that both
 * can read what the other one partitions, and a file's is 512 bytes, as everybody expects of an
 * image.
 */
#ifndef DEVICES_BLK_TOPOLOGY_H
#define DEVICES_BLK_TOPOLOGY_H

#include <sys/stat.h>

#include "core/util.h"

/* All in bytes. */
struct blk_topology {
	uint32_t logical;  /* a power of two, 512 to 4096 */
	uint32_t physical; /* what is written without reading first: a power of two, not below */
	uint32_t offset;   /* of the first logical block that begins a physical one */
	uint32_t io_min;   /* the least that is worth a request, a multiple of physical */
	uint32_t io_opt;   /* the best, a multiple of physical; 0: nothing is known */
};

/* Offsets and lengths of direct I/O, and the addresses of its memory, are multiples of these. */
struct blk_direct {
	uint32_t offset;
	uint32_t memory;
};

/*
 * A number of the request queue of a block device, by sysfs; a partition has that of its whole.
 * False if the host does not tell.
 */
bool blk_topology_queue_number(dev_t device, const char *name, uint64_t *ret_number);

/*
 * For a file or a block device of `size` bytes, open for reading through the page cache; `st` is
 * what fstat says of it. Cannot fail: what the host does not tell is as it is on most disks.
 */
void blk_topology_read(int fd, const struct stat *st, uint64_t size, bool cached,
		       struct blk_topology *ret_topology);

/* -EINVAL if this file takes no direct I/O. */
int MUST_CHECK blk_topology_direct(int fd, struct blk_direct *ret_direct);

#endif
