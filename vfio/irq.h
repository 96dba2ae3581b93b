/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interrupts of a passed-through device, from its eventfds straight into KVM: INTx, MSI and
 * MSI-X, one of them at a time. What the guest masks is masked between eventfd and KVM; VFIO is
 * called only when a kind of interrupt is turned on or off and when a vector is used first.
 * [PCI-3.0 6.2.4 Interrupt Pin], [PCIe-5.0 7.7.1 MSI, 7.7.2 MSI-X]. All with pci_dev's lock held.
 */
#ifndef VFIO_IRQ_H
#define VFIO_IRQ_H

#include "core/irq.h"
#include "devices/pci/pci.h"
#include "devices/pci/pci_msix.h"
#include "vfio/bar.h"
#include "vfio/config.h"
#include "vfio/device.h"

#define VFIO_MSI_VECTORS_MAX 32u

enum vfio_irq_mode { VFIO_IRQ_NONE, VFIO_IRQ_INTX, VFIO_IRQ_MSI, VFIO_IRQ_MSIX };

struct vfio_irq {
	struct pci_dev *pci;
	const struct vfio_device *dev;
	enum vfio_irq_mode mode; /* what VFIO has enabled */

	bool has_intx; /* cleared when the host turns out not to give it */
	int trigger_fd, resample_fd;

	unsigned msi_cap;   /* 0: none */
	unsigned msi_count; /* enabled now */
	struct msi_vec msi[VFIO_MSI_VECTORS_MAX];

	bool has_msix;
	struct pci_msix msix;
	struct vfio_msix_layout layout;            /* layout.msix: &msix, or NULL without MSI-X */
	uint64_t armed[PCI_MSIX_VECTORS_MAX / 64]; /* vectors whose eventfd VFIO has */
};

/*
 * Sets up the guest's capabilities and pin. After vfio_bars_init; `cfg` loses capabilities that
 * cannot work.
 */
int MUST_CHECK vfio_irq_init(struct vfio_irq *irq, struct vfio_config *cfg);
void vfio_irq_fini(struct vfio_irq *irq);

/* After pci_config_write: acts on what it changed. */
void vfio_irq_config_written(struct vfio_irq *irq, unsigned off, unsigned len);
/* Before a read of [off, off + len): brings MSI's pending bits up to date. */
void vfio_irq_config_read(struct vfio_irq *irq, unsigned off, unsigned len);

/* Everything off, as before a reset. The guest's registers are the caller's matter. */
void vfio_irq_quiesce(struct vfio_irq *irq);

#endif
