/* SPDX-License-Identifier: Apache-2.0 */
/* Which signals end a run, and which shall do nothing; see run_signals.h. Any thread. */
#include "run/run_signals.h"

#include <errno.h>
#include <sys/signalfd.h>
#include <time.h>

#include "core/err.h"

static const int ending[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };

/* Could be sent by accident, or are caused by a limit: errors where they happen and no signals. */
static const int harmless[] = { SIGPIPE, SIGXFSZ,  SIGXCPU,   SIGUSR1, SIGUSR2,
				SIGALRM, SIGWINCH, SIGVTALRM, SIGTTOU };

/* What a write sends to the thread that does it. */
static const int of_writes[] = { SIGPIPE, SIGXFSZ };

static void list_ending(sigset_t *ret_set)
{
	sigemptyset(ret_set);
	for (unsigned i = 0; i < ARRAY_SIZE(ending); i++)
		sigaddset(ret_set, ending[i]);
}

void run_signals_hold(struct run_signals *ret_before)
{
	const struct sigaction wait = { .sa_handler = SIG_DFL };
	sigset_t set;

	list_ending(&set);
	for (unsigned i = 0; i < ARRAY_SIZE(harmless); i++)
		sigaddset(&set, harmless[i]);
	pthread_sigmask(SIG_BLOCK, &set, &ret_before->mask);
	sigaction(SIGCHLD, &wait, &ret_before->child);
}

/* Who had one blocked before may wait for it. */
static void forget(const int signals[], unsigned count, const sigset_t *mask_before)
{
	const struct timespec now = { 0 };
	sigset_t set;

	sigemptyset(&set);
	for (unsigned i = 0; i < count; i++) {
		if (sigismember(mask_before, signals[i]) == 0)
			sigaddset(&set, signals[i]);
	}
	while (sigtimedwait(&set, NULL, &now) > 0)
		;
}

void run_signals_release(const struct run_signals *before)
{
	forget(harmless, ARRAY_SIZE(harmless), &before->mask);
	sigaction(SIGCHLD, &before->child, NULL);
	pthread_sigmask(SIG_SETMASK, &before->mask, NULL);
}

int run_signals_open(struct run_signals *ret_before, int *ret_fd)
{
	struct run_signals before;
	sigset_t set;
	int fd, r;

	run_signals_hold(&before);
	list_ending(&set);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0) {
		r = err_sys(ERR_LIMIT, -errno, "receive signals");
		run_signals_release(&before);
		return r;
	}
	*ret_before = before;
	*ret_fd = fd;
	return 0;
}

void run_quiet_begin(struct run_quiet *quiet)
{
	sigset_t set;

	sigemptyset(&set);
	for (unsigned i = 0; i < ARRAY_SIZE(of_writes); i++)
		sigaddset(&set, of_writes[i]);
	pthread_sigmask(SIG_BLOCK, &set, &quiet->before);
}

void run_quiet_end(const struct run_quiet *quiet)
{
	forget(of_writes, ARRAY_SIZE(of_writes), &quiet->before);
	pthread_sigmask(SIG_SETMASK, &quiet->before, NULL);
}
