/* SPDX-License-Identifier: Apache-2.0 */
/* Which GPUs `--gpu any` is, on a fake host with two, and whom they are kept from. */
#include "host_fixture.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>

#include "core/sys.h"
#include "other_run.h"
#include "run/gpu_any.h"

#define SECOND       "0000:02:00.0"
#define SECOND_AUDIO "0000:02:00.1"

static struct options options;

static int setup_two(void **state)
{
	static const struct fake_pci_device second = { SECOND, 0x030200, "nvidia", "nvidia", 9, 0 };

	setup(state);
	fake_sysfs_file(&fs, "dev/kvm", "%s", "");
	fake_sysfs_add_device(&fs, &second);
	fake_sysfs_add_device(&fs, &(struct fake_pci_device){ "0000:03:00.0", 0x010802, "nvme",
							      "nvme", 10, 0 });
	options = (struct options){ 0 };
	return 0;
}

static void want(const char *bdf)
{
	struct options_gpu *gpu = &options.gpus[options.gpu_count++];

	gpu->any = !bdf;
	if (bdf)
		assert_true(pci_addr_scan(bdf, &gpu->addr));
}

static void assert_gpus(const char *expected)
{
	char text[256] = "";

	for (unsigned i = 0; i < options.gpu_count; i++) {
		strcat(text, i ? " " : "");
		strcat(text, options_gpu_name(&options.gpus[i]).s);
	}
	assert_string_equal(text, expected);
	assert_false(gpu_any_wanted(&options) && host.count);
	/* The checked devices are those of the options, in their order. */
	for (unsigned i = 0; i < host.count; i++)
		assert_int_equal(pci_addr_compare(host.devices[i].addr, options.gpus[i].addr), 0);
}

static pid_t start_other_run(const char *bdf, unsigned ms)
{
	struct vfio_host other;

	init_host(&other);
	return other_run_start(&other, bdf, ms);
}

static void first_that_is_ready_is_taken(void **state)
{
	want(NULL);
	assert_true(gpu_any_wanted(&options));
	assert_int_equal(gpu_any_check(&host, &options), 0);
	assert_gpus(GPU);
	assert_messages("--gpu any: " GPU "\n");
}

static void several_are_different_ones(void **state)
{
	want(NULL);
	want(NULL);
	assert_int_equal(gpu_any_check(&host, &options), 0);
	assert_gpus(GPU " " SECOND);
}

static void named_one_is_not_any(void **state)
{
	want(NULL);
	want(GPU);
	assert_int_equal(gpu_any_check(&host, &options), 0);
	assert_gpus(SECOND " " GPU);
}

static void functions_of_its_card_come_along(void **state)
{
	fake_sysfs_add_device(&fs, &(struct fake_pci_device){ SECOND_AUDIO, 0x040300,
							      "snd_hda_intel", "snd_hda_intel", 9,
							      0 });
	want(NULL);
	want(NULL);
	assert_int_equal(gpu_any_check(&host, &options), 0);
	assert_gpus(GPU " " SECOND " " SECOND_AUDIO);
	assert_false(options.gpus[2].any);
}

static void boot_display_is_left_to_the_host(void **state)
{
	fake_sysfs_file(&fs, "sys/bus/pci/devices/" GPU "/boot_vga", "1\n");
	want(NULL);
	assert_int_equal(gpu_any_check(&host, &options), 0);
	assert_gpus(SECOND);
	vfio_host_fini(&host);
	init_host(&host);
	options = (struct options){ 0 };
	want(NULL);
	want(NULL);
	assert_int_equal(gpu_any_check(&host, &options), -EBUSY);
	assert_string_equal(err_text(), "--gpu any: only 1 of 2 GPUs can be had: " GPU
					": the host's boot display");
	assert_gpus("any any");
}

static void second_run_gets_the_second(void **state)
{
	const pid_t pid = start_other_run(GPU, OTHER_RUN_FOREVER);

	want(NULL);
	assert_int_equal(gpu_any_check(&host, &options), 0);
	assert_gpus(SECOND);
	other_run_end(pid);
}

static void each_that_is_refused_is_named(void **state)
{
	const pid_t first = start_other_run(GPU, OTHER_RUN_FOREVER);
	const pid_t second = start_other_run(SECOND, OTHER_RUN_FOREVER);

	want(NULL);
	assert_int_equal(gpu_any_check(&host, &options), -EBUSY);
	assert_int_equal(err_kind(), ERR_DEVICE);
	assert_string_equal(err_text(), "--gpu any: no GPU can be had: " GPU
					": in use by tinyvmm, " SECOND ": in use by tinyvmm");
	assert_string_equal(err_hint_text(), "--wait TIME waits for one");
	host.wait_ms = 100;
	assert_int_equal(gpu_any_check(&host, &options), -EBUSY);
	assert_string_equal(err_hint_text(), "a longer --wait may get one");
	assert_gpus("any");
	assert_int_equal(host.count, 0);
	assert_int_equal(host.lease_count, 0);
	other_run_end(first);
	other_run_end(second);
}

static void wait_gets_the_first_that_is_given_back(void **state)
{
	const pid_t first = start_other_run(GPU, OTHER_RUN_FOREVER);
	const pid_t second = start_other_run(SECOND, 1000);

	want(NULL);
	host.wait_ms = OTHER_RUN_FOREVER;
	assert_int_equal(gpu_any_check(&host, &options), 0);
	assert_gpus(SECOND);
	assert_messages("waiting for a GPU: --gpu any: no GPU can be had: " GPU
			": in use by tinyvmm, " SECOND ": in use by tinyvmm\n"
			"--gpu any: " SECOND "\n");
	other_run_end(first);
	other_run_end(second);
}

static void what_never_can_be_had_is_not_waited_for(void **state)
{
	fake_sysfs_unlink(&fs, "dev/kvm");
	want(NULL);
	host.wait_ms = OTHER_RUN_FOREVER;
	assert_int_equal(gpu_any_check(&host, &options), -EBUSY);
	assert_string_equal(err_text(), "--gpu any: no GPU can be had: " GPU ": no /dev/kvm, " SECOND
					": no /dev/kvm");
	/* Nor for a third of two. */
	fake_sysfs_file(&fs, "dev/kvm", "%s", "");
	want(NULL);
	want(NULL);
	assert_int_equal(gpu_any_check(&host, &options), -EBUSY);
	assert_string_equal(err_text(),
			    "--gpu any: only 2 of 3 GPUs can be had: there are no more");
	assert_messages("");
}

static void signal_ends_the_wait(void **state)
{
	const pid_t pid = start_other_run(GPU, OTHER_RUN_FOREVER);
	sigset_t set, old;
	CLEANUP(closep) int fd = -1;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, &old);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	raise(SIGTERM);
	want(NULL);
	want(NULL);
	host.wait_ms = OTHER_RUN_FOREVER;
	host.signal_fd = fd;
	assert_int_equal(gpu_any_check(&host, &options), -EINTR);
	assert_int_equal(sys_signal_read(fd), SIGTERM);
	sigprocmask(SIG_SETMASK, &old, NULL);
	other_run_end(pid);
}

static void named_one_in_use_is_waited_for_with_the_rest(void **state)
{
	const pid_t pid = start_other_run(GPU, 700);

	want(GPU);
	want(NULL);
	host.wait_ms = OTHER_RUN_FOREVER;
	assert_int_equal(gpu_any_check(&host, &options), 0);
	assert_gpus(GPU " " SECOND);
	other_run_end(pid);
}

static void host_without_a_gpu_says_so(void **state)
{
	fake_sysfs_fini(&fs);
	fake_sysfs_init(&fs);
	init_host(&host);
	want(NULL);
	assert_int_equal(gpu_any_check(&host, &options), -ENODEV);
	assert_string_equal(err_text(), "--gpu any: there is no GPU here");
}

/* Of three that begin at once each gets one, and the third is told who has the two. */
static void runs_at_once_get_different_ones(void **state)
{
	int gate[2], result[2];
	char got[3] = "";
	pid_t pids[3];

	assert_int_equal(pipe(gate), 0);
	assert_int_equal(pipe(result), 0);
	for (unsigned i = 0; i < 3; i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] == 0) {
			struct vfio_host mine;
			char byte = '-';

			close(gate[1]);
			init_host(&mine);
			want(NULL);
			if (read(gate[0], &byte, 1) == 0 && gpu_any_check(&mine, &options) == 0)
				byte = options_gpu_name(&options.gpus[0]).s[6];
			if (write(result[1], &byte, 1) == 1)
				usleep(OTHER_RUN_FOREVER * 1000);
			_exit(0);
		}
	}
	close(gate[0]);
	close(gate[1]);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(read(result[0], got + i, 1), 1);
	for (unsigned i = 0; i < 3; i++)
		other_run_end(pids[i]);
	/* Who gets none says so last: it looks again for a moment. */
	assert_true(memcmp(got, "12", 2) == 0 || memcmp(got, "21", 2) == 0);
	assert_true(got[2] == '-' || got[2] == '\0');
	close(result[0]);
	close(result[1]);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup_two, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(first_that_is_ready_is_taken),
		T(several_are_different_ones),
		T(named_one_is_not_any),
		T(functions_of_its_card_come_along),
		T(boot_display_is_left_to_the_host),
		T(second_run_gets_the_second),
		T(each_that_is_refused_is_named),
		T(wait_gets_the_first_that_is_given_back),
		T(what_never_can_be_had_is_not_waited_for),
		T(signal_ends_the_wait),
		T(named_one_in_use_is_waited_for_with_the_rest),
		T(host_without_a_gpu_says_so),
		T(runs_at_once_get_different_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
