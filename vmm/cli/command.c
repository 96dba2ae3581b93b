/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands that change devices of the host have in common. Main thread. */
#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>

#include "cli/commands.h"
#include "core/err.h"
#include "core/log.h"
#include "vfio/host.h"

/*
 * One that was ignored when we were started (nohup, a shell's background job) stays ignored. All
 * others that would end the process, and could be sent by accident or caused by a limit, are errors
 * where they happen and no signals. SIGCHLD is not ignored, whatever our parent did: it would take
 * the exit status of our children from us.
 */
int command_open_signals(int *ret_fd)
{
	static const int ending[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	static const int harmless[] = { SIGPIPE, SIGXFSZ, SIGXCPU,   SIGUSR1,
					SIGUSR2, SIGALRM, SIGVTALRM, SIGTTOU };
	sigset_t set;
	int fd;

	sigemptyset(&set);
	for (unsigned i = 0; i < ARRAY_SIZE(ending); i++) {
		struct sigaction old;

		if (sigaction(ending[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaddset(&set, ending[i]);
	}
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (unsigned i = 0; i < ARRAY_SIZE(harmless); i++)
		signal(harmless[i], SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
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

void command_recover(void)
{
	unsigned count = 0;

	(void)vfio_host_recover("", &count);
	if (count)
		log_info("gave back %u device(s) that a killed run had left behind", count);
}
