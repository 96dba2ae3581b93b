/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many requests of the block device at a time, the end of what is in flight, and random ones.
 * [virtio-1.2 5.2 Block Device]
 */
#include <linux/virtio_pci.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "blk_guest.h"
#include "cmocka_all.h"

#define NOTHING 20u /* for what must not happen */

static void take_all(struct blk_guest *f, unsigned count)
{
	uint16_t head;
	uint32_t len;

	while (count) {
		if (vring_driver_take(&f->drv, &head, &len)) {
			count--;
			continue;
		}
		if (f->drv.event_idx) {
			vring_driver_want_interrupt_after(&f->drv, f->drv.used_seen);
			if (__atomic_load_n(&f->drv.used->idx, __ATOMIC_RELAXED) !=
			    f->drv.used_seen)
				continue;
		}
		assert_true(virtio_guest_wait_vector(&f->guest, 1, BLK_TIMEOUT));
	}
	assert_false(vring_driver_take(&f->drv, &head, &len));
}

static void full_queue_of_requests(void **state)
{
	enum { REQUESTS = BLK_QUEUE / 3 };
	struct blk_guest *f = *state;

	blk_guest_drive(f, F_EVENT_IDX | BLK_F_FLUSH);
	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < REQUESTS; i++)
			blk_guest_add(f, i, VIRTIO_BLK_T_IN, i * 7 + round,
				      BLK_DATA + (uint64_t)i * 0x1000, 4 * BLK_SECTOR);
		blk_guest_ring(f);
		take_all(f, REQUESTS);
		for (unsigned i = 0; i < REQUESTS; i++) {
			assert_int_equal(blk_guest_status(f, i), VIRTIO_BLK_S_OK);
			assert_memory_equal(blk_guest_ram(f, BLK_DATA + (uint64_t)i * 0x1000),
					    f->image + (uint64_t)(i * 7 + round) * BLK_SECTOR,
					    4 * BLK_SECTOR);
		}
	}
}

/* All 256 descriptors in flight, as indirect requests; then doorbells for nothing. */
static void every_descriptor_in_flight(void **state)
{
	struct blk_guest *f = *state;
	uint8_t sector[BLK_SECTOR] = { 0 };
	int fd;

	blk_guest_drive(f, F_INDIRECT);
	fd = blk_guest_make_reads_wait(f);
	for (unsigned i = 0; i < BLK_QUEUE; i++) {
		const struct vring_buf bufs[] = {
			{ blk_guest_header_gpa(i), sizeof(struct virtio_blk_outhdr), false },
			{ BLK_DATA, BLK_SECTOR, true },
			{ blk_guest_status_gpa(i), 1, true },
		};

		blk_guest_put_header(f, i, VIRTIO_BLK_T_IN, 0);
		vring_driver_add_indirect(&f->drv, 0x40000 + 48 * i, bufs, 3);
	}
	blk_guest_ring(f);
	for (unsigned i = 0; i < 50; i++)
		virtio_guest_ring(&f->guest, 0);
	assert_false(virtio_guest_wait_vector(&f->guest, 1, NOTHING));
	for (unsigned i = 0; i < BLK_QUEUE; i++)
		assert_int_equal(write(fd, sector, BLK_SECTOR), BLK_SECTOR);
	take_all(f, BLK_QUEUE);
	for (unsigned i = 0; i < BLK_QUEUE; i++)
		assert_int_equal(blk_guest_status(f, i), VIRTIO_BLK_S_OK);
	/* One more than there can be. */
	for (unsigned i = 0; i <= BLK_QUEUE; i++)
		vring_driver_add_head(&f->drv, (uint16_t)(i % BLK_QUEUE));
	blk_guest_ring(f);
	virtio_guest_ring(&f->guest, 0);
	assert_true(virtio_guest_wait_vector(&f->guest, 0, BLK_TIMEOUT));
	close(fd);
}

/* More of them than can be in flight: the others wait in the ring. */
static void many_requests_of_many_buffers(void **state)
{
	enum { REQUESTS = 100, PIECES = 20, TABLE = 16 * (PIECES + 2) };
	struct blk_guest *f = *state;

	blk_guest_drive(f, F_INDIRECT | F_EVENT_IDX);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < REQUESTS; i++) {
			const uint64_t data = BLK_DATA + (uint64_t)i * PIECES * BLK_SECTOR;
			struct vring_buf bufs[PIECES + 2] = {
				{ blk_guest_header_gpa(i), sizeof(struct virtio_blk_outhdr),
				  false },
			};

			/* From the last piece to the first, so that none can be joined. */
			for (unsigned k = 0; k < PIECES; k++)
				bufs[1 + k] =
					(struct vring_buf){ data + (uint64_t)(PIECES - 1 - k) *
									    BLK_SECTOR,
							    BLK_SECTOR, true };
			bufs[1 + PIECES] = (struct vring_buf){ blk_guest_status_gpa(i), 1, true };
			blk_guest_put_header(f, i, VIRTIO_BLK_T_IN, i);
			vring_driver_add_indirect(&f->drv, 0x40000 + TABLE * i, bufs, PIECES + 2);
		}
		blk_guest_ring(f);
		take_all(f, REQUESTS);
		for (unsigned i = 0; i < REQUESTS; i++) {
			const uint64_t data = BLK_DATA + (uint64_t)i * PIECES * BLK_SECTOR;

			assert_int_equal(blk_guest_status(f, i), VIRTIO_BLK_S_OK);
			for (unsigned k = 0; k < PIECES; k++)
				assert_memory_equal(blk_guest_ram(f, data + (PIECES - 1 - k) *
										     BLK_SECTOR),
						    f->image + (i + k) * BLK_SECTOR, BLK_SECTOR);
		}
	}
}

/* Three reads in flight that wait until something is written to the fd returned. */
static int start_waiting_reads(struct blk_guest *f)
{
	int fd;

	blk_guest_drive(f, 0);
	fd = blk_guest_make_reads_wait(f);
	for (unsigned i = 0; i < 3; i++)
		blk_guest_add(f, i, VIRTIO_BLK_T_IN, 0, BLK_DATA, BLK_SECTOR);
	blk_guest_ring(f);
	blk_guest_settle(f);
	return fd;
}

struct resetter {
	struct blk_guest *f;
	atomic_bool done;
};

static void *reset_device(void *arg)
{
	struct resetter *r = arg;

	virtio_guest_set(&r->f->guest, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	atomic_store(&r->done, true);
	return NULL;
}

static void reset_drains_inflight(void **state)
{
	struct blk_guest *f = *state;
	struct resetter resetter = { .f = f };
	uint8_t sector[BLK_SECTOR] = { 1 };
	pthread_t thread;
	int fd;

	fd = start_waiting_reads(f);
	assert_int_equal(pthread_create(&thread, NULL, reset_device, &resetter), 0);
	for (unsigned i = 0; i < 3; i++) {
		usleep(1000 * NOTHING);
		assert_false(atomic_load(&resetter.done));
		assert_int_equal(write(fd, sector, BLK_SECTOR), BLK_SECTOR);
	}
	pthread_join(thread, NULL);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(blk_guest_status(f, i), VIRTIO_BLK_S_OK);
	assert_int_equal(f->drv.used->idx, 3);
	assert_int_equal(virtio_guest_get(&f->guest, VIRTIO_PCI_COMMON_STATUS, 1), 0);
	close(fd);
}

static void *feed(void *arg)
{
	uint8_t sector[BLK_SECTOR] = { 1 };

	usleep(1000 * NOTHING);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(write(*(int *)arg, sector, BLK_SECTOR), BLK_SECTOR);
	return NULL;
}

static void destroying_drains_inflight(void **state)
{
	struct blk_guest *f = *state;
	pthread_t thread;
	int fd;

	fd = start_waiting_reads(f);
	assert_int_equal(pthread_create(&thread, NULL, feed, &fd), 0);
	virtio_guest_unplug(&f->guest);
	pthread_join(thread, NULL);
	assert_int_equal(f->drv.used->idx, 3);
	close(fd);
	/* And the disk is free again, at once. */
	assert_int_equal(blk_guest_plug(f, false, NULL), 0);
}

static void machine_reset_with_requests_in_flight(void **state)
{
	struct blk_guest *f = *state;

	for (unsigned round = 0; round < 30; round++) {
		blk_guest_drive(f, F_EVENT_IDX);
		for (unsigned i = 0; i < 64; i++)
			blk_guest_add(f, i, VIRTIO_BLK_T_IN, i, BLK_DATA + (uint64_t)i * 0x10000,
				      64 * BLK_SECTOR);
		blk_guest_ring(f);
		f->guest.dev->device.ops->reset(&f->guest.dev->device);
		virtio_guest_map_bar(&f->guest, VIRTIO_GUEST_BAR);
	}
	blk_guest_drive(f, 0);
	blk_guest_assert_read_ok(f);
}

/* Cuts [gpa, gpa + len) into up to `max` buffers at random. */
static unsigned cut(struct vring_buf *bufs, unsigned max, uint64_t gpa, uint32_t len, bool write)
{
	unsigned n = 0;

	while (len) {
		uint32_t piece = n + 1 < max && random() & 3 ? 1 + (uint32_t)random() % len : len;

		bufs[n++] = (struct vring_buf){ gpa, piece, write };
		gpa += piece;
		len -= piece;
	}
	return n;
}

/* Random reads and writes in random layouts, against a copy of what the disk should hold. */
static void random_requests(void **state)
{
	struct blk_guest *f = *state;

	for (unsigned i = 0; i < 3000; i++) {
		uint32_t sectors = 1 + (uint32_t)random() % 16;
		uint64_t sector = (uint64_t)random() % (BLK_SECTORS - sectors);
		uint32_t type = random() & 1 ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT;
		uint64_t gpa = BLK_DATA + (uint64_t)random() % 0x10000;
		uint32_t len = sectors * BLK_SECTOR;
		struct vring_buf bufs[24];
		unsigned n;
		uint16_t head;

		if (i % 500 == 0)
			blk_guest_drive(f, F_INDIRECT | (random() & 1 ? F_EVENT_IDX : 0) |
						   (random() & 1 ? BLK_F_FLUSH : 0));
		blk_guest_put_header(f, 0, type, sector);
		n = cut(bufs, 4, blk_guest_header_gpa(0), sizeof(struct virtio_blk_outhdr), false);
		if (type == VIRTIO_BLK_T_OUT) {
			for (uint32_t b = 0; b < len; b += 8)
				store_le(blk_guest_ram(f, gpa + b), 8, (uint64_t)random());
			memcpy(f->image + sector * BLK_SECTOR, blk_guest_ram(f, gpa), len);
		}
		n += cut(bufs + n, 16, gpa, len, type == VIRTIO_BLK_T_IN);
		bufs[n++] = (struct vring_buf){ blk_guest_status_gpa(0), 1, true };
		head = random() & 1 ? vring_driver_add(&f->drv, bufs, n)
				    : vring_driver_add_indirect(&f->drv, 0x8000, bufs, n);
		assert_int_equal(blk_guest_finish(f, head), type == VIRTIO_BLK_T_IN ? len + 1 : 1);
		assert_int_equal(blk_guest_status(f, 0), VIRTIO_BLK_S_OK);
		if (type == VIRTIO_BLK_T_IN)
			assert_memory_equal(blk_guest_ram(f, gpa), f->image + sector * BLK_SECTOR,
					    len);
	}
	blk_guest_assert_image(f);
}

/* Anything in the rings, headers and lengths; afterwards a reset heals the device. */
static void random_rings(void **state)
{
	struct blk_guest *f = *state;

	for (unsigned round = 0; round < 300; round++) {
		blk_guest_drive(f, F_INDIRECT | (round & 1 ? F_EVENT_IDX : 0));
		for (unsigned i = 0; i < 64; i++)
			blk_guest_put_header(f, i, (uint32_t)random() % 9,
					     (uint64_t)random() % (2 * BLK_SECTORS));
		for (unsigned i = 0; i < BLK_QUEUE; i++) {
			f->drv.desc[i] = (struct vring_desc){
				.addr = random() & 1 ? blk_guest_header_gpa((unsigned)random() % 64)
						     : BLK_DATA + (uint64_t)random() % MiB,
				.len = random() & 1 ? 16 : BLK_SECTOR * (uint32_t)(random() % 4),
				.flags = (uint16_t)(random() % (random() & 7 ? 4 : 8)),
				.next = (uint16_t)(i + (unsigned)random() % 2),
			};
			vring_driver_add_head(&f->drv, (uint16_t)(random() % BLK_QUEUE));
		}
		(void)vring_driver_expose(&f->drv);
		virtio_guest_ring(&f->guest, 0);
		virtio_guest_ring(&f->guest, 0);
		if (random() & 1)
			usleep(500);
	}
	virtio_guest_unplug(&f->guest);
	assert_int_equal(blk_guest_plug(f, true, NULL), 0);
	blk_guest_drive(f, 0);
	assert_int_equal(blk_guest_finish(f, blk_guest_add(f, 0, VIRTIO_BLK_T_IN, 0, BLK_DATA,
							   BLK_SECTOR)),
			 BLK_SECTOR + 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, blk_guest_setup, blk_guest_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(full_queue_of_requests),
		TEST(every_descriptor_in_flight),
		TEST(many_requests_of_many_buffers),
		TEST(reset_drains_inflight),
		TEST(destroying_drains_inflight),
		TEST(machine_reset_with_requests_in_flight),
		TEST(random_requests),
		TEST(random_rings),
	};

	return cmocka_run_group_tests_name("virtio_blk_inflight", tests, NULL, NULL);
}
