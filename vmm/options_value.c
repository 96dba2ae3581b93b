/* SPDX-License-Identifier: Apache-2.0 */
/* Takes the values of options apart: numbers, sizes, files with properties. Pure. Main thread. */
#include "options_value.h"

#include <ctype.h>
#include <errno.h>

#include "core/err.h"

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

int options_value_gpu(struct options *options, const char *value)
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

int options_value_disk(struct options *options, const char *value)
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

int options_value_cpus(struct options *options, const char *value)
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

int options_value_memory(struct options *options, const char *value)
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

int options_value_firmware(struct options *options, const char *value)
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
