/* SPDX-License-Identifier: Apache-2.0 */
/* Which IOMMU interface a fake host's devices get, and what is said when it cannot be. */
#include "host_fixture.h"

#include <errno.h>

static void take_with(enum vfio_iommu_kind kind, enum vfio_iommu_kind expected)
{
	host.iommu = kind;
	check_and_take(GPU, NULL);
	assert_int_equal(host.iommu, expected);
}

static void iommufd_is_used_where_it_can_be(void **state)
{
	fake_sysfs_add_iommufd(&fs);
	take_with(VFIO_IOMMU_AUTO, VFIO_IOMMU_IOMMUFD);
}

static void iommufd_needs_no_groups(void **state)
{
	fake_sysfs_add_iommufd(&fs);
	fake_sysfs_without(&fs, "groups");
	take_with(VFIO_IOMMU_AUTO, VFIO_IOMMU_IOMMUFD);
}

static void type1_is_used_without_dev_iommu(void **state)
{
	fake_sysfs_add_iommufd(&fs);
	fake_sysfs_unlink(&fs, "dev/iommu");
	take_with(VFIO_IOMMU_AUTO, VFIO_IOMMU_TYPE1);
	/* Why is said to whoever wants to know, and no error is left. */
	assert_string_equal(err_text(), "");
	assert_messages("");
}

static void type1_is_used_where_vfio_has_no_character_devices(void **state)
{
	fake_sysfs_add_iommufd(&fs);
	fake_sysfs_unlink(&fs, "fake/cdevs");
	take_with(VFIO_IOMMU_AUTO, VFIO_IOMMU_TYPE1);
}

static void folder_without_a_device_number_is_no_character_device(void **state)
{
	fake_sysfs_add_iommufd(&fs);
	fake_sysfs_unlink(&fs, "fake/cdevs");
	fake_sysfs_file(&fs, "sys/bus/pci/devices/" GPU "/vfio-dev/vfio0/uevent", "%s", "");
	take_with(VFIO_IOMMU_AUTO, VFIO_IOMMU_TYPE1);
}

static void type1_is_used_where_the_device_s_file_was_not_handed_in(void **state)
{
	fake_sysfs_add_iommufd(&fs);
	fake_sysfs_without(&fs, "nodes");
	take_with(VFIO_IOMMU_AUTO, VFIO_IOMMU_TYPE1);
}

static void one_device_without_its_file_takes_all_to_type1(void **state)
{
	add_audio("vfio-pci");
	fake_sysfs_add_iommufd(&fs);
	check_and_take(GPU, AUDIO);
	assert_int_equal(host.iommu, VFIO_IOMMU_TYPE1);
}

/* Two GPUs are to reach each other's memory, unless that is said to be off. */
static void take_two_gpus(enum vfio_p2p_mode p2p, enum vfio_iommu_kind expected)
{
	static const struct fake_pci_device other = { "0000:02:00.0", 0x030200, NULL, NULL, 9, 0 };

	fake_sysfs_add_iommufd(&fs);
	fake_sysfs_add_device(&fs, &other);
	host.p2p = p2p;
	check_and_take(GPU, other.bdf);
	assert_int_equal(host.iommu, expected);
}

static void devices_that_reach_each_other_get_type1(void **state)
{
	fake_sysfs_file(&fs, "dev/vfio/vfio", "%s", "");
	take_two_gpus(VFIO_P2P_AUTO, VFIO_IOMMU_TYPE1);
}

static void devices_that_do_not_reach_each_other_get_iommufd(void **state)
{
	fake_sysfs_file(&fs, "dev/vfio/vfio", "%s", "");
	take_two_gpus(VFIO_P2P_OFF, VFIO_IOMMU_IOMMUFD);
}

static void kernel_without_type1_leaves_iommufd(void **state)
{
	take_two_gpus(VFIO_P2P_ON, VFIO_IOMMU_IOMMUFD);
}

static void type1_may_be_asked_for(void **state)
{
	fake_sysfs_add_iommufd(&fs);
	take_with(VFIO_IOMMU_TYPE1, VFIO_IOMMU_TYPE1);
}

/* Nothing is touched, and the message says what it takes. */
static void refused(int error, const char *text)
{
	host.iommu = VFIO_IOMMU_IOMMUFD;
	check(&host, GPU, NULL);
	assert_int_equal(vfio_host_take(&host), error);
	assert_int_equal(err_kind(), ERR_HOST);
	assert_string_equal(err_text(), text);
	assert_non_null(strstr(err_hint_text(), "Linux 6.6 or later with CONFIG_IOMMUFD and "
						"CONFIG_VFIO_DEVICE_CDEV; --iommu type1"));
	assert_string_equal(fake_sysfs_driver(&fs, GPU), "nvidia");
	assert_false(fake_sysfs_exists(&fs, JOURNAL GPU));
}

static void asked_for_without_dev_iommu_touches_nothing(void **state)
{
	refused(-ENOENT, "this host's kernel offers no iommufd: no /dev/iommu");
	assert_string_equal(fake_sysfs_writes(&fs), "");
}

static void asked_for_where_vfio_has_no_character_devices_touches_nothing(void **state)
{
	fake_sysfs_add_iommufd(&fs);
	fake_sysfs_file(&fs, "proc/devices", "237 vfio\n");
	refused(-ENODEV, "this host's VFIO has no character devices for iommufd");
	assert_string_equal(fake_sysfs_writes(&fs), "");
}

static void asked_for_and_not_there_after_all_gives_the_device_back(void **state)
{
	fake_sysfs_add_iommufd(&fs);
	fake_sysfs_unlink(&fs, "proc/devices");
	fake_sysfs_unlink(&fs, "fake/cdevs");
	refused(-ENODEV, GPU ": VFIO has no character device for it");
	assert_string_equal(fake_sysfs_writes(&fs), TAKE_GPU GIVE_BACK_GPU);
}

static void file_that_does_not_come_is_named(void **state)
{
	char text[256];

	fake_sysfs_add_iommufd(&fs);
	fake_sysfs_without(&fs, "nodes");
	host.iommu = VFIO_IOMMU_IOMMUFD;
	check(&host, GPU, NULL);
	assert_int_equal(vfio_host_take(&host), -ENOENT);
	snprintf(text, sizeof(text),
		 GPU " is on vfio-pci, but %s/dev/vfio/devices/vfio7 cannot be used: ", fs.root);
	assert_ptr_equal(strstr(err_text(), text), err_text());
	assert_string_equal(fake_sysfs_driver(&fs, GPU), "nvidia");
}

static void user_of_a_device_is_seen_without_groups(void **state)
{
	add_audio("vfio-pci");
	fake_sysfs_unlink(&fs, "dev/vfio/8");
	fake_sysfs_file(&fs, "sys/bus/pci/devices/" AUDIO "/vfio-dev/vfio3/dev", "511:3\n");
	fake_sysfs_file(&fs, "proc/90/comm", "qemu\n");
	fake_sysfs_link(&fs, "proc/90/fd/11", "/dev/vfio/devices/vfio3");
	check(&host, AUDIO, NULL);
	assert_int_equal(vfio_host_take(&host), -EBUSY);
	assert_string_equal(err_hint_text(), "it is in use by qemu (pid 90)");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(iommufd_is_used_where_it_can_be),
		TEST(iommufd_needs_no_groups),
		TEST(type1_is_used_without_dev_iommu),
		TEST(type1_is_used_where_vfio_has_no_character_devices),
		TEST(folder_without_a_device_number_is_no_character_device),
		TEST(type1_is_used_where_the_device_s_file_was_not_handed_in),
		TEST(one_device_without_its_file_takes_all_to_type1),
		TEST(devices_that_reach_each_other_get_type1),
		TEST(devices_that_do_not_reach_each_other_get_iommufd),
		TEST(kernel_without_type1_leaves_iommufd),
		TEST(type1_may_be_asked_for),
		TEST(asked_for_without_dev_iommu_touches_nothing),
		TEST(asked_for_where_vfio_has_no_character_devices_touches_nothing),
		TEST(asked_for_and_not_there_after_all_gives_the_device_back),
		TEST(file_that_does_not_come_is_named),
		TEST(user_of_a_device_is_seen_without_groups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
