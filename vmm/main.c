/* SPDX-License-Identifier: Apache-2.0 */
/* argv to exit status. */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/options.h"
#include "core/err.h"
#include "core/log.h"
#include "core/timings.h"
#include "run_status.h"

int command_failed(void)
{
	if (err_hint_text()[0])
		log_error("%s; %s", err_text(), err_hint_text());
	else
		log_error("%s", err_text());
	return err_kind();
}

int main(int argc, char *argv[])
{
	static struct options options;

	timings_start();
	if (options_parse(argc, argv, &options) < 0) {
		const int status = command_failed();

		return options_have_command(argc, argv) ? STATUS_NO_RUN : status;
	}
	log_set_level(options.log_level);
	if (options.help) {
		fputs(options_help(&options), stdout);
		return 0;
	}
	if (options.version) {
		puts("tinyvmm " TINYVMM_VERSION);
		return 0;
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
	}
	return cmd_run(&options);
}
