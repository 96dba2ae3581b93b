/* SPDX-License-Identifier: Apache-2.0 */
/* Discard and write-zeroes as a driver sees them. [virtio-1.2 5.2.6 Device Operation] */
#include <linux/virtio_pci.h>
#include <sys/stat.h>

#include "blk_guest.h"
#include "cmocka_all.h"

static uint64_t config(struct blk_guest *f, unsigned off, unsigned len)
{
	return virtio_guest_read(&f->guest, f->guest.device_cfg + off, len);
}

static void put_range(struct blk_guest *f, unsigned i, uint64_t sector, uint32_t sectors,
		      uint32_t flags)
{
	const struct virtio_blk_discard_write_zeroes range = { sector, sectors, flags };

	memcpy(blk_guest_ram(f, BLK_DATA + i * sizeof(range)), &range, sizeof(range));
}

/* The data of these requests is the driver's, as of a write. */
static uint8_t range_request(struct blk_guest *f, uint32_t type, unsigned ranges)
{
	const struct vring_buf bufs[] = {
		{ blk_guest_header_gpa(0), sizeof(struct virtio_blk_outhdr), false },
		{ BLK_DATA, ranges * sizeof(struct virtio_blk_discard_write_zeroes), false },
		{ blk_guest_status_gpa(0), 1, true },
	};

	blk_guest_put_header(f, 0, type, 0);
	assert_int_equal(blk_guest_finish(f, vring_driver_add(&f->drv, bufs, 3)), 1);
	return blk_guest_status(f, 0);
}

static uint64_t blocks_used(const struct blk_guest *f)
{
	struct stat st;

	assert_int_equal(stat(f->path, &st), 0);
	return (uint64_t)st.st_blocks;
}

static void zeroes_are_written_without_data(void **state)
{
	static const uint64_t modes[] = { 0, BLK_F_FLUSH };
	struct blk_guest *f = *state;
	uint64_t before;

	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
		blk_guest_drive(f, modes[i] | 1u << VIRTIO_BLK_F_WRITE_ZEROES);
		before = blocks_used(f);
		/* Parts of blocks, which must not be unmapped. */
		put_range(f, 0, 1000 + i, 100, 0);
		put_range(f, 1, 2000, 0, 0);
		put_range(f, 2, BLK_SECTORS - 1 - i, 1, 0);
		memset(f->image + (1000 + i) * BLK_SECTOR, 0, 100 * BLK_SECTOR);
		memset(f->image + (BLK_SECTORS - 1 - i) * BLK_SECTOR, 0, BLK_SECTOR);
		assert_int_equal(range_request(f, VIRTIO_BLK_T_WRITE_ZEROES, 3), VIRTIO_BLK_S_OK);
		blk_guest_assert_image(f);
		assert_true(blocks_used(f) >= before);
	}
}

static void discarded_ranges_become_holes(void **state)
{
	struct blk_guest *f = *state;
	uint64_t before;

	if (!(blk_guest_features(f) & 1u << VIRTIO_BLK_F_DISCARD))
		skip(); /* /tmp has no holes here */
	blk_guest_drive(f, BLK_F_FLUSH | 1u << VIRTIO_BLK_F_DISCARD);
	assert_int_equal(config(f, offsetof(struct virtio_blk_config, write_zeroes_may_unmap), 1),
			 1);
	assert_true(config(f, offsetof(struct virtio_blk_config, discard_sector_alignment), 4) >=
		    1);
	before = blocks_used(f);
	put_range(f, 0, 1024, 1024, 0);
	put_range(f, 1, 4096, 512, 0);
	memset(f->image + 1024 * BLK_SECTOR, 0, 1024 * BLK_SECTOR);
	memset(f->image + 4096 * BLK_SECTOR, 0, 512 * BLK_SECTOR);
	assert_int_equal(range_request(f, VIRTIO_BLK_T_DISCARD, 2), VIRTIO_BLK_S_OK);
	blk_guest_assert_image(f);
	assert_int_equal(blocks_used(f), before - 1024 - 512);
	/* And zeroes that may be a hole. */
	put_range(f, 0, 2048, 1024, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP);
	memset(f->image + 2048 * BLK_SECTOR, 0, 1024 * BLK_SECTOR);
	assert_int_equal(range_request(f, VIRTIO_BLK_T_WRITE_ZEROES, 1), VIRTIO_BLK_S_OK);
	blk_guest_assert_image(f);
	assert_int_equal(blocks_used(f), before - 2048 - 512);
}

static void disk_without_discard_keeps_its_space(void **state)
{
	struct blk_guest *f = *state;
	uint64_t before;

	f->no_discard = true;
	assert_int_equal(blk_guest_plug(f, false, NULL), 0);
	assert_false(blk_guest_features(f) & 1u << VIRTIO_BLK_F_DISCARD);
	blk_guest_drive(f, BLK_F_FLUSH | 1u << VIRTIO_BLK_F_WRITE_ZEROES);
	assert_int_equal(config(f, offsetof(struct virtio_blk_config, write_zeroes_may_unmap), 1),
			 0);
	before = blocks_used(f);
	put_range(f, 0, 0, 1024, 0);
	assert_int_equal(range_request(f, VIRTIO_BLK_T_DISCARD, 1), VIRTIO_BLK_S_UNSUPP);
	blk_guest_assert_image(f);
	put_range(f, 0, 2048, 1024, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP);
	memset(f->image + 2048 * BLK_SECTOR, 0, 1024 * BLK_SECTOR);
	assert_int_equal(range_request(f, VIRTIO_BLK_T_WRITE_ZEROES, 1), VIRTIO_BLK_S_OK);
	blk_guest_assert_image(f);
	assert_true(blocks_used(f) >= before);
}

static void ranges_of_a_read_only_disk_are_refused(void **state)
{
	struct blk_guest *f = *state;

	assert_int_equal(blk_guest_plug(f, true, NULL), 0);
	assert_false(blk_guest_features(f) &
		     (1u << VIRTIO_BLK_F_DISCARD | 1u << VIRTIO_BLK_F_WRITE_ZEROES));
	blk_guest_drive(f, 0);
	put_range(f, 0, 0, 8, 0);
	assert_int_equal(range_request(f, VIRTIO_BLK_T_DISCARD, 1), VIRTIO_BLK_S_IOERR);
	assert_int_equal(range_request(f, VIRTIO_BLK_T_WRITE_ZEROES, 1), VIRTIO_BLK_S_IOERR);
	blk_guest_assert_image(f);
}

static void hostile_ranges(void **state)
{
	struct blk_guest *f = *state;

	blk_guest_drive(f, BLK_F_FLUSH);
	put_range(f, 0, BLK_SECTORS - 1, 2, 0);
	assert_int_equal(range_request(f, VIRTIO_BLK_T_WRITE_ZEROES, 1), VIRTIO_BLK_S_IOERR);
	/* A good one before it is not begun either. */
	put_range(f, 0, 0, 8, 0);
	put_range(f, 1, UINT64_MAX, UINT32_MAX, 0);
	assert_int_equal(range_request(f, VIRTIO_BLK_T_WRITE_ZEROES, 2), VIRTIO_BLK_S_IOERR);
	put_range(f, 1, 8, 8, 0x10);
	assert_int_equal(range_request(f, VIRTIO_BLK_T_WRITE_ZEROES, 2), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(range_request(f, VIRTIO_BLK_T_WRITE_ZEROES, 100), VIRTIO_BLK_S_IOERR);
	blk_guest_assert_image(f);
	blk_guest_assert_read_ok(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, blk_guest_setup, blk_guest_teardown)
#define TEST_BARE(name) \
	cmocka_unit_test_setup_teardown(name, blk_guest_setup_bare, blk_guest_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(zeroes_are_written_without_data),
		TEST(discarded_ranges_become_holes),
		TEST_BARE(disk_without_discard_keeps_its_space),
		TEST_BARE(ranges_of_a_read_only_disk_are_refused),
		TEST(hostile_ranges),
	};

	return cmocka_run_group_tests_name("virtio_blk_ranges", tests, NULL, NULL);
}
