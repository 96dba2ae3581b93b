/* SPDX-License-Identifier: Apache-2.0 */
/* What kinds of devices are told apart by. [PCI-CCAS 1 Class Codes], [PCI-SIG vendor IDs] */
#ifndef VFIO_PCI_CLASS_H
#define VFIO_PCI_CLASS_H

enum pci_base_class {
	PCI_CLASS_DISPLAY = 0x03,
	PCI_CLASS_BRIDGE = 0x06,
	PCI_CLASS_ACCELERATOR = 0x12,
	PCI_CLASS_NONE = 0xff, /* of no class, or not to be read */
};

#define PCI_VENDOR_NVIDIA 0x10deu

#endif
