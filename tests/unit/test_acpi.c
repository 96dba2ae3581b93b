/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACPI tables as a guest finds them: linked by the script, walked from the RSDP, and read by
 * ACPICA's disassembler where that is installed.
 */
#include "cmocka_all.h"
#include "temp_dir.h"

#include <errno.h>

#include "boot/acpi.h"
#include "boot/acpi_loader.h"
#include "core/err.h"

#define GPA 0x7ff00000ull

static uint32_t apic_ids[ACPI_VCPUS_MAX];

static unsigned pci_gsi(unsigned slot, unsigned pin)
{
	return 16 + (slot + pin - 1) % 8;
}

static struct acpi_machine machine(unsigned vcpus)
{
	for (unsigned i = 0; i < ACPI_VCPUS_MAX; i++)
		apic_ids[i] = i;
	return (struct acpi_machine){
		.apic_ids = apic_ids,
		.vcpus = vcpus,
		.lapic_base = 0xfee00000,
		.ioapic_base = 0xfec00000,
		.ecam_base = 0xb0000000,
		.ecam_size = 256 * MiB,
		.buses = 256,
		.pm_base = 0x600,
		.pm_size = 0x80,
		.sci_gsi = 9,
		.com1_port = 0x3f8,
		.com1_gsi = 4,
		.rtc_port = 0x70,
		.rtc_gsi = 8,
		.reset_port = 0xcf9,
		.reset_value = 0x0f,
		.mmio32_base = 0xc0000000,
		.mmio32_end = 0xfc000000,
		.mmio64_base = 0x4000000000,
		.mmio64_size = 256 * GiB,
		.pci_gsi = pci_gsi,
	};
}

/* Builds, links, and hands over the image alone. */
static struct acpi_image image_of(const struct acpi_machine *m)
{
	struct acpi_tables t;
	struct acpi_image image;

	assert_int_equal(acpi_build(m, &t), 0);
	assert_int_equal(acpi_link(&t, GPA, &image), 0);
	acpi_tables_fini(&t);
	return image;
}

/* What lies at a guest-physical address of the image. */
static const uint8_t *at(const struct acpi_image *image, uint64_t gpa, size_t len)
{
	assert_true(gpa >= GPA);
	assert_true(range_fits(gpa - GPA, len, image->len));
	return image->data + (gpa - GPA);
}

static const uint8_t *table_at(const struct acpi_image *image, uint64_t gpa, const char *signature)
{
	size_t len = load_le(at(image, gpa, 8) + 4, 4);
	const uint8_t *table = at(image, gpa, len);

	assert_memory_equal(table, signature, 4);
	assert_int_equal(acpi_checksum(table, len), 0);
	return table;
}

static const uint8_t *xsdt(const struct acpi_image *image)
{
	const uint8_t *rsdp = at(image, image->rsdp, 36);

	assert_memory_equal(rsdp, "RSD PTR ", 8);
	assert_int_equal(image->rsdp % 16, 0);
	assert_int_equal(acpi_checksum(rsdp, 20), 0);
	assert_int_equal(acpi_checksum(rsdp, 36), 0);
	assert_int_equal(rsdp[15], 2);
	assert_int_equal(load_le(rsdp + 16, 4), 0); /* no RSDT */
	return table_at(image, load_le(rsdp + 24, 8), "XSDT");
}

/* Table `i` of the XSDT. */
static const uint8_t *listed(const struct acpi_image *image, unsigned i, const char *signature)
{
	const uint8_t *table = xsdt(image);

	assert_true(36 + 8 * (i + 1) <= load_le(table + 4, 4));
	return table_at(image, load_le(table + 36 + 8 * i, 8), signature);
}

static void everything_is_reachable_from_the_rsdp(void **state)
{
	struct acpi_machine m = machine(4);
	struct acpi_image image = image_of(&m);
	const uint8_t *fadt = listed(&image, 0, "FACP"), *facs;

	assert_int_equal(load_le(xsdt(&image) + 4, 4), 36 + 3 * 8);
	listed(&image, 1, "APIC");
	listed(&image, 2, "MCFG");
	facs = at(&image, load_le(fadt + 36, 4), 64);
	assert_memory_equal(facs, "FACS\x40\0\0\0", 8);
	assert_int_equal(load_le(fadt + 36, 4) % 64, 0);
	assert_int_equal(load_le(fadt + 132, 8), 0); /* only one of the two FACS addresses */
	assert_int_equal(load_le(fadt + 40, 4), load_le(fadt + 140, 8));
	table_at(&image, load_le(fadt + 140, 8), "DSDT");
	acpi_image_fini(&image);
}

static void fadt_tells_the_pm_block(void **state)
{
	struct acpi_machine m = machine(1);
	struct acpi_image image = image_of(&m);
	const uint8_t *fadt = listed(&image, 0, "FACP");

	assert_int_equal(load_le(fadt + 4, 4), 276);
	assert_int_equal(fadt[8], 6);
	assert_int_equal(load_le(fadt + 46, 2), 9);
	assert_int_equal(load_le(fadt + 48, 4), 0); /* no SMI command port: ACPI is always on */
	assert_int_equal(load_le(fadt + 56, 4), 0x600);
	assert_int_equal(load_le(fadt + 64, 4), 0x604);
	assert_int_equal(load_le(fadt + 76, 4), 0x608);
	assert_int_equal(fadt[88], 4);
	assert_int_equal(fadt[89], 2);
	assert_int_equal(fadt[91], 4);
	assert_int_equal(fadt[108], 0x32);
	assert_int_equal(load_le(fadt + 109, 2), 1 << 0 | 1 << 2);
	/* WBINVD, C1, no sleep button, reset register; power button fixed, 24-bit timer. */
	assert_int_equal(load_le(fadt + 112, 4), 1 << 0 | 1 << 2 | 1 << 5 | 1 << 10);
	assert_memory_equal(fadt + 116, "\x01\x08\x00\x01\xf9\x0c\0\0\0\0\0\0\x0f", 13);
	assert_memory_equal(fadt + 148, "\x01\x20\x00\x02\x00\x06\0\0\0\0\0\0", 12);
	assert_memory_equal(fadt + 172, "\x01\x10\x00\x02\x04\x06\0\0\0\0\0\0", 12);
	assert_memory_equal(fadt + 208, "\x01\x20\x00\x03\x08\x06\0\0\0\0\0\0", 12);
	acpi_image_fini(&image);
}

static void mcfg_tells_the_ecam(void **state)
{
	struct acpi_machine m = machine(1);
	struct acpi_image image;
	const uint8_t *mcfg;

	m.ecam_base = 0xe0000000;
	image = image_of(&m);
	mcfg = listed(&image, 2, "MCFG");
	assert_int_equal(load_le(mcfg + 4, 4), 60);
	assert_int_equal(load_le(mcfg + 44, 8), 0xe0000000);
	assert_int_equal(load_le(mcfg + 52, 4), 0xff000000); /* segment 0, buses 0 to 255 */
	acpi_image_fini(&image);
}

/* A guest looks at each slot of each bus that it is told of: it is told of no more than there are.
 */
static void buses_are_those_that_exist(void **state)
{
	struct acpi_machine m = machine(1);
	struct acpi_image image;

	m.buses = 3;
	image = image_of(&m);
	assert_int_equal(load_le(listed(&image, 2, "MCFG") + 52, 4), 0x02000000);
	acpi_image_fini(&image);
}

/* Counts MADT entries of each type and checks that they fill the table. */
static void count_madt(const uint8_t *madt, unsigned ret_counts[16])
{
	size_t len = load_le(madt + 4, 4);

	memset(ret_counts, 0, 16 * sizeof(*ret_counts));
	for (size_t off = 44; off < len; off += madt[off + 1]) {
		assert_true(madt[off] < 16);
		assert_true(madt[off + 1] >= 6);
		assert_true(madt[off + 1] <= len - off);
		ret_counts[madt[off]]++;
	}
}

static void madt_lists_processors_and_interrupts(void **state)
{
	struct acpi_machine m = machine(3);
	struct acpi_image image;
	const uint8_t *madt;
	unsigned counts[16];

	apic_ids[1] = 4;
	apic_ids[2] = 254;
	image = image_of(&m);
	madt = listed(&image, 1, "APIC");
	assert_int_equal(load_le(madt + 36, 4), 0xfee00000);
	assert_int_equal(load_le(madt + 40, 4), 1);
	count_madt(madt, counts);
	assert_int_equal(counts[0], 3);
	assert_int_equal(counts[1], 1);
	assert_int_equal(counts[2], 2);
	assert_int_equal(counts[4], 1);
	assert_int_equal(counts[9] + counts[10], 0);
	assert_memory_equal(madt + 44, "\0\x08\0\0\x01\0\0\0", 8);
	assert_memory_equal(madt + 52, "\0\x08\x01\x04\x01\0\0\0", 8);
	assert_memory_equal(madt + 60, "\0\x08\x02\xfe\x01\0\0\0", 8);
	assert_memory_equal(madt + 68, "\x01\x0c\0\0\0\0\xc0\xfe\0\0\0\0", 12);
	assert_memory_equal(madt + 80, "\x02\x0a\0\0\x02\0\0\0\0\0", 10);     /* timer: GSI 2 */
	assert_memory_equal(madt + 90, "\x02\x0a\0\x09\x09\0\0\0\x0d\0", 10); /* SCI: level, high */
	assert_memory_equal(madt + 100, "\x04\x06\xff\0\0\x01", 6); /* NMI: LINT1 of all */
	acpi_image_fini(&image);
}

static void many_processors_are_x2apics(void **state)
{
	struct acpi_machine m = machine(300);
	struct acpi_image image = image_of(&m);
	const uint8_t *madt = listed(&image, 1, "APIC");
	unsigned counts[16];

	count_madt(madt, counts);
	assert_int_equal(counts[0], 255); /* APIC ids 0 to 254 */
	assert_int_equal(counts[9], 45);
	assert_int_equal(counts[4], 1);
	assert_int_equal(counts[10], 1);
	assert_memory_equal(madt + 44 + 255 * 8, "\x09\x10\0\0\xff\0\0\0\x01\0\0\0\xff\0\0\0", 16);
	acpi_image_fini(&image);

	m.no_isa = true;
	image = image_of(&m);
	madt = listed(&image, 1, "APIC");
	count_madt(madt, counts);
	assert_int_equal(load_le(madt + 40, 4), 0); /* no PIC */
	assert_int_equal(counts[2], 1);             /* the SCI; there is no timer at GSI 2 */
	acpi_image_fini(&image);

	m = machine(ACPI_VCPUS_MAX);
	image = image_of(&m);
	count_madt(listed(&image, 1, "APIC"), counts);
	assert_int_equal(counts[0] + counts[9], ACPI_VCPUS_MAX);
	acpi_image_fini(&image);
}

/* Firmware is told the sizes before it decides where ECAM and the windows are. */
static void sizes_do_not_depend_on_addresses(void **state)
{
	struct acpi_machine m = machine(16);
	struct acpi_tables a, b;

	assert_int_equal(acpi_build(&m, &a), 0);
	m.ecam_base = 0xe0000000;
	m.mmio32_base = 0x80000000;
	m.mmio32_end = 0xe0000000;
	m.mmio64_base = 0x100000000;
	m.mmio64_size = 1;
	assert_int_equal(acpi_build(&m, &b), 0);
	assert_int_equal(a.tables.len, b.tables.len);
	assert_int_equal(a.rsdp.len, b.rsdp.len);
	assert_int_equal(a.loader.len, b.loader.len);
	assert_memory_equal(a.loader.data, b.loader.data, a.loader.len);
	assert_memory_not_equal(a.tables.data, b.tables.data, a.tables.len);
	acpi_tables_fini(&a);
	acpi_tables_fini(&b);
}

static void no_64_bit_window(void **state)
{
	struct acpi_machine m = machine(1);
	struct acpi_image with = image_of(&m), without;

	m.mmio64_size = 0;
	without = image_of(&m);
	assert_true(without.len < with.len);
	acpi_image_fini(&with);
	acpi_image_fini(&without);
}

static const uint8_t vcpu_nodes[300] = { 0, 1, [254] = 0, [255] = 1, [299] = 1 };
static const uint8_t distances[] = { 10, 21, 21, 10 };
static const struct acpi_memory memory[] = {
	{ 0, 2 * GiB, 0 },
	{ 4 * GiB, GiB, 0 },
	{ 5 * GiB, 3 * GiB, 1 },
};

static struct acpi_machine machine_with_nodes(unsigned vcpus)
{
	struct acpi_machine m = machine(vcpus);

	m.nodes = 2;
	m.vcpu_nodes = vcpu_nodes;
	m.memory = memory;
	m.memory_count = ARRAY_SIZE(memory);
	m.distances = distances;
	return m;
}

static void nodes_have_their_vcpus_and_memory(void **state)
{
	struct acpi_machine m = machine_with_nodes(2);
	struct acpi_image image = image_of(&m);
	const uint8_t *srat = listed(&image, 3, "SRAT"), *slit = listed(&image, 4, "SLIT");
	const uint8_t *last = srat + 48 + 2 * 16 + 2 * 40;

	assert_int_equal(load_le(xsdt(&image) + 4, 4), 36 + 5 * 8);
	assert_int_equal(load_le(srat + 4, 4), 48 + 2 * 16 + 3 * 40);
	assert_memory_equal(srat + 48, "\0\x10\0\0\1\0\0\0\0\0\0\0\0\0\0\0", 16);
	assert_memory_equal(srat + 64, "\0\x10\1\1\1\0\0\0\0\0\0\0\0\0\0\0", 16);
	assert_memory_equal(last, "\1\x28\1\0\0\0", 6);
	assert_int_equal(load_le(last + 8, 8), 5 * GiB);
	assert_int_equal(load_le(last + 16, 8), 3 * GiB);
	assert_int_equal(load_le(last + 28, 4), 1);
	assert_int_equal(load_le(slit + 36, 8), 2);
	assert_memory_equal(slit + 44, distances, sizeof(distances));
	acpi_image_fini(&image);
}

static void many_vcpus_of_nodes_are_x2apics(void **state)
{
	struct acpi_machine m = machine_with_nodes(300);
	struct acpi_image image = image_of(&m);
	const uint8_t *srat = listed(&image, 3, "SRAT");
	const uint8_t *first = srat + 48 + 255 * 16;

	assert_int_equal(load_le(srat + 4, 4), 48 + 255 * 16 + 45 * 24 + 3 * 40);
	assert_memory_equal(first, "\2\x18", 2);
	assert_int_equal(load_le(first + 4, 4), 1);
	assert_int_equal(load_le(first + 8, 4), 255);
	assert_int_equal(load_le(first + 12, 4), 1);
	acpi_image_fini(&image);
}

/* Two further roots: one with windows in all three spaces, one that firmware has not set yet. */
static const struct acpi_window root_windows[] = {
	{ true, 0x6000, 0x7000 },
	{ false, 0xc1000000, 0xc1100000 },
	{ false, 0x4000000000, 0x5000000000 },
};
static const struct acpi_root roots[] = {
	{ .bus = 3, .node = 1, .windows = root_windows, .window_count = 3 },
	{ .bus = 5, .node = 0 },
};

static struct acpi_machine machine_with_roots(void)
{
	struct acpi_machine m = machine_with_nodes(2);

	m.buses = 7;
	m.roots = roots;
	m.root_count = ARRAY_SIZE(roots);
	return m;
}

static void roots_that_contradict_are_refused(void **state)
{
	const struct acpi_window empty = { false, 1, 1 };
	struct acpi_root bad[4][2];
	struct acpi_tables t;

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		memcpy(bad[i], roots, sizeof(roots));
	bad[0][0].bus = 0;
	bad[1][1].bus = 7;
	bad[2][0].node = 2;
	bad[3][1].windows = &empty;
	bad[3][1].window_count = 1;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		struct acpi_machine m = machine_with_roots();

		m.roots = bad[i];
		assert_int_equal(acpi_build(&m, &t), -EINVAL);
	}
}

static void nodes_that_are_not_there_are_refused(void **state)
{
	static const uint8_t far_self[] = { 20, 21, 21, 10 }, near_other[] = { 10, 9, 21, 10 };
	static const uint8_t high[] = { 0, 2 };
	const struct acpi_memory beyond = { 0, GiB, 2 };
	struct acpi_machine bad[5];
	struct acpi_tables t;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		bad[i] = machine_with_nodes(2);
	bad[0].distances = far_self;
	bad[1].distances = near_other;
	bad[2].vcpu_nodes = high;
	bad[3].memory = &beyond;
	bad[3].memory_count = 1;
	bad[4].nodes = ACPI_NODES_MAX + 1;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(acpi_build(&bad[i], &t), -EINVAL);
}

static void contradictions_are_refused(void **state)
{
	struct acpi_machine bad[12];
	struct acpi_tables t;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		bad[i] = machine(2);
	bad[0].vcpus = 0;
	bad[1].vcpus = ACPI_VCPUS_MAX + 1;
	bad[2].ecam_base = 4 * GiB - 128 * MiB;
	bad[3].ecam_size = MiB / 2;
	bad[4].ecam_size = 257 * MiB;
	bad[5].mmio32_end = bad[5].mmio32_base;
	bad[6].mmio32_end = 4 * GiB + 1;
	bad[7].mmio64_size = UINT64_MAX;
	bad[8].pci_gsi = NULL;
	bad[9].ecam_size = 0;
	bad[10].buses = 0;
	bad[11].buses = 257;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(acpi_build(&bad[i], &t), -EINVAL);

	bad[0] = machine(3);
	apic_ids[2] = 1;
	assert_int_equal(acpi_build(&bad[0], &t), -EINVAL);
	assert_int_equal(err_kind(), ERR_INTERNAL);
}

/* What OVMF demands of a script, beyond what acpi_link does. */
static void script_places_files_before_it_uses_them(void **state)
{
	struct acpi_machine m = machine(1);
	struct acpi_tables t;

	assert_int_equal(acpi_build(&m, &t), 0);
	assert_int_equal(t.loader.len % 128, 0);
	assert_int_equal(load_le(t.loader.data, 4), 1);
	assert_string_equal(t.loader.data + 4, ACPI_TABLES_FILE);
	assert_int_equal(load_le(t.loader.data + 128, 4), 1);
	assert_string_equal(t.loader.data + 128 + 4, ACPI_RSDP_FILE);
	for (size_t off = 256; off < t.loader.len; off += 128) {
		uint64_t command = load_le(t.loader.data + off, 4);

		assert_true(command == 2 || command == 3);
	}
	acpi_tables_fini(&t);
}

static void addresses_beyond_4_gib_are_refused(void **state)
{
	struct acpi_machine m = machine(1);
	struct acpi_tables t;
	struct acpi_image image;

	assert_int_equal(acpi_build(&m, &t), 0);
	assert_int_equal(acpi_link(&t, 4 * GiB - 4096, &image), -EINVAL);
	assert_int_equal(acpi_link(&t, 4 * GiB, &image), -EINVAL);
	assert_int_equal(acpi_link(&t, 100, &image), -EINVAL);
	acpi_tables_fini(&t);
}

/* Every byte of every entry, damaged: refused or linked, but never outside its blobs. */
static void damaged_scripts_stay_inside(void **state)
{
	static const uint8_t damage[] = { 0x00, 0x01, 0x7f, 0x80, 0xff };
	struct acpi_machine m = machine(1);
	struct acpi_tables t;
	struct acpi_image image;
	unsigned refused = 0;

	assert_int_equal(acpi_build(&m, &t), 0);
	for (size_t i = 0; i < t.loader.len; i++) {
		uint8_t good = t.loader.data[i];

		for (size_t k = 0; k < ARRAY_SIZE(damage); k++) {
			t.loader.data[i] = damage[k];
			if (acpi_link(&t, GPA, &image) == 0)
				acpi_image_fini(&image);
			else
				refused++;
		}
		t.loader.data[i] = good;
	}
	assert_true(refused > 500);

	t.loader.len -= 1;
	assert_int_equal(acpi_link(&t, GPA, &image), -EINVAL);
	t.loader.len = 0;
	assert_int_equal(acpi_link(&t, GPA, &image), -EINVAL);
	acpi_tables_fini(&t);
}

/* A file allocated twice, or named before it is. */
static void scripts_out_of_order_are_refused(void **state)
{
	struct acpi_machine m = machine(1);
	struct acpi_tables t;
	struct acpi_image image;
	uint8_t entry[128];

	assert_int_equal(acpi_build(&m, &t), 0);
	memcpy(entry, t.loader.data + 128, 128);
	memcpy(t.loader.data + 128, t.loader.data, 128);
	assert_int_equal(acpi_link(&t, GPA, &image), -EINVAL);
	memcpy(t.loader.data + 128, t.loader.data + 256, 128);
	memcpy(t.loader.data, entry, 128);
	assert_int_equal(acpi_link(&t, GPA, &image), -EINVAL);
	acpi_tables_fini(&t);
}

/* Runs a shell command in `dir` and fails on an exit status or on output that mentions trouble. */
static void run_quietly(const struct temp_dir *dir, const char *command)
{
	char line[512];
	FILE *pipe;

	snprintf(line, sizeof(line), "cd '%s' && %s 2>&1", dir->path, command);
	pipe = popen(line, "r");
	assert_non_null(pipe);
	while (fgets(line, sizeof(line), pipe)) {
		bool clean = strstr(line, "0 Errors, 0 Warnings, 0 Remarks") != NULL;

		if (!clean && (strcasestr(line, "warning") || strcasestr(line, "error") ||
			       strcasestr(line, "remark") || strcasestr(line, "invalid")))
			fail_msg("%s: %s", command, line);
	}
	assert_int_equal(pclose(pipe), 0);
}

static bool file_contains(const struct temp_dir *dir, const char *name, const char *text)
{
	FILE *file = fopen(temp_path(dir, name), "r");
	char line[512];
	bool found = false;

	assert_non_null(file);
	while (!found && fgets(line, sizeof(line), file))
		found = strstr(line, text) != NULL;
	fclose(file);
	return found;
}

static void acpica_reads_them_without_a_word(void **state)
{
	static const char *const names[] = { "FACP", "APIC", "MCFG", "SRAT", "SLIT" };
	struct acpi_machine m = machine_with_nodes(300);
	struct acpi_image image;
	struct temp_dir dir;
	const uint8_t *table;

	if (system("command -v iasl >/dev/null 2>&1")) {
		print_message("iasl is not installed (package acpica-tools)\n");
		skip();
	}
	temp_dir_init(&dir);
	image = image_of(&m);
	table = listed(&image, 0, "FACP");
	table = table_at(&image, load_le(table + 140, 8), "DSDT");
	temp_file(&dir, "DSDT.dat", table, load_le(table + 4, 4));
	table = xsdt(&image);
	temp_file(&dir, "XSDT.dat", table, load_le(table + 4, 4));
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		char name[16];

		table = listed(&image, i, names[i]);
		snprintf(name, sizeof(name), "%s.dat", names[i]);
		temp_file(&dir, name, table, load_le(table + 4, 4));
	}
	run_quietly(&dir, "iasl -d XSDT.dat FACP.dat APIC.dat MCFG.dat SRAT.dat SLIT.dat DSDT.dat");
	/* What it understood compiles again, with all its checks. */
	run_quietly(&dir, "iasl -p again DSDT.dsl");
	assert_true(file_contains(&dir, "DSDT.dsl", "Device (C12B)"));
	assert_true(file_contains(&dir, "DSDT.dsl", "0x0000007FFFFFFFFF, // Range Maximum"));
	assert_true(file_contains(&dir, "DSDT.dsl", "33db4d5b-1ff7-401c-9657-7441c03dd766"));
	acpi_image_fini(&image);
	temp_dir_fini(&dir);
}

/* Bus 0 forwards what the others leave of its windows. */
static void acpica_reads_further_roots(void **state)
{
	static const char *const lines[] = {
		"Device (PC03)",
		"Device (PC05)",
		"Name (_PXM, One)",
		"Name (_BBN, 0x03)",
		"0x0002,             // Range Maximum", /* buses 0 to 2 */
		"0x0003,             // Range Minimum",
		"0x0004,             // Range Maximum",
		"0x0006,             // Range Maximum",
		"0x5FFF,             // Range Maximum",
		"0x7000,             // Range Minimum",
		"0xC0FFFFFF,         // Range Maximum",
		"0xC1100000,         // Range Minimum",
		"0x0000005000000000, // Range Minimum",
		"0x0000007FFFFFFFFF, // Range Maximum",
	};
	struct acpi_machine m = machine_with_roots();
	struct acpi_image image;
	struct temp_dir dir;
	const uint8_t *table;

	if (system("command -v iasl >/dev/null 2>&1")) {
		print_message("iasl is not installed (package acpica-tools)\n");
		skip();
	}
	temp_dir_init(&dir);
	image = image_of(&m);
	table = listed(&image, 0, "FACP");
	table = table_at(&image, load_le(table + 140, 8), "DSDT");
	temp_file(&dir, "DSDT.dat", table, load_le(table + 4, 4));
	run_quietly(&dir, "iasl -d DSDT.dat");
	run_quietly(&dir, "iasl -p again DSDT.dsl");
	for (unsigned i = 0; i < ARRAY_SIZE(lines); i++) {
		if (!file_contains(&dir, "DSDT.dsl", lines[i]))
			fail_msg("no line has '%s'", lines[i]);
	}
	acpi_image_fini(&image);
	temp_dir_fini(&dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_is_reachable_from_the_rsdp),
		cmocka_unit_test(fadt_tells_the_pm_block),
		cmocka_unit_test(mcfg_tells_the_ecam),
		cmocka_unit_test(buses_are_those_that_exist),
		cmocka_unit_test(madt_lists_processors_and_interrupts),
		cmocka_unit_test(many_processors_are_x2apics),
		cmocka_unit_test(sizes_do_not_depend_on_addresses),
		cmocka_unit_test(no_64_bit_window),
		cmocka_unit_test(nodes_have_their_vcpus_and_memory),
		cmocka_unit_test(many_vcpus_of_nodes_are_x2apics),
		cmocka_unit_test(roots_that_contradict_are_refused),
		cmocka_unit_test(acpica_reads_further_roots),
		cmocka_unit_test(nodes_that_are_not_there_are_refused),
		cmocka_unit_test(contradictions_are_refused),
		cmocka_unit_test(script_places_files_before_it_uses_them),
		cmocka_unit_test(addresses_beyond_4_gib_are_refused),
		cmocka_unit_test(damaged_scripts_stay_inside),
		cmocka_unit_test(scripts_out_of_order_are_refused),
		cmocka_unit_test(acpica_reads_them_without_a_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
