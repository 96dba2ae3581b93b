/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decoding and trapping the BARs of a passed-through device. Maps change on a vCPU's thread with
 * the device's lock held; trapped accesses take the lock for the MSI-X table only. [PCI-3.0 6.2.5
 * Base Addresses], [PCIe-5.0 7.7.2 MSI-X Capability and Table Structure].
 */
#include "vfio/bar.h"

#include <inttypes.h>

#include "core/log.h"

static bool in_area(const struct vfio_area *area, uint64_t off)
{
	return off >= area->off && off - area->off < area->size;
}

static struct bus *bar_bus(const struct vfio_bars *bars, unsigned n)
{
	const struct board *board = bars->pci->board;

	return bars->pci->bars[n].kind == PCI_BAR_IO ? board->pio : board->mmio;
}

static bool is_small(const struct vfio_bars *bars, unsigned n)
{
	return bars->pci->bars[n].size < vfio_host_page();
}

/* Others of the bus place their BARs under locks of their own: no page is known to be free then. */
static bool alone_on_bus(const struct pci_dev *pci)
{
	for (unsigned i = 0; pci->bus && i < ARRAY_SIZE(pci->bus->devs); i++) {
		if (pci->bus->devs[i] && pci->bus->devs[i] != pci)
			return false;
	}
	return true;
}

/* True if the small BAR `n` begins a page in which nothing else of the device is decoded. */
static bool has_own_page(const struct vfio_bars *bars, unsigned n)
{
	const struct pci_bar *bar = bars->pci->bars;
	const uint64_t page = vfio_host_page();

	if (bar[n].addr % page || !alone_on_bus(bars->pci))
		return false;
	for (unsigned i = 0; i <= PCI_BAR_ROM; i++) {
		if (i != n && bar[i].mapped && bar[i].kind != PCI_BAR_IO &&
		    align_down(bar[i].addr, page) == bar[n].addr)
			return false;
	}
	return true;
}

/* The slots that BAR `n` lacks; pci->lock held. */
static void map_slots(struct vfio_bars *bars, unsigned n, bool first)
{
	struct vfio_bar *bar = &bars->bar[n];
	const uint64_t addr = bars->pci->bars[n].addr;
	bool gaps = false;

	if (bar->piece_count && is_small(bars, n) && !has_own_page(bars, n)) {
		atomic_store(&bar->gaps, addr % vfio_host_page() == 0);
		return;
	}
	for (unsigned i = 0; i < bar->piece_count; i++) {
		struct vfio_bar_piece *piece = &bar->pieces[i];
		int r;

		if (piece->slot.mapped)
			continue;
		r = vm_slot_map(bars->pci->board->vm, &piece->slot, addr + piece->off, piece->size,
				piece->hva, 0);
		gaps |= r < 0;
		if (r < 0 && first)
			log_guest("%s: BAR %u is not mapped at 0x%" PRIx64 ": %s", bars->dev->bdf,
				  n, addr + piece->off, strerror(-r));
		if (r < 0)
			continue; /* something else is there, for devices too */
		piece->p2p = (struct vfio_p2p_range){
			.dev = bars->dev,
			.iova = addr + piece->off,
			.size = piece->size,
			.hva = piece->hva,
		};
		vfio_p2p_add(bars->dev->iommu->p2p, &piece->p2p);
	}
	atomic_store(&bar->gaps, gaps);
}

/* In a trapped access: what was in the way of a slot may have gone. */
static void fill_gaps(struct vfio_bar *bar)
{
	struct vfio_bars *bars = bar->bars;

	if (!atomic_load_explicit(&bar->gaps, memory_order_relaxed))
		return;
	pthread_mutex_lock(&bars->pci->lock);
	if (atomic_load(&bar->gaps) && bus_has(bar_bus(bars, bar->n), &bar->range))
		map_slots(bars, bar->n, false);
	pthread_mutex_unlock(&bars->pci->lock);
}

static uint64_t bar_read(void *opaque, uint64_t off, unsigned len)
{
	struct vfio_bar *bar = opaque;
	struct vfio_bars *bars = bar->bars;
	const struct vfio_msix_layout *m = &bars->msix;
	const bool table = m->msix && bar->n == m->table_bar && in_area(&m->table, off);
	const bool pba = m->msix && bar->n == m->pba_bar && in_area(&m->pba, off);
	uint64_t val = 0;

	fill_gaps(bar);
	if (!table && !pba)
		return off < bars->dev->regions[bar->n].size
			       ? vfio_region_read(bars->dev, bar->n, off, len)
			       : 0;
	/*
	 * A vector that was unmasked once pends in its eventfd, one that never was in the device:
	 * the two together are what the guest would see.
	 */
	if (pba && m->device_pba_bar < PCI_BARS)
		val = vfio_region_read(bars->dev, m->device_pba_bar,
				       m->device_pba_off + (off - m->pba.off), len);
	pthread_mutex_lock(&bars->pci->lock);
	if (table)
		val = pci_msix_table_read(m->msix, off - m->table.off, len);
	else
		val |= pci_msix_pba_read(m->msix, off - m->pba.off, len);
	pthread_mutex_unlock(&bars->pci->lock);
	return val;
}

static void bar_write(void *opaque, uint64_t off, unsigned len, uint64_t val)
{
	struct vfio_bar *bar = opaque;
	struct vfio_bars *bars = bar->bars;
	const struct vfio_msix_layout *m = &bars->msix;

	fill_gaps(bar);
	if (m->msix && bar->n == m->table_bar && in_area(&m->table, off)) {
		pthread_mutex_lock(&bars->pci->lock);
		pci_msix_table_write(m->msix, off - m->table.off, len, val);
		pthread_mutex_unlock(&bars->pci->lock);
		return;
	}
	if (m->msix && bar->n == m->pba_bar && in_area(&m->pba, off))
		return; /* read-only */
	if (off >= bars->dev->regions[bar->n].size)
		return;
	vfio_region_write(bars->dev, bar->n, off, len, val);
}

static const struct bus_ops bar_ops = {
	.read = bar_read,
	.write = bar_write,
	.name = "BAR of a passed-through device",
};

/*
 * What kind of BAR `n` is; VFIO shows its flags. The host may have found no room for one, I/O ports
 * above all: its register is 0 then and there is nothing to reach.
 */
static enum pci_bar_kind bar_kind(const struct vfio_device *dev, unsigned n, uint32_t reg)
{
	/* Those of virtual functions have no register: the physical one's SR-IOV capability has. */
	if (!dev->regions[n].size || (!reg && !dev->is_vf))
		return PCI_BAR_NONE;
	if (reg & PCI_BASE_ADDRESS_SPACE_IO)
		return PCI_BAR_IO;
	if ((reg & PCI_BASE_ADDRESS_MEM_TYPE_MASK) == PCI_BASE_ADDRESS_MEM_TYPE_64 &&
	    n + 1 < PCI_BARS)
		return PCI_BAR_MEM64;
	return PCI_BAR_MEM32;
}

static void declare(struct vfio_bars *bars, unsigned n, enum pci_bar_kind kind, uint64_t size,
		    bool prefetch)
{
	pci_bar_init(bars->pci, n, kind, size, prefetch);
	bars->bar[n].range = (struct bus_range){
		.size = size,
		.ops = &bar_ops,
		.dev = &bars->bar[n],
	};
}

static void bar_init(struct vfio_bars *bars, unsigned n)
{
	const struct vfio_region *region = &bars->dev->regions[n];
	const uint32_t reg = (uint32_t)vfio_region_read(bars->dev, VFIO_PCI_CONFIG_REGION_INDEX,
							PCI_BASE_ADDRESS_0 + 4 * n, 4);
	const enum pci_bar_kind kind = bar_kind(bars->dev, n, reg);
	/* At least what the register's flags leave: 4 ports or 16 bytes. */
	const uint64_t least = kind == PCI_BAR_IO ? 4 : 16;

	bars->bar[n].bars = bars;
	bars->bar[n].n = n;
	if (kind == PCI_BAR_NONE || (n && bars->pci->bars[n - 1].kind == PCI_BAR_MEM64))
		return;
	declare(bars, n, kind, pow2_ceil(MAX(region->size, least)),
		kind != PCI_BAR_IO && reg & PCI_BASE_ADDRESS_MEM_PREFETCH);
}

void vfio_bar_extend(struct vfio_bars *bars, unsigned n, uint64_t size)
{
	const struct pci_bar old = bars->pci->bars[n];
	const size_t len = old.kind == PCI_BAR_MEM64 ? 8 : 4;

	memset(bars->pci->wmask + PCI_BASE_ADDRESS_0 + 4 * n, 0, len);
	declare(bars, n, old.kind == PCI_BAR_NONE ? PCI_BAR_MEM32 : old.kind, size, old.prefetch);
}

void vfio_bars_init(struct vfio_bars *bars, struct pci_dev *pci, const struct vfio_device *dev)
{
	*bars = (struct vfio_bars){ .pci = pci, .dev = dev };
	for (unsigned n = 0; n < PCI_BARS; n++)
		bar_init(bars, n);
}

void vfio_bar_map(struct vfio_bars *bars, unsigned n)
{
	struct vfio_bar *bar = &bars->bar[n];
	const uint64_t addr = bars->pci->bars[n].addr;
	int r;

	if (bars->asleep)
		return;
	vfio_bars_share_page(bars, addr);
	bar->range.base = addr;
	r = bus_add_or_wait(bar_bus(bars, n), &bar->range);
	if (r < 0) {
		log_guest("%s: BAR %u cannot be at 0x%" PRIx64 ": %s", bars->dev->bdf, n, addr,
			  strerror(-r));
		atomic_store(&bar->gaps, bar->piece_count > 0);
		return;
	}
	map_slots(bars, n, true);
}

static void unmap_slots(struct vfio_bars *bars, unsigned n)
{
	struct vfio_bar *bar = &bars->bar[n];

	for (unsigned i = 0; i < bar->piece_count; i++) {
		vfio_p2p_remove(bars->dev->iommu->p2p, &bar->pieces[i].p2p);
		vm_slot_unmap(bars->pci->board->vm, &bar->pieces[i].slot);
	}
}

void vfio_bar_unmap(struct vfio_bars *bars, unsigned n)
{
	atomic_store(&bars->bar[n].gaps, false);
	unmap_slots(bars, n);
	bus_remove(bar_bus(bars, n), &bars->bar[n].range);
}

void vfio_bars_share_page(struct vfio_bars *bars, uint64_t addr)
{
	for (unsigned n = 0; n < PCI_BARS; n++) {
		const struct pci_bar *bar = &bars->pci->bars[n];

		if (!bar->mapped || !is_small(bars, n) || !bars->bar[n].piece_count ||
		    bar->addr != align_down(addr, vfio_host_page()) || bar->addr == addr)
			continue;
		unmap_slots(bars, n);
		atomic_store(&bars->bar[n].gaps, true);
	}
}

void vfio_bars_sleep(struct vfio_bars *bars)
{
	for (unsigned n = 0; n < PCI_BARS; n++) {
		if (bars->pci->bars[n].mapped)
			vfio_bar_unmap(bars, n);
	}
	bars->asleep = true;
}

void vfio_bars_wake(struct vfio_bars *bars)
{
	if (!bars->asleep)
		return;
	bars->asleep = false;
	for (unsigned n = 0; n < PCI_BARS; n++) {
		if (bars->pci->bars[n].mapped)
			vfio_bar_map(bars, n);
	}
}
