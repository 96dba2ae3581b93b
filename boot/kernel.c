/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel, initrd and command line of a start without a disk; see kernel.h. */
#include "boot/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "boot/efi_image.h"
#include "boot/file_kind.h"
#include "boot/zeropage.h"
#include "core/err.h"
#include "core/sys.h"

#define PAGE_SIZE 4096u

/* What an ELF kernel takes: Linux's own COMMAND_LINE_SIZE, less the NUL. */
#define ELF_CMDLINE_MAX 2047u

/* What OVMF itself takes of a guest's memory: less than the smallest in which it starts. */
#define FIRMWARE_ROOM (64 * MiB)

/* `what`: "kernel" or "initrd", for messages. */
static int open_file(const char *what, const char *path, int *ret_fd, uint64_t *ret_size)
{
	struct stat st;
	int fd = sys_open(path, O_RDONLY | O_NONBLOCK, 0);

	if (fd < 0) {
		err_sys(ERR_FILE, fd, "%s '%s'", what, path);
		/* Some distributions let only root read them. */
		if (fd == -EACCES)
			err_hint("sudo chmod a+r '%s', or give a copy", path);
		return fd;
	}
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return err_set(ERR_FILE, -EINVAL, "%s '%s' is not a regular file", what, path);
	}
	*ret_fd = fd;
	*ret_size = (uint64_t)st.st_size;
	return 0;
}

/* The first bytes of a file, FILE_KIND_HEAD or all. */
static int read_head(const char *what, const char *path, int fd, uint64_t size,
		     uint8_t ret_head[FILE_KIND_HEAD], size_t *ret_len)
{
	const size_t len = MIN(size, FILE_KIND_HEAD);
	int r = sys_pread_full(fd, ret_head, len, 0);

	if (r < 0)
		return err_sys(ERR_FILE, r, "read %s '%s'", what, path);
	*ret_len = len;
	return 0;
}

static int parse_kernel(struct kernel *kernel, const struct kernel_config *config,
			const uint8_t *head, size_t len)
{
	const struct elf_pvh_file file = { kernel->fd, kernel->size, head, len };
	int r = 0;

	if (bzimage_detect(head, len)) {
		kernel->format = KERNEL_BZIMAGE;
		r = bzimage_parse(head, len, kernel->size, config->low_ram, &kernel->bzimage);
		if (r == 0)
			kernel->setup_size = (uint32_t)kernel->bzimage.file_off;
		return r < 0 || !config->by_firmware ? r : efi_image_check(head, len, kernel->size);
	}
	if (config->by_firmware) {
		kernel->format = KERNEL_EFI;
		return elf_pvh_detect(head, len) || efi_image_detect(head, len)
			       ? efi_image_check(head, len, kernel->size)
			       : file_kind_no_kernel(head, len);
	}
	kernel->format = KERNEL_ELF;
	return elf_pvh_detect(head, len) ? elf_pvh_parse(&file, config->low_ram, &kernel->elf)
					 : file_kind_no_kernel(head, len);
}

static int open_kernel(struct kernel *kernel, const struct kernel_config *config)
{
	uint8_t head[FILE_KIND_HEAD];
	size_t len = 0;
	int r = open_file("kernel", kernel->path, &kernel->fd, &kernel->size);

	if (r == 0)
		r = read_head("kernel", kernel->path, kernel->fd, kernel->size, head, &len);
	if (r < 0)
		return r;
	r = parse_kernel(kernel, config, head, len);
	return r < 0 ? err_wrap(r, "kernel '%s'", kernel->path) : 0;
}

/* As high as it may be: what unpacks itself grows upwards. */
static int place_initrd(struct kernel *kernel, uint64_t low_ram, bool low_ram_max)
{
	const bool is_elf = kernel->format == KERNEL_ELF;
	const uint64_t kernel_end =
		is_elf ? kernel->elf.end : kernel->bzimage.gpa + kernel->bzimage.room;
	const uint64_t end = is_elf ? low_ram : MIN(low_ram, kernel->bzimage.initrd_last + 1);
	const uint64_t size = kernel->initrd_size;
	int r;

	if (size <= end && align_down(end - size, PAGE_SIZE) >= align_up(kernel_end, PAGE_SIZE)) {
		kernel->initrd_gpa = align_down(end - size, PAGE_SIZE);
		return 0;
	}
	r = err_set(ERR_LIMIT, -ENOSPC,
		    "initrd '%s' (%llu MiB) does not fit in memory beside the kernel",
		    kernel->initrd, (unsigned long long)(size / MiB + 1));
	if (end == low_ram && !low_ram_max)
		err_hint("give the guest more with --memory");
	return r;
}

static int open_initrd(struct kernel *kernel)
{
	uint8_t head[FILE_KIND_HEAD];
	size_t len = 0;
	int r = open_file("initrd", kernel->initrd, &kernel->initrd_fd, &kernel->initrd_size);

	if (r < 0)
		return r;
	if (kernel->initrd_size == 0)
		return err_set(ERR_FILE, -EINVAL, "initrd '%s' is empty", kernel->initrd);
	r = read_head("initrd", kernel->initrd, kernel->initrd_fd, kernel->initrd_size, head, &len);
	if (r < 0)
		return r;
	r = file_kind_check_initrd(head, len);
	return r < 0 ? err_wrap(r, "initrd '%s'", kernel->initrd) : 0;
}

/*
 * Firmware keeps both files for as long as it runs, while the kernel unpacks itself elsewhere and
 * copies its initrd. Where they do not fit, it would go on to the next thing that boots.
 * [edk2 OvmfPkg/QemuKernelLoaderFsDxe]
 */
static int check_firmware_room(const struct kernel *kernel, uint64_t ram)
{
	const uint64_t unpacked =
		kernel->format == KERNEL_BZIMAGE ? kernel->bzimage.room : kernel->size;
	uint64_t need;
	int r;

	/* Sizes are told in 32 bits. */
	if (kernel->size > UINT32_MAX || kernel->initrd_size > UINT32_MAX)
		return err_set(ERR_LIMIT, -EFBIG, "%s '%s': firmware takes less than 4 GiB",
			       kernel->size > UINT32_MAX ? "kernel" : "initrd",
			       kernel->size > UINT32_MAX ? kernel->path : kernel->initrd);
	need = FIRMWARE_ROOM + kernel->size + unpacked + 2 * kernel->initrd_size;
	if (need <= ram)
		return 0;
	r = err_set(ERR_LIMIT, -ENOSPC,
		    "the firmware, kernel '%s' and its initrd do not fit in memory: they need "
		    "%llu MiB",
		    kernel->path, (unsigned long long)(need / MiB + 1));
	err_hint("give the guest more with --memory, or leave out --firmware");
	return r;
}

static int check_cmdline(const struct kernel *kernel)
{
	uint32_t max = KERNEL_CMDLINE_ROOM - 1;
	const size_t len = strlen(kernel->cmdline);

	if (kernel->format == KERNEL_ELF)
		max = ELF_CMDLINE_MAX;
	else if (kernel->format == KERNEL_BZIMAGE)
		max = MIN(max, kernel->bzimage.cmdline_max);
	if (len <= max)
		return 0;
	return err_set(ERR_USAGE, -EINVAL,
		       "--cmdline: %zu characters are more than the %u that this kernel takes", len,
		       max);
}

int kernel_open(const struct kernel_config *config, struct kernel *ret_kernel)
{
	struct kernel *kernel = ret_kernel;
	int r;

	*kernel = (struct kernel){
		.fd = -1,
		.initrd_fd = -1,
		.path = config->path,
		.initrd = config->initrd,
		.cmdline = config->cmdline,
	};
	r = open_kernel(kernel, config);
	if (r == 0 && !kernel->cmdline)
		kernel->cmdline = kernel->format == KERNEL_EFI ? "" : KERNEL_CMDLINE_DEFAULT;
	if (r == 0)
		r = check_cmdline(kernel);
	if (r == 0 && config->initrd)
		r = open_initrd(kernel);
	if (r == 0 && config->by_firmware)
		r = check_firmware_room(kernel, config->ram);
	else if (r == 0 && config->initrd)
		r = place_initrd(kernel, config->low_ram, config->low_ram_max);
	return r;
}

void kernel_close(struct kernel *kernel)
{
	if (!kernel->path)
		return;
	close_fd(&kernel->fd);
	close_fd(&kernel->initrd_fd);
	kernel->path = NULL;
}

static int load_initrd(const struct kernel *kernel, const struct guest_mem *mem)
{
	void *to = mem_ptr(mem, kernel->initrd_gpa, kernel->initrd_size);
	int r;

	if (!to)
		return err_set(ERR_INTERNAL, -EINVAL, "the initrd does not fit in memory");
	r = sys_pread_full(kernel->initrd_fd, to, kernel->initrd_size, 0);
	return r < 0 ? err_sys(ERR_FILE, r, "read initrd '%s'", kernel->initrd) : 0;
}

static int load_bzimage(const struct kernel *kernel, const struct guest_mem *mem,
			const struct kernel_machine *machine, void *page, struct arch_boot *boot)
{
	const struct zeropage zeropage = {
		.image = &kernel->bzimage,
		.memmap = machine->memmap,
		.rsdp = machine->rsdp,
		.cmdline = machine->cmdline_gpa,
		.initrd = kernel->initrd_gpa,
		.initrd_size = kernel->initrd_size,
	};

	zeropage_fill(&zeropage, page);
	boot->mode = ARCH_BOOT_64;
	return bzimage_load(&kernel->bzimage, kernel->fd, mem, &boot->entry);
}

static int load_elf(const struct kernel *kernel, const struct guest_mem *mem,
		    const struct kernel_machine *machine, void *page, struct arch_boot *boot)
{
	const struct elf_pvh_info info = {
		.memmap = machine->memmap,
		.rsdp = machine->rsdp,
		.cmdline = machine->cmdline_gpa,
		.initrd = kernel->initrd_gpa,
		.initrd_size = kernel->initrd_size,
	};

	elf_pvh_info_fill(&info, machine->info_gpa, page);
	boot->mode = ARCH_BOOT_32;
	boot->entry = kernel->elf.entry;
	return elf_pvh_load(&kernel->elf, kernel->fd, machine->fresh, mem);
}

int kernel_load(const struct kernel *kernel, const struct guest_mem *mem,
		const struct kernel_machine *machine, struct arch_boot *ret_boot)
{
	_Static_assert(ZEROPAGE_SIZE == PAGE_SIZE && ELF_PVH_INFO_SIZE == PAGE_SIZE,
		       "the information is one page");
	struct arch_boot boot = { .info = machine->info_gpa };
	void *page = mem_ptr(mem, machine->info_gpa, PAGE_SIZE);
	char *cmdline = mem_ptr(mem, machine->cmdline_gpa, KERNEL_CMDLINE_ROOM);
	int r;

	if (!page || !cmdline)
		return err_set(ERR_INTERNAL, -EINVAL, "no memory for the kernel's information");
	strcpy(cmdline, kernel->cmdline);
	r = kernel->format == KERNEL_ELF ? load_elf(kernel, mem, machine, page, &boot)
					 : load_bzimage(kernel, mem, machine, page, &boot);
	if (r == 0 && kernel->initrd_size)
		r = load_initrd(kernel, mem);
	if (r < 0)
		return r;
	*ret_boot = boot;
	return 0;
}
