/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MSI-X of a passed-through device: table and pending bits are pci_msix's, and each vector's
 * eventfd goes to VFIO when the guest first unmasks it. With the device's lock held.
 * [PCIe-5.0 7.7.2 MSI-X Capability and Table Structure].
 */
#include "core/err.h"
#include "core/log.h"
#include "core/sys.h"
#include "vfio/irq_parts.h"

void vfio_irq_msix_disable(struct vfio_irq *irq)
{
	vfio_irq_disable_index(irq, VFIO_PCI_MSIX_IRQ_INDEX);
	memset(irq->armed, 0, sizeof(irq->armed));
	irq->mode = VFIO_IRQ_NONE;
}

/*
 * Turns the device's MSI-X on with no vector armed: from here on vectors are added one by one, and
 * none is ever taken away and given back, which would lose interrupts. A host that cannot add one
 * later (Linux before 6.5) allocates them all now, any other as the guest comes to need them.
 */
static void msix_enable(struct vfio_irq *irq)
{
	const unsigned now = irq->dev->irq_noresize[VFIO_PCI_MSIX_IRQ_INDEX] ? irq->msix.count : 1;

	if (irq->mode == VFIO_IRQ_INTX)
		vfio_irq_intx_disable(irq);
	if (irq->mode == VFIO_IRQ_MSI)
		vfio_irq_msi_disable(irq);
	if (vfio_irq_enable_vectors(irq, VFIO_PCI_MSIX_IRQ_INDEX, now, NULL) >= 0)
		irq->mode = VFIO_IRQ_MSIX;
}

static void msix_changes(struct pci_msix *msix, bool on)
{
	struct vfio_irq *irq = container_of(msix, struct vfio_irq, msix);

	if (on && irq->mode != VFIO_IRQ_MSIX)
		msix_enable(irq);
	else if (!on && irq->mode == VFIO_IRQ_MSIX)
		vfio_irq_msix_disable(irq);
}

static void msix_unmask(struct pci_msix *msix, unsigned i)
{
	struct vfio_irq *irq = container_of(msix, struct vfio_irq, msix);
	const uint64_t bit = 1ull << (i % 64);
	int32_t fd = msix->vecs[i].eventfd;
	int r;

	if (irq->mode != VFIO_IRQ_MSIX || irq->armed[i / 64] & bit)
		return;
	r = vfio_irqs_set(irq->dev, VFIO_PCI_MSIX_IRQ_INDEX, i, 1, &fd);
	if (r < 0)
		log_guest("%s: arm MSI-X vector %u: %s", irq->dev->bdf, i, strerror(-r));
	else
		irq->armed[i / 64] |= bit;
}

static const struct pci_msix_ops msix_ops = {
	.enable = msix_changes,
	.unmask = msix_unmask,
};

/* The area `len` long that the register at `reg` points to: an offset with a BAR's number in it. */
static struct vfio_area msix_area(const struct pci_dev *pci, unsigned reg, uint64_t len,
				  unsigned *ret_bar)
{
	const uint32_t val = (uint32_t)load_le(pci->config + reg, 4);

	*ret_bar = val & PCI_MSIX_TABLE_BIR;
	return (struct vfio_area){ val & PCI_MSIX_TABLE_OFFSET, len };
}

static bool in_memory_bar(const struct vfio_irq *irq, unsigned bar, const struct vfio_area *area)
{
	return bar < PCI_BARS &&
	       (irq->pci->bars[bar].kind == PCI_BAR_MEM32 ||
		irq->pci->bars[bar].kind == PCI_BAR_MEM64) &&
	       range_fits(area->off, area->size, irq->dev->regions[bar].size);
}

/*
 * Some devices point their pending bits outside of the BAR. Nobody needs the real ones: the guest
 * is given a place right behind the table instead.
 */
static bool msix_repair_pba(struct vfio_irq *irq, unsigned cap)
{
	struct vfio_msix_layout *l = &irq->layout;

	l->device_pba_bar = l->pba_bar;
	l->device_pba_off = l->pba.off;
	if (in_memory_bar(irq, l->pba_bar, &l->pba))
		return true;
	l->device_pba_bar = PCI_BARS;
	l->pba_bar = l->table_bar;
	l->pba.off = align_up(l->table.off + l->table.size, 8);
	if (!in_memory_bar(irq, l->pba_bar, &l->pba))
		return false;
	log_warn("%s: its MSI-X pending bits are out of bounds and were moved", irq->dev->bdf);
	store_le(irq->pci->config + cap + PCI_MSIX_PBA, 4, l->pba.off | l->pba_bar);
	return true;
}

int vfio_irq_msix_init(struct vfio_irq *irq, struct vfio_config *cfg)
{
	struct vfio_msix_layout *l = &irq->layout;
	const unsigned cap = cfg->msix;
	uint8_t *flags = irq->pci->config + cap + PCI_MSIX_FLAGS;
	const unsigned count = ((unsigned)load_le(flags, 2) & PCI_MSIX_FLAGS_QSIZE) + 1;
	const uint64_t pba_len = align_up(count, 64) / 8;
	int r;

	store_le(flags, 2, count - 1);
	l->table = msix_area(irq->pci, cap + PCI_MSIX_TABLE, count * PCI_MSIX_ENTRY_SIZE,
			     &l->table_bar);
	l->pba = msix_area(irq->pci, cap + PCI_MSIX_PBA, pba_len, &l->pba_bar);
	if (!in_memory_bar(irq, l->table_bar, &l->table) || !msix_repair_pba(irq, cap) ||
	    irq->dev->irq_counts[VFIO_PCI_MSIX_IRQ_INDEX] < count) {
		log_warn("%s: its MSI-X cannot be used and is hidden", irq->dev->bdf);
		vfio_config_hide_cap(cfg, cap, PCI_CAP_MSIX_SIZEOF);
		return 0;
	}
	r = pci_msix_init(&irq->msix, irq->pci, cap, count, &msix_ops);
	if (r < 0)
		return err_wrap(r, "%s", irq->dev->bdf);
	irq->has_msix = true;
	l->msix = &irq->msix;
	return 0;
}
