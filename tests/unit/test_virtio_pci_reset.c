/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PCI transport at its end and under a driver that does anything at any time: resets, storms
 * of doorbells, random accesses. [virtio-1.2 4.1 Virtio Over PCI Bus]
 */
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "cmocka_all.h"
#include "probe.h"

/* --- reset --- */

static void reset_drains_in_flight_chains_on_the_loop(void **state)
{
	struct probe_guest *f = *state;

	probe_drive(f, 0, true);
	for (unsigned i = 0; i < 5; i++)
		probe_add_chain(f, PROBE_KEEPER);
	probe_settle(f);
	assert_int_equal(f->probe->kept_count, 5);
	probe_set(f, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	assert_int_equal(probe_status(f), 0);
	assert_int_equal(f->probe->kept_count, 0);
	assert_int_equal(atomic_load(&f->probe->stops), 1);
	assert_true(pthread_equal(f->probe->stop_thread, f->guest.loop.thread));
	for (unsigned i = 0; i < 5; i++)
		assert_true(probe_take(f, PROBE_KEEPER));
	/* Nothing runs any more: the rings are the driver's. */
	probe_add_chain(f, PROBE_ECHO);
	probe_settle(f);
	assert_false(probe_take(f, PROBE_ECHO));
	probe_set(f, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	assert_int_equal(atomic_load(&f->probe->stops), 1);
}

static void destroying_drains_too(void **state)
{
	struct probe_guest *f = *state;

	probe_drive(f, 0, true);
	for (unsigned i = 0; i < 5; i++)
		probe_add_chain(f, PROBE_KEEPER);
	probe_settle(f);
	virtio_guest_unplug(&f->guest);
	for (unsigned i = 0; i < 5; i++)
		assert_true(probe_take(f, PROBE_KEEPER));
}

static void machine_reset_is_a_power_on(void **state)
{
	struct probe_guest *f = *state;
	struct virtio_guest *g = &f->guest;

	probe_drive(f, 0, false);
	probe_add_chain(f, PROBE_ECHO);
	assert_true(virtio_guest_wait_line(g, true, PROBE_TIMEOUT));
	virtio_guest_enable_msix(g, PROBE_QUEUES);
	g->dev->device.ops->reset(&g->dev->device);
	assert_true(virtio_guest_wait_line(g, false, 0));
	assert_int_equal(virtio_guest_doorbells(), 0);
	assert_false(g->dev->bars[0].mapped);
	assert_int_equal(virtio_guest_config_read(g, PCI_COMMAND, 2), 0);
	assert_false(virtio_guest_config_read(g, g->msix_cap + PCI_MSIX_FLAGS, 2) &
		     PCI_MSIX_FLAGS_ENABLE);
	virtio_guest_map_bar(g, VIRTIO_GUEST_BAR);
	assert_int_equal(probe_status(f), 0);
	probe_drive(f, 0, true);
	probe_add_chain(f, PROBE_ECHO);
	assert_true(virtio_guest_wait_vector(g, 1 + PROBE_ECHO, PROBE_TIMEOUT));
}

/* --- storms --- */

struct ringer {
	struct probe_guest *f;
	atomic_bool stop;
};

static void *ring_on(void *arg)
{
	struct ringer *r = arg;
	struct virtio_guest *g = &r->f->guest;

	while (!atomic_load(&r->stop)) {
		virtio_guest_write(g, g->notify, 2, 0);
		virtio_guest_write(g, g->notify + g->notify_multiplier, 2, 1);
		virtio_guest_read(g, g->isr, 1);
	}
	return NULL;
}

static void resets_under_a_storm_of_doorbells(void **state)
{
	struct probe_guest *f = *state;
	struct ringer ringer = { .f = f };
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, ring_on, &ringer), 0);
	for (unsigned i = 0; i < 300; i++) {
		probe_drive(f, i & 1 ? F_EVENT_IDX : 0, i & 2);
		for (unsigned n = 0; n < 8; n++) {
			probe_add_chain(f, PROBE_ECHO);
			probe_add_chain(f, PROBE_KEEPER);
		}
		probe_set(f, VIRTIO_PCI_COMMON_STATUS, 1, 0);
		assert_int_equal(f->probe->kept_count, 0);
	}
	atomic_store(&ringer.stop, true);
	pthread_join(thread, NULL);
}

static void random_accesses(void **state)
{
	struct probe_guest *f = *state;
	struct virtio_guest *g = &f->guest;

	srandom(1);
	for (unsigned i = 0; i < 50000; i++) {
		static const unsigned lens[] = { 1, 2, 4, 8 };
		unsigned len = lens[random() % 4];
		uint64_t off = (uint64_t)random() % 8 * 0x1000 +
			       (uint64_t)random() % (random() & 1 ? 0x40 : 0x1000);
		uint64_t val = random() & 1 ? (uint64_t)random() % 16
					    : (uint64_t)random() << 33 ^ (uint64_t)random();

		if (random() & 1)
			virtio_guest_write(g, off, len, val);
		else
			virtio_guest_read(g, off, len);
		if (i % 64 == 0)
			virtio_guest_config_write(g, g->cfg_cap + (unsigned)random() % 5 * 4, 4,
						  (uint32_t)val);
		if (i % 1000 == 0) {
			virtio_guest_map_bar(g, VIRTIO_GUEST_BAR);
			(void)virtio_guest_negotiate(g, 0);
			virtio_guest_setup_queue(g, PROBE_ECHO, &f->drv[PROBE_ECHO],
						 PROBE_RINGS(PROBE_ECHO), PROBE_QUEUE);
			virtio_guest_driver_ok(g);
		}
	}
	virtio_guest_map_bar(g, VIRTIO_GUEST_BAR);
	probe_drive(f, 0, true);
	probe_add_chain(f, PROBE_ECHO);
	assert_true(virtio_guest_wait_vector(g, 1 + PROBE_ECHO, PROBE_TIMEOUT));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, probe_setup, probe_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(reset_drains_in_flight_chains_on_the_loop),
		TEST(destroying_drains_too),
		TEST(machine_reset_is_a_power_on),
		TEST(resets_under_a_storm_of_doorbells),
		TEST(random_accesses),
	};

	return cmocka_run_group_tests_name("virtio_pci_reset", tests, NULL, NULL);
}
