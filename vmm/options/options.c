/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parses the command line by the tables of options_defs.c; see options.h. Long options in GNU
 * style, an option's value in the next argument or behind "=". Main thread.
 */
#include "options/options.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/text.h"
#include "options/options_defs.h"
#include "options/options_help.h"

/* No option is as long. */
#define OPTION_NAME_MAX 32

/* Each option is one bit of what was seen. */
#define DEFS_MAX 64

/* The option that was probably meant by `name` (without dashes), or NULL. */
static const struct option_def *nearest_option(const char *name)
{
	const struct option_def *best = NULL;
	size_t best_distance = SIZE_MAX;

	for (unsigned i = 0; i < options_def_count; i++) {
		const size_t d = text_nearness(name, options_defs[i].name);

		if (d < best_distance) {
			best = &options_defs[i];
			best_distance = d;
		}
	}
	return best;
}

static const struct command_def *nearest_command(const char *name)
{
	const struct command_def *best = NULL;
	size_t best_distance = SIZE_MAX;

	for (unsigned i = 0; i < options_command_count; i++) {
		const size_t d = text_nearness(name, options_commands[i].name);

		if (d < best_distance) {
			best = &options_commands[i];
			best_distance = d;
		}
	}
	return best;
}

static int unknown_option(const char *arg)
{
	const int len = (int)strcspn(arg, "=");
	char name[OPTION_NAME_MAX + 3] = ""; /* with its dashes */
	const struct option_def *near;
	int r = err_set(ERR_USAGE, -EINVAL, "unknown option '%.*s'", len, arg);

	if ((size_t)len < sizeof(name))
		memcpy(name, arg, (size_t)len);
	near = nearest_option(name + strspn(name, "-"));
	if (near)
		err_hint("did you mean --%s?", near->name);
	else
		err_hint("tinyvmm run --help lists the options");
	return r;
}

static const struct command_def *find_command(const char *name)
{
	for (unsigned i = 0; i < options_command_count; i++) {
		if (strcmp(name, options_commands[i].name) == 0)
			return &options_commands[i];
	}
	return NULL;
}

/* An argument that belongs to no option; `first`: it stands where a command might be meant. */
static int stray_argument(const char *arg, const struct command_def *command, bool first)
{
	const struct command_def *near = first ? nearest_command(arg) : NULL;
	struct pci_addr addr;
	int r = err_set(ERR_USAGE, -EINVAL, "'%s' belongs to no option", arg);

	if (command->command != OPTIONS_RUN)
		err_hint("tinyvmm %s --help lists what it takes", command->name);
	else if (pci_addr_scan(arg, &addr))
		err_hint("a device is given as --gpu %s", arg);
	else if (find_command(arg))
		err_hint("the command comes first: tinyvmm %s ...", arg);
	else if (strcmp(arg, "help") == 0)
		err_hint("that is tinyvmm --help");
	else if (near)
		err_hint("did you mean the command %s?", near->name);
	else
		err_hint("a disk is given as --disk FILE, and a command behind --: "
			 "tinyvmm run ... -- %s; tinyvmm run --help lists the options",
			 arg);
	return r;
}

static bool is_named(const struct option_def *def, const char *arg, size_t len)
{
	if (def->letter && arg[0] == '-' && arg[1] == def->letter && !arg[2])
		return true;
	return strncmp(arg, "--", 2) == 0 && len == strlen(def->name) + 2 &&
	       strncmp(arg + 2, def->name, len - 2) == 0;
}

/*
 * The option that `arg` names, and the text behind its "=" if there is one. Of two with one name
 * the one that the command has.
 */
static const struct option_def *find_option(const char *arg, const struct command_def *command,
					    const char **ret_value)
{
	const size_t len = strcspn(arg, "=");
	const struct option_def *found = NULL;

	*ret_value = arg[len] ? arg + len + 1 : NULL;
	for (unsigned i = 0; i < options_def_count; i++) {
		const struct option_def *def = &options_defs[i];

		if (is_named(def, arg, len) && (!found || def->commands & FOR(command->command)))
			found = def;
	}
	return found;
}

/* It may be given without, so what follows it is none. */
static bool may_have_value(const struct option_def *def)
{
	return strncmp(def->value, "[=", 2) == 0;
}

/* Checks what is common to all values, then lets the option take it. */
static int apply(struct options *options, const struct option_def *def,
		 const struct command_def *command, const char *value, bool seen)
{
	if (!(def->commands & FOR(command->command))) {
		err_set(ERR_USAGE, -EINVAL, "--%s does not belong to the command %s", def->name,
			command->name);
		if (command->argument && def->parse == options_parse_gpu)
			err_hint("give the address without --gpu");
		return -EINVAL;
	}
	if (!def->value) {
		if (value)
			return err_set(ERR_USAGE, -EINVAL, "--%s takes no value", def->name);
	} else if (value ? !*value : !may_have_value(def)) {
		int r = err_set(ERR_USAGE, -EINVAL, "--%s needs a value", def->name);

		err_hint("write it as --%s%s%s", def->name, may_have_value(def) ? "" : " ",
			 def->value);
		return r;
	} else if (value && strlen(value) >= PATH_MAX) {
		return err_set(ERR_USAGE, -EINVAL, "--%s: the value is longer than %d characters",
			       def->name, PATH_MAX - 1);
	}
	if (seen && !def->repeatable)
		return err_set(ERR_USAGE, -EINVAL, "--%s is given twice", def->name);
	return def->parse(options, value);
}

/* What follows --help: a page of run's, or the command that is asked about if none was named. */
static int parse_help_page(struct options *options, const char *arg)
{
	const struct command_def *command = options->command_named ? NULL : find_command(arg);
	int r;

	if (command) {
		options->command = command->command;
		options->command_named = true;
		return 0;
	}
	if (options->command == OPTIONS_RUN && options_help_is_page(arg)) {
		snprintf(options->help_page, sizeof(options->help_page), "%s", arg);
		options->command_named = true;
		return 0;
	}
	r = err_set(ERR_USAGE, -EINVAL, "--help: there is no page '%s'", arg);
	err_hint("tinyvmm run --help names the pages");
	return r;
}

static int parse(struct options *options, int argc, char *const argv[])
{
	const struct command_def *command = &options_commands[0];
	const struct command_def *named = argc > 1 ? find_command(argv[1]) : NULL;
	bool only_arguments = false, first = !named;
	uint64_t seen = 0;
	int r, i = 1;

	if (named) {
		command = named;
		options->command_named = true;
		i = 2;
	}
	options->command = command->command;
	if (i >= argc && !command->may_be_bare) {
		r = err_set(ERR_USAGE, -EINVAL, "nothing is given to %s", command->name);
		if (command->command == OPTIONS_RUN)
			err_hint("tinyvmm --help has examples");
		else
			err_hint("tinyvmm %s --help lists what it takes", command->name);
		return r;
	}
	for (; i < argc && !options->help && !options->version; i++) {
		const struct option_def *def;
		const char *value;
		uint64_t bit;

		if (strcmp(argv[i], "--") == 0 && !only_arguments) {
			if (command->command == OPTIONS_RUN) {
				return options_take_command(options, argv + i + 1,
							    (unsigned)(argc - i - 1));
			}
			only_arguments = true;
			continue;
		}
		if (argv[i][0] != '-' || only_arguments) {
			if (!command->argument)
				return stray_argument(argv[i], command, first);
			r = command->argument(options, argv[i]);
			if (r < 0)
				return r;
			continue;
		}
		def = find_option(argv[i], command, &value);
		if (!def)
			return unknown_option(argv[i]);
		/* What looks like the next option is no value: --disk=--odd-name says it is. */
		if (def->value && !value && !may_have_value(def) && i + 1 < argc &&
		    strncmp(argv[i + 1], "--", 2) != 0)
			value = argv[++i];
		bit = UINT64_C(1) << (def - options_defs);
		r = apply(options, def, command, value, seen & bit);
		if (r < 0)
			return r;
		seen |= bit;
		if (options->help && i + 1 < argc && argv[i + 1][0] != '-') {
			r = parse_help_page(options, argv[i + 1]);
			if (r < 0)
				return r;
		}
		/* "tinyvmm -v list" */
		first &= def->commands == FOR_ALL;
	}
	return 0;
}

/* Only Linux 6.18 and later take one with VFIO_DEVICE_BIND_IOMMUFD. */
static int check_vf_tokens(const struct options *options)
{
	for (unsigned i = 0; i < options->gpu_count && options->iommu == VFIO_IOMMU_IOMMUFD; i++) {
		if (!options->gpus[i].vf_token[0])
			continue;
		err_set(ERR_USAGE, -EINVAL, "--gpu %s: a VF token cannot be given through iommufd",
			options_gpu_name(&options->gpus[i]).s);
		err_hint("leave --iommu away, or give --iommu type1");
		return -EINVAL;
	}
	return 0;
}

/* Firmware alone is something to run, for those who develop it. */
static int check_something_to_run(const struct options *options)
{
	if (options->command != OPTIONS_RUN || options->disk_count || options->gpu_count ||
	    options->kernel[0] || options->firmware_code[0] || options->command_argc)
		return 0;
	err_set(ERR_USAGE, -EINVAL,
		"nothing is given to run: no --disk, --kernel, --gpu or command");
	err_hint("tinyvmm --help has examples");
	return -EINVAL;
}

bool options_have_command(int argc, char *const argv[])
{
	const struct command_def *named = argc > 1 ? find_command(argv[1]) : NULL;

	if (named && named->command != OPTIONS_RUN)
		return false;
	for (int i = 1; i < argc; i++) {
		/* It is no option's value either. */
		if (strcmp(argv[i], "--") == 0)
			return true;
	}
	return false;
}

int options_parse(int argc, char *const argv[], struct options *options)
{
	int r;

	assert(options_def_count <= DEFS_MAX);
	options->cpus = OPTIONS_CPUS_DEFAULT;
	options->topology = (struct arch_topology){ 1, OPTIONS_CPUS_DEFAULT, 1 };
	options->memory = OPTIONS_MEMORY_DEFAULT;
	options->log_level = LOG_INFO;
	r = parse(options, argc, argv);
	if (r == 0 && !options->help && !options->version)
		r = check_vf_tokens(options);
	if (r == 0 && !options->help && !options->version)
		r = options_check_devices(options);
	if (r == 0 && !options->help && !options->version)
		r = options_check_kernel(options);
	if (r == 0 && !options->help && !options->version)
		r = options_check_command(options);
	if (r == 0 && !options->help && !options->version)
		r = options_check_seed(options);
	if (r == 0 && !options->help && !options->version)
		r = options_check_control(options);
	if (r == 0 && !options->help && !options->version)
		r = check_something_to_run(options);
	if (r == 0 && !options->help && !options->version)
		options_default_net(options);
	return r;
}
