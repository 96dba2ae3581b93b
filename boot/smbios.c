/* SPDX-License-Identifier: Apache-2.0 */
/* SMBIOS structures, written field by field; see smbios.h. Pure functions. */
#include "boot/smbios.h"

#include <errno.h>
#include <stdio.h>

#include "core/err.h"

#define RAM_RANGES_MAX 256u

enum smbios_type {
	TYPE_SYSTEM = 1,
	TYPE_CHASSIS = 3,
	TYPE_PROCESSOR = 4,
	TYPE_MEMORY_ARRAY = 16,
	TYPE_MEMORY_DEVICE = 17,
	TYPE_MEMORY_MAPPED = 19,
	TYPE_BOOT_STATUS = 32,
	TYPE_END = 127,
};

/* [SMBIOS-3.0 5.2.2 64-bit Entry Point] */
#define ANCHOR_CHECKSUM 0x05u
#define ANCHOR_TABLES   0x10u
#define ANCHOR_ALIGN    16u

/* A structure's handle is its type and a number, which is below 256. */
#define HANDLE(type, n) ((uint16_t)((type) << 8 | (n)))
#define HANDLE_NONE     0xfffeu /* no error information */

/* [SMBIOS-3.0 7.2 System Information], [7.4 System Enclosure or Chassis] */
#define WAKE_UP_POWER_SWITCH  6u
#define CHASSIS_OTHER         1u
#define CHASSIS_STATE_SAFE    3u
#define CHASSIS_SECURITY_NONE 3u

/* [SMBIOS-3.0 7.5 Processor Information] */
#define PROCESSOR_CENTRAL      3u
#define PROCESSOR_OTHER        1u /* its family, and how it is upgraded */
#define PROCESSOR_HERE_AND_ON  (1u << 6 | 1u)
#define PROCESSOR_NO_CACHE     0xffffu /* that the tables would tell of */
#define PROCESSOR_COUNT_BYTE   0xffu   /* more is told in a field of its own */
#define PROCESSOR_64_BIT       (1u << 2)
#define PROCESSOR_MULTI_CORE   (1u << 3)
#define PROCESSOR_MULTI_THREAD (1u << 4)
/* So many fit where a guest without firmware looks for them; nobody has had more. */
#define PROCESSORS_MAX 256u

/* [SMBIOS-3.0 7.17 Physical Memory Array], [7.18 Memory Device] */
#define ARRAY_SYSTEM_BOARD  3u
#define ARRAY_SYSTEM_MEMORY 3u
#define ARRAY_ECC_NONE      3u
#define ARRAY_CAPACITY_EXTENDED                                          \
	0x80000000u /* KiB; more is told in bytes, in a field of its own \
		     */
#define DEVICE_WIDTH_UNKNOWN 0xffffu
#define DEVICE_SIZE_EXTENDED 0x7fffu /* MiB, likewise */
#define DEVICE_DIMM          9u
#define DEVICE_RAM           7u
#define DEVICE_DETAIL_OTHER  (1u << 1)
#define MAPPED_EXTENDED      0xffffffffu /* KiB, likewise */

/* The strings of the structure being written: they follow its fixed part. */
struct strings {
	const char *text[4];
	unsigned count;
};

/* The number by which the structure refers to `text`, 0 for none. */
static unsigned string_number(struct strings *s, const char *text)
{
	if (!text || !*text)
		return 0;
	s->text[s->count] = text;
	return ++s->count;
}

static size_t structure_begin(struct buf *b, enum smbios_type type, unsigned n)
{
	size_t start = b->len;

	buf_le(b, 1, type);
	buf_le(b, 1, 0); /* length: structure_end */
	buf_le(b, 2, HANDLE(type, n));
	return start;
}

static void structure_end(struct buf *b, size_t start, const struct strings *s)
{
	buf_patch_le(b, start + 1, 1, b->len - start);
	for (unsigned i = 0; i < s->count; i++)
		buf_put(b, s->text[i], strlen(s->text[i]) + 1);
	buf_zero(b, s->count ? 1 : 2);
}

static void put_system(struct buf *b, const struct smbios_machine *m)
{
	struct strings s = { 0 };
	size_t start = structure_begin(b, TYPE_SYSTEM, 0);

	buf_le(b, 1, string_number(&s, m->manufacturer));
	buf_le(b, 1, string_number(&s, m->product));
	buf_le(b, 1, string_number(&s, m->version));
	buf_le(b, 1, 0); /* serial number */
	/* The first three fields of a UUID are little-endian here. [SMBIOS-3.0 7.2.1] */
	buf_le(b, 4, be32toh((uint32_t)load_le(m->uuid, 4)));
	buf_le(b, 2, be16toh((uint16_t)load_le(m->uuid + 4, 2)));
	buf_le(b, 2, be16toh((uint16_t)load_le(m->uuid + 6, 2)));
	buf_put(b, m->uuid + 8, 8);
	buf_le(b, 1, WAKE_UP_POWER_SWITCH);
	buf_zero(b, 2); /* SKU number, family */
	structure_end(b, start, &s);
}

static void put_chassis(struct buf *b, const struct smbios_machine *m)
{
	struct strings s = { 0 };
	size_t start = structure_begin(b, TYPE_CHASSIS, 0);

	buf_le(b, 1, string_number(&s, m->manufacturer));
	buf_le(b, 1, CHASSIS_OTHER);
	buf_le(b, 1, string_number(&s, m->version));
	buf_zero(b, 2);                   /* serial number, asset tag */
	buf_le(b, 1, CHASSIS_STATE_SAFE); /* boot-up */
	buf_le(b, 1, CHASSIS_STATE_SAFE); /* power supply */
	buf_le(b, 1, CHASSIS_STATE_SAFE); /* thermal */
	buf_le(b, 1, CHASSIS_SECURITY_NONE);
	buf_zero(b, 9); /* OEM, height, power cords, contained elements, SKU number */
	structure_end(b, start, &s);
}

static void put_count(struct buf *b, unsigned count)
{
	buf_le(b, 1, MIN(count, PROCESSOR_COUNT_BYTE));
}

/* No voltage, clock or speed: what a guest has of them changes with the host's. */
static void put_processor(struct buf *b, unsigned n, const struct smbios_cpu *cpu)
{
	const unsigned threads = cpu->cores * cpu->threads;
	struct strings s = { 0 };
	size_t start = structure_begin(b, TYPE_PROCESSOR, n);
	char socket[32];

	snprintf(socket, sizeof(socket), "CPU %u", n);
	buf_le(b, 1, string_number(&s, socket));
	buf_le(b, 1, PROCESSOR_CENTRAL);
	buf_le(b, 1, PROCESSOR_OTHER);
	buf_le(b, 1, string_number(&s, cpu->vendor));
	buf_le(b, 4, cpu->signature);
	buf_le(b, 4, cpu->features);
	buf_le(b, 1, string_number(&s, cpu->name));
	buf_zero(b, 7); /* voltage, external clock, highest and current speed */
	buf_le(b, 1, PROCESSOR_HERE_AND_ON);
	buf_le(b, 1, PROCESSOR_OTHER);
	for (unsigned level = 1; level <= 3; level++)
		buf_le(b, 2, PROCESSOR_NO_CACHE);
	buf_zero(b, 3); /* serial number, asset tag, part number */
	put_count(b, cpu->cores);
	put_count(b, cpu->cores); /* of them on */
	put_count(b, threads);
	buf_le(b, 2,
	       PROCESSOR_64_BIT | (cpu->cores > 1 ? PROCESSOR_MULTI_CORE : 0) |
		       (cpu->threads > 1 ? PROCESSOR_MULTI_THREAD : 0));
	buf_le(b, 2, PROCESSOR_OTHER); /* the family again */
	buf_le(b, 2, cpu->cores);
	buf_le(b, 2, cpu->cores);
	buf_le(b, 2, threads);
	structure_end(b, start, &s);
}

static void put_memory_array(struct buf *b, uint64_t size)
{
	const struct strings none = { 0 };
	const bool extended = size / KiB >= ARRAY_CAPACITY_EXTENDED;
	size_t start = structure_begin(b, TYPE_MEMORY_ARRAY, 0);

	buf_le(b, 1, ARRAY_SYSTEM_BOARD);
	buf_le(b, 1, ARRAY_SYSTEM_MEMORY);
	buf_le(b, 1, ARRAY_ECC_NONE);
	buf_le(b, 4, extended ? ARRAY_CAPACITY_EXTENDED : size / KiB);
	buf_le(b, 2, HANDLE_NONE);
	buf_le(b, 2, 1); /* devices */
	buf_le(b, 8, extended ? size : 0);
	structure_end(b, start, &none);
}

static void put_memory_device(struct buf *b, const struct smbios_machine *m, uint64_t size)
{
	struct strings s = { 0 };
	const bool extended = size / MiB >= DEVICE_SIZE_EXTENDED;
	size_t start = structure_begin(b, TYPE_MEMORY_DEVICE, 0);

	buf_le(b, 2, HANDLE(TYPE_MEMORY_ARRAY, 0));
	buf_le(b, 2, HANDLE_NONE);
	buf_le(b, 2, DEVICE_WIDTH_UNKNOWN); /* total */
	buf_le(b, 2, DEVICE_WIDTH_UNKNOWN); /* data */
	buf_le(b, 2, extended ? DEVICE_SIZE_EXTENDED : size / MiB);
	buf_le(b, 1, DEVICE_DIMM);
	buf_le(b, 1, 0); /* not in a set */
	buf_le(b, 1, string_number(&s, "RAM"));
	buf_le(b, 1, 0); /* bank */
	buf_le(b, 1, DEVICE_RAM);
	buf_le(b, 2, DEVICE_DETAIL_OTHER);
	buf_le(b, 2, 0); /* speed */
	buf_le(b, 1, string_number(&s, m->manufacturer));
	buf_zero(b, 4); /* serial number, asset tag, part number, rank */
	buf_le(b, 4, extended ? size / MiB : 0);
	buf_zero(b, 8); /* configured speed, voltages */
	structure_end(b, start, &s);
}

static void put_memory_mapped(struct buf *b, unsigned n, const struct smbios_range *r)
{
	const struct strings none = { 0 };
	const uint64_t last = r->base + r->size - 1;
	const bool extended = last / KiB >= MAPPED_EXTENDED;
	size_t start = structure_begin(b, TYPE_MEMORY_MAPPED, n);

	buf_le(b, 4, extended ? MAPPED_EXTENDED : r->base / KiB);
	buf_le(b, 4, extended ? MAPPED_EXTENDED : last / KiB);
	buf_le(b, 2, HANDLE(TYPE_MEMORY_ARRAY, 0));
	buf_le(b, 1, 1); /* devices in a row */
	buf_le(b, 8, extended ? r->base : 0);
	buf_le(b, 8, extended ? last : 0);
	structure_end(b, start, &none);
}

static void put_boot_status(struct buf *b)
{
	const struct strings none = { 0 };
	size_t start = structure_begin(b, TYPE_BOOT_STATUS, 0);

	buf_zero(b, 7); /* reserved, then: no errors detected */
	structure_end(b, start, &none);
}

static void put_end(struct buf *b)
{
	const struct strings none = { 0 };

	structure_end(b, structure_begin(b, TYPE_END, 0), &none);
}

static void anchor_checksum(struct buf *b)
{
	uint8_t sum = 0;

	buf_patch_le(b, ANCHOR_CHECKSUM, 1, 0);
	for (size_t i = 0; i < b->len; i++)
		sum = (uint8_t)(sum + b->data[i]);
	buf_patch_le(b, ANCHOR_CHECKSUM, 1, (uint8_t)-sum);
}

static void put_anchor(struct buf *b, size_t tables_len)
{
	buf_put(b, "_SM3_", 5);
	buf_le(b, 1, 0);  /* checksum */
	buf_le(b, 1, 24); /* length of this */
	buf_le(b, 1, 3);
	buf_le(b, 1, 0);
	buf_le(b, 1, 0); /* revision of the specification's text */
	buf_le(b, 1, 1); /* revision of the entry point */
	buf_zero(b, 1);
	buf_le(b, 4, tables_len);
	buf_le(b, 8, 0); /* where the tables are */
	anchor_checksum(b);
}

static bool text_ok(const char *text)
{
	for (; text && *text; text++) {
		if (*text < ' ' || *text > '~')
			return false;
	}
	return true;
}

static bool machine_ok(const struct smbios_machine *m)
{
	if (!m->ram_ranges || m->ram_ranges > RAM_RANGES_MAX)
		return false;
	for (unsigned i = 0; i < m->ram_ranges; i++) {
		if (!m->ram[i].size || m->ram[i].size - 1 > UINT64_MAX - m->ram[i].base)
			return false;
	}
	return text_ok(m->manufacturer) && text_ok(m->product) && text_ok(m->version) &&
	       text_ok(m->cpu.vendor) && text_ok(m->cpu.name) && m->cpu.sockets && m->cpu.cores &&
	       m->cpu.threads;
}

int smbios_build(const struct smbios_machine *m, struct smbios_tables *ret_tables)
{
	struct smbios_tables t;
	uint64_t size = 0;
	int r;

	if (!machine_ok(m))
		return err_set(ERR_INTERNAL, -EINVAL, "SMBIOS: inconsistent machine description");
	for (unsigned i = 0; i < m->ram_ranges; i++)
		size += m->ram[i].size;

	buf_init(&t.anchor);
	buf_init(&t.tables);
	put_system(&t.tables, m);
	put_chassis(&t.tables, m);
	for (unsigned i = 0; i < MIN(m->cpu.sockets, PROCESSORS_MAX); i++)
		put_processor(&t.tables, i, &m->cpu);
	put_memory_array(&t.tables, size);
	put_memory_device(&t.tables, m, size);
	for (unsigned i = 0; i < m->ram_ranges; i++)
		put_memory_mapped(&t.tables, i, &m->ram[i]);
	put_boot_status(&t.tables);
	put_end(&t.tables);
	put_anchor(&t.anchor, t.tables.len);

	r = t.tables.error ? t.tables.error : t.anchor.error;
	if (r < 0) {
		smbios_tables_fini(&t);
		return err_sys(ERR_INTERNAL, r, "SMBIOS tables");
	}
	*ret_tables = t;
	return 0;
}

uint64_t smbios_link(struct smbios_tables *t, uint64_t gpa)
{
	const uint64_t tables = align_up(gpa + t->anchor.len, ANCHOR_ALIGN);

	buf_patch_le(&t->anchor, ANCHOR_TABLES, 8, tables);
	anchor_checksum(&t->anchor);
	return tables;
}

void smbios_tables_fini(struct smbios_tables *t)
{
	if (!t)
		return;
	buf_fini(&t->anchor);
	buf_fini(&t->tables);
}
