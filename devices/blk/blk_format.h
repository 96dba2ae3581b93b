/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The format of a disk image: what the user says it is, by its name or by an option, and whether
 * the content agrees. Main thread, before the machine starts.
 *
 * The content never decides. A guest with a raw disk can write the header of another format into
 * it, one that names any file of the host as its backing file; who then believed the header would
 * hand that file to the guest.
 */
#ifndef DEVICES_BLK_FORMAT_H
#define DEVICES_BLK_FORMAT_H

#include "core/util.h"

enum blk_format {
	BLK_FORMAT_BY_NAME, /* nothing was said */
	BLK_FORMAT_RAW,
	BLK_FORMAT_QCOW2,
	BLK_FORMAT_VMDK,
	BLK_FORMAT_VDI,
	BLK_FORMAT_VHDX,
	BLK_FORMAT_VPC,
};

/* "qcow2"; the names that the storage daemon has for them. NULL: no such format. */
const char *blk_format_name(enum blk_format format);
enum blk_format blk_format_of(const char *name); /* BLK_FORMAT_BY_NAME: it is no format's */

/* By the ending of the file's name; raw if that says nothing. */
enum blk_format blk_format_of_file(const char *path);

/*
 * -EINVAL, kind ERR_FILE, if the content is another format's than `said` or, where nothing was
 * said, than the name's. A raw disk that was said to be one may hold anything. A qcow2 image with a
 * backing file must say which format that has, and so on down the chain. What cannot be read here
 * is left to who opens it.
 */
int MUST_CHECK blk_format_check(const char *path, enum blk_format said);

/* Bytes of the disk in the image, for raw and qcow2. -EINVAL and others, kind ERR_FILE. */
int MUST_CHECK blk_format_size(const char *path, enum blk_format format, uint64_t *ret_size);

/*
 * An empty qcow2 image for a disk of `size` bytes, in a file that has no name in `dir` and is gone
 * with the last who has it open. -errno, without an error chain.
 */
int MUST_CHECK blk_format_make_overlay(const char *dir, uint64_t size, int *ret_fd);

#endif
