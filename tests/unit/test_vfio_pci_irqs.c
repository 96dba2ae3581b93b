/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interrupts of a passed-through device: MSI-X, MSI, INTx, one at a time. What VFIO and
 * KVM are asked for, and in which order, is compared as text (see fake_vfio.h).
 */
#include <errno.h>

#include "cmocka_all.h"
#include "vfio_guest.h"

/* --- MSI-X --- */

static void msix_vectors_are_armed_one_by_one(void **state)
{
	struct vfio_guest *f = *state;

	vfio_guest_start(f);
	vfio_guest_config_write(f, FAKE_MSIX + PCI_MSIX_FLAGS, 2,
				PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	assert_string_equal(fake.log, "msix[0+16]=-");
	vfio_guest_set_vector(f, 3, false);
	assert_string_equal(fake.log, "msix[0+16]=-");
	vfio_guest_config_write(f, FAKE_MSIX + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	assert_string_equal(fake.log, "msix[0+16]=- msix[3+1]=fd irqfd+");
	vfio_guest_set_vector(f, 5, false);
	assert_string_equal(fake.log, "msix[0+16]=- msix[3+1]=fd irqfd+ msix[5+1]=fd irqfd+");
}

static void msix_vectors_are_allocated_one_by_one_where_the_host_can(void **state)
{
	struct vfio_guest *f = *state;

	fake.irq_flags = 0;
	vfio_guest_start(f);
	vfio_guest_config_write(f, FAKE_MSIX + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	assert_string_equal(fake.log, "msix[0+1]=-");
	vfio_guest_set_vector(f, 7, false);
	vfio_guest_set_vector(f, 0, false);
	assert_string_equal(fake.log, "msix[0+1]=- msix[7+1]=fd irqfd+ msix[0+1]=fd irqfd+");
}

static void msix_mask_does_not_call_vfio(void **state)
{
	struct vfio_guest *f = *state;

	vfio_guest_start(f);
	vfio_guest_config_write(f, FAKE_MSIX + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	vfio_guest_set_vector(f, 0, false);
	fake_clear_log();
	vfio_guest_set_vector(f, 0, true);
	vfio_guest_set_vector(f, 0, false);
	assert_string_equal(fake.log, "irqfd- irqfd+");
}

static void msix_disable_is_one_call(void **state)
{
	struct vfio_guest *f = *state;

	vfio_guest_start(f);
	vfio_guest_config_write(f, FAKE_MSIX + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	vfio_guest_set_vector(f, 0, false);
	fake_clear_log();
	vfio_guest_config_write(f, FAKE_MSIX + PCI_MSIX_FLAGS, 2, 0);
	assert_string_equal(fake.log, "irqfd- msix-off");
	fake_clear_log();
	/* And again: armed anew. */
	vfio_guest_config_write(f, FAKE_MSIX + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	assert_string_equal(fake.log, "msix[0+16]=- msix[0+1]=fd irqfd+");
}

static void msix_takes_what_the_host_has(void **state)
{
	struct vfio_guest *f = *state;

	fake.vectors_given = 5;
	vfio_guest_start(f);
	vfio_guest_config_write(f, FAKE_MSIX + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	vfio_guest_set_vector(f, 4, false);
	assert_string_equal(fake.log, "msix[0+16]=- msix[0+5]=- msix[4+1]=fd irqfd+");
}

static void msix_control_is_not_the_devices(void **state)
{
	struct vfio_guest *f = *state;

	vfio_guest_start(f);
	vfio_guest_config_write(f, FAKE_MSIX + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(vfio_guest_config_read(f, FAKE_MSIX + PCI_MSIX_FLAGS, 2),
			 PCI_MSIX_FLAGS_ENABLE | 15);
	assert_int_equal(fake_config(FAKE_MSIX + PCI_MSIX_FLAGS, 2), 15);
}

static void pending_bits_come_from_eventfd_and_device(void **state)
{
	const uint8_t bits = 0x80;
	struct vfio_guest *f = *state;

	fake_fill(0, FAKE_PBA, &bits, 1);
	vfio_guest_start(f);
	vfio_guest_config_write(f, FAKE_MSIX + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(vfio_guest_read_bar0(f, FAKE_PBA, 8), 0x80);
	vfio_guest_write_bar0(f, FAKE_PBA, 8, 0);
	assert_int_equal(vfio_guest_read_bar0(f, FAKE_PBA, 4), 0x80);
}

static void pending_bits_out_of_bounds_are_moved(void **state)
{
	struct vfio_guest *f = *state;

	fake_set_config(FAKE_MSIX + PCI_MSIX_PBA, 4, 0x20000);
	vfio_guest_create(f);
	assert_int_equal(vfio_guest_config_read(f, FAKE_MSIX + PCI_MSIX_PBA, 4),
			 FAKE_TABLE + 16 * 16);
}

static void table_out_of_bounds_hides_msix(void **state)
{
	struct vfio_guest *f = *state;

	fake_set_config(FAKE_MSIX + PCI_MSIX_TABLE, 4, 0xfff8);
	vfio_guest_create(f);
	assert_int_equal(vfio_guest_config_read(f, FAKE_EXP + PCI_CAP_LIST_NEXT, 1), 0);
	assert_int_equal(vfio_guest_config_read(f, FAKE_MSIX, 4), 0);
}

/* --- MSI --- */

static void msi_enable_arms_the_set_first(void **state)
{
	struct vfio_guest *f = *state;

	vfio_guest_start(f);
	vfio_guest_config_write(f, FAKE_MSI + PCI_MSI_ADDRESS_LO, 4, 0xfee00000);
	vfio_guest_config_write(f, FAKE_MSI + PCI_MSI_DATA_64, 2, 0x40);
	vfio_guest_config_write(f, FAKE_MSI + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE | 1 << 4);
	assert_string_equal(fake.log, "msi[0+2]=fd irqfd+ irqfd+");
	fake_clear_log();
	vfio_guest_config_write(f, FAKE_MSI + PCI_MSI_MASK_64, 4, 2);
	assert_string_equal(fake.log, "irqfd-");
	fake_clear_log();
	vfio_guest_config_write(f, FAKE_MSI + PCI_MSI_FLAGS, 2, 0);
	assert_string_equal(fake.log, "msi-off irqfd-");
	assert_int_equal(fake_config(FAKE_MSI + PCI_MSI_FLAGS, 2) & PCI_MSI_FLAGS_ENABLE, 0);
}

static void msi_asks_for_no_more_than_it_can(void **state)
{
	struct vfio_guest *f = *state;

	vfio_guest_start(f);
	vfio_guest_config_write(f, FAKE_MSI + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE | 7 << 4);
	assert_true(strstr(fake.log, "msi[0+4]=fd") == fake.log);
}

static void msix_takes_over_from_msi(void **state)
{
	struct vfio_guest *f = *state;

	vfio_guest_start(f);
	vfio_guest_config_write(f, FAKE_MSI + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE);
	fake_clear_log();
	vfio_guest_config_write(f, FAKE_MSIX + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	assert_string_equal(fake.log, "msi-off irqfd- msix[0+16]=-");
}

/* --- INTx --- */

static void msi_comes_when_msix_goes(void **state)
{
	struct vfio_guest *f = *state;

	vfio_guest_start(f);
	vfio_guest_config_write(f, FAKE_MSIX + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	vfio_guest_config_write(f, FAKE_MSI + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE);
	fake_clear_log();
	vfio_guest_config_write(f, FAKE_MSIX + PCI_MSIX_FLAGS, 2, 0);
	assert_string_equal(fake.log, "msix-off msi[0+1]=fd irqfd+");
}

static void intx_connects_when_the_device_is_used(void **state)
{
	struct vfio_guest *f = *state;

	vfio_guest_create(f);
	assert_int_equal(vfio_guest_config_read(f, PCI_INTERRUPT_PIN, 1), 1);
	vfio_guest_place_bars(f);
	assert_string_equal(fake.log, "");
	vfio_guest_config_write(f, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	assert_string_equal(fake.log, "resample+ intx[0+1]=fd intx-unmask");
}

static void intx_gives_way_to_msix_and_comes_back(void **state)
{
	struct vfio_guest *f = *state;

	vfio_guest_create(f);
	vfio_guest_config_write(f, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	fake_clear_log();
	vfio_guest_config_write(f, FAKE_MSIX + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	assert_string_equal(fake.log, "intx-off irqfd- msix[0+16]=-");
	fake_clear_log();
	vfio_guest_config_write(f, FAKE_MSIX + PCI_MSIX_FLAGS, 2, 0);
	assert_string_equal(fake.log, "msix-off resample+ intx[0+1]=fd intx-unmask");
}

static void intx_disabled_by_the_guest_does_not_come_back(void **state)
{
	struct vfio_guest *f = *state;

	vfio_guest_start(f);
	vfio_guest_config_write(f, FAKE_MSIX + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	vfio_guest_config_write(f, FAKE_MSIX + PCI_MSIX_FLAGS, 2, 0);
	assert_string_equal(fake.log, "msix[0+16]=- msix-off");
}

static void intx_that_the_host_refuses_is_left_out(void **state)
{
	struct vfio_guest *f = *state;

	vfio_guest_create(f);
	fake.set_irqs_error = -EBUSY;
	vfio_guest_config_write(f, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	assert_string_equal(fake.log, "resample+ irqfd-");
	vfio_guest_config_write(f, PCI_COMMAND, 2, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
	assert_string_equal(fake.log, "resample+ irqfd-");
	fake.set_irqs_error = 0;
}

static void device_without_interrupts_works(void **state)
{
	struct vfio_guest *f = *state;

	memset(fake.irq_counts, 0, sizeof(fake.irq_counts));
	vfio_guest_start(f);
	assert_int_equal(vfio_guest_config_read(f, PCI_INTERRUPT_PIN, 1), 0);
	/* MSI and MSI-X are out of the chain. */
	assert_int_equal(vfio_guest_config_read(f, FAKE_PM + PCI_CAP_LIST_NEXT, 1), FAKE_EXP);
	assert_int_equal(vfio_guest_config_read(f, FAKE_EXP + PCI_CAP_LIST_NEXT, 1), 0);
	assert_string_equal(fake.log, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, vfio_guest_setup, vfio_guest_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(msix_vectors_are_armed_one_by_one),
		TEST(msix_vectors_are_allocated_one_by_one_where_the_host_can),
		TEST(msix_mask_does_not_call_vfio),
		TEST(msix_disable_is_one_call),
		TEST(msix_takes_what_the_host_has),
		TEST(msix_control_is_not_the_devices),
		TEST(pending_bits_come_from_eventfd_and_device),
		TEST(pending_bits_out_of_bounds_are_moved),
		TEST(table_out_of_bounds_hides_msix),
		TEST(msi_enable_arms_the_set_first),
		TEST(msi_asks_for_no_more_than_it_can),
		TEST(msix_takes_over_from_msi),
		TEST(msi_comes_when_msix_goes),
		TEST(intx_connects_when_the_device_is_used),
		TEST(intx_gives_way_to_msix_and_comes_back),
		TEST(intx_disabled_by_the_guest_does_not_come_back),
		TEST(intx_that_the_host_refuses_is_left_out),
		TEST(device_without_interrupts_works),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
