/* SPDX-License-Identifier: Apache-2.0 */
/* MSI-X structures beside registers, and where the guest finds them then. */
#include "cmocka_all.h"
#include "vfio/msix_move.h"
#include "vfio_guest.h"

#define PAGE 0x1000u

/* --- which pages are shared --- */

static bool shared(unsigned table_bar, uint64_t table, unsigned pba_bar, uint64_t pba)
{
	const struct vfio_msix_layout layout = {
		.table_bar = table_bar,
		.pba_bar = pba_bar,
		.table = { table, 0x100 },
		.pba = { pba, 8 },
	};

	return vfio_msix_shares_page(&layout, PAGE);
}

static void pages_that_begin_with_a_structure_are_its_own(void **state)
{
	assert_false(shared(0, 0x2000, 0, 0x3000));
	assert_false(shared(1, 0, 1, 0x800));
	assert_false(shared(1, 0x100, 1, 0));
	assert_false(shared(0, 0, 3, 0));
}

static void pages_that_begin_with_something_else_are_shared(void **state)
{
	assert_true(shared(0, 0x400, 0, 0x800));
	assert_true(shared(0, 0x2000, 0, 0x3800));
	assert_true(shared(0, 0x2080, 0, 0x2000 - 8));
	/* The structure at the begin of the page is in another BAR. */
	assert_true(shared(0, 0, 1, 0x800));
}

static void table_over_a_page_boundary_keeps_both_pages(void **state)
{
	const struct vfio_msix_layout layout = {
		.table = { 0x2000, 0x1100 },
		.pba = { 0x3100, 0x40 },
	};

	assert_false(vfio_msix_shares_page(&layout, PAGE));
	assert_true(shared(0, 0xf80, 0, 0x1080));
}

/* --- the device of fake_vfio, with its table among registers --- */

static void share_page(void)
{
	fake.regions[0].msix_mappable = true;
	fake_set_config(FAKE_MSIX + PCI_MSIX_TABLE, 4, 0x400);
	fake_set_config(FAKE_MSIX + PCI_MSIX_PBA, 4, 0x800);
}

static void table_moves_to_an_absent_bar(void **state)
{
	const uint8_t bits = 0x80;
	struct vfio_guest *f = *state;

	share_page();
	fake_fill(0, 0x800, &bits, 1);
	vfio_guest_create(f);
	/* BAR 3 is the upper half of BAR 2. */
	assert_int_equal(vfio_guest_config_read(f, FAKE_MSIX + PCI_MSIX_TABLE, 4), 5);
	assert_int_equal(vfio_guest_config_read(f, FAKE_MSIX + PCI_MSIX_PBA, 4), 5 | 0x100);
	assert_int_equal(f->pci->bars[5].kind, PCI_BAR_MEM32);
	assert_int_equal(f->pci->bars[5].size, PAGE);

	vfio_guest_place_bars(f);
	vfio_guest_config_write(f, PCI_BASE_ADDRESS_5, 4, 0xc0200000);
	vfio_guest_config_write(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_DISABLE);
	assert_string_equal(fake.log, "slot+0xc0000000/0x10000 slot+0x4000000000/0x100000");
	fake_clear_log();
	vfio_guest_config_write(f, FAKE_MSIX + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	bus_write(&f->m.mmio, 0xc0200000 + 3 * 16, 4, 0xfee00000);
	bus_write(&f->m.mmio, 0xc0200000 + 3 * 16 + 12, 4, 0);
	assert_string_equal(fake.log, "msix[0+16]=- msix[3+1]=fd irqfd+");
	assert_int_equal(bus_read(&f->m.mmio, 0xc0200000 + 3 * 16, 4), 0xfee00000);
	/* The device's own pending bits are still part of what the guest reads. */
	assert_int_equal(bus_read(&f->m.mmio, 0xc0200100, 4), 0x80);
	/* Behind the structures there is nothing, and no error. */
	bus_write(&f->m.mmio, 0xc0200800, 4, 1);
	assert_int_equal(bus_read(&f->m.mmio, 0xc0200800, 4), 0);
}

static void table_moves_behind_the_smallest_bar(void **state)
{
	struct vfio_guest *f = *state;

	share_page();
	for (unsigned n = 1; n < 6; n += 4) {
		fake.regions[n] = fake.regions[2];
		fake_set_config(PCI_BASE_ADDRESS_0 + 4 * n, 4, 0xfa000000 + n * 0x100000);
	}
	vfio_guest_create(f);
	assert_int_equal(vfio_guest_config_read(f, FAKE_MSIX + PCI_MSIX_TABLE, 4), 0x10000);
	assert_int_equal(f->pci->bars[0].size, 0x20000);
	vfio_guest_config_write(f, PCI_BASE_ADDRESS_0, 4, 0xffffffff);
	assert_int_equal(vfio_guest_config_read(f, PCI_BASE_ADDRESS_0, 4), 0xfffe0000);
	vfio_guest_config_write(f, PCI_BASE_ADDRESS_0, 4, 0xc0000000);
	vfio_guest_config_write(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_DISABLE);
	assert_string_equal(fake.log, "slot+0xc0000000/0x10000");
	bus_write(&f->m.mmio, 0xc0010000, 4, 0xfee00000);
	assert_int_equal(bus_read(&f->m.mmio, 0xc0010000, 4), 0xfee00000);
}

static void table_stays_where_it_could_not_be_mapped_either(void **state)
{
	struct vfio_guest *f = *state;

	share_page();
	fake.regions[0].msix_mappable = false;
	vfio_guest_create(f);
	assert_int_equal(vfio_guest_config_read(f, FAKE_MSIX + PCI_MSIX_TABLE, 4), 0x400);
	assert_int_equal(f->pci->bars[5].kind, PCI_BAR_NONE);
}

static void table_in_pages_of_its_own_stays(void **state)
{
	struct vfio_guest *f = *state;

	fake.regions[0].msix_mappable = true;
	vfio_guest_create(f);
	assert_int_equal(vfio_guest_config_read(f, FAKE_MSIX + PCI_MSIX_TABLE, 4), FAKE_TABLE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, vfio_guest_setup, vfio_guest_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_that_begin_with_a_structure_are_its_own),
		cmocka_unit_test(pages_that_begin_with_something_else_are_shared),
		cmocka_unit_test(table_over_a_page_boundary_keeps_both_pages),
		TEST(table_moves_to_an_absent_bar),
		TEST(table_moves_behind_the_smallest_bar),
		TEST(table_stays_where_it_could_not_be_mapped_either),
		TEST(table_in_pages_of_its_own_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
