/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The BARs of a passed-through device: what can be mapped is a KVM memory slot, which the guest
 * reaches without exits; the rest (I/O ports, the pages of the MSI-X table and pending bits) is
 * trapped and done with one system call an access.
 *
 * One bus range covers each BAR whole and the slots lie over it, so that a part whose slot cannot
 * be had is slow, not absent. [PCI-3.0 6.2.5 Base Addresses].
 *
 * A BAR smaller than a page has a slot too, of its whole page, of which the host keeps the rest
 * free (the kernel lets it be mapped only then). In the guest it needs a page of its own for that.
 */
#ifndef VFIO_BAR_H
#define VFIO_BAR_H

#include <stdatomic.h>
#include <unistd.h>

#include "core/bus.h"
#include "core/vm.h"
#include "devices/pci/pci.h"
#include "devices/pci/pci_msix.h"
#include "vfio/device.h"
#include "vfio/p2p.h"

static inline uint64_t vfio_host_page(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Two traps split their areas into one more piece each. */
#define VFIO_BAR_PIECES_MAX (VFIO_AREAS_MAX + 2)

struct vfio_bars;

/* Where the MSI-X structures are. */
struct vfio_msix_layout {
	struct pci_msix *msix; /* NULL: the device has none */
	unsigned table_bar, pba_bar;
	struct vfio_area table, pba;
	/* Where the device has its own pending bits; PCI_BARS: nowhere. */
	unsigned device_pba_bar;
	uint64_t device_pba_off;
};

struct vfio_bar_piece {
	uint64_t off, size;
	void *hva;
	struct vm_slot slot;
	struct vfio_p2p_range p2p; /* while mapped */
};

struct vfio_bar {
	struct vfio_bars *bars;
	unsigned n;
	struct bus_range range;
	atomic_bool gaps; /* a piece lacks its slot, which the next trapped access may get */
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
 * that `traps` touch. A region smaller than a page is one page or nothing. At most
 * VFIO_BAR_PIECES_MAX, ascending if the region's areas are; the count.
 */
unsigned vfio_bar_split(const struct vfio_region *region, const struct vfio_area *traps,
			unsigned trap_count, uint64_t page,
			struct vfio_area ret_pieces[VFIO_BAR_PIECES_MAX]);

/* Declares the device's BARs to pci_dev. */
void vfio_bars_init(struct vfio_bars *bars, struct pci_dev *pci, const struct vfio_device *dev);
/*
 * Makes BAR `n` `size` bytes large, a power of two and more than its region, or adds it, if it is
 * absent and not the upper half of another. What is behind the region is nothing but MSI-X
 * structures of ours.
 */
void vfio_bar_extend(struct vfio_bars *bars, unsigned n, uint64_t size);
/* Maps what can be mapped, once it is known where the MSI-X table is. */
int MUST_CHECK vfio_bars_mmap(struct vfio_bars *bars, const struct vfio_msix_layout *msix);
/* After pci_dev_fini. */
void vfio_bars_fini(struct vfio_bars *bars);

/* pci_dev_ops.bar_map and bar_unmap for n < PCI_BARS; pci->lock held. */
void vfio_bar_map(struct vfio_bars *bars, unsigned n);
void vfio_bar_unmap(struct vfio_bars *bars, unsigned n);
/* Something else of the device begins to be decoded at `addr`: no small BAR has its page alone. */
void vfio_bars_share_page(struct vfio_bars *bars, uint64_t addr);

/* In and out of a power state in which the device decodes nothing; pci->lock held. */
void vfio_bars_sleep(struct vfio_bars *bars);
void vfio_bars_wake(struct vfio_bars *bars);

#endif
