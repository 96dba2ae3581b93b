/* SPDX-License-Identifier: Apache-2.0 */
/* boot_params, field by field, as a kernel reads it. */
#include "cmocka_all.h"

#include <asm/bootparam.h>

#include "boot/zeropage.h"

static const struct memmap memmap = {
	.ranges = { { 0, 640 * KiB, MEMMAP_RAM },
		    { 0xe0000, 0x20000, MEMMAP_RESERVED },
		    { MiB, 2 * GiB - MiB, MEMMAP_RAM },
		    { 4 * GiB, 60 * GiB, MEMMAP_RAM } },
	.count = 4,
};

static void every_field_is_where_linux_has_it(void **state)
{
	struct bzimage image = { 0 };
	struct boot_params params;
	const struct zeropage z = {
		.image = &image,
		.memmap = &memmap,
		.rsdp = 0xe0aa0,
		.cmdline = 0x20000,
		.initrd = 0x7f000000,
		.initrd_size = 0x123456,
	};

	for (unsigned i = 0; i < sizeof(image.header); i++)
		image.header[i] = (uint8_t)(i + 1);
	memset(&params, 0xff, sizeof(params));
	zeropage_fill(&z, (uint8_t *)&params);

	assert_int_equal(params.acpi_rsdp_addr, 0xe0aa0);
	assert_int_equal(params.hdr.cmd_line_ptr, 0x20000);
	assert_int_equal(params.ext_cmd_line_ptr, 0);
	assert_int_equal(params.hdr.ramdisk_image, 0x7f000000);
	assert_int_equal(params.ext_ramdisk_image, 0);
	assert_int_equal(params.hdr.ramdisk_size, 0x123456);
	assert_int_equal(params.ext_ramdisk_size, 0);
	assert_int_equal(params.hdr.type_of_loader, 0xff);
	assert_int_equal(params.hdr.vid_mode, 0xffff);
	/* What is not ours to set comes from the image. */
	assert_int_equal(params.hdr.setup_sects, 1);
	assert_int_equal(params.hdr.init_size,
			 load_le(image.header + offsetof(struct setup_header, init_size), 4));
	assert_int_equal(params.sentinel, 0);

	assert_int_equal(params.e820_entries, 4);
	for (unsigned i = 0; i < 4; i++) {
		assert_true(params.e820_table[i].addr == memmap.ranges[i].base);
		assert_true(params.e820_table[i].size == memmap.ranges[i].size);
		assert_int_equal(params.e820_table[i].type, memmap.ranges[i].type);
	}
	assert_true(params.e820_table[4].size == 0);
}

static void high_addresses_are_split(void **state)
{
	const struct bzimage image = { 0 };
	struct boot_params params;
	const struct zeropage z = {
		.image = &image,
		.memmap = &memmap,
		.cmdline = 0x100020000,
		.initrd = 0x200001000,
		.initrd_size = 0x300000123,
	};

	zeropage_fill(&z, (uint8_t *)&params);
	assert_int_equal(params.hdr.cmd_line_ptr, 0x20000);
	assert_int_equal(params.ext_cmd_line_ptr, 1);
	assert_int_equal(params.hdr.ramdisk_image, 0x1000);
	assert_int_equal(params.ext_ramdisk_image, 2);
	assert_int_equal(params.hdr.ramdisk_size, 0x123);
	assert_int_equal(params.ext_ramdisk_size, 3);
}

static void without_initrd_there_is_none(void **state)
{
	const struct bzimage image = { 0 };
	struct boot_params params;
	const struct zeropage z = { .image = &image, .memmap = &memmap, .initrd = 0x1000 };

	zeropage_fill(&z, (uint8_t *)&params);
	assert_int_equal(params.hdr.ramdisk_image, 0);
	assert_int_equal(params.hdr.ramdisk_size, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_field_is_where_linux_has_it),
		cmocka_unit_test(high_addresses_are_split),
		cmocka_unit_test(without_initrd_there_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
