/* SPDX-License-Identifier: Apache-2.0 */
/* The pci_dev of a passed-through device, between vfio_pci.c and vfio_pci_access.c. */
#ifndef VFIO_PCI_ACCESS_H
#define VFIO_PCI_ACCESS_H

#include "devices/pci/pci.h"
#include "vfio/bar.h"
#include "vfio/config.h"
#include "vfio/device.h"
#include "vfio/irq.h"
#include "vfio/rom.h"
#include "vfio/vfio_pci.h"

struct vfio_pci {
	struct pci_dev pci; /* first */
	struct vfio_device dev;
	struct vfio_config config;
	struct vfio_bars bars;
	struct vfio_irq irq;
	struct vfio_rom rom;
	bool pci_ready;         /* pci_dev_init was called */
	bool dma_allowed;       /* guest memory is mapped; guarded by pci.lock */
	bool told[VFIO_EVENTS]; /* main thread */
	bool *dirty;            /* the caller's; NULL: nobody asks */
};

static inline struct vfio_pci *vfio_pci_of(struct pci_dev *pci)
{
	return container_of(pci, struct vfio_pci, pci);
}

/* The pci_dev_ops. */
uint32_t vfio_pci_access_read(struct pci_dev *pci, unsigned off, unsigned len);
void vfio_pci_access_write(struct pci_dev *pci, unsigned off, unsigned len, uint32_t val);

/* All with the lock held. */

/* Wakes the device, if the guest has put it to sleep. */
void vfio_pci_force_d0(struct vfio_pci *v);

/* After a change of what decides whether other devices reach its BARs. */
void vfio_pci_update_p2p(struct vfio_pci *v);

/* In vfio_pci.c: a function-level reset, which the guest asked for. */
void vfio_pci_function_reset(struct vfio_pci *v);

#endif
