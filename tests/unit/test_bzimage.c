/* SPDX-License-Identifier: Apache-2.0 */
/* The setup header of a bzImage: one that is right, and every way in which one can be wrong. */
#include "cmocka_all.h"
#include "temp_dir.h"

#include <asm/bootparam.h>
#include <errno.h>

#include "boot/bzimage.h"
#include "core/err.h"

#define HEAD_SIZE 0x400u /* of the file: the boot sector and one more */
#define CODE_SIZE 0x1000u
#define FILE_SIZE (HEAD_SIZE + CODE_SIZE)
#define LOW_RAM   (512 * MiB)
#define PREFERRED (16 * MiB)
#define INIT_SIZE (64 * MiB)

struct image {
	uint8_t bytes[FILE_SIZE];
};

static struct setup_header *header(struct image *image)
{
	return (struct setup_header *)(image->bytes + BZIMAGE_HEADER_OFF);
}

static struct image good(void)
{
	struct image image = { 0 };
	struct setup_header *h = header(&image);

	h->setup_sects = HEAD_SIZE / 512 - 1;
	h->syssize = CODE_SIZE / 16;
	h->boot_flag = 0xaa55;
	h->jump = 0x6aeb; /* to 0x26c */
	h->header = 0x53726448;
	h->version = 0x20f;
	h->loadflags = LOADED_HIGH;
	h->xloadflags = XLF_KERNEL_64;
	h->initrd_addr_max = 0x7fffffff;
	h->kernel_alignment = 2 * MiB;
	h->relocatable_kernel = 1;
	h->cmdline_size = 2047;
	h->pref_address = PREFERRED;
	h->init_size = INIT_SIZE;
	for (unsigned i = 0; i < CODE_SIZE; i++)
		image.bytes[HEAD_SIZE + i] = (uint8_t)(i * 7);
	return image;
}

static int parse_in(const struct image *image, uint64_t low_ram, struct bzimage *ret_bz)
{
	return bzimage_parse(image->bytes, MIN(sizeof(image->bytes), BZIMAGE_HEAD_SIZE), FILE_SIZE,
			     low_ram, ret_bz);
}

static void assert_refused(const struct image *image, enum err_kind kind, const char *why)
{
	struct bzimage bz = { .size = 1 };

	assert_true(parse_in(image, LOW_RAM, &bz) < 0);
	assert_int_equal(err_kind(), kind);
	assert_non_null(strstr(err_text(), why));
	assert_int_equal(bz.size, 1);
}

static void a_kernel_is_placed_where_it_prefers(void **state)
{
	struct image image = good();
	struct bzimage bz;

	assert_true(bzimage_detect(image.bytes, sizeof(image.bytes)));
	assert_int_equal(parse_in(&image, LOW_RAM, &bz), 0);
	assert_int_equal(bz.gpa, PREFERRED);
	assert_int_equal(bz.room, INIT_SIZE);
	assert_int_equal(bz.file_off, HEAD_SIZE);
	assert_int_equal(bz.size, CODE_SIZE);
	assert_int_equal(bz.cmdline_max, 2047);
	assert_int_equal(bz.initrd_last, 0x7fffffff);
}

static void it_moves_down_if_memory_is_small(void **state)
{
	struct image image = good();
	struct bzimage bz;

	assert_int_equal(parse_in(&image, PREFERRED + INIT_SIZE, &bz), 0);
	assert_int_equal(bz.gpa, PREFERRED);
	assert_int_equal(parse_in(&image, PREFERRED + INIT_SIZE - 1, &bz), 0);
	assert_int_equal(bz.gpa, 2 * MiB);
	assert_true(parse_in(&image, 2 * MiB + INIT_SIZE - 1, &bz) < 0);
	assert_int_equal(err_kind(), ERR_LIMIT);
	assert_non_null(strstr(err_hint_text(), "--memory"));
	header(&image)->relocatable_kernel = 0;
	assert_true(parse_in(&image, PREFERRED + INIT_SIZE - 1, &bz) < 0);
	assert_int_equal(err_kind(), ERR_LIMIT);
}

/* Addresses and sizes are the image's word: none may wrap, or reach what lies below 1 MiB. */
static void hostile_addresses_are_refused(void **state)
{
	static const uint64_t addresses[] = { 0,       0x7000,           MiB - 1,
					      LOW_RAM, UINT64_MAX - MiB, UINT64_MAX };
	static const uint32_t alignments[] = { 0, 3, 0x80000000, UINT32_MAX };

	for (unsigned i = 0; i < ARRAY_SIZE(addresses); i++) {
		for (unsigned k = 0; k < ARRAY_SIZE(alignments); k++) {
			struct image image = good();
			struct bzimage bz;

			header(&image)->pref_address = addresses[i];
			header(&image)->kernel_alignment = alignments[k];
			assert_true(parse_in(&image, LOW_RAM, &bz) < 0);
		}
	}
	/* A small alignment does not put it there either. */
	for (unsigned align = 1; align < MiB; align *= 2) {
		struct image image = good();
		struct bzimage bz;

		header(&image)->pref_address = 0;
		header(&image)->kernel_alignment = align;
		assert_int_equal(parse_in(&image, LOW_RAM, &bz), 0);
		assert_int_equal(bz.gpa, MiB);
	}
}

static void it_never_has_less_room_than_its_code(void **state)
{
	struct image image = good();
	struct bzimage bz;

	header(&image)->init_size = 0;
	assert_int_equal(parse_in(&image, LOW_RAM, &bz), 0);
	assert_int_equal(bz.room, CODE_SIZE);
	header(&image)->init_size = UINT32_MAX;
	assert_refused(&image, ERR_LIMIT, "memory up to");
}

static void truncated_images_are_refused(void **state)
{
	struct image image = good();
	struct bzimage bz;

	for (unsigned len = 0; len < 0x264; len++)
		assert_int_equal(bzimage_parse(image.bytes, len, len, LOW_RAM, &bz), -EINVAL);
	for (unsigned size = 0; size < FILE_SIZE; size += 16) {
		assert_int_equal(bzimage_parse(image.bytes, sizeof(image.bytes), size, LOW_RAM,
					       &bz),
				 -EINVAL);
		assert_int_equal(err_kind(), ERR_FILE);
		assert_non_null(strstr(err_text(), "truncated"));
	}
	header(&image)->syssize = UINT32_MAX;
	assert_refused(&image, ERR_FILE, "truncated");
	header(&image)->syssize = 0;
	assert_refused(&image, ERR_FILE, "truncated");
	/* Shorter than the way to its entry. */
	header(&image)->syssize = 0x20;
	assert_refused(&image, ERR_FILE, "damaged");
}

static void kernels_without_a_64_bit_entry_are_refused(void **state)
{
	struct image image = good();

	header(&image)->version = 0x20b;
	assert_refused(&image, ERR_FILE, "64-bit entry");
	image = good();
	header(&image)->xloadflags = 0;
	assert_refused(&image, ERR_FILE, "64-bit entry");
	image = good();
	header(&image)->loadflags = 0;
	assert_refused(&image, ERR_FILE, "64-bit entry");
}

static void what_lies_behind_the_header_is_not_passed_on(void **state)
{
	for (unsigned jump = 0; jump < 256; jump++) {
		struct image image = good();
		struct bzimage bz;

		memset(image.bytes + 0x26c, 0xee, 0x100);
		image.bytes[0x201] = (uint8_t)jump;
		assert_int_equal(parse_in(&image, LOW_RAM, &bz), 0);
		for (unsigned i = 0x202 + jump; i < BZIMAGE_HEADER_OFF + BZIMAGE_HEADER_MAX; i++)
			assert_int_equal(bz.header[i - BZIMAGE_HEADER_OFF], 0);
	}
}

static void other_files_are_not_taken_for_one(void **state)
{
	struct image image = good();

	for (unsigned len = 0; len < 0x206; len++)
		assert_false(bzimage_detect(image.bytes, len));
	header(&image)->header = 0;
	assert_false(bzimage_detect(image.bytes, sizeof(image.bytes)));
}

/* Only the kernel's own part of the file is loaded: not what was appended to sign it. */
static void loading_reads_the_code_and_nothing_else(void **state)
{
	struct image image = good();
	struct guest_mem mem;
	struct temp_dir dir;
	struct bzimage bz;
	uint64_t entry;
	uint8_t *ram;
	int fd;

	header(&image)->syssize = CODE_SIZE / 16 - 1;
	header(&image)->init_size = MiB;
	guest_mem_init(&mem);
	assert_int_equal(guest_mem_add(&mem, 0, 32 * MiB), 0);
	temp_dir_init(&dir);
	fd = open(temp_file(&dir, "kernel", image.bytes, sizeof(image.bytes)), O_RDONLY);
	assert_int_equal(parse_in(&image, 32 * MiB, &bz), 0);
	assert_int_equal(bzimage_load(&bz, fd, &mem, &entry), 0);
	assert_int_equal(entry, PREFERRED + 0x200);
	ram = mem_ptr(&mem, PREFERRED, CODE_SIZE);
	assert_memory_equal(ram, image.bytes + HEAD_SIZE, CODE_SIZE - 16);
	for (unsigned i = CODE_SIZE - 16; i < CODE_SIZE; i++)
		assert_int_equal(ram[i], 0);
	/* The file became shorter since it was looked at. */
	close(fd);
	fd = open(temp_file(&dir, "kernel", image.bytes, HEAD_SIZE + 5), O_RDONLY);
	assert_true(bzimage_load(&bz, fd, &mem, &entry) < 0);
	assert_int_equal(err_kind(), ERR_FILE);
	close(fd);
	temp_dir_fini(&dir);
	guest_mem_fini(&mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_kernel_is_placed_where_it_prefers),
		cmocka_unit_test(it_moves_down_if_memory_is_small),
		cmocka_unit_test(hostile_addresses_are_refused),
		cmocka_unit_test(it_never_has_less_room_than_its_code),
		cmocka_unit_test(truncated_images_are_refused),
		cmocka_unit_test(kernels_without_a_64_bit_entry_are_refused),
		cmocka_unit_test(what_lies_behind_the_header_is_not_passed_on),
		cmocka_unit_test(other_files_are_not_taken_for_one),
		cmocka_unit_test(loading_reads_the_code_and_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
