/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names of PCI devices, from the list that the host's distribution installs: pci.ids, as lspci
 * reads it [pci.ids(5)]. The names are foreign text. Main thread.
 */
#ifndef VFIO_PCI_NAMES_H
#define VFIO_PCI_NAMES_H

#include "core/util.h"

#define PCI_NAME_SIZE 256

struct pci_names {
	char *text; /* NULL: no list is installed */
};

/* `root` is in front of /usr, "" but in tests. A list that is absent or unreadable names nothing.
 */
void pci_names_init(struct pci_names *names, const char *root);
void pci_names_fini(struct pci_names *names);

/*
 * "NVIDIA GA102 [GeForce RTX 3090]", the vendor in short; what has no name is told by its number:
 * "NVIDIA 2204", "10de:2204".
 */
void pci_names_find(const struct pci_names *names, unsigned vendor, unsigned device,
		    char buf[PCI_NAME_SIZE]);

#endif
