/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PCI transport's registers: what PCI sees, negotiation, the set-up of queues.
 * [virtio-1.2 4.1 Virtio Over PCI Bus]
 */
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cmocka_all.h"
#include "core/err.h"
#include "probe.h"

/* --- what PCI sees --- */

static void identity_of_a_modern_device(void **state)
{
	struct virtio_guest *g = &((struct probe_guest *)*state)->guest;

	assert_int_equal(virtio_guest_config_read(g, PCI_VENDOR_ID, 2), 0x1af4);
	assert_int_equal(virtio_guest_config_read(g, PCI_DEVICE_ID, 2), 0x1040 + PROBE_ID);
	assert_true(virtio_guest_config_read(g, PCI_REVISION_ID, 1) >= 1);
	assert_true(virtio_guest_config_read(g, PCI_SUBSYSTEM_ID, 2) >= 0x40);
	assert_int_equal(virtio_guest_config_read(g, PCI_CLASS_REVISION, 4) >> 8, 0xff0000);
	assert_int_equal(virtio_guest_config_read(g, PCI_INTERRUPT_PIN, 1), 1);
}

static void bar_is_small_32_bit_and_not_prefetchable(void **state)
{
	struct virtio_guest *g = &((struct probe_guest *)*state)->guest;

	virtio_guest_config_write(g, PCI_COMMAND, 2, 0);
	virtio_guest_config_write(g, PCI_BASE_ADDRESS_0, 4, 0xffffffff);
	assert_int_equal(virtio_guest_config_read(g, PCI_BASE_ADDRESS_0, 4), 0xffff8000);
	virtio_guest_config_write(g, PCI_BASE_ADDRESS_0 + 4, 4, 0xffffffff);
	assert_int_equal(virtio_guest_config_read(g, PCI_BASE_ADDRESS_0 + 4, 4), 0);
}

static void capabilities_lie_in_the_bar_a_page_each(void **state)
{
	struct virtio_guest *g = &((struct probe_guest *)*state)->guest;
	uint64_t size = g->dev->bars[0].size;
	unsigned pages = 0;

	/* [virtio-1.2 4.1.4]: all five types but the last describe memory. */
	assert_int_equal(g->common_len, sizeof(struct virtio_pci_common_cfg));
	assert_int_equal(g->device_cfg_len, sizeof(probe_config));
	assert_int_equal(g->notify_multiplier, 4);
	assert_true(g->cfg_cap && g->msix_cap);
	for (unsigned i = 0; i < 5; i++) {
		uint64_t off[] = { g->common, g->notify, g->isr, g->device_cfg, g->msix_table };

		assert_true(off[i] < size && off[i] % 0x1000 == 0);
		assert_false(pages & 1u << off[i] / 0x1000);
		pages |= 1u << off[i] / 0x1000;
	}
}

static void window_in_config_space_reaches_the_bar(void **state)
{
	struct probe_guest *f = *state;
	struct virtio_guest *g = &f->guest;
	const unsigned data = g->cfg_cap + offsetof(struct virtio_pci_cfg_cap, pci_cfg_data);

	/* It needs no memory decoding. */
	virtio_guest_config_write(g, PCI_COMMAND, 2, 0);
	virtio_guest_config_write(g, g->cfg_cap + VIRTIO_PCI_CAP_LENGTH, 4, 4);
	virtio_guest_config_write(g, g->cfg_cap + VIRTIO_PCI_CAP_OFFSET, 4,
				  (uint32_t)g->device_cfg + 4);
	assert_int_equal(virtio_guest_config_read(g, data, 4), 0x08070605);
	virtio_guest_config_write(g, g->cfg_cap + VIRTIO_PCI_CAP_LENGTH, 4, 1);
	virtio_guest_config_write(g, g->cfg_cap + VIRTIO_PCI_CAP_OFFSET, 4,
				  (uint32_t)g->common + VIRTIO_PCI_COMMON_STATUS);
	virtio_guest_config_write(g, data, 4, 0xffffff00 | VIRTIO_CONFIG_S_ACKNOWLEDGE);
	assert_int_equal(virtio_guest_config_read(g, data, 1), VIRTIO_CONFIG_S_ACKNOWLEDGE);
	virtio_guest_map_bar(g, VIRTIO_GUEST_BAR);
	assert_int_equal(probe_status(f), VIRTIO_CONFIG_S_ACKNOWLEDGE);
}

static void window_aimed_badly_does_nothing(void **state)
{
	static const struct {
		uint32_t bar, off, len;
	} bad[] = {
		{ 1, 0, 4 }, { 0, 0, 0 },      { 0, 0, 3 },          { 0, 0, 8 },
		{ 0, 2, 4 }, { 0, 0x8000, 4 }, { 0, 0xfffffffc, 4 }, { 0, 0, 0xffffffff },
	};
	struct virtio_guest *g = &((struct probe_guest *)*state)->guest;
	const unsigned data = g->cfg_cap + offsetof(struct virtio_pci_cfg_cap, pci_cfg_data);

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		virtio_guest_config_write(g, g->cfg_cap + VIRTIO_PCI_CAP_BAR, 1, bad[i].bar);
		virtio_guest_config_write(g, g->cfg_cap + VIRTIO_PCI_CAP_OFFSET, 4, bad[i].off);
		virtio_guest_config_write(g, g->cfg_cap + VIRTIO_PCI_CAP_LENGTH, 4, bad[i].len);
		virtio_guest_config_write(g, data, 4, 0xa5a5a5a5);
		assert_int_equal(virtio_guest_config_read(g, data, 4), 0xa5a5a5a5);
	}
	assert_int_equal(virtio_guest_get(g, VIRTIO_PCI_COMMON_DFSELECT, 4), 0);
}

static void device_configuration_reads_at_any_width(void **state)
{
	struct virtio_guest *g = &((struct probe_guest *)*state)->guest;

	assert_int_equal(virtio_guest_read(g, g->device_cfg, 1), 1);
	assert_int_equal(virtio_guest_read(g, g->device_cfg + 1, 2), 0x0302);
	assert_true(virtio_guest_read(g, g->device_cfg, 8) == 0x0807060504030201);
	assert_int_equal(virtio_guest_read(g, g->device_cfg + 8, 4), 0); /* past its end */
	virtio_guest_write(g, g->device_cfg, 1, 0x55);
	assert_int_equal(virtio_guest_read(g, g->device_cfg, 1), 1);
	assert_int_equal(virtio_guest_get(g, VIRTIO_PCI_COMMON_CFGGENERATION, 1), 0);
}

/* --- negotiation --- */

static void features_read_by_halves(void **state)
{
	struct probe_guest *f = *state;

	probe_set(f, VIRTIO_PCI_COMMON_DFSELECT, 4, 0);
	assert_int_equal(probe_get(f, VIRTIO_PCI_COMMON_DF, 4),
			 PROBE_F_CLASS | F_EVENT_IDX | 1u << VIRTIO_RING_F_INDIRECT_DESC);
	probe_set(f, VIRTIO_PCI_COMMON_DFSELECT, 4, 1);
	assert_int_equal(probe_get(f, VIRTIO_PCI_COMMON_DF, 4), 1u << (VIRTIO_F_VERSION_1 - 32));
	probe_set(f, VIRTIO_PCI_COMMON_DFSELECT, 4, 2);
	assert_int_equal(probe_get(f, VIRTIO_PCI_COMMON_DF, 4), 0);
	probe_set(f, VIRTIO_PCI_COMMON_DFSELECT, 4, 0xffffffff);
	assert_int_equal(probe_get(f, VIRTIO_PCI_COMMON_DF, 4), 0);
}

static void features_ok_only_for_a_subset(void **state)
{
	struct probe_guest *f = *state;

	assert_false(virtio_guest_negotiate(&f->guest, 1ull << 5));
	assert_false(virtio_guest_negotiate(&f->guest, 1ull << VIRTIO_F_ACCESS_PLATFORM));
	assert_true(virtio_guest_negotiate(&f->guest, PROBE_F_CLASS));
}

static void version_1_is_mandatory(void **state)
{
	struct probe_guest *f = *state;

	probe_set(f, VIRTIO_PCI_COMMON_STATUS, 1, 3);
	probe_set(f, VIRTIO_PCI_COMMON_GF, 4, PROBE_F_CLASS);
	probe_set(f, VIRTIO_PCI_COMMON_STATUS, 1, 3 | VIRTIO_CONFIG_S_FEATURES_OK);
	assert_int_equal(probe_status(f), 3);
}

static void features_are_fixed_by_features_ok(void **state)
{
	struct probe_guest *f = *state;

	probe_drive(f, PROBE_F_CLASS | F_EVENT_IDX, true);
	probe_set(f, VIRTIO_PCI_COMMON_GFSELECT, 4, 0);
	probe_set(f, VIRTIO_PCI_COMMON_GF, 4, 0xffffffff);
	assert_int_equal(probe_get(f, VIRTIO_PCI_COMMON_GF, 4), PROBE_F_CLASS | F_EVENT_IDX);
	assert_int_equal(f->probe->features_at_start,
			 PROBE_F_CLASS | F_EVENT_IDX | 1ull << VIRTIO_F_VERSION_1);
}

static void driver_ok_needs_features_ok(void **state)
{
	struct probe_guest *f = *state;

	probe_set(f, VIRTIO_PCI_COMMON_STATUS, 1, 3 | VIRTIO_CONFIG_S_DRIVER_OK);
	assert_int_equal(probe_status(f), 3);
	assert_int_equal(atomic_load(&f->probe->starts), 0);
}

static void status_bits_are_cleared_by_reset_only(void **state)
{
	struct probe_guest *f = *state;

	probe_drive(f, 0, true);
	probe_set(f, VIRTIO_PCI_COMMON_STATUS, 1, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	assert_int_equal(probe_status(f), PROBE_STATUS_ALL);
	/* Bits that are the device's, and starting twice. */
	probe_set(f, VIRTIO_PCI_COMMON_STATUS, 1,
		  PROBE_STATUS_ALL | VIRTIO_CONFIG_S_NEEDS_RESET | 0x30);
	assert_int_equal(probe_status(f), PROBE_STATUS_ALL);
	assert_int_equal(atomic_load(&f->probe->starts), 1);
	probe_set(f, VIRTIO_PCI_COMMON_STATUS, 1, PROBE_STATUS_ALL | VIRTIO_CONFIG_S_FAILED);
	assert_int_equal(probe_status(f), PROBE_STATUS_ALL | VIRTIO_CONFIG_S_FAILED);
	probe_set(f, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	assert_int_equal(probe_status(f), 0);
}

/* --- queues --- */

static void absent_queue_has_size_zero(void **state)
{
	struct probe_guest *f = *state;

	assert_int_equal(probe_get(f, VIRTIO_PCI_COMMON_NUMQ, 2), PROBE_QUEUES);
	probe_set(f, VIRTIO_PCI_COMMON_Q_SELECT, 2, PROBE_QUEUES - 1);
	assert_int_equal(probe_get(f, VIRTIO_PCI_COMMON_Q_SIZE, 2), PROBE_QUEUE);
	for (unsigned q = PROBE_QUEUES; q < 0x10000; q += 0x1fff) {
		probe_set(f, VIRTIO_PCI_COMMON_Q_SELECT, 2, q);
		assert_int_equal(probe_get(f, VIRTIO_PCI_COMMON_Q_SELECT, 2), q);
		assert_int_equal(probe_get(f, VIRTIO_PCI_COMMON_Q_SIZE, 2), 0);
		probe_set(f, VIRTIO_PCI_COMMON_Q_SIZE, 2, 8);
		probe_set(f, VIRTIO_PCI_COMMON_Q_MSIX, 2, 0);
		probe_set(f, VIRTIO_PCI_COMMON_Q_DESCLO, 4, 0x1000);
		probe_set(f, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
		assert_int_equal(probe_get(f, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	}
}

static void queue_size_must_be_a_power_of_two_up_to_ours(void **state)
{
	static const unsigned bad[] = { 0, 3, 2 * PROBE_QUEUE, 0xffff };
	struct probe_guest *f = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		probe_set(f, VIRTIO_PCI_COMMON_Q_SIZE, 2, bad[i]);
		assert_int_equal(probe_get(f, VIRTIO_PCI_COMMON_Q_SIZE, 2), PROBE_QUEUE);
	}
	probe_set(f, VIRTIO_PCI_COMMON_Q_SIZE, 2, 4);
	assert_int_equal(probe_get(f, VIRTIO_PCI_COMMON_Q_SIZE, 2), 4);
	probe_set(f, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	assert_int_equal(probe_get(f, VIRTIO_PCI_COMMON_Q_SIZE, 2), PROBE_QUEUE);
}

static void queue_registers_are_fixed_once_enabled(void **state)
{
	struct probe_guest *f = *state;

	assert_true(virtio_guest_negotiate(&f->guest, 0));
	virtio_guest_setup_queue(&f->guest, 0, &f->drv[0], PROBE_RINGS(0), PROBE_QUEUE);
	assert_int_equal(probe_get(f, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
	probe_set(f, VIRTIO_PCI_COMMON_Q_DESCLO, 4, 0x10);
	probe_set(f, VIRTIO_PCI_COMMON_Q_USEDHI, 4, 0x10);
	probe_set(f, VIRTIO_PCI_COMMON_Q_SIZE, 2, 4);
	probe_set(f, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 0);
	assert_int_equal(probe_get(f, VIRTIO_PCI_COMMON_Q_DESCLO, 4), PROBE_RINGS(0));
	assert_int_equal(probe_get(f, VIRTIO_PCI_COMMON_Q_USEDHI, 4), 0);
	assert_int_equal(probe_get(f, VIRTIO_PCI_COMMON_Q_SIZE, 2), PROBE_QUEUE);
	assert_int_equal(probe_get(f, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
}

static void rings_outside_ram_are_refused(void **state)
{
	static const uint64_t bad[] = { VIRTIO_GUEST_RAM, VIRTIO_GUEST_RAM - 16, 8, UINT64_MAX - 15,
					1ull << 40 };
	struct probe_guest *f = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_true(virtio_guest_negotiate(&f->guest, 0));
		probe_set(f, VIRTIO_PCI_COMMON_Q_AVAILLO, 4, 0x2000);
		probe_set(f, VIRTIO_PCI_COMMON_Q_USEDLO, 4, 0x3000);
		/* All 64 bits at once: some drivers do. */
		probe_set(f, VIRTIO_PCI_COMMON_Q_DESCLO, 8, bad[i]);
		assert_true(probe_get(f, VIRTIO_PCI_COMMON_Q_DESCLO, 8) == bad[i]);
		probe_set(f, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
		assert_int_equal(probe_get(f, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	}
}

static void queue_is_not_enabled_while_the_device_runs(void **state)
{
	struct probe_guest *f = *state;

	assert_true(virtio_guest_negotiate(&f->guest, 0));
	virtio_guest_setup_queue(&f->guest, PROBE_ECHO, &f->drv[PROBE_ECHO],
				 PROBE_RINGS(PROBE_ECHO), PROBE_QUEUE);
	virtio_guest_driver_ok(&f->guest);
	virtio_guest_setup_queue(&f->guest, PROBE_KEEPER, &f->drv[PROBE_KEEPER],
				 PROBE_RINGS(PROBE_KEEPER), PROBE_QUEUE);
	assert_int_equal(probe_get(f, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	/* Nobody answers its doorbell. */
	probe_add_chain(f, PROBE_KEEPER);
	probe_settle(f);
	assert_int_equal(f->probe->kept_count, 0);
}

static void writes_of_a_wrong_width_are_ignored(void **state)
{
	struct probe_guest *f = *state;

	probe_set(f, VIRTIO_PCI_COMMON_STATUS, 2, 1);
	probe_set(f, VIRTIO_PCI_COMMON_STATUS, 4, 1);
	probe_set(f, VIRTIO_PCI_COMMON_Q_SIZE, 1, 4);
	probe_set(f, VIRTIO_PCI_COMMON_Q_DESCLO, 2, 0x10);
	probe_set(f, VIRTIO_PCI_COMMON_Q_DESCLO + 2, 4, 0x10);
	assert_int_equal(probe_status(f), 0);
	assert_int_equal(probe_get(f, VIRTIO_PCI_COMMON_Q_SIZE, 2), PROBE_QUEUE);
	assert_int_equal(probe_get(f, VIRTIO_PCI_COMMON_Q_DESCLO, 8), 0);
	assert_int_equal(probe_get(f, 0xff8, 8), 0);
}

static void driver_is_told_when_there_are_no_fds_for_its_doorbells(void **state)
{
	struct probe_guest *f = *state;
	struct rlimit old, tight;
	int next = dup(0);

	close(next);
	assert_true(virtio_guest_negotiate(&f->guest, 0));
	virtio_guest_setup_queue(&f->guest, PROBE_ECHO, &f->drv[PROBE_ECHO],
				 PROBE_RINGS(PROBE_ECHO), PROBE_QUEUE);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	tight = old;
	tight.rlim_cur = (rlim_t)next;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
	virtio_guest_driver_ok(&f->guest);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_true(probe_status(f) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_non_null(strstr(err_text(), "make a doorbell"));
	/* The next one finds some. */
	probe_drive(f, 0, false);
	assert_false(probe_status(f) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, probe_setup, probe_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(identity_of_a_modern_device),
		TEST(bar_is_small_32_bit_and_not_prefetchable),
		TEST(capabilities_lie_in_the_bar_a_page_each),
		TEST(window_in_config_space_reaches_the_bar),
		TEST(window_aimed_badly_does_nothing),
		TEST(device_configuration_reads_at_any_width),
		TEST(features_read_by_halves),
		TEST(features_ok_only_for_a_subset),
		TEST(version_1_is_mandatory),
		TEST(features_are_fixed_by_features_ok),
		TEST(driver_ok_needs_features_ok),
		TEST(status_bits_are_cleared_by_reset_only),
		TEST(absent_queue_has_size_zero),
		TEST(queue_size_must_be_a_power_of_two_up_to_ours),
		TEST(queue_registers_are_fixed_once_enabled),
		TEST(rings_outside_ram_are_refused),
		TEST(queue_is_not_enabled_while_the_device_runs),
		TEST(writes_of_a_wrong_width_are_ignored),
		TEST(driver_is_told_when_there_are_no_fds_for_its_doorbells),
	};

	return cmocka_run_group_tests_name("virtio_pci", tests, NULL, NULL);
}
