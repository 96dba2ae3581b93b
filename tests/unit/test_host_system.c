/* SPDX-License-Identifier: Apache-2.0 */
/* What is read of hosts as a whole. */
#include "cmocka_all.h"

#include "fake_hosts.h"
#include "vfio/host_system.h"

static struct fake_sysfs fs;
static struct host_system host;

static int setup(void **state)
{
	fake_sysfs_init(&fs);
	return 0;
}

static int teardown(void **state)
{
	fake_sysfs_fini(&fs);
	return 0;
}

static void read_host(void)
{
	memset(&host, 0x5a, sizeof(host));
	host_system_read(fs.root, &host);
}

static void laptop_without_iommu(void **state)
{
	fake_host_laptop(&fs);
	read_host();
	assert_string_equal(host.release, "6.1.0-25-amd64");
	assert_true(host.virtualization);
	assert_false(host.nested);
	assert_string_equal(host.iommu, "");
	assert_int_equal(host.iommu_bits, 0);
	assert_false(host.remaps_interrupts || host.has_iommufd);
	assert_false(host.unsafe_type1 || host.unsafe_iommufd);
	assert_int_equal(host.huge_page_sizes, 0);
	assert_true(host_system_since(&host, 5, 10));
	assert_true(host_system_since(&host, 6, 1));
	assert_false(host_system_since(&host, 6, 6));
	assert_false(host_system_since(&host, 7, 0));
}

static void desktop_of_amd(void **state)
{
	fake_host_desktop(&fs);
	fake_sysfs_file(&fs, "dev/iommu", "%s", "");
	fake_sysfs_file(&fs, "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "512\n");
	fake_sysfs_file(&fs, "sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "500\n");
	fake_sysfs_file(&fs, "sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages", "4\n");
	read_host();
	assert_true(host.virtualization);
	assert_string_equal(host.iommu, "AMD-Vi");
	assert_int_equal(host.iommu_units, 1);
	assert_int_equal(host.iommu_bits, 64);
	assert_true(host.remaps_interrupts);
	assert_true(host.has_iommufd);
	assert_int_equal(host.huge_page_sizes, 2);
	assert_int_equal(host.huge_pages[0].size, 2 * MiB);
	assert_int_equal(host.huge_pages[0].reserved, 512);
	assert_int_equal(host.huge_pages[0].free, 500);
	assert_int_equal(host.huge_pages[1].size, GiB);
	assert_int_equal(host.huge_pages[1].reserved, 4);
}

static void server_is_as_narrow_as_its_narrowest_iommu(void **state)
{
	fake_host_server(&fs);
	read_host();
	assert_true(host.nested);
	assert_string_equal(host.iommu, "Intel VT-d");
	assert_int_equal(host.iommu_units, 3);
	assert_int_equal(host.iommu_bits, 48);
	/* One that does not say: then nobody knows. */
	fake_sysfs_file(&fs, "sys/class/iommu/dmar9/uevent", "%s", "");
	read_host();
	assert_int_equal(host.iommu_bits, 0);
}

static void nothing_is_unknown(void **state)
{
	read_host();
	assert_string_equal(host.release, "");
	assert_true(host_system_since(&host, 6, 12)); /* so that nothing wrong is said */
	assert_false(host.virtualization || host.nested);
}

static void other_words_are_not_the_flag(void **state)
{
	fake_sysfs_file(&fs, "proc/cpuinfo", "flags\t: fpu xsvm svm_lock lm\n");
	read_host();
	assert_false(host.virtualization);
	fake_sysfs_file(&fs, "proc/cpuinfo", "flags\t: fpu svm_lock svm\n");
	read_host();
	assert_true(host.virtualization);
}

static void modules_are_found_in_every_form(void **state)
{
	fake_host_laptop(&fs);
	read_host();
	assert_int_equal(host_system_module(fs.root, &host, "vfio-pci"), HOST_MODULE_ABSENT);
	fake_sysfs_file(&fs, "lib/modules/6.1.0-25-amd64/modules.dep",
			"kernel/drivers/vfio/pci/hisilicon/hisi-vfio-pci.ko.xz:\n"
			"kernel/x.ko: kernel/drivers/vfio/pci/vfio-pci.ko\n");
	assert_int_equal(host_system_module(fs.root, &host, "vfio-pci"), HOST_MODULE_ABSENT);
	fake_sysfs_file(&fs, "lib/modules/6.1.0-25-amd64/modules.dep",
			"kernel/drivers/vfio/pci/vfio-pci.ko.xz: kernel/drivers/vfio/vfio.ko.xz\n");
	assert_int_equal(host_system_module(fs.root, &host, "vfio-pci"), HOST_MODULE_LOADABLE);
	fake_sysfs_add_driver(&fs, "vfio-pci");
	assert_int_equal(host_system_module(fs.root, &host, "vfio-pci"), HOST_MODULE_LOADED);
	fake_sysfs_file(&fs, "sys/module/vfio_iommu_type1/refcnt", "0\n");
	assert_int_equal(host_system_module(fs.root, &host, "vfio_iommu_type1"),
			 HOST_MODULE_LOADED);
	fake_sysfs_file(&fs, "lib/modules/6.1.0-25-amd64/modules.builtin", "kernel/virt/y.ko\n");
	assert_int_equal(host_system_module(fs.root, &host, "y"), HOST_MODULE_LOADED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(laptop_without_iommu),
		TEST(desktop_of_amd),
		TEST(server_is_as_narrow_as_its_narrowest_iommu),
		TEST(nothing_is_unknown),
		TEST(other_words_are_not_the_flag),
		TEST(modules_are_found_in_every_form),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
