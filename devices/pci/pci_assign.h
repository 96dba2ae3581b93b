/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gives every function of a machine without firmware its resources, through configuration space as
 * firmware would: bus numbers, the windows of root ports, addresses of BARs and expansion ROMs,
 * interrupt lines; then switches decoding on. [PCI-3.0 6.2.5 Base Addresses], [PCI-PCI-Bridge-1.2
 * 3.2.5 Type 1 Header]. After power-on or a reset, with all vCPUs stopped. Main thread.
 */
#ifndef DEVICES_PCI_ASSIGN_H
#define DEVICES_PCI_ASSIGN_H

#include "devices/pci/pci_root.h"

/* What all root bridges forward together; each a range [base, end), base above 0. */
struct pci_window {
	uint64_t base, end;
};

struct pci_windows {
	struct pci_window io, mem32, mem64;
};

/*
 * 64-bit BARs go to mem64, but for those behind a root port that are not prefetchable: they share
 * mem32 with all other memory. The largest alignment comes first, and a window of a root port is
 * aligned to the largest BAR in it. -ENOSPC (kind ERR_LIMIT) if a window is too small.
 */
int MUST_CHECK pci_assign(struct pci_root *root, const struct pci_windows *windows);

#endif
