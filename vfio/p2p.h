/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Peer to peer: the BARs of passed-through devices as targets of the other devices' DMA, at the
 * addresses that they have in the guest. A BAR is in the IOMMU's page table from when it is decoded
 * and both its own device and another are at work until it is decoded no more.
 *
 * A device is at work when it is a bus master and, unless the user asked for peer to peer, sends
 * messages as interrupts. Firmware makes every device a bus master, and a kernel that looks for the
 * sizes of the BARs after it switches their decoding off and on, for each of them: without the
 * second condition large BARs would be mapped many times for nothing. Drivers of GPUs use messages;
 * those of other devices may poll.
 *
 * Mapping is done by the vCPU whose write makes it necessary: there is no interrupt that could tell
 * a driver that its DMA may begin. It takes long for a large BAR on a host before Linux 6.15.
 */
#ifndef VFIO_P2P_H
#define VFIO_P2P_H

#include "core/util.h"

struct pci_dev;
struct vfio_device;
struct vfio_iommu;
struct vfio_p2p;

enum vfio_p2p_mode {
	VFIO_P2P_AUTO, /* if at least two of the devices are GPUs */
	VFIO_P2P_ON,
	VFIO_P2P_OFF,
};

/* A mapped part of a BAR; lives in the BAR. */
struct vfio_p2p_range {
	struct vfio_p2p_range *next;
	const struct vfio_device *dev;
	uint64_t iova, size;
	void *hva;
	bool mapped, failed;
};

/*
 * Decides whether there is peer to peer, and sets iommu->p2p if so. After the last device was
 * created, before the guest runs. vfio_iommu_destroy ends it.
 */
int MUST_CHECK vfio_p2p_init(struct vfio_iommu *iommu, enum vfio_p2p_mode mode,
			     struct pci_dev *const *devs, unsigned count);
void vfio_p2p_destroy(struct vfio_p2p *p2p);

/*
 * Any thread, with the device's pci->lock held; nothing if p2p is NULL. A range that cannot be
 * mapped is logged and stays out. After _remove nothing refers to its memory any more.
 */
void vfio_p2p_add(struct vfio_p2p *p2p, struct vfio_p2p_range *range);
void vfio_p2p_remove(struct vfio_p2p *p2p, struct vfio_p2p_range *range);
/* `messages`: MSI or MSI-X is on, or the device has neither. */
void vfio_p2p_update(struct vfio_p2p *p2p, struct vfio_device *dev, bool master, bool messages);

#endif
