/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands have in common, and whom bind gives devices to. */
#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>

#include "cli/commands.h"
#include "cmocka_all.h"
#include "core/err.h"
#include "core/sys.h"
#include "options/options.h"
#include "vfio/host.h"

static unsigned recoveries;
static bool safe; /* of the last recovery: no signal could have ended it, and children are told */
static uid_t owner;

int __wrap_vfio_host_recover(const char *root, unsigned *ret_count);
int __wrap_vfio_host_check(struct vfio_host *host, const struct pci_addr *addrs, unsigned count);
int __wrap_vfio_host_bind(struct vfio_host *host, const uid_t *uid);
struct passwd *__wrap_getpwnam(const char *name);

/* Of the program, which is not linked. */
int command_failed(void)
{
	return err_kind();
}

int __wrap_vfio_host_recover(const char *root, unsigned *ret_count)
{
	static const int dangerous[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGTTOU };
	struct sigaction old;
	sigset_t mask;

	sigprocmask(SIG_SETMASK, NULL, &mask);
	sigaction(SIGCHLD, NULL, &old);
	safe = old.sa_handler == SIG_DFL && !(old.sa_flags & SA_NOCLDWAIT);
	for (unsigned i = 0; i < ARRAY_SIZE(dangerous); i++) {
		sigaction(dangerous[i], NULL, &old);
		safe &= old.sa_handler == SIG_IGN || sigismember(&mask, dangerous[i]) == 1;
	}
	recoveries++;
	*ret_count = 0;
	return 0;
}

int __wrap_vfio_host_check(struct vfio_host *host, const struct pci_addr *addrs, unsigned count)
{
	return 0;
}

int __wrap_vfio_host_bind(struct vfio_host *host, const uid_t *uid)
{
	assert_non_null(uid);
	owner = *uid;
	return 0;
}

/* As that of glibc where no file or service knows the user. */
struct passwd *__wrap_getpwnam(const char *name)
{
	static struct passwd joe = { .pw_name = "joe", .pw_uid = 1234 };

	if (strcmp(name, "joe") == 0)
		return &joe;
	errno = ENOENT;
	return NULL;
}

static int setup(void **state)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGCHLD, SIG_IGN);
	recoveries = 0;
	safe = false;
	owner = 0;
	err_clear();
	return 0;
}

static void recovery_is_not_ended_half_way_and_hears_of_its_children(void **state)
{
	command_recover();
	assert_int_equal(recoveries, 1);
	assert_true(safe);
}

static void after_recovery_signals_end_the_command_as_before(void **state)
{
	struct sigaction old;
	sigset_t mask;

	command_recover();
	sigprocmask(SIG_SETMASK, NULL, &mask);
	assert_int_equal(sigismember(&mask, SIGINT), 0);
	assert_int_equal(sigismember(&mask, SIGPIPE), 0);
	sigaction(SIGPIPE, NULL, &old);
	assert_true(old.sa_handler == SIG_DFL);
}

static void open_signals_stay_open_after_a_recovery(void **state)
{
	CLEANUP(closep) int fd = -1;
	sigset_t mask;

	assert_int_equal(command_open_signals(&fd), 0);
	command_recover();
	assert_true(safe);
	sigprocmask(SIG_SETMASK, NULL, &mask);
	assert_int_equal(sigismember(&mask, SIGINT), 1);
}

static void signal_that_was_ignored_stays_ignored(void **state)
{
	CLEANUP(closep) int fd = -1;

	signal(SIGHUP, SIG_IGN);
	assert_int_equal(command_open_signals(&fd), 0);
	raise(SIGHUP);
	assert_false(sys_signal_waits(fd));
	assert_int_equal(sys_signal_read(fd), 0);
	raise(SIGHUP);
	raise(SIGTERM);
	assert_true(sys_signal_waits(fd));
	assert_int_equal(sys_signal_read(fd), SIGTERM);
	assert_int_equal(sys_signal_read(fd), 0);
	signal(SIGHUP, SIG_DFL);
	raise(SIGHUP);
	assert_int_equal(sys_signal_read(fd), SIGHUP);
}

static int bind_for(const char *user)
{
	struct options *options = calloc(1, sizeof(*options));
	int status;

	assert_non_null(options);
	options->gpu_count = 1;
	assert_true(pci_addr_scan("0000:01:00.0", &options->gpus[0].addr));
	strcpy(options->user, user);
	status = cmd_bind(options);
	free(options);
	return status;
}

static void user_is_a_name_or_a_number(void **state)
{
	assert_int_equal(bind_for("joe"), 0);
	assert_int_equal(owner, 1234);
	assert_int_equal(bind_for("1000"), 0);
	assert_int_equal(owner, 1000);
}

static void user_who_is_neither_is_an_error(void **state)
{
	static const char *const bad[] = { "jim", "1000x", "4294967295", "99999999999999999999" };

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(bind_for(bad[i]), ERR_USAGE);
	assert_int_equal(owner, 0);
}

#define T(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(recovery_is_not_ended_half_way_and_hears_of_its_children),
		T(after_recovery_signals_end_the_command_as_before),
		T(open_signals_stay_open_after_a_recovery),
		T(signal_that_was_ignored_stays_ignored),
		T(user_is_a_name_or_a_number),
		T(user_who_is_neither_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
