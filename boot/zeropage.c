/* SPDX-License-Identifier: Apache-2.0 */
/* boot_params; see zeropage.h. */
#include "boot/zeropage.h"

/* Offsets in the page. */
#define ACPI_RSDP_ADDR    0x070u
#define EXT_RAMDISK_IMAGE 0x0c0u
#define EXT_RAMDISK_SIZE  0x0c4u
#define EXT_CMD_LINE_PTR  0x0c8u
#define E820_ENTRIES      0x1e8u
#define E820_TABLE        0x2d0u
#define E820_ENTRY_SIZE   20u

/* Of the setup header, which lies at the same offsets as in the file. */
#define VID_MODE       0x1fau
#define TYPE_OF_LOADER 0x210u
#define RAMDISK_IMAGE  0x218u
#define RAMDISK_SIZE   0x21cu
#define CMD_LINE_PTR   0x228u

#define VID_MODE_NORMAL  0xffffu
#define LOADER_UNDEFINED 0xffu

static void put_split(uint8_t *page, unsigned low_off, unsigned high_off, uint64_t val)
{
	store_le(page + low_off, 4, (uint32_t)val);
	store_le(page + high_off, 4, val >> 32);
}

void zeropage_fill(const struct zeropage *z, uint8_t ret_page[ZEROPAGE_SIZE])
{
	_Static_assert(E820_TABLE + MEMMAP_MAX * E820_ENTRY_SIZE <= ZEROPAGE_SIZE,
		       "the memory map does not fit");
	uint8_t *entry = ret_page + E820_TABLE;

	memset(ret_page, 0, ZEROPAGE_SIZE);
	memcpy(ret_page + BZIMAGE_HEADER_OFF, z->image->header, sizeof(z->image->header));
	store_le(ret_page + VID_MODE, 2, VID_MODE_NORMAL);
	ret_page[TYPE_OF_LOADER] = LOADER_UNDEFINED;
	store_le(ret_page + ACPI_RSDP_ADDR, 8, z->rsdp);
	put_split(ret_page, CMD_LINE_PTR, EXT_CMD_LINE_PTR, z->cmdline);
	put_split(ret_page, RAMDISK_IMAGE, EXT_RAMDISK_IMAGE, z->initrd_size ? z->initrd : 0);
	put_split(ret_page, RAMDISK_SIZE, EXT_RAMDISK_SIZE, z->initrd_size);

	ret_page[E820_ENTRIES] = (uint8_t)z->memmap->count;
	for (unsigned i = 0; i < z->memmap->count; i++, entry += E820_ENTRY_SIZE) {
		const struct memmap_range *range = &z->memmap->ranges[i];

		store_le(entry, 8, range->base);
		store_le(entry + 8, 8, range->size);
		store_le(entry + 16, 4, range->type);
	}
}
