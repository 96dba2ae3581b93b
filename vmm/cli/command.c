/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands that change devices of the host have in common. Main thread. */
#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>

#include "cli/commands.h"
#include "core/err.h"
#include "core/sys.h"
#include "recover.h"
#include "run_status.h"

/* What ends a command. */
static const int ending[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };

/* Could be sent by accident, or are caused by a limit: errors where they happen and no signals. */
static const int harmless[] = { SIGPIPE, SIGXFSZ,  SIGXCPU,   SIGUSR1, SIGUSR2,
				SIGALRM, SIGWINCH, SIGVTALRM, SIGTTOU };

static bool signals_open;

static void list_ending(sigset_t *ret_set)
{
	sigemptyset(ret_set);
	for (unsigned i = 0; i < ARRAY_SIZE(ending); i++)
		sigaddset(ret_set, ending[i]);
}

/*
 * From here on none of them does anything by itself. SIGCHLD does, whatever our parent did:
 * ignored, it would take the exit status of our children from us.
 */
static void hold_signals(sigset_t *ret_old)
{
	sigset_t set;

	list_ending(&set);
	for (unsigned i = 0; i < ARRAY_SIZE(harmless); i++)
		sigaddset(&set, harmless[i]);
	sigprocmask(SIG_BLOCK, &set, ret_old);
	signal(SIGCHLD, SIG_DFL);
}

int command_open_signals(int *ret_fd)
{
	sigset_t set;
	int fd;

	hold_signals(NULL);
	list_ending(&set);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return err_sys(ERR_LIMIT, -errno, "receive signals");
	signals_open = true;
	*ret_fd = fd;
	return 0;
}

int command_ended(int r, int signal_fd)
{
	const int status = command_failed();
	/* Not a failure: somebody ended it. */
	const int sig = r == -EINTR ? sys_signal_read(signal_fd) : 0;

	return sig ? STATUS_SIGNAL + sig : status;
}

/* Not every command opens signals: for this long they wait, and end the command after it. */
void command_recover(void)
{
	sigset_t old;

	if (!signals_open)
		hold_signals(&old);
	recover_devices();
	if (!signals_open)
		sigprocmask(SIG_SETMASK, &old, NULL);
}
