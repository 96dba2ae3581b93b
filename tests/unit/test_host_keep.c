/* SPDX-License-Identifier: Apache-2.0 */
/* Devices bound for good on a fake host: who leaves them alone, and how they come back. */
#include "host_fixture.h"

#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define RECORD "run/tinyvmm/bound/"
#define BOUND(bdf, driver)                                                                    \
	bdf " is bound to vfio-pci, and stays so until tinyvmm release; before that, " driver \
	    " had it\n"

/* A rule of udev's has another owner for the file, and what waits for it does so in no time. */
static bool somebody_undoes_chown;

int __real_chown(const char *path, uid_t uid, gid_t gid);
int __wrap_chown(const char *path, uid_t uid, gid_t gid);
int __real_nanosleep(const struct timespec *time, struct timespec *rest);
int __wrap_nanosleep(const struct timespec *time, struct timespec *rest);

int __wrap_chown(const char *path, uid_t uid, gid_t gid)
{
	return somebody_undoes_chown ? 0 : __real_chown(path, uid, gid);
}

int __wrap_nanosleep(const struct timespec *time, struct timespec *rest)
{
	return somebody_undoes_chown ? 0 : __real_nanosleep(time, rest);
}

static void end_command(void)
{
	vfio_host_fini(&host);
	init_host(&host);
}

/* `tinyvmm bind`, up to the end of the command. */
static void bind_device(const char *bdf, const uid_t *owner)
{
	check(&host, bdf, NULL);
	assert_int_equal(vfio_host_bind(&host, owner), 0);
	end_command();
}

static int lease(const char *a, const char *b)
{
	struct pci_addr addrs[2];
	unsigned n = 0;

	assert_true(pci_addr_scan(a, &addrs[n++]));
	if (b)
		assert_true(pci_addr_scan(b, &addrs[n++]));
	host.plain = true;
	return vfio_host_lease(&host, addrs, n);
}

/* `tinyvmm release` up to its end. */
static void release_device(const char *bdf)
{
	assert_int_equal(lease(bdf, NULL), 0);
	assert_int_equal(vfio_host_release(&host), 0);
	assert_int_equal(vfio_host_give_back(&host), 0);
	end_command();
}

static void bound_device_stays_and_goes_back_to_its_driver(void **state)
{
	unsigned count = 99;

	bind_device(GPU, NULL);
	assert_messages(BOUND(GPU, "nvidia"));
	assert_string_equal(fake_sysfs_writes(&fs), TAKE_GPU);
	assert_false(fake_sysfs_exists(&fs, JOURNAL GPU));
	assert_true(fake_sysfs_exists(&fs, RECORD GPU));
	/* Recovery must not undo it. */
	assert_int_equal(vfio_host_recover(fs.root, &count), 0);
	assert_int_equal(count, 0);
	assert_string_equal(fake_sysfs_writes(&fs), "");

	release_device(GPU);
	assert_string_equal(fake_sysfs_writes(&fs), GIVE_BACK_GPU);
	assert_messages(GPU " is given back to nvidia\n");
	assert_false(fake_sysfs_exists(&fs, RECORD GPU));
	assert_false(fake_sysfs_exists(&fs, JOURNAL GPU));
}

static void run_leaves_a_bound_device_bound(void **state)
{
	bind_device(GPU, NULL);
	fake_sysfs_writes(&fs);
	check_and_take(GPU, NULL);
	end_command();
	assert_string_equal(fake_sysfs_writes(&fs), "");
	release_device(GPU);
	assert_string_equal(fake_sysfs_driver(&fs, GPU), "nvidia");
}

static void second_bind_and_second_release_have_nothing_to_do(void **state)
{
	bind_device(GPU, NULL);
	fake_sysfs_writes(&fs);
	messages[0] = '\0';
	bind_device(GPU, NULL);
	assert_messages(GPU " is bound to vfio-pci already\n");
	assert_string_equal(fake_sysfs_writes(&fs), "");
	release_device(GPU);
	fake_sysfs_writes(&fs);
	messages[0] = '\0';
	release_device(GPU);
	assert_messages(GPU ": nothing to do: nvidia has it\n");
	assert_string_equal(fake_sysfs_writes(&fs), "");
}

static void bind_of_what_somebody_else_bound_keeps_no_record(void **state)
{
	fake_sysfs_add_driver(&fs, "snd_hda_intel");
	add_audio("vfio-pci");
	bind_device(AUDIO, NULL);
	assert_messages(AUDIO " is bound to vfio-pci already, and not by tinyvmm\n");
	assert_false(fake_sysfs_exists(&fs, RECORD AUDIO));
	release_device(AUDIO);
	assert_messages(AUDIO " is released to snd_hda_intel\n");
	assert_string_equal(fake_sysfs_driver(&fs, AUDIO), "snd_hda_intel");
}

static void device_that_no_driver_wants_is_released_too(void **state)
{
	add_audio("vfio-pci"); /* snd_hda_intel is not loaded */
	release_device(AUDIO);
	assert_messages(AUDIO " is released; no driver of this host wants it\n");
	assert_string_equal(fake_sysfs_driver(&fs, AUDIO), "");
}

static void vfio_that_takes_all_of_a_kind_is_told(void **state)
{
	static const struct fake_pci_device dev = { AUDIO, 0x040300, "vfio-pci", "vfio-pci", 8, 0 };

	fake_sysfs_add_device(&fs, &dev);
	assert_int_equal(lease(AUDIO, NULL), 0);
	assert_int_equal(vfio_host_release(&host), -EBUSY);
	assert_string_equal(err_text(), AUDIO " went to vfio-pci again");
	assert_non_null(strstr(err_hint_text(), "vfio-pci.ids="));
}

static void device_bound_without_a_driver_is_released_to_none(void **state)
{
	add_audio(NULL);
	fake_sysfs_add_driver(&fs, "snd_hda_intel");
	bind_device(AUDIO, NULL);
	messages[0] = '\0';
	release_device(AUDIO);
	assert_messages(AUDIO " is given back to no driver\n");
	assert_string_equal(fake_sysfs_driver(&fs, AUDIO), "");
}

static void device_in_use_is_not_released(void **state)
{
	bind_device(GPU, NULL);
	fake_sysfs_writes(&fs);
	fake_sysfs_open_group(&fs, 7);
	fake_sysfs_file(&fs, "proc/90/comm", "tinyvmm\n");
	fake_sysfs_link(&fs, "proc/90/fd/11", "/dev/vfio/7");
	assert_int_equal(lease(GPU, NULL), 0);
	assert_int_equal(vfio_host_release(&host), -EBUSY);
	assert_string_equal(err_text(), GPU ": its IOMMU group 7 is in use by another program");
	assert_string_equal(err_hint_text(), "it is in use by tinyvmm (pid 90)");
	assert_int_equal(vfio_host_give_back(&host), 0);
	assert_string_equal(fake_sysfs_writes(&fs), "");
	assert_true(fake_sysfs_exists(&fs, RECORD GPU));
}

static void record_that_the_user_overtook_is_forgotten(void **state)
{
	fake_sysfs_file(&fs, RECORD GPU, "driver=nouveau\noverride=\n");
	release_device(GPU);
	assert_messages(GPU ": nothing to do: nvidia has it\n");
	assert_false(fake_sysfs_exists(&fs, RECORD GPU));
}

static void bind_that_fails_for_one_leaves_all_as_they_were(void **state)
{
	add_audio("snd_hda_intel");
	check(&host, GPU, AUDIO);
	fake_sysfs_manner(&fs, "vfio-pci", "refuse");
	assert_int_equal(vfio_host_bind(&host, NULL), -ENODEV);
	fake_sysfs_unlink(&fs, "fake/refuse/vfio-pci");
	end_command();
	assert_string_equal(fake_sysfs_driver(&fs, GPU), "nvidia");
	assert_string_equal(fake_sysfs_driver(&fs, AUDIO), "snd_hda_intel");
	assert_false(fake_sysfs_exists(&fs, RECORD GPU));
}

static void bind_whose_record_cannot_be_kept_is_undone(void **state)
{
	add_audio("snd_hda_intel");
	/* The GPU's record is kept by then; the sound function's cannot be. */
	fake_sysfs_file(&fs, RECORD AUDIO "/in/the/way", "%s", "");
	check(&host, GPU, AUDIO);
	assert_true(vfio_host_bind(&host, NULL) < 0);
	end_command();
	assert_string_equal(fake_sysfs_driver(&fs, GPU), "nvidia");
	assert_string_equal(fake_sysfs_driver(&fs, AUDIO), "snd_hda_intel");
	assert_false(fake_sysfs_exists(&fs, RECORD GPU));
}

static void killed_in_the_middle(int (*command)(struct vfio_host *host))
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		if (command(&host) == 0)
			raise(SIGKILL);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
}

static int begin_bind(struct vfio_host *h)
{
	check(h, GPU, NULL);
	return vfio_host_take(h);
}

static int begin_release(struct vfio_host *h)
{
	return lease(GPU, NULL) < 0 ? -1 : vfio_host_release(h);
}

static void bind_that_was_killed_is_undone(void **state)
{
	unsigned count;

	killed_in_the_middle(begin_bind);
	assert_string_equal(fake_sysfs_driver(&fs, GPU), "vfio-pci");
	assert_int_equal(vfio_host_recover(fs.root, &count), 0);
	assert_int_equal(count, 1);
	assert_string_equal(fake_sysfs_driver(&fs, GPU), "nvidia");
}

static void release_that_was_killed_is_finished(void **state)
{
	unsigned count;

	bind_device(GPU, NULL);
	killed_in_the_middle(begin_release);
	assert_string_equal(fake_sysfs_driver(&fs, GPU), "vfio-pci");
	assert_int_equal(vfio_host_recover(fs.root, &count), 0);
	assert_int_equal(count, 1);
	assert_string_equal(fake_sysfs_driver(&fs, GPU), "nvidia");
}

static void owner_of_the_group_is_kept_for_the_release(void **state)
{
	const uid_t owner = getuid();
	char path[128], text[128], expected[128];
	FILE *record;

	bind_device(GPU, &owner);
	/* Again: what the first one noted stays. */
	bind_device(GPU, &owner);
	snprintf(path, sizeof(path), "%s/" RECORD GPU, fs.root);
	record = fopen(path, "r");
	assert_non_null(record);
	text[fread(text, 1, sizeof(text) - 1, record)] = '\0';
	fclose(record);
	snprintf(expected, sizeof(expected), "driver=nvidia\noverride=\nnode=%u:%u\n", getuid(),
		 getgid());
	assert_string_equal(text, expected);
	release_device(GPU);
	assert_string_equal(fake_sysfs_driver(&fs, GPU), "nvidia");
}

static void owner_who_does_not_stay_is_an_error(void **state)
{
	const uid_t owner = getuid() + 1;
	int r;

	check(&host, GPU, NULL);
	somebody_undoes_chown = true;
	r = vfio_host_bind(&host, &owner);
	somebody_undoes_chown = false;
	assert_true(r < 0);
	assert_non_null(strstr(err_text(), "/dev/vfio/7 does not stay with user"));
	assert_int_equal(err_kind(), ERR_HOST);
	end_command();
	assert_string_equal(fake_sysfs_driver(&fs, GPU), "nvidia");
	assert_false(fake_sysfs_exists(&fs, RECORD GPU));
}

static void kernel_without_groups_has_no_file_to_give(void **state)
{
	const uid_t owner = getuid();

	fake_sysfs_add_iommufd(&fs);
	fake_sysfs_without(&fs, "groups");
	check(&host, GPU, NULL);
	assert_int_equal(vfio_host_bind(&host, &owner), -ENOENT);
	assert_non_null(strstr(err_hint_text(), "/dev/vfio/devices/vfioN"));
	end_command();
	assert_string_equal(fake_sysfs_driver(&fs, GPU), "nvidia");
	assert_false(fake_sysfs_exists(&fs, RECORD GPU));
}

static void absent_device_cannot_be_released(void **state)
{
	assert_int_equal(lease("0000:09:00.0", NULL), -ENODEV);
	assert_string_equal(err_text(), "there is no PCI device 0000:09:00.0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bound_device_stays_and_goes_back_to_its_driver),
		TEST(run_leaves_a_bound_device_bound),
		TEST(second_bind_and_second_release_have_nothing_to_do),
		TEST(bind_of_what_somebody_else_bound_keeps_no_record),
		TEST(device_that_no_driver_wants_is_released_too),
		TEST(vfio_that_takes_all_of_a_kind_is_told),
		TEST(device_bound_without_a_driver_is_released_to_none),
		TEST(device_in_use_is_not_released),
		TEST(record_that_the_user_overtook_is_forgotten),
		TEST(bind_that_fails_for_one_leaves_all_as_they_were),
		TEST(bind_whose_record_cannot_be_kept_is_undone),
		TEST(bind_that_was_killed_is_undone),
		TEST(release_that_was_killed_is_finished),
		TEST(owner_of_the_group_is_kept_for_the_release),
		TEST(owner_who_does_not_stay_is_an_error),
		TEST(kernel_without_groups_has_no_file_to_give),
		TEST(absent_device_cannot_be_released),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
