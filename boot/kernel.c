/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel, initrd and command line for a start without firmware; see kernel.h. */
#include "boot/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "boot/zeropage.h"
#include "core/err.h"
#include "core/sys.h"

#define PAGE_SIZE 4096u

/* What an ELF kernel takes: Linux's own COMMAND_LINE_SIZE, less the NUL. */
#define ELF_CMDLINE_MAX 2047u

/* `what`: "kernel" or "initrd", for messages. */
static int open_file(const char *what, const char *path, int *ret_fd, uint64_t *ret_size)
{
	struct stat st;
	int fd = sys_open(path, O_RDONLY | O_NONBLOCK, 0);

	if (fd < 0)
		return err_sys(ERR_FILE, fd, "%s '%s'", what, path);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return err_set(ERR_FILE, -EINVAL, "%s '%s' is not a regular file", what, path);
	}
	*ret_fd = fd;
	*ret_size = (uint64_t)st.st_size;
	return 0;
}

/* Files that are mistaken for a kernel, by how they begin. */
static const struct {
	unsigned off, len;
	const char *magic;
	const char *what, *hint;
} strangers[] = {
	{ 0, 2, "\x1f\x8b", "a gzip file", "unpack it with gunzip" },
	{ 0, 6,
	  "\xfd"
	  "7zXZ",
	  "an xz file", "unpack it with unxz" },
	{ 0, 4, "\x28\xb5\x2f\xfd", "a zstd file", "unpack it with unzstd" },
	{ 0, 4, "\x04\x22\x4d\x18", "an lz4 file", "unpack it with lz4 -d" },
	{ 0, 4, "\x02\x21\x4c\x18", "an lz4 file", "unpack it with lz4 -d" },
	{ 0, 3, "BZh", "a bzip2 file", "unpack it with bunzip2" },
	{ 0x38, 4, "ARM\x64", "a kernel for arm64", "this machine is an x86-64" },
	{ 0x38, 4, "RSC\x05", "a kernel for RISC-V", "this machine is an x86-64" },
	{ 0, 2, "MZ", "an EFI program, not a Linux kernel",
	  "boot it from a disk with --disk; of a unified kernel image, the kernel and the initrd "
	  "can be extracted: objcopy -O binary -j .linux" },
};

static int refuse_stranger(const uint8_t *head, size_t len)
{
	for (unsigned i = 0; i < ARRAY_SIZE(strangers); i++) {
		if (range_fits(strangers[i].off, strangers[i].len, len) &&
		    memcmp(head + strangers[i].off, strangers[i].magic, strangers[i].len) == 0) {
			err_set(ERR_FILE, -EINVAL, "it is %s", strangers[i].what);
			err_hint("%s", strangers[i].hint);
			return -EINVAL;
		}
	}
	err_set(ERR_FILE, -EINVAL, "it is not a kernel");
	err_hint("give a bzImage (vmlinuz) or an ELF file (vmlinux) for x86-64");
	return -EINVAL;
}

static int open_kernel(struct kernel *kernel, uint64_t low_ram)
{
	uint8_t head[BZIMAGE_HEAD_SIZE];
	uint64_t size = 0;
	size_t len;
	int r = open_file("kernel", kernel->path, &kernel->fd, &size);

	if (r < 0)
		return r;
	len = MIN(size, sizeof(head));
	r = sys_pread_full(kernel->fd, head, len, 0);
	if (r < 0)
		return err_sys(ERR_FILE, r, "read kernel '%s'", kernel->path);
	kernel->is_elf = elf_pvh_detect(head, len);
	if (kernel->is_elf)
		r = elf_pvh_parse(kernel->fd, size, low_ram, &kernel->elf);
	else if (bzimage_detect(head, len))
		r = bzimage_parse(head, len, size, low_ram, &kernel->bzimage);
	else
		r = refuse_stranger(head, len);
	return r < 0 ? err_wrap(r, "kernel '%s'", kernel->path) : 0;
}

/* As high as it may be: what unpacks itself grows upwards. */
static int place_initrd(struct kernel *kernel, uint64_t low_ram, bool low_ram_max)
{
	const uint64_t kernel_end =
		kernel->is_elf ? kernel->elf.end : kernel->bzimage.gpa + kernel->bzimage.room;
	const uint64_t end =
		kernel->is_elf ? low_ram : MIN(low_ram, kernel->bzimage.initrd_last + 1);
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

static int open_initrd(struct kernel *kernel, const struct kernel_config *config)
{
	int r = open_file("initrd", kernel->initrd, &kernel->initrd_fd, &kernel->initrd_size);

	if (r < 0)
		return r;
	if (kernel->initrd_size == 0)
		return err_set(ERR_FILE, -EINVAL, "initrd '%s' is empty", kernel->initrd);
	return place_initrd(kernel, config->low_ram, config->low_ram_max);
}

static int check_cmdline(const struct kernel *kernel)
{
	uint32_t max = kernel->is_elf ? ELF_CMDLINE_MAX : kernel->bzimage.cmdline_max;
	const size_t len = strlen(kernel->cmdline);

	max = MIN(max, (uint32_t)KERNEL_CMDLINE_ROOM - 1);
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
	r = open_kernel(kernel, config->low_ram);
	if (r == 0)
		r = check_cmdline(kernel);
	if (r == 0 && config->initrd)
		r = open_initrd(kernel, config);
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
	return elf_pvh_load(&kernel->elf, kernel->fd, mem);
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
	r = kernel->is_elf ? load_elf(kernel, mem, machine, page, &boot)
			   : load_bzimage(kernel, mem, machine, page, &boot);
	if (r == 0 && kernel->initrd_size)
		r = load_initrd(kernel, mem);
	if (r < 0)
		return r;
	*ret_boot = boot;
	return 0;
}
