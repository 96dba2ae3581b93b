/* SPDX-License-Identifier: Apache-2.0 */
/* A kernel with its initrd and command line: what is refused, and what lies where in memory. */
#include "cmocka_all.h"
#include "temp_dir.h"

#include <asm/bootparam.h>
#include <errno.h>

#include "boot/kernel.h"
#include "core/err.h"

#define HEAD_SIZE 0x400u
#define CODE_SIZE 0x1000u
#define FILE_SIZE (HEAD_SIZE + CODE_SIZE)
#define LOW_RAM   (64 * MiB)
#define PREFERRED (16 * MiB)
#define INIT_SIZE (8 * MiB)
#define INFO      0x7000u
#define CMDLINE   0x20000u

static struct temp_dir dir;
static uint8_t image[FILE_SIZE];
static struct kernel kernel;

static int setup(void **state)
{
	struct setup_header *h = (struct setup_header *)(image + BZIMAGE_HEADER_OFF);

	temp_dir_init(&dir);
	memset(&kernel, 0, sizeof(kernel));
	memset(image, 0x5a, sizeof(image));
	memset(image, 0, HEAD_SIZE);
	h->setup_sects = HEAD_SIZE / 512 - 1;
	h->syssize = CODE_SIZE / 16;
	h->boot_flag = 0xaa55;
	h->jump = 0x6aeb;
	h->header = 0x53726448;
	h->version = 0x20f;
	h->loadflags = LOADED_HIGH;
	h->xloadflags = XLF_KERNEL_64;
	h->initrd_addr_max = 0x7fffffff;
	h->cmdline_size = 2047;
	h->pref_address = PREFERRED;
	h->init_size = INIT_SIZE;
	return 0;
}

static int teardown(void **state)
{
	kernel_close(&kernel);
	temp_dir_fini(&dir);
	return 0;
}

static int open_all(const char *path, const char *initrd, const char *cmdline)
{
	const struct kernel_config config = {
		.path = path, .initrd = initrd, .cmdline = cmdline, .low_ram = LOW_RAM
	};

	kernel_close(&kernel);
	err_clear();
	return kernel_open(&config, &kernel);
}

static const char *put_image(void)
{
	return temp_file(&dir, "vmlinuz", image, sizeof(image));
}

/* Sparse: as long as wanted. */
static const char *put_initrd(off_t size)
{
	const char *path = temp_file(&dir, "initrd", "cpio", 4);

	assert_int_equal(truncate(path, size), 0);
	return path;
}

static void the_kernel_is_told_where_everything_is(void **state)
{
	static const struct memmap memmap = { .ranges = { { 0, LOW_RAM, MEMMAP_RAM } },
					      .count = 1 };
	const struct kernel_machine machine = {
		.memmap = &memmap, .rsdp = 0xe0000, .info_gpa = INFO, .cmdline_gpa = CMDLINE
	};
	const struct boot_params *params;
	struct arch_boot boot;
	struct guest_mem mem;
	uint8_t *ram;

	guest_mem_init(&mem);
	assert_int_equal(guest_mem_add(&mem, 0, LOW_RAM), 0);
	ram = mem_ptr(&mem, 0, LOW_RAM);
	assert_int_equal(open_all(put_image(), put_initrd(5000), "console=ttyS0"), 0);
	/* Twice: a reset starts it again, over what the guest left. */
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(kernel_load(&kernel, &mem, &machine, &boot), 0);
		assert_int_equal(boot.mode, ARCH_BOOT_64);
		assert_int_equal(boot.entry, PREFERRED + 0x200);
		assert_int_equal(boot.info, INFO);
		assert_memory_equal(ram + PREFERRED, image + HEAD_SIZE, CODE_SIZE);
		params = (const struct boot_params *)(ram + INFO);
		assert_int_equal(params->hdr.cmd_line_ptr, CMDLINE);
		assert_int_equal(params->acpi_rsdp_addr, 0xe0000);
		assert_string_equal((const char *)ram + CMDLINE, "console=ttyS0");
		assert_int_equal(params->hdr.ramdisk_size, 5000);
		/* At the end of memory, on a page of its own. */
		assert_int_equal(params->hdr.ramdisk_image, LOW_RAM - 2 * 4096);
		assert_memory_equal(ram + params->hdr.ramdisk_image, "cpio", 4);
		memset(ram, 0xcc, LOW_RAM);
	}
	guest_mem_fini(&mem);
}

static void what_is_no_kernel_is_called_by_its_name(void **state)
{
	static const struct {
		const char *head;
		size_t len;
		const char *what;
	} files[] = {
		{ "\x1f\x8b\x08", 3, "gzip" },     { "\xfd\x37\x7a\x58\x5a\x00", 6, "xz file" },
		{ "\x28\xb5\x2f\xfd", 4, "zstd" }, { "BZh9", 4, "bzip2" },
		{ "\x02\x21\x4c\x18", 4, "lz4" },  { "MZ\x90", 3, "EFI program" },
		{ "\x89LZO\x00", 5, "lzop" },      { "\x5d\x00\x00\x00\x04", 5, "lzma" },
		{ "070701", 6, "cpio" },           { "\x27\x05\x19\x56", 4, "U-Boot" },
		{ "QFI\xfb", 4, "qcow2" },         { "", 0, "it is empty" },
		{ "M", 1, "not a kernel" },        { "#!/bin/sh\n", 10, "not a kernel" },
	};
	uint8_t arm64[64] = "MZ";

	for (unsigned i = 0; i < ARRAY_SIZE(files); i++) {
		const char *path = temp_file(&dir, "file", files[i].head, files[i].len);

		assert_int_equal(open_all(path, NULL, ""), -EINVAL);
		assert_int_equal(err_kind(), ERR_FILE);
		assert_non_null(strstr(err_text(), path));
		assert_non_null(strstr(err_text(), files[i].what));
		assert_true(err_hint_text()[0]);
	}
	memcpy(arm64 + 0x38, "ARM\x64", 4);
	assert_int_equal(open_all(temp_file(&dir, "file", arm64, sizeof(arm64)), NULL, ""),
			 -EINVAL);
	assert_non_null(strstr(err_text(), "arm64"));
}

/* An EFI program of one section for `machine`; its parts as the kernel's header leaves them room.
 */
static void make_efi(uint8_t *to, uint16_t machine, uint16_t subsystem, uint32_t section_end)
{
	uint8_t *pe = to + 0x80;

	memcpy(to, "MZ", 2);
	store_le(to + 0x3c, 4, 0x80);
	memcpy(pe, "PE\0", 4);
	store_le(pe + 4, 2, machine);
	store_le(pe + 6, 2, 1);
	store_le(pe + 20, 2, 0xa0); /* the optional header's size */
	store_le(pe + 24 + 68, 2, subsystem);
	store_le(pe + 24 + 0xa0 + 16, 4, section_end - 0x200);
	store_le(pe + 24 + 0xa0 + 20, 4, 0x200);
}

static int open_by_firmware(const char *path, const char *initrd, uint64_t ram)
{
	const struct kernel_config config = {
		.path = path,
		.initrd = initrd,
		.low_ram = LOW_RAM,
		.by_firmware = true,
		.ram = ram,
	};

	kernel_close(&kernel);
	err_clear();
	return kernel_open(&config, &kernel);
}

static void a_kernel_for_another_machine_says_for_which(void **state)
{
	static const struct {
		uint16_t machine;
		const char *name;
	} machines[] = { { 0xaa64, "arm64" },
			 { 0x14c, "32-bit" },
			 { 0x5064, "RISC-V" },
			 { 0x6264, "LoongArch" } };
	uint8_t elf[64] = { 0x7f, 'E', 'L', 'F', 1 /* 32 bits */, 1, 1 };
	uint8_t efi[0x400] = { 0 };

	for (unsigned i = 0; i < ARRAY_SIZE(machines); i++) {
		const char *path;

		/* As an EFI zboot image begins. */
		make_efi(efi, machines[i].machine, 10, sizeof(efi));
		memcpy(efi + 4, "zimg", 4);
		path = temp_file(&dir, "vmlinuz.efi", efi, sizeof(efi));
		assert_int_equal(open_all(path, NULL, ""), -EINVAL);
		assert_non_null(strstr(err_text(), machines[i].name));
		assert_non_null(strstr(err_hint_text(), "x86-64"));
		assert_int_equal(open_by_firmware(path, NULL, GiB), -EINVAL);
		assert_non_null(strstr(err_text(), machines[i].name));
	}
	assert_int_equal(open_all(temp_file(&dir, "vmlinux", elf, sizeof(elf)), NULL, ""), -EINVAL);
	assert_non_null(strstr(err_text(), "another kind of machine"));
}

static void firmware_gets_a_kernel_in_two_parts(void **state)
{
	const char *path;

	/* Linux has both headers in the same sectors. */
	make_efi(image, 0x8664, 10, FILE_SIZE);
	path = put_image();
	assert_int_equal(open_by_firmware(path, put_initrd(5000), GiB), 0);
	assert_int_equal(kernel.format, KERNEL_BZIMAGE);
	assert_int_equal(kernel.size, FILE_SIZE);
	assert_int_equal(kernel.setup_size, HEAD_SIZE);
	assert_int_equal(kernel.initrd_size, 5000);
	assert_string_equal(kernel.cmdline, "console=ttyS0");
	/* The same file starts without it. */
	assert_int_equal(open_all(path, NULL, "ro"), 0);
	assert_string_equal(kernel.cmdline, "ro");
}

static void firmware_starts_any_efi_program(void **state)
{
	uint8_t efi[0x400] = { 0 };

	make_efi(efi, 0x8664, 10, sizeof(efi));
	assert_int_equal(open_by_firmware(temp_file(&dir, "uki", efi, sizeof(efi)), NULL, GiB), 0);
	assert_int_equal(kernel.format, KERNEL_EFI);
	assert_int_equal(kernel.setup_size, 0);
	/* It may have its own command line. */
	assert_string_equal(kernel.cmdline, "");
	/* Without firmware it is told what it lacks. */
	assert_int_equal(open_all(temp_path(&dir, "uki"), NULL, ""), -EINVAL);
	assert_non_null(strstr(err_text(), "EFI program"));
	assert_non_null(strstr(err_hint_text(), "--firmware"));
}

static void firmware_is_not_given_what_it_would_not_start(void **state)
{
	uint8_t efi[0x400] = { 0 };

	/* A kernel without an EFI stub, an ELF file, what is compressed or no program at all. */
	assert_int_equal(open_by_firmware(put_image(), NULL, GiB), -EINVAL);
	assert_non_null(strstr(err_text(), "no EFI program"));
	assert_non_null(strstr(err_hint_text(), "CONFIG_EFI_STUB"));
	assert_int_equal(open_by_firmware(temp_file(&dir, "f",
						    "\x7f"
						    "ELF\2\1\1",
						    7),
					  NULL, GiB),
			 -EINVAL);
	assert_non_null(strstr(err_text(), "no EFI program"));
	assert_int_equal(open_by_firmware(temp_file(&dir, "f", "\x1f\x8b\x08", 3), NULL, GiB),
			 -EINVAL);
	assert_non_null(strstr(err_text(), "gzip"));
	assert_int_equal(open_by_firmware(temp_file(&dir, "f", "MZ", 2), NULL, GiB), -EINVAL);
	/* One for Windows, one that is cut short, one whose header is. */
	make_efi(efi, 0x8664, 3, sizeof(efi));
	assert_int_equal(open_by_firmware(temp_file(&dir, "f", efi, sizeof(efi)), NULL, GiB),
			 -EINVAL);
	assert_non_null(strstr(err_text(), "Windows"));
	make_efi(efi, 0x8664, 10, sizeof(efi) + 1);
	assert_int_equal(open_by_firmware(temp_file(&dir, "f", efi, sizeof(efi)), NULL, GiB),
			 -EINVAL);
	assert_non_null(strstr(err_text(), "truncated"));
	assert_int_equal(open_by_firmware(temp_file(&dir, "f", efi, 0x100), NULL, GiB), -EINVAL);
	assert_int_equal(err_kind(), ERR_FILE);
}

static void firmware_and_its_copies_have_to_fit(void **state)
{
	const uint64_t initrd = 100 * MiB;
	const uint64_t need = 64 * MiB + FILE_SIZE + INIT_SIZE + 2 * initrd;
	const char *kernel_path, *initrd_path;

	make_efi(image, 0x8664, 10, FILE_SIZE);
	kernel_path = put_image();
	initrd_path = put_initrd((off_t)initrd);
	assert_int_equal(open_by_firmware(kernel_path, initrd_path, need), 0);
	assert_int_equal(open_by_firmware(kernel_path, initrd_path, need - 1), -ENOSPC);
	assert_int_equal(err_kind(), ERR_LIMIT);
	assert_non_null(strstr(err_hint_text(), "--memory"));
	/* Sizes of 32 bits. */
	assert_int_equal(open_by_firmware(kernel_path, put_initrd((off_t)(4 * GiB)), TiB), -EFBIG);
	assert_non_null(strstr(err_text(), "less than 4 GiB"));
}

static void what_is_no_initrd_is_refused(void **state)
{
	uint8_t efi[0x400] = { 0 };
	char path[256];

	snprintf(path, sizeof(path), "%s", put_image());
	assert_int_equal(open_all(path, path, ""), -EINVAL);
	assert_int_equal(err_kind(), ERR_FILE);
	assert_non_null(strstr(err_text(), "it is a Linux kernel"));
	assert_non_null(strstr(err_hint_text(), "cpio"));
	make_efi(efi, 0x8664, 10, sizeof(efi));
	assert_int_equal(open_all(path, temp_file(&dir, "uki", efi, sizeof(efi)), ""), -EINVAL);
	assert_non_null(strstr(err_text(), "EFI program"));
	assert_int_equal(open_all(path,
				  temp_file(&dir, "f",
					    "\x7f"
					    "ELF",
					    4),
				  ""),
			 -EINVAL);
	assert_non_null(strstr(err_text(), "ELF"));
	assert_int_equal(open_all(path, temp_file(&dir, "f", "QFI\xfb", 4), ""), -EINVAL);
	assert_non_null(strstr(err_text(), "qcow2"));
	memcpy(efi + 512, "EFI PART", 8);
	efi[0] = 0;
	assert_int_equal(open_all(path, temp_file(&dir, "f", efi, sizeof(efi)), ""), -EINVAL);
	assert_non_null(strstr(err_text(), "it is a disk"));
	/* Whatever the kernel may know: microcode before the archive, squashfs, a new compression.
	 */
	assert_int_equal(open_all(path, temp_file(&dir, "f", "\x28\xb5\x2f\xfd", 4), ""), 0);
	assert_int_equal(open_all(path, temp_file(&dir, "f", "hsqs", 4), ""), 0);
}

static void files_that_are_none_are_refused(void **state)
{
	assert_int_equal(open_all(temp_path(&dir, "absent"), NULL, ""), -ENOENT);
	assert_int_equal(err_kind(), ERR_FILE);
	assert_ptr_equal(strstr(err_text(), "kernel '/"), err_text());
	assert_non_null(strstr(err_text(), "absent': No such file or directory"));
	assert_int_equal(open_all(dir.path, NULL, ""), -EINVAL);
	assert_non_null(strstr(err_text(), "not a regular file"));
	assert_int_equal(open_all("/dev/null", NULL, ""), -EINVAL);
	assert_int_equal(open_all(put_image(), temp_path(&dir, "absent"), ""), -ENOENT);
	assert_ptr_equal(strstr(err_text(), "initrd '/"), err_text());
	assert_non_null(strstr(err_text(), "absent': No such file or directory"));
	assert_int_equal(open_all(put_image(), put_initrd(0), ""), -EINVAL);
	assert_non_null(strstr(err_text(), "is empty"));
	/* A FIFO does not make us wait for who writes it. */
	assert_int_equal(mkfifo(temp_path(&dir, "fifo"), 0600), 0);
	assert_int_equal(open_all(temp_path(&dir, "fifo"), NULL, ""), -EINVAL);
}

static void an_initrd_has_to_fit_beside_the_kernel(void **state)
{
	const uint64_t room = LOW_RAM - PREFERRED - INIT_SIZE;

	assert_int_equal(open_all(put_image(), put_initrd((off_t)room), ""), 0);
	assert_int_equal(kernel.initrd_gpa, PREFERRED + INIT_SIZE);
	assert_int_equal(open_all(put_image(), put_initrd((off_t)room + 1), ""), -ENOSPC);
	assert_int_equal(err_kind(), ERR_LIMIT);
	assert_non_null(strstr(err_hint_text(), "--memory"));
	assert_int_equal(open_all(put_image(), put_initrd((off_t)1 << 40), ""), -ENOSPC);
}

static void where_more_memory_would_not_help_nobody_says_so(void **state)
{
	const struct kernel_config config = { .path = put_image(),
					      .initrd = put_initrd(LOW_RAM),
					      .cmdline = "",
					      .low_ram = LOW_RAM,
					      .low_ram_max = true };

	err_clear();
	assert_int_equal(kernel_open(&config, &kernel), -ENOSPC);
	assert_string_equal(err_hint_text(), "");
}

static void the_kernel_says_how_high_an_initrd_may_be(void **state)
{
	struct setup_header *h = (struct setup_header *)(image + BZIMAGE_HEADER_OFF);

	h->initrd_addr_max = 32 * MiB - 1;
	assert_int_equal(open_all(put_image(), put_initrd(4096), ""), 0);
	assert_int_equal(kernel.initrd_gpa, 32 * MiB - 4096);
	/* More memory would not help. */
	h->initrd_addr_max = 20 * MiB;
	assert_int_equal(open_all(put_image(), put_initrd(4096), ""), -ENOSPC);
	assert_string_equal(err_hint_text(), "");
	h->initrd_addr_max = 0;
	assert_int_equal(open_all(put_image(), put_initrd(4096), ""), -ENOSPC);
}

static void the_kernel_says_how_long_its_command_line_may_be(void **state)
{
	char text[2100];

	memset(text, 'x', sizeof(text));
	text[2047] = '\0';
	assert_int_equal(open_all(put_image(), NULL, text), 0);
	text[2047] = 'x';
	text[2048] = '\0';
	assert_int_equal(open_all(put_image(), NULL, text), -EINVAL);
	assert_int_equal(err_kind(), ERR_USAGE);
	assert_non_null(strstr(err_text(), "2048 characters are more than the 2047"));
}

static void a_file_that_shrank_is_told(void **state)
{
	static const struct memmap memmap = { .count = 0 };
	const struct kernel_machine machine = { .memmap = &memmap,
						.info_gpa = INFO,
						.cmdline_gpa = CMDLINE };
	struct arch_boot boot;
	struct guest_mem mem;

	guest_mem_init(&mem);
	assert_int_equal(guest_mem_add(&mem, 0, LOW_RAM), 0);
	assert_int_equal(open_all(put_image(), put_initrd(4096), ""), 0);
	assert_int_equal(truncate(temp_path(&dir, "initrd"), 100), 0);
	assert_true(kernel_load(&kernel, &mem, &machine, &boot) < 0);
	assert_int_equal(err_kind(), ERR_FILE);
	guest_mem_fini(&mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_kernel_is_told_where_everything_is, setup,
						teardown),
		cmocka_unit_test_setup_teardown(what_is_no_kernel_is_called_by_its_name, setup,
						teardown),
		cmocka_unit_test_setup_teardown(files_that_are_none_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_kernel_for_another_machine_says_for_which, setup,
						teardown),
		cmocka_unit_test_setup_teardown(firmware_gets_a_kernel_in_two_parts, setup,
						teardown),
		cmocka_unit_test_setup_teardown(firmware_starts_any_efi_program, setup, teardown),
		cmocka_unit_test_setup_teardown(firmware_is_not_given_what_it_would_not_start,
						setup, teardown),
		cmocka_unit_test_setup_teardown(firmware_and_its_copies_have_to_fit, setup,
						teardown),
		cmocka_unit_test_setup_teardown(what_is_no_initrd_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(an_initrd_has_to_fit_beside_the_kernel, setup,
						teardown),
		cmocka_unit_test_setup_teardown(where_more_memory_would_not_help_nobody_says_so,
						setup, teardown),
		cmocka_unit_test_setup_teardown(the_kernel_says_how_high_an_initrd_may_be, setup,
						teardown),
		cmocka_unit_test_setup_teardown(the_kernel_says_how_long_its_command_line_may_be,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_file_that_shrank_is_told, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
