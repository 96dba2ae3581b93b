/* SPDX-License-Identifier: Apache-2.0 */
/* The fw_cfg contents that firmware reads. */
#include "cmocka_all.h"

#include <errno.h>
#include <linux/qemu_fw_cfg.h>

#include <stdio.h>

#include "boot/acpi.h"
#include "boot/smbios.h"
#include "core/err.h"
#include "firmware-loader/fw_files.h"

static const struct fw_e820 e820[] = {
	{ 0, 2 * GiB, FW_E820_RAM },
	{ 4 * GiB, 6 * GiB, FW_E820_RAM },
	{ 0xfd00000000, 12 * GiB, FW_E820_RESERVED },
};

static const struct fw_machine minimal = {
	.e820 = e820,
	.e820_count = ARRAY_SIZE(e820),
	.vcpus = 0x123,
};

static void assert_u16(const struct fw_files *files, uint16_t key, uint16_t val)
{
	for (unsigned i = 0; i < files->count; i++) {
		const struct fw_file *file = &files->files[i];

		if (!file->name[0] && file->key == key) {
			assert_int_equal(file->len, 2);
			assert_int_equal(load_le(file->data, 2), val);
			return;
		}
	}
	fail_msg("no item 0x%x", key);
}

static void assert_text(const struct fw_files *files, const char *name, const char *text,
			size_t len)
{
	const struct fw_file *file = fw_files_find(files, name);

	assert_non_null(file);
	assert_int_equal(file->len, len);
	assert_memory_equal(file->data, text, len);
}

static void a_minimal_machine(void **state)
{
	struct fw_files files;

	assert_int_equal(fw_files_init(&minimal, &files), 0);
	assert_u16(&files, FW_CFG_NB_CPUS, 0x123);
	assert_u16(&files, FW_CFG_BOOT_MENU, 0);
	assert_int_equal(files.count, 3);
	/* What firmware must not find. */
	assert_null(fw_files_find(&files, "bootorder"));
	assert_null(fw_files_find(&files, "opt/ovmf/X-PciMmio64Mb"));
	assert_null(fw_files_find(&files, "etc/system-states"));
	assert_null(fw_files_find(&files, "etc/hardware-info"));
	fw_files_fini(&files);
	fw_files_fini(&files);
	fw_files_fini(NULL);
}

static void e820_is_packed(void **state)
{
	static const uint8_t expected[] = {
		0, 0, 0, 0, 0,    0, 0, 0, 0, 0, 0, 0x80, 0, 0, 0, 0, 1, 0, 0, 0,
		0, 0, 0, 0, 1,    0, 0, 0, 0, 0, 0, 0x80, 1, 0, 0, 0, 1, 0, 0, 0,
		0, 0, 0, 0, 0xfd, 0, 0, 0, 0, 0, 0, 0,    3, 0, 0, 0, 2, 0, 0, 0,
	};
	struct fw_files files;

	assert_int_equal(fw_files_init(&minimal, &files), 0);
	assert_text(&files, "etc/e820", (const char *)expected, sizeof(expected));
	fw_files_fini(&files);
}

static void boot_order_names_disks_and_controllers(void **state)
{
	static const struct {
		struct fw_boot_device dev;
		const char *path;
	} places[] = {
		{ { .slot = 2 }, "/pci@i0cf8/scsi@2/disk@0,0" },
		{ { .slot = 10 }, "/pci@i0cf8/scsi@a/disk@0,0" },
		{ { .slot = 31, .function = 7 }, "/pci@i0cf8/scsi@1f,7/disk@0,0" },
		{ { .behind_port = true, .port = 14 }, "/pci@i0cf8/pci-bridge@e/storage@0" },
		{ { .behind_port = true, .port = 29, .function = 1 },
		  "/pci@i0cf8/pci-bridge@1d/storage@0,1" },
		{ { .root = 2, .behind_port = true, .port = 15 },
		  "/pci@i0cf8,2/pci-bridge@f/storage@0" },
	};
	struct fw_machine m = minimal;
	struct fw_files files;
	char all[512] = "";

	m.boot_count = 1;
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		m.boot[0] = places[i].dev;
		assert_int_equal(fw_files_init(&m, &files), 0);
		assert_text(&files, "bootorder", places[i].path, strlen(places[i].path) + 1);
		fw_files_fini(&files);
		sprintf(all + strlen(all), "%s%s", i ? "\n" : "", places[i].path);
	}
	/* One after the other. */
	m.boot_count = ARRAY_SIZE(places);
	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		m.boot[i] = places[i].dev;
	assert_int_equal(fw_files_init(&m, &files), 0);
	assert_text(&files, "bootorder", all, strlen(all) + 1);
	fw_files_fini(&files);

	m.boot_count = 1;
	m.boot[0] = (struct fw_boot_device){ .slot = 32 };
	assert_int_equal(fw_files_init(&m, &files), -EINVAL);
	m.boot[0] = (struct fw_boot_device){ .function = 8 };
	assert_int_equal(fw_files_init(&m, &files), -EINVAL);
	m.boot[0] = (struct fw_boot_device){ .behind_port = true, .port = 32 };
	assert_int_equal(fw_files_init(&m, &files), -EINVAL);
	assert_int_equal(err_kind(), ERR_INTERNAL);
}

static void knob_is_decimal_text(void **state)
{
	struct fw_machine m = minimal;
	struct fw_files files;

	m.mmio64_mib = 262144;
	assert_int_equal(fw_files_init(&m, &files), 0);
	assert_text(&files, "opt/ovmf/X-PciMmio64Mb", "262144", 6);
	fw_files_fini(&files);
}

static void extra_roots_are_counted(void **state)
{
	struct fw_machine m = minimal;
	struct fw_files files;

	assert_int_equal(fw_files_init(&m, &files), 0);
	assert_null(fw_files_find(&files, "etc/extra-pci-roots"));
	fw_files_fini(&files);
	m.extra_roots = 3;
	assert_int_equal(fw_files_init(&m, &files), 0);
	assert_text(&files, "etc/extra-pci-roots", "\3\0\0\0\0\0\0", 8);
	fw_files_fini(&files);
}

static unsigned pci_gsi(unsigned slot, unsigned pin)
{
	return 16 + (slot + pin) % 8;
}

static void tables_are_copied(void **state)
{
	static const uint32_t apic_id;
	const struct acpi_machine acpi_machine = {
		.apic_ids = &apic_id,
		.vcpus = 1,
		.ecam_base = 0xb0000000,
		.ecam_size = 256 * MiB,
		.buses = 256,
		.mmio32_base = 0xc0000000,
		.mmio32_end = 0xfc000000,
		.pci_gsi = pci_gsi,
	};
	const struct smbios_range ram = { 0, GiB };
	const struct smbios_machine smbios_machine = {
		.cpu = { .sockets = 1, .cores = 1, .threads = 1 }, .ram = &ram, .ram_ranges = 1
	};
	struct fw_machine m = minimal;
	struct acpi_tables acpi;
	struct smbios_tables smbios;
	struct fw_files files;
	uint8_t anchor[24];

	assert_int_equal(acpi_build(&acpi_machine, &acpi), 0);
	assert_int_equal(smbios_build(&smbios_machine, &smbios), 0);
	m.acpi = &acpi;
	m.smbios = &smbios;
	assert_int_equal(fw_files_init(&m, &files), 0);
	assert_text(&files, "etc/table-loader", (char *)acpi.loader.data, acpi.loader.len);
	assert_text(&files, "etc/acpi/tables", (char *)acpi.tables.data, acpi.tables.len);
	assert_text(&files, "etc/acpi/rsdp", (char *)acpi.rsdp.data, acpi.rsdp.len);
	assert_text(&files, "etc/smbios/smbios-tables", (char *)smbios.tables.data,
		    smbios.tables.len);
	memcpy(anchor, smbios.anchor.data, sizeof(anchor));
	acpi_tables_fini(&acpi);
	smbios_tables_fini(&smbios);
	assert_text(&files, "etc/smbios/smbios-anchor", (char *)anchor, sizeof(anchor));
	assert_true(files.count <= FW_FILES_MAX);
	fw_files_fini(&files);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_minimal_machine),
		cmocka_unit_test(e820_is_packed),
		cmocka_unit_test(boot_order_names_disks_and_controllers),
		cmocka_unit_test(knob_is_decimal_text),
		cmocka_unit_test(tables_are_copied),
		cmocka_unit_test(extra_roots_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
