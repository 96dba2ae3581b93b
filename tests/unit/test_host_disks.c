/* SPDX-License-Identifier: Apache-2.0 */
/* Which disks and networks of a fake host are on a device, and which of them the host uses. */
#include "cmocka_all.h"

#include <stdio.h>

#include "fake_sysfs.h"
#include "vfio/host_disks.h"

#define FOLDER "pci0000:00/0000:00:1c.0/0000:02:00.0"
#define DEVICE "../../devices/" FOLDER

static struct fake_sysfs fs;
static const struct pci_addr nvme = { .bus = 2 };
static const struct pci_addr other = { .bus = 3 };
static char text[HOST_DISKS_TEXT_SIZE];

/* As the kernel has it: a folder below the device, and a link to it in the class. */
static void add_disk(const char *name, const char *folder, const char *number)
{
	char path[256], target[256];

	snprintf(path, sizeof(path), "sys/devices/%s/dev", folder);
	fake_sysfs_file(&fs, path, "%s\n", number);
	snprintf(path, sizeof(path), "sys/class/block/%s", name);
	snprintf(target, sizeof(target), "../../devices/%s", folder);
	fake_sysfs_link(&fs, path, target);
}

static int setup(void **state)
{
	fake_sysfs_init(&fs);
	add_disk("nvme0n1", FOLDER "/nvme/nvme0/nvme0n1", "259:0");
	add_disk("nvme0n1p2", FOLDER "/nvme/nvme0/nvme0n1/nvme0n1p2", "259:2");
	return 0;
}

static int teardown(void **state)
{
	fake_sysfs_fini(&fs);
	return 0;
}

static void disk_that_nobody_uses_is_free(void **state)
{
	fake_sysfs_file(&fs, "proc/self/mountinfo",
			"21 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n");
	fake_sysfs_file(&fs, "proc/swaps", "Filename Type Size Used Priority\n");
	assert_false(host_disks_in_use(fs.root, nvme, text));
}

static void host_without_disks_is_fine(void **state)
{
	fake_sysfs_fini(&fs);
	fake_sysfs_init(&fs);
	assert_false(host_disks_in_use(fs.root, nvme, text));
	assert_false(host_disks_network(fs.root, nvme, text));
}

static void mounted_partition_is_told(void **state)
{
	fake_sysfs_file(&fs, "proc/self/mountinfo",
			"21 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
			"36 21 259:2 / /home/me rw shared:1 - ext4 /dev/root rw\n");
	assert_true(host_disks_in_use(fs.root, nvme, text));
	assert_string_equal(text, "nvme0n1p2 is mounted at /home/me");
	assert_false(host_disks_in_use(fs.root, other, text));
}

static void mount_without_a_number_is_known_by_its_source(void **state)
{
	fake_sysfs_file(&fs, "proc/self/mountinfo",
			"36 21 0:40 / /data rw - btrfs /dev/nvme0n1 rw\n");
	assert_true(host_disks_in_use(fs.root, nvme, text));
	assert_string_equal(text, "nvme0n1 is mounted at /data");
}

static void swap_is_told(void **state)
{
	fake_sysfs_file(&fs, "proc/swaps",
			"Filename Type Size Used Priority\n"
			"/dev/nvme0n1p2 partition 1048572 0 -2\n");
	assert_true(host_disks_in_use(fs.root, nvme, text));
	assert_string_equal(text, "the host swaps to nvme0n1p2");
}

static void part_of_an_array_is_told(void **state)
{
	fake_sysfs_unlink(&fs, "sys/class/block/nvme0n1p2");
	fake_sysfs_file(&fs, "sys/devices/" FOLDER "/nvme/nvme0/nvme0n1/holders/md0", "\n");
	assert_true(host_disks_in_use(fs.root, nvme, text));
	assert_string_equal(text, "nvme0n1 is a part of md0");
}

static void disk_of_several_paths_is_found_by_its_path(void **state)
{
	fake_sysfs_unlink(&fs, "sys/class/block/nvme0n1");
	fake_sysfs_unlink(&fs, "sys/class/block/nvme0n1p2");
	fake_sysfs_link(&fs, "sys/class/block/nvme1c4n1", DEVICE "/nvme/nvme4/nvme1c4n1");
	fake_sysfs_link(&fs, "sys/class/block/nvme1n1p1",
			"../../devices/virtual/nvme-subsystem/nvme-subsys1/nvme1n1/nvme1n1p1");
	fake_sysfs_link(&fs, "sys/class/block/nvme1n12",
			"../../devices/virtual/nvme-subsystem/nvme-subsys1/nvme1n12");
	fake_sysfs_file(&fs, "proc/self/mountinfo",
			"35 21 0:41 / /twelve rw - btrfs /dev/nvme1n12 rw\n"
			"36 21 0:40 / /data rw - btrfs /dev/nvme1n1p1 rw\n");
	assert_true(host_disks_in_use(fs.root, nvme, text));
	assert_string_equal(text, "nvme1n1p1 is mounted at /data");
}

static void network_that_is_up_is_told(void **state)
{
	fake_sysfs_link(&fs, "sys/class/net/lan0", DEVICE "/net/lan0");
	fake_sysfs_file(&fs, "sys/devices/" FOLDER "/net/lan0/operstate", "down\n");
	assert_false(host_disks_network(fs.root, nvme, text));
	fake_sysfs_file(&fs, "sys/devices/" FOLDER "/net/lan0/operstate", "up\n");
	assert_true(host_disks_network(fs.root, nvme, text));
	assert_string_equal(text, "lan0");
	assert_false(host_disks_network(fs.root, other, text));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(disk_that_nobody_uses_is_free, setup, teardown),
		cmocka_unit_test_setup_teardown(host_without_disks_is_fine, setup, teardown),
		cmocka_unit_test_setup_teardown(mounted_partition_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(mount_without_a_number_is_known_by_its_source,
						setup, teardown),
		cmocka_unit_test_setup_teardown(swap_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(part_of_an_array_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(disk_of_several_paths_is_found_by_its_path, setup,
						teardown),
		cmocka_unit_test_setup_teardown(network_that_is_up_is_told, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
