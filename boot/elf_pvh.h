/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An uncompressed kernel (vmlinux, or another system's) with a PVH entry: an ELF file whose note
 * XEN_ELFNOTE_PHYS32_ENTRY has the address where it starts in 32-bit mode, without paging.
 * [Xen docs/misc/pvh.pandoc, xen/include/public/arch-x86/hvm/start_info.h], [ELF-64 Object File
 * Format]. The image is not trusted. Main thread.
 */
#ifndef BOOT_ELF_PVH_H
#define BOOT_ELF_PVH_H

#include "boot/memmap.h"
#include "core/mem.h"

#define ELF_PVH_SEGMENTS_MAX 32u

struct elf_pvh {
	struct {
		uint64_t file_off, file_size;
		uint64_t gpa, size; /* the rest of it is zeroes */
	} segments[ELF_PVH_SEGMENTS_MAX];
	unsigned count;
	uint64_t first, end; /* of all segments in memory */
	uint32_t entry;
};

bool elf_pvh_detect(const uint8_t *head, size_t len);

/* A file of `size` bytes of which the first were read already. */
struct elf_pvh_file {
	int fd;
	uint64_t size;
	const uint8_t *head;
	size_t head_len;
};

/* ERR_FILE or, for too little memory, ERR_LIMIT; without the file's name. */
int MUST_CHECK elf_pvh_parse(const struct elf_pvh_file *file, uint64_t low_ram,
			     struct elf_pvh *ret_elf);

/* `fresh`: guest memory is all zeroes still, and what stays so is better not touched. */
int MUST_CHECK elf_pvh_load(const struct elf_pvh *elf, int fd, bool fresh,
			    const struct guest_mem *mem);

/* hvm_start_info with its lists behind it, one page for address `gpa`. */
#define ELF_PVH_INFO_SIZE 4096u
struct elf_pvh_info {
	const struct memmap *memmap;
	uint64_t rsdp;
	uint64_t cmdline;
	uint64_t initrd, initrd_size; /* size 0: none */
};
void elf_pvh_info_fill(const struct elf_pvh_info *info, uint64_t gpa,
		       uint8_t ret_page[ELF_PVH_INFO_SIZE]);

#endif
