/* SPDX-License-Identifier: Apache-2.0 */
/* `tinyvmm run`: the command's side of a run, its signals and what it prints. Main thread. */
#include "cli/commands.h"

#include "cli/timings_out.h"
#include "core/err.h"
#include "run.h"

static void run_failed(struct run *run)
{
	err_restore(&run->failure);
	(void)command_failed();
}

int cmd_run(const struct options *options)
{
	CLEANUP(closep) int signal_fd = -1;
	/* One a process, like the options: it is all zero, and mostly stays so. */
	static struct run run;
	const struct console *console;

	/*
	 * Signals that end a run come through the fd from here on, so that none can end the process
	 * between taking a device and giving it back.
	 */
	if (command_open_signals(&signal_fd) < 0)
		return command_failed();
	run.options = options;
	run.signal_fd = signal_fd;
	run.failed = run_failed;
	if (run_start(&run) == 0)
		run_wait(&run);
	console = run_console(&run);
	if (console)
		console_print_kept(console, stderr, "guest: ");
	run_end(&run);
	timings_out(stderr, options->timings);
	return run.status;
}
