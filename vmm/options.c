/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parses the command line; see options.h. Long options in GNU style, each a line of a table with
 * the function that takes its value. Main thread.
 */
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "core/err.h"

struct option_def {
	const char *name;
	char letter;       /* its short form, or 0 */
	const char *value; /* as the help shows it; NULL: takes none */
	bool repeatable;   /* flags may be repeated, too: nothing can contradict */
	int (*parse)(struct options *options, const char *value);
};

/*
 * Copies the next comma-separated part of *pos, whose text is shorter than PATH_MAX, and moves
 * behind it. Two commas are one comma of the text. False when *pos is at its end (NULL).
 */
static bool next_part(const char **pos, char part[PATH_MAX])
{
	const char *p = *pos;
	size_t len = 0;

	if (!p)
		return false;
	while (*p && (*p != ',' || p[1] == ',')) {
		part[len++] = *p;
		p += *p == ',' ? 2 : 1;
	}
	part[len] = '\0';
	*pos = *p ? p + 1 : NULL;
	return true;
}

/* The text behind "key=", NULL if `part` is something else. */
static const char *property(const char *part, const char *key)
{
	const size_t len = strlen(key);

	return strncmp(part, key, len) == 0 && part[len] == '=' ? part + len + 1 : NULL;
}

/* Decimal digits and nothing else. */
static bool parse_digits(const char *text, size_t len, uint64_t *ret_val)
{
	uint64_t val = 0;

	if (!len)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!isdigit((unsigned char)text[i]) || __builtin_mul_overflow(val, 10, &val) ||
		    __builtin_add_overflow(val, (uint64_t)(text[i] - '0'), &val))
			return false;
	}
	*ret_val = val;
	return true;
}

static int parse_gpu(struct options *options, const char *value)
{
	struct options_gpu *gpu = &options->gpus[options->gpu_count];
	char part[PATH_MAX];
	const char *rom;
	int r;

	if (options->gpu_count == OPTIONS_GPUS_MAX)
		return err_set(ERR_USAGE, -EINVAL, "--gpu: more than %u devices", OPTIONS_GPUS_MAX);
	if (!next_part(&value, part))
		return -EINVAL;
	r = pci_addr_parse(part, &gpu->addr);
	if (r < 0)
		return err_wrap(r, "--gpu");
	for (unsigned i = 0; i < options->gpu_count; i++) {
		if (pci_addr_compare(options->gpus[i].addr, gpu->addr) == 0)
			return err_set(ERR_USAGE, -EINVAL, "--gpu: %s is given twice",
				       pci_addr_text(gpu->addr).s);
	}
	while (next_part(&value, part)) {
		rom = property(part, "rom");
		if (!rom || !*rom) {
			r = err_set(ERR_USAGE, -EINVAL, "--gpu %s: '%s' is not understood",
				    pci_addr_text(gpu->addr).s, part);
			err_hint("it takes rom=FILE or rom=off");
			return r;
		}
		if (gpu->rom_off || gpu->rom[0]) {
			r = err_set(ERR_USAGE, -EINVAL, "--gpu %s: rom is given twice",
				    pci_addr_text(gpu->addr).s);
			err_hint("it takes rom=FILE or rom=off, not both");
			return r;
		}
		if (strcmp(rom, "off") == 0)
			gpu->rom_off = true;
		else
			strcpy(gpu->rom, rom);
	}
	options->gpu_count++;
	return 0;
}

static int parse_serial(struct options_disk *disk, const char *serial)
{
	const size_t len = strlen(serial);
	bool good = len >= 1 && len <= OPTIONS_SERIAL_MAX;
	int r;

	for (size_t i = 0; good && i < len; i++)
		good = isascii((unsigned char)serial[i]) && isgraph((unsigned char)serial[i]);
	if (!good) {
		r = err_set(ERR_USAGE, -EINVAL, "--disk %s: '%s' cannot be a serial number",
			    disk->file, serial);
		err_hint("serial=TEXT takes 1 to %u visible ASCII characters", OPTIONS_SERIAL_MAX);
		return r;
	}
	if (disk->serial[0])
		return err_set(ERR_USAGE, -EINVAL, "--disk %s: serial is given twice", disk->file);
	strcpy(disk->serial, serial);
	return 0;
}

static int parse_disk(struct options *options, const char *value)
{
	struct options_disk *disk = &options->disks[options->disk_count];
	char part[PATH_MAX];
	const char *serial;
	int r;

	if (options->disk_count == OPTIONS_DISKS_MAX)
		return err_set(ERR_USAGE, -EINVAL, "--disk: more than %u disks", OPTIONS_DISKS_MAX);
	if (!next_part(&value, disk->file) || !disk->file[0]) {
		r = err_set(ERR_USAGE, -EINVAL, "--disk: the file name is missing");
		err_hint("write it as --disk FILE[,ro][,serial=TEXT]");
		return r;
	}
	while (next_part(&value, part)) {
		serial = property(part, "serial");
		if (serial) {
			r = parse_serial(disk, serial);
			if (r < 0)
				return r;
		} else if (strcmp(part, "ro") == 0) {
			disk->readonly = true;
		} else {
			r = err_set(ERR_USAGE, -EINVAL, "--disk %s: '%s' is not understood",
				    disk->file, part);
			err_hint("it takes ro and serial=TEXT; a comma in a file name is written "
				 "',,'");
			return r;
		}
	}
	for (const struct options_disk *other = options->disks; other != disk; other++) {
		if (strcmp(other->file, disk->file) == 0)
			return err_set(ERR_USAGE, -EINVAL, "--disk: %s is given twice", disk->file);
		if (disk->serial[0] && strcmp(other->serial, disk->serial) == 0)
			return err_set(ERR_USAGE, -EINVAL,
				       "--disk %s: %s has the serial number '%s' already",
				       disk->file, other->file, disk->serial);
	}
	options->disk_count++;
	return 0;
}

static int parse_cpus(struct options *options, const char *value)
{
	uint64_t cpus;

	if (!parse_digits(value, strlen(value), &cpus) || cpus < 1 || cpus > OPTIONS_CPUS_MAX)
		return err_set(ERR_USAGE, -EINVAL, "--cpus: '%s' is not a number from 1 to %u",
			       value, OPTIONS_CPUS_MAX);
	options->cpus = (unsigned)cpus;
	return 0;
}

/* "K", "KiB" and so on, in either case; 0 for anything else. */
static uint64_t parse_unit(const char *text)
{
	static const char letters[] = "KMGT";
	const char *letter = *text ? strchr(letters, toupper((unsigned char)*text)) : NULL;

	if (!letter || (text[1] && strcasecmp(text + 1, "iB") != 0))
		return 0;
	return KiB << 10 * (letter - letters);
}

static int parse_memory(struct options *options, const char *value)
{
	const size_t digits = strspn(value, "0123456789");
	const uint64_t unit = parse_unit(value + digits);
	uint64_t size;
	int r = 0;

	if (!unit || !parse_digits(value, digits, &size)) {
		r = err_set(ERR_USAGE, -EINVAL, "--memory: '%s' is not a size", value);
		err_hint("write it as 512M or 16G; the units are K, M, G and T, powers of 1024");
		return r;
	}
	if (__builtin_mul_overflow(size, unit, &size) || size > OPTIONS_MEMORY_MAX)
		return err_set(ERR_USAGE, -EINVAL, "--memory: %s is too much; the most is %lluT",
			       value, OPTIONS_MEMORY_MAX / TiB);
	if (size < OPTIONS_MEMORY_MIN)
		return err_set(ERR_USAGE, -EINVAL, "--memory: %s is too little; the least is %lluM",
			       value, OPTIONS_MEMORY_MIN / MiB);
	if (size % OPTIONS_MEMORY_ALIGN)
		return err_set(ERR_USAGE, -EINVAL, "--memory: %s is not a multiple of %lluM", value,
			       OPTIONS_MEMORY_ALIGN / MiB);
	options->memory = size;
	return 0;
}

static int parse_firmware(struct options *options, const char *value)
{
	char part[PATH_MAX];
	const char *vars;
	int r;

	if (!next_part(&value, options->firmware_code) || !options->firmware_code[0]) {
		r = err_set(ERR_USAGE, -EINVAL, "--firmware: the file name is missing");
		err_hint("write it as --firmware CODE[,vars=FILE]");
		return r;
	}
	while (next_part(&value, part)) {
		vars = property(part, "vars");
		if (!vars || !*vars) {
			r = err_set(ERR_USAGE, -EINVAL, "--firmware %s: '%s' is not understood",
				    options->firmware_code, part);
			err_hint("it takes vars=FILE; a comma in a file name is written ',,'");
			return r;
		}
		if (options->firmware_vars[0])
			return err_set(ERR_USAGE, -EINVAL, "--firmware %s: vars is given twice",
				       options->firmware_code);
		strcpy(options->firmware_vars, vars);
	}
	if (strcmp(options->firmware_code, options->firmware_vars) == 0)
		return err_set(ERR_USAGE, -EINVAL, "--firmware: %s cannot be both CODE and vars",
			       options->firmware_code);
	return 0;
}

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
	{ "gpu", 0, "BDF[,rom=FILE|rom=off]", true, parse_gpu },
	{ "disk", 0, "FILE[,ro][,serial=TEXT]", true, parse_disk },
	{ "cpus", 0, "N", false, parse_cpus },
	{ "memory", 0, "SIZE", false, parse_memory },
	{ "firmware", 0, "CODE[,vars=FILE]", false, parse_firmware },
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
