/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parses the command line; see options.h. Long options in GNU style, each a line of a table with
 * the function that takes its value. Main thread.
 */
#include "options.h"

#include <errno.h>
#include <stdlib.h>

#include "core/err.h"
#include "options_value.h"

struct option_def {
	const char *name;
	char letter;       /* its short form, or 0 */
	const char *value; /* as the help shows it; NULL: takes none */
	bool repeatable;   /* flags may be repeated, too: nothing can contradict */
	int (*parse)(struct options *options, const char *value);
};

static int parse_firmware_log(struct options *options, const char *value)
{
	strcpy(options->firmware_log, value);
	return 0;
}

static int set_log_level(struct options *options, enum log_level level)
{
	if (options->log_level != LOG_INFO && options->log_level != level)
		return err_set(ERR_USAGE, -EINVAL, "--verbose and --quiet exclude each other");
	options->log_level = level;
	return 0;
}

static int parse_verbose(struct options *options, const char *value)
{
	return set_log_level(options, LOG_DEBUG);
}

static int parse_quiet(struct options *options, const char *value)
{
	return set_log_level(options, LOG_WARN);
}

static int parse_help(struct options *options, const char *value)
{
	options->command = OPTIONS_HELP;
	return 0;
}

static int parse_version(struct options *options, const char *value)
{
	options->command = OPTIONS_VERSION;
	return 0;
}

static const struct option_def defs[] = {
	{ "gpu", 0, "BDF[,rom=FILE|rom=off]", true, options_value_gpu },
	{ "disk", 0, "FILE[,ro][,serial=TEXT]", true, options_value_disk },
	{ "cpus", 0, "N", false, options_value_cpus },
	{ "memory", 0, "SIZE", false, options_value_memory },
	{ "firmware", 0, "CODE[,vars=FILE]", false, options_value_firmware },
	{ "firmware-log", 0, "FILE|-", false, parse_firmware_log },
	{ "verbose", 'v', NULL, true, parse_verbose },
	{ "quiet", 'q', NULL, true, parse_quiet },
	{ "help", 'h', NULL, true, parse_help },
	{ "version", 'V', NULL, true, parse_version },
};

/* How many letters must be added, dropped or changed to make `a` of `b` (Levenshtein). */
#define DISTANCE_TEXT_MAX 32
static size_t distance(const char *a, const char *b)
{
	const size_t alen = strlen(a), blen = strlen(b);
	size_t row[DISTANCE_TEXT_MAX + 1];

	if (alen > DISTANCE_TEXT_MAX || blen > DISTANCE_TEXT_MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= blen; j++)
		row[j] = j;
	for (size_t i = 1; i <= alen; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= blen; j++) {
			const size_t change = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			row[j] = MIN(change, MIN(row[j], row[j - 1]) + 1);
		}
	}
	return row[blen];
}

/* The option that was probably meant by `name` (without dashes), or NULL. */
#define DISTANCE_NEAR 2
static const struct option_def *nearest(const char *name)
{
	const struct option_def *best = NULL;
	size_t best_distance = MIN(strlen(name), DISTANCE_NEAR + 1);

	for (size_t i = 0; i < ARRAY_SIZE(defs); i++) {
		const size_t d = distance(name, defs[i].name);

		if (strlen(name) > 1 && strncmp(name, defs[i].name, strlen(name)) == 0)
			return &defs[i];
		if (d < best_distance) {
			best = &defs[i];
			best_distance = d;
		}
	}
	return best;
}

static int unknown_option(const char *arg)
{
	const int len = (int)strcspn(arg, "=");
	char name[DISTANCE_TEXT_MAX + 2] = "";
	const struct option_def *near;
	int r = err_set(ERR_USAGE, -EINVAL, "unknown option '%.*s'", len, arg);

	if ((size_t)len < sizeof(name))
		memcpy(name, arg, (size_t)len);
	near = nearest(name + strspn(name, "-"));
	if (near)
		err_hint("did you mean --%s?", near->name);
	else
		err_hint("tinyvmm --help lists the options");
	return r;
}

/* An argument that belongs to no option. */
static int stray_argument(const char *arg)
{
	struct pci_addr addr;
	int r = err_set(ERR_USAGE, -EINVAL, "'%s' belongs to no option", arg);

	if (pci_addr_scan(arg, &addr))
		err_hint("a device is given as --gpu %s", arg);
	else
		err_hint("a disk is given as --disk FILE; tinyvmm --help lists the options");
	return r;
}

/* The option that `arg` names, and the text behind its "=" if there is one. */
static const struct option_def *find_option(const char *arg, const char **ret_value)
{
	const size_t len = strcspn(arg, "=");

	*ret_value = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(defs); i++) {
		const struct option_def *def = &defs[i];

		if (def->letter && arg[0] == '-' && arg[1] == def->letter && !arg[2])
			return def;
		if (strncmp(arg, "--", 2) == 0 && len == strlen(def->name) + 2 &&
		    strncmp(arg + 2, def->name, len - 2) == 0) {
			*ret_value = arg[len] ? arg + len + 1 : NULL;
			return def;
		}
	}
	return NULL;
}

/* Checks what is common to all values, then lets the option take it. */
static int apply(struct options *options, const struct option_def *def, const char *value,
		 bool seen)
{
	if (!def->value) {
		if (value)
			return err_set(ERR_USAGE, -EINVAL, "--%s takes no value", def->name);
	} else if (!value || !*value) {
		int r = err_set(ERR_USAGE, -EINVAL, "--%s needs a value", def->name);

		err_hint("write it as --%s %s", def->name, def->value);
		return r;
	} else if (strlen(value) >= PATH_MAX) {
		return err_set(ERR_USAGE, -EINVAL, "--%s: the value is longer than %d characters",
			       def->name, PATH_MAX - 1);
	}
	if (seen && !def->repeatable)
		return err_set(ERR_USAGE, -EINVAL, "--%s is given twice", def->name);
	return def->parse(options, value);
}

static int parse(struct options *options, int argc, char *const argv[])
{
	bool seen[ARRAY_SIZE(defs)] = { 0 };
	int r, i = 1;

	if (i < argc && strcmp(argv[i], "run") == 0)
		i++;
	if (i >= argc) {
		r = err_set(ERR_USAGE, -EINVAL, "nothing is given to run");
		err_hint("tinyvmm --help has examples");
		return r;
	}
	for (; i < argc && options->command == OPTIONS_RUN; i++) {
		const struct option_def *def;
		const char *value;

		/* "--" ends the options, and nothing can follow them. */
		if (strcmp(argv[i], "--") == 0 && i + 1 < argc)
			return stray_argument(argv[i + 1]);
		if (strcmp(argv[i], "--") == 0)
			break;
		if (argv[i][0] != '-')
			return stray_argument(argv[i]);
		def = find_option(argv[i], &value);
		if (!def)
			return unknown_option(argv[i]);
		/* What looks like the next option is no value: --disk=--odd-name says it is. */
		if (def->value && !value && i + 1 < argc && strncmp(argv[i + 1], "--", 2) != 0)
			value = argv[++i];
		r = apply(options, def, value, seen[def - defs]);
		if (r < 0)
			return r;
		seen[def - defs] = true;
	}
	return 0;
}

int options_parse(int argc, char *const argv[], struct options *ret_options)
{
	struct options *options = calloc(1, sizeof(*options));
	int r;

	if (!options)
		return err_sys(ERR_LIMIT, -ENOMEM, "read the command line");
	options->cpus = OPTIONS_CPUS_DEFAULT;
	options->memory = OPTIONS_MEMORY_DEFAULT;
	options->log_level = LOG_INFO;
	r = parse(options, argc, argv);
	if (r == 0)
		*ret_options = *options;
	free(options);
	return r;
}
