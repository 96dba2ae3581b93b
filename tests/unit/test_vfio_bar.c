/* SPDX-License-Identifier: Apache-2.0 */
/* Which parts of a BAR are mapped: whole pages that VFIO allows and no trap touches. */
#include "cmocka_all.h"

#include "vfio/bar.h"

#define PAGE 0x1000u

static unsigned split(const struct vfio_region *region, const struct vfio_area *traps,
		      unsigned trap_count, struct vfio_area *ret)
{
	return vfio_bar_split(region, traps, trap_count, PAGE, ret);
}

static void assert_area(const struct vfio_area *area, uint64_t off, uint64_t size)
{
	assert_int_equal(area->off, off);
	assert_int_equal(area->size, size);
}

static void whole_bar_is_one_piece(void **state)
{
	const struct vfio_region region = { .size = 128 * GiB, .mmap = true };
	struct vfio_area got[VFIO_BAR_PIECES_MAX];

	assert_int_equal(split(&region, NULL, 0, got), 1);
	assert_area(&got[0], 0, 128 * GiB);
}

static void region_without_mmap_is_trapped(void **state)
{
	const struct vfio_region region = { .size = 64 * KiB };
	struct vfio_area got[VFIO_BAR_PIECES_MAX];

	assert_int_equal(split(&region, NULL, 0, got), 0);
}

static void bar_below_a_page_is_one_page(void **state)
{
	const struct vfio_region region = { .size = 256, .mmap = true };
	const struct vfio_area elsewhere = { PAGE, 0x100 };
	struct vfio_area got[VFIO_BAR_PIECES_MAX];

	assert_int_equal(split(&region, NULL, 0, got), 1);
	assert_area(&got[0], 0, PAGE);
	assert_int_equal(split(&region, &elsewhere, 1, got), 1);
}

static void table_in_a_bar_below_a_page_is_trapped(void **state)
{
	const struct vfio_region region = { .size = 256, .mmap = true };
	const struct vfio_area table = { 0x80, 0x20 };
	struct vfio_area got[VFIO_BAR_PIECES_MAX];

	assert_int_equal(split(&region, &table, 1, got), 0);
}

static void only_the_page_of_the_table_is_left_out(void **state)
{
	const struct vfio_region region = { .size = 64 * KiB, .mmap = true };
	const struct vfio_area table = { 0x8800, 16 * 16 };
	struct vfio_area got[VFIO_BAR_PIECES_MAX];

	assert_int_equal(split(&region, &table, 1, got), 2);
	assert_area(&got[0], 0, 0x8000);
	assert_area(&got[1], 0x9000, 0x7000);
}

static void table_over_a_page_boundary_leaves_out_both(void **state)
{
	const struct vfio_region region = { .size = 64 * KiB, .mmap = true };
	const struct vfio_area table = { 0x1ff0, 32 };
	struct vfio_area got[VFIO_BAR_PIECES_MAX];

	assert_int_equal(split(&region, &table, 1, got), 2);
	assert_area(&got[0], 0, 0x1000);
	assert_area(&got[1], 0x3000, 0xd000);
}

static void table_and_pending_bits_split_twice(void **state)
{
	const struct vfio_region region = { .size = 64 * KiB, .mmap = true };
	const struct vfio_area traps[] = { { 0xf000, 8 }, { 0x2000, 0x1000 } };
	struct vfio_area got[VFIO_BAR_PIECES_MAX];

	/* In any order, and at an end of the BAR. */
	assert_int_equal(split(&region, traps, 2, got), 2);
	assert_area(&got[0], 0, 0x2000);
	assert_area(&got[1], 0x3000, 0xc000);
}

static void traps_in_one_page_are_one_hole(void **state)
{
	const struct vfio_region region = { .size = 0x4000, .mmap = true };
	const struct vfio_area traps[] = { { 0x1000, 0x100 }, { 0x1800, 8 } };
	struct vfio_area got[VFIO_BAR_PIECES_MAX];

	assert_int_equal(split(&region, traps, 2, got), 2);
	assert_area(&got[0], 0, 0x1000);
	assert_area(&got[1], 0x2000, 0x2000);
}

static void bar_that_is_all_table_has_no_piece(void **state)
{
	const struct vfio_region region = { .size = 0x1000, .mmap = true };
	const struct vfio_area table = { 0, 0x100 };
	struct vfio_area got[VFIO_BAR_PIECES_MAX];

	assert_int_equal(split(&region, &table, 1, got), 0);
}

static void sparse_areas_are_cut_to_pages_and_traps(void **state)
{
	const struct vfio_region region = {
		.size = 64 * KiB,
		.mmap = true,
		.sparse = true,
		.area_count = 3,
		.areas = { { 0, 0x2800 }, { 0x4200, 0xc00 }, { 0x8000, 0x8000 } },
	};
	const struct vfio_area table = { 0xa000, 0x10 };
	struct vfio_area got[VFIO_BAR_PIECES_MAX];

	assert_int_equal(split(&region, &table, 1, got), 3);
	assert_area(&got[0], 0, 0x2000);
	assert_area(&got[1], 0x8000, 0x2000);
	assert_area(&got[2], 0xb000, 0x5000);
}

static void sparse_without_areas_maps_nothing(void **state)
{
	const struct vfio_region region = { .size = 64 * KiB, .mmap = true, .sparse = true };
	struct vfio_area got[VFIO_BAR_PIECES_MAX];

	assert_int_equal(split(&region, NULL, 0, got), 0);
}

static void all_areas_with_both_traps_fit(void **state)
{
	struct vfio_region region = { .size = 64 * MiB, .mmap = true, .sparse = true };
	const struct vfio_area traps[] = { { 0x2000, 8 }, { 0x102000, 8 } };
	struct vfio_area got[VFIO_BAR_PIECES_MAX];

	for (unsigned i = 0; i < VFIO_AREAS_MAX; i++)
		region.areas[region.area_count++] = (struct vfio_area){ i * MiB, 0x8000 };
	assert_int_equal(split(&region, traps, 2, got), VFIO_AREAS_MAX + 2);
	assert_area(&got[VFIO_AREAS_MAX + 1], (VFIO_AREAS_MAX - 1) * MiB, 0x8000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_bar_is_one_piece),
		cmocka_unit_test(region_without_mmap_is_trapped),
		cmocka_unit_test(bar_below_a_page_is_one_page),
		cmocka_unit_test(table_in_a_bar_below_a_page_is_trapped),
		cmocka_unit_test(only_the_page_of_the_table_is_left_out),
		cmocka_unit_test(table_over_a_page_boundary_leaves_out_both),
		cmocka_unit_test(table_and_pending_bits_split_twice),
		cmocka_unit_test(traps_in_one_page_are_one_hole),
		cmocka_unit_test(bar_that_is_all_table_has_no_piece),
		cmocka_unit_test(sparse_areas_are_cut_to_pages_and_traps),
		cmocka_unit_test(sparse_without_areas_maps_nothing),
		cmocka_unit_test(all_areas_with_both_traps_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
