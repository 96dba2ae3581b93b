/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk whose image grows and shrinks while the guest runs. [virtio-1.2 5.2.5 Device
 * Initialization, 5.2.6.1]
 */
#include <linux/virtio_pci.h>
#include <unistd.h>

#include "blk_guest.h"
#include "cmocka_all.h"

static uint64_t capacity(struct blk_guest *f)
{
	return virtio_guest_read(&f->guest,
				 f->guest.device_cfg + offsetof(struct virtio_blk_config, capacity),
				 8);
}

static void resize(struct blk_guest *f, uint64_t bytes)
{
	assert_int_equal(truncate(f->path, (off_t)bytes), 0);
	assert_true(virtio_guest_wait_vector(&f->guest, 0, BLK_TIMEOUT));
	(void)virtio_guest_read(&f->guest, f->guest.isr, 1);
}

static void growth_is_told_and_can_be_used(void **state)
{
	struct blk_guest *f = *state;
	uint64_t generation;
	uint32_t used;

	blk_guest_drive(f, BLK_F_FLUSH);
	generation = virtio_guest_get(&f->guest, VIRTIO_PCI_COMMON_CFGGENERATION, 1);
	assert_int_equal(blk_guest_request(f, VIRTIO_BLK_T_IN, BLK_SECTORS, BLK_DATA, BLK_SECTOR,
					   &used),
			 VIRTIO_BLK_S_IOERR);
	resize(f, 2 * BLK_IMAGE_SIZE + 100);
	assert_int_not_equal(virtio_guest_get(&f->guest, VIRTIO_PCI_COMMON_CFGGENERATION, 1),
			     generation);
	assert_int_equal(capacity(f), 2 * BLK_SECTORS); /* the odd bytes are of no use */
	assert_int_equal(blk_guest_request(f, VIRTIO_BLK_T_OUT, 2 * BLK_SECTORS - 1, BLK_DATA,
					   BLK_SECTOR, &used),
			 VIRTIO_BLK_S_OK);
	assert_int_equal(blk_guest_request(f, VIRTIO_BLK_T_IN, 2 * BLK_SECTORS, BLK_DATA,
					   BLK_SECTOR, &used),
			 VIRTIO_BLK_S_IOERR);
	blk_guest_assert_read_ok(f);
}

static void what_was_cut_off_is_an_error(void **state)
{
	struct blk_guest *f = *state;
	uint32_t used;

	blk_guest_drive(f, BLK_F_FLUSH);
	resize(f, BLK_IMAGE_SIZE / 2);
	assert_int_equal(capacity(f), BLK_SECTORS / 2);
	/* A write would make the file larger again, with zeroes where data was. */
	assert_int_equal(blk_guest_request(f, VIRTIO_BLK_T_OUT, BLK_SECTORS - 1, BLK_DATA,
					   BLK_SECTOR, &used),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(blk_guest_request(f, VIRTIO_BLK_T_IN, BLK_SECTORS / 2, BLK_DATA,
					   BLK_SECTOR, &used),
			 VIRTIO_BLK_S_IOERR);
	blk_guest_assert_read_ok(f);

	resize(f, 0);
	assert_int_equal(capacity(f), 0);
	assert_int_equal(blk_guest_request(f, VIRTIO_BLK_T_IN, 0, BLK_DATA, BLK_SECTOR, &used),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(blk_guest_request(f, VIRTIO_BLK_T_FLUSH, 0, 0, 0, &used), VIRTIO_BLK_S_OK);
}

/* The next driver, of the kernel behind the firmware, say, reads the new size like any other. */
static void size_stays_over_a_reset(void **state)
{
	struct blk_guest *f = *state;

	blk_guest_drive(f, 0);
	resize(f, 2 * BLK_IMAGE_SIZE);
	f->guest.dev->device.ops->reset(&f->guest.dev->device);
	virtio_guest_map_bar(&f->guest, VIRTIO_GUEST_BAR);
	blk_guest_drive(f, 0);
	assert_int_equal(capacity(f), 2 * BLK_SECTORS);
	resize(f, BLK_IMAGE_SIZE);
	assert_int_equal(capacity(f), BLK_SECTORS);
	blk_guest_assert_read_ok(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, blk_guest_setup, blk_guest_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(growth_is_told_and_can_be_used),
		TEST(what_was_cut_off_is_an_error),
		TEST(size_stays_over_a_reset),
	};

	return cmocka_run_group_tests_name("virtio_blk_resize", tests, NULL, NULL);
}
