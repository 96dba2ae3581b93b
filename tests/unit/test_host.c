/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices of a fake host are taken and given back: which writes in which order, what is left after
 * a failure, after a driver that hangs, and after a run that was killed.
 */
#include "cmocka_all.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "core/err.h"
#include "core/log.h"
#include "fake_sysfs.h"
#include "vfio/host.h"
#include "vfio/host_child.h"

#define GPU     "0000:01:00.0"
#define AUDIO   "0000:01:00.1"
#define JOURNAL "run/tinyvmm/journal/"

#define TAKE_GPU                                     \
	"devices/" GPU "/driver_override vfio-pci\n" \
	"devices/" GPU "/driver/unbind " GPU "\n"    \
	"drivers_probe " GPU "\n"
#define GIVE_BACK_GPU                             \
	"devices/" GPU "/driver/unbind " GPU "\n" \
	"devices/" GPU "/driver_override \\n\n"   \
	"drivers_probe " GPU "\n"

static struct fake_sysfs fs;
static struct vfio_host host;
static char messages[2048];

void __wrap_log_msg(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);
void __wrap_log_msg(enum log_level level, const char *fmt, ...)
{
	const size_t len = strlen(messages);
	va_list ap;

	va_start(ap, fmt);
	if (level <= LOG_INFO && len < sizeof(messages) - 2) {
		vsnprintf(messages + len, sizeof(messages) - len - 1, fmt, ap);
		strcat(messages, "\n");
	}
	va_end(ap);
}

static void assert_messages(const char *text)
{
	assert_string_equal(messages, text);
	messages[0] = '\0';
}

static void init_host(struct vfio_host *h)
{
	vfio_host_init(h, fs.root);
	h->limit_ms = 200;
}

static int setup(void **state)
{
	static const struct fake_pci_device gpu = { GPU, 0x030000, "nvidia", "nvidia", 7, 0 };

	(void)state;
	fake_sysfs_init(&fs);
	fake_sysfs_add_driver(&fs, "vfio-pci");
	fake_sysfs_add_device(&fs, &gpu);
	init_host(&host);
	messages[0] = '\0';
	err_clear();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	vfio_host_fini(&host);
	fake_sysfs_fini(&fs);
	return 0;
}

/* The audio function of the card, in a group of its own, with a driver or none. */
static void add_audio(const char *driver)
{
	fake_sysfs_add_device(&fs, &(struct fake_pci_device){ AUDIO, 0x040300, driver,
							      "snd_hda_intel", 8, 0 });
}

static void check(struct vfio_host *h, const char *a, const char *b)
{
	struct pci_addr addrs[2];
	unsigned n = 0;

	assert_true(pci_addr_scan(a, &addrs[n++]));
	if (b)
		assert_true(pci_addr_scan(b, &addrs[n++]));
	assert_int_equal(vfio_host_check(h, addrs, n), 0);
}

static void check_and_take(const char *a, const char *b)
{
	check(&host, a, b);
	assert_int_equal(vfio_host_take(&host), 0);
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
	fake_sysfs_refuse(&fs, "vfio-pci");
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
	fake_sysfs_hang(&fs, "amdgpu");
	check(&host, GPU, NULL);
	messages[0] = '\0';
	assert_int_equal(vfio_host_take(&host), -EBUSY);
	assert_string_equal(err_text(), "driver amdgpu does not let go of " GPU " (waited 0 s)");
	assert_string_equal(err_hint_text(), "it is in use by blender (pid 90): stop them; if that "
					     "does not help, reboot the host");
	assert_int_equal(err_kind(), ERR_DEVICE);
	assert_messages(GPU " cannot be given back to amdgpu while its driver hangs; the next run "
			    "with it will try again\n");
	assert_true(fake_sysfs_exists(&fs, JOURNAL GPU));
	vfio_host_fini(&host);
	assert_messages("");
}

static void device_that_cannot_leave_vfio_is_given_up_once(void **state)
{
	check_and_take(GPU, NULL);
	fake_sysfs_hang(&fs, "vfio-pci");
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

static void driver_that_does_not_ask_for_the_device_is_told_to_take_it(void **state)
{
	static const struct fake_pci_device dev = {
		AUDIO, 0x040300, "uio_pci_generic", NULL, 8, 0
	};

	fake_sysfs_add_device(&fs, &dev);
	check_and_take(AUDIO, NULL);
	fake_sysfs_writes(&fs);
	assert_int_equal(vfio_host_give_back(&host), 0);
	assert_string_equal(fake_sysfs_writes(&fs), "devices/" AUDIO "/driver/unbind " AUDIO "\n"
						    "devices/" AUDIO "/driver_override \\n\n"
						    "drivers_probe " AUDIO "\n"
						    "drivers/uio_pci_generic/bind " AUDIO "\n");
	assert_string_equal(fake_sysfs_driver(&fs, AUDIO), "uio_pci_generic");
}

static void driver_that_does_not_come_back_stays_in_the_journal(void **state)
{
	check_and_take(GPU, NULL);
	fake_sysfs_refuse(&fs, "nvidia");
	assert_int_equal(vfio_host_give_back(&host), -ENODEV);
	assert_messages(GPU " is not given back to nvidia: bind it: No such device\n");
	assert_true(fake_sysfs_exists(&fs, JOURNAL GPU));
	fake_sysfs_unlink(&fs, "fake/refuse/nvidia");
	assert_int_equal(vfio_host_give_back(&host), 0);
	assert_string_equal(fake_sysfs_driver(&fs, GPU), "nvidia");
}

/* A run that takes the GPU and is killed at once. */
static void run_and_be_killed(void)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		struct vfio_host other;

		init_host(&other);
		check(&other, GPU, NULL);
		if (vfio_host_take(&other) == 0)
			raise(SIGKILL);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_string_equal(fake_sysfs_driver(&fs, GPU), "vfio-pci");
	assert_string_equal(fake_sysfs_writes(&fs), TAKE_GPU);
}

static void what_a_killed_run_took_the_next_gives_back(void **state)
{
	run_and_be_killed();
	check_and_take(GPU, NULL);
	assert_string_equal(fake_sysfs_writes(&fs), "");
	assert_messages(GPU " was left behind by an earlier run; before that, nvidia had it\n");
	vfio_host_fini(&host);
	assert_string_equal(fake_sysfs_writes(&fs), GIVE_BACK_GPU);
	assert_string_equal(fake_sysfs_driver(&fs, GPU), "nvidia");
	assert_false(fake_sysfs_exists(&fs, JOURNAL GPU));
}

static void run_killed_after_the_unbind_is_repaired(void **state)
{
	run_and_be_killed();
	fake_sysfs_unlink(&fs, "sys/bus/pci/devices/" GPU "/driver");
	check_and_take(GPU, NULL);
	vfio_host_fini(&host);
	assert_string_equal(fake_sysfs_driver(&fs, GPU), "nvidia");
	assert_string_equal(fake_sysfs_override(&fs, GPU), "(null)");
}

static void run_killed_before_the_unbind_is_repaired(void **state)
{
	fake_sysfs_file(&fs, "run/tinyvmm/journal/" GPU, "driver=nvidia\noverride=nvidia\n");
	fake_sysfs_file(&fs, "sys/bus/pci/devices/" GPU "/driver_override", "vfio-pci\n");
	check_and_take(GPU, NULL);
	vfio_host_fini(&host);
	assert_string_equal(fake_sysfs_driver(&fs, GPU), "nvidia");
	assert_string_equal(fake_sysfs_override(&fs, GPU), "nvidia");
}

static void journal_that_the_user_overtook_counts_no_more(void **state)
{
	fake_sysfs_file(&fs, "run/tinyvmm/journal/" GPU, "driver=nouveau\noverride=\n");
	check_and_take(GPU, NULL);
	vfio_host_fini(&host);
	assert_string_equal(fake_sysfs_driver(&fs, GPU), "nvidia");
}

static void damaged_journal_is_told_and_replaced(void **state)
{
	fake_sysfs_file(&fs, "run/tinyvmm/journal/" GPU, "driver=../nvidia\n");
	check_and_take(GPU, NULL);
	assert_messages("the journal of " GPU " is unreadable: Bad message\n");
	vfio_host_fini(&host);
	assert_string_equal(fake_sysfs_driver(&fs, GPU), "nvidia");
	assert_false(fake_sysfs_exists(&fs, JOURNAL GPU));
}

static void recover_gives_back_what_no_run_has(void **state)
{
	unsigned count = 99;

	assert_int_equal(vfio_host_recover(fs.root, &count), 0);
	assert_int_equal(count, 0);
	run_and_be_killed();
	add_audio("snd_hda_intel");
	check_and_take(AUDIO, NULL);
	fake_sysfs_writes(&fs);

	assert_int_equal(vfio_host_recover(fs.root, &count), 0);
	assert_int_equal(count, 1);
	assert_string_equal(fake_sysfs_writes(&fs), GIVE_BACK_GPU);
	assert_string_equal(fake_sysfs_driver(&fs, GPU), "nvidia");
	assert_string_equal(fake_sysfs_driver(&fs, AUDIO), "vfio-pci");
	assert_true(fake_sysfs_exists(&fs, JOURNAL AUDIO));
	assert_int_equal(vfio_host_recover(fs.root, &count), 0);
	assert_int_equal(count, 0);
}

static void recover_forgets_what_was_unplugged(void **state)
{
	unsigned count;

	fake_sysfs_file(&fs, "run/tinyvmm/journal/0000:99:00.0", "driver=nvidia\noverride=\n");
	assert_int_equal(vfio_host_recover(fs.root, &count), 0);
	assert_int_equal(count, 0);
	assert_false(fake_sysfs_exists(&fs, JOURNAL "0000:99:00.0"));
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
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
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
		TEST(driver_that_does_not_ask_for_the_device_is_told_to_take_it),
		TEST(driver_that_does_not_come_back_stays_in_the_journal),
		TEST(what_a_killed_run_took_the_next_gives_back),
		TEST(run_killed_after_the_unbind_is_repaired),
		TEST(run_killed_before_the_unbind_is_repaired),
		TEST(journal_that_the_user_overtook_counts_no_more),
		TEST(damaged_journal_is_told_and_replaced),
		TEST(recover_gives_back_what_no_run_has),
		TEST(recover_forgets_what_was_unplugged),
		TEST(child_runs_with_a_clean_environment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
