/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the options name, opened and checked before any device is taken from its driver: a typo must
 * not cost the host its display for a moment. What is opened here is what the machine uses later.
 * Main thread; neither threads nor guest memory exist yet. The table of it is in machine.c.
 */
#include <errno.h>
#include <fcntl.h>

#include "boot/seed.h"
#include "core/err.h"
#include "core/log.h"
#include "core/sys.h"
#include "daemons/storage_daemon.h"
#include "firmware-loader/fw_descriptor.h"
#include "machine/machine.h"
#include "vfio/iommu.h"
#include "x86_64/layout.h"

/* The last disk: the guest's others are where they are without it. */
static int open_seed(struct machine *machine)
{
	const struct options *options = machine->options;
	CLEANUP(closep) int fd = -1;
	char path[32];
	int r = seed_make(options->cloud_init, options->ssh_key, &fd);

	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return blk_file_open(&machine->disk_files[options->disk_count], path, true,
			     BLK_CACHE_WRITEBACK);
}

/* The lock of the first would say that another process has it. */
static int check_disk_once(const struct options *options, unsigned index)
{
	const char *file = options->disks[index].file;

	for (unsigned i = 0; i < index; i++) {
		if (blk_file_is_same(options->disks[i].file, file))
			return err_set(ERR_USAGE, -EINVAL, "--disk: %s is given twice, first as %s",
				       file, options->disks[i].file);
	}
	return 0;
}

int machine_open_disks(struct machine *machine)
{
	const struct options *options = machine->options;
	int r = 0;

	for (unsigned i = 0; i < options->disk_count && r == 0; i++) {
		const struct options_disk *disk = &options->disks[i];

		r = check_disk_once(options, i);
		if (r == 0)
			r = blk_format_check(disk->file, disk->format);
		if (r == 0 && storage_daemon_serves(disk))
			r = storage_daemon_start(disk, machine_disk_queues(machine, disk),
						 &machine->disk_daemons[i]);
		else if (r == 0)
			r = blk_file_open(&machine->disk_files[i], disk->file, disk->readonly,
					  disk->cache);
	}
	return r == 0 && options_have_seed(options) ? open_seed(machine) : r;
}

void machine_close_disks(struct machine *machine)
{
	/* Those that a device has taken over are zeroed. */
	for (unsigned i = 0; i < ARRAY_SIZE(machine->disk_files); i++)
		blk_file_close(&machine->disk_files[i]);
	for (unsigned i = 0; i < ARRAY_SIZE(machine->disk_daemons); i++) {
		storage_daemon_stop(machine->disk_daemons[i]);
		machine->disk_daemons[i] = NULL;
	}
}

int machine_open_roms(struct machine *machine)
{
	const struct options *options = machine->options;
	int r = 0;

	for (unsigned i = 0; i < options->gpu_count && r == 0; i++) {
		if (options->gpus[i].rom[0])
			r = vfio_rom_file_read(options->gpus[i].rom, &machine->roms[i]);
		if (r < 0)
			err_wrap(r, "%s", options_gpu_name(&options->gpus[i]).s);
	}
	return r;
}

void machine_close_roms(struct machine *machine)
{
	for (unsigned i = 0; i < ARRAY_SIZE(machine->roms); i++)
		vfio_rom_file_free(&machine->roms[i]);
}

int machine_check_cliques(struct machine *machine)
{
	const struct options *options = machine->options;
	int r = 0;

	/* What a mediated device is, only it says itself. */
	for (unsigned i = 0; i < options->gpu_count && r == 0; i++) {
		const struct options_gpu *gpu = &options->gpus[i];

		if (!gpu->mdev[0] && gpu->clique.kind == VFIO_CLIQUE_ID)
			r = vfio_clique_check("", gpu->addr);
	}
	return r;
}

int machine_check_pinning(struct machine *machine)
{
	const struct options *options = machine->options;

	return options->gpu_count ? vfio_iommu_allow_pinning(options->memory,
							     options->iommu == VFIO_IOMMU_IOMMUFD)
				  : 0;
}

int machine_open_kernel(struct machine *machine)
{
	const struct options *options = machine->options;
	const bool command = machine_has_command(machine);
	const struct kernel_config config = {
		.path = command ? machine->command->kernel_path : options->kernel,
		.initrd = command              ? machine->command->initrd_path
			  : options->initrd[0] ? options->initrd
					       : NULL,
		.cmdline = command               ? machine->command->cmdline
			   : options->cmdline[0] ? options->cmdline
						 : NULL,
		.low_ram = MIN(options->memory, LOW_RAM_MAX),
		.low_ram_max = options->memory >= LOW_RAM_MAX,
		.by_firmware = !machine_is_direct(machine),
		.ram = options->memory,
	};

	return command || options->kernel[0] ? kernel_open(&config, &machine->kernel) : 0;
}

void machine_close_kernel(struct machine *machine)
{
	kernel_close(&machine->kernel);
}

int machine_open_firmware(struct machine *machine)
{
	const struct options *options = machine->options;
	struct fw_descriptor_dirs dirs;
	const struct fw_search search = {
		.descriptor_dirs = dirs.list,
		.pairs = fw_image_known_pairs,
	};
	int r;

	machine->vars.fd = -1;
	if (machine_is_direct(machine))
		return 0;
	fw_descriptor_dirs_init(&dirs);
	r = fw_image_open(options->firmware_code[0] ? options->firmware_code : NULL, &search,
			  &machine->firmware);
	if (r < 0)
		return r;
	log_debug("firmware %s", machine->firmware.code_path);
	return fw_vars_open(&machine->firmware,
			    options->firmware_vars[0] ? options->firmware_vars : NULL,
			    &machine->vars);
}

void machine_close_firmware(struct machine *machine)
{
	fw_vars_fini(&machine->vars);
	fw_image_fini(&machine->firmware);
}

/* Not blocking, so that a FIFO that nobody reads is an error and not a hang. */
static int open_log(const char *path, FILE **ret_log)
{
	int fd = sys_open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK, 0666);
	FILE *log;

	if (fd < 0) {
		err_sys(ERR_FILE, fd, "firmware log '%s'", path);
		if (fd == -ENXIO)
			err_hint("it is a FIFO that nobody reads yet");
		else if (fd == -ENOENT)
			err_hint("make its folder first");
		return fd;
	}
	(void)fcntl(fd, F_SETFL, O_WRONLY);
	log = fdopen(fd, "w");
	if (!log) {
		close(fd);
		return err_sys(ERR_LIMIT, -ENOMEM, "firmware log '%s'", path);
	}
	*ret_log = log;
	return 0;
}

int machine_open_firmware_log(struct machine *machine)
{
	const char *path = machine->options->firmware_log;

	/* "-" is standard error. */
	return path[0] && strcmp(path, "-") != 0 ? open_log(path, &machine->firmware_log) : 0;
}

void machine_close_firmware_log(struct machine *machine)
{
	if (machine->firmware_log)
		fclose(machine->firmware_log);
}
