/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PCI transport with queues that run: doorbells and interrupts.
 * [virtio-1.2 4.1.4.4 Notification structure layout, 4.1.4.5 ISR status capability]
 */
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>

#include "cmocka_all.h"
#include "probe.h"

/* --- doorbells --- */

static void doorbell_reaches_the_queue(void **state)
{
	struct probe_guest *f = *state;

	probe_drive(f, 0, true);
	assert_int_equal(virtio_guest_doorbells(), PROBE_QUEUES);
	probe_add_chain(f, PROBE_ECHO);
	assert_true(virtio_guest_wait_vector(&f->guest, 1 + PROBE_ECHO, PROBE_TIMEOUT));
	assert_true(probe_take(f, PROBE_ECHO));
	assert_false(probe_take(f, PROBE_ECHO));
}

/* Each costs KVM a wait for all vCPUs. */
static void only_queues_that_a_driver_uses_have_doorbells(void **state)
{
	struct probe_guest *f = *state;

	assert_int_equal(virtio_guest_doorbells(), 0);
	assert_true(virtio_guest_negotiate(&f->guest, 0));
	virtio_guest_setup_queue(&f->guest, PROBE_ECHO, &f->drv[PROBE_ECHO],
				 PROBE_RINGS(PROBE_ECHO), PROBE_QUEUE);
	assert_int_equal(virtio_guest_doorbells(), 0);
	virtio_guest_driver_ok(&f->guest);
	assert_int_equal(virtio_guest_doorbells(), 1);
	/* The next driver uses more. */
	probe_drive(f, 0, true);
	assert_int_equal(virtio_guest_doorbells(), PROBE_QUEUES);
	/* Nobody uses it while the next one looks for the size of its BAR. */
	probe_set(f, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	virtio_guest_config_write(&f->guest, PCI_COMMAND, 2, 0);
	assert_int_equal(virtio_guest_doorbells(), 0);
	virtio_guest_map_bar(&f->guest, VIRTIO_GUEST_BAR);
	assert_int_equal(virtio_guest_doorbells(), 0);
}

static void trapped_doorbell_works_as_well(void **state)
{
	struct probe_guest *f = *state;

	virtio_guest_refuse_doorbells(true);
	virtio_guest_map_bar(&f->guest, VIRTIO_GUEST_BAR + 0x10000);
	assert_int_equal(virtio_guest_doorbells(), 0);
	probe_drive(f, F_EVENT_IDX, true);
	for (unsigned i = 0; i < 100; i++) {
		vring_driver_want_interrupt_after(&f->drv[PROBE_ECHO],
						  f->drv[PROBE_ECHO].used_seen);
		probe_add_chain(f, PROBE_ECHO);
		assert_true(virtio_guest_wait_vector(&f->guest, 1 + PROBE_ECHO, PROBE_TIMEOUT));
		assert_true(probe_take(f, PROBE_ECHO));
	}
	/* Behind the last queue there is nothing to ring. */
	virtio_guest_write(&f->guest, f->guest.notify + PROBE_QUEUES * f->guest.notify_multiplier,
			   2, 0);
}

static void doorbells_move_with_the_bar(void **state)
{
	struct probe_guest *f = *state;

	probe_drive(f, 0, true);
	virtio_guest_config_write(&f->guest, PCI_COMMAND, 2, 0);
	assert_int_equal(virtio_guest_doorbells(), 0);
	virtio_guest_map_bar(&f->guest, VIRTIO_GUEST_BAR + 0x100000);
	assert_int_equal(virtio_guest_doorbells(), PROBE_QUEUES);
	probe_add_chain(f, PROBE_ECHO);
	assert_true(virtio_guest_wait_vector(&f->guest, 1 + PROBE_ECHO, PROBE_TIMEOUT));
}

static uint64_t other_read(void *dev, uint64_t off, unsigned len)
{
	return 0x77;
}

static void other_write(void *dev, uint64_t off, unsigned len, uint64_t val)
{
}

static void bar_that_collides_is_not_reached(void **state)
{
	static const struct bus_ops ops = { other_read, other_write };
	struct probe_guest *f = *state;
	struct bus_range other = { .base = 0xd0001000, .size = 4, .ops = &ops };

	assert_int_equal(bus_add(&f->guest.mmio, &other), 0);
	virtio_guest_map_bar(&f->guest, 0xd0000000);
	assert_int_equal(virtio_guest_doorbells(), 0);
	assert_int_equal(probe_get(f, VIRTIO_PCI_COMMON_NUMQ, 2), 0xffff);
	virtio_guest_map_bar(&f->guest, VIRTIO_GUEST_BAR);
	assert_int_equal(probe_get(f, VIRTIO_PCI_COMMON_NUMQ, 2), PROBE_QUEUES);
	bus_remove(&f->guest.mmio, &other);
}

/* As of two devices that firmware moves past each other. */
static void bar_that_had_to_wait_gets_its_doorbells_when_the_driver_starts(void **state)
{
	static const struct bus_ops ops = { other_read, other_write };
	struct probe_guest *f = *state;
	struct bus_range other = { .base = VIRTIO_GUEST_BAR, .size = 4, .ops = &ops };

	virtio_guest_map_bar(&f->guest, 0xd0000000);
	assert_int_equal(bus_add(&f->guest.mmio, &other), 0);
	virtio_guest_map_bar(&f->guest, VIRTIO_GUEST_BAR);
	bus_remove(&f->guest.mmio, &other);
	assert_int_equal(virtio_guest_doorbells(), 0);
	probe_drive(f, 0, true);
	assert_int_equal(virtio_guest_doorbells(), PROBE_QUEUES);
	probe_add_chain(f, PROBE_ECHO);
	assert_true(virtio_guest_wait_vector(&f->guest, 1 + PROBE_ECHO, PROBE_TIMEOUT));
	probe_drive(f, 0, true); /* once is enough */
	assert_int_equal(virtio_guest_doorbells(), PROBE_QUEUES);
}

static void nothing_is_consumed_before_driver_ok(void **state)
{
	struct probe_guest *f = *state;

	assert_true(virtio_guest_negotiate(&f->guest, 0));
	virtio_guest_enable_msix(&f->guest, PROBE_QUEUES);
	virtio_guest_setup_queue(&f->guest, PROBE_ECHO, &f->drv[PROBE_ECHO],
				 PROBE_RINGS(PROBE_ECHO), PROBE_QUEUE);
	probe_add_chain(f, PROBE_ECHO);
	probe_settle(f);
	assert_false(probe_take(f, PROBE_ECHO));
	assert_false(virtio_guest_wait_vector(&f->guest, 1 + PROBE_ECHO, 0));
	/* What was added and rung too early is not lost either. */
	virtio_guest_driver_ok(&f->guest);
	assert_true(virtio_guest_wait_vector(&f->guest, 1 + PROBE_ECHO, PROBE_TIMEOUT));
	assert_true(probe_take(f, PROBE_ECHO));
}

static void spurious_doorbells_are_harmless(void **state)
{
	struct probe_guest *f = *state;

	probe_drive(f, F_EVENT_IDX, true);
	for (unsigned i = 0; i < 100; i++) {
		virtio_guest_ring(&f->guest, PROBE_ECHO);
		virtio_guest_ring(&f->guest, PROBE_KEEPER);
	}
	probe_settle(f);
	assert_false(virtio_guest_wait_vector(&f->guest, 1 + PROBE_ECHO, 0));
	assert_int_equal(probe_status(f), PROBE_STATUS_ALL);
}

/* --- interrupts --- */

static void vector_that_does_not_exist_reads_back_as_none(void **state)
{
	struct probe_guest *f = *state;

	assert_int_equal(probe_get(f, VIRTIO_PCI_COMMON_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
	assert_int_equal(probe_get(f, VIRTIO_PCI_COMMON_Q_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
	probe_set(f, VIRTIO_PCI_COMMON_MSIX, 2, PROBE_QUEUES);
	assert_int_equal(probe_get(f, VIRTIO_PCI_COMMON_MSIX, 2), PROBE_QUEUES);
	probe_set(f, VIRTIO_PCI_COMMON_MSIX, 2, PROBE_QUEUES + 1);
	assert_int_equal(probe_get(f, VIRTIO_PCI_COMMON_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
	probe_set(f, VIRTIO_PCI_COMMON_Q_MSIX, 2, 0x7ff);
	assert_int_equal(probe_get(f, VIRTIO_PCI_COMMON_Q_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
	probe_set(f, VIRTIO_PCI_COMMON_Q_MSIX, 2, 0);
	assert_int_equal(probe_get(f, VIRTIO_PCI_COMMON_Q_MSIX, 2), 0);
	probe_set(f, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	assert_int_equal(probe_get(f, VIRTIO_PCI_COMMON_Q_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
}

static void queue_without_a_vector_makes_no_interrupt(void **state)
{
	struct probe_guest *f = *state;

	probe_drive(f, 0, true);
	probe_set(f, VIRTIO_PCI_COMMON_Q_SELECT, 2, PROBE_ECHO);
	probe_set(f, VIRTIO_PCI_COMMON_Q_MSIX, 2, VIRTIO_MSI_NO_VECTOR);
	probe_add_chain(f, PROBE_ECHO);
	probe_settle(f);
	assert_true(probe_take(f, PROBE_ECHO));
	for (unsigned v = 0; v <= PROBE_QUEUES; v++)
		assert_false(virtio_guest_wait_vector(&f->guest, v, 0));
	assert_true(virtio_guest_wait_line(&f->guest, false, 0));
	assert_int_equal(virtio_guest_read(&f->guest, f->guest.isr, 1), 0);
}

static void intx_follows_the_isr(void **state)
{
	struct probe_guest *f = *state;
	struct virtio_guest *g = &f->guest;

	probe_drive(f, 0, false);
	assert_true(virtio_guest_wait_line(g, false, 0));
	probe_add_chain(f, PROBE_ECHO);
	assert_true(virtio_guest_wait_line(g, true, PROBE_TIMEOUT));
	assert_true(virtio_guest_config_read(g, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	assert_int_equal(virtio_guest_read(g, g->isr, 1), 1);
	assert_true(virtio_guest_wait_line(g, false, 0));
	assert_int_equal(virtio_guest_read(g, g->isr, 1), 0);
	assert_false(virtio_guest_config_read(g, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	/* Reading beside it clears nothing. */
	probe_add_chain(f, PROBE_ECHO);
	assert_true(virtio_guest_wait_line(g, true, PROBE_TIMEOUT));
	assert_int_equal(virtio_guest_read(g, g->isr + 1, 1), 0);
	assert_true(virtio_guest_wait_line(g, true, 0));
}

static void intx_can_be_disabled(void **state)
{
	struct probe_guest *f = *state;
	struct virtio_guest *g = &f->guest;
	const uint32_t on = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;

	probe_drive(f, 0, false);
	virtio_guest_config_write(g, PCI_COMMAND, 2, on | PCI_COMMAND_INTX_DISABLE);
	probe_add_chain(f, PROBE_ECHO);
	probe_settle(f);
	assert_true(virtio_guest_wait_line(g, false, 0));
	virtio_guest_config_write(g, PCI_COMMAND, 2, on);
	assert_true(virtio_guest_wait_line(g, true, 0));
	/* MSI-X takes its place. */
	virtio_guest_config_write(g, g->msix_cap + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	assert_true(virtio_guest_wait_line(g, false, 0));
}

static void reset_clears_the_isr_and_the_line(void **state)
{
	struct probe_guest *f = *state;

	probe_drive(f, 0, false);
	probe_add_chain(f, PROBE_ECHO);
	assert_true(virtio_guest_wait_line(&f->guest, true, PROBE_TIMEOUT));
	probe_set(f, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	assert_true(virtio_guest_wait_line(&f->guest, false, 0));
	assert_int_equal(virtio_guest_read(&f->guest, f->guest.isr, 1), 0);
}

static void broken_queue_needs_reset(void **state)
{
	struct probe_guest *f = *state;

	probe_drive(f, 0, true);
	f->drv[PROBE_ECHO].avail_idx = PROBE_QUEUE + 1;
	(void)vring_driver_expose(&f->drv[PROBE_ECHO]);
	virtio_guest_ring(&f->guest, PROBE_ECHO);
	assert_true(virtio_guest_wait_vector(&f->guest, 0, PROBE_TIMEOUT));
	assert_int_equal(probe_status(f), PROBE_STATUS_ALL | VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(virtio_guest_read(&f->guest, f->guest.isr, 1), 2);
	/* Said once. The other queue goes on. */
	virtio_guest_ring(&f->guest, PROBE_ECHO);
	probe_add_chain(f, PROBE_KEEPER);
	probe_settle(f);
	assert_false(virtio_guest_wait_vector(&f->guest, 0, 0));
	assert_int_equal(f->probe->kept_count, 1);
	/* A reset heals. */
	probe_drive(f, 0, true);
	probe_add_chain(f, PROBE_ECHO);
	assert_true(virtio_guest_wait_vector(&f->guest, 1 + PROBE_ECHO, PROBE_TIMEOUT));
}

static void broken_queue_raises_intx_with_the_configuration_bit(void **state)
{
	struct probe_guest *f = *state;

	probe_drive(f, 0, false);
	f->drv[PROBE_ECHO].avail_idx = PROBE_QUEUE + 1;
	(void)vring_driver_expose(&f->drv[PROBE_ECHO]);
	virtio_guest_ring(&f->guest, PROBE_ECHO);
	assert_true(virtio_guest_wait_line(&f->guest, true, PROBE_TIMEOUT));
	assert_int_equal(virtio_guest_read(&f->guest, f->guest.isr, 1), 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, probe_setup, probe_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(doorbell_reaches_the_queue),
		TEST(only_queues_that_a_driver_uses_have_doorbells),
		TEST(trapped_doorbell_works_as_well),
		TEST(doorbells_move_with_the_bar),
		TEST(bar_that_collides_is_not_reached),
		TEST(bar_that_had_to_wait_gets_its_doorbells_when_the_driver_starts),
		TEST(nothing_is_consumed_before_driver_ok),
		TEST(spurious_doorbells_are_harmless),
		TEST(vector_that_does_not_exist_reads_back_as_none),
		TEST(queue_without_a_vector_makes_no_interrupt),
		TEST(intx_follows_the_isr),
		TEST(intx_can_be_disabled),
		TEST(reset_clears_the_isr_and_the_line),
		TEST(broken_queue_needs_reset),
		TEST(broken_queue_raises_intx_with_the_configuration_bit),
	};

	return cmocka_run_group_tests_name("virtio_pci_queues", tests, NULL, NULL);
}
