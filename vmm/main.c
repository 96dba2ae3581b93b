/* SPDX-License-Identifier: Apache-2.0 */
/* argv to exit status. */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/table.h"
#include "core/err.h"
#include "core/log.h"
#include "options/options.h"
#include "run/run_record.h"
#include "run/run_status.h"

int command_failed(void)
{
	err_log();
	return err_kind();
}

int main(int argc, char *argv[])
{
	static struct options options;
	int first;

	if (options_parse(argc, argv, &options) < 0) {
		const int status = command_failed();

		if (!options_have_command(argc, argv))
			return status;
		run_record_refuse(argc, argv);
		return STATUS_NO_RUN;
	}
	log_set_level(options.log_level);
	if (options.help) {
		fputs(options_help(&options), stdout);
		return table_flush(stdout) < 0 ? command_failed() : 0;
	}
	if (options.version) {
		puts("tinyvmm " TINYVMM_VERSION);
		return table_flush(stdout) < 0 ? command_failed() : 0;
	}
	switch (options.command) {
	case OPTIONS_BIND:
		return cmd_bind(&options);
	case OPTIONS_RELEASE:
		return cmd_release(&options);
	case OPTIONS_RUN:
		break;
	case OPTIONS_LIST:
		return cmd_list(&options);
	case OPTIONS_DOCTOR:
		return cmd_doctor(&options);
	case OPTIONS_PS:
		return cmd_ps(&options);
	case OPTIONS_STOP:
		return cmd_stop(&options);
	case OPTIONS_CONSOLE:
		return cmd_console(&options);
	case OPTIONS_LOGS:
		return cmd_logs(&options);
	case OPTIONS_CONTROL:
		return cmd_control(&options);
	}
	first = options.command_named ? 2 : 1;
	return cmd_run(&options, argc - first, (const char *const *)argv + first);
}
