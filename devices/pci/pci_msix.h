/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MSI-X: the capability, the vector table and the pending bits, over msi_vecs.
 * [PCIe-5.0 7.7.2 MSI-X Capability and Table Structure]. Emulated and passed-through devices use
 * the same code; who triggers the vector's eventfd differs.
 *
 * All functions but pci_msix_notify run with the pci_dev's lock held.
 */
#ifndef DEVICES_PCI_MSIX_H
#define DEVICES_PCI_MSIX_H

#include <stdatomic.h>

#include "core/irq.h"
#include "devices/pci/pci.h"

#define PCI_MSIX_VECTORS_MAX 2048u

struct pci_msix;

/* For a device whose interrupts come from elsewhere (VFIO). Both may be NULL. */
struct pci_msix_ops {
	/* MSI-X Enable is changing to `on`, before any vector is unmasked or after all are masked.
	 */
	void (*enable)(struct pci_msix *msix, bool on);
	/* The guest unmasked vector `i`, whose eventfd exists; called before KVM listens to it. */
	void (*unmask)(struct pci_msix *msix, unsigned i);
};

struct pci_msix {
	struct pci_dev *dev;
	const struct pci_msix_ops *ops;
	unsigned cap;   /* offset of the capability in config space */
	unsigned count; /* vectors, 1..2048 */
	struct msi_vec *vecs;
	uint8_t *table; /* count entries of 16 bytes, as the guest reads them */
	atomic_bool enabled;
	bool function_masked;
};

/*
 * Takes over the capability at `cap`, whose table size, BIRs and offsets the caller has filled in
 * or found there. -ENOMEM.
 */
int MUST_CHECK pci_msix_init(struct pci_msix *msix, struct pci_dev *dev, unsigned cap,
			     unsigned count, const struct pci_msix_ops *ops);
void pci_msix_fini(struct pci_msix *msix);
void pci_msix_reset(struct pci_msix *msix); /* disabled, all vectors masked, table zeroed */

/* Call after a config write that hit the capability. */
void pci_msix_config_written(struct pci_msix *msix);

/* `off` relative to the table or the PBA; len 1..8; outside: zeroes, writes dropped. */
uint64_t pci_msix_table_read(struct pci_msix *msix, uint64_t off, unsigned len);
void pci_msix_table_write(struct pci_msix *msix, uint64_t off, unsigned len, uint64_t val);
uint64_t pci_msix_pba_read(struct pci_msix *msix, uint64_t off, unsigned len);

/*
 * Makes sure that vector `i` can be triggered before the guest unmasks it, so that what happens
 * meanwhile pends. An emulated device calls it when the guest assigns the vector to an event.
 */
int MUST_CHECK pci_msix_use(struct pci_msix *msix, unsigned i);

/* Triggers vector `i` (< count), which pci_msix_use prepared. Any thread, no lock. */
void pci_msix_notify(struct pci_msix *msix, unsigned i);

#endif
