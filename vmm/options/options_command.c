/* SPDX-License-Identifier: Apache-2.0 */
/* The options of a run of one command, and the command behind "--". Pure. Main thread. */
#include <errno.h>

#include "core/err.h"
#include "options/options_defs.h"
#include "options/options_value.h"

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
	int r = options_value_time("--timeout", value, &options->timeout_ms);

	if (r == 0 && !options->timeout_ms) {
		r = err_set(ERR_USAGE, -EINVAL, "--timeout: '%s' is no time at all", value);
		err_hint("leave it away, or write it as 30s, 5m or 2h");
	}
	return r;
}

static int parse_file(const char *name, const char *value, const char **ret_file)
{
	if (strcmp(value, "-") == 0) {
		err_set(ERR_USAGE, -EINVAL, "--%s: standard output is the command's", name);
		err_hint("give it a file, or a descriptor: --%s /dev/fd/3 3>FILE", name);
		return -EINVAL;
	}
	*ret_file = value;
	return 0;
}

int options_parse_record(struct options *options, const char *value)
{
	return parse_file("json", value, &options->record);
}

int options_parse_junit(struct options *options, const char *value)
{
	return parse_file("junit", value, &options->junit);
}

/* The value of option `name`, if `word` is that; `next` is the word behind it, or NULL. */
static const char *salvage_value(const char *name, const char *word, const char *next)
{
	const size_t len = strlen(name);

	if (strncmp(word, name, len) != 0)
		return NULL;
	if (word[len] == '=')
		return word + len + 1;
	return word[len] || !next || strncmp(next, "--", 2) == 0 ? NULL : next;
}

void options_salvage(int argc, char *const argv[], struct options *options)
{
	int i = 1;

	for (; i < argc && strcmp(argv[i], "--") != 0; i++) {
		const char *next = i + 1 < argc ? argv[i + 1] : NULL;
		const char *record = salvage_value("--json", argv[i], next);
		const char *junit = salvage_value("--junit", argv[i], next);
		const char *share = salvage_value("--rw", argv[i], next);

		options->record = record && strcmp(record, "-") ? record : options->record;
		options->junit = junit && strcmp(junit, "-") ? junit : options->junit;
		if (share && options->share_count < OPTIONS_SHARES_MAX)
			options->shares[options->share_count++] = share;
	}
	if (i < argc) {
		options->command_argv = argv + i + 1;
		options->command_argc = (unsigned)(argc - i - 1);
	}
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

static const char *without_dots(const char *path)
{
	while (strncmp(path, "./", 2) == 0) {
		path += 2;
		path += strspn(path, "/");
	}
	return path;
}

/* One would overwrite the other. */
static bool is_same_file(const char *a, const char *b)
{
	return strcmp(without_dots(a), without_dots(b)) == 0 && strcmp(a, "/dev/null") != 0;
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
	else if (options->record)
		alone = "json";
	else if (options->junit)
		alone = "junit";
	else if (options->command == OPTIONS_RUN && options->user[0])
		alone = "user";
	for (unsigned i = 0; i < options->net_count; i++) {
		if (options->nets[i].address[0])
			alone = "net tap=...,address";
	}
	if (options->record && options->junit && is_same_file(options->record, options->junit))
		return err_set(ERR_USAGE, -EINVAL, "--json and --junit name the same file");
	if (options->command_argc || !alone)
		return 0;
	err_set(ERR_USAGE, -EINVAL, "--%s is given without a command", alone);
	err_hint("it goes with one: tinyvmm run ... -- COMMAND");
	return -EINVAL;
}
