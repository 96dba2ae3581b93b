/* SPDX-License-Identifier: Apache-2.0 */
/* ELF kernels with a PVH entry; see elf_pvh.h. */
#include "boot/elf_pvh.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/sys.h"

/* [Xen elfnote.h] */
#define XEN_ELFNOTE_PHYS32_ENTRY 18u
#define XEN_NOTE_NAME            "Xen"
#define NOTE_ALIGN               4u

/* Notes are a few hundred bytes; whoever has more than this has no kernel. */
#define NOTES_MAX MiB

/* hvm_start_info, version 1. [start_info.h] */
#define INFO_MAGIC          0x336ec578u
#define INFO_VERSION        1u
#define INFO_NR_MODULES     0x0cu
#define INFO_MODLIST        0x10u
#define INFO_CMDLINE        0x18u
#define INFO_RSDP           0x20u
#define INFO_MEMMAP         0x28u
#define INFO_MEMMAP_ENTRIES 0x30u
#define INFO_SIZE           0x38u
#define MODULE_SIZE         32u
#define MEMMAP_ENTRY_SIZE   24u

bool elf_pvh_detect(const uint8_t *head, size_t len)
{
	return len >= SELFMAG && memcmp(head, ELFMAG, SELFMAG) == 0;
}

static int damaged(void)
{
	return err_set(ERR_FILE, -EINVAL, "the kernel image is truncated or damaged");
}

static int read_part(const struct elf_pvh_file *file, void *buf, size_t len, uint64_t off)
{
	int r;

	if (range_fits(off, len, file->head_len)) {
		memcpy(buf, file->head + off, len);
		return 0;
	}
	r = sys_pread_full(file->fd, buf, len, off);
	return r < 0 ? err_sys(ERR_FILE, r, "read the kernel") : 0;
}

static int parse_header(const struct elf_pvh_file *file, Elf64_Ehdr *ret_header)
{
	int r;

	if (file->size < sizeof(*ret_header))
		return damaged();
	r = read_part(file, ret_header, sizeof(*ret_header), 0);
	if (r < 0)
		return r;
	if (ret_header->e_ident[EI_CLASS] != ELFCLASS64 ||
	    ret_header->e_ident[EI_DATA] != ELFDATA2LSB || ret_header->e_machine != EM_X86_64)
		return err_set(ERR_FILE, -EINVAL, "an ELF file for another kind of machine");
	if (ret_header->e_phentsize != sizeof(Elf64_Phdr) || ret_header->e_phnum == 0 ||
	    !range_fits(ret_header->e_phoff, ret_header->e_phnum * sizeof(Elf64_Phdr), file->size))
		return damaged();
	return 0;
}

/* Looks for the entry in `len` bytes of notes; false if it is not there. */
static bool find_entry(const uint8_t *notes, uint64_t len, uint32_t *ret_entry)
{
	uint64_t off = 0;

	while (range_fits(off, sizeof(Elf64_Nhdr), len)) {
		const uint64_t name_size = load_le(notes + off, 4);
		const uint64_t desc_size = load_le(notes + off + 4, 4);
		const uint64_t type = load_le(notes + off + 8, 4);
		const uint64_t name = off + sizeof(Elf64_Nhdr);
		const uint64_t desc = name + align_up(name_size, NOTE_ALIGN);

		if (!range_fits(name, name_size, len) || !range_fits(desc, desc_size, len))
			return false;
		/* Linux has 8 bytes there, others 4. */
		if (type == XEN_ELFNOTE_PHYS32_ENTRY && name_size == sizeof(XEN_NOTE_NAME) &&
		    memcmp(notes + name, XEN_NOTE_NAME, sizeof(XEN_NOTE_NAME)) == 0 &&
		    desc_size >= 4) {
			*ret_entry = (uint32_t)load_le(notes + desc, 4);
			return true;
		}
		off = desc + align_up(desc_size, NOTE_ALIGN);
	}
	return false;
}

static int read_notes(const struct elf_pvh_file *file, const Elf64_Phdr *ph, struct elf_pvh *elf,
		      bool *found)
{
	uint8_t *notes;
	int r;

	if (ph->p_filesz == 0 || ph->p_filesz > NOTES_MAX)
		return 0;
	notes = malloc(ph->p_filesz);
	if (!notes)
		return err_sys(ERR_LIMIT, -ENOMEM, "read the kernel's notes");
	r = read_part(file, notes, ph->p_filesz, ph->p_offset);
	if (r == 0)
		*found |= find_entry(notes, ph->p_filesz, &elf->entry);
	free(notes);
	return r;
}

static int add_segment(const Elf64_Phdr *ph, uint64_t low_ram, struct elf_pvh *elf)
{
	if (ph->p_memsz == 0)
		return 0;
	/* Below 1 MiB is what we tell the kernel. */
	if (elf->count == ELF_PVH_SEGMENTS_MAX || ph->p_filesz > ph->p_memsz || ph->p_paddr < MiB ||
	    ph->p_memsz > UINT64_MAX - ph->p_paddr)
		return damaged();
	if (!range_fits(ph->p_paddr, ph->p_memsz, low_ram)) {
		err_set(ERR_LIMIT, -ENOSPC, "the kernel needs memory up to %llu MiB",
			(unsigned long long)((ph->p_paddr + ph->p_memsz) / MiB + 1));
		err_hint("give the guest more with --memory");
		return -ENOSPC;
	}
	elf->segments[elf->count].file_off = ph->p_offset;
	elf->segments[elf->count].file_size = ph->p_filesz;
	elf->segments[elf->count].gpa = ph->p_paddr;
	elf->segments[elf->count].size = ph->p_memsz;
	elf->count++;
	elf->first = MIN(elf->first, ph->p_paddr);
	elf->end = MAX(elf->end, ph->p_paddr + ph->p_memsz);
	return 0;
}

/* Goes through the segments of one type. */
static int walk(const struct elf_pvh_file *file, const Elf64_Phdr *phs, unsigned count,
		uint32_t type, uint64_t low_ram, struct elf_pvh *elf, bool *found)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < count; i++) {
		if (phs[i].p_type != type)
			continue;
		if (!range_fits(phs[i].p_offset, phs[i].p_filesz, file->size))
			return damaged();
		r = type == PT_LOAD ? add_segment(&phs[i], low_ram, elf)
				    : read_notes(file, &phs[i], elf, found);
	}
	return r;
}

static int parse_segments(const struct elf_pvh_file *file, const Elf64_Phdr *phs, unsigned count,
			  uint64_t low_ram, struct elf_pvh *elf)
{
	bool found = false;
	/* The notes first: any other program shall be told what it is not. */
	int r = walk(file, phs, count, PT_NOTE, low_ram, elf, &found);

	if (r < 0)
		return r;
	if (!found) {
		err_set(ERR_FILE, -EINVAL, "an ELF file without a PVH entry");
		err_hint("a Linux vmlinux has one if it was built with CONFIG_PVH; a bzImage "
			 "(vmlinuz) needs none");
		return -EINVAL;
	}
	r = walk(file, phs, count, PT_LOAD, low_ram, elf, &found);
	if (r < 0)
		return r;
	return elf->entry < elf->first || elf->entry >= elf->end ? damaged() : 0;
}

int elf_pvh_parse(const struct elf_pvh_file *file, uint64_t low_ram, struct elf_pvh *ret_elf)
{
	struct elf_pvh elf = { .first = UINT64_MAX };
	Elf64_Ehdr header;
	Elf64_Phdr *phs;
	int r = parse_header(file, &header);

	if (r < 0)
		return r;
	phs = calloc(header.e_phnum, sizeof(*phs));
	if (!phs)
		return err_sys(ERR_LIMIT, -ENOMEM, "read the kernel");
	r = read_part(file, phs, header.e_phnum * sizeof(*phs), header.e_phoff);
	if (r == 0)
		r = parse_segments(file, phs, header.e_phnum, low_ram, &elf);
	free(phs);
	if (r == 0)
		*ret_elf = elf;
	return r;
}

int elf_pvh_load(const struct elf_pvh *elf, int fd, bool fresh, const struct guest_mem *mem)
{
	for (unsigned i = 0; i < elf->count; i++) {
		const uint64_t file_size = elf->segments[i].file_size;
		uint8_t *to = mem_ptr(mem, elf->segments[i].gpa, elf->segments[i].size);
		int r;

		if (!to)
			return err_set(ERR_INTERNAL, -EINVAL, "the kernel does not fit in memory");
		r = sys_pread_full(fd, to, file_size, elf->segments[i].file_off);
		if (r < 0)
			return err_sys(ERR_FILE, r, "read the kernel");
		if (!fresh)
			memset(to + file_size, 0, elf->segments[i].size - file_size);
	}
	return 0;
}

void elf_pvh_info_fill(const struct elf_pvh_info *info, uint64_t gpa,
		       uint8_t ret_page[ELF_PVH_INFO_SIZE])
{
	_Static_assert(INFO_SIZE + MODULE_SIZE + MEMMAP_MAX * MEMMAP_ENTRY_SIZE <=
			       ELF_PVH_INFO_SIZE,
		       "the memory map does not fit");
	uint8_t *module = ret_page + INFO_SIZE;
	uint8_t *entry = module + MODULE_SIZE;

	memset(ret_page, 0, ELF_PVH_INFO_SIZE);
	store_le(ret_page, 4, INFO_MAGIC);
	store_le(ret_page + 4, 4, INFO_VERSION);
	store_le(ret_page + INFO_CMDLINE, 8, info->cmdline);
	store_le(ret_page + INFO_RSDP, 8, info->rsdp);
	if (info->initrd_size) {
		store_le(ret_page + INFO_NR_MODULES, 4, 1);
		store_le(ret_page + INFO_MODLIST, 8, gpa + INFO_SIZE);
		store_le(module, 8, info->initrd);
		store_le(module + 8, 8, info->initrd_size);
	}
	store_le(ret_page + INFO_MEMMAP, 8, gpa + INFO_SIZE + MODULE_SIZE);
	store_le(ret_page + INFO_MEMMAP_ENTRIES, 4, info->memmap->count);
	for (unsigned i = 0; i < info->memmap->count; i++, entry += MEMMAP_ENTRY_SIZE) {
		const struct memmap_range *range = &info->memmap->ranges[i];

		store_le(entry, 8, range->base);
		store_le(entry + 8, 8, range->size);
		store_le(entry + 16, 4, range->type);
	}
}
