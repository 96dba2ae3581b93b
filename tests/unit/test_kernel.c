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
		{ "", 0, "not a kernel" },         { "#!/bin/sh\n", 10, "not a kernel" },
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
