/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PCI Express root port without hot-plug: a type 1 header and the bus below it.
 * [PCIe-5.0 7.5.1.3 Type 1 Configuration Space Header, 7.5.3 PCI Express Capability Structure].
 *
 * The forwarding windows are registers only: a device below decodes wherever its own BARs say.
 */
#ifndef DEVICES_PCI_BRIDGE_H
#define DEVICES_PCI_BRIDGE_H

#include "devices/pci/pci.h"

struct pci_bridge {
	struct pci_dev pci; /* first */
	struct pci_bus bus; /* the secondary bus; only slot 0 can be used [PCIe-5.0 7.3.1] */
};

/* `port` is the number in the link and slot registers, unique in the machine. */
int MUST_CHECK pci_bridge_create(const struct board *board, uint8_t port,
				 struct pci_bridge **ret_bridge);

enum pci_bridge_window {
	PCI_BRIDGE_IO,
	PCI_BRIDGE_MEMORY,
	PCI_BRIDGE_PREFETCH,
	PCI_BRIDGE_WINDOWS
};

/* What it forwards now, [base, end). False: nothing. Takes its lock. */
bool pci_bridge_forwards(struct pci_bridge *bridge, enum pci_bridge_window window,
			 uint64_t *ret_base, uint64_t *ret_end);

/* The bridge that `dev` is, or NULL. */
struct pci_bridge *pci_bridge_of(struct pci_dev *dev);

#endif
