/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices of a fake host are taken and given back: which writes in which order, what is left after
 * a failure and after a driver that hangs. test_host_recover.c has the killed runs.
 */
#include "host_fixture.h"

#include <errno.h>
#include <stdlib.h>

#include "vfio/host_child.h"

static bool no_processes;

pid_t __real_fork(void);
pid_t __wrap_fork(void);

pid_t __wrap_fork(void)
{
	if (!no_processes)
		return __real_fork();
	errno = EAGAIN;
	return -1;
}

static void taken_and_given_back_in_order(void **state)
{
	check_and_take(GPU, NULL);
	assert_string_equal(fake_sysfs_writes(&fs), TAKE_GPU);
	assert_string_equal(fake_sysfs_driver(&fs, GPU), "vfio-pci");
	assert_true(fake_sysfs_exists(&fs, JOURNAL GPU));

	assert_int_equal(vfio_host_give_back(&host), 0);
	assert_string_equal(fake_sysfs_writes(&fs), GIVE_BACK_GPU);
	assert_string_equal(fake_sysfs_driver(&fs, GPU), "nvidia");
	assert_string_equal(fake_sysfs_override(&fs, GPU), "(null)");
	assert_false(fake_sysfs_exists(&fs, JOURNAL GPU));
	assert_messages(GPU " is given back to nvidia\n");

	assert_int_equal(vfio_host_give_back(&host), 0);
	vfio_host_fini(&host);
	vfio_host_fini(&host);
	assert_string_equal(fake_sysfs_writes(&fs), "");
	assert_messages("");
}

static void last_taken_is_given_back_first(void **state)
{
	add_audio("snd_hda_intel");
	check_and_take(GPU, AUDIO);
	vfio_host_fini(&host);
	assert_messages(AUDIO " is given back to snd_hda_intel\n" GPU " is given back to nvidia\n");
}

static void device_bound_beforehand_is_left_alone(void **state)
{
	add_audio("vfio-pci");
	check_and_take(AUDIO, NULL);
	vfio_host_fini(&host);
	assert_string_equal(fake_sysfs_writes(&fs), "");
	assert_string_equal(fake_sysfs_driver(&fs, AUDIO), "vfio-pci");
	assert_false(fake_sysfs_exists(&fs, JOURNAL AUDIO));
}

static void variant_driver_is_left_alone(void **state)
{
	add_audio("nvgrace-gpu-vfio-pci");
	fake_sysfs_file(&fs, "dev/vfio/8", "%s", "");
	fake_sysfs_remove_driver(&fs, "vfio-pci");
	check_and_take(AUDIO, NULL);
	vfio_host_fini(&host);
	assert_string_equal(fake_sysfs_writes(&fs), "");
}

static void device_without_a_driver_ends_without(void **state)
{
	add_audio(NULL);
	check_and_take(AUDIO, NULL);
	assert_string_equal(fake_sysfs_writes(&fs), "devices/" AUDIO "/driver_override vfio-pci\n"
						    "drivers_probe " AUDIO "\n");
	vfio_host_fini(&host);
	assert_string_equal(fake_sysfs_writes(&fs), "devices/" AUDIO "/driver/unbind " AUDIO "\n"
						    "devices/" AUDIO "/driver_override \\n\n");
	assert_string_equal(fake_sysfs_driver(&fs, AUDIO), "");
	assert_messages(AUDIO " is given back to no driver\n");
}

static void override_of_before_comes_back(void **state)
{
	fake_sysfs_file(&fs, "sys/bus/pci/devices/" GPU "/driver_override", "nvidia\n");
	check_and_take(GPU, NULL);
	vfio_host_fini(&host);
	assert_string_equal(fake_sysfs_override(&fs, GPU), "nvidia");
	assert_string_equal(fake_sysfs_driver(&fs, GPU), "nvidia");
}

static void override_that_asks_for_vfio_does_not_keep_the_device(void **state)
{
	fake_sysfs_file(&fs, "sys/bus/pci/devices/" GPU "/driver_override", "vfio-pci\n");
	check_and_take(GPU, NULL);
	vfio_host_fini(&host);
	assert_string_equal(fake_sysfs_driver(&fs, GPU), "nvidia");
}

static void missing_module_is_loaded(void **state)
{
	fake_sysfs_remove_driver(&fs, "vfio-pci");
	fake_sysfs_modprobe(&fs, "[ \"$*\" = vfio-pci ] && mkdir $root/sys/bus/pci/drivers/$1");
	check_and_take(GPU, NULL);
	assert_string_equal(fake_sysfs_driver(&fs, GPU), "vfio-pci");
}

static void module_that_cannot_be_loaded_changes_nothing(void **state)
{
	char text[256];

	fake_sysfs_remove_driver(&fs, "vfio-pci");
	fake_sysfs_modprobe(&fs, "exit 1");
	check(&host, GPU, NULL);
	assert_int_equal(vfio_host_take(&host), -ENOENT);
	snprintf(text, sizeof(text),
		 "the host has no driver vfio-pci, and %s/fake/modprobe vfio-pci did not load it",
		 fs.root);
	assert_string_equal(err_text(), text);
	assert_int_equal(err_kind(), ERR_HOST);
	fake_sysfs_modprobe(&fs, "exec sleep 60");
	assert_int_equal(vfio_host_take(&host), -ETIMEDOUT);
	assert_string_equal(fake_sysfs_writes(&fs), "");
	assert_false(fake_sysfs_exists(&fs, JOURNAL GPU));
}

static void failure_gives_all_back_and_keeps_its_reason(void **state)
{
	static const struct fake_pci_device stubborn = { AUDIO, 0x040300, NULL, NULL, 8, 0 };

	fake_sysfs_add_device(&fs, &stubborn);
	check(&host, GPU, AUDIO);
	/* The second device's node never appears. */
	fake_sysfs_file(&fs, "sys/kernel/iommu_groups/9/name", "%s", "");
	host.devices[1].group = 9;
	assert_int_equal(vfio_host_take(&host), -ENOENT);
	assert_non_null(strstr(err_text(), AUDIO " is on vfio-pci, but "));
	assert_non_null(strstr(err_text(), "/dev/vfio/9 cannot be used"));
	assert_int_equal(err_kind(), ERR_HOST);
	assert_string_equal(fake_sysfs_driver(&fs, GPU), "nvidia");
	assert_string_equal(fake_sysfs_driver(&fs, AUDIO), "");
	assert_false(fake_sysfs_exists(&fs, JOURNAL GPU));
	assert_false(fake_sysfs_exists(&fs, JOURNAL AUDIO));
}

static void device_that_vfio_does_not_take_is_given_back(void **state)
{
	fake_sysfs_manner(&fs, "vfio-pci", "refuse");
	check(&host, GPU, NULL);
	assert_int_equal(vfio_host_take(&host), -ENODEV);
	assert_string_equal(err_text(), "vfio-pci does not take " GPU);
	assert_string_equal(err_hint_text(), "dmesg tells why");
	assert_int_equal(err_kind(), ERR_DEVICE);
	assert_string_equal(fake_sysfs_driver(&fs, GPU), "nvidia");
	assert_messages(GPU " is given back to nvidia\n");
}

static void driver_that_hangs_is_given_up(void **state)
{
	fake_sysfs_file(&fs, "sys/bus/pci/devices/" GPU "/drm/renderD128/dev", "226:128\n");
	fake_sysfs_file(&fs, "proc/90/comm", "blender\n");
	fake_sysfs_link(&fs, "proc/90/fd/3", "/dev/dri/renderD128");
	fake_sysfs_add_driver(&fs, "amdgpu");
	fake_sysfs_unlink(&fs, "sys/bus/pci/devices/" GPU "/driver");
	fake_sysfs_link(&fs, "sys/bus/pci/devices/" GPU "/driver", "../../drivers/amdgpu");
	let_hang("amdgpu", "hang");
	check(&host, GPU, NULL);
	messages[0] = '\0';
	assert_int_equal(vfio_host_take(&host), -EBUSY);
	assert_string_equal(err_text(), "driver amdgpu does not let go of " GPU " (waited 0 s)");
	assert_string_equal(err_hint_text(), "it is in use by blender (pid 90): stop them; if that "
					     "does not help, reboot the host");
	assert_int_equal(err_kind(), ERR_DEVICE);
	assert_messages(GPU " cannot be given back to amdgpu while its driver hangs; the next run "
			    "will try again\n");
	assert_true(fake_sysfs_exists(&fs, JOURNAL GPU));
	vfio_host_fini(&host);
	assert_messages("");
}

static void device_that_cannot_leave_vfio_is_given_up_once(void **state)
{
	check_and_take(GPU, NULL);
	let_hang("vfio-pci", "hang");
	assert_int_equal(vfio_host_give_back(&host), -ETIMEDOUT);
	assert_messages(GPU " is not given back to nvidia: unbind it: a driver hangs\n");
	assert_true(fake_sysfs_exists(&fs, JOURNAL GPU));
	assert_int_equal(vfio_host_give_back(&host), 0);
	assert_messages("");
}

static void driver_that_was_unloaded_meanwhile_is_told(void **state)
{
	check_and_take(GPU, NULL);
	fake_sysfs_remove_driver(&fs, "nvidia");
	assert_int_equal(vfio_host_give_back(&host), 0);
	assert_messages(GPU ": driver nvidia is not loaded any more\n" GPU
			    " is with no driver now, not with nvidia as before\n");
	assert_false(fake_sysfs_exists(&fs, JOURNAL GPU));
}

static void driver_that_does_not_ask_for_the_device_gets_it_back(void **state)
{
	static const struct fake_pci_device dev = {
		AUDIO, 0x040300, "uio_pci_generic", NULL, 8, 0
	};

	fake_sysfs_add_device(&fs, &dev);
	check_and_take(AUDIO, NULL);
	fake_sysfs_writes(&fs);
	assert_int_equal(vfio_host_give_back(&host), 0);
	assert_string_equal(fake_sysfs_writes(&fs),
			    "devices/" AUDIO "/driver/unbind " AUDIO "\n"
			    "devices/" AUDIO "/driver_override uio_pci_generic\n"
			    "drivers_probe " AUDIO "\n"
			    "devices/" AUDIO "/driver_override \\n\n");
	assert_string_equal(fake_sysfs_driver(&fs, AUDIO), "uio_pci_generic");
}

static void driver_that_does_not_come_back_stays_in_the_journal(void **state)
{
	check_and_take(GPU, NULL);
	fake_sysfs_manner(&fs, "nvidia", "refuse");
	assert_int_equal(vfio_host_give_back(&host), -ENODEV);
	assert_messages(GPU " is not given back to nvidia: bind it: No such device\n");
	assert_true(fake_sysfs_exists(&fs, JOURNAL GPU));
	fake_sysfs_unlink(&fs, "fake/refuse/nvidia");
	assert_int_equal(vfio_host_give_back(&host), 0);
	assert_string_equal(fake_sysfs_driver(&fs, GPU), "nvidia");
}

static void device_goes_back_to_its_driver_and_not_to_the_first_that_knows_it(void **state)
{
	static const struct fake_pci_device dev = { AUDIO, 0x040300, "nvidia", "nouveau", 8, 0 };

	fake_sysfs_add_driver(&fs, "nouveau");
	fake_sysfs_add_device(&fs, &dev);
	check_and_take(AUDIO, NULL);
	assert_int_equal(vfio_host_give_back(&host), 0);
	assert_string_equal(fake_sysfs_driver(&fs, AUDIO), "nvidia");
	assert_string_equal(fake_sysfs_override(&fs, AUDIO), "(null)");
	assert_messages(AUDIO " is given back to nvidia\n");
}

static void device_that_goes_to_another_driver_is_an_error(void **state)
{
	check_and_take(GPU, NULL);
	fake_sysfs_snatch(&fs, "nouveau");
	assert_int_equal(vfio_host_give_back(&host), -EBUSY);
	assert_messages(GPU " is not given back to nvidia: bind it: nouveau has it now\n");
	assert_string_equal(fake_sysfs_override(&fs, GPU), "(null)");
	vfio_host_fini(&host);
	assert_true(fake_sysfs_exists(&fs, JOURNAL GPU));
	assert_messages("");
}

static void override_is_restored_when_the_driver_does_not_come_back(void **state)
{
	check_and_take(GPU, NULL);
	fake_sysfs_manner(&fs, "nvidia", "refuse");
	assert_int_equal(vfio_host_give_back(&host), -ENODEV);
	assert_string_equal(fake_sysfs_override(&fs, GPU), "(null)");
}

static void another_driver_may_have_the_device_of_an_unloaded_one(void **state)
{
	static const struct fake_pci_device dev = { AUDIO, 0x040300, "nvidia", "nouveau", 8, 0 };

	fake_sysfs_add_driver(&fs, "nouveau");
	fake_sysfs_add_device(&fs, &dev);
	check_and_take(AUDIO, NULL);
	fake_sysfs_unlink(&fs, "sys/bus/pci/devices/" GPU "/driver");
	fake_sysfs_remove_driver(&fs, "nvidia");
	assert_int_equal(vfio_host_give_back(&host), 0);
	assert_messages(AUDIO ": driver nvidia is not loaded any more\n" AUDIO
			      " is with nouveau now, not with nvidia as before\n");
	assert_false(fake_sysfs_exists(&fs, JOURNAL AUDIO));
}

static void driver_that_is_slow_to_come_back_is_left_to_it(void **state)
{
	unsigned count;

	check_and_take(GPU, NULL);
	let_hang("nvidia", "slow");
	assert_int_equal(vfio_host_give_back(&host), -ETIMEDOUT);
	assert_messages(GPU " is not given back to nvidia: bind it: nvidia is still binding "
			    "(waited 0 s)\n");
	assert_true(fake_sysfs_exists(&fs, JOURNAL GPU));
	/* Nobody killed it. The rest is for the next run. */
	assert_true(fake_sysfs_finish_binds(&fs, "nvidia"));
	vfio_host_fini(&host);
	assert_int_equal(vfio_host_recover(fs.root, &count), 0);
	assert_int_equal(count, 1);
	assert_string_equal(fake_sysfs_driver(&fs, GPU), "nvidia");
	assert_string_equal(fake_sysfs_override(&fs, GPU), "(null)");
}

static void vfio_that_is_slow_to_bind_is_told(void **state)
{
	let_hang("vfio-pci", "slow");
	check(&host, GPU, NULL);
	assert_int_equal(vfio_host_take(&host), -ETIMEDOUT);
	assert_string_equal(err_text(), "vfio-pci is still binding " GPU " (waited 0 s)");
	assert_true(fake_sysfs_finish_binds(&fs, "vfio-pci"));
}

static void unbind_that_fails_after_all_was_done_is_a_success(void **state)
{
	fake_sysfs_manner(&fs, "nvidia", "slip");
	fake_sysfs_manner(&fs, "vfio-pci", "slip");
	check_and_take(GPU, NULL);
	assert_int_equal(vfio_host_give_back(&host), 0);
	assert_string_equal(fake_sysfs_driver(&fs, GPU), "nvidia");
	assert_false(fake_sysfs_exists(&fs, JOURNAL GPU));
}

static void device_comes_back_where_no_process_can_be_had(void **state)
{
	no_processes = true;
	check_and_take(GPU, NULL);
	assert_string_equal(fake_sysfs_writes(&fs), TAKE_GPU);
	assert_int_equal(vfio_host_give_back(&host), 0);
	assert_string_equal(fake_sysfs_writes(&fs), GIVE_BACK_GPU);
	assert_string_equal(fake_sysfs_driver(&fs, GPU), "nvidia");
	assert_false(fake_sysfs_exists(&fs, JOURNAL GPU));
	no_processes = false;
}

static void module_that_no_process_can_load_is_told_as_that(void **state)
{
	fake_sysfs_remove_driver(&fs, "vfio-pci");
	fake_sysfs_modprobe(&fs, "exit 0");
	check(&host, GPU, NULL);
	no_processes = true;
	assert_int_equal(vfio_host_take(&host), -EAGAIN);
	assert_non_null(strstr(err_text(), "/fake/modprobe vfio-pci: Resource temporarily"));
	no_processes = false;
}

static void child_runs_with_a_clean_environment(void **state)
{
	char path[128], *argv[] = { path, NULL };

	setenv("MODPROBE_OPTIONS", "-r", 1);
	fake_sysfs_modprobe(&fs, "[ -z \"$MODPROBE_OPTIONS\" ] && exit 42");
	snprintf(path, sizeof(path), "%s/fake/modprobe", fs.root);
	assert_int_equal(host_child_run(argv, 5000), 42);
	unsetenv("MODPROBE_OPTIONS");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(taken_and_given_back_in_order),
		TEST(last_taken_is_given_back_first),
		TEST(device_bound_beforehand_is_left_alone),
		TEST(variant_driver_is_left_alone),
		TEST(device_without_a_driver_ends_without),
		TEST(override_of_before_comes_back),
		TEST(override_that_asks_for_vfio_does_not_keep_the_device),
		TEST(missing_module_is_loaded),
		TEST(module_that_cannot_be_loaded_changes_nothing),
		TEST(failure_gives_all_back_and_keeps_its_reason),
		TEST(device_that_vfio_does_not_take_is_given_back),
		TEST(driver_that_hangs_is_given_up),
		TEST(device_that_cannot_leave_vfio_is_given_up_once),
		TEST(driver_that_was_unloaded_meanwhile_is_told),
		TEST(driver_that_does_not_ask_for_the_device_gets_it_back),
		TEST(driver_that_does_not_come_back_stays_in_the_journal),
		TEST(device_goes_back_to_its_driver_and_not_to_the_first_that_knows_it),
		TEST(device_that_goes_to_another_driver_is_an_error),
		TEST(override_is_restored_when_the_driver_does_not_come_back),
		TEST(another_driver_may_have_the_device_of_an_unloaded_one),
		TEST(driver_that_is_slow_to_come_back_is_left_to_it),
		TEST(vfio_that_is_slow_to_bind_is_told),
		TEST(unbind_that_fails_after_all_was_done_is_a_success),
		TEST(device_comes_back_where_no_process_can_be_had),
		TEST(module_that_no_process_can_load_is_told_as_that),
		TEST(child_runs_with_a_clean_environment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
