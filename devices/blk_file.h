/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user's disk: a raw image or a block device, opened, checked and locked. Before the machine
 * starts.
 *
 * It is used through the host's page cache. A guest may hand over buffers at any address and of any
 * length, and writes single sectors to disks whose own are larger; direct I/O would need a bounce
 * buffer for all of that, while the cache does it as it goes, and keeps what firmware and boot
 * loader read again and again. The price is a copy, and host memory that the kernel takes back when
 * it needs it. What a guest flushes is on the medium before it is told so.
 */
#ifndef DEVICES_BLK_FILE_H
#define DEVICES_BLK_FILE_H

#include "core/util.h"

#define BLK_SECTOR 512u

struct blk_file {
	int fd;
	uint64_t size; /* bytes, a multiple of BLK_SECTOR, not 0 */
	bool read_only;
	uint64_t path_hash; /* of the absolute path: the same disk, the same number */
};

/*
 * A writable disk is this process's alone until it is closed, a read-only one is shared with other
 * readers: locked against every program that locks its images, this one and qemu among them.
 * Failures are told with what to do (kind ERR_FILE).
 */
int MUST_CHECK blk_file_open(struct blk_file *file, const char *path, bool read_only);
void blk_file_close(struct blk_file *file); /* zeroed, never opened: does nothing */

#endif
