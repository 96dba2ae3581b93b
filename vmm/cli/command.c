/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands that change devices of the host have in common. Main thread. */
#include <errno.h>
#include <signal.h>

#include "cli/commands.h"
#include "core/err.h"
#include "core/sys.h"
#include "run/recover.h"
#include "run/run_signals.h"
#include "run/run_status.h"

static bool signals_open;

int command_open_signals(int *ret_fd)
{
	struct run_signals before;
	int r = run_signals_open(&before, ret_fd);

	signals_open = r == 0;
	return r;
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
	struct run_signals before;

	if (!signals_open)
		run_signals_hold(&before);
	recover_devices();
	if (!signals_open)
		run_signals_release(&before);
}
