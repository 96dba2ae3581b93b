/* SPDX-License-Identifier: Apache-2.0 */
/* Which mediated devices can be passed through, in a fake sysfs. */
#include <errno.h>
#include <stdio.h>

#include "cmocka_all.h"
#include "core/err.h"
#include "fake_sysfs.h"
#include "vfio/mdev.h"

#define UUID   "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001"
#define DEVICE "sys/bus/mdev/devices/" UUID "/"

static struct fake_sysfs fs;

static int setup(void **state)
{
	fake_sysfs_init(&fs);
	err_clear();
	return 0;
}

static int teardown(void **state)
{
	fake_sysfs_fini(&fs);
	return 0;
}

static void device_with_vfio_is_good(void **state)
{
	fake_sysfs_file(&fs, DEVICE "mdev_type/device_api", "vfio-pci\n");
	fake_sysfs_link(&fs, DEVICE "iommu_group", "../../../kernel/iommu_groups/11");
	assert_int_equal(vfio_mdev_check(fs.root, UUID), 0);
}

static void device_that_was_not_made_is_told(void **state)
{
	assert_int_equal(vfio_mdev_check(fs.root, UUID), -ENODEV);
	assert_int_equal(err_kind(), ERR_DEVICE);
	assert_string_equal(err_text(), "there is no mediated device " UUID);
	assert_non_null(strstr(err_hint_text(), "/sys/class/mdev_bus/"));
}

static void device_of_another_kind_is_refused(void **state)
{
	fake_sysfs_file(&fs, DEVICE "mdev_type/device_api", "vfio-ccw\n");
	fake_sysfs_link(&fs, DEVICE "iommu_group", "../../../kernel/iommu_groups/11");
	assert_int_equal(vfio_mdev_check(fs.root, UUID), -EINVAL);
	assert_string_equal(err_text(),
			    "mediated device " UUID " is not a PCI device but a 'vfio-ccw'");
}

static void device_without_a_group_is_refused(void **state)
{
	fake_sysfs_file(&fs, DEVICE "mdev_type/device_api", "vfio-pci\n");
	assert_int_equal(vfio_mdev_check(fs.root, UUID), -ENODEV);
	assert_string_equal(err_text(), "mediated device " UUID " is not with VFIO");
}

static void node_is_that_of_its_parent(void **state)
{
	static const char parent[] = "sys/devices/pci0000:40/0000:41:00.0/";
	char file[256];

	fake_sysfs_file(&fs, "sys/bus/pci/devices/0000:00:00.0/numa_node", "3\n");
	snprintf(file, sizeof(file), "%s" UUID "/remove", parent);
	fake_sysfs_file(&fs, file, "%s", "");
	fake_sysfs_link(&fs, "sys/bus/mdev/devices/" UUID,
			"../../../devices/pci0000:40/0000:41:00.0/" UUID);
	assert_int_equal(vfio_mdev_node(fs.root, UUID), -1);
	snprintf(file, sizeof(file), "%snuma_node", parent);
	fake_sysfs_file(&fs, file, "1\n");
	assert_int_equal(vfio_mdev_node(fs.root, UUID), 1);
	fake_sysfs_file(&fs, file, "-1\n");
	assert_int_equal(vfio_mdev_node(fs.root, UUID), -1);
}

static void uuids_have_one_form(void **state)
{
	assert_true(vfio_uuid_scan(UUID));
	assert_true(vfio_uuid_scan("83B8F4F2-509F-382F-3C1E-E6BFE0FA1001"));
	assert_false(vfio_uuid_scan(""));
	assert_false(vfio_uuid_scan("83b8f4f2-509f-382f-3c1e-e6bfe0fa100"));
	assert_false(vfio_uuid_scan(UUID "1"));
	assert_false(vfio_uuid_scan("83b8f4f2-509f-382f-3c1e-e6bfe0fa100g"));
	assert_false(vfio_uuid_scan("83b8f4f2509f-382f-3c1e-e6bfe0fa1001-"));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(device_with_vfio_is_good),          T(device_that_was_not_made_is_told),
		T(device_of_another_kind_is_refused), T(device_without_a_group_is_refused),
		T(node_is_that_of_its_parent),        T(uuids_have_one_form),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
