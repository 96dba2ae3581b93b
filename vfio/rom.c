/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The copy of an option ROM and its BAR. Mapped and unmapped on a vCPU with the device's lock held;
 * the trapped reads that come before the copy exists take the lock themselves.
 * [PCI-3.0 6.3.1 PCI Expansion ROM Contents].
 */
#include "vfio/rom.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "core/err.h"
#include "core/log.h"
#include "core/sys.h"

#define ROM_SIZE_MIN 0x1000u    /* the BAR's least is 2 KiB; a memory slot takes a page */
#define ROM_SIZE_MAX (16 * MiB) /* [PCI-3.0 6.2.5.2] */
#define ROM_CHUNK    0x1000u

/* [PCI-3.0 6.3.1.1 PCI Expansion ROM Header Format, 6.3.1.2 PCI Data Structure Format] */
#define ROM_SIGNATURE       0xaa55
#define ROM_PCIR_POINTER    0x18
#define ROM_CHECKSUM        6 /* a byte of the entry point that images for PC-AT leave free */
#define ROM_LENGTH          2 /* in 512 bytes, images for PC-AT */
#define PCIR_SIGNATURE      0x52494350 /* "PCIR" */
#define PCIR_VENDOR         4
#define PCIR_DEVICE         6
#define PCIR_CODE_TYPE      0x14
#define PCIR_SIZE           0x18
#define PCIR_CODE_TYPE_PCAT 0

static bool has_signature(const uint8_t *data)
{
	return load_le(data, 2) == ROM_SIGNATURE;
}

/* An image for PC-AT sums to 0: the byte at ROM_CHECKSUM is made to see to it. */
static void fix_checksum(uint8_t *data, uint64_t size)
{
	const uint64_t len = MIN((uint64_t)data[ROM_LENGTH] * 512, size);
	uint8_t sum = 0;

	for (uint64_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + data[i]);
	data[ROM_CHECKSUM] = (uint8_t)(data[ROM_CHECKSUM] - sum);
}

void vfio_rom_fix_id(uint8_t *data, uint64_t size, uint16_t vendor, uint16_t device)
{
	uint64_t pcir;

	if (size < ROM_PCIR_POINTER + 2 || !has_signature(data))
		return;
	pcir = load_le(data + ROM_PCIR_POINTER, 2);
	if (!range_fits(pcir, PCIR_SIZE, size) || load_le(data + pcir, 4) != PCIR_SIGNATURE ||
	    load_le(data + pcir + PCIR_VENDOR, 2) != vendor ||
	    load_le(data + pcir + PCIR_DEVICE, 2) == device)
		return;
	store_le(data + pcir + PCIR_DEVICE, 2, device);
	if (data[pcir + PCIR_CODE_TYPE] == PCIR_CODE_TYPE_PCAT)
		fix_checksum(data, size);
}

/*
 * Reads the device's ROM as far as that works. Bytes that cannot be read are ones. False if it is
 * no ROM: a display that is being set up may show its own later.
 */
static bool load_from_device(struct vfio_rom *rom)
{
	const struct vfio_region *region = &rom->dev->regions[VFIO_PCI_ROM_REGION_INDEX];
	const uint64_t size = MIN(region->size, rom->size);
	uint64_t done = 0;

	memset(rom->data, 0xff, rom->size);
	while (done < size) {
		const uint64_t n = MIN(size - done, (uint64_t)ROM_CHUNK);

		if (sys_pread_full(rom->dev->fd, rom->data + done, n, region->offset + done) < 0)
			break;
		done += n;
	}
	if (!has_signature(rom->data)) {
		memset(rom->data, 0xff, rom->size);
		if (rom->told)
			return false;
		rom->told = true;
		log_warn("%s: its option ROM cannot be read (a display in use often hides it): "
			 "give a copy with rom=FILE, or rom=off",
			 rom->dev->bdf);
		return false;
	}
	vfio_rom_fix_id(rom->data, size, (uint16_t)load_le(rom->pci->config + PCI_VENDOR_ID, 2),
			(uint16_t)load_le(rom->pci->config + PCI_DEVICE_ID, 2));
	return true;
}

static void map_slot(struct vfio_rom *rom)
{
	/* Without a slot the ROM is trapped, which is slow but right. */
	if (rom->slot.mapped || !bus_has(rom->pci->board->mmio, &rom->range))
		return;
	if (vm_slot_map(rom->pci->board->vm, &rom->slot, rom->range.base, rom->size, rom->data,
			VM_SLOT_READONLY) < 0)
		log_guest("%s: its ROM is not mapped at 0x%" PRIx64, rom->dev->bdf,
			  rom->range.base);
}

static uint64_t rom_read(void *opaque, uint64_t off, unsigned len)
{
	struct vfio_rom *rom = opaque;

	pthread_mutex_lock(&rom->pci->lock);
	if (!rom->loaded && !rom->failed) {
		rom->loaded = load_from_device(rom);
		rom->failed = !rom->loaded;
		if (rom->loaded)
			map_slot(rom);
	}
	pthread_mutex_unlock(&rom->pci->lock);
	return load_le(rom->data + off, len);
}

static void rom_write(void *opaque, uint64_t off, unsigned len, uint64_t val)
{
	/* It is a ROM. */
}

static const struct bus_ops rom_ops = {
	.read = rom_read,
	.write = rom_write,
	.name = "option ROM",
};

int vfio_rom_file_read(const char *path, struct vfio_rom_file *ret_file)
{
	struct vfio_rom_file file;
	int r = sys_read_file(path, ROM_SIZE_MAX, &file.data, &file.len);

	if (r == -EFBIG)
		return err_set(ERR_FILE, r, "option ROM '%s' is larger than 16 MiB", path);
	if (r < 0)
		return err_sys(ERR_FILE, r, "read option ROM '%s'", path);
	if (file.len >= 2 && has_signature(file.data)) {
		*ret_file = file;
		return 0;
	}
	free(file.data);
	err_set(ERR_FILE, -EINVAL, "'%s' is not an option ROM: it does not begin with 55 AA", path);
	err_hint("dumps of some tools have a header before it, which must be cut off");
	return -EINVAL;
}

void vfio_rom_file_free(struct vfio_rom_file *file)
{
	free(file->data);
	*file = (struct vfio_rom_file){ 0 };
}

static int make_bar(struct vfio_rom *rom, uint64_t size)
{
	rom->size = pow2_ceil(MAX(size, (uint64_t)ROM_SIZE_MIN));
	rom->data =
		mmap(NULL, rom->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (rom->data == MAP_FAILED) {
		rom->data = NULL;
		return err_sys(ERR_LIMIT, -errno, "option ROM");
	}
	rom->range = (struct bus_range){ .size = rom->size, .ops = &rom_ops, .dev = rom };
	pci_bar_init(rom->pci, PCI_BAR_ROM, PCI_BAR_EXPROM, rom->size, false);
	return 0;
}

static int init_from_file(struct vfio_rom *rom, const struct vfio_rom_file *file)
{
	int r = make_bar(rom, file->len);

	if (r < 0)
		return r;
	memset(rom->data, 0xff, rom->size);
	memcpy(rom->data, file->data, file->len);
	rom->loaded = true;
	return 0;
}

int vfio_rom_init(struct vfio_rom *rom, struct pci_dev *pci, const struct vfio_device *dev,
		  const struct vfio_rom_file *file, bool off)
{
	const struct vfio_region *region = &dev->regions[VFIO_PCI_ROM_REGION_INDEX];

	*rom = (struct vfio_rom){ .pci = pci, .dev = dev };
	if (off)
		return 0;
	if (file)
		return init_from_file(rom, file);
	if (region->size && region->size <= ROM_SIZE_MAX)
		return make_bar(rom, region->size);
	/* The kernel reports a ROM that it cannot read as a BAR without a region. */
	if (vfio_region_read(dev, VFIO_PCI_CONFIG_REGION_INDEX, PCI_ROM_ADDRESS, 4) &
	    (uint32_t)PCI_ROM_ADDRESS_MASK)
		log_info("%s: its option ROM cannot be read, so that the guest sees none; give a "
			 "copy with rom=FILE if it is needed",
			 dev->bdf);
	return 0;
}

void vfio_rom_fini(struct vfio_rom *rom)
{
	if (rom->data)
		munmap(rom->data, rom->size);
	rom->data = NULL;
}

void vfio_rom_map(struct vfio_rom *rom)
{
	const uint64_t addr = rom->pci->bars[PCI_BAR_ROM].addr;

	/* Once each time that the guest begins to decode it, not with every read of it. */
	rom->failed = false;
	rom->range.base = addr;
	if (bus_add_or_wait(rom->pci->board->mmio, &rom->range) < 0) {
		log_guest("%s: its ROM cannot be at 0x%" PRIx64, rom->dev->bdf, addr);
		return;
	}
	if (rom->loaded)
		map_slot(rom);
}

void vfio_rom_unmap(struct vfio_rom *rom)
{
	vm_slot_unmap(rom->pci->board->vm, &rom->slot);
	bus_remove(rom->pci->board->mmio, &rom->range);
}
