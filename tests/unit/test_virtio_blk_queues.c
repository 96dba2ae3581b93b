/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk with several queues on several loops: drivers that use all, one or some of them, and the
 * end of what is in flight on all. [virtio-1.2 5.2 Block Device]
 */
#include <fcntl.h>
#include <linux/virtio_pci.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "blk_guest.h"
#include "cmocka_all.h"
#include "core/sys.h"
#include "devices/virtio/virtio_pci.h"

#define QUEUES  5u /* on two loops */
#define SIZE    16u
#define EACH    5u /* requests a queue */
#define NOTHING 20u

#define RINGS_OF(q) (0x40000u + (q)*0x1000u)

static struct vring_driver drivers[QUEUES];

static int setup(void **state)
{
	struct blk_guest *f;

	if (blk_guest_setup_bare(state) < 0)
		return -1;
	f = *state;
	f->queues = QUEUES;
	f->loop_count = BLK_LOOPS;
	return blk_guest_plug(f, false, NULL);
}

/* From reset to DRIVER_OK with the queues whose bit is set. */
static void drive(struct blk_guest *f, unsigned mask, uint64_t features)
{
	assert_true(virtio_guest_negotiate(&f->guest, features | 1ull << VIRTIO_BLK_F_MQ));
	virtio_guest_enable_msix(&f->guest, QUEUES);
	for (unsigned q = 0; q < QUEUES; q++) {
		if (!(mask & 1u << q))
			continue;
		virtio_guest_setup_queue(&f->guest, q, &drivers[q], RINGS_OF(q), SIZE);
		drivers[q].event_idx = features & F_EVENT_IDX;
	}
	virtio_guest_driver_ok(&f->guest);
}

static unsigned slot_of(unsigned q, unsigned i)
{
	return q * EACH + i;
}

static uint64_t data_of(unsigned slot)
{
	return BLK_DATA + (uint64_t)slot * 0x1000;
}

/* Reads sector number `slot` into a place of its own. */
static void add_read(struct blk_guest *f, unsigned q, unsigned slot)
{
	const struct vring_buf bufs[] = {
		{ blk_guest_header_gpa(slot), sizeof(struct virtio_blk_outhdr), false },
		{ data_of(slot), BLK_SECTOR, true },
		{ blk_guest_status_gpa(slot), 1, true },
	};

	blk_guest_put_header(f, slot, VIRTIO_BLK_T_IN, slot);
	vring_driver_add(&drivers[q], bufs, ARRAY_SIZE(bufs));
}

static void ring(struct blk_guest *f, unsigned q)
{
	if (vring_driver_expose(&drivers[q]))
		virtio_guest_ring(&f->guest, q);
}

static void take(struct blk_guest *f, unsigned q, unsigned count)
{
	uint16_t head;
	uint32_t len;

	while (count) {
		if (vring_driver_take(&drivers[q], &head, &len)) {
			assert_int_equal(len, BLK_SECTOR + 1);
			count--;
			continue;
		}
		if (drivers[q].event_idx) {
			vring_driver_want_interrupt_after(&drivers[q], drivers[q].used_seen);
			if (__atomic_load_n(&drivers[q].used->idx, __ATOMIC_RELAXED) !=
			    drivers[q].used_seen)
				continue;
		}
		assert_true(virtio_guest_wait_vector(&f->guest, 1 + q, BLK_TIMEOUT));
	}
}

static void assert_read(struct blk_guest *f, unsigned slot)
{
	assert_int_equal(blk_guest_status(f, slot), VIRTIO_BLK_S_OK);
	assert_memory_equal(blk_guest_ram(f, data_of(slot)), f->image + slot * BLK_SECTOR,
			    BLK_SECTOR);
}

/* A round of requests on each queue of the mask, all before the first is taken back. */
static void read_on(struct blk_guest *f, unsigned mask)
{
	for (unsigned q = 0; q < QUEUES; q++) {
		if (!(mask & 1u << q))
			continue;
		for (unsigned i = 0; i < EACH; i++)
			add_read(f, q, slot_of(q, i));
		ring(f, q);
	}
	for (unsigned q = 0; q < QUEUES; q++) {
		if (!(mask & 1u << q))
			continue;
		take(f, q, EACH);
		for (unsigned i = 0; i < EACH; i++)
			assert_read(f, slot_of(q, i));
	}
}

static void configuration_says_how_many_queues(void **state)
{
	struct blk_guest *f = *state;
	uint64_t at = f->guest.device_cfg + offsetof(struct virtio_blk_config, num_queues);

	assert_true(blk_guest_features(f) & 1u << VIRTIO_BLK_F_MQ);
	assert_int_equal(virtio_guest_read(&f->guest, at, 2), QUEUES);
	assert_int_equal(virtio_guest_get(&f->guest, VIRTIO_PCI_COMMON_NUMQ, 2), QUEUES);
	virtio_guest_set(&f->guest, VIRTIO_PCI_COMMON_Q_SELECT, 2, QUEUES - 1);
	assert_int_equal(virtio_guest_get(&f->guest, VIRTIO_PCI_COMMON_Q_SIZE, 2), BLK_QUEUE);
	virtio_guest_set(&f->guest, VIRTIO_PCI_COMMON_Q_SELECT, 2, QUEUES);
	assert_int_equal(virtio_guest_get(&f->guest, VIRTIO_PCI_COMMON_Q_SIZE, 2), 0);
}

static void every_queue_serves_its_own_driver(void **state)
{
	struct blk_guest *f = *state;

	for (unsigned round = 0; round < 40; round++) {
		if (round % 20 == 0)
			drive(f, (1u << QUEUES) - 1, round ? F_EVENT_IDX : 0);
		read_on(f, (1u << QUEUES) - 1);
	}
}

/* Firmware uses one. */
static void driver_may_use_fewer_queues(void **state)
{
	static const unsigned masks[] = { 1, 1u << (QUEUES - 1), 0x5, 1 };
	struct blk_guest *f = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(masks); i++) {
		drive(f, masks[i], 0);
		read_on(f, masks[i]);
		/* Doorbells of the others mean nothing. */
		for (unsigned q = 0; q < QUEUES; q++)
			virtio_guest_ring(&f->guest, q);
		read_on(f, masks[i]);
	}
}

static void broken_queue_leaves_the_others_working(void **state)
{
	struct blk_guest *f = *state;

	drive(f, 0x3, 0);
	vring_driver_add_head(&drivers[0], SIZE);
	ring(f, 0);
	assert_true(virtio_guest_wait_vector(&f->guest, 0, BLK_TIMEOUT));
	read_on(f, 0x2);
	drive(f, 0x3, 0);
	read_on(f, 0x3);
}

/*
 * The queues' own fds of the file, which are younger than the one that it was opened with, become
 * ones that cannot be written to.
 */
static void spoil_own_fds(struct blk_guest *f)
{
	int fd = open(f->path, O_RDONLY | O_CLOEXEC);
	bool first = true;

	assert_true(fd >= 0);
	for (int i = 3; i < 1024; i++) {
		char link[64], target[128] = "";

		snprintf(link, sizeof(link), "/proc/self/fd/%d", i);
		if (i == fd || readlink(link, target, sizeof(target) - 1) <= 0 ||
		    strcmp(target, f->path))
			continue;
		if (!first)
			assert_int_equal(dup2(fd, i), i);
		first = false;
	}
	close(fd);
}

/* A block device's exclusive owner alone may make holes where the host has pages of it. */
static void zeroes_of_every_queue_go_through_the_fd_that_has_the_disk(void **state)
{
	struct blk_guest *f = *state;

	drive(f, (1u << QUEUES) - 1, BLK_F_FLUSH | 1ull << VIRTIO_BLK_F_WRITE_ZEROES);
	spoil_own_fds(f);
	for (unsigned q = 0; q < QUEUES; q++) {
		const struct virtio_blk_discard_write_zeroes range = { 8ull * q, 8, 0 };
		const struct vring_buf bufs[] = {
			{ blk_guest_header_gpa(q), sizeof(struct virtio_blk_outhdr), false },
			{ data_of(q), sizeof(range), false },
			{ blk_guest_status_gpa(q), 1, true },
		};
		uint16_t head;
		uint32_t len;

		blk_guest_put_header(f, q, VIRTIO_BLK_T_WRITE_ZEROES, 0);
		memcpy(blk_guest_ram(f, data_of(q)), &range, sizeof(range));
		vring_driver_add(&drivers[q], bufs, ARRAY_SIZE(bufs));
		ring(f, q);
		assert_true(virtio_guest_wait_vector(&f->guest, 1 + q, BLK_TIMEOUT));
		assert_true(vring_driver_take(&drivers[q], &head, &len));
		assert_int_equal(blk_guest_status(f, q), VIRTIO_BLK_S_OK);
		memset(f->image + 8 * q * BLK_SECTOR, 0, 8 * BLK_SECTOR);
	}
	blk_guest_assert_image(f);
}

static void *feed(void *arg)
{
	uint8_t sector[BLK_SECTOR] = { 1 };

	usleep(1000 * NOTHING);
	for (unsigned i = 0; i < QUEUES; i++)
		assert_int_equal(write(*(int *)arg, sector, BLK_SECTOR), BLK_SECTOR);
	return NULL;
}

static void reset_waits_for_all_queues(void **state)
{
	struct blk_guest *f = *state;
	pthread_t feeder;
	int fd;

	drive(f, (1u << QUEUES) - 1, 0);
	fd = blk_guest_make_reads_wait(f);
	for (unsigned q = 0; q < QUEUES; q++) {
		add_read(f, q, slot_of(q, 0));
		ring(f, q);
	}
	blk_guest_settle(f);
	assert_int_equal(pthread_create(&feeder, NULL, feed, &fd), 0);
	virtio_guest_set(&f->guest, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	for (unsigned q = 0; q < QUEUES; q++) {
		assert_int_equal(blk_guest_status(f, slot_of(q, 0)), VIRTIO_BLK_S_OK);
		assert_int_equal(drivers[q].used->idx, 1);
	}
	pthread_join(feeder, NULL);
	close(fd);
}

struct ringer {
	struct blk_guest *f;
	atomic_bool stop;
};

static void *ring_all(void *arg)
{
	struct ringer *ringer = arg;
	struct virtio_pci *vdev = container_of(ringer->f->guest.dev, struct virtio_pci, pci);

	/* As KVM does it: that the BAR comes and goes meanwhile is no concern of this test. */
	while (!atomic_load(&ringer->stop)) {
		for (unsigned q = 0; q < QUEUES; q++)
			sys_eventfd_signal(vdev->queues[q].doorbell.fd);
	}
	return NULL;
}

/* One vCPU rings without end while another resets with requests in flight on every queue. */
static void resets_with_all_queues_in_flight(void **state)
{
	struct blk_guest *f = *state;
	struct ringer ringer = { .f = f };
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, ring_all, &ringer), 0);
	for (unsigned round = 0; round < 200; round++) {
		drive(f, (1u << QUEUES) - 1, round & 1 ? F_EVENT_IDX : 0);
		for (unsigned q = 0; q < QUEUES; q++) {
			for (unsigned i = 0; i < EACH; i++)
				add_read(f, q, slot_of(q, i));
			ring(f, q);
		}
		if (round & 2)
			virtio_guest_set(&f->guest, VIRTIO_PCI_COMMON_STATUS, 1, 0);
		else
			f->guest.dev->device.ops->reset(&f->guest.dev->device);
		if (!(round & 2))
			virtio_guest_map_bar(&f->guest, VIRTIO_GUEST_BAR);
		/* Taken or not: what was begun has ended. */
		for (unsigned q = 0; q < QUEUES; q++) {
			for (unsigned i = 0; i < drivers[q].used->idx; i++)
				assert_read(f, slot_of(q, i));
		}
	}
	atomic_store(&ringer.stop, true);
	pthread_join(thread, NULL);
	drive(f, (1u << QUEUES) - 1, 0);
	read_on(f, (1u << QUEUES) - 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, blk_guest_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(configuration_says_how_many_queues),
		TEST(every_queue_serves_its_own_driver),
		TEST(driver_may_use_fewer_queues),
		TEST(broken_queue_leaves_the_others_working),
		TEST(zeroes_of_every_queue_go_through_the_fd_that_has_the_disk),
		TEST(reset_waits_for_all_queues),
		TEST(resets_with_all_queues_in_flight),
	};

	return cmocka_run_group_tests_name("virtio_blk_queues", tests, NULL, NULL);
}
