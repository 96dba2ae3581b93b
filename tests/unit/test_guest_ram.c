/* SPDX-License-Identifier: Apache-2.0 */
/* Where guest RAM lies, and how much of it a host has. */
#include "cmocka_all.h"

#include <errno.h>

#include "core/err.h"
#include "fake_sysfs.h"
#include "placement/guest_ram.h"
#include "x86_64/layout.h"

static void assert_bank(const struct mem_bank *bank, uint64_t gpa, uint64_t size)
{
	assert_int_equal(bank->gpa, gpa);
	assert_int_equal(bank->size, size);
}

static void ram_leaves_out_the_holes(void **state)
{
	struct mem_bank banks[GUEST_MEM_BANKS_MAX];

	assert_int_equal(guest_ram_layout(512 * MiB, banks), 1);
	assert_bank(&banks[0], 0, 512 * MiB);
	assert_int_equal(guest_ram_layout(LOW_RAM_MAX, banks), 1);
	assert_bank(&banks[0], 0, LOW_RAM_MAX);
	assert_int_equal(guest_ram_layout(5 * GiB, banks), 2);
	assert_bank(&banks[0], 0, 2 * GiB);
	assert_bank(&banks[1], 4 * GiB, 3 * GiB);
	assert_int_equal(guest_ram_layout(2 * TiB, banks), 3);
	assert_bank(&banks[1], 4 * GiB, AMD_HT_HOLE_BASE - 4 * GiB);
	assert_bank(&banks[2], AMD_HT_HOLE_END, 2 * TiB - 2 * GiB - (AMD_HT_HOLE_BASE - 4 * GiB));
}

static void assert_part(const struct mem_part *part, uint64_t gpa, uint64_t size, int node)
{
	assert_int_equal(part->gpa, gpa);
	assert_int_equal(part->size, size);
	assert_int_equal(part->node, node);
}

static void nodes_fill_the_banks_in_order(void **state)
{
	const uint64_t even[] = { 3 * GiB, 3 * GiB }, small[] = { GiB, 0, 5 * GiB };
	struct mem_bank banks[GUEST_MEM_BANKS_MAX];
	struct mem_part parts[MEM_PARTS_MAX];
	const unsigned count = guest_ram_layout(6 * GiB, banks);

	assert_int_equal(guest_ram_split(banks, count, even, 2, parts), 3);
	assert_part(&parts[0], 0, 2 * GiB, 0);
	assert_part(&parts[1], 4 * GiB, GiB, 0);
	assert_part(&parts[2], 5 * GiB, 3 * GiB, 1);
	assert_int_equal(guest_ram_split(banks, count, small, 3, parts), 3);
	assert_part(&parts[0], 0, GiB, 0);
	assert_part(&parts[1], GiB, GiB, 2);
	assert_part(&parts[2], 4 * GiB, 4 * GiB, 2);
	assert_int_equal(guest_ram_split(banks, count, even, 0, parts), 0);
}

static void memory_is_what_is_free_or_there(void **state)
{
	struct fake_sysfs fs;

	fake_sysfs_init(&fs);
	assert_int_equal(guest_ram_check_free(fs.root, TiB, true), 0); /* nobody says */
	fake_sysfs_file(&fs, "proc/meminfo",
			"MemTotal:       8388608 kB\nMemFree: 1 kB\nMemAvailable:   4194304 kB\n");
	assert_int_equal(guest_ram_check_free(fs.root, 4 * GiB, true), 0);
	assert_int_equal(guest_ram_check_free(fs.root, 8 * GiB, false), 0);
	assert_int_equal(guest_ram_check_free(fs.root, 5 * GiB, true), -ENOMEM);
	assert_string_equal(err_text(), "--memory: 5120 MiB are more than the 4096 MiB that are "
					"free on this host, and a passed-through device needs all "
					"at once");
	assert_int_equal(err_kind(), ERR_LIMIT);
	assert_int_equal(guest_ram_check_free(fs.root, 9 * GiB, false), -ENOMEM);
	fake_sysfs_fini(&fs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ram_leaves_out_the_holes),
		cmocka_unit_test(nodes_fill_the_banks_in_order),
		cmocka_unit_test(memory_is_what_is_free_or_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
