/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands that change devices of the host have in common. Main thread. */
#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>

#include "cli/commands.h"
#include "core/err.h"
#include "core/log.h"
#include "vfio/host.h"

/* Could be sent by accident, or are caused by a limit: errors where they happen and no signals. */
static const int harmless[] = { SIGPIPE, SIGXFSZ, SIGXCPU,   SIGUSR1,
				SIGUSR2, SIGALRM, SIGVTALRM, SIGTTOU };

/* One that was ignored when we were started (nohup, a shell's background job) stays ignored. */
static void list_ending(sigset_t *ret_set)
{
	static const int ending[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };

	sigemptyset(ret_set);
	for (unsigned i = 0; i < ARRAY_SIZE(ending); i++) {
		struct sigaction old;

		if (sigaction(ending[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaddset(ret_set, ending[i]);
	}
}

/* Whatever our parent did: ignored, it would take the exit status of our children from us. */
static void hear_of_children(void)
{
	signal(SIGCHLD, SIG_DFL);
}

int command_open_signals(int *ret_fd)
{
	sigset_t set;
	int fd;

	list_ending(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (unsigned i = 0; i < ARRAY_SIZE(harmless); i++)
		signal(harmless[i], SIG_IGN);
	hear_of_children();
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return err_sys(ERR_LIMIT, -errno, "receive signals");
	*ret_fd = fd;
	return 0;
}

int command_ended(int r, int signal_fd)
{
	const int status = command_failed();
	struct signalfd_siginfo info;

	/* Not a failure: somebody ended it. */
	if (r == -EINTR && read(signal_fd, &info, sizeof(info)) == sizeof(info))
		return STATUS_SIGNAL + (int)info.ssi_signo;
	return status;
}

/* Not every command opens signals: for this long they wait, and end the command after it. */
void command_recover(void)
{
	unsigned count = 0;
	sigset_t set, old;

	list_ending(&set);
	for (unsigned i = 0; i < ARRAY_SIZE(harmless); i++)
		sigaddset(&set, harmless[i]);
	sigprocmask(SIG_BLOCK, &set, &old);
	hear_of_children();
	(void)vfio_host_recover("", &count);
	if (count)
		log_info("gave back %u device%s that a killed run had left behind", count,
			 count == 1 ? "" : "s");
	sigprocmask(SIG_SETMASK, &old, NULL);
}
