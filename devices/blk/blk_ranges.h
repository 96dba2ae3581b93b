/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Discard and write-zeroes: a request that names ranges of the disk, done as a sequence of requests
 * to the ring, one after the other. Pure but for the probe; on the queue's loop.
 * [virtio-1.2 5.2.6 Device Operation]
 *
 * What is discarded becomes a hole where the host can make one, and reads as zeroes then. Zeroes
 * are written by the host's own means (without data, on most disks), or where it has none by
 * writing them.
 *
 * Bounds: BLK_RANGES_MAX ranges a request, of BLK_DISCARD_MAX or BLK_ZEROES_MAX sectors each.
 */
#ifndef DEVICES_BLK_RANGES_H
#define DEVICES_BLK_RANGES_H

#include <linux/virtio_blk.h>

#include "devices/blk/blk_request.h"

#define BLK_RANGES_MAX  16u
#define BLK_DISCARD_MAX (1u << 21) /* 1 GiB */
#define BLK_ZEROES_MAX  (1u << 17) /* 64 MiB, since it may have to be written */

struct blk_file;

/* The request between its parsing and its end. */
struct blk_ranges {
	bool zeroes;  /* else they are discarded */
	bool discard; /* holes may be made */
	bool durable; /* followed by a flush */
	enum { BLK_BY_HOLE, BLK_BY_ZERO_RANGE, BLK_BY_WRITE, BLK_BY_FLUSH } how;
	bool begun; /* the range at `next`, or the flush, is what the ring has now */
	unsigned count, next;
	struct {
		uint64_t offset, len; /* bytes; what is left of it */
		bool unmap;
	} ranges[BLK_RANGES_MAX];
	struct iovec iov;
};

/*
 * Can holes be made in the file? If so, what is discarded best comes in multiples of so many bytes;
 * 0 if not. The file is open for writing; nothing in it changes.
 */
uint32_t blk_ranges_probe(const struct blk_file *file);

/*
 * Takes the data of a request of `type`, copied once, for a disk of `capacity` sectors, in
 * blocks of `block`, in which holes may be made or not. A status: VIRTIO_BLK_S_OK if it can begin;
 * `durable` is the caller's then.
 */
uint8_t blk_ranges_parse(struct blk_ranges *ranges, uint32_t type, const struct iovec *iov,
			 unsigned count, bool discard, uint64_t capacity, uint32_t block);

/*
 * Called first with *error 0, then with what became of `req`. True: `req` is the next to be queued.
 * False: the whole is at its end, with *error.
 */
bool blk_ranges_next(struct blk_ranges *ranges, struct blk_request *req, int *error);

#endif
