/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Classes and vendors of PCI devices, as far as anything here asks for or shows one.
 * [PCI-CCAS 1 Class Codes], [PCI-SIG vendor IDs]
 */
#ifndef DEVICES_PCI_IDS_H
#define DEVICES_PCI_IDS_H

/* The base class: the upper of three bytes. */
enum pci_base_class {
	PCI_CLASS_STORAGE = 0x01,
	PCI_CLASS_DISPLAY = 0x03,
	PCI_CLASS_BRIDGE = 0x06,
	PCI_CLASS_ACCELERATOR = 0x12,
	PCI_CLASS_NONE = 0xff, /* of no class, or not to be read */
};

/* All three bytes, for pci_ids.class. */
enum pci_class_code {
	PCI_CLASS_STORAGE_OTHER = 0x018000,
	PCI_CLASS_NETWORK_ETHERNET = 0x020000,
	PCI_CLASS_BRIDGE_HOST = 0x060000,
	PCI_CLASS_BRIDGE_ISA = 0x060100,
	PCI_CLASS_BRIDGE_PCI = 0x060400,
	PCI_CLASS_COMMUNICATION_OTHER = 0x078000,
	PCI_CLASS_UNASSIGNED = 0xff0000, /* fits none of the defined classes */
};

#define PCI_VENDOR_INTEL  0x8086u
#define PCI_VENDOR_NVIDIA 0x10deu

#endif
