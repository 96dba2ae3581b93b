/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration space of a passed-through device: which bits come from the device, which from
 * pci_dev.config (emulated), and which capabilities the guest does not see (hidden).
 * [PCI-3.0 6 Configuration Space], [PCIe-5.0 7 Software Initialization and Configuration].
 *
 * vfio-pci shows a virtual config space already: it keeps the guest from moving the real BARs,
 * from link settings and from error masks that are the host's. What is decided here is the rest:
 * everything that depends on the guest's view of addresses, interrupts and its bus.
 */
#ifndef VFIO_CONFIG_H
#define VFIO_CONFIG_H

#include "core/util.h"
#include "devices/pci/pci.h"
#include "vfio/device.h"

struct vfio_config {
	struct pci_dev *pci;
	struct vfio_device *dev;
	/* Bits that the guest reads from pci->config; a byte of all ones is never written through.
	 */
	uint8_t emulated[PCI_CONFIG_SIZE];
	/* Offsets of capabilities, 0: absent. The guest sees all of these but for `hide`. */
	unsigned pm, msi, msix, exp, af;
};

/* One register of VFIO's config region, past pci_dev: len 1, 2 or 4. */
uint32_t vfio_config_raw_read(const struct vfio_device *dev, unsigned off, unsigned len);
void vfio_config_raw_write(const struct vfio_device *dev, unsigned off, unsigned len, uint32_t val);

/* What pci_dev_init wants to know. */
void vfio_config_ids(const struct vfio_device *dev, struct pci_ids *ret_ids);

/*
 * After pci_dev_init: finds the capabilities, decides what the guest sees of them and fills
 * pci->config with the emulated part. The device must end up behind a root port: what is
 * integrated into the host's root complex is shown as an endpoint. Also finds out which resets the
 * device has (dev->has_flr, dev->pm_reset).
 */
void vfio_config_init(struct vfio_config *cfg, struct pci_dev *pci, struct vfio_device *dev);

/* Takes the capability at `cap` out of the guest's chain; its bytes read 0. Before the guest runs.
 */
void vfio_config_hide_cap(struct vfio_config *cfg, unsigned cap, unsigned len);

/* Makes [off, off + len) emulated, with the device's present contents. */
void vfio_config_emulate(struct vfio_config *cfg, unsigned off, unsigned len);

/* With pci->lock held. */
uint32_t vfio_config_read(const struct vfio_config *cfg, unsigned off, unsigned len);
/* The part of a guest's write that goes to the device; pci_config_write does the emulated part. */
void vfio_config_forward(const struct vfio_config *cfg, unsigned off, unsigned len, uint32_t val);

/* True if the write starts a function-level reset that the device offers. */
bool vfio_config_starts_flr(const struct vfio_config *cfg, unsigned off, unsigned len,
			    uint32_t val);

#endif
