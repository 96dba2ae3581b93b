/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device-specific configuration that changes while the driver uses the device.
 * [virtio-1.2 2.5 Device Configuration Space, 4.1.4.3.1, 4.1.5.4 Notification of Device
 *  Configuration Changes]
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "cmocka_all.h"
#include "probe.h"

#define CHANGES 20000u
#define RESETS  2000u
#define NOTHING 20u /* ms, for what must not happen */

static uint64_t config_read(struct probe_guest *f, unsigned off, unsigned len)
{
	return virtio_guest_read(&f->guest, f->guest.device_cfg + off, len);
}

static uint64_t generation(struct probe_guest *f)
{
	return probe_get(f, VIRTIO_PCI_COMMON_CFGGENERATION, 1);
}

static void change(struct probe_guest *f, uint64_t val)
{
	virtio_pci_change_config(&f->probe->vdev, 0, &val, sizeof(val));
}

static void running_driver_is_told_by_its_vector(void **state)
{
	struct probe_guest *f = *state;
	uint64_t before;

	probe_drive(f, 0, true);
	before = generation(f);
	assert_false(virtio_guest_wait_vector(&f->guest, 0, 0));
	change(f, 0x1122334455667788);
	assert_true(virtio_guest_wait_vector(&f->guest, 0, PROBE_TIMEOUT));
	assert_int_equal(virtio_guest_read(&f->guest, f->guest.isr, 1), 2);
	assert_int_not_equal(generation(f), before);
	assert_int_equal(config_read(f, 0, 4), 0x55667788);
	assert_int_equal(config_read(f, 4, 4), 0x11223344);
	assert_int_equal(config_read(f, 8, 2), 0x0a09); /* the rest is as it was */
}

static void driver_that_has_not_started_is_told_when_it_does(void **state)
{
	struct probe_guest *f = *state;

	assert_true(virtio_guest_negotiate(&f->guest, 0));
	virtio_guest_enable_msix(&f->guest, PROBE_QUEUES);
	change(f, 1);
	assert_false(virtio_guest_wait_vector(&f->guest, 0, NOTHING));
	assert_int_equal(virtio_guest_read(&f->guest, f->guest.isr, 1), 0);
	virtio_guest_driver_ok(&f->guest);
	assert_true(virtio_guest_wait_vector(&f->guest, 0, PROBE_TIMEOUT));
	assert_int_equal(config_read(f, 0, 8), 1);
	/* Once. */
	assert_int_equal(virtio_guest_read(&f->guest, f->guest.isr, 1), 2);
	assert_false(virtio_guest_wait_vector(&f->guest, 0, 0));
}

static void reset_forgets_what_was_to_be_told(void **state)
{
	struct probe_guest *f = *state;

	change(f, 1);
	probe_drive(f, 0, true);
	assert_false(virtio_guest_wait_vector(&f->guest, 0, NOTHING));
	probe_set(f, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	change(f, 2);
	assert_int_equal(virtio_guest_read(&f->guest, f->guest.isr, 1), 0);
	assert_int_equal(config_read(f, 0, 8), 2);
}

static atomic_bool stop;
static atomic_uint looks;

/*
 * Both halves are the same number, always. A few times for each look: the generation has 8 bits,
 * and 256 changes during one would look like none.
 */
static void *change_on_and_on(void *arg)
{
	unsigned seen = 0;

	for (uint32_t i = 1; !atomic_load(&stop);) {
		if (atomic_load(&looks) == seen)
			continue;
		seen = atomic_load(&looks);
		for (unsigned k = 0; k < 4; k++, i++)
			change(arg, (uint64_t)i << 32 | i);
	}
	return NULL;
}

static void halves_of_one_generation_belong_together(void **state)
{
	struct probe_guest *f = *state;
	unsigned kept = 0;
	pthread_t thread;

	probe_drive(f, 0, true);
	change(f, 0);
	atomic_store(&stop, false);
	assert_int_equal(pthread_create(&thread, NULL, change_on_and_on, f), 0);
	for (unsigned i = 0; i < CHANGES; i++) {
		uint64_t before, low, high;

		atomic_fetch_add(&looks, 1);
		before = generation(f);
		low = config_read(f, 0, 4);
		high = config_read(f, 4, 4);
		if (generation(f) != before)
			continue;
		assert_int_equal(low, high);
		kept++;
	}
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	change(f, 0x700000007);
	assert_int_equal(config_read(f, 0, 8), 0x700000007);
	assert_true(kept > 0);
}

static void *change_without_end(void *arg)
{
	while (!atomic_load(&stop))
		change(arg, 1);
	return NULL;
}

/* Nobody is there who would make the line low again. */
static void change_beside_a_reset_leaves_no_interrupt(void **state)
{
	struct probe_guest *f = *state;
	pthread_t thread;

	atomic_store(&stop, false);
	assert_int_equal(pthread_create(&thread, NULL, change_without_end, f), 0);
	for (unsigned i = 0; i < RESETS; i++) {
		probe_drive(f, 0, false);
		probe_set(f, VIRTIO_PCI_COMMON_STATUS, 1, 0);
		sched_yield(); /* to where the other one is */
		assert_int_equal(virtio_guest_read(&f->guest, f->guest.isr, 1), 0);
	}
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, probe_setup, probe_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(running_driver_is_told_by_its_vector),
		TEST(driver_that_has_not_started_is_told_when_it_does),
		TEST(reset_forgets_what_was_to_be_told),
		TEST(halves_of_one_generation_belong_together),
		TEST(change_beside_a_reset_leaves_no_interrupt),
	};

	return cmocka_run_group_tests_name("virtio_pci_change", tests, NULL, NULL);
}
