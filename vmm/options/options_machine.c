/* SPDX-License-Identifier: Apache-2.0 */
/* The options that say what the machine is: memory, firmware. Pure. Main thread. */
#include <ctype.h>
#include <errno.h>

#include "core/err.h"
#include "options/options_defs.h"
#include "options/options_value.h"

/* "K", "KiB" and so on, in either case; 0 for anything else. */
static uint64_t parse_unit(const char *text)
{
	static const char letters[] = "KMGT";
	const char *letter = *text ? strchr(letters, toupper((unsigned char)*text)) : NULL;

	if (!letter || (text[1] && strcasecmp(text + 1, "iB") != 0))
		return 0;
	return KiB << 10 * (letter - letters);
}

int options_parse_memory(struct options *options, const char *value)
{
	const size_t digits = strspn(value, "0123456789");
	const uint64_t unit = parse_unit(value + digits);
	uint64_t size;
	int r = 0;

	if (!unit || !options_value_digits(value, digits, &size)) {
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

int options_parse_hugepages(struct options *options, const char *value)
{
	static const struct {
		const char *name;
		enum hugepages_mode mode;
	} modes[] = {
		{ "auto", HUGEPAGES_AUTO },
		{ "2M", HUGEPAGES_2M },
		{ "1G", HUGEPAGES_1G },
		{ "off", HUGEPAGES_OFF },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
		if (strcmp(value, modes[i].name) == 0) {
			options->hugepages = modes[i].mode;
			return 0;
		}
	}
	return err_set(ERR_USAGE, -EINVAL, "--hugepages: '%s' is not auto, 2M, 1G or off", value);
}

int options_parse_firmware(struct options *options, const char *value)
{
	char part[PATH_MAX];
	const char *vars;
	int r;

	if (!options_value_part(&value, options->firmware_code) || !options->firmware_code[0]) {
		r = err_set(ERR_USAGE, -EINVAL, "--firmware: the file name is missing");
		err_hint("write it as --firmware CODE[,vars=FILE]");
		return r;
	}
	while (options_value_part(&value, part)) {
		vars = options_value_property(part, "vars");
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

/* The kernel of a command is the host's, without firmware, and its RAM disk is made for it. */
static int check_kernel_of_command(const struct options *options)
{
	const char *wrong = NULL;

	if (options->firmware_code[0])
		wrong = "firmware";
	else if (options->firmware_log[0])
		wrong = "firmware-log";
	else if (options->initrd[0])
		wrong = "initrd";
	return wrong ? err_set(ERR_USAGE, -EINVAL, "--%s does not go with a command", wrong) : 0;
}

int options_check_kernel(struct options *options)
{
	if (options->command_argc)
		return check_kernel_of_command(options);
	if (options->kernel[0] && options->firmware_log[0] && !options->firmware_code[0]) {
		err_set(ERR_USAGE, -EINVAL, "--kernel starts a kernel without firmware");
		err_hint("leave out --firmware-log, or name the --firmware that is to start it");
		return -EINVAL;
	}
	if (!options->kernel[0] && (options->initrd[0] || options->cmdline[0])) {
		err_set(ERR_USAGE, -EINVAL, "--%s goes with --kernel",
			options->initrd[0] ? "initrd" : "cmdline");
		err_hint("without it, the guest's boot loader has its own");
		return -EINVAL;
	}
	return 0;
}
