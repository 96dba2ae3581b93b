/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moving MSI-X structures away from registers. Main thread, before the guest runs.
 * [PCIe-5.0 7.7.2 MSI-X Capability and Table Structure], [Linux:
 * VFIO_REGION_INFO_CAP_MSIX_MAPPABLE].
 */
#include "vfio/msix_move.h"

#include "core/log.h"

/* The largest BAR that is doubled for it: addresses below 4 GiB are few. */
#define EXTEND_MAX (64 * MiB)

static bool holds(const struct vfio_area *area, uint64_t off)
{
	return off >= area->off && off - area->off < area->size;
}

bool vfio_msix_shares_page(const struct vfio_msix_layout *layout, uint64_t page)
{
	const struct {
		unsigned bar;
		const struct vfio_area *area;
	} parts[] = {
		{ layout->table_bar, &layout->table },
		{ layout->pba_bar, &layout->pba },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(parts); i++) {
		const uint64_t begin = align_down(parts[i].area->off, page);
		bool found = false;

		for (unsigned k = 0; k < ARRAY_SIZE(parts); k++)
			found |= parts[k].bar == parts[i].bar && holds(parts[k].area, begin);
		if (!found)
			return true;
	}
	return false;
}

/* With the table elsewhere, all of the BARs that it and the pending bits are in could be mapped. */
static bool pays(const struct vfio_msix_layout *layout, const struct vfio_device *dev)
{
	const struct vfio_region *table = &dev->regions[layout->table_bar];

	return table->mmap && !table->sparse && table->msix_mappable &&
	       dev->regions[layout->pba_bar].mmap;
}

/* The last one: some drivers take the first memory BAR for their registers. PCI_BARS: none. */
static unsigned absent_bar(const struct vfio_bars *bars)
{
	for (unsigned n = PCI_BARS; n-- > 0;) {
		if (bars->pci->bars[n].kind == PCI_BAR_NONE && !bars->dev->regions[n].size &&
		    !(n && bars->pci->bars[n - 1].kind == PCI_BAR_MEM64))
			return n;
	}
	return PCI_BARS;
}

static unsigned smallest_bar(const struct vfio_bars *bars)
{
	unsigned best = PCI_BARS;

	for (unsigned n = 0; n < PCI_BARS; n++) {
		const struct pci_bar *bar = &bars->pci->bars[n];

		if ((bar->kind == PCI_BAR_MEM32 || bar->kind == PCI_BAR_MEM64) &&
		    bar->size <= EXTEND_MAX &&
		    (best == PCI_BARS || bar->size < bars->pci->bars[best].size))
			best = n;
	}
	return best;
}

void vfio_msix_move(struct vfio_msix_layout *layout, struct vfio_bars *bars, unsigned cap)
{
	const uint64_t page = vfio_host_page();
	const uint64_t pba = align_up(layout->table.size, 8);
	const uint64_t room = align_up(pba + layout->pba.size, page);
	unsigned n = absent_bar(bars);
	uint64_t base = 0;

	if (!layout->msix || !vfio_msix_shares_page(layout, page) || !pays(layout, bars->dev))
		return;
	if (n == PCI_BARS) {
		n = smallest_bar(bars);
		if (n == PCI_BARS)
			return;
		base = MAX(bars->pci->bars[n].size, page);
	}
	vfio_bar_extend(bars, n, pow2_ceil(base + room));
	layout->table_bar = layout->pba_bar = n;
	layout->table.off = base;
	layout->pba.off = base + pba;
	store_le(bars->pci->config + cap + PCI_MSIX_TABLE, 4, layout->table.off | n);
	store_le(bars->pci->config + cap + PCI_MSIX_PBA, 4, layout->pba.off | n);
	log_info("%s: its MSI-X table shares a page with registers: "
		 "the guest finds it in BAR %u at 0x%llx",
		 bars->dev->bdf, n, (unsigned long long)base);
}
