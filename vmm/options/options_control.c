/* SPDX-License-Identifier: Apache-2.0 */
/* What guests are called, and what can be asked of those that run. Pure. Main thread. */
#include <errno.h>

#include "control/run_folder.h"
#include "core/err.h"
#include "options/options_defs.h"

/* Of `control`, in docs/control.md. */
static const char *const actions[] = { "status",       "statistics", "events", "pause", "resume",
				       "power-button", "reset",      "stop",   "kill" };
#define ACTIONS_TEXT "status, statistics, events, pause, resume, power-button, reset, stop or kill"

int options_parse_name(struct options *options, const char *value)
{
	if (!run_folder_name_fits(value))
		return err_set(ERR_USAGE, -EINVAL,
			       "--name: '%s' is not a name: up to %u letters, digits, '-', '_' "
			       "and '.', the first of them a letter or a digit",
			       value, RUN_NAME_MAX);
	strcpy(options->name, value);
	return 0;
}

int options_parse_detach(struct options *options, const char *value)
{
	options->detach = true;
	return 0;
}

int options_parse_kill(struct options *options, const char *value)
{
	options->kill = true;
	return 0;
}

int options_parse_follow(struct options *options, const char *value)
{
	options->follow = true;
	return 0;
}

int options_argument_guest(struct options *options, const char *value)
{
	if (options->argument_count == OPTIONS_ARGUMENTS_MAX)
		return err_set(ERR_USAGE, -EINVAL, "at most %u guests can be given",
			       OPTIONS_ARGUMENTS_MAX);
	options->arguments[options->argument_count++] = value;
	return 0;
}

static bool is_action(const char *word)
{
	for (unsigned i = 0; i < ARRAY_SIZE(actions); i++) {
		if (strcmp(word, actions[i]) == 0)
			return true;
	}
	return false;
}

static int check_action(const struct options *options)
{
	int r;

	if (options->argument_count != 2) {
		r = err_set(ERR_USAGE, -EINVAL, "control takes a guest and what to do");
		err_hint("write it as tinyvmm control NAME ACTION");
		return r;
	}
	if (is_action(options->arguments[1]))
		return 0;
	return err_set(ERR_USAGE, -EINVAL, "control: '%s' is not %s", options->arguments[1],
		       ACTIONS_TEXT);
}

int options_check_control(const struct options *options)
{
	int r;

	switch (options->command) {
	case OPTIONS_CONTROL:
		return check_action(options);
	case OPTIONS_STOP:
		if (options->argument_count)
			return 0;
		break;
	case OPTIONS_CONSOLE:
	case OPTIONS_LOGS:
		if (options->argument_count == 1)
			return 0;
		break;
	default:
		return 0;
	}
	r = err_set(ERR_USAGE, -EINVAL,
		    options->argument_count ? "more than one guest is given" : "no guest is given");
	err_hint("tinyvmm ps lists those that run");
	return r;
}
