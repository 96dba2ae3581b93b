/* SPDX-License-Identifier: Apache-2.0 */
/* Which signals end a run, and which shall do nothing; see run_signals.h. Any thread. */
#include "run_signals.h"

#include <errno.h>
#include <sys/signalfd.h>
#include <time.h>

#include "core/err.h"

static const int ending[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };

/* Could be sent by accident, or are caused by a limit: errors where they happen and no signals. */
static const int harmless[] = { SIGPIPE, SIGXFSZ,  SIGXCPU,   SIGUSR1, SIGUSR2,
				SIGALRM, SIGWINCH, SIGVTALRM, SIGTTOU };

static void list_ending(sigset_t *ret_set)
{
	sigemptyset(ret_set);
	for (unsigned i = 0; i < ARRAY_SIZE(ending); i++)
		sigaddset(ret_set, ending[i]);
}

void run_signals_hold(sigset_t *ret_old)
{
	sigset_t set;

	list_ending(&set);
	for (unsigned i = 0; i < ARRAY_SIZE(harmless); i++)
		sigaddset(&set, harmless[i]);
	pthread_sigmask(SIG_BLOCK, &set, ret_old);
	signal(SIGCHLD, SIG_DFL);
}

int run_signals_open(sigset_t *ret_old, int *ret_fd)
{
	sigset_t set;
	int fd;

	run_signals_hold(ret_old);
	list_ending(&set);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return err_sys(ERR_LIMIT, -errno, "receive signals");
	*ret_fd = fd;
	return 0;
}

void run_quiet_begin(struct run_quiet *quiet)
{
	sigemptyset(&quiet->set);
	sigaddset(&quiet->set, SIGPIPE);
	sigaddset(&quiet->set, SIGXFSZ);
	pthread_sigmask(SIG_BLOCK, &quiet->set, &quiet->before);
}

void run_quiet_end(const struct run_quiet *quiet)
{
	const struct timespec now = { 0 };
	sigset_t ours = quiet->set;

	/* Who had them blocked may wait for them. */
	for (int sig = 1; sig < SIGRTMIN; sig++) {
		if (sigismember(&quiet->before, sig) == 1)
			sigdelset(&ours, sig);
	}
	while (sigtimedwait(&ours, NULL, &now) > 0)
		;
	pthread_sigmask(SIG_SETMASK, &quiet->before, NULL);
}
