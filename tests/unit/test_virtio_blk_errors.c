/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The block device's answer to requests that cannot be served: by the driver's fault, or the
 * host's. [virtio-1.2 5.2 Block Device]
 */
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <sys/resource.h>
#include <unistd.h>

#include "blk_guest.h"
#include "cmocka_all.h"

static void unsupported_type(void **state)
{
	static const uint32_t types[] = { 2, VIRTIO_BLK_T_SECURE_ERASE, 0x80000001, UINT32_MAX };
	struct blk_guest *f = *state;
	uint32_t used;

	blk_guest_drive(f, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(types); i++)
		assert_int_equal(blk_guest_request(f, types[i], 0, BLK_DATA, BLK_SECTOR, &used),
				 VIRTIO_BLK_S_UNSUPP);
	blk_guest_assert_read_ok(f);
}

static void out_of_range_or_not_whole_sectors(void **state)
{
	static const struct {
		uint64_t sector;
		uint32_t len;
	} bad[] = {
		{ BLK_SECTORS, BLK_SECTOR }, { BLK_SECTORS - 1, 2 * BLK_SECTOR },
		{ UINT64_MAX, BLK_SECTOR },  { UINT64_MAX / 512, BLK_SECTOR },
		{ 1ull << 55, BLK_SECTOR },  { 0, 511 },
		{ 0, BLK_SECTOR + 1 },       { 0, BLK_IMAGE_SIZE + BLK_SECTOR },
	};
	struct blk_guest *f = *state;
	uint32_t used;

	blk_guest_drive(f, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(blk_guest_request(f, VIRTIO_BLK_T_IN, bad[i].sector, BLK_DATA,
						   bad[i].len, &used),
				 VIRTIO_BLK_S_IOERR);
		assert_int_equal(used, 0); /* no data came */
		assert_int_equal(blk_guest_request(f, VIRTIO_BLK_T_OUT, bad[i].sector, BLK_DATA,
						   bad[i].len, &used),
				 VIRTIO_BLK_S_IOERR);
	}
	blk_guest_assert_image(f);
	/* Nothing, at the end, is a request like any other. */
	assert_int_equal(blk_guest_request(f, VIRTIO_BLK_T_IN, BLK_SECTORS, 0, 0, &used),
			 VIRTIO_BLK_S_OK);
	assert_int_equal(used, 1);
}

static void read_only_disk_is_never_written(void **state)
{
	struct blk_guest *f = *state;
	uint32_t used;

	assert_int_equal(blk_guest_plug(f, true, NULL), 0);
	assert_true(blk_guest_features(f) & 1u << VIRTIO_BLK_F_RO);
	/* Whether the driver took notice or not. */
	blk_guest_drive(f, 0);
	assert_int_equal(blk_guest_request(f, VIRTIO_BLK_T_OUT, 0, BLK_DATA, BLK_SECTOR, &used),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(blk_guest_request(f, VIRTIO_BLK_T_FLUSH, 0, 0, 0, &used), VIRTIO_BLK_S_OK);
	blk_guest_assert_read_ok(f);
	blk_guest_assert_image(f);
}

static void header_cut_short(void **state)
{
	struct blk_guest *f = *state;
	uint16_t head;

	blk_guest_drive(f, 0);
	blk_guest_put_header(f, 0, VIRTIO_BLK_T_IN, 0);
	head = vring_driver_add(&f->drv,
				(struct vring_buf[]){ { blk_guest_header_gpa(0), 15, false },
						      { blk_guest_status_gpa(0), 1, true } },
				2);
	blk_guest_finish(f, head);
	assert_int_equal(blk_guest_status(f, 0), VIRTIO_BLK_S_IOERR);
	blk_guest_put_header(f, 0, VIRTIO_BLK_T_IN, 0);
	head = vring_driver_add(&f->drv, &(struct vring_buf){ blk_guest_status_gpa(0), 1, true },
				1);
	blk_guest_finish(f, head);
	assert_int_equal(blk_guest_status(f, 0), VIRTIO_BLK_S_IOERR);
	blk_guest_assert_read_ok(f);
}

static void flush_is_a_flush_unless_told_otherwise(void **state)
{
	struct blk_guest *f = *state;
	static const struct {
		enum blk_cache cache;
		uint8_t status;
	} modes[] = { { BLK_CACHE_WRITEBACK, VIRTIO_BLK_S_IOERR },
		      { BLK_CACHE_UNSAFE, VIRTIO_BLK_S_OK } };
	uint32_t used;

	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
		f->cache = modes[i].cache;
		assert_int_equal(blk_guest_plug(f, false, NULL), 0);
		blk_guest_drive(f, BLK_F_FLUSH);
		close(blk_guest_make_reads_wait(f)); /* a pipe, which cannot be flushed */
		assert_int_equal(blk_guest_request(f, VIRTIO_BLK_T_FLUSH, 0, 0, 0, &used),
				 modes[i].status);
		virtio_guest_unplug(&f->guest);
	}
}

/* The host says once that it lost a write; the guest hears it of every flush from then on. */
static void flush_that_failed_once_fails_until_the_driver_starts_anew(void **state)
{
	struct blk_guest *f = *state;
	uint32_t used;

	blk_guest_drive(f, BLK_F_FLUSH);
	close(blk_guest_make_reads_wait(f)); /* a pipe, which cannot be flushed */
	assert_int_equal(blk_guest_request(f, VIRTIO_BLK_T_FLUSH, 0, 0, 0, &used),
			 VIRTIO_BLK_S_IOERR);
	blk_guest_give_file_back(f);
	blk_guest_assert_read_ok(f);
	assert_int_equal(blk_guest_request(f, VIRTIO_BLK_T_FLUSH, 0, 0, 0, &used),
			 VIRTIO_BLK_S_IOERR);
	blk_guest_drive(f, BLK_F_FLUSH);
	assert_int_equal(blk_guest_request(f, VIRTIO_BLK_T_FLUSH, 0, 0, 0, &used), VIRTIO_BLK_S_OK);
}

static void status_byte_missing(void **state)
{
	struct blk_guest *f = *state;

	blk_guest_drive(f, 0);
	blk_guest_put_header(f, 0, VIRTIO_BLK_T_IN, 0);
	vring_driver_add(&f->drv, &(struct vring_buf){ blk_guest_header_gpa(0), 16, false }, 1);
	blk_guest_ring(f);
	/* Nowhere to say so but here. */
	assert_true(virtio_guest_wait_vector(&f->guest, 0, BLK_TIMEOUT));
	assert_true(virtio_guest_get(&f->guest, VIRTIO_PCI_COMMON_STATUS, 1) &
		    VIRTIO_CONFIG_S_NEEDS_RESET);
	blk_guest_drive(f, 0);
	blk_guest_assert_read_ok(f);
}

static void truncated_image(void **state)
{
	struct blk_guest *f = *state;
	uint32_t used;

	blk_guest_drive(f, 0);
	assert_int_equal(truncate(f->path, 10 * BLK_SECTOR + 100), 0);
	assert_int_equal(blk_guest_request(f, VIRTIO_BLK_T_IN, 20, BLK_DATA, BLK_SECTOR, &used),
			 VIRTIO_BLK_S_IOERR);
	/* Across the end: the first part arrives, then there is nothing more. */
	assert_int_equal(blk_guest_request(f, VIRTIO_BLK_T_IN, 8, BLK_DATA, 4 * BLK_SECTOR, &used),
			 VIRTIO_BLK_S_IOERR);
	blk_guest_assert_read_ok(f);
}

static void short_write_is_continued_until_the_host_refuses(void **state)
{
	struct blk_guest *f = *state;
	struct rlimit old, tight;
	uint8_t got[BLK_SECTOR];
	uint32_t used;
	int fd;

	blk_guest_drive(f, 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	tight = old;
	tight.rlim_cur = 21 * BLK_SECTOR; /* the second sector of the request does not fit */
	memset(blk_guest_ram(f, BLK_DATA), 0x66, 2 * BLK_SECTOR);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
	assert_int_equal(blk_guest_request(f, VIRTIO_BLK_T_OUT, 20, BLK_DATA, 2 * BLK_SECTOR,
					   &used),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	fd = open(f->path, O_RDONLY);
	assert_int_equal(pread(fd, got, BLK_SECTOR, 20 * BLK_SECTOR), BLK_SECTOR);
	assert_memory_equal(got, blk_guest_ram(f, BLK_DATA), BLK_SECTOR);
	close(fd);
	assert_int_equal(blk_guest_request(f, VIRTIO_BLK_T_OUT, 20, BLK_DATA, 2 * BLK_SECTOR,
					   &used),
			 VIRTIO_BLK_S_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, blk_guest_setup, blk_guest_teardown)
#define TEST_BARE(name) \
	cmocka_unit_test_setup_teardown(name, blk_guest_setup_bare, blk_guest_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(unsupported_type),
		TEST(out_of_range_or_not_whole_sectors),
		TEST_BARE(read_only_disk_is_never_written),
		TEST(header_cut_short),
		TEST_BARE(flush_is_a_flush_unless_told_otherwise),
		TEST(flush_that_failed_once_fails_until_the_driver_starts_anew),
		TEST(status_byte_missing),
		TEST(truncated_image),
		TEST(short_write_is_continued_until_the_host_refuses),
	};

	return cmocka_run_group_tests_name("virtio_blk_errors", tests, NULL, NULL);
}
