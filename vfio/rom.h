/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The option ROM of a passed-through device, served from a copy: the device's own is read when the
 * guest first looks, which is slow and on some cards fails; one from a file at once. The copy is a
 * read-only memory slot while the ROM is decoded. [PCI-3.0 6.2.5.2 Expansion ROM Base Address
 * Register, 6.3 PCI Expansion ROMs].
 */
#ifndef VFIO_ROM_H
#define VFIO_ROM_H

#include "core/bus.h"
#include "core/vm.h"
#include "devices/pci/pci.h"
#include "vfio/device.h"

struct vfio_rom {
	struct pci_dev *pci;
	const struct vfio_device *dev;
	uint8_t *data; /* NULL: no ROM */
	uint64_t size; /* of the BAR */
	/* pci->lock: `data` has the contents; the last try failed, and was said to the user. */
	bool loaded, failed, told;
	struct bus_range range;
	struct vm_slot slot;
};

/* A copy of an option ROM from the user's file. */
struct vfio_rom_file {
	void *data;
	size_t len; /* 0: none */
};

/* Says what is wrong with the file (kind ERR_FILE). Before any device is touched. */
int MUST_CHECK vfio_rom_file_read(const char *path, struct vfio_rom_file *ret_file);
void vfio_rom_file_free(struct vfio_rom_file *file);

/*
 * Declares the ROM BAR, if there is a ROM: a copy of `file` if that is not NULL, else the device's;
 * none if `off`. A device without a readable ROM is no error.
 */
int MUST_CHECK vfio_rom_init(struct vfio_rom *rom, struct pci_dev *pci,
			     const struct vfio_device *dev, const struct vfio_rom_file *file,
			     bool off);
/* After pci_dev_fini. */
void vfio_rom_fini(struct vfio_rom *rom);

/* pci_dev_ops.bar_map and bar_unmap for PCI_BAR_ROM; pci->lock held. */
void vfio_rom_map(struct vfio_rom *rom);
void vfio_rom_unmap(struct vfio_rom *rom);

/*
 * Sets the device ID in the image at `data` to `device` and makes its checksum right again, if it
 * is an image of the same vendor: one ROM often serves several cards.
 */
void vfio_rom_fix_id(uint8_t *data, uint64_t size, uint16_t vendor, uint16_t device);

#endif
