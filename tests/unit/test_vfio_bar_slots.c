/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory slots of a passed-through device's BARs: congruent with the guest's addresses, also of
 * BARs smaller than a page, and back when what was in their way has gone.
 */
#include "cmocka_all.h"
#include "vfio_guest.h"

#define SMALL      0x100u
#define SMALL_ADDR 0xc0100000u

/* BAR 1 of 256 bytes, which the kernel allows to map, and BAR 5 as small. */
static void add_small_bars(void)
{
	fake.regions[1] = fake.regions[5] = (struct fake_region){
		.size = SMALL,
		.flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE |
			 VFIO_REGION_INFO_FLAG_MMAP,
	};
	fake_set_config(PCI_BASE_ADDRESS_1, 4, 0xfb100000);
	fake_set_config(PCI_BASE_ADDRESS_5, 4, 0xfb101000);
}

static void move_bar(struct vfio_guest *f, unsigned reg, uint32_t addr)
{
	fake_clear_log();
	vfio_guest_config_write(f, reg, 4, addr);
}

/* --- where the host has a BAR and where the guest has it --- */

static void host_view_is_congruent_with_the_bar(void **state)
{
	struct vfio_guest *f = *state;

	fake.regions[2].size = 32 * MiB;
	vfio_guest_start(f);
	assert_int_equal(fake.last_slot.guest_phys_addr, VFIO_GUEST_BAR2);
	assert_int_equal(fake.last_slot.memory_size, 32 * MiB);
	assert_int_equal(fake.last_slot.userspace_addr % (32 * MiB), 0);
}

static void pieces_around_a_trap_stay_congruent(void **state)
{
	struct vfio_guest *f = *state;

	fake.regions[0].size = 16 * MiB;
	fake_set_config(FAKE_MSIX + PCI_MSIX_TABLE, 4, 0xb90000);
	fake_set_config(FAKE_MSIX + PCI_MSIX_PBA, 4, 0xba0000);
	vfio_guest_start(f);
	move_bar(f, PCI_BASE_ADDRESS_0, 0xc3000000);
	assert_string_equal(fake.log, "slot- slot- slot- slot+0xc3000000/0xb90000 "
				      "slot+0xc3b91000/0xf000 slot+0xc3ba1000/0x45f000");
	assert_int_equal(fake.last_slot.userspace_addr % (16 * MiB), 0xba1000);
}

static void a_bar_beyond_1_gib_is_congruent_modulo_1_gib(void **state)
{
	struct vfio_guest *f = *state;

	fake.regions[2].size = 4 * GiB;
	vfio_guest_start(f);
	assert_int_equal(fake.last_slot.memory_size, 4 * GiB);
	assert_int_equal(fake.last_slot.userspace_addr % GiB, 0);
}

/* --- BARs smaller than a page --- */

static void small_bar_has_its_page(void **state)
{
	struct vfio_guest *f = *state;

	add_small_bars();
	vfio_guest_start(f);
	move_bar(f, PCI_BASE_ADDRESS_1, SMALL_ADDR);
	assert_string_equal(fake.log, "slot+0xc0100000/0x1000");
	assert_int_equal(f->pci->bars[1].size, SMALL);
	move_bar(f, PCI_BASE_ADDRESS_1, 0);
	assert_string_equal(fake.log, "slot-");
}

static void small_bar_inside_a_page_is_trapped(void **state)
{
	const uint8_t data[] = { 0x11, 0x22, 0x33, 0x44 };
	struct vfio_guest *f = *state;

	add_small_bars();
	vfio_guest_start(f);
	move_bar(f, PCI_BASE_ADDRESS_1, SMALL_ADDR + SMALL);
	fake_fill(1, 0x10, data, sizeof(data));
	assert_int_equal(bus_read(&f->m.mmio, SMALL_ADDR + SMALL + 0x10, 4), 0x44332211);
	assert_string_equal(fake.log, "");
}

static void small_bars_in_one_page_are_both_trapped(void **state)
{
	struct vfio_guest *f = *state;

	add_small_bars();
	vfio_guest_start(f);
	move_bar(f, PCI_BASE_ADDRESS_1, SMALL_ADDR);
	move_bar(f, PCI_BASE_ADDRESS_5, SMALL_ADDR + SMALL);
	assert_string_equal(fake.log, "slot-");
	(void)bus_read(&f->m.mmio, SMALL_ADDR, 4);
	assert_string_equal(fake.log, "slot-");
	/* Alone again: the next access finds it out. */
	move_bar(f, PCI_BASE_ADDRESS_5, 0);
	assert_string_equal(fake.log, "");
	(void)bus_read(&f->m.mmio, SMALL_ADDR, 4);
	assert_string_equal(fake.log, "slot+0xc0100000/0x1000");
}

static void small_bar_of_one_of_several_functions_is_trapped(void **state)
{
	static struct pci_dev other;
	struct vfio_guest *f = *state;

	add_small_bars();
	vfio_guest_start(f);
	f->bus.devs[PCI_DEVFN(0, 1)] = &other;
	f->bus.devs[f->pci->devfn] = f->pci;
	move_bar(f, PCI_BASE_ADDRESS_1, SMALL_ADDR);
	assert_string_equal(fake.log, "");
}

/* --- collisions --- */

static void bar_comes_back_when_the_other_leaves(void **state)
{
	const uint8_t data[] = { 0x11, 0x22, 0x33, 0x44 };
	struct vfio_guest *f = *state;

	fake_fill(2, 0x20, data, sizeof(data));
	vfio_guest_start(f);
	vfio_guest_config_write(f, PCI_BASE_ADDRESS_3, 4, 0);
	vfio_guest_config_write(f, PCI_BASE_ADDRESS_2, 4, VFIO_GUEST_BAR0);
	move_bar(f, PCI_BASE_ADDRESS_0, 0xd0000000);
	assert_string_equal(fake.log, "slot- slot- slot+0xd0000000/0x8000 slot+0xd000a000/0x6000");
	/* The first access is trapped, and the last one that is. */
	fake_clear_log();
	assert_int_equal(vfio_guest_read_bar0(f, 0x20, 4), 0x44332211);
	assert_string_equal(fake.log, "slot+0xc0000000/0x100000");
	(void)vfio_guest_read_bar0(f, 0x20, 4);
	assert_string_equal(fake.log, "slot+0xc0000000/0x100000");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, vfio_guest_setup, vfio_guest_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(host_view_is_congruent_with_the_bar),
		TEST(pieces_around_a_trap_stay_congruent),
		TEST(a_bar_beyond_1_gib_is_congruent_modulo_1_gib),
		TEST(small_bar_has_its_page),
		TEST(small_bar_inside_a_page_is_trapped),
		TEST(small_bars_in_one_page_are_both_trapped),
		TEST(small_bar_of_one_of_several_functions_is_trapped),
		TEST(bar_comes_back_when_the_other_leaves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
