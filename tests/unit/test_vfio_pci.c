/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A passed-through device as its guest drives it: BARs and decoding, power, reset. What VFIO and
 * KVM are asked for, and in which order, is compared as text (see fake_vfio.h).
 */
#include <errno.h>
#include <stdlib.h>

#include "cmocka_all.h"
#include "core/err.h"
#include "vfio/vfio_pci.h"
#include "vfio_guest.h"

/* --- identity and BARs --- */

static void bars_are_as_vfio_says(void **state)
{
	struct vfio_guest *f = *state;

	vfio_guest_create(f);
	assert_int_equal(f->pci->bars[0].kind, PCI_BAR_MEM32);
	assert_int_equal(f->pci->bars[0].size, 64 * KiB);
	assert_int_equal(f->pci->bars[2].kind, PCI_BAR_MEM64);
	assert_int_equal(f->pci->bars[2].size, MiB);
	assert_true(f->pci->bars[2].prefetch);
	assert_int_equal(f->pci->bars[3].kind, PCI_BAR_NONE);
	assert_int_equal(f->pci->bars[4].kind, PCI_BAR_IO);
	assert_int_equal(f->pci->bars[4].size, 128);
	assert_int_equal(f->pci->bars[PCI_BAR_ROM].kind, PCI_BAR_NONE);
}

static void slots_are_split_around_table_and_pending_bits(void **state)
{
	struct vfio_guest *f = *state;

	vfio_guest_create(f);
	vfio_guest_place_bars(f);
	assert_string_equal(fake.log, "");
	vfio_guest_config_write(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_DISABLE);
	assert_string_equal(fake.log, "slot+0xc0000000/0x8000 slot+0xc000a000/0x6000 "
				      "slot+0x4000000000/0x100000");
	fake_clear_log();
	vfio_guest_config_write(f, PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE);
	assert_string_equal(fake.log, "slot- slot- slot-");
}

static void sizing_a_decoded_bar_moves_nothing(void **state)
{
	struct vfio_guest *f = *state;

	vfio_guest_start(f);
	vfio_guest_config_write(f, PCI_BASE_ADDRESS_2, 4, 0xffffffff);
	assert_int_equal(vfio_guest_config_read(f, PCI_BASE_ADDRESS_2, 4), 0xfff0000c);
	vfio_guest_config_write(f, PCI_BASE_ADDRESS_2, 4, (uint32_t)VFIO_GUEST_BAR2);
	assert_string_equal(fake.log, "");
}

static void bar_that_the_host_did_not_place_is_absent(void **state)
{
	struct vfio_guest *f = *state;

	fake_set_config(PCI_BASE_ADDRESS_4, 4, 0);
	vfio_guest_create(f);
	assert_int_equal(f->pci->bars[4].kind, PCI_BAR_NONE);
	vfio_guest_config_write(f, PCI_BASE_ADDRESS_4, 4, 0xffffffff);
	assert_int_equal(vfio_guest_config_read(f, PCI_BASE_ADDRESS_4, 4), 0);
}

static void command_reaches_the_device(void **state)
{
	struct vfio_guest *f = *state;

	vfio_guest_start(f);
	assert_int_equal(fake_config(PCI_COMMAND, 2), PCI_COMMAND_IO | PCI_COMMAND_MEMORY |
							      PCI_COMMAND_MASTER |
							      PCI_COMMAND_INTX_DISABLE);
	vfio_guest_config_write(f, PCI_COMMAND, 1, PCI_COMMAND_MEMORY);
	assert_int_equal(fake_config(PCI_COMMAND, 2),
			 PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_DISABLE);
}

static void trapped_accesses_reach_the_region(void **state)
{
	const uint8_t data[] = { 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88 };
	struct vfio_guest *f = *state;

	fake_fill(4, 0x10, data, sizeof(data));
	fake_fill(0, FAKE_TABLE + 0x800, data, sizeof(data));
	vfio_guest_start(f);
	assert_int_equal(bus_read(&f->m.pio, VFIO_GUEST_BAR4 + 0x10, 4), 0x44332211);
	assert_int_equal(bus_read(&f->m.pio, VFIO_GUEST_BAR4 + 0x13, 1), 0x44);
	bus_write(&f->m.pio, VFIO_GUEST_BAR4 + 0x10, 2, 0xbeef);
	assert_int_equal(bus_read(&f->m.pio, VFIO_GUEST_BAR4 + 0x10, 4), 0x4433beef);
	/* Registers that share the page of the MSI-X table. */
	assert_int_equal(vfio_guest_read_bar0(f, FAKE_TABLE + 0x800, 8), 0x8877665544332211);
}

static void bar_on_top_of_another_is_not_reached(void **state)
{
	struct vfio_guest *f = *state;

	vfio_guest_start(f);
	vfio_guest_config_write(f, PCI_BASE_ADDRESS_3, 4, 0);
	fake_clear_log();
	vfio_guest_config_write(f, PCI_BASE_ADDRESS_2, 4, (uint32_t)VFIO_GUEST_BAR0);
	assert_string_equal(fake.log, "");
	/* BAR 0 still works, and BAR 2 does so again elsewhere. */
	vfio_guest_config_write(f, PCI_BASE_ADDRESS_3, 4, VFIO_GUEST_BAR2 >> 32);
	assert_string_equal(fake.log, "slot+0x40c0000000/0x100000");
}

/* --- power and reset --- */

static void device_in_d3_is_not_mapped(void **state)
{
	struct vfio_guest *f = *state;

	vfio_guest_start(f);
	vfio_guest_config_write(f, FAKE_PM + PCI_PM_CTRL, 2, 3);
	assert_string_equal(fake.log, "slot- slot- slot-");
	assert_int_equal(fake_config(FAKE_PM + PCI_PM_CTRL, 2) & 3, 3);
	assert_int_equal(vfio_guest_read_bar0(f, 0, 4), 0xffffffff);
	fake_clear_log();
	vfio_guest_config_write(f, FAKE_PM + PCI_PM_CTRL, 2, 0);
	assert_string_equal(fake.log, "slot+0xc0000000/0x8000 slot+0xc000a000/0x6000 "
				      "slot+0x4000000000/0x100000");
}

static void power_writes_in_d0_move_nothing(void **state)
{
	struct vfio_guest *f = *state;

	vfio_guest_start(f);
	vfio_guest_config_write(f, FAKE_PM + PCI_PM_CTRL, 2, PCI_PM_CTRL_PME_STATUS);
	assert_string_equal(fake.log, "");
}

static void function_level_reset_takes_everything_along(void **state)
{
	struct vfio_guest *f = *state;

	vfio_guest_start(f);
	vfio_guest_config_write(f, FAKE_MSIX + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	vfio_guest_set_vector(f, 1, false);
	fake_clear_log();
	vfio_guest_config_write(f, FAKE_EXP + PCI_EXP_DEVCTL, 2, PCI_EXP_DEVCTL_BCR_FLR);
	/* No bus mastering and no decoding by the time the reset comes. */
	assert_string_equal(fake.log, "irqfd- msix-off slot- slot- slot- reset(command=0x0)");
	assert_int_equal(vfio_guest_config_read(f, PCI_COMMAND, 2), 0);
	assert_int_equal(vfio_guest_config_read(f, PCI_BASE_ADDRESS_0, 4), 0);
	assert_int_equal(vfio_guest_config_read(f, FAKE_MSIX + PCI_MSIX_FLAGS, 2), 15);
	assert_int_equal(vfio_guest_config_read(f, PCI_VENDOR_ID, 4), 0x233010de);
}

static void machine_reset_resets_the_device(void **state)
{
	struct vfio_guest *f = *state;

	vfio_guest_start(f);
	vfio_guest_config_write(f, FAKE_PM + PCI_PM_CTRL, 2, 3);
	fake_clear_log();
	f->pci->device.ops->reset(&f->pci->device);
	assert_string_equal(fake.log, "reset(command=0x0)");
	assert_int_equal(fake_config(FAKE_PM + PCI_PM_CTRL, 2) & 3, 0);
	assert_int_equal(vfio_guest_config_read(f, PCI_COMMAND, 2), 0);
	fake_clear_log();
	/* Untouched since: clean already. */
	f->pci->device.ops->reset(&f->pci->device);
	assert_string_equal(fake.log, "");
	/* And it works afterwards. */
	vfio_guest_place_bars(f);
	vfio_guest_config_write(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_DISABLE);
	assert_string_equal(fake.log, "slot+0xc0000000/0x8000 slot+0xc000a000/0x6000 "
				      "slot+0x4000000000/0x100000");
}

static void give_back_order(void **state)
{
	struct vfio_guest *f = *state;

	vfio_guest_start(f);
	vfio_guest_config_write(f, FAKE_MSIX + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	fake_clear_log();
	vfio_guest_destroy(f);
	/* Interrupts, decoding, the reset, then the device's group leaves KVM and the container. */
	assert_string_equal(fake.log, "msix-off slot- slot- slot- reset(command=0x0) kvm- leave");
}

static void untouched_device_is_not_reset_again(void **state)
{
	struct vfio_guest *f = *state;

	vfio_guest_create(f);
	vfio_guest_destroy(f);
	assert_string_equal(fake.log, "kvm- leave");
}

static void unanswering_device_is_refused(void **state)
{
	const struct vfio_pci_config config = { .bdf = FAKE_BDF };
	struct vfio_guest *f = *state;

	fake_set_config(PCI_VENDOR_ID, 4, 0xffffffff);
	assert_int_equal(vfio_type1_create(&f->m.vm, &f->iommu), 0);
	assert_int_equal(vfio_pci_create(&f->m.board, f->iommu, &config, &f->loop, &f->pci),
			 -ENODEV);
	assert_null(f->pci);
	assert_int_equal(err_kind(), ERR_DEVICE);
	assert_true(strstr(err_text(), FAKE_BDF ": ") == err_text());
}

/* Any access in any order: nothing but the guest's own device may suffer. */
static void random_accesses_do_no_harm(void **state)
{
	struct vfio_guest *f = *state;
	uint32_t seed = 1;

	vfio_guest_start(f);
	for (unsigned i = 0; i < 20000; i++) {
		static const unsigned lens[] = { 1, 2, 4 };
		const unsigned len = lens[rand_r(&seed) % 3];
		const unsigned space = rand_r(&seed) % 4 ? 256 : PCI_CONFIG_SIZE;
		const unsigned off = rand_r(&seed) % space & ~(len - 1);
		const uint32_t val = (uint32_t)rand_r(&seed) << 16 ^ (uint32_t)rand_r(&seed);

		vfio_guest_config_write(f, off, len, val & (uint32_t)ones(len));
		(void)vfio_guest_config_read(f, off, len);
		(void)vfio_guest_read_bar0(f, (uint64_t)rand_r(&seed) % (64 * KiB), len);
		vfio_guest_write_bar0(f, FAKE_TABLE + val % 0x110, len, val);
		fake_clear_log();
	}
	f->pci->device.ops->reset(&f->pci->device);
	assert_int_equal(vfio_guest_config_read(f, PCI_COMMAND, 2), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, vfio_guest_setup, vfio_guest_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bars_are_as_vfio_says),
		TEST(slots_are_split_around_table_and_pending_bits),
		TEST(sizing_a_decoded_bar_moves_nothing),
		TEST(bar_that_the_host_did_not_place_is_absent),
		TEST(command_reaches_the_device),
		TEST(trapped_accesses_reach_the_region),
		TEST(bar_on_top_of_another_is_not_reached),
		TEST(device_in_d3_is_not_mapped),
		TEST(power_writes_in_d0_move_nothing),
		TEST(function_level_reset_takes_everything_along),
		TEST(machine_reset_resets_the_device),
		TEST(give_back_order),
		TEST(untouched_device_is_not_reset_again),
		TEST(unanswering_device_is_refused),
		TEST(random_accesses_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
