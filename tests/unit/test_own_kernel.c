/* SPDX-License-Identifier: Apache-2.0 */
/* Where the host's kernel and its modules are looked for, and what is said where they are not. */
#include <errno.h>

#include "command/own_kernel.h"
#include "core/err.h"
#include "temp_dir.h"

#define RELEASE "6.1.0-1"
#define NOBODY  65534

static struct temp_dir dir;

static int setup(void **state)
{
	temp_dir_init(&dir);
	temp_subdir(&dir, "boot");
	temp_subdir(&dir, "lib");
	temp_subdir(&dir, "lib/modules");
	temp_subdir(&dir, "lib/modules/" RELEASE);
	/* Other users are to get as far as the files. */
	assert_int_equal(chmod(dir.path, 0755), 0);
	return 0;
}

static int teardown(void **state)
{
	temp_dir_fini(&dir);
	return 0;
}

static void kernel_is_found_where_a_distribution_puts_it(void **state)
{
	char path[PATH_MAX] = "untouched";

	assert_int_equal(own_kernel_find(dir.path, RELEASE, path), -ENOENT);
	assert_string_equal(path, "untouched");
	assert_string_equal(err_hint_text(), "give one with --kernel");
	temp_file(&dir, "boot/vmlinuz", "", 0);
	assert_int_equal(own_kernel_find(dir.path, RELEASE, path), 0);
	assert_string_equal(path, temp_path(&dir, "boot/vmlinuz"));
	/* Its own name says more. */
	temp_file(&dir, "lib/modules/" RELEASE "/vmlinuz", "", 0);
	assert_int_equal(own_kernel_find(dir.path, RELEASE, path), 0);
	assert_string_equal(path, temp_path(&dir, "lib/modules/" RELEASE "/vmlinuz"));
	temp_file(&dir, "boot/vmlinuz-" RELEASE, "", 0);
	assert_int_equal(own_kernel_find(dir.path, RELEASE, path), 0);
	assert_string_equal(path, temp_path(&dir, "boot/vmlinuz-" RELEASE));
}

static void image_that_only_root_may_read_is_named_with_what_to_do(void **state)
{
	const char *image = temp_file(&dir, "boot/vmlinuz-" RELEASE, "", 0);
	const uid_t user = geteuid();
	char path[PATH_MAX], hint[PATH_MAX + 64];
	int r;

	assert_int_equal(chmod(image, 0), 0);
	/* Root may read anything. */
	assert_int_equal(user == 0 ? seteuid(NOBODY) : 0, 0);
	r = own_kernel_find(dir.path, RELEASE, path);
	assert_int_equal(user == 0 ? seteuid(user) : 0, 0);
	assert_int_equal(r, -EACCES);
	assert_int_equal(err_kind(), ERR_FILE);
	snprintf(hint, sizeof(hint), "sudo chmod a+r '%s', or give a copy with --kernel", image);
	assert_string_equal(err_hint_text(), hint);
}

static void modules_are_those_that_the_agent_needs(void **state)
{
	static const char without_rng[] = "kernel/virtio_pci.ko: kernel/virtio.ko\n"
					  "kernel/virtio.ko:\n"
					  "kernel/virtio_console.ko:\n"
					  "kernel/virtiofs.ko:\n"
					  "kernel/overlay.ko:\n";
	struct modules modules;

	assert_int_equal(own_kernel_modules(dir.path, RELEASE, false, &modules), -ENOENT);
	modules_fini(&modules);
	temp_file(&dir, "lib/modules/" RELEASE "/modules.dep", without_rng, strlen(without_rng));
	assert_int_equal(own_kernel_modules(dir.path, RELEASE, false, &modules), 0);
	assert_int_equal(modules.count, 5);
	assert_string_equal(modules.files[0], "kernel/virtio.ko");
	assert_string_equal(err_text(), "");
	modules_fini(&modules);
	assert_int_equal(own_kernel_modules(dir.path, RELEASE, true, &modules), -ENOENT);
	assert_non_null(strstr(err_text(), "virtio_net"));
	modules_fini(&modules);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(kernel_is_found_where_a_distribution_puts_it),
		TEST(image_that_only_root_may_read_is_named_with_what_to_do),
		TEST(modules_are_those_that_the_agent_needs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
