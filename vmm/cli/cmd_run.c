/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tinyvmm run`: the library, with the process's signals; in a process of its own if that is
 * wanted. Main thread.
 */
#include "cli/commands.h"
#include "cli/detach.h"
#include "options/options.h"
#include "run/run_status.h"
#include "tinyvmm.h"

/* Of one in the background: whose end somebody waits for. */
struct background {
	struct tinyvmm *vm;
	int done_fd;
};

static void told(void *opaque, enum tinyvmm_event event)
{
	struct background *background = opaque;

	if (event == TINYVMM_EVENT_STARTED)
		detach_done(background->done_fd, tinyvmm_name(background->vm));
}

int cmd_run(const struct options *options, int count, const char *const words[])
{
	struct background background;
	struct tinyvmm *vm;
	int status, r;

	r = options->detach ? detach_start(&background.done_fd, &status) : 0;
	if (r > 0)
		return status;
	if (r < 0 || tinyvmm_open(count, words, &vm) < 0 || tinyvmm_take_signals(vm) < 0) {
		status = command_failed();
		return options->command_argc ? STATUS_NO_RUN : status;
	}
	background.vm = vm;
	if (options->detach)
		tinyvmm_set_events(vm, told, &background);
	/* Not closed: its signals would end a process that is at its end. */
	return tinyvmm_run(vm)->status;
}
