/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The BARs of a passed-through device: what can be mapped is a KVM memory slot, which the guest
 * reaches without exits; the rest (I/O ports, the pages of the MSI-X table and pending bits, BARs
 * smaller than a page) is trapped and done with one system call an access.
 *
 * One bus range covers each BAR whole and the slots lie over it, so that a part whose slot cannot
 * be had is slow, not absent. [PCI-3.0 6.2.5 Base Addresses].
 */
#ifndef VFIO_BAR_H
#define VFIO_BAR_H

#include "core/bus.h"
#include "core/vm.h"
#include "devices/pci.h"
#include "devices/pci_msix.h"
#include "vfio/device.h"

/* Two traps split their areas into one more piece each. */
#define VFIO_BAR_PIECES_MAX (VFIO_AREAS_MAX + 2)

struct vfio_bars;

/* Where the MSI-X structures are. */
struct vfio_msix_layout {
	struct pci_msix *msix; /* NULL: the device has none */
	unsigned table_bar, pba_bar;
	struct vfio_area table, pba;
	bool pba_is_real; /* the device has its pending bits there too */
};

struct vfio_bar_piece {
	uint64_t off, size;
	void *hva;
	struct vm_slot slot;
};

struct vfio_bar {
	struct vfio_bars *bars;
	unsigned n;
	struct bus_range range;
	unsigned piece_count;
	struct vfio_bar_piece pieces[VFIO_BAR_PIECES_MAX];
	void *map; /* address space for the whole BAR, of which the pieces are mapped */
	uint64_t map_size;
};

struct vfio_bars {
	struct pci_dev *pci;
	const struct vfio_device *dev;
	struct vfio_msix_layout msix;
	bool asleep; /* not in D0: nothing is decoded; pci->lock */
	struct vfio_bar bar[PCI_BARS];
};

/*
 * The parts of a region that may be mapped: what VFIO allows, whole pages only, without the pages
 * that `traps` touch. At most VFIO_BAR_PIECES_MAX, ascending if the region's areas are; the count.
 */
unsigned vfio_bar_split(const struct vfio_region *region, const struct vfio_area *traps,
			unsigned trap_count, uint64_t page,
			struct vfio_area ret_pieces[VFIO_BAR_PIECES_MAX]);

/* Declares the device's BARs to pci_dev. */
void vfio_bars_init(struct vfio_bars *bars, struct pci_dev *pci, const struct vfio_device *dev);
/* Maps what can be mapped, once it is known where the MSI-X table is. */
int MUST_CHECK vfio_bars_mmap(struct vfio_bars *bars, const struct vfio_msix_layout *msix);
/* After pci_dev_fini. */
void vfio_bars_fini(struct vfio_bars *bars);

/* pci_dev_ops.bar_map and bar_unmap for n < PCI_BARS; pci->lock held. */
void vfio_bar_map(struct vfio_bars *bars, unsigned n);
void vfio_bar_unmap(struct vfio_bars *bars, unsigned n);

/* In and out of a power state in which the device decodes nothing; pci->lock held. */
void vfio_bars_sleep(struct vfio_bars *bars);
void vfio_bars_wake(struct vfio_bars *bars);

#endif
