/* SPDX-License-Identifier: Apache-2.0 */
/* The expansion ROM of a passed-through device: its own, from a file, or none. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmocka_all.h"
#include "core/err.h"
#include "vfio/rom.h"
#include "vfio_guest.h"

static void put_rom(uint8_t *rom, size_t size, uint16_t device)
{
	uint8_t sum = 0;

	memset(rom, 0, size);
	store_le(rom, 2, 0xaa55);
	rom[2] = (uint8_t)(size / 512);
	store_le(rom + 0x18, 2, 0x1c);
	memcpy(rom + 0x1c, "PCIR", 4);
	store_le(rom + 0x1c + 4, 2, 0x10de);
	store_le(rom + 0x1c + 6, 2, device);
	rom[0x100] = 0x5a;
	for (size_t i = 0; i < size; i++)
		sum = (uint8_t)(sum + rom[i]);
	rom[6] = (uint8_t)-sum;
}

static void map_rom(struct vfio_guest *f, uint32_t addr)
{
	vfio_guest_config_write(f, PCI_ROM_ADDRESS, 4, addr | PCI_ROM_ADDRESS_ENABLE);
	vfio_guest_config_write(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_DISABLE);
}

static void rom_is_read_at_the_first_look(void **state)
{
	struct vfio_guest *f = *state;
	uint8_t rom[8192], sum = 0;

	put_rom(rom, sizeof(rom), 0x1234);
	fake.regions[VFIO_PCI_ROM_REGION_INDEX] =
		(struct fake_region){ .size = 8192, .flags = VFIO_REGION_INFO_FLAG_READ };
	fake_fill(VFIO_PCI_ROM_REGION_INDEX, 0, rom, sizeof(rom));
	vfio_guest_create(f);
	map_rom(f, 0xd0000000);
	assert_string_equal(fake.log, "");
	assert_int_equal(bus_read(&f->m.mmio, 0xd0000000, 2), 0xaa55);
	assert_string_equal(fake.log, "slot+0xd0000000/0x2000");
	/* The ID is the device's, and the checksum is right again. */
	assert_int_equal(bus_read(&f->m.mmio, 0xd0000000 + 0x22, 2), 0x2330);
	for (unsigned i = 0; i < 8192; i++)
		sum = (uint8_t)(sum + bus_read(&f->m.mmio, 0xd0000000 + i, 1));
	assert_int_equal(sum, 0);
	bus_write(&f->m.mmio, 0xd0000000, 4, 0);
	assert_int_equal(bus_read(&f->m.mmio, 0xd0000000, 2), 0xaa55);
}

static void rom_without_signature_reads_ones(void **state)
{
	struct vfio_guest *f = *state;

	fake.regions[VFIO_PCI_ROM_REGION_INDEX] =
		(struct fake_region){ .size = 8192, .flags = VFIO_REGION_INFO_FLAG_READ };
	vfio_guest_create(f);
	map_rom(f, 0xd0000000);
	assert_int_equal(bus_read(&f->m.mmio, 0xd0000000, 4), 0xffffffff);
}

static void rom_that_could_not_be_read_is_tried_again(void **state)
{
	struct vfio_guest *f = *state;
	uint8_t rom[8192];

	fake.regions[VFIO_PCI_ROM_REGION_INDEX] =
		(struct fake_region){ .size = 8192, .flags = VFIO_REGION_INFO_FLAG_READ };
	vfio_guest_create(f);
	map_rom(f, 0xd0000000);
	assert_int_equal(bus_read(&f->m.mmio, 0xd0000000, 2), 0xffff);
	put_rom(rom, sizeof(rom), 0x2330);
	fake_fill(VFIO_PCI_ROM_REGION_INDEX, 0, rom, sizeof(rom));
	/* Not with every read, but when the guest decodes it anew. */
	assert_int_equal(bus_read(&f->m.mmio, 0xd0000000, 2), 0xffff);
	vfio_guest_config_write(f, PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE);
	map_rom(f, 0xd0000000);
	assert_int_equal(bus_read(&f->m.mmio, 0xd0000000, 2), 0xaa55);
}

static void rom_from_a_file(void **state)
{
	char path[] = "/tmp/test_vfio_pci.XXXXXX";
	struct vfio_guest *f = *state;
	int fd = mkstemp(path);
	uint8_t rom[5 * 512];

	put_rom(rom, sizeof(rom), 0x2330);
	assert_int_equal(write(fd, rom, sizeof(rom)), sizeof(rom));
	close(fd);
	vfio_guest_create_with(f, path, false);
	unlink(path);
	assert_int_equal(f->pci->bars[PCI_BAR_ROM].size, 4096);
	map_rom(f, 0xd0000000);
	assert_string_equal(fake.log, "slot+0xd0000000/0x1000");
	assert_int_equal(bus_read(&f->m.mmio, 0xd0000100, 1), 0x5a);
	assert_int_equal(bus_read(&f->m.mmio, 0xd0000fff, 1), 0xff);
}

static void rom_off_has_no_bar(void **state)
{
	struct vfio_guest *f = *state;

	fake.regions[VFIO_PCI_ROM_REGION_INDEX] =
		(struct fake_region){ .size = 8192, .flags = VFIO_REGION_INFO_FLAG_READ };
	vfio_guest_create_with(f, NULL, true);
	vfio_guest_config_write(f, PCI_ROM_ADDRESS, 4, 0xffffffff);
	assert_int_equal(vfio_guest_config_read(f, PCI_ROM_ADDRESS, 4), 0);
}

static void file_that_is_no_rom_is_refused(void **state)
{
	struct vfio_rom_file file = { 0 };

	assert_int_equal(vfio_rom_file_read("/proc/self/exe", &file), -EINVAL);
	assert_null(file.data);
	assert_int_equal(err_kind(), ERR_FILE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, vfio_guest_setup, vfio_guest_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rom_is_read_at_the_first_look),
		TEST(rom_without_signature_reads_ones),
		TEST(rom_that_could_not_be_read_is_tried_again),
		TEST(rom_from_a_file),
		TEST(rom_off_has_no_bar),
		TEST(file_that_is_no_rom_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
