/* SPDX-License-Identifier: Apache-2.0 */
/* ELF kernels with a PVH entry: a good one, damaged ones, and what such a kernel is told. */
#include "cmocka_all.h"
#include "temp_dir.h"

#include <elf.h>
#include <errno.h>

#include "boot/elf_pvh.h"
#include "core/err.h"

#define ENTRY     (16 * MiB + 0x850)
#define TEXT_OFF  0x400u
#define TEXT_SIZE 0x300u
#define TEXT_MEM  0x1000u
#define NOTE_OFF  0x200u
#define FILE_SIZE (TEXT_OFF + TEXT_SIZE)
#define LOW_RAM   (64 * MiB)

struct image {
	union {
		uint8_t bytes[FILE_SIZE];
		struct {
			Elf64_Ehdr header;
			Elf64_Phdr segments[3];
		};
	};
};

/* A note as ELF has it, padded. */
static size_t put_note(uint8_t *to, const char *name, uint32_t type, const void *desc, uint32_t len)
{
	const uint32_t name_size = (uint32_t)strlen(name) + 1;
	const size_t at = align_up(12 + name_size, 4);

	store_le(to, 4, name_size);
	store_le(to + 4, 4, len);
	store_le(to + 8, 4, type);
	memcpy(to + 12, name, name_size);
	memcpy(to + at, desc, len);
	return align_up(at + len, 4);
}

static void good(struct image *image)
{
	const uint64_t entry = ENTRY;
	size_t len;

	memset(image, 0, sizeof(*image));
	memcpy(image->header.e_ident, ELFMAG, SELFMAG);
	image->header.e_ident[EI_CLASS] = ELFCLASS64;
	image->header.e_ident[EI_DATA] = ELFDATA2LSB;
	image->header.e_machine = EM_X86_64;
	image->header.e_phoff = sizeof(Elf64_Ehdr);
	image->header.e_phentsize = sizeof(Elf64_Phdr);
	image->header.e_phnum = 3;
	image->segments[0] = (Elf64_Phdr){ .p_type = PT_LOAD,
					   .p_offset = TEXT_OFF,
					   .p_paddr = 16 * MiB,
					   .p_filesz = TEXT_SIZE,
					   .p_memsz = TEXT_MEM };
	/* All zeroes: nothing of it is in the file. */
	image->segments[1] = (Elf64_Phdr){ .p_type = PT_LOAD, .p_paddr = 20 * MiB, .p_memsz = MiB };
	len = put_note(image->bytes + NOTE_OFF, "GNU", 18, "xxxx", 4);
	len += put_note(image->bytes + NOTE_OFF + len, "Xen", 6, "linux", 6);
	len += put_note(image->bytes + NOTE_OFF + len, "Xen", 18, &entry, 8);
	image->segments[2] =
		(Elf64_Phdr){ .p_type = PT_NOTE, .p_offset = NOTE_OFF, .p_filesz = len };
	for (unsigned i = 0; i < TEXT_SIZE; i++)
		image->bytes[TEXT_OFF + i] = (uint8_t)(i * 5);
}

static struct temp_dir dir;

static int setup(void **state)
{
	temp_dir_init(&dir);
	return 0;
}

static int teardown(void **state)
{
	temp_dir_fini(&dir);
	return 0;
}

static int parse_file(const struct image *image, uint64_t size, uint64_t low_ram,
		      struct elf_pvh *ret_elf)
{
	CLEANUP(closep) int fd = open(temp_file(&dir, "vmlinux", image, size), O_RDONLY);
	/* The ELF header is read already, what comes behind it is not. */
	struct elf_pvh_file file = { fd, size, (const uint8_t *)image,
				     MIN(size, sizeof(Elf64_Ehdr)) };

	assert_true(fd >= 0);
	err_clear();
	return elf_pvh_parse(&file, low_ram, ret_elf);
}

static void assert_refused(const struct image *image, enum err_kind kind, const char *why)
{
	struct elf_pvh elf = { .count = 77 };

	assert_true(parse_file(image, sizeof(*image), LOW_RAM, &elf) < 0);
	assert_int_equal(err_kind(), kind);
	assert_non_null(strstr(err_text(), why));
	assert_int_equal(elf.count, 77);
}

static void the_entry_is_that_of_the_note(void **state)
{
	struct image image;
	struct elf_pvh elf;

	good(&image);
	assert_true(elf_pvh_detect(image.bytes, sizeof(image.bytes)));
	assert_int_equal(parse_file(&image, sizeof(image), LOW_RAM, &elf), 0);
	assert_int_equal(elf.entry, ENTRY);
	assert_int_equal(elf.count, 2);
	assert_int_equal(elf.first, 16 * MiB);
	assert_int_equal(elf.end, 21 * MiB);
}

static void loading_clears_what_the_file_does_not_have(void **state)
{
	struct guest_mem mem;
	struct image image;
	struct elf_pvh elf;
	uint8_t *ram;
	int fd;

	good(&image);
	guest_mem_init(&mem);
	assert_int_equal(guest_mem_add(&mem, 0, LOW_RAM), 0);
	ram = mem_ptr(&mem, 0, LOW_RAM);
	memset(ram, 0xaa, LOW_RAM);
	assert_int_equal(parse_file(&image, sizeof(image), LOW_RAM, &elf), 0);
	fd = open(temp_path(&dir, "vmlinux"), O_RDONLY);
	assert_int_equal(elf_pvh_load(&elf, fd, false, &mem), 0);
	assert_memory_equal(ram + 16 * MiB, image.bytes + TEXT_OFF, TEXT_SIZE);
	for (unsigned i = TEXT_SIZE; i < TEXT_MEM; i++)
		assert_int_equal(ram[16 * MiB + i], 0);
	assert_int_equal(ram[16 * MiB + TEXT_MEM], 0xaa);
	assert_int_equal(ram[16 * MiB - 1], 0xaa);
	assert_int_equal(ram[20 * MiB], 0);
	assert_int_equal(ram[21 * MiB - 1], 0);
	assert_int_equal(ram[21 * MiB], 0xaa);
	/* Memory that is zero anyway would cost a page each. */
	memset(ram, 0xaa, LOW_RAM);
	assert_int_equal(elf_pvh_load(&elf, fd, true, &mem), 0);
	assert_memory_equal(ram + 16 * MiB, image.bytes + TEXT_OFF, TEXT_SIZE);
	assert_int_equal(ram[16 * MiB + TEXT_SIZE], 0xaa);
	assert_int_equal(ram[20 * MiB], 0xaa);
	close(fd);
	guest_mem_fini(&mem);
}

static void truncated_files_are_refused(void **state)
{
	struct image image;
	struct elf_pvh elf;

	good(&image);
	for (unsigned size = 4; size < FILE_SIZE; size += size < 0x300 ? 1 : 0x40) {
		assert_int_equal(parse_file(&image, size, LOW_RAM, &elf), -EINVAL);
		assert_int_equal(err_kind(), ERR_FILE);
	}
}

static void other_machines_are_refused(void **state)
{
	struct image image;

	good(&image);
	image.header.e_machine = EM_AARCH64;
	assert_refused(&image, ERR_FILE, "another kind of machine");
	good(&image);
	image.header.e_ident[EI_CLASS] = ELFCLASS32;
	assert_refused(&image, ERR_FILE, "another kind of machine");
	good(&image);
	image.header.e_ident[EI_DATA] = ELFDATA2MSB;
	assert_refused(&image, ERR_FILE, "another kind of machine");
}

static void without_the_note_it_is_no_kernel(void **state)
{
	struct image image;

	good(&image);
	image.segments[2].p_type = PT_NULL;
	assert_refused(&image, ERR_FILE, "without a PVH entry");
	assert_non_null(strstr(err_hint_text(), "CONFIG_PVH"));
	good(&image);
	image.segments[2].p_filesz -= 1;
	assert_refused(&image, ERR_FILE, "without a PVH entry");
}

/* Notes with lengths that lead anywhere: the walk ends inside the buffer. */
static void hostile_notes_end_the_walk(void **state)
{
	static const uint32_t sizes[] = { 0, 1, 0x7fffffff, 0xfffffff0, 0xffffffff };

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (unsigned k = 0; k < ARRAY_SIZE(sizes); k++) {
			struct elf_pvh elf;
			struct image image;

			good(&image);
			store_le(image.bytes + NOTE_OFF, 4, sizes[i]);
			store_le(image.bytes + NOTE_OFF + 4, 4, sizes[k]);
			/* Whatever is found: it is inside a segment. */
			if (parse_file(&image, sizeof(image), LOW_RAM, &elf) == 0)
				assert_true(elf.entry >= elf.first && elf.entry < elf.end);
		}
	}
}

/* What every program of the host is: its segments begin at 0. */
static void a_program_is_told_that_it_is_no_kernel(void **state)
{
	struct image image;

	good(&image);
	image.segments[0].p_paddr = 0;
	image.segments[2].p_type = PT_NULL;
	assert_refused(&image, ERR_FILE, "without a PVH entry");
}

static void hostile_segments_are_refused(void **state)
{
	struct image image;

	good(&image);
	image.segments[0].p_paddr = MiB - 1;
	assert_refused(&image, ERR_FILE, "damaged");
	good(&image);
	image.segments[0].p_filesz = image.segments[0].p_memsz + 1;
	assert_refused(&image, ERR_FILE, "damaged");
	good(&image);
	image.segments[0].p_offset = UINT64_MAX - 10;
	assert_refused(&image, ERR_FILE, "damaged");
	good(&image);
	image.segments[1].p_memsz = UINT64_MAX - 16 * MiB;
	assert_refused(&image, ERR_FILE, "damaged");
	good(&image);
	image.segments[1].p_paddr = LOW_RAM - MiB + 1;
	assert_refused(&image, ERR_LIMIT, "needs memory up to 65 MiB");
	good(&image);
	image.header.e_phnum = UINT16_MAX;
	assert_refused(&image, ERR_FILE, "damaged");
	good(&image);
	image.header.e_phoff = UINT64_MAX - 8;
	assert_refused(&image, ERR_FILE, "damaged");
	good(&image);
	image.header.e_phentsize = 1;
	assert_refused(&image, ERR_FILE, "damaged");
	/* An entry outside of everything. */
	good(&image);
	image.segments[0].p_paddr = 17 * MiB;
	assert_refused(&image, ERR_FILE, "damaged");
}

/* [start_info.h]: struct hvm_start_info, hvm_modlist_entry, hvm_memmap_table_entry. */
static void the_information_is_laid_out_as_xen_has_it(void **state)
{
	static const struct memmap memmap = {
		.ranges = { { 0, 640 * KiB, MEMMAP_RAM }, { MiB, GiB, MEMMAP_RAM } },
		.count = 2,
	};
	const struct elf_pvh_info info = {
		.memmap = &memmap,
		.rsdp = 0xe0aa0,
		.cmdline = 0x20000,
		.initrd = 0x3f000000,
		.initrd_size = 0x1234,
	};
	const uint64_t gpa = 0x7000;
	uint8_t page[ELF_PVH_INFO_SIZE];
	const uint8_t *list;

	memset(page, 0xff, sizeof(page));
	elf_pvh_info_fill(&info, gpa, page);
	assert_int_equal(load_le(page, 4), 0x336ec578);
	assert_int_equal(load_le(page + 4, 4), 1);
	assert_int_equal(load_le(page + 8, 4), 0);
	assert_int_equal(load_le(page + 12, 4), 1);
	assert_int_equal(load_le(page + 24, 8), 0x20000);
	assert_int_equal(load_le(page + 32, 8), 0xe0aa0);
	assert_int_equal(load_le(page + 48, 4), 2);
	list = page + load_le(page + 16, 8) - gpa;
	assert_int_equal(load_le(list, 8), 0x3f000000);
	assert_int_equal(load_le(list + 8, 8), 0x1234);
	list = page + load_le(page + 40, 8) - gpa;
	for (unsigned i = 0; i < 2; i++, list += 24) {
		assert_int_equal(load_le(list, 8), memmap.ranges[i].base);
		assert_int_equal(load_le(list + 8, 8), memmap.ranges[i].size);
		assert_int_equal(load_le(list + 16, 4), memmap.ranges[i].type);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_entry_is_that_of_the_note),
		cmocka_unit_test(loading_clears_what_the_file_does_not_have),
		cmocka_unit_test(truncated_files_are_refused),
		cmocka_unit_test(other_machines_are_refused),
		cmocka_unit_test(without_the_note_it_is_no_kernel),
		cmocka_unit_test(hostile_notes_end_the_walk),
		cmocka_unit_test(a_program_is_told_that_it_is_no_kernel),
		cmocka_unit_test(hostile_segments_are_refused),
		cmocka_unit_test(the_information_is_laid_out_as_xen_has_it),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
