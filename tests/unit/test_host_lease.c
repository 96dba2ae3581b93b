/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for a device that another tinyvmm has, on a fake host. */
#include "host_fixture.h"

#include <errno.h>
#include <sys/wait.h>

#include "core/sys.h"
#include "other_run.h"
#include "vfio/host_lease.h"

static int lease(struct vfio_host *h)
{
	struct pci_addr gpu;

	assert_true(pci_addr_scan(GPU, &gpu));
	return vfio_host_check(h, &gpu, 1);
}

static pid_t start_other_run(unsigned ms, bool brief)
{
	struct vfio_host other;

	init_host(&other);
	other.brief = brief;
	return other_run_start(&other, GPU, ms);
}

static void wait_ends_when_the_other_run_does(void **state)
{
	const pid_t pid = start_other_run(1000, false);
	char text[128];

	host.wait_ms = 60000;
	assert_int_equal(lease(&host), 0);
	/* Told once. */
	snprintf(text, sizeof(text), "waiting for " GPU ", in use by tinyvmm (pid %d)\n", pid);
	assert_messages(text);
	other_run_end(pid);
}

static void wait_that_was_in_vain_is_refused(void **state)
{
	const pid_t pid = start_other_run(OTHER_RUN_FOREVER, false);
	char text[128];

	host.wait_ms = 600;
	assert_int_equal(lease(&host), -EBUSY);
	snprintf(text, sizeof(text), GPU " is in use by another tinyvmm (pid %d)", pid);
	assert_string_equal(err_text(), text);
	assert_int_equal(host.lease_count, 0);
	assert_int_equal(host.count, 0);
	other_run_end(pid);
}

static void signal_ends_the_wait(void **state)
{
	const pid_t pid = start_other_run(OTHER_RUN_FOREVER, false);

	host.wait_ms = 60000;
	host.signal_fd = sys_eventfd();
	sys_eventfd_signal(host.signal_fd);
	assert_int_equal(lease(&host), -EINTR);
	assert_int_equal(host.lease_count, 0);
	close(host.signal_fd);
	other_run_end(pid);
}

static void who_has_it_only_briefly_is_waited_for_by_everybody(void **state)
{
	const pid_t pid = start_other_run(1000, true);

	assert_int_equal(lease(&host), 0);
	other_run_end(pid);
}

static void who_tries_for_a_moment_keeps_nobody_from_it(void **state)
{
	/* Without a word in the file: so it is before a process could write it. */
	const pid_t pid = start_other_run(100, false);

	assert_int_equal(lease(&host), 0);
	assert_messages("");
	other_run_end(pid);
}

static void many_takers_and_recoveries_get_their_turn(void **state)
{
	enum { TAKERS = 8 };
	pid_t pids[TAKERS];
	unsigned count;

	for (unsigned i = 0; i < TAKERS; i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] == 0) {
			struct vfio_host other;

			init_host(&other);
			other.wait_ms = 30000;
			if (lease(&other) < 0)
				_exit(1);
			if (vfio_host_take(&other) < 0)
				_exit(2);
			vfio_host_fini(&other);
			_exit(0);
		}
	}
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(vfio_host_recover(fs.root, &count), 0);
	for (unsigned i = 0; i < TAKERS; i++) {
		int status;

		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	assert_string_equal(fake_sysfs_driver(&fs, GPU), "nvidia");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(wait_ends_when_the_other_run_does),
		TEST(wait_that_was_in_vain_is_refused),
		TEST(signal_ends_the_wait),
		TEST(who_has_it_only_briefly_is_waited_for_by_everybody),
		TEST(who_tries_for_a_moment_keeps_nobody_from_it),
		TEST(many_takers_and_recoveries_get_their_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
