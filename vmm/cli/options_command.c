/* SPDX-License-Identifier: Apache-2.0 */
/* The options of a run of one command, and the command behind "--". Pure. Main thread. */
#include <errno.h>

#include "cli/options_defs.h"
#include "cli/options_value.h"
#include "core/err.h"

int options_parse_env(struct options *options, const char *value)
{
	if (value[0] == '=')
		return err_set(ERR_USAGE, -EINVAL, "--env: '%s' has no name", value);
	if (options->env_count == OPTIONS_ENV_MAX)
		return err_set(ERR_USAGE, -EINVAL, "--env: at most %u can be given",
			       OPTIONS_ENV_MAX);
	options->env[options->env_count++] = value;
	return 0;
}

int options_parse_rw(struct options *options, const char *value)
{
	if (options->share_count == OPTIONS_SHARES_MAX)
		return err_set(ERR_USAGE, -EINVAL, "--rw: at most %u can be given",
			       OPTIONS_SHARES_MAX);
	options->shares[options->share_count++] = value;
	return 0;
}

int options_parse_root(struct options *options, const char *value)
{
	options->root = value;
	return 0;
}

int options_parse_timeout(struct options *options, const char *value)
{
	return options_value_time("--timeout", value, &options->timeout_ms);
}

int options_take_command(struct options *options, char *const argv[], unsigned count)
{
	/* A variable of a script, mostly: an ordinary guest would not end. */
	if (!count) {
		err_set(ERR_USAGE, -EINVAL, "no command is given behind --");
		err_hint("write it as tinyvmm run ... -- COMMAND");
		return -EINVAL;
	}
	options->command_argv = argv;
	options->command_argc = count;
	return 0;
}

int options_check_command(const struct options *options)
{
	const char *alone = NULL;

	if (options->env_count)
		alone = "env";
	else if (options->share_count)
		alone = "rw";
	else if (options->root)
		alone = "root";
	else if (options->command == OPTIONS_RUN && options->timeout_ms)
		alone = "timeout";
	else if (options->command == OPTIONS_RUN && options->user[0])
		alone = "user";
	for (unsigned i = 0; i < options->net_count; i++) {
		if (options->nets[i].address[0])
			alone = "net tap=...,address";
	}
	if (options->command_argc || !alone)
		return 0;
	err_set(ERR_USAGE, -EINVAL, "--%s is given without a command", alone);
	err_hint("it goes with one: tinyvmm run ... -- COMMAND");
	return -EINVAL;
}
