/* SPDX-License-Identifier: Apache-2.0 */
/* The options that add devices. Pure. Main thread. */
#include <ctype.h>
#include <errno.h>

#include "core/err.h"
#include "options/options_defs.h"
#include "options/options_value.h"

struct options_gpu_name options_gpu_name(const struct options_gpu *gpu)
{
	struct options_gpu_name name;

	strcpy(name.s, gpu->mdev[0] ? gpu->mdev
		       : gpu->any   ? "any"
				    : pci_addr_text(gpu->addr).s);
	return name;
}

/* A path in sysfs is that of a mediated device, whose last part is its UUID. */
static int parse_gpu_name(struct options_gpu *gpu, const char *text)
{
	const char *name = strrchr(text, '/');
	int r;

	gpu->any = strcmp(text, "any") == 0;
	if (gpu->any)
		return 0;
	name = name ? name + 1 : text;
	if (vfio_uuid_scan(name) && (name == text || strncmp(text, "/sys/", 5) == 0)) {
		for (size_t i = 0; i < VFIO_UUID_SIZE; i++)
			gpu->mdev[i] = (char)tolower((unsigned char)name[i]);
		return 0;
	}
	if (text[0] != '/') {
		if (pci_addr_scan(text, &gpu->addr))
			return 0;
		r = err_set(ERR_USAGE, -EINVAL, "--gpu: '%s' is not a PCI address", text);
		err_hint("write it as 0000:01:00.0 (see 'tinyvmm list'), or any: one that is free");
		return r;
	}
	r = err_set(ERR_USAGE, -EINVAL, "--gpu: '%s' is not the path of a mediated device", text);
	err_hint("that is /sys/bus/mdev/devices/UUID; other devices are given by their address");
	return r;
}

static int parse_rom(struct options_gpu *gpu, const char *rom)
{
	int r;

	if (gpu->rom_off || gpu->rom[0]) {
		r = err_set(ERR_USAGE, -EINVAL, "--gpu %s: rom is given twice",
			    options_gpu_name(gpu).s);
		err_hint("it takes rom=FILE or rom=off, not both");
		return r;
	}
	if (strcmp(rom, "off") == 0)
		gpu->rom_off = true;
	else
		strcpy(gpu->rom, rom);
	return 0;
}

static int parse_clique(struct options_gpu *gpu, const char *clique)
{
	uint64_t id;
	int r;

	if (gpu->clique.kind != VFIO_CLIQUE_AUTO)
		return err_set(ERR_USAGE, -EINVAL, "--gpu %s: clique is given twice",
			       options_gpu_name(gpu).s);
	if (strcmp(clique, "off") == 0) {
		gpu->clique.kind = VFIO_CLIQUE_NONE;
		return 0;
	}
	if (!options_value_digits(clique, strlen(clique), &id) || id >= VFIO_CLIQUES) {
		r = err_set(ERR_USAGE, -EINVAL, "--gpu %s: '%s' is no clique",
			    options_gpu_name(gpu).s, clique);
		err_hint("clique= takes a number from 0 to %u, or off", VFIO_CLIQUES - 1);
		return r;
	}
	gpu->clique = (struct vfio_clique){ VFIO_CLIQUE_ID, (unsigned)id };
	return 0;
}

static int parse_vf_token(struct options_gpu *gpu, const char *token)
{
	int r;

	if (gpu->vf_token[0])
		return err_set(ERR_USAGE, -EINVAL, "--gpu %s: vf-token is given twice",
			       options_gpu_name(gpu).s);
	if (!vfio_uuid_scan(token)) {
		r = err_set(ERR_USAGE, -EINVAL, "--gpu %s: '%s' is no VF token",
			    options_gpu_name(gpu).s, token);
		err_hint("it is a UUID; uuidgen makes one");
		return r;
	}
	strcpy(gpu->vf_token, token);
	return 0;
}

static int parse_gpu_property(struct options_gpu *gpu, const char *part)
{
	static const struct {
		const char *key;
		int (*parse)(struct options_gpu *gpu, const char *value);
	} properties[] = {
		{ "rom", parse_rom },
		{ "clique", parse_clique },
		{ "vf-token", parse_vf_token },
	};
	int r;

	for (unsigned i = 0; i < ARRAY_SIZE(properties); i++) {
		const char *value = options_value_property(part, properties[i].key);

		if (value && *value)
			return properties[i].parse(gpu, value);
	}
	r = err_set(ERR_USAGE, -EINVAL, "--gpu %s: '%s' is not understood", options_gpu_name(gpu).s,
		    part);
	err_hint("it takes rom=FILE|off, clique=N|off and vf-token=UUID");
	return r;
}

int options_parse_gpu(struct options *options, const char *value)
{
	struct options_gpu *gpu = &options->gpus[options->gpu_count];
	char part[PATH_MAX];
	int r;

	if (options->gpu_count == OPTIONS_GPUS_MAX)
		return err_set(ERR_USAGE, -EINVAL, "--gpu: more than %u devices", OPTIONS_GPUS_MAX);
	if (!options_value_part(&value, part))
		return -EINVAL;
	r = parse_gpu_name(gpu, part);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < options->gpu_count; i++) {
		if (!gpu->any &&
		    strcmp(options_gpu_name(&options->gpus[i]).s, options_gpu_name(gpu).s) == 0)
			return err_set(ERR_USAGE, -EINVAL, "--gpu: %s is given twice",
				       options_gpu_name(gpu).s);
	}
	while (options_value_part(&value, part)) {
		r = parse_gpu_property(gpu, part);
		if (r < 0)
			return r;
	}
	options->gpu_count++;
	return 0;
}

int options_parse_p2p(struct options *options, const char *value)
{
	static const char *const modes[] = {
		[VFIO_P2P_AUTO] = "auto",
		[VFIO_P2P_ON] = "on",
		[VFIO_P2P_OFF] = "off",
	};

	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
		if (strcmp(value, modes[i]) == 0) {
			options->p2p = i;
			return 0;
		}
	}
	return err_set(ERR_USAGE, -EINVAL, "--p2p: '%s' is none of on, off and auto", value);
}

/* A device of doctor, bind or release. */
int options_argument_device(struct options *options, const char *value)
{
	struct pci_addr addr;
	int r;

	if (options->gpu_count == OPTIONS_GPUS_MAX)
		return err_set(ERR_USAGE, -EINVAL, "more than %u devices", OPTIONS_GPUS_MAX);
	r = pci_addr_parse(value, &addr);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < options->gpu_count; i++) {
		if (pci_addr_compare(options->gpus[i].addr, addr) == 0)
			return err_set(ERR_USAGE, -EINVAL, "%s is given twice",
				       pci_addr_text(addr).s);
	}
	options->gpus[options->gpu_count++].addr = addr;
	return 0;
}

int options_parse_wait(struct options *options, const char *value)
{
	return options_value_time("--wait", value, &options->wait_ms);
}

/* Of a script whose list of devices is empty, mostly: it would run without what it is there for. */
int options_check_devices(const struct options *options)
{
	const char *alone = NULL;

	if (options->wait_ms)
		alone = "wait";
	else if (options->iommu != VFIO_IOMMU_AUTO)
		alone = "iommu";
	else if (options->p2p != VFIO_P2P_AUTO)
		alone = "p2p";
	if (!alone || options->gpu_count || options->command != OPTIONS_RUN)
		return 0;
	err_set(ERR_USAGE, -EINVAL, "--%s is given without a device", alone);
	err_hint("it goes with --gpu BDF or --gpu any");
	return -EINVAL;
}

int options_parse_user(struct options *options, const char *value)
{
	if (strlen(value) > OPTIONS_USER_MAX)
		return err_set(ERR_USAGE, -EINVAL, "--user: there is no user '%.32s...'", value);
	strcpy(options->user, value);
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

static int parse_queues(struct options_disk *disk, const char *text)
{
	uint64_t queues;

	if (!options_value_digits(text, strlen(text), &queues) || queues < 1 ||
	    queues > OPTIONS_DISK_QUEUES_MAX)
		return err_set(ERR_USAGE, -EINVAL,
			       "--disk %s: queues '%s' is not a number from 1 to %u", disk->file,
			       text, OPTIONS_DISK_QUEUES_MAX);
	if (disk->queues)
		return err_set(ERR_USAGE, -EINVAL, "--disk %s: queues is given twice", disk->file);
	disk->queues = (unsigned)queues;
	return 0;
}

static int parse_cache(struct options_disk *disk, const char *name)
{
	static const struct {
		const char *name;
		enum blk_cache cache;
	} caches[] = {
		{ "writeback", BLK_CACHE_WRITEBACK },
		{ "direct", BLK_CACHE_DIRECT },
		{ "unsafe", BLK_CACHE_UNSAFE },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(caches); i++) {
		if (strcmp(name, caches[i].name) == 0) {
			disk->cache = caches[i].cache;
			return 0;
		}
	}
	return err_set(ERR_USAGE, -EINVAL,
		       "--disk %s: cache '%s' is not writeback, direct or unsafe", disk->file,
		       name);
}

static int parse_format(struct options_disk *disk, const char *text)
{
	const enum blk_format format = blk_format_of(text);
	int r;

	if (disk->format)
		return err_set(ERR_USAGE, -EINVAL, "--disk %s: format is given twice", disk->file);
	if (format == BLK_FORMAT_BY_NAME) {
		r = err_set(ERR_USAGE, -EINVAL, "--disk %s: there is no format '%s'", disk->file,
			    text);
		err_hint("format= takes raw, qcow2, vmdk, vdi, vhdx or vpc");
		return r;
	}
	disk->format = format;
	return 0;
}

/* What goes together, and what the storage daemon cannot do. */
static int check_disk(const struct options_disk *disk)
{
	const enum blk_format format = disk->format ? disk->format : blk_format_of_file(disk->file);
	int r;

	if (disk->snapshot && disk->readonly)
		return err_set(ERR_USAGE, -EINVAL, "--disk %s: ro and snapshot exclude each other",
			       disk->file);
	if (disk->snapshot && format != BLK_FORMAT_RAW && format != BLK_FORMAT_QCOW2)
		return err_set(ERR_USAGE, -EINVAL, "--disk %s: snapshot is for raw and qcow2",
			       disk->file);
	if (disk->serial[0] && (disk->snapshot || format != BLK_FORMAT_RAW)) {
		r = err_set(ERR_USAGE, -EINVAL, "--disk %s: serial is for raw disks only",
			    disk->file);
		err_hint("%s is served by qemu-storage-daemon, which gives all its disks the same",
			 disk->snapshot ? "a snapshot" : "such an image");
		return r;
	}
	return 0;
}

static int parse_discard(struct options_disk *disk, const char *text)
{
	if (strcmp(text, "on") != 0 && strcmp(text, "off") != 0)
		return err_set(ERR_USAGE, -EINVAL, "--disk %s: discard '%s' is not on or off",
			       disk->file, text);
	disk->keep_space = strcmp(text, "off") == 0;
	return 0;
}

int options_parse_disk(struct options *options, const char *value)
{
	struct options_disk *disk = &options->disks[options->disk_count];
	char part[PATH_MAX];
	const char *text;
	int r;

	if (options->disk_count == OPTIONS_DISKS_MAX)
		return err_set(ERR_USAGE, -EINVAL, "--disk: more than %u disks", OPTIONS_DISKS_MAX);
	if (!options_value_part(&value, disk->file) || !disk->file[0]) {
		r = err_set(ERR_USAGE, -EINVAL, "--disk: the file name is missing");
		err_hint("write it as --disk FILE[,PROPERTY]...");
		return r;
	}
	while (options_value_part(&value, part)) {
		if ((text = options_value_property(part, "serial"))) {
			r = parse_serial(disk, text);
			if (r < 0)
				return r;
		} else if ((text = options_value_property(part, "queues"))) {
			r = parse_queues(disk, text);
			if (r < 0)
				return r;
		} else if ((text = options_value_property(part, "cache"))) {
			r = parse_cache(disk, text);
			if (r < 0)
				return r;
		} else if ((text = options_value_property(part, "discard"))) {
			r = parse_discard(disk, text);
			if (r < 0)
				return r;
		} else if ((text = options_value_property(part, "format"))) {
			r = parse_format(disk, text);
			if (r < 0)
				return r;
		} else if (strcmp(part, "ro") == 0) {
			disk->readonly = true;
		} else if (strcmp(part, "snapshot") == 0) {
			disk->snapshot = true;
		} else {
			r = err_set(ERR_USAGE, -EINVAL, "--disk %s: '%s' is not understood",
				    disk->file, part);
			err_hint("tinyvmm run --help disk names its properties; "
				 "a comma in a file name is written ',,'");
			return r;
		}
	}
	r = check_disk(disk);
	if (r < 0)
		return r;
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

int options_parse_iommu(struct options *options, const char *value)
{
	static const struct {
		const char *name;
		enum vfio_iommu_kind kind;
	} kinds[] = {
		{ "auto", VFIO_IOMMU_AUTO },
		{ "type1", VFIO_IOMMU_TYPE1 },
		{ "iommufd", VFIO_IOMMU_IOMMUFD },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (strcmp(value, kinds[i].name) == 0) {
			options->iommu = kinds[i].kind;
			return 0;
		}
	}
	return err_set(ERR_USAGE, -EINVAL, "--iommu: '%s' is not auto, iommufd or type1", value);
}
