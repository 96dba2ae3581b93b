/* SPDX-License-Identifier: Apache-2.0 */
/* `tinyvmm run`: the library, with the process's signals. Main thread. */
#include "cli/commands.h"
#include "tinyvmm.h"

int cmd_run(int count, const char *const words[])
{
	struct tinyvmm *vm;

	if (tinyvmm_open(count, words, &vm) < 0 || tinyvmm_take_signals(vm) < 0)
		return command_failed();
	/* Not closed: its signals would end a process that is at its end. */
	return tinyvmm_run(vm)->status;
}
