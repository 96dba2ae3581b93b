/* SPDX-License-Identifier: Apache-2.0 */
/* What a killed run leaves behind on a fake host, and who gives it back, or leaves it alone. */
#include "host_fixture.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "vfio/host_holders.h"

#define DIRTY "run/tinyvmm/dirty/"

/* A run that takes the GPU, and perhaps another device, and is killed at once. */
static void run_two_and_be_killed(const char *second)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		struct vfio_host other;

		init_host(&other);
		check(&other, GPU, second);
		if (vfio_host_take(&other) == 0)
			raise(SIGKILL);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_string_equal(fake_sysfs_driver(&fs, GPU), "vfio-pci");
}

static void run_and_be_killed(void)
{
	run_two_and_be_killed(NULL);
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

static void recover_gives_back_the_rest_of_a_group_after_the_run(void **state)
{
	static const struct fake_pci_device audio = { AUDIO,           0x040300, "snd_hda_intel",
						      "snd_hda_intel", 7,        0 };
	unsigned count;

	fake_sysfs_add_device(&fs, &audio);
	run_two_and_be_killed(AUDIO);
	check_and_take(GPU, NULL);
	/* The lease of the group keeps it out. */
	assert_int_equal(vfio_host_recover(fs.root, &count), 0);
	assert_int_equal(count, 0);
	vfio_host_fini(&host);
	assert_string_equal(fake_sysfs_driver(&fs, AUDIO), "vfio-pci");
	assert_int_equal(vfio_host_recover(fs.root, &count), 0);
	assert_int_equal(count, 1);
	assert_string_equal(fake_sysfs_driver(&fs, AUDIO), "snd_hda_intel");
}

/* After a killed run somebody starts another program with the device, which is still with VFIO. */
static void open_elsewhere(void)
{
	run_and_be_killed();
	fake_sysfs_open_group(&fs, 7);
	fake_sysfs_file(&fs, "proc/90/comm", "qemu\n");
	fake_sysfs_link(&fs, "proc/90/fd/11", "/dev/vfio/7");
	messages[0] = '\0';
}

static void device_in_use_elsewhere_is_not_taken(void **state)
{
	open_elsewhere();
	check(&host, GPU, NULL);
	assert_int_equal(vfio_host_take(&host), -EBUSY);
	assert_string_equal(err_text(), GPU ": its IOMMU group 7 is in use by another program");
	assert_string_equal(err_hint_text(), "it is in use by qemu (pid 90)");
	assert_int_equal(err_kind(), ERR_DEVICE);
	vfio_host_fini(&host);
	assert_string_equal(fake_sysfs_writes(&fs), "");
	assert_true(fake_sysfs_exists(&fs, JOURNAL GPU));
	assert_messages("");
}

static void device_in_use_elsewhere_through_its_own_file_names_the_user(void **state)
{
	run_and_be_killed();
	fake_sysfs_open_group(&fs, 7);
	fake_sysfs_file(&fs, "sys/bus/pci/devices/" GPU "/vfio-dev/vfio3/dev", "511:3\n");
	fake_sysfs_file(&fs, "proc/90/comm", "qemu\n");
	fake_sysfs_link(&fs, "proc/90/fd/11", "/dev/vfio/devices/vfio3");
	check(&host, GPU, NULL);
	assert_int_equal(vfio_host_take(&host), -EBUSY);
	assert_string_equal(err_hint_text(), "it is in use by qemu (pid 90)");
}

static void device_in_use_by_another_user_names_who_was_told_of_it(void **state)
{
	run_and_be_killed();
	fake_sysfs_open_group(&fs, 7);
	/* Their files cannot be seen, their command lines can. */
	fake_sysfs_file(&fs, "proc/90/comm", "qemu\n");
	fake_sysfs_file(&fs, "proc/90/cmdline", "qemu -device vfio-pci,host=01:00.0");
	fake_sysfs_file(&fs, "proc/91/comm", "qemu\n");
	fake_sysfs_file(&fs, "proc/91/cmdline", "qemu -device vfio-pci,host=02:00.0");
	check(&host, GPU, NULL);
	assert_int_equal(vfio_host_take(&host), -EBUSY);
	assert_string_equal(err_hint_text(), "it is in use by qemu (pid 90)");
}

static void who_started_us_is_not_taken_for_a_user(void **state)
{
	run_and_be_killed();
	fake_sysfs_open_group(&fs, 7);
	fake_sysfs_file(&fs, "proc/self/status", "Name:\ttinyvmm\nPPid:\t92\n");
	fake_sysfs_file(&fs, "proc/92/status", "Name:\ttimeout\nPPid:\t91\n");
	fake_sysfs_file(&fs, "proc/91/status", "Name:\tsudo\nPPid:\t1\n");
	for (unsigned pid = 90; pid <= 92; pid++) {
		char path[64];

		snprintf(path, sizeof(path), "proc/%u/comm", pid);
		fake_sysfs_file(&fs, path, "%s\n", pid == 90 ? "qemu" : "starter");
		snprintf(path, sizeof(path), "proc/%u/cmdline", pid);
		fake_sysfs_file(&fs, path, "--gpu 01:00.0");
	}
	check(&host, GPU, NULL);
	assert_int_equal(vfio_host_take(&host), -EBUSY);
	assert_string_equal(err_hint_text(), "it is in use by qemu (pid 90)");
}

static void free_device_has_no_user_whatever_command_lines_say(void **state)
{
	const struct pci_addr addr = { .bus = 1 };
	char holders[64];

	run_and_be_killed();
	fake_sysfs_file(&fs, "proc/90/comm", "vim\n");
	fake_sysfs_file(&fs, "proc/90/cmdline", "vim notes-on-01:00.0");
	host_holders_list_vfio(fs.root, addr, 7, holders, sizeof(holders));
	assert_string_equal(holders, "");
	fake_sysfs_open_group(&fs, 7);
	host_holders_list_vfio(fs.root, addr, 7, holders, sizeof(holders));
	assert_string_equal(holders, "vim (pid 90)");
}

static void nothing_is_taken_when_one_of_all_is_in_use_elsewhere(void **state)
{
	add_audio("vfio-pci");
	fake_sysfs_open_group(&fs, 8);
	check(&host, GPU, AUDIO);
	assert_int_equal(vfio_host_take(&host), -EBUSY);
	assert_string_equal(err_text(), AUDIO ": its IOMMU group 8 is in use by another program");
	assert_string_equal(err_hint_text(), "");
	assert_string_equal(fake_sysfs_writes(&fs), "");
}

static void recover_leaves_alone_what_is_in_use_elsewhere(void **state)
{
	unsigned count;

	open_elsewhere();
	assert_int_equal(vfio_host_recover(fs.root, &count), 0);
	assert_int_equal(count, 0);
	assert_string_equal(fake_sysfs_writes(&fs), "");
	assert_true(fake_sysfs_exists(&fs, JOURNAL GPU));
	assert_messages(GPU " was left behind by an earlier run, but another program uses its "
			    "IOMMU group 7 now\n");
	fake_sysfs_unlink(&fs, "fake/open");
	assert_int_equal(vfio_host_recover(fs.root, &count), 0);
	assert_int_equal(count, 1);
	assert_string_equal(fake_sysfs_driver(&fs, GPU), "nvidia");
}

static void recover_forgets_what_the_user_gave_to_another_driver(void **state)
{
	unsigned count;

	fake_sysfs_file(&fs, JOURNAL GPU, "driver=nouveau\noverride=\n");
	fake_sysfs_file(&fs, "sys/bus/pci/devices/" GPU "/driver_override", "nvidia\n");
	assert_int_equal(vfio_host_recover(fs.root, &count), 0);
	assert_int_equal(count, 0);
	assert_string_equal(fake_sysfs_writes(&fs), "");
	assert_string_equal(fake_sysfs_driver(&fs, GPU), "nvidia");
	assert_string_equal(fake_sysfs_override(&fs, GPU), "nvidia");
	assert_false(fake_sysfs_exists(&fs, JOURNAL GPU));
}

static bool use_and_end(bool dirty_afterwards)
{
	bool before;

	check_and_take(GPU, NULL);
	assert_int_equal(vfio_host_begin_use(&host), 0);
	assert_true(fake_sysfs_exists(&fs, DIRTY GPU));
	before = host.devices[0].dirty;
	host.devices[0].dirty = dirty_afterwards;
	vfio_host_end_use(&host);
	vfio_host_fini(&host);
	init_host(&host);
	return before;
}

static void device_counts_as_dirty_until_it_was_reset(void **state)
{
	assert_false(use_and_end(false));
	assert_false(fake_sysfs_exists(&fs, DIRTY GPU));
	assert_false(use_and_end(true));
	assert_true(use_and_end(true));
	assert_true(use_and_end(false));
	assert_false(use_and_end(false));
}

static void device_of_a_killed_run_counts_as_dirty(void **state)
{
	check_and_take(GPU, NULL);
	assert_int_equal(vfio_host_begin_use(&host), 0);
	vfio_host_fini(&host); /* without _end_use */
	init_host(&host);
	assert_true(use_and_end(false));
}

static void use_that_cannot_be_marked_leaves_no_new_marks(void **state)
{
	static const struct fake_pci_device audio = {
		AUDIO, 0x040300, "vfio-pci", "vfio-pci", 7, 0
	};

	fake_sysfs_add_device(&fs, &audio);
	/* Where the sound function's mark would be written. */
	fake_sysfs_file(&fs, DIRTY AUDIO ".new/in/the/way", "%s", "");
	check_and_take(GPU, AUDIO);
	assert_true(vfio_host_begin_use(&host) < 0);
	assert_non_null(strstr(err_text(), "write the journal"));
	assert_false(fake_sysfs_exists(&fs, DIRTY GPU));
	/* One that was there before says the truth still. */
	fake_sysfs_file(&fs, DIRTY GPU, "boot=\n");
	assert_true(vfio_host_begin_use(&host) < 0);
	assert_true(fake_sysfs_exists(&fs, DIRTY GPU));
	vfio_host_fini(&host);
	check_and_take(AUDIO, GPU);
	assert_true(vfio_host_begin_use(&host) < 0);
	assert_true(fake_sysfs_exists(&fs, DIRTY GPU));
}

static void mark_of_another_boot_says_nothing(void **state)
{
	fake_sysfs_file(&fs, "proc/sys/kernel/random/boot_id", "11111111-2222\n");
	assert_false(use_and_end(true));
	fake_sysfs_file(&fs, "proc/sys/kernel/random/boot_id", "33333333-4444\n");
	assert_false(use_and_end(true));
	assert_true(use_and_end(false));
}

static void device_that_a_driver_of_the_host_had_since_counts_as_dirty(void **state)
{
	check_and_take(GPU, NULL);
	assert_int_equal(vfio_host_begin_use(&host), 0);
	host.devices[0].dirty = true;
	vfio_host_end_use(&host);
	vfio_host_fini(&host);
	/* A driver need not touch what the guest left. */
	assert_string_equal(fake_sysfs_driver(&fs, GPU), "nvidia");
	assert_true(fake_sysfs_exists(&fs, DIRTY GPU));
	init_host(&host);
	assert_true(use_and_end(false));
}

static void release_gpu(void)
{
	struct pci_addr gpu;

	messages[0] = '\0';
	assert_true(pci_addr_scan(GPU, &gpu));
	assert_int_equal(vfio_host_lease(&host, &gpu, 1), 0);
	assert_int_equal(vfio_host_release(&host), 0);
	vfio_host_fini(&host);
	init_host(&host);
}

static void release_forgets_that_it_was_not_reset(void **state)
{
	assert_false(use_and_end(true));
	release_gpu();
	assert_messages(GPU ": forgotten that it was not reset after its last guest\n" GPU
			    ": nothing else to do: nvidia has it\n");
	assert_false(use_and_end(false));
	release_gpu();
	assert_messages(GPU ": nothing to do: nvidia has it\n");
}

static void release_of_a_bound_device_forgets_that_it_was_not_reset(void **state)
{
	check(&host, GPU, NULL);
	assert_int_equal(vfio_host_bind(&host, NULL), 0);
	vfio_host_fini(&host);
	init_host(&host);
	assert_false(use_and_end(true));
	release_gpu();
	assert_messages(GPU ": forgotten that it was not reset after its last guest\n" GPU
			    " is given back to nvidia\n");
	assert_false(use_and_end(false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_a_killed_run_took_the_next_gives_back),
		TEST(run_killed_after_the_unbind_is_repaired),
		TEST(run_killed_before_the_unbind_is_repaired),
		TEST(journal_that_the_user_overtook_counts_no_more),
		TEST(damaged_journal_is_told_and_replaced),
		TEST(recover_gives_back_what_no_run_has),
		TEST(recover_forgets_what_was_unplugged),
		TEST(recover_gives_back_the_rest_of_a_group_after_the_run),
		TEST(device_in_use_elsewhere_is_not_taken),
		TEST(device_in_use_elsewhere_through_its_own_file_names_the_user),
		TEST(device_in_use_by_another_user_names_who_was_told_of_it),
		TEST(who_started_us_is_not_taken_for_a_user),
		TEST(free_device_has_no_user_whatever_command_lines_say),
		TEST(nothing_is_taken_when_one_of_all_is_in_use_elsewhere),
		TEST(recover_leaves_alone_what_is_in_use_elsewhere),
		TEST(recover_forgets_what_the_user_gave_to_another_driver),
		TEST(device_counts_as_dirty_until_it_was_reset),
		TEST(device_of_a_killed_run_counts_as_dirty),
		TEST(use_that_cannot_be_marked_leaves_no_new_marks),
		TEST(mark_of_another_boot_says_nothing),
		TEST(device_that_a_driver_of_the_host_had_since_counts_as_dirty),
		TEST(release_forgets_that_it_was_not_reset),
		TEST(release_of_a_bound_device_forgets_that_it_was_not_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
