/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Damaged kernels: bzImage, ELF with PVH, EFI programs and what is none of them, opened beside an
 * initrd and, where they are taken, loaded.
 */
#include "fuzz.h"

#include <asm/bootparam.h>
#include <assert.h>
#include <elf.h>

#include "boot/kernel.h"
#include "core/err.h"

#define LOW_RAM   (8 * MiB)
#define HEAD_SIZE 0x400u

static size_t seed_bzimage(uint8_t *p)
{
	struct setup_header h = { .setup_sects = HEAD_SIZE / 512 - 1,
				  .syssize = 0x40,
				  .boot_flag = 0xaa55,
				  .jump = 0x6aeb,
				  .header = 0x53726448,
				  .version = 0x20f,
				  .loadflags = LOADED_HIGH,
				  .xloadflags = XLF_KERNEL_64,
				  .initrd_addr_max = 0x7fffffff,
				  .cmdline_size = 2047,
				  .pref_address = 2 * MiB,
				  .init_size = 2 * MiB };

	memcpy(p + BZIMAGE_HEADER_OFF, &h, sizeof(h));
	return HEAD_SIZE + 0x400;
}

static size_t seed_elf(uint8_t *p)
{
	const Elf64_Ehdr header = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB },
				    .e_machine = EM_X86_64,
				    .e_phoff = sizeof(header),
				    .e_phentsize = sizeof(Elf64_Phdr),
				    .e_phnum = 2 };
	const Elf64_Phdr segments[] = { { .p_type = PT_LOAD,
					  .p_offset = 0x200,
					  .p_paddr = MiB,
					  .p_filesz = 0x100,
					  .p_memsz = 0x1000 },
					{ .p_type = PT_NOTE, .p_offset = 0x180, .p_filesz = 20 } };
	const uint32_t note[] = { 4, 4, 18, 0x006e6558, MiB };

	memcpy(p, &header, sizeof(header));
	memcpy(p + sizeof(header), segments, sizeof(segments));
	memcpy(p + 0x180, note, sizeof(note));
	return 0x300;
}

/* A PE file of two sections: what a unified kernel image begins with. */
static size_t seed_efi(uint8_t *p)
{
	memcpy(p, "MZ", 2);
	store_le(p + 0x3c, 4, 0x80);
	memcpy(p + 0x80, "PE\0\0", 4);
	store_le(p + 0x84, 2, 0x8664);
	store_le(p + 0x86, 2, 2);
	store_le(p + 0x94, 2, 0xf0);
	store_le(p + 0x98, 2, 0x20b);
	store_le(p + 0x98 + 68, 2, 10);
	memcpy(p + 0x188, ".linux", 6);
	memcpy(p + 0x1b0, ".initrd", 7);
	return 0x400;
}

size_t fuzz_seed(unsigned nr, uint8_t *seed)
{
	seed[0] = (uint8_t)(nr / 3);
	switch (nr % 3) {
	case 0:
		return nr < 6 ? 1 + seed_bzimage(seed + 1) : 0;
	case 1:
		return 1 + seed_elf(seed + 1);
	default:
		return 1 + seed_efi(seed + 1);
	}
}

static void load(const struct kernel *kernel)
{
	static const struct memmap memmap = { .ranges = { { 0, LOW_RAM, MEMMAP_RAM } },
					      .count = 1 };
	const struct kernel_machine machine = { .memmap = &memmap,
						.fresh = true,
						.rsdp = 0xe0000,
						.info_gpa = 0x7000,
						.cmdline_gpa = 0x20000 };
	struct arch_boot boot;
	struct guest_mem mem;
	int r;

	guest_mem_init(&mem);
	r = guest_mem_add(&mem, 0, LOW_RAM);
	assert(r == 0);
	r = kernel_load(kernel, &mem, &machine, &boot);
	/* Whatever starts, starts in its memory. */
	assert(r < 0 || boot.entry < LOW_RAM);
	guest_mem_fini(&mem);
}

/* A byte of choices, then the file; the initrd is its last quarter. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	const unsigned choice = (unsigned)fuzz_take(&in, 1);
	char path[32], initrd[32];
	const struct kernel_config config = {
		.path = path,
		.initrd = choice & 2 ? initrd : NULL,
		.low_ram = LOW_RAM,
		.by_firmware = choice & 1,
		.ram = 512 * MiB,
	};
	const int fd = fuzz_file(in.p, in.left, path);
	const int initrd_fd = fuzz_file(in.p + in.left - in.left / 4, in.left / 4, initrd);
	struct kernel kernel = { 0 };

	err_clear();
	if (kernel_open(&config, &kernel) == 0 && !config.by_firmware)
		load(&kernel);
	kernel_close(&kernel);
	close(initrd_fd);
	close(fd);
	return 0;
}
