/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MSI of a passed-through device: the capability is emulated, up to 32 vectors, with or without 64
 * bit addresses and per-vector masks. With the device's lock held. [PCIe-5.0 7.7.1 MSI Capability
 * Structures].
 */
#include "core/log.h"
#include "vfio/irq_parts.h"
#include "vfio/pci_msi.h"

#define MSI_LOG2_VECTORS_MAX 5u /* VFIO_MSI_VECTORS_MAX */

static unsigned msi_flags(const struct vfio_irq *irq)
{
	return (unsigned)load_le(irq->pci->config + irq->msi_cap + PCI_MSI_FLAGS, 2);
}

static unsigned msi_mask_off(const struct vfio_irq *irq)
{
	return irq->msi_cap +
	       (msi_flags(irq) & PCI_MSI_FLAGS_64BIT ? PCI_MSI_MASK_64 : PCI_MSI_MASK_32);
}

static unsigned msi_pending_off(const struct vfio_irq *irq)
{
	return msi_mask_off(irq) + 4;
}

static bool msi_masked(const struct vfio_irq *irq, unsigned i)
{
	return msi_flags(irq) & PCI_MSI_FLAGS_MASKBIT &&
	       load_le(irq->pci->config + msi_mask_off(irq), 4) >> i & 1;
}

/* Vector `i` is the message with the low bits of its data replaced by `i`. */
static void msi_route(struct vfio_irq *irq, unsigned i)
{
	const uint8_t *cap = irq->pci->config + irq->msi_cap;
	const bool wide = msi_flags(irq) & PCI_MSI_FLAGS_64BIT;
	uint64_t addr = load_le(cap + PCI_MSI_ADDRESS_LO, 4);
	uint32_t data = (uint32_t)load_le(cap + (wide ? PCI_MSI_DATA_64 : PCI_MSI_DATA_32), 2);

	if (wide)
		addr |= load_le(cap + PCI_MSI_ADDRESS_HI, 4) << 32;
	msi_vec_route(&irq->msi[i], addr, (data & ~(irq->msi_count - 1)) | i);
}

static void msi_apply(struct vfio_irq *irq)
{
	int r;

	for (unsigned i = 0; i < irq->msi_count; i++)
		msi_route(irq, i);
	r = irq_commit(irq->pci->board->irq);
	for (unsigned i = 0; r >= 0 && i < irq->msi_count; i++) {
		if (msi_masked(irq, i))
			msi_vec_mask(&irq->msi[i]);
		else
			r = msi_vec_unmask(&irq->msi[i]);
	}
	if (r < 0)
		log_guest("%s: MSI does not get through: %s", irq->dev->bdf, strerror(-r));
}

static void msi_free(struct vfio_irq *irq)
{
	for (unsigned i = 0; i < irq->msi_count; i++) {
		msi_vec_fini(&irq->msi[i]);
		/* Anew at the next enable: nothing of now may pend then. */
		msi_vec_init(&irq->msi[i], irq->pci->board->irq);
	}
	irq->msi_count = 0;
}

void vfio_irq_msi_disable(struct vfio_irq *irq)
{
	vfio_irq_disable_index(irq, VFIO_PCI_MSI_IRQ_INDEX);
	msi_free(irq);
	irq->mode = VFIO_IRQ_NONE;
}

static void msi_enable(struct vfio_irq *irq)
{
	const unsigned flags = msi_flags(irq);
	const unsigned max = (flags & PCI_MSI_FLAGS_QMASK) >> 1;
	const unsigned asked = (flags & PCI_MSI_FLAGS_QSIZE) >> 4;
	int32_t fds[VFIO_MSI_VECTORS_MAX];
	int r = 0;

	if (irq->mode == VFIO_IRQ_INTX)
		vfio_irq_intx_disable(irq);
	irq->msi_count = 1u << MIN(asked, max);
	for (unsigned i = 0; r >= 0 && i < irq->msi_count; i++) {
		r = msi_vec_prepare(&irq->msi[i]);
		fds[i] = irq->msi[i].eventfd;
	}
	if (r < 0) {
		log_guest("%s: no MSI: %s", irq->dev->bdf, strerror(-r));
		msi_free(irq);
		return;
	}
	/* The device gets its eventfds before KVM listens to them: what comes first pends. */
	r = vfio_irq_enable_vectors(irq, VFIO_PCI_MSI_IRQ_INDEX, irq->msi_count, fds);
	if (r < 0) {
		msi_free(irq);
		return;
	}
	irq->mode = VFIO_IRQ_MSI;
	msi_apply(irq);
}

bool vfio_irq_msi_wanted(const struct vfio_irq *irq)
{
	return msi_flags(irq) & PCI_MSI_FLAGS_ENABLE;
}

void vfio_irq_msi_written(struct vfio_irq *irq, unsigned off, unsigned len)
{
	const bool on = vfio_irq_msi_wanted(irq);

	/*
	 * With MSI-X enabled as well, which the specification forbids, MSI-X stays; MSI then comes
	 * when MSI-X goes, whatever register that was.
	 */
	if (irq->mode == VFIO_IRQ_MSIX)
		return;
	if (!pci_access_hits(off, len, irq->msi_cap, pci_msi_len(msi_flags(irq))) &&
	    !(on && irq->mode == VFIO_IRQ_NONE))
		return;
	if (on && irq->mode == VFIO_IRQ_MSI)
		msi_apply(irq);
	else if (on)
		msi_enable(irq);
	else if (irq->mode == VFIO_IRQ_MSI)
		vfio_irq_msi_disable(irq);
}

/* A register that the guest may write, 0 at power-on. */
static void msi_register(struct pci_dev *pci, unsigned off, unsigned len, uint32_t mask)
{
	store_le(pci->config + off, len, 0);
	pci_set_wmask(pci, off, len, mask);
}

void vfio_irq_msi_init(struct vfio_irq *irq, struct vfio_config *cfg)
{
	const uint32_t writable = PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE;
	struct pci_dev *pci = irq->pci;
	const unsigned cap = cfg->msi;
	unsigned flags, log2;

	irq->msi_cap = cap;
	if (!irq->dev->irq_counts[VFIO_PCI_MSI_IRQ_INDEX]) {
		vfio_config_hide_cap(cfg, cap, pci_msi_len(msi_flags(irq)));
		irq->msi_cap = 0;
		return;
	}
	/* Off, no extended message data, and at most 32 vectors: larger numbers are reserved. */
	flags = msi_flags(irq) &
		(PCI_MSI_FLAGS_QMASK | PCI_MSI_FLAGS_64BIT | PCI_MSI_FLAGS_MASKBIT);
	log2 = MIN((flags & PCI_MSI_FLAGS_QMASK) >> 1, MSI_LOG2_VECTORS_MAX);
	flags = (flags & ~(unsigned)PCI_MSI_FLAGS_QMASK) | log2 << 1;
	store_le(pci->config + cap + PCI_MSI_FLAGS, 2, flags);
	pci_set_wmask(pci, cap + PCI_MSI_FLAGS, 2, writable);

	msi_register(pci, cap + PCI_MSI_ADDRESS_LO, 4, 0xfffffffc);
	if (flags & PCI_MSI_FLAGS_64BIT) {
		msi_register(pci, cap + PCI_MSI_ADDRESS_HI, 4, 0xffffffff);
		msi_register(pci, cap + PCI_MSI_DATA_64, 2, 0xffff);
	} else {
		msi_register(pci, cap + PCI_MSI_DATA_32, 2, 0xffff);
	}
	if (flags & PCI_MSI_FLAGS_MASKBIT) {
		msi_register(pci, msi_mask_off(irq), 4, 0xffffffff);
		msi_register(pci, msi_pending_off(irq), 4, 0);
	}
}

void vfio_irq_msi_read(struct vfio_irq *irq, unsigned off, unsigned len)
{
	uint32_t pending = 0;

	if (!(msi_flags(irq) & PCI_MSI_FLAGS_MASKBIT) ||
	    !pci_access_hits(off, len, msi_pending_off(irq), 4))
		return;
	for (unsigned i = 0; i < irq->msi_count; i++) {
		if (msi_vec_pending(&irq->msi[i]))
			pending |= 1u << i;
	}
	store_le(irq->pci->config + msi_pending_off(irq), 4, pending);
}
