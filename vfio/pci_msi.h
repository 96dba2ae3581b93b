/* SPDX-License-Identifier: Apache-2.0 */
/* The size of an MSI capability. [PCI-3.0 6.8.1 MSI Capability Structure] */
#ifndef VFIO_PCI_MSI_H
#define VFIO_PCI_MSI_H

#include <linux/pci_regs.h>

/* By its message control register. */
static inline unsigned pci_msi_len(unsigned flags)
{
	const unsigned len = (flags & PCI_MSI_FLAGS_64BIT ? PCI_MSI_DATA_64 : PCI_MSI_DATA_32) + 2;

	/* The mask and pending registers begin 2 bytes behind the data. */
	return flags & PCI_MSI_FLAGS_MASKBIT ? len + 10 : len;
}

#endif
