/* SPDX-License-Identifier: Apache-2.0 */
/* The options that add a device: --gpu and --disk. Pure. Main thread. */
#include <errno.h>

#include "core/err.h"
#include "options_defs.h"
#include "options_value.h"

int options_parse_gpu(struct options *options, const char *value)
{
	struct options_gpu *gpu = &options->gpus[options->gpu_count];
	char part[PATH_MAX];
	const char *rom;
	int r;

	if (options->gpu_count == OPTIONS_GPUS_MAX)
		return err_set(ERR_USAGE, -EINVAL, "--gpu: more than %u devices", OPTIONS_GPUS_MAX);
	if (!options_value_part(&value, part))
		return -EINVAL;
	r = pci_addr_parse(part, &gpu->addr);
	if (r < 0)
		return err_wrap(r, "--gpu");
	for (unsigned i = 0; i < options->gpu_count; i++) {
		if (pci_addr_compare(options->gpus[i].addr, gpu->addr) == 0)
			return err_set(ERR_USAGE, -EINVAL, "--gpu: %s is given twice",
				       pci_addr_text(gpu->addr).s);
	}
	while (options_value_part(&value, part)) {
		rom = options_value_property(part, "rom");
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
	int r;

	if (!options_value_visible(serial, OPTIONS_SERIAL_MAX)) {
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

int options_parse_disk(struct options *options, const char *value)
{
	struct options_disk *disk = &options->disks[options->disk_count];
	char part[PATH_MAX];
	const char *serial;
	int r;

	if (options->disk_count == OPTIONS_DISKS_MAX)
		return err_set(ERR_USAGE, -EINVAL, "--disk: more than %u disks", OPTIONS_DISKS_MAX);
	if (!options_value_part(&value, disk->file) || !disk->file[0]) {
		r = err_set(ERR_USAGE, -EINVAL, "--disk: the file name is missing");
		err_hint("write it as --disk FILE[,ro][,serial=TEXT]");
		return r;
	}
	while (options_value_part(&value, part)) {
		serial = options_value_property(part, "serial");
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
