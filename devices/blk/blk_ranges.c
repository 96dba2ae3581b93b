/* SPDX-License-Identifier: Apache-2.0 */
/* Discard and write-zeroes; runs on the queue's loop. */
#include "devices/blk/blk_ranges.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>

#include "devices/blk/blk_file.h"
#include "devices/virtio/iov.h"

#define HOLE       (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define ZERO_RANGE (FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE)
#define GRANULE    (MiB) /* the largest that is believed */

/* Never written; aligned for direct I/O. */
static uint8_t zeroes[64 * KiB] __attribute__((aligned(4096)));

/* 0: not told. */
static uint64_t queue_number(const struct stat *st, const char *name)
{
	uint64_t number = 0;

	return blk_topology_queue_number(st->st_rdev, name, &number) ? number : 0;
}

uint32_t blk_ranges_probe(const struct blk_file *file)
{
	uint64_t granule = file->topology.physical;
	struct stat st;

	if (file->read_only || fstat(file->fd, &st) < 0)
		return 0;
	if (!S_ISBLK(st.st_mode)) {
		/* Behind the end there is nothing to lose. */
		const off_t behind = (off_t)align_up(file->size, granule);

		return fallocate(file->fd, HOLE, behind, (off_t)granule) < 0 ? 0
									     : (uint32_t)granule;
	}
	/* A hole in a device is zeroes that it unmaps. */
	if (!queue_number(&st, "write_zeroes_max_bytes") || !queue_number(&st, "discard_max_bytes"))
		return 0;
	granule = MAX(granule, queue_number(&st, "discard_granularity"));
	return (uint32_t)(is_pow2(granule) && granule <= GRANULE ? granule
								 : file->topology.physical);
}

uint8_t blk_ranges_parse(struct blk_ranges *ranges, uint32_t type, const struct iovec *iov,
			 unsigned count, bool discard, uint64_t capacity, uint32_t block)
{
	struct virtio_blk_discard_write_zeroes given[BLK_RANGES_MAX + 1];
	const size_t len = iov_read(iov, count, given, sizeof(given));
	const uint32_t max = type == VIRTIO_BLK_T_DISCARD ? BLK_DISCARD_MAX : BLK_ZEROES_MAX;

	*ranges = (struct blk_ranges){ .zeroes = type == VIRTIO_BLK_T_WRITE_ZEROES,
				       .discard = discard };
	if (!len || len % sizeof(given[0]) || len > BLK_RANGES_MAX * sizeof(given[0]))
		return VIRTIO_BLK_S_IOERR;
	for (unsigned i = 0; i < len / sizeof(given[0]); i++) {
		const uint64_t sector = le64toh(given[i].sector);
		const uint32_t sectors = le32toh(given[i].num_sectors);
		const uint32_t flags = le32toh(given[i].flags);

		/* [5.2.6.2]: unmap is for zeroes, and nothing else is known. */
		if (flags & ~(ranges->zeroes ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0u))
			return VIRTIO_BLK_S_UNSUPP;
		if (sectors > max || (sector | sectors) % block ||
		    !range_fits(sector, sectors, capacity))
			return VIRTIO_BLK_S_IOERR;
		if (!sectors)
			continue;
		ranges->ranges[ranges->count].offset = sector * BLK_SECTOR;
		ranges->ranges[ranges->count].len = (uint64_t)sectors * BLK_SECTOR;
		ranges->ranges[ranges->count].unmap = flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
		ranges->count++;
	}
	return VIRTIO_BLK_S_OK;
}

/* What became of the last step. True: there is an error that ends the whole. */
static bool failed(struct blk_ranges *r, int error)
{
	/* Not supported, not for parts of blocks, or not while somebody else has the device. */
	const bool cannot = (error == -EOPNOTSUPP || error == -EINVAL || error == -EBUSY) &&
			    (r->how == BLK_BY_HOLE || r->how == BLK_BY_ZERO_RANGE);

	if (error && !cannot)
		return true;
	if (r->how == BLK_BY_FLUSH) {
		r->durable = false;
		return false;
	}
	if (cannot && r->zeroes) {
		r->how++; /* the next best */
		return false;
	}
	/* To discard is advice, which need not be taken. */
	if (r->how == BLK_BY_WRITE) {
		const uint64_t done = MIN(r->ranges[r->next].len, sizeof(zeroes));

		r->ranges[r->next].offset += done;
		r->ranges[r->next].len -= done;
		if (r->ranges[r->next].len)
			return false;
	}
	r->next++;
	r->begun = false;
	return false;
}

bool blk_ranges_next(struct blk_ranges *r, struct blk_request *req, int *error)
{
	if (r->begun && failed(r, *error))
		return false;
	*error = 0;
	*req = (struct blk_request){ .durable = false };
	if (r->next == r->count) {
		if (!r->durable)
			return false;
		r->how = BLK_BY_FLUSH;
		r->begun = true;
		req->op = BLK_FLUSH;
		return true;
	}
	if (!r->begun) {
		const bool hole = r->discard && (!r->zeroes || r->ranges[r->next].unmap);

		r->how = hole ? BLK_BY_HOLE : BLK_BY_ZERO_RANGE;
		r->begun = true;
	}
	req->offset = r->ranges[r->next].offset;
	if (r->how == BLK_BY_WRITE) {
		req->op = BLK_WRITE;
		r->iov = (struct iovec){ zeroes, MIN(r->ranges[r->next].len, sizeof(zeroes)) };
		req->iov = &r->iov;
		req->iov_count = 1;
		return true;
	}
	req->op = BLK_FALLOCATE;
	req->mode = r->how == BLK_BY_HOLE ? HOLE : ZERO_RANGE;
	req->len = r->ranges[r->next].len;
	return true;
}
