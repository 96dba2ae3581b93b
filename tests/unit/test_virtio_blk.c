/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The block device as a driver sees it: its configuration, and requests that succeed.
 * [virtio-1.2 5.2 Block Device]
 */
#include <fcntl.h>
#include <linux/virtio_pci.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "blk_guest.h"
#include "cmocka_all.h"
#include "core/err.h"
#include "devices/blk/blk_file.h"
#include "devices/blk/virtio_blk.h"

/* --- configuration --- */

static uint64_t config(struct blk_guest *f, unsigned off, unsigned len)
{
	return virtio_guest_read(&f->guest, f->guest.device_cfg + off, len);
}

static void identity_and_configuration(void **state)
{
	struct blk_guest *f = *state;

	assert_int_equal(virtio_guest_config_read(&f->guest, PCI_VENDOR_ID, 4), 0x10421af4);
	assert_int_equal(virtio_guest_config_read(&f->guest, PCI_CLASS_REVISION, 4) >> 24, 1);
	/* With discard or without: /tmp may have no holes here. */
	assert_int_equal(blk_guest_features(f) & ~(1u << VIRTIO_BLK_F_DISCARD),
			 BLK_F_FLUSH | F_EVENT_IDX | F_INDIRECT | 1u << VIRTIO_BLK_F_SEG_MAX |
				 1u << VIRTIO_BLK_F_BLK_SIZE | 1u << VIRTIO_BLK_F_TOPOLOGY |
				 1u << VIRTIO_BLK_F_MQ | 1u << VIRTIO_BLK_F_WRITE_ZEROES);
	assert_int_equal(config(f, offsetof(struct virtio_blk_config, capacity), 8), BLK_SECTORS);
	assert_int_equal(config(f, offsetof(struct virtio_blk_config, seg_max), 4), BLK_QUEUE - 2);
	assert_int_equal(config(f, offsetof(struct virtio_blk_config, blk_size), 4), BLK_SECTOR);
	assert_int_equal(config(f, offsetof(struct virtio_blk_config, physical_block_exp), 1), 3);
	assert_int_equal(config(f, offsetof(struct virtio_blk_config, num_queues), 2), 1);
	assert_int_equal(virtio_guest_get(&f->guest, VIRTIO_PCI_COMMON_Q_SIZE, 2), BLK_QUEUE);
}

static void get_id_is_the_serial_number(void **state)
{
	struct blk_guest *f = *state;
	char first[VIRTIO_BLK_ID_BYTES];
	uint32_t used;

	/* Made from the path: the same at every start, and 20 bytes with no end mark. */
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(blk_guest_plug(f, false, NULL), 0);
		blk_guest_drive(f, 0);
		assert_int_equal(blk_guest_request(f, VIRTIO_BLK_T_GET_ID, 0, BLK_DATA,
						   VIRTIO_BLK_ID_BYTES, &used),
				 VIRTIO_BLK_S_OK);
		assert_int_equal(used, VIRTIO_BLK_ID_BYTES + 1);
		assert_memory_equal(blk_guest_ram(f, BLK_DATA), "tvmm", 4);
		if (i)
			assert_memory_equal(blk_guest_ram(f, BLK_DATA), first, sizeof(first));
		memcpy(first, blk_guest_ram(f, BLK_DATA), sizeof(first));
		virtio_guest_unplug(&f->guest);
	}

	assert_int_equal(blk_guest_plug(f, false, "scratch"), 0);
	blk_guest_drive(f, 0);
	assert_int_equal(blk_guest_request(f, VIRTIO_BLK_T_GET_ID, 0, BLK_DATA, 64, &used),
			 VIRTIO_BLK_S_OK);
	assert_int_equal(used, VIRTIO_BLK_ID_BYTES); /* the status lies behind a gap */
	assert_memory_equal(blk_guest_ram(f, BLK_DATA), "scratch\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
	virtio_guest_unplug(&f->guest);

	assert_int_equal(blk_guest_plug(f, false, "a serial number that is too long"), 0);
	blk_guest_drive(f, 0);
	memset(blk_guest_ram(f, BLK_DATA), 0, 64);
	assert_int_equal(blk_guest_request(f, VIRTIO_BLK_T_GET_ID, 0, BLK_DATA, 64, &used),
			 VIRTIO_BLK_S_OK);
	assert_string_equal((char *)blk_guest_ram(f, BLK_DATA), "a serial number that");
}

static void constructor_says_which_disk_and_why(void **state)
{
	struct blk_guest *f = *state;
	struct blk_file file = { 0 };
	const struct virtio_blk_options options = {
		.path = f->path,
		.file = &file,
		.queues = 3,
		.loops = f->loops,
		.loop_count = BLK_LOOPS,
	};
	struct pci_dev *dev = NULL;
	struct rlimit old, tight;
	int next;

	/* With 0, 1, 2 ... free descriptors it fails at every step, and cleans up. */
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	for (unsigned room = 0;; room++) {
		int r;

		assert_int_equal(blk_file_open(&file, f->path, false, BLK_CACHE_WRITEBACK), 0);
		next = dup(0);
		close(next);
		tight = old;
		tight.rlim_cur = (rlim_t)next + room;
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
		r = virtio_blk_create(&f->guest.board, &options, &dev);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
		if (r == 0)
			break;
		assert_true(room < 20);
		assert_null(dev);
		assert_int_equal(file.size, 0);
		assert_non_null(strstr(err_text(), f->path));
	}
	dev->device.ops->destroy(&dev->device);
}

/* --- requests --- */

static void read_returns_what_the_image_holds(void **state)
{
	struct blk_guest *f = *state;
	uint32_t used;

	blk_guest_drive(f, BLK_F_FLUSH);
	blk_guest_assert_read_ok(f);
	assert_int_equal(blk_guest_request(f, VIRTIO_BLK_T_IN, BLK_SECTORS - 1, BLK_DATA,
					   BLK_SECTOR, &used),
			 VIRTIO_BLK_S_OK);
	assert_memory_equal(blk_guest_ram(f, BLK_DATA), f->image + BLK_IMAGE_SIZE - BLK_SECTOR,
			    BLK_SECTOR);
}

static void write_reaches_the_image(void **state)
{
	static const uint64_t modes[] = { 0, BLK_F_FLUSH }; /* durable writes, and a flush after */
	struct blk_guest *f = *state;
	uint32_t used;

	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
		blk_guest_drive(f, modes[i]);
		memset(blk_guest_ram(f, BLK_DATA), 0x30 + (int)i, 8 * BLK_SECTOR);
		memset(f->image + 100 * BLK_SECTOR, 0x30 + (int)i, 8 * BLK_SECTOR);
		assert_int_equal(blk_guest_request(f, VIRTIO_BLK_T_OUT, 100, BLK_DATA,
						   8 * BLK_SECTOR, &used),
				 VIRTIO_BLK_S_OK);
		assert_int_equal(used, 1);
		assert_int_equal(blk_guest_request(f, VIRTIO_BLK_T_FLUSH, 0, 0, 0, &used),
				 VIRTIO_BLK_S_OK);
		assert_int_equal(used, 1);
		blk_guest_assert_image(f);
	}
}

static void header_split_over_descriptors(void **state)
{
	struct blk_guest *f = *state;
	struct vring_buf bufs[19];
	uint16_t head;

	blk_guest_drive(f, 0);
	blk_guest_put_header(f, 0, VIRTIO_BLK_T_IN, 7);
	for (unsigned i = 0; i < 16; i++)
		bufs[i] = (struct vring_buf){ blk_guest_header_gpa(0) + i, 1, false };
	/* Data in pieces that are no sectors, the status in the last one. */
	bufs[16] = (struct vring_buf){ BLK_DATA + 1, 1, true };
	bufs[17] = (struct vring_buf){ BLK_DATA + 2, 500, true };
	bufs[18] = (struct vring_buf){ BLK_DATA + 502, 12, true };
	*blk_guest_ram(f, BLK_DATA + 513) = BLK_PENDING;
	head = vring_driver_add(&f->drv, bufs, 19);
	assert_int_equal(blk_guest_finish(f, head), BLK_SECTOR + 1);
	assert_memory_equal(blk_guest_ram(f, BLK_DATA + 1), f->image + 7 * BLK_SECTOR, BLK_SECTOR);
	assert_int_equal(*blk_guest_ram(f, BLK_DATA + 513), VIRTIO_BLK_S_OK);
}

static void header_and_data_in_one_descriptor(void **state)
{
	struct blk_guest *f = *state;
	struct virtio_blk_outhdr hdr = { .type = VIRTIO_BLK_T_OUT, .sector = 9 };
	uint16_t head;

	blk_guest_drive(f, 0);
	memcpy(blk_guest_ram(f, BLK_DATA), &hdr, sizeof(hdr));
	memset(blk_guest_ram(f, BLK_DATA + sizeof(hdr)), 0x77, BLK_SECTOR);
	memset(f->image + 9 * BLK_SECTOR, 0x77, BLK_SECTOR);
	head = vring_driver_add(&f->drv,
				(struct vring_buf[]){ { BLK_DATA, sizeof(hdr) + BLK_SECTOR, false },
						      { blk_guest_status_gpa(0), 1, true } },
				2);
	assert_int_equal(blk_guest_finish(f, head), 1);
	assert_int_equal(blk_guest_status(f, 0), VIRTIO_BLK_S_OK);
	blk_guest_assert_image(f);
}

static void indirect_request_of_the_most_segments(void **state)
{
	struct blk_guest *f = *state;
	struct vring_buf bufs[BLK_QUEUE];
	uint16_t head;

	blk_guest_drive(f, F_INDIRECT | F_EVENT_IDX);
	blk_guest_put_header(f, 0, VIRTIO_BLK_T_IN, 0);
	bufs[0] = (struct vring_buf){ blk_guest_header_gpa(0), sizeof(struct virtio_blk_outhdr),
				      false };
	for (unsigned i = 1; i < BLK_QUEUE - 1; i++)
		bufs[i] = (struct vring_buf){ BLK_DATA + (uint64_t)i * 0x1000, BLK_SECTOR, true };
	bufs[BLK_QUEUE - 1] = (struct vring_buf){ blk_guest_status_gpa(0), 1, true };
	head = vring_driver_add_indirect(&f->drv, 0x8000, bufs, BLK_QUEUE);
	assert_int_equal(blk_guest_finish(f, head), (BLK_QUEUE - 2) * BLK_SECTOR + 1);
	for (unsigned i = 1; i < BLK_QUEUE - 1; i++)
		assert_memory_equal(blk_guest_ram(f, BLK_DATA + (uint64_t)i * 0x1000),
				    f->image + (uint64_t)(i - 1) * BLK_SECTOR, BLK_SECTOR);
}

static void huge_single_segment(void **state)
{
	struct blk_guest *f = *state;
	const uint32_t len = 40 * MiB;
	uint32_t used;

	virtio_guest_unplug(&f->guest);
	assert_int_equal(truncate(f->path, 2 * len), 0);
	assert_int_equal(blk_guest_plug(f, false, NULL), 0);
	blk_guest_drive(f, 0);
	memset(blk_guest_ram(f, BLK_DATA), 0xff, len);
	assert_int_equal(blk_guest_request(f, VIRTIO_BLK_T_IN, 0, BLK_DATA, len, &used),
			 VIRTIO_BLK_S_OK);
	assert_int_equal(used, len + 1);
	assert_memory_equal(blk_guest_ram(f, BLK_DATA), f->image, BLK_IMAGE_SIZE);
	for (uint32_t i = BLK_IMAGE_SIZE; i < len; i += 4096)
		assert_int_equal(*blk_guest_ram(f, BLK_DATA + i), 0);
}

/* The kernel moves 2 GiB less a page in one call: what is left has to be asked for again. */
static void request_beyond_two_gib_is_continued(void **state)
{
	enum { SEGMENT = 32 * MiB, SEGMENTS = 65 };
	struct blk_guest *f = *state;
	struct vring_buf bufs[SEGMENTS + 2];
	const uint64_t end = (uint64_t)SEGMENT * SEGMENTS;
	uint16_t head;
	int fd;

	virtio_guest_unplug(&f->guest);
	assert_int_equal(truncate(f->path, (off_t)end), 0);
	fd = open(f->path, O_WRONLY);
	assert_int_equal(pwrite(fd, "the end", 7, (off_t)end - 7), 7);
	close(fd);
	assert_int_equal(blk_guest_plug(f, false, NULL), 0);
	blk_guest_drive(f, 0);
	blk_guest_put_header(f, 0, VIRTIO_BLK_T_IN, 0);
	bufs[0] = (struct vring_buf){ blk_guest_header_gpa(0), sizeof(struct virtio_blk_outhdr),
				      false };
	for (unsigned i = 1; i <= SEGMENTS; i++) /* all to the same memory */
		bufs[i] = (struct vring_buf){ BLK_DATA, SEGMENT, true };
	bufs[SEGMENTS + 1] = (struct vring_buf){ blk_guest_status_gpa(0), 1, true };
	head = vring_driver_add(&f->drv, bufs, SEGMENTS + 2);
	assert_int_equal(blk_guest_finish(f, head), end + 1);
	assert_int_equal(blk_guest_status(f, 0), VIRTIO_BLK_S_OK);
	assert_memory_equal(blk_guest_ram(f, BLK_DATA + SEGMENT - 7), "the end", 7);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, blk_guest_setup, blk_guest_teardown)
#define TEST_BARE(name) \
	cmocka_unit_test_setup_teardown(name, blk_guest_setup_bare, blk_guest_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(identity_and_configuration),
		TEST_BARE(get_id_is_the_serial_number),
		TEST_BARE(constructor_says_which_disk_and_why),
		TEST(read_returns_what_the_image_holds),
		TEST(write_reaches_the_image),
		TEST(header_split_over_descriptors),
		TEST(header_and_data_in_one_descriptor),
		TEST(indirect_request_of_the_most_segments),
		TEST(huge_single_segment),
		TEST(request_beyond_two_gib_is_continued),
	};

	return cmocka_run_group_tests_name("virtio_blk", tests, NULL, NULL);
}
