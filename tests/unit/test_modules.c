/* SPDX-License-Identifier: Apache-2.0 */
/* Which module files are loaded, and in which order, by lists as depmod writes them. */
#include <errno.h>

#include "boot/modules.h"
#include "core/err.h"
#include "temp_dir.h"

static const char dep[] = "kernel/fs/fuse/fuse.ko:\n"
			  "kernel/fs/fuse/virtiofs.ko: kernel/fs/fuse/fuse.ko kernel/v/ring.ko\n"
			  "kernel/v/ring.ko:\n"
			  "kernel/v/virtio-pci.ko.gz: kernel/v/modern.ko kernel/v/ring.ko\n"
			  "kernel/v/modern.ko: kernel/v/ring.ko\n";
static const char builtin[] = "kernel/fs/overlayfs/overlay.ko\n";

struct fixture {
	struct temp_dir dir;
	struct modules modules;
};

static int setup(void **state)
{
	struct fixture *f = test_calloc(1, sizeof(*f));

	temp_dir_init(&f->dir);
	temp_file(&f->dir, "modules.dep", dep, sizeof(dep) - 1);
	temp_file(&f->dir, "modules.builtin", builtin, sizeof(builtin) - 1);
	assert_int_equal(modules_init(&f->modules, f->dir.path), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	modules_fini(&f->modules);
	temp_dir_fini(&f->dir);
	test_free(f);
	return 0;
}

static void assert_files(const struct modules *modules, const char *const files[], unsigned count)
{
	assert_int_equal(modules->count, count);
	for (unsigned i = 0; i < count; i++)
		assert_string_equal(modules->files[i], files[i]);
}

static void module_comes_after_what_it_needs(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(modules_add(&f->modules, "virtiofs"), 0);
	assert_files(&f->modules,
		     (const char *const[]){ "kernel/v/ring.ko", "kernel/fs/fuse/fuse.ko",
					    "kernel/fs/fuse/virtiofs.ko" },
		     3);
}

static void what_two_need_is_loaded_once(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(modules_add(&f->modules, "fuse"), 0);
	assert_int_equal(modules_add(&f->modules, "virtiofs"), 0);
	assert_int_equal(modules_add(&f->modules, "virtio_pci"), 0);
	assert_files(&f->modules,
		     (const char *const[]){ "kernel/fs/fuse/fuse.ko", "kernel/v/ring.ko",
					    "kernel/fs/fuse/virtiofs.ko", "kernel/v/modern.ko",
					    "kernel/v/virtio-pci.ko.gz" },
		     5);
}

static void built_in_module_needs_no_file(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(modules_add(&f->modules, "overlay"), 0);
	assert_int_equal(f->modules.count, 0);
}

static void name_must_be_whole(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(modules_add(&f->modules, "virtio"), -ENOENT);
	assert_int_equal(modules_add(&f->modules, "ing"), -ENOENT);
	assert_int_equal(modules_add(&f->modules, "virtiofsx"), -ENOENT);
}

static void compressed_module_is_unpacked(void **state)
{
	struct fixture *f = *state;
	/* gzip's words for "module". */
	static const uint8_t packed[] = { 0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
					  0x03, 0xcb, 0xcd, 0x4f, 0x29, 0xcd, 0x49, 0x05, 0x00,
					  0x28, 0x26, 0x24, 0x0c, 0x06, 0x00, 0x00, 0x00 };
	char text[16] = { 0 };
	int fd;

	temp_subdir(&f->dir, "kernel");
	temp_subdir(&f->dir, "kernel/v");
	temp_file(&f->dir, "kernel/v/ring.ko", "plain", 5);
	temp_file(&f->dir, "kernel/v/modern.ko", "plain", 5);
	temp_file(&f->dir, "kernel/v/virtio-pci.ko.gz", packed, sizeof(packed));
	assert_int_equal(modules_add(&f->modules, "virtio-pci"), 0);
	assert_int_equal(modules_open(&f->modules, 2, &fd), 0);
	assert_int_equal(read(fd, text, sizeof(text)), 6);
	assert_string_equal(text, "module");
	close(fd);
	assert_int_equal(modules_open(&f->modules, 0, &fd), 0);
	assert_int_equal(read(fd, text, sizeof(text)), 5);
	close(fd);
}

static void damaged_module_is_told(void **state)
{
	struct fixture *f = *state;
	int fd;

	temp_subdir(&f->dir, "kernel");
	temp_subdir(&f->dir, "kernel/v");
	temp_file(&f->dir, "kernel/v/virtio-pci.ko.gz", "no gzip", 7);
	assert_int_equal(modules_add(&f->modules, "virtio-pci"), 0);
	assert_int_equal(modules_open(&f->modules, 2, &fd), -EIO);
	assert_int_equal(modules_open(&f->modules, 0, &fd), -ENOENT);
}

static void kernel_without_lists_is_told(void **state)
{
	struct modules modules;

	assert_int_equal(modules_init(&modules, "/nonexistent"), -ENOENT);
	modules_fini(&modules);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(module_comes_after_what_it_needs),
		TEST(what_two_need_is_loaded_once),
		TEST(built_in_module_needs_no_file),
		TEST(name_must_be_whole),
		TEST(compressed_module_is_unpacked),
		TEST(damaged_module_is_told),
		cmocka_unit_test(kernel_without_lists_is_told),
	};

	return cmocka_run_group_tests_name("modules", tests, NULL, NULL);
}
