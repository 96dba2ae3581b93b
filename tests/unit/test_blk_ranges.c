/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What discard and write-zeroes come to, step by step, on hosts that can do more or less.
 * [virtio-1.2 5.2.6 Device Operation]
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "cmocka_all.h"
#include "core/sys.h"
#include "devices/blk/blk_file.h"
#include "devices/blk/blk_ranges.h"

#define CAPACITY   0x1000000ull
#define HOLE       (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define ZERO_RANGE (FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE)

static struct {
	bool block;
	int fallocate_error;
	const char *zeroes, *discard, *granularity; /* of the device's queue; NULL: not there */
	int64_t hole_offset, hole_len;
} host;

int __wrap_fallocate64(int fd, int mode, off_t offset, off_t len);
int __wrap_fstat64(int fd, struct stat *st);
int __wrap_sys_read_text(const char *path, char *buf, size_t size);

int __wrap_fallocate64(int fd, int mode, off_t offset, off_t len)
{
	(void)fd;
	assert_int_equal(mode, HOLE);
	host.hole_offset = offset;
	host.hole_len = len;
	errno = host.fallocate_error;
	return errno ? -1 : 0;
}

int __wrap_fstat64(int fd, struct stat *st)
{
	(void)fd;
	*st = (struct stat){ .st_mode = host.block ? S_IFBLK : S_IFREG, .st_rdev = makedev(8, 3) };
	return 0;
}

int __wrap_sys_read_text(const char *path, char *buf, size_t size)
{
	const char *text = strstr(path, "write_zeroes_max") ? host.zeroes
			   : strstr(path, "discard_max")    ? host.discard
							    : host.granularity;

	(void)size;
	assert_memory_equal(path, "/sys/dev/block/8:3/", 19);
	if (!text || !strstr(path, "/../")) /* a partition */
		return -ENOENT;
	strcpy(buf, text);
	return 0;
}

static bool holes;
static uint32_t block; /* in sectors */

static uint8_t parse(struct blk_ranges *r, uint32_t type,
		     const struct virtio_blk_discard_write_zeroes *given, size_t len)
{
	const struct iovec iov = { (void *)(uintptr_t)given, len };

	return blk_ranges_parse(r, type, &iov, 1, holes, CAPACITY, block);
}

static uint8_t parse_one(struct blk_ranges *r, uint32_t type, uint64_t sector, uint32_t sectors,
			 uint32_t flags)
{
	const struct virtio_blk_discard_write_zeroes given = { sector, sectors, flags };

	return parse(r, type, &given, sizeof(given));
}

static void hostile_ranges_are_refused(void **state)
{
	static const struct {
		uint32_t type;
		uint64_t sector;
		uint32_t sectors, flags;
		uint8_t status;
	} cases[] = {
		{ VIRTIO_BLK_T_DISCARD, CAPACITY, 1, 0, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_DISCARD, CAPACITY - 7, 8, 0, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_DISCARD, UINT64_MAX, 2, 0, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_DISCARD, 1ull << 55, 2, 0, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_DISCARD, 0, BLK_DISCARD_MAX + 1, 0, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_DISCARD, 0, UINT32_MAX, 0, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_DISCARD, 0, 8, 1, VIRTIO_BLK_S_UNSUPP },
		{ VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 2, VIRTIO_BLK_S_UNSUPP },
		{ VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 0x80000001, VIRTIO_BLK_S_UNSUPP },
		{ VIRTIO_BLK_T_WRITE_ZEROES, 0, BLK_ZEROES_MAX + 1, 0, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_WRITE_ZEROES, CAPACITY - 8, 8, 1, VIRTIO_BLK_S_OK },
		{ VIRTIO_BLK_T_DISCARD, 0, BLK_DISCARD_MAX, 0, VIRTIO_BLK_S_OK },
	};
	struct virtio_blk_discard_write_zeroes many[BLK_RANGES_MAX + 1] = { 0 };
	struct blk_ranges r;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(parse_one(&r, cases[i].type, cases[i].sector, cases[i].sectors,
					   cases[i].flags),
				 cases[i].status);
	assert_int_equal(parse(&r, VIRTIO_BLK_T_DISCARD, many, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(parse(&r, VIRTIO_BLK_T_DISCARD, many, 15), VIRTIO_BLK_S_IOERR);
	assert_int_equal(parse(&r, VIRTIO_BLK_T_DISCARD, many, 17), VIRTIO_BLK_S_IOERR);
	assert_int_equal(parse(&r, VIRTIO_BLK_T_DISCARD, many, sizeof(many)), VIRTIO_BLK_S_IOERR);
	assert_int_equal(parse(&r, VIRTIO_BLK_T_DISCARD, many, sizeof(many) - sizeof(many[0])),
			 VIRTIO_BLK_S_OK);
	assert_int_equal(r.count, 0); /* all of them are empty */
}

/* Of a disk whose blocks are larger, less than a block does not exist. */
static void parts_of_blocks_are_refused(void **state)
{
	static const uint32_t types[] = { VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES };
	struct blk_ranges r;

	(void)state;
	block = 8;
	for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
		assert_int_equal(parse_one(&r, types[i], 8, 16, 0), VIRTIO_BLK_S_OK);
		assert_int_equal(parse_one(&r, types[i], 8, 15, 0), VIRTIO_BLK_S_IOERR);
		assert_int_equal(parse_one(&r, types[i], 9, 8, 0), VIRTIO_BLK_S_IOERR);
		assert_int_equal(parse_one(&r, types[i], 12, 0, 0), VIRTIO_BLK_S_IOERR);
	}
}

static void assert_step(struct blk_ranges *r, struct blk_request *req, int error, enum blk_op op,
			int mode, uint64_t offset, uint64_t len)
{
	assert_true(blk_ranges_next(r, req, &error));
	assert_int_equal(req->op, op);
	if (op == BLK_FLUSH)
		return;
	assert_int_equal(req->offset, offset);
	assert_int_equal(op == BLK_WRITE ? req->iov[0].iov_len : req->len, len);
	if (op == BLK_FALLOCATE)
		assert_int_equal(req->mode, mode);
}

static void assert_end(struct blk_ranges *r, struct blk_request *req, int error, int result)
{
	assert_false(blk_ranges_next(r, req, &error));
	assert_int_equal(error, result);
}

static void ranges_are_discarded_one_after_the_other(void **state)
{
	const struct virtio_blk_discard_write_zeroes given[] = { { 8, 16, 0 },
								 { 100, 0, 0 },
								 { 4096, BLK_DISCARD_MAX, 0 } };
	struct blk_ranges r;
	struct blk_request req;

	(void)state;
	assert_int_equal(parse(&r, VIRTIO_BLK_T_DISCARD, given, sizeof(given)), VIRTIO_BLK_S_OK);
	assert_step(&r, &req, 0, BLK_FALLOCATE, HOLE, 8 * 512, 16 * 512);
	assert_step(&r, &req, 0, BLK_FALLOCATE, HOLE, 4096 * 512, 1ull << 30);
	assert_end(&r, &req, 0, 0);
}

static void discard_that_the_host_cannot_do_is_no_error(void **state)
{
	const struct virtio_blk_discard_write_zeroes given[] = { { 8, 16, 0 }, { 64, 8, 0 } };
	struct blk_ranges r;
	struct blk_request req;

	(void)state;
	assert_int_equal(parse(&r, VIRTIO_BLK_T_DISCARD, given, sizeof(given)), VIRTIO_BLK_S_OK);
	assert_step(&r, &req, 0, BLK_FALLOCATE, HOLE, 8 * 512, 16 * 512);
	assert_step(&r, &req, -EINVAL, BLK_FALLOCATE, HOLE, 64 * 512, 8 * 512);
	assert_end(&r, &req, -EOPNOTSUPP, 0);
	/* The host has the pages of the range in use. */
	assert_int_equal(parse(&r, VIRTIO_BLK_T_DISCARD, given, sizeof(given)), VIRTIO_BLK_S_OK);
	assert_step(&r, &req, 0, BLK_FALLOCATE, HOLE, 8 * 512, 16 * 512);
	assert_step(&r, &req, -EBUSY, BLK_FALLOCATE, HOLE, 64 * 512, 8 * 512);
	assert_end(&r, &req, 0, 0);
	/* But a bad disk is. */
	assert_int_equal(parse(&r, VIRTIO_BLK_T_DISCARD, given, sizeof(given)), VIRTIO_BLK_S_OK);
	assert_step(&r, &req, 0, BLK_FALLOCATE, HOLE, 8 * 512, 16 * 512);
	assert_end(&r, &req, -EIO, -EIO);
}

static void zeroes_by_the_best_means_of_the_host(void **state)
{
	struct blk_ranges r;
	struct blk_request req;
	const uint32_t sectors = 300; /* two writes of 64 KiB and a rest */

	(void)state;
	/* They may be unmapped, or must not. */
	assert_int_equal(parse_one(&r, VIRTIO_BLK_T_WRITE_ZEROES, 8, sectors, 1), 0);
	assert_step(&r, &req, 0, BLK_FALLOCATE, HOLE, 4096, 300 * 512);
	assert_end(&r, &req, 0, 0);
	assert_int_equal(parse_one(&r, VIRTIO_BLK_T_WRITE_ZEROES, 8, sectors, 0), 0);
	assert_step(&r, &req, 0, BLK_FALLOCATE, ZERO_RANGE, 4096, 300 * 512);
	assert_end(&r, &req, 0, 0);

	assert_int_equal(parse_one(&r, VIRTIO_BLK_T_WRITE_ZEROES, 8, sectors, 1), 0);
	r.durable = true;
	assert_step(&r, &req, 0, BLK_FALLOCATE, HOLE, 4096, 300 * 512);
	assert_step(&r, &req, -EOPNOTSUPP, BLK_FALLOCATE, ZERO_RANGE, 4096, 300 * 512);
	assert_step(&r, &req, -EOPNOTSUPP, BLK_WRITE, 0, 4096, 64 * KiB);
	for (unsigned i = 0; i < 64 * KiB; i++)
		assert_int_equal(((uint8_t *)req.iov[0].iov_base)[i], 0);
	assert_step(&r, &req, 0, BLK_WRITE, 0, 4096 + 64 * KiB, 64 * KiB);
	assert_step(&r, &req, 0, BLK_WRITE, 0, 4096 + 128 * KiB, 300 * 512 - 128 * KiB);
	assert_step(&r, &req, 0, BLK_FLUSH, 0, 0, 0);
	assert_end(&r, &req, 0, 0);

	assert_int_equal(parse_one(&r, VIRTIO_BLK_T_WRITE_ZEROES, 8, 8, 1), 0);
	assert_step(&r, &req, 0, BLK_FALLOCATE, HOLE, 4096, 4096);
	assert_step(&r, &req, -EBUSY, BLK_FALLOCATE, ZERO_RANGE, 4096, 4096);
	assert_step(&r, &req, -EBUSY, BLK_WRITE, 0, 4096, 4096);
	assert_end(&r, &req, 0, 0);

	/* Without holes. */
	holes = false;
	assert_int_equal(parse_one(&r, VIRTIO_BLK_T_WRITE_ZEROES, 8, 8, 1), 0);
	assert_step(&r, &req, 0, BLK_FALLOCATE, ZERO_RANGE, 4096, 4096);
	assert_step(&r, &req, -EINVAL, BLK_WRITE, 0, 4096, 4096);
	assert_end(&r, &req, -ENOSPC, -ENOSPC);
}

static void error_of_the_flush_at_the_end(void **state)
{
	struct blk_ranges r;
	struct blk_request req;

	(void)state;
	assert_int_equal(parse_one(&r, VIRTIO_BLK_T_WRITE_ZEROES, 8, 8, 1), 0);
	r.durable = true;
	assert_step(&r, &req, 0, BLK_FALLOCATE, HOLE, 4096, 4096);
	assert_step(&r, &req, 0, BLK_FLUSH, 0, 0, 0);
	assert_end(&r, &req, -EIO, -EIO);
}

static void file_is_tried_behind_its_end(void **state)
{
	const struct blk_file file = { .fd = 3, .size = 10000, .topology = { 512, 4096, 0, 0, 0 } };
	struct blk_file read_only = file;

	(void)state;
	memset(&host, 0, sizeof(host));
	assert_int_equal(blk_ranges_probe(&file), 4096);
	assert_int_equal(host.hole_offset, 12288);
	assert_int_equal(host.hole_len, 4096);
	host.fallocate_error = EOPNOTSUPP;
	assert_int_equal(blk_ranges_probe(&file), 0);
	host.fallocate_error = 0;
	read_only.read_only = true;
	assert_int_equal(blk_ranges_probe(&read_only), 0);
}

static void device_tells_what_it_can(void **state)
{
	const struct blk_file file = { .fd = 3, .size = 8192, .topology = { 512, 4096, 0, 0, 0 } };

	(void)state;
	memset(&host, 0, sizeof(host));
	host.block = true;
	assert_int_equal(blk_ranges_probe(&file), 0);
	host.discard = "2147483136";
	assert_int_equal(blk_ranges_probe(&file), 0); /* holes would have to be written */
	host.zeroes = "0";
	assert_int_equal(blk_ranges_probe(&file), 0);
	host.zeroes = "2147483136";
	assert_int_equal(blk_ranges_probe(&file), 4096);
	host.granularity = "65536";
	assert_int_equal(blk_ranges_probe(&file), 65536);
	host.granularity = "512";
	assert_int_equal(blk_ranges_probe(&file), 4096);
	host.granularity = "1000000000";
	assert_int_equal(blk_ranges_probe(&file), 4096);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

static int setup(void **state)
{
	(void)state;
	holes = true;
	block = 1;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(hostile_ranges_are_refused),
		TEST(parts_of_blocks_are_refused),
		TEST(ranges_are_discarded_one_after_the_other),
		TEST(discard_that_the_host_cannot_do_is_no_error),
		TEST(zeroes_by_the_best_means_of_the_host),
		TEST(error_of_the_flush_at_the_end),
		TEST(file_is_tried_behind_its_end),
		TEST(device_tells_what_it_can),
	};

	return cmocka_run_group_tests_name("blk_ranges", tests, NULL, NULL);
}
