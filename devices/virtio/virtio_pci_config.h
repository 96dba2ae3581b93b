/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The layout of BAR 0 and the configuration space of a virtio device. Between virtio_pci.c and
 * virtio_pci_config.c only. [virtio-1.2 4.1.4 Virtio Structure PCI Capabilities]
 */
#ifndef DEVICES_VIRTIO_PCI_CONFIG_H
#define DEVICES_VIRTIO_PCI_CONFIG_H

#include "devices/virtio/virtio_pci.h"

/*
 * BAR 0, a structure a page: the kernel of the guest can map each on its own, and a doorbell's page
 * holds nothing else. One 32-bit BAR that is not prefetchable, because reading the ISR clears it,
 * and because a small BAR in the 64-bit window would cost as much of it as the largest GPU BAR
 * beside it is aligned to.
 */
#define VIRTIO_BAR               0
#define VIRTIO_BAR_PAGE          0x1000u
#define VIRTIO_BAR_SIZE          (8 * VIRTIO_BAR_PAGE)
#define VIRTIO_NOTIFY_MULTIPLIER 4u
#define VIRTIO_ISR_LEN           1u

enum virtio_bar_page {
	VIRTIO_PAGE_COMMON,
	VIRTIO_PAGE_ISR,
	VIRTIO_PAGE_DEVICE,
	VIRTIO_PAGE_NOTIFY,
	VIRTIO_PAGE_MSIX_TABLE,
	VIRTIO_PAGE_MSIX_PBA,
};

static inline struct virtio_pci *virtio_pci_of(struct pci_dev *pci)
{
	return container_of(pci, struct virtio_pci, pci);
}

/* Adds the capabilities; MSI-X has a vector a queue and one for configuration changes. */
int MUST_CHECK virtio_pci_config_init(struct virtio_pci *vdev);

/* The pci_dev_ops; with the lock held. */
uint32_t virtio_pci_config_read(struct pci_dev *pci, unsigned off, unsigned len);
void virtio_pci_config_write(struct pci_dev *pci, unsigned off, unsigned len, uint32_t val);

/*
 * What virtio_pci.c does for it: accesses to BAR 0, with the lock held, and the line's level, with
 * intx_lock held.
 */
uint64_t virtio_bar_read(struct virtio_pci *vdev, uint64_t addr, unsigned len);
void virtio_bar_write(struct virtio_pci *vdev, uint64_t addr, unsigned len, uint64_t val);
void virtio_intx_update(struct virtio_pci *vdev);

#endif
