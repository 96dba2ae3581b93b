/* SPDX-License-Identifier: Apache-2.0 */
/* The Linux boot protocol's image; see bzimage.h. */
#include "boot/bzimage.h"

#include <errno.h>

#include "core/err.h"
#include "core/sys.h"

/* The real-mode kernel header. [boot.rst, The Real-Mode Kernel Header] */
#define SETUP_SECTS        0x1f1u
#define SYSSIZE            0x1f4u /* in 16 bytes */
#define BOOT_FLAG          0x1feu
#define JUMP_LENGTH        0x201u /* of the jump at 0x200: the header ends where it goes */
#define HEADER             0x202u
#define VERSION            0x206u
#define LOADFLAGS          0x211u
#define INITRD_ADDR_MAX    0x22cu
#define KERNEL_ALIGNMENT   0x230u
#define RELOCATABLE_KERNEL 0x234u
#define XLOADFLAGS         0x236u
#define CMDLINE_SIZE       0x238u
#define PREF_ADDRESS       0x258u
#define INIT_SIZE          0x260u
#define HEADER_END         0x264u /* of protocol 2.12 */

#define BOOT_FLAG_MAGIC     0xaa55u
#define HEADER_MAGIC        0x53726448u /* "HdrS" */
#define JUMP_END            0x202u
#define VERSION_XLOADFLAGS  0x020cu
#define LOADFLAG_HIGH       (1u << 0)
#define XLF_KERNEL_64       (1u << 0)
#define SETUP_SECTS_DEFAULT 4u
#define SECTOR_SIZE         512u
#define PARAGRAPH           16u
#define ENTRY_64            0x200u /* from the load address */

bool bzimage_detect(const uint8_t *head, size_t len)
{
	return len >= HEADER + 4 && load_le(head + BOOT_FLAG, 2) == BOOT_FLAG_MAGIC &&
	       load_le(head + HEADER, 4) == HEADER_MAGIC;
}

/* The preferred address, or the lowest one that the kernel can be moved to. */
static int place(const uint8_t *head, uint64_t low_ram, struct bzimage *image)
{
	const uint64_t preferred = load_le(head + PREF_ADDRESS, 8);
	const uint64_t align = load_le(head + KERNEL_ALIGNMENT, 4);
	int r;

	image->room = MAX(load_le(head + INIT_SIZE, 4), image->size);
	image->gpa = preferred;
	if (preferred >= MiB && range_fits(preferred, image->room, low_ram))
		return 0;
	if (head[RELOCATABLE_KERNEL] && is_pow2(align)) {
		image->gpa = MAX(MiB, align);
		if (range_fits(image->gpa, image->room, low_ram))
			return 0;
	}
	/* Up to where, as far as the image can be believed. */
	if (image->gpa > UINT64_MAX - image->room)
		return err_set(ERR_FILE, -EINVAL, "the kernel image is damaged");
	r = err_set(ERR_LIMIT, -ENOSPC, "the kernel needs memory up to %llu MiB to unpack itself",
		    (unsigned long long)((image->gpa + image->room) / MiB + 1));
	err_hint("give the guest more with --memory");
	return r;
}

int bzimage_parse(const uint8_t *head, size_t len, uint64_t size, uint64_t low_ram,
		  struct bzimage *ret_image)
{
	struct bzimage image = { 0 };
	uint64_t paragraphs;
	size_t header_len;
	int r;

	if (len < HEADER_END)
		return err_set(ERR_FILE, -EINVAL, "the kernel image is truncated");
	if (load_le(head + VERSION, 2) < VERSION_XLOADFLAGS || !(head[LOADFLAGS] & LOADFLAG_HIGH) ||
	    !(head[XLOADFLAGS] & XLF_KERNEL_64)) {
		r = err_set(ERR_FILE, -EINVAL, "the kernel has no 64-bit entry");
		err_hint("use a kernel for x86-64, Linux 3.8 or newer");
		return r;
	}
	image.file_off =
		((head[SETUP_SECTS] ? head[SETUP_SECTS] : SETUP_SECTS_DEFAULT) + 1) * SECTOR_SIZE;
	paragraphs = load_le(head + SYSSIZE, 4);
	image.size = paragraphs * PARAGRAPH;
	if (!paragraphs || !range_fits(image.file_off, image.size, size))
		return err_set(ERR_FILE, -EINVAL,
			       "the kernel image is truncated: it says it has %llu bytes, "
			       "and has %llu",
			       (unsigned long long)(image.file_off + image.size),
			       (unsigned long long)size);
	if (image.size <= ENTRY_64)
		return err_set(ERR_FILE, -EINVAL, "the kernel image is damaged");

	/* What lies behind the header in the file is no part of it, and must not be passed on. */
	header_len = JUMP_END + head[JUMP_LENGTH] - BZIMAGE_HEADER_OFF;
	header_len = MIN(header_len, MIN(sizeof(image.header), len - BZIMAGE_HEADER_OFF));
	memcpy(image.header, head + BZIMAGE_HEADER_OFF, header_len);
	image.initrd_last = load_le(head + INITRD_ADDR_MAX, 4);
	image.cmdline_max = (uint32_t)load_le(head + CMDLINE_SIZE, 4);
	r = place(head, low_ram, &image);
	if (r == 0)
		*ret_image = image;
	return r;
}

int bzimage_load(const struct bzimage *image, int fd, const struct guest_mem *mem,
		 uint64_t *ret_entry)
{
	void *to = mem_ptr(mem, image->gpa, image->room);
	int r;

	if (!to)
		return err_set(ERR_INTERNAL, -EINVAL, "the kernel does not fit in memory");
	r = sys_pread_full(fd, to, image->size, image->file_off);
	if (r < 0)
		return err_sys(ERR_FILE, r, "read the kernel");
	*ret_entry = image->gpa + ENTRY_64;
	return 0;
}
