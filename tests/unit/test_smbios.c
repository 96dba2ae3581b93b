/* SPDX-License-Identifier: Apache-2.0 */
/* SMBIOS structures as firmware and dmidecode walk them. */
#include "cmocka_all.h"
#include "temp_dir.h"

#include <errno.h>

#include "boot/smbios.h"

static const struct smbios_range ram[] = {
	{ 0, 2 * GiB },
	{ 4 * GiB, 62 * GiB },
};

static const struct smbios_machine machine = {
	.manufacturer = "tinyvmm",
	.product = "Virtual Machine",
	.version = "1",
	.uuid = { 0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc,
		  0xdd, 0xee, 0xff },
	.cpu = { .vendor = "GenuineIntel",
		 .name = "A Processor @ 2.10GHz",
		 .signature = 0x806f8,
		 .features = 0x178bfbff,
		 .sockets = 2,
		 .cores = 4,
		 .threads = 2 },
	.ram = ram,
	.ram_ranges = ARRAY_SIZE(ram),
};

static struct smbios_tables build(const struct smbios_machine *m)
{
	struct smbios_tables t;

	assert_int_equal(smbios_build(m, &t), 0);
	return t;
}

/* The structure behind the one at `off`, or 0 behind the last. */
static size_t next_structure(const struct buf *b, size_t off)
{
	const uint8_t type = b->data[off];

	assert_true(b->data[off + 1] >= 4);
	off += b->data[off + 1];
	while (b->data[off] || b->data[off + 1]) {
		off++;
		assert_true(off + 1 < b->len);
	}
	off += 2;
	assert_true(type == 127 ? off == b->len : off < b->len);
	return type == 127 ? 0 : off;
}

/* Structure number `n` of a type, which must exist. */
static const uint8_t *find(const struct buf *b, uint8_t type, unsigned n)
{
	size_t off = 0;

	do {
		if (b->data[off] == type && n-- == 0)
			return b->data + off;
		off = next_structure(b, off);
	} while (off);
	fail_msg("no structure of type %u", type);
	return NULL;
}

static const char *string_of(const uint8_t *structure, unsigned number)
{
	const char *s = (const char *)structure + structure[1];

	assert_true(number > 0);
	while (--number)
		s += strlen(s) + 1;
	return s;
}

static void anchor_is_what_ovmf_checks(void **state)
{
	struct smbios_tables t = build(&machine);
	uint8_t sum = 0;

	assert_int_equal(t.anchor.len, 24);
	assert_memory_equal(t.anchor.data, "_SM3_", 5);
	assert_int_equal(t.anchor.data[6], 24);
	assert_int_equal(t.anchor.data[7], 3);
	assert_int_equal(load_le(t.anchor.data + 12, 4), t.tables.len);
	for (size_t i = 0; i < t.anchor.len; i++)
		sum = (uint8_t)(sum + t.anchor.data[i]);
	assert_int_equal(sum, 0);
	smbios_tables_fini(&t);
}

static void system_has_name_and_uuid(void **state)
{
	static const uint8_t uuid[16] = { 0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66,
					  0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff };
	struct smbios_tables t = build(&machine);
	const uint8_t *s = find(&t.tables, 1, 0);

	assert_int_equal(s[1], 27);
	assert_string_equal(string_of(s, s[4]), "tinyvmm");
	assert_string_equal(string_of(s, s[5]), "Virtual Machine");
	assert_string_equal(string_of(s, s[6]), "1");
	assert_memory_equal(s + 8, uuid, 16);
	smbios_tables_fini(&t);
}

static void structures_have_the_lengths_of_the_specification(void **state)
{
	static const struct {
		uint8_t type, len;
	} lengths[] = { { 1, 27 },  { 3, 22 },  { 4, 48 },  { 16, 23 },
			{ 17, 40 }, { 19, 31 }, { 32, 11 }, { 127, 4 } };
	struct smbios_tables t = build(&machine);

	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++)
		assert_int_equal(find(&t.tables, lengths[i].type, 0)[1], lengths[i].len);
	smbios_tables_fini(&t);
}

static void handles_are_unique(void **state)
{
	struct smbios_tables t = build(&machine);
	size_t a = 0, b;

	do {
		for (b = next_structure(&t.tables, a); b; b = next_structure(&t.tables, b))
			assert_memory_not_equal(t.tables.data + a + 2, t.tables.data + b + 2, 2);
		a = next_structure(&t.tables, a);
	} while (a);
	smbios_tables_fini(&t);
}

static void each_socket_has_its_processor(void **state)
{
	struct smbios_tables t = build(&machine);
	const uint8_t *s = find(&t.tables, 4, 1);
	size_t off = 0;
	unsigned count = 0;

	assert_string_equal(string_of(find(&t.tables, 4, 0), 1), "CPU 0");
	assert_string_equal(string_of(s, s[4]), "CPU 1");
	assert_string_equal(string_of(s, s[7]), "GenuineIntel");
	assert_int_equal(load_le(s + 8, 4), 0x806f8);
	assert_int_equal(load_le(s + 12, 4), 0x178bfbff);
	assert_string_equal(string_of(s, s[16]), "A Processor @ 2.10GHz");
	assert_memory_equal(s + 35, "\4\4\10", 3);
	assert_int_equal(load_le(s + 42, 2), 4);
	assert_int_equal(load_le(s + 46, 2), 8);
	do
		count += t.tables.data[off] == 4;
	while ((off = next_structure(&t.tables, off)));
	assert_int_equal(count, 2);
	smbios_tables_fini(&t);
}

static void very_many_processors_fit(void **state)
{
	struct smbios_machine m = machine;
	struct smbios_tables t;
	const uint8_t *s;

	m.cpu.sockets = 1;
	m.cpu.cores = 512;
	t = build(&m);
	s = find(&t.tables, 4, 0);
	assert_memory_equal(s + 35, "\377\377\377", 3);
	assert_int_equal(load_le(s + 42, 2), 512);
	assert_int_equal(load_le(s + 46, 2), 1024);
	smbios_tables_fini(&t);
	m.cpu.sockets = 1024;
	m.cpu.cores = m.cpu.threads = 1;
	m.cpu.name = "The longest name that a processor can have is 47";
	t = build(&m);
	assert_true(t.tables.len < 0xff00);
	assert_string_equal(string_of(find(&t.tables, 4, 255), 1), "CPU 255");
	smbios_tables_fini(&t);
}

static void memory_adds_up(void **state)
{
	struct smbios_tables t = build(&machine);
	const uint8_t *device = find(&t.tables, 17, 0), *high = find(&t.tables, 19, 1);

	assert_int_equal(load_le(find(&t.tables, 16, 0) + 7, 4), 64 * GiB / KiB);
	/* 64 GiB is above 32 GiB - 1 MiB: in the extended field. */
	assert_int_equal(load_le(device + 12, 2), 0x7fff);
	assert_int_equal(load_le(device + 28, 4), 64 * GiB / MiB);
	assert_memory_equal(device + 4, find(&t.tables, 16, 0) + 2, 2);
	assert_int_equal(load_le(high + 4, 4), 4 * GiB / KiB);
	assert_int_equal(load_le(high + 8, 4), 66 * GiB / KiB - 1);
	smbios_tables_fini(&t);
}

static void very_much_memory_uses_the_extended_fields(void **state)
{
	static const struct smbios_range huge = { 4 * GiB, 6 * TiB };
	struct smbios_machine m = machine;
	struct smbios_tables t;
	const uint8_t *s;

	m.ram = &huge;
	m.ram_ranges = 1;
	t = build(&m);
	s = find(&t.tables, 16, 0);
	assert_int_equal(load_le(s + 7, 4), 0x80000000);
	assert_int_equal(load_le(s + 15, 8), 6 * TiB);
	s = find(&t.tables, 19, 0);
	assert_int_equal(load_le(s + 4, 4), 0xffffffff);
	assert_int_equal(load_le(s + 8, 4), 0xffffffff);
	assert_int_equal(load_le(s + 15, 8), 4 * GiB);
	assert_int_equal(load_le(s + 23, 8), 4 * GiB + 6 * TiB - 1);
	smbios_tables_fini(&t);
}

static void texts_may_be_absent(void **state)
{
	struct smbios_machine m = machine;
	struct smbios_tables t;
	const uint8_t *s;

	m.manufacturer = NULL;
	m.product = "";
	m.version = NULL;
	m.cpu.vendor = "";
	m.cpu.name = NULL;
	t = build(&m);
	s = find(&t.tables, 4, 0);
	assert_int_equal(s[7] | s[16], 0);
	s = find(&t.tables, 1, 0);
	assert_memory_equal(s + 4, "\0\0\0\0", 4);
	assert_memory_equal(s + s[1], "\0\0", 2);
	smbios_tables_fini(&t);
}

static void untellable_machines_are_refused(void **state)
{
	static const struct smbios_range empty = { 0, 0 }, wraps = { UINT64_MAX, 2 };
	struct smbios_machine bad[7] = { machine, machine, machine, machine,
					 machine, machine, machine };
	struct smbios_tables t;

	bad[0].product = "line\nbreak";
	bad[1].version = "\xc3\xa4";
	bad[2].ram_ranges = 0;
	bad[3].ram = &empty;
	bad[3].ram_ranges = 1;
	bad[4].ram = &wraps;
	bad[4].ram_ranges = 1;
	bad[5].cpu.name = "\t";
	bad[6].cpu.sockets = 0;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(smbios_build(&bad[i], &t), -EINVAL);
}

/* A dump as dmidecode writes it: the anchor, the tables at 32, the checksum for that address. */
static void dmidecode_reads_them(void **state)
{
	struct smbios_tables t;
	struct temp_dir dir;
	struct buf dump = { 0 };
	char line[256];
	FILE *pipe;
	bool uuid = false, size = false, threads = false;

	if (system("command -v dmidecode >/dev/null 2>&1")) {
		print_message("dmidecode is not installed\n");
		skip();
	}
	t = build(&machine);
	buf_put(&dump, t.anchor.data, t.anchor.len);
	buf_patch_le(&dump, 16, 8, 32);
	buf_patch_le(&dump, 5, 1, (uint8_t)(dump.data[5] - 32));
	buf_align(&dump, 32);
	buf_put(&dump, t.tables.data, t.tables.len);
	temp_dir_init(&dir);
	temp_file(&dir, "dump", dump.data, dump.len);
	snprintf(line, sizeof(line), "dmidecode --from-dump %s/dump 2>&1", dir.path);
	pipe = popen(line, "r");
	assert_non_null(pipe);
	while (fgets(line, sizeof(line), pipe)) {
		if (strcasestr(line, "<bad") || strcasestr(line, "wrong") ||
		    strcasestr(line, "<out of spec>") || strcasestr(line, "truncated"))
			fail_msg("dmidecode: %s", line);
		uuid |= strcasestr(line, "UUID: 00112233-4455-6677-8899-aabbccddeeff") != NULL;
		threads |= strstr(line, "Thread Count: 8") != NULL;
		size |= strstr(line, "Size: 64 GB") != NULL;
	}
	assert_int_equal(pclose(pipe), 0);
	assert_true(uuid);
	assert_true(size);
	assert_true(threads);
	temp_dir_fini(&dir);
	buf_fini(&dump);
	smbios_tables_fini(&t);
}

/* For a guest without firmware, which finds the anchor by itself. */
static void a_linked_anchor_points_at_the_tables(void **state)
{
	struct smbios_tables t = build(&machine);
	const uint64_t tables = smbios_link(&t, 0xf0000);
	uint8_t sum = 0;

	assert_int_equal(tables, 0xf0020);
	assert_int_equal(load_le(t.anchor.data + 16, 8), tables);
	for (size_t i = 0; i < t.anchor.len; i++)
		sum = (uint8_t)(sum + t.anchor.data[i]);
	assert_int_equal(sum, 0);
	smbios_tables_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_linked_anchor_points_at_the_tables),
		cmocka_unit_test(anchor_is_what_ovmf_checks),
		cmocka_unit_test(system_has_name_and_uuid),
		cmocka_unit_test(structures_have_the_lengths_of_the_specification),
		cmocka_unit_test(handles_are_unique),
		cmocka_unit_test(each_socket_has_its_processor),
		cmocka_unit_test(very_many_processors_fit),
		cmocka_unit_test(memory_adds_up),
		cmocka_unit_test(very_much_memory_uses_the_extended_fields),
		cmocka_unit_test(texts_may_be_absent),
		cmocka_unit_test(untellable_machines_are_refused),
		cmocka_unit_test(dmidecode_reads_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
